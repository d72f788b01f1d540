"""What is compared can be had: any method is trained, saved, asked and looked at by its name."""

import csv
import json

import numpy as np
import pytest
from some_cases import some

from jaxmtl.cli import run
from jaxmtl.data import read_table
from jaxmtl.methods import BASELINES, WITHOUT_STEPS
from jaxmtl.methods.study import bench
from jaxmtl.report import load_run

NAMES = ["--features", "SO2,CO", "--targets", "PM2.5,O3"]
FAMILIES = [name for name in WITHOUT_STEPS if name not in BASELINES]
# The adaptive network is measured by every comparison, and trained by every other test here.
LAYERS = ["recon@1", "parameter_differentiation"]
NAMED = ["adaptive", "mmoe", "restarts+upgrad", *LAYERS, *WITHOUT_STEPS]
KEPT = ["linear", "boosted", "ridge"]
METHODS, SLOW = some(NAMED, *KEPT), set(NAMED) - set(KEPT)
SHORT = ["--phases", "4,1,2;2", "--validation", "0.2"]
# Of the methods that every run of these tests has, and of those that slow ones need, too.
FEW = ["--arms", "linear,boosted", "--reference", "ridge"]
ALL = ["--arms", ",".join(["adaptive,mmoe,upgrad,hard_sharing", *LAYERS, *FAMILIES])]


@pytest.fixture(scope="module")
def comparison(request, table, tmp_path_factory):
    """Not to be changed."""
    folder = tmp_path_factory.mktemp("compared") / "out"
    asked = {
        item.callspec.params.get("method")
        for item in request.session.items
        if item.path == request.path and hasattr(item, "callspec")
    }
    arms = FEW if asked.isdisjoint(SLOW) else ALL
    # One seed: a comparison and a run by itself are one compiled program.
    command = ["compare", str(table), *NAMES, *SHORT, *arms, "--seeds", "1"]
    assert run([*command, "--out", str(folder), "--quiet"]) == 0
    return folder


@pytest.fixture(scope="module")
def fitted(comparison, tmp_path_factory):
    """The run of a method, made once; not to be changed."""
    place, made = tmp_path_factory.mktemp("fitted"), {}

    def fitted(method):
        if method not in made:
            folder = made[method] = place / method
            command = ["fit", "--config", str(comparison), "--method", method]
            assert run([*command, "--out", str(folder), "--quiet"]) == 0
        return made[method]

    return fitted


@pytest.mark.parametrize("method", METHODS)
def test_it_is_what_the_comparison_measured(comparison, fitted, method):
    with open(comparison / "per_seed.csv", encoding="utf-8-sig") as file:
        rows = [row for row in csv.DictReader(file) if row["arm"] == method]
    folder = fitted(method)
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    for row in rows:
        found = metrics["errors"][method]["test"]
        assert found["mse_scaled"][row["task"]] == pytest.approx(float(row["error"]), rel=1e-4)
        assert found["rmse"][row["task"]] == pytest.approx(float(row["value"]), rel=1e-4)
        if method not in WITHOUT_STEPS:
            assert metrics["runs"][method]["chosen"]["epoch"] == int(row["epoch"])


@pytest.mark.parametrize("method", METHODS)
def test_it_predicts_what_it_wrote_and_says_what_it_is(call, table, fitted, method, tmp_path):
    folder, out = fitted(method), tmp_path / "out.csv"
    assert call("predict", folder, table, "-o", out).code == 0
    with open(out, encoding="utf-8-sig", newline="") as file:
        predicted = list(csv.DictReader(file))
    with open(folder / "predictions.csv", encoding="utf-8-sig", newline="") as file:
        written = list(csv.DictReader(file))
    assert len(predicted) == 40
    for row in written:
        again = predicted[int(row["sheet_row"]) - 2]
        for task in ("PM2.5", "O3"):
            assert float(row[f"{task} {method}"]) == pytest.approx(float(again[task]), rel=1e-5)
    x = read_table(table, features=["SO2", "CO"]).x
    saved = load_run(folder).predict(x)
    np.testing.assert_allclose(saved[:, 0], [float(row["PM2.5"]) for row in predicted])
    said = call("inspect", folder).out
    assert f"method   {method}" in said
    assert "mean  relative" in said or method == "mean"


def test_a_run_is_repeated_with_its_method(call, fitted, tmp_path):
    again = tmp_path / "again"
    assert call("fit", "--config", fitted("ridge"), "--out", again, "--quiet").code == 0
    first, second = (
        (folder / "predictions.csv").read_bytes() for folder in (fitted("ridge"), again)
    )
    assert first == second


def test_the_pair_of_the_study_is_a_method_too(call, fitted, tmp_path, untrained):
    ridge, out = fitted("ridge"), tmp_path / "pair"
    refused = call("fit", "--config", ridge, "--nodes", "4", "--out", out)
    assert refused.code == 2
    assert f"--nodes: only for networks; --method ridge of {ridge} has none" in refused.err
    refused = call("inspect", ridge, "--structure", "-o", tmp_path / "who.png")
    assert "expected a run with a network, whose targets share layers or do not" in refused.err
    options = ["--config", ridge, "--method", "study", "--hard-epochs", "2", "--quiet"]
    assert call("fit", *options, "--out", out).code == 0
    assert len(untrained) == 2
    assert load_run(out).config["settings"].get("method") is None


def test_trees_that_cannot_split_are_noted(call, make_table, tmp_path):
    table = make_table(rows=30)
    result = call(
        "fit",
        "--preset",
        "study",
        table,
        *NAMES,
        "--method",
        "boosted_trees",
        "--out",
        tmp_path / "run",
    )
    assert result.code == 0
    assert "note: boosted_trees: no tree has a split" in result.err


def test_a_comparison_says_how_to_have_its_best(call, table, comparison, tmp_path):
    folder = tmp_path / "out"
    names = ["--arms", "ridge", "--reference", "mean", "--seeds", "2"]
    result = call("compare", table, *NAMES, *names, "--out", folder)
    lines = result.out.splitlines()
    assert lines[0] == "Use ridge."
    assert lines[1].startswith("How sure: ")
    (said,) = (line for line in lines if line.startswith("Command: jaxmtl fit --config "))
    command = said.removeprefix("Command: jaxmtl ").split()
    command[command.index("DIR")] = str(tmp_path / "best")
    assert call(*command).code == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--method", "rigde"], "--method: there is no .* 'rigde' .did you mean 'ridge'"),
        (["--method", "all"], "--method: expected the name of one method, got 'all'"),
        (["--method", ""], "--method: expected the name of one method, got ''"),
        (["--method", "ridge,mean"], "--method: expected the name of one method, got 'ridge,mean'"),
        (["--method", "krum"], "--method: restarts.krum does not go with these targets: krum:"),
        (["--method", "ridge", "--nodes", "4"], "--nodes: only for networks; --method ridge has"),
        (["--method", "mmoe", "--hard-epochs", "4"], "--hard-epochs: only for the study's pair"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(call, table, tmp_path, options, sentence):
    import re

    result = call("fit", "--preset", "study", table, *NAMES, *options, "--out", tmp_path / "run")
    assert result.code == 2
    assert re.search(sentence, result.err), result.err
    assert not (tmp_path / "run").exists()


def test_a_method_of_the_study_names_its_preset(call, table, tmp_path):
    out = tmp_path / "out"
    done = call("fit", table, *NAMES, "--method", "ridge", "--scaling", "none", "--out", out)
    assert done.code == 0, done.err
    assert "note: --method ridge: trained as --preset study trains" in done.err
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    assert config["settings"]["method"] == "ridge"
    assert config["settings"]["scaling"] == "none"
    again = call("fit", "--config", out, "--out", tmp_path / "again")
    assert again.code == 0, again.err
    assert "trained as" not in again.err


@pytest.mark.slow
def test_a_method_that_was_interrupted_goes_on_to_the_same(call, table, tmp_path, monkeypatch):
    phases = ["--phases", "2;2;2", "--validation", "0.2"]
    command = ["fit", table, *NAMES, *phases, "--method", "lookahead", "--out"]
    assert call(*command, tmp_path / "whole").code == 0
    sweep, calls = bench.sweep, []

    def breaks(*given, **options):
        calls.append(options["checkpoint"])
        if len(calls) == 4:
            raise KeyboardInterrupt
        return sweep(*given, **options)

    with monkeypatch.context() as patch:
        patch.setattr(bench, "sweep", breaks)
        done = call(*command, tmp_path / "run")
    kept = tmp_path / "run.unfinished"
    assert (done.code, len(calls)) == (130, 4)
    assert done.err.endswith(
        f"interrupted; what was learned is kept in {kept}; the same command goes on with it\n"
    )
    done = call(*command, tmp_path / "run")
    assert done.code == 0
    assert "note: it goes on where the same command was broken off\n" in done.err
    assert {path.name for path in tmp_path.iterdir()} == {"run", "whole"}
    for name in ("history.csv", "predictions.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    with open(tmp_path / "run" / "history.csv", encoding="utf-8-sig", newline="") as file:
        rows = [(row["phase"], row["epoch_of_run"]) for row in csv.DictReader(file)]
    assert rows == [(str(1 + epoch // 2), str(epoch + 1)) for epoch in range(6)]


def test_what_an_interrupted_method_has_left_is_of_the_same_command(
    call, table, tmp_path, monkeypatch
):
    """Other options begin anew, and leave nothing behind."""

    class Breaks:
        def fit(self, data, folds, keys, work):
            work.checkpoint.mkdir(parents=True)
            np.savez(work.checkpoint / "step_1.npz", a=np.zeros(1))
            raise KeyboardInterrupt

    command = ["fit", table, *NAMES, "--method", "ridge", "--out", tmp_path / "run"]
    with monkeypatch.context() as patch:
        patch.setattr("jaxmtl.methods.find_method", lambda *given, **named: Breaks())
        assert "the same command goes on with it" in call(*command).err
    assert "broken off" not in call(*command, "--seed", "3").err
    assert [path.name for path in tmp_path.iterdir()] == ["run"]

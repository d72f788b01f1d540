"""The option `--aggregator`, and aggregators as arms."""

import csv
import json

import pytest

from jaxmtl.aggregation.known import known_names

NAMES = ["--features", "SO2,CO", "--targets", "PM2.5,O3"]
SHORT = ["--phases", "4,1,2;2", "--hard-epochs", "3"]


@pytest.mark.usefixtures("no_pictures")
def test_a_run_keeps_what_the_aggregator_did(call, table, tmp_path):
    folder = tmp_path / "run"
    result = call(
        "fit", "--preset", "study", table, *NAMES, *SHORT, "--aggregator", "pcgrad", "--out", folder
    )
    assert result.code == 0
    assert "gradients combined by pcgrad, mean weights" in result.out
    assert call("inspect", folder).out.count("gradients combined by pcgrad") == 1
    assert json.loads((folder / "config.json").read_text())["settings"]["aggregator"] == "pcgrad"
    with open(folder / "history.csv", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert {row["run"] for row in rows} == {"adaptive", "hard sharing"}
    for row in rows:
        assert float(row["weight PM2.5"]) > 0
        assert 0 <= float(row["conflict rate"]) <= 1
        assert row["unconverged"] == "0"


def test_it_is_repeated_from_the_folder_of_a_run(call, table, tmp_path, untrained):
    first, again = tmp_path / "first", tmp_path / "again"
    options = [*NAMES, *SHORT, "--quiet", "--out"]
    assert (
        call("fit", "--preset", "study", table, "--aggregator", "famo", *options, first).code == 0
    )
    assert call("fit", "--preset", "study", table, "--config", first, *options, again).code == 0
    assert [run["aggregator"] for run in untrained] == ["famo"] * 4
    assert call("fit", "--preset", "study", table, *options, tmp_path / "plain").code == 0
    assert untrained[-1]["aggregator"] is None


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("upgrade", "--aggregator: there is no method 'upgrade' (did you mean 'upgrad'?)"),
        ("nope", "--aggregator: there is no method 'nope'; jaxmtl.aggregation has them all"),
        ("krum", "--aggregator: krum: expected at least 4 tasks"),
    ],
)
def test_a_bad_name_is_one_sentence(call, table, tmp_path, name, sentence):
    folder = tmp_path / "run"
    result = call(
        "fit", "--preset", "study", table, *NAMES, *SHORT, "--aggregator", name, "--out", folder
    )
    assert result.code == 2
    assert sentence in result.err
    assert len(result.err.strip().splitlines()) == 1
    assert not folder.exists()


@pytest.mark.slow
def test_arms_with_aggregators_are_compared(call, table, tmp_path):
    folder = tmp_path / "compared"
    arms = ["--arms", "hard_sharing+famo", "--reference", "sum", "--seeds", 2, "--phases", "2"]
    result = call("compare", table, *NAMES, *arms, "--out", folder)
    assert result.code == 0, result.err
    with open(folder / "leaderboard.csv", encoding="utf-8-sig") as file:
        named = {row["arm"] for row in csv.DictReader(file)}
    assert {"hard_sharing+famo", "restarts+sum"} <= named
    settings = json.loads((folder / "config.json").read_text())["settings"]
    assert settings["reference"] == "restarts+sum"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "task gradients combined by famo" in page


def test_list_arms_names_every_method(call):
    listed = call("compare", "--list-arms").out
    assert all(name in listed for name in known_names())


def test_a_method_that_needs_more_targets_is_refused_before_anything(call, table, tmp_path):
    folder = tmp_path / "compared"
    result = call("compare", table, *NAMES, "--arms", "krum", "--out", folder)
    assert result.code == 2
    assert "restarts+krum does not go with these targets" in result.err
    assert not folder.exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--arms", "mmoe+upgrade"], "--arms: 'mmoe+upgrade': there is no method to combine with"),
        (["--arms", "mmoe+upgrade"], "'upgrade' (did you mean 'upgrad'?)"),
        (["--arms", "mmeo+upgrad"], "there is no arm 'mmeo' (did you mean 'mmoe'?)"),
        (["--arms", "mmoe+xyz"], "'xyz'; jaxmtl compare --list-arms names all"),
        (["--arms", "ridgee"], "--arms: there is no arm and no method 'ridgee' (did you mean"),
        (["--reference", "hard"], "--reference: there is no arm and no method 'hard'"),
        (["--arms", "x" * 10**5], "--arms: there is no arm and no method 'xxx"),
        (["--arms", ",".join(["mean"] * 10**4), "--seeds", "100001"], "--seeds: expected at most"),
    ],
)
def test_the_part_of_a_name_that_is_wrong_is_named(call, table, tmp_path, options, sentence):
    result = call("compare", table, *NAMES, *options, "--out", tmp_path / "out")
    assert result.code == 2
    assert sentence in result.err
    assert len(result.err) < 400
    assert not (tmp_path / "out").exists()


def test_with_a_method_the_aggregator_is_part_of_its_name(call, table, tmp_path):
    options = ["--method", "mmoe", "--aggregator", "cagrad", "--out", tmp_path / "out"]
    result = call("fit", "--preset", "study", table, *NAMES, *options)
    assert result.code == 2
    assert "it is part of the name; write --method mmoe+cagrad" in result.err

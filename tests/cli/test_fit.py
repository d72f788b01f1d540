"""`jaxmtl fit`: what it writes, what it says, and how options and repetitions work."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import openpyxl
import pytest

from jaxmtl.report import load_run

NAMES = ["--preset", "study", "--features", "SO2,CO", "--targets", "PM2.5,O3"]
SHORT = ["--phases", "4,1,2;2", "--hard-epochs", "3"]
FILES = {
    "card.md",
    "plain",
    "predict.py",
    "config.json",
    "metrics.json",
    "history.csv",
    "events.csv",
    "predictions.csv",
    "model.npz",
    "errors.png",
    "network.png",
    "conflicts.png",
    "predictions.png",
}
PICTURES = {name for name in FILES if name.endswith(".png")}


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def settings_of(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))["settings"]


def test_run_folder_holds_all_files_and_nothing_else(made_run):
    assert {path.name for path in made_run.iterdir()} == FILES
    assert [path.name for path in made_run.parent.iterdir()] == ["run"]  # nothing unfinished


def test_config_says_what_repeats_the_run(made_run, table):
    config = json.loads((made_run / "config.json").read_text(encoding="utf-8"))
    assert config["status"] == "finished"
    assert config["settings"]["table"] == str(table)
    assert config["settings"]["seed"] == 0
    assert len(config["settings"]["table_sha256"]) == 64
    needed = {"python", "jax", "jaxlib", "flax", "optax", "numpy", "pandas", "jaxmtl"}
    assert needed <= set(config["versions"])
    assert config["machine"]["device"]


def test_history_has_both_runs_epoch_by_epoch(made_run):
    rows = read_csv(made_run / "history.csv")
    events = read_csv(made_run / "events.csv")
    assert events
    assert [row["run"] for row in rows].count("hard sharing") == 3
    adaptive = [row for row in rows if row["run"] == "adaptive"]
    assert [int(row["epoch_of_run"]) for row in adaptive] == list(range(1, len(adaptive) + 1))
    stopped = adaptive[int(events[0]["epoch_of_run"]) - 1]
    assert stopped["epoch"] == events[0]["epoch"]
    assert int(stopped["samples"]) == int(events[0]["sample"]) + 1
    assert all(0 < float(row["test PM2.5"]) < 1 for row in rows)


def test_event_names_the_row_of_the_sheet(made_run, table):
    run = load_run(made_run)
    event = run.events[0]
    tested = {int(row["sheet_row"]) for row in read_csv(made_run / "predictions.csv")}
    trained = [row for row in range(2, 42) if row not in tested]
    assert event["sheet_row"] == trained[event["sample"]]


def test_both_runs_start_from_the_same_values(made_run):
    rows = read_csv(made_run / "history.csv")
    first = {row["run"]: row for row in rows if row["epoch_of_run"] == "1"}
    if first["adaptive"]["samples"] == "32":  # a whole epoch without a split is the same in both
        assert first["adaptive"]["train PM2.5"] == first["hard sharing"]["train PM2.5"]


def test_observed_values_are_those_of_the_table(made_run, table):
    sheet = openpyxl.load_workbook(table).active
    for row in read_csv(made_run / "predictions.csv"):
        assert float(row["PM2.5 observed"]) == sheet.cell(int(row["sheet_row"]), 4).value


def test_metrics_agree_with_the_predictions(made_run):
    metrics = load_run(made_run).metrics
    rows = read_csv(made_run / "predictions.csv")
    for run in ("adaptive", "hard sharing"):
        for task in ("PM2.5", "O3"):
            wrong = [float(r[f"{task} {run}"]) - float(r[f"{task} observed"]) for r in rows]
            errors = metrics["errors"][run]["test"]
            rmse = np.sqrt(np.mean(np.square(wrong)))
            np.testing.assert_allclose(errors["rmse"][task], rmse, 1e-5)
            np.testing.assert_allclose(errors["mae"][task], np.mean(np.abs(wrong)), 1e-5)
    mean = [metrics["errors"][run]["test"]["mean_mse_scaled"] for run in metrics["errors"]]
    assert metrics["ratio"]["test"]["of_means"] == mean[0] / mean[1]


@pytest.mark.usefixtures("no_pictures")
def test_it_says_what_happened_if_it_is_not_told_to_be_quiet(call, table, tmp_path):
    said = call("fit", table, *NAMES, *SHORT, "--out", tmp_path / "b")
    assert said.code == 0
    lines = said.err.splitlines()
    assert lines[0].startswith("adaptive: phase 1/2, epoch 1/4, training error PM2.5 0.")
    assert lines[-1].startswith("hard sharing: phase 1/1, epoch 3/3, training error PM2.5 0.")
    assert "PM2.5 and O3 pulled it in opposite directions" in said.out
    assert said.out.endswith(f"written to {tmp_path / 'b'}\n")


@pytest.mark.usefixtures("no_pictures")
def test_existing_folder_is_kept_without_force_and_replaced_with_it(call, own_run, table):
    before = (own_run / "config.json").read_bytes()
    (own_run / "notes.txt").write_text("mine")
    args = ("fit", table, *NAMES, *SHORT, "--seed", 1, "--out", own_run)
    refused = call(*args)
    assert refused.code == 2
    assert "exists already" in refused.err
    assert len(refused.err.splitlines()) == 1
    assert (own_run / "config.json").read_bytes() == before
    assert call(*args, "--force").code == 0
    assert settings_of(own_run)["seed"] == 1
    assert {path.name for path in own_run.iterdir()} == FILES - PICTURES
    assert [path.name for path in own_run.parent.iterdir()] == ["own"]


def test_force_does_not_replace_what_is_no_run_folder(call, table, tmp_path):
    (tmp_path / "thesis.docx").write_text("years of work")
    result = call("fit", table, *NAMES, *SHORT, "--out", tmp_path, "--force")
    assert result.code == 2
    assert "expected a run folder to replace" in result.err
    assert (tmp_path / "thesis.docx").exists()


def test_table_inside_the_folder_to_be_replaced_is_kept(call, own_run, table):
    inside = shutil.copy(table, own_run / "air.xlsx")
    result = call("fit", inside, *NAMES, *SHORT, "--out", own_run, "--force")
    assert result.code == 2
    assert "lies in the folder" in result.err
    assert Path(inside).exists()


def test_config_repeats_a_run_to_the_bit(call, made_run, tmp_path):
    again = tmp_path / "again"
    assert call("fit", "--config", made_run, "--out", again, "--quiet") == (0, "", "")
    for name in sorted(FILES - {"config.json", "card.md", "plain"}):  # two say when it was
        assert (again / name).read_bytes() == (made_run / name).read_bytes(), name
    assert settings_of(again) == settings_of(made_run)


@pytest.mark.slow
def test_options_override_a_repeated_run(call, made_run, tmp_path):
    folder = tmp_path / "other"
    path = made_run / "config.json"
    assert call("fit", "--config", path, "--seed", 5, "--out", folder, "--quiet").code == 0
    assert settings_of(folder) == settings_of(made_run) | {"seed": 5}


@pytest.mark.usefixtures("no_pictures")
def test_repetition_notes_a_changed_table_and_other_versions(call, own_run, tmp_path):
    path = own_run / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["settings"]["table_sha256"] = "0" * 64
    config["versions"]["jax"] = "0.0.1"
    path.write_text(json.dumps(config), encoding="utf-8")
    notes = call("fit", "--config", own_run, "--out", tmp_path / "a").err
    assert "has changed since the run" in notes
    assert "was made with jax 0.0.1 (now" in notes


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        ({"nodse": 3}, "there is no option 'nodse' (did you mean 'nodes'?)"),
        ({"nodes": "three"}, "expected a whole number for 'nodes', got 'three'"),
        ({"shared": 4}, "expected a list for 'shared', got 4"),
        ({"shuffle": 1}, "expected true or false for 'shuffle', got 1"),
        ({"phases": [{"epoch": 3}]}, "expected a phase with epochs"),
        ({"phases": [{"epochs": 0}]}, "expected at least 1 epoch"),
        ({"optimizer": "lion"}, "settings: expected one of adam"),
    ],
)
def test_edited_config_with_a_mistake_is_one_sentence(call, own_run, tmp_path, edit, sentence):
    path = own_run / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["settings"] |= edit
    path.write_text(json.dumps(config), encoding="utf-8")
    result = call("fit", "--config", path, "--out", tmp_path / "a")
    assert result.code == 2
    assert sentence in result.err
    assert len(result.err.splitlines()) == 1
    assert not (tmp_path / "a").exists()


@pytest.mark.usefixtures("no_pictures")
def test_run_that_diverges_is_saved_and_named(call, table, tmp_path):
    folder = tmp_path / "run"
    result = call("fit", table, *NAMES, "--phases", "4,,,3e38;2", "--out", folder, "--quiet")
    assert result.code == 1
    assert len(result.err.splitlines()) == 1
    assert "the adaptive run diverged in phase 1, epoch 1, at sample" in result.err
    assert "was not finite; the last finite state is saved in" in result.err
    assert {path.name for path in folder.iterdir()} == FILES - PICTURES
    run = load_run(folder)
    assert run.config["status"] == run.metrics["status"] == "diverged"
    assert run.metrics["runs"]["adaptive"]["divergence"]["phase"] == 1
    assert all(np.isfinite(leaf).all() for leaf in run.params["bank"].values())
    said = call("inspect", folder)
    assert said.code == 0
    assert "diverged in epoch 1" in said.out
    assert "phase 2: not reached" in said.out

"""Saving a run and reading it again."""

import csv
import json
import re
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmtl import Event, HardSharing, Phase, fit_adaptive
from jaxmtl.data import Preprocessing, Rows, Splits, TableError
from jaxmtl.prediction.records import write_csv
from jaxmtl.report import Reading, RunFolderError, load_run, save_run
from jaxmtl.training import Divergence


def read_csv(path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_prediction_of_what_was_read_is_that_of_what_was_saved(made, save, tmp_path):
    run = load_run(save(tmp_path / "run", made))
    assert run.model.num_columns == 4  # compact: three nodes and a copy
    scaled = made.model.apply(
        {"params": made.run.params}, made.dataset.encode(made.table), made.run.head_index
    )
    expected = made.dataset.decode(scaled)
    # One row and all rows, an array and a table: bit by bit the same.
    np.testing.assert_allclose(run.predict(made.table.x), expected, rtol=1e-6)
    np.testing.assert_array_equal(run.predict(made.table), run.predict(made.table.x))
    np.testing.assert_array_equal(run.predict(made.table.x[4:5])[0], run.predict(made.table.x)[4])
    assert run.predict(made.table.x[:0]).shape == (0, 2)
    assert isinstance(run.dataset, Preprocessing)


def test_baseline_is_saved_too(made, save, tmp_path):
    run = load_run(save(tmp_path / "run", made))
    params, head_index = run.hard
    model = run.model.clone(capacity=3)
    y = model.apply({"params": params}, jnp.ones((1, 2)), head_index)
    baseline = made.baseline
    expected = made.model.apply({"params": baseline.params}, jnp.ones((1, 2)), baseline.head_index)
    np.testing.assert_array_equal(y, expected)
    assert load_run(save(tmp_path / "alone", made, baseline=None)).hard is None
    assert "ratio" not in load_run(tmp_path / "alone").metrics


def test_model_file_needs_no_pickle_and_has_readable_keys(made, save, tmp_path):
    folder = save(tmp_path / "run", made)
    with np.load(folder / "model.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    assert arrays["models/0/params/bank/kernel"].shape == (4, 4)
    assert arrays["models/0/params/output/bias"].shape == (2, 1)
    assert arrays["models/0/head_index"].tolist() == [[0, 3, 2], [0, 1, 2]]
    assert arrays["baselines/hard sharing/head_index"].tolist() == [[0, 1, 2]] * 2
    scale = made.dataset.feature_scaler.scale
    np.testing.assert_array_equal(arrays["coding/feature_scale"], scale)
    assert json.loads(str(arrays["spec"]))["coding"]["targets"] == ["PM2.5", "O3"]


@pytest.mark.parametrize(
    ("missing", "fill"), [("error", None), ("drop", None), ("mean", np.array([1.0, 2.0]))]
)
def test_missing_features(made, save, tmp_path, missing, fill):
    dataset = made.dataset
    object.__setattr__(dataset, "fill", fill)  # as prepare would have left it
    reading = Reading(missing, (0, "-999", "无"), decimal=",", header_row=3, visible_rows=True)
    run = load_run(save(tmp_path / "run", made, reading=reading))
    object.__setattr__(dataset, "fill", None)
    assert run.reading == reading
    x = np.array([[1.0, 2.0], [np.nan, 2.0], [1.0, np.nan]])
    if missing == "error":
        with pytest.raises(TableError, match="missing values"):
            run.predict(x)
        return
    y = run.predict(x)
    if missing == "drop":
        assert np.isnan(y).any(axis=1).tolist() == [False, True, True]
    else:
        np.testing.assert_array_equal(y, np.repeat(y[:1], 3, axis=0))


def test_history_events_and_predictions(made, save, tmp_path):
    folder = save(tmp_path / "run", made)
    history = read_csv(folder / "history.csv")
    adaptive = [row for row in history if row["run"] == "adaptive"]
    assert [row["epoch_of_run"] for row in adaptive] == [str(i) for i in range(1, 15)]
    assert float(adaptive[3]["train O3"]) == pytest.approx(made.run.history.train[3, 1])
    assert np.float32(adaptive[3]["train O3"]) == made.run.history.train[3, 1]
    assert adaptive[0]["conflicts node 0"] == "4"
    assert [row for row in history if row["run"] != "adaptive"][0]["conflicts node 0"] == ""
    (event,) = load_run(folder).events
    assert event == {
        "phase": 1,
        "epoch": 4,
        "epoch_of_run": 4,
        "sample": 7,
        "sheet_row": 9,
        "node": 1,
        "copy": 3,
        "streak": 5,
        "tasks": "PM2.5",
    }
    rows = read_csv(folder / "predictions.csv")
    assert [int(row["sheet_row"]) for row in rows] == list(range(22, 32))
    assert [float(row["O3 observed"]) for row in rows] == made.table.y[20:, 1].tolist()
    predicted = load_run(folder).predict(made.table.x[20:])
    assert [float(row["PM2.5 adaptive"]) for row in rows] == predicted[:, 0].tolist()


def test_sample_of_shuffled_rows_has_no_row_of_the_sheet(made, save, tmp_path):
    assert load_run(save(tmp_path / "run", made, shuffled=True)).events[0]["sheet_row"] is None


def test_observed_values_that_are_not_known_are_blank(make, save, tmp_path):
    made = make(known=False)
    rows = read_csv(save(tmp_path / "run", made) / "predictions.csv")
    blank = [row["PM2.5 observed"] == "" for row in rows]
    assert blank == np.isnan(made.table.y[20:, 0]).tolist()
    without = read_csv(save(tmp_path / "b", made, table=None) / "predictions.csv")
    assert [row["PM2.5 observed"] == "" for row in without] == blank
    np.testing.assert_allclose(
        [float(row["O3 observed"]) for row in without], made.table.y[20:, 1], rtol=1e-6
    )


def test_divergence_is_told(made, save, tmp_path):
    import dataclasses

    run = dataclasses.replace(made.run, divergence=Divergence(2, 10, 3, 1))
    folder = save(tmp_path / "run", made._replace(run=run))
    saved = load_run(folder)
    assert saved.config["status"] == "diverged"
    divergence = saved.metrics["runs"]["adaptive"]["divergence"]
    assert (divergence["task"], divergence["sample"]) == ("O3", 3)
    assert "(row 5 of the sheet)" in divergence["sentence"]


def test_existing_folder_is_refused_before_anything_is_written(made, save, tmp_path):
    save(tmp_path / "run", made)
    before = (tmp_path / "run" / "config.json").read_bytes()
    with pytest.raises(RunFolderError, match="exists already"):
        save(tmp_path / "run", made)
    assert (tmp_path / "run" / "config.json").read_bytes() == before
    save(tmp_path / "run", made, force=True, settings={"mine": 1})
    assert load_run(tmp_path / "run").config["settings"] == {"mine": 1}


@pytest.mark.parametrize("name", ["save_predictor", "write_predictions"])
def test_failure_in_the_middle_leaves_the_older_run(made, save, tmp_path, monkeypatch, name):
    folder = save(tmp_path / "run", made, settings={"number": 1})
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def half(path, *args):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"jaxmtl.prediction.write_run.{name}", half)
    with pytest.raises(RunFolderError, match="the disk is full"):
        save(folder, made, force=True, settings={"number": 2})
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert after == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_failure_of_a_picture_leaves_nothing(made, tmp_path, monkeypatch):
    def fails(*args):
        raise RuntimeError("no ink")

    monkeypatch.setattr("jaxmtl.report.pictures.of_a_run.draw_pictures", fails)
    with pytest.raises(RuntimeError, match="no ink"):
        save_run(tmp_path / "run", made.run, model=made.model, dataset=made.dataset)
    assert list(tmp_path.iterdir()) == []


def test_models_that_no_file_can_hold_are_refused(made, save, tmp_path):
    with pytest.raises(ValueError, match="activation: expected a name"):
        save(tmp_path / "a", made._replace(model=made.model.clone(activation=jnp.tanh)))
    with pytest.raises(ValueError, match="expected one output for each of the targets PM2.5, O3"):
        save(tmp_path / "a", made._replace(model=HardSharing(outputs=(1, 2))))
    assert list(tmp_path.iterdir()) == []


def test_other_format_is_refused(made, save, tmp_path):
    folder = save(tmp_path / "run", made)
    for name in ("config.json", "metrics.json"):
        text = (folder / name).read_text(encoding="utf-8")
        (folder / name).write_text(text.replace('"format": 1', '"format": 2'), encoding="utf-8")
        with pytest.raises(RunFolderError, match="in format 1, got format 2"):
            load_run(folder)
        (folder / name).write_text(text, encoding="utf-8")
    with np.load(folder / "model.npz") as file:
        arrays = dict(file)
    arrays["spec"] = np.array(str(arrays["spec"]).replace('"format": 2', '"format": 3'))
    np.savez(folder / "model.npz", **arrays)
    command = (
        f"got format 3; make the run anew with: jaxmtl fit --config {folder} --out {folder}-new"
    )
    with pytest.raises(RunFolderError, match=re.escape(command)):
        load_run(folder)


def test_repeated_saving_gives_the_same_bytes(made, save, tmp_path):
    first, second = save(tmp_path / "a", made), save(tmp_path / "b", made)
    for path in first.rglob("*"):
        if path.is_file() and path.name not in ("config.json", "card.md"):  # they say when
            assert path.read_bytes() == (second / path.relative_to(first)).read_bytes()


def test_bfloat16_survives(make, save, tmp_path):
    made = make(param_dtype=jnp.bfloat16)
    run = load_run(save(tmp_path / "run", made))
    assert run.params["bank"]["kernel"].dtype == jnp.bfloat16
    assert run.model.param_dtype == jnp.bfloat16


@pytest.mark.slow
def test_run_of_the_library_can_be_saved(made, tmp_path):
    data = Splits(*(rows and Rows(*rows) for rows in made.dataset.splits))
    phases = (Phase(3, 1, 2), Phase(1))
    run = fit_adaptive(made.model, data, key=jax.random.key(3), phases=phases)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folder = save_run(
            tmp_path / "run", run, model=made.model, dataset=made.dataset, phases=phases
        )
    saved = load_run(folder)
    assert len(saved.events) == len(run.events)
    errors = saved.metrics["errors"]["adaptive"]["train"]["mse_scaled"]
    np.testing.assert_allclose(list(errors.values()), run.history.train[-1], rtol=1e-5)


def test_summary_replays_who_read_what(make, save, tmp_path):
    from jaxmtl.report import summarize

    events = (
        Event(1, 3, 2, 0, 3, 4, (0, 2)),
        Event(2, 2, 5, 0, 4, 3, (1,)),
    )
    made = make(targets=("a", "b", "c", "d"), events=events, nodes=3)
    text = summarize(load_run(save(tmp_path / "run", made)))
    assert "a and c and b and d pulled it in opposite directions for 4 samples" in text
    assert "b and d pulled it in opposite directions for 3 samples" in text
    assert "a and c now read the copy, node 3" in text
    assert "b now reads the copy, node 4" in text


def test_only_what_is_no_number_stands_behind_an_apostrophe(tmp_path):
    cells = ["-0.5", "+3", "-1,5", "-2e-3", "=1+1", "-1+2", "@a", "-", "+a"]
    write_csv(tmp_path / "a.csv", cells, [])
    with (tmp_path / "a.csv").open(encoding="utf-8-sig", newline="") as file:
        (found,) = csv.reader(file)
    assert found == [*cells[:4], "'=1+1", "'-1+2", "'@a", "'-", "'+a"]

"""`jaxmtl predict`: order, units, formats, missing features."""

import csv
import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import openpyxl
import pytest

from jaxmtl.prediction.save import save_predictor
from jaxmtl.report import load_run

NAMES = ["--preset", "study", "--features", "SO2,CO", "--targets", "PM2.5,O3"]


def read_csv(path: Path) -> tuple[list[str], np.ndarray]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    if header[-1] == "note":  # only where there is something to say
        header, rows = header[:-1], [row[:-1] for row in rows]
    return header, np.array([[float(cell) if cell else np.nan for cell in row] for row in rows])


def notes_of(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [row["note"] for row in csv.DictReader(file)]


def write_features(path: Path, rows: list[list[object]]) -> Path:
    book = openpyxl.Workbook()
    book.active.append(["CO", "note", "SO2"])  # another order, and no targets
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def test_predictions_of_the_test_rows_are_those_of_the_run(call, made_run, table, tmp_path):
    said = call("predict", made_run, table, "-o", tmp_path / "new" / "a.csv")
    assert said[:2] == (0, f"40 rows predicted, written to {tmp_path / 'new' / 'a.csv'}\n")
    assert "has learned from rows of this very table" in said.err
    header, values = read_csv(tmp_path / "new" / "a.csv")
    assert header == ["PM2.5", "O3"]
    saved_header, saved = read_csv(made_run / "predictions.csv")
    rows = saved[:, saved_header.index("sheet_row")].astype(int) - 2
    columns = [saved_header.index(f"{task} adaptive") for task in header]
    np.testing.assert_array_equal(values[rows], saved[:, columns])


def test_xlsx_and_csv_hold_the_same_in_the_order_of_the_rows(call, made_run, tmp_path):
    x = [[1.1, "a", 20], [0.4, "b", 45], [1.9, "c", 7]]
    path = write_features(tmp_path / "new.xlsx", [*x, x[0]])
    for name in ("a.csv", "a.xlsx"):
        assert call("predict", made_run, path, "-o", tmp_path / name, "--quiet") == (0, "", "")
    _, values = read_csv(tmp_path / "a.csv")
    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    header, *rows = book.active.iter_rows(values_only=True)
    assert header == ("PM2.5", "O3")
    # A workbook keeps 16 digits.
    np.testing.assert_allclose(np.array(rows, float), values, rtol=1e-15)
    np.testing.assert_array_equal(values[0], values[3])
    features = np.array([[so2, co] for co, _, so2 in [*x, x[0]]], float)
    np.testing.assert_array_equal(load_run(made_run).predict(features), values)


def test_csv_table(call, made_run, tmp_path):
    (tmp_path / "new.csv").write_text("SO2;CO\n20;1.1\n45;0.4\n", encoding="utf-8")
    assert call("predict", made_run, tmp_path / "new.csv", "-o", tmp_path / "a.csv").code == 0
    assert read_csv(tmp_path / "a.csv")[1].shape == (2, 2)


def test_existing_file_is_kept_without_force(call, made_run, table, tmp_path):
    out = tmp_path / "a.csv"
    out.write_text("mine")
    refused = call("predict", made_run, table, "-o", out)
    assert refused.code == 2
    assert "exists already" in refused.err
    assert out.read_text() == "mine"
    assert call("predict", made_run, table, "-o", out, "--force").code == 0
    assert read_csv(out)[0] == ["PM2.5", "O3"]


def test_table_is_never_overwritten(call, made_run, tmp_path):
    path = write_features(tmp_path / "new.xlsx", [[1.1, "a", 20]])
    before = path.read_bytes()
    result = call("predict", made_run, path, "-o", path, "--force")
    assert result.code == 2
    assert "it is the table to predict from" in result.err
    assert path.read_bytes() == before


def test_missing_feature_is_an_error_by_default(call, made_run, tmp_path):
    path = write_features(tmp_path / "new.xlsx", [[1.1, "a", 20], [None, "b", 45]])
    result = call("predict", made_run, path, "-o", tmp_path / "a.csv")
    assert result.code == 2
    assert "column 'CO', row 3: the first of 1 missing values" in result.err
    assert not (tmp_path / "a.csv").exists()


def test_missing_column_names_what_is_there(call, made_run, tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["SO 2", "CO"])
    book.active.append([1, 2])
    book.save(tmp_path / "new.xlsx")
    result = call("predict", made_run, tmp_path / "new.xlsx", "-o", tmp_path / "a.csv")
    assert result.code == 2
    assert "'SO2' (did you mean 'SO 2'?)" in result.err


@pytest.mark.parametrize("missing", ["mean", "drop"])
def test_missing_features_are_treated_as_in_the_run(call, table, tmp_path, untrained, missing):
    folder, coded = tmp_path / "run", ["--missing", missing, "--missing-values", "-999"]
    assert call("fit", table, *NAMES, *coded, "--out", folder).code == 0
    x = [[1.1, "a", 20], [None, "b", 45], [-999, "c", 45], [0.4, "d", 45]]
    path = write_features(tmp_path / "new.xlsx", x)
    for name in ("a.csv", "a.xlsx"):
        said = call("predict", folder, path, "-o", tmp_path / name)
        assert said.code == 0
        assert ("2 of 4 rows have a missing feature" in said.err) == (missing == "drop")
    _, values = read_csv(tmp_path / "a.csv")
    rows = list(openpyxl.load_workbook(tmp_path / "a.xlsx").active.iter_rows(values_only=True))
    assert values.shape == (4, 2)
    run = load_run(folder)
    if missing == "drop":
        assert np.isnan(values[1:3]).all()
        assert rows[2] == rows[3] == (None, None, "missing feature: CO")
        assert notes_of(tmp_path / "a.csv")[:3] == ["", *["missing feature: CO"] * 2]
        assert np.isfinite(values[[0, 3]]).all()
    else:
        filled = np.array([[45.0, run.dataset.fill[1]]])
        np.testing.assert_array_equal(values[1:3], run.predict(np.repeat(filled, 2, axis=0)))


def test_failure_while_writing_leaves_nothing(call, made_run, table, tmp_path, monkeypatch):
    def half(path, header, values):
        Path(path).write_text("PM2.5")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("jaxmtl.prediction.records.write_csv", half)
    result = call("predict", made_run, table, "-o", tmp_path / "a.csv")
    assert result.code == 2
    assert "cannot be written (the disk is full)" in result.err
    assert list(tmp_path.iterdir()) == []


def test_rows_that_are_no_data_stay_blank_lines(call, made_run, tmp_path):
    x = [
        [1.1, "a", 20],
        [],
        [0.4, "b", 45],
        ["", "hidden: no", ""],
        [1.9, "c", 7],
        [3.4, "Sum", 72],
    ]
    path = write_features(tmp_path / "new.xlsx", x)
    for name in ("a.csv", "a.xlsx"):
        said = call("predict", made_run, path, "-o", tmp_path / name)
        assert said.out == f"3 rows predicted, written to {tmp_path / name}\n"
        assert [line.split(": ", 2)[0] for line in said.err.splitlines()] == ["note"] * 3
        assert "row 3: blank, so left out" in said.err
        assert "row 7: its numbers ('Sum') sum up other rows" in said.err
        assert "missing feature" not in said.err
    _, values = read_csv(tmp_path / "a.csv")
    features = np.array([[20, 1.1], [45, 0.4], [7, 1.9]])
    np.testing.assert_array_equal(values[[0, 2, 4]], load_run(made_run).predict(features))
    assert np.isnan(values[[1, 3, 5]]).all()
    rows = list(openpyxl.load_workbook(tmp_path / "a.xlsx").active.iter_rows(values_only=True))
    assert [row[0] is None for row in rows[1:6]] == [False, True, False, True, False]


def test_tables_are_read_as_in_the_run(call, tmp_path, untrained):
    lines = ["made in 2021;", "x;@gas;=y;-z", *(f"{i},5;{i},25;1.{i:03},5;{i}" for i in range(10))]
    table = tmp_path / "a.csv"
    table.write_text("\n".join(["#;;", *lines]), encoding="utf-8")
    named = ["--features", "x,@gas", "--targets", "=y,-z", "--missing-values", "x=2.5,=y=7"]
    options = ["--header-row", "3", "--decimal", ",", "--missing", "drop", "--scaling", "none"]
    folder = tmp_path / "run"
    made = call("fit", "--preset", "study", table, *named, *options, "--out", folder)
    assert made.code == 0
    assert call("fit", "--preset", "study", table, *named, "--out", tmp_path / "b").code == 2
    run = load_run(folder)
    assert run.reading[1:5] == (("x=2.5", "=y=7"), ",", None, 3)
    assert run.metrics["rows"] == {"train": 7, "validation": 0, "test": 2}
    for name in ("o.csv", "o.xlsx"):
        said = call("predict", folder, table, "-o", tmp_path / name)
        assert said.code == 0
        assert "1 of 10 rows have a missing feature" in said.err
    # What a spreadsheet would take for a formula is a text.
    assert read_csv(tmp_path / "o.csv")[0] == ["'=y", "'-z"]
    cells = openpyxl.load_workbook(tmp_path / "o.xlsx").active[1]
    named = ("=y", "-z", "note")
    assert [(cell.value, cell.data_type) for cell in cells] == [(name, "s") for name in named]
    # Our own names are found again.
    given = ["--features", "=y", "--targets", "-z", "--missing", "drop", "--out", tmp_path / "c"]
    assert call("fit", "--preset", "study", tmp_path / "o.csv", *given).code == 0
    other = tmp_path / "other.csv"
    other.write_text("x;@gas\n1,5;2\n", encoding="utf-8")
    assert "header in row 3" in call("predict", folder, other, "-o", tmp_path / "p.csv").err
    told = call("predict", folder, other, "-o", tmp_path / "p.csv", "--header-row", "1")
    assert told.code == 0


def test_notes_of_a_table_are_kept_with_the_run(call, make_table, tmp_path, untrained):
    path = make_table()
    book = openpyxl.load_workbook(path)
    book["days"].append(["Note: by hand"])
    book["days"].row_dimensions[5].hidden = True
    book.save(path)
    said = call("fit", path, *NAMES, "--out", tmp_path / "run").err
    notes = load_run(tmp_path / "run").config["notes"]
    assert len(notes) == 2
    assert all(f"note: {note}" in said for note in notes)
    shown = call("inspect", tmp_path / "run").out
    assert all(f"  note     {note}" in shown for note in notes)
    seen = call("fit", path, *NAMES, "--visible-rows", "--out", tmp_path / "seen")
    assert "row 5: hidden, so left out" in seen.err
    assert load_run(tmp_path / "seen").reading.visible_rows


def test_rows_outside_the_training_rows_are_flagged(call, made_run, tmp_path):
    low, high = load_run(made_run).dataset.feature_range
    inside, far = (low + high) / 2, high + 4 * (high - low)
    rows = [[inside[1], "a", inside[0]], [far[1], "b", inside[0]], [low[1], "c", high[0]]]
    path = write_features(tmp_path / "new.xlsx", rows)
    for name in ("a.csv", "a.xlsx"):
        said = call("predict", made_run, path, "-o", tmp_path / name)
        assert said.code == 0
        assert "1 of 3 rows hold values outside those of the training rows" in said.err
        assert f"CO in 1 row (as far as {far[1]:.4g}, trained on {low[1]:.4g} to" in said.err
    assert notes_of(tmp_path / "a.csv") == ["", "outside the training rows: CO", ""]
    book = openpyxl.load_workbook(tmp_path / "a.xlsx").active
    assert [row[2].value for row in book] == ["note", None, "outside the training rows: CO", None]


def test_predictions_that_are_not_finite_are_counted_apart(call, own_run, tmp_path):
    run = load_run(own_run)
    params = jax.tree.map(lambda leaf: leaf * 0 + 3e38, run.params)
    model = dataclasses.replace(run.predictor.models[0], params=params)
    spec = dataclasses.replace(model.network, output_activation=None)
    model = dataclasses.replace(model, network=spec)
    changed = dataclasses.replace(
        run.predictor, models=(model,), reading=run.reading._replace(missing_features="drop")
    )
    save_predictor(own_run, changed)
    fields = json.loads((own_run / "config.json").read_text(encoding="utf-8"))
    fields["network"]["output_activation"] = None
    (own_run / "config.json").write_text(json.dumps(fields), encoding="utf-8")
    path = write_features(tmp_path / "new.xlsx", [[1.1, "a", 20], [None, "b", 20]])
    said = call("predict", own_run, path, "-o", tmp_path / "a.csv")
    assert said.code == 0
    assert "1 of 2 rows have a missing feature" in said.err
    assert "1 of 2 rows have a prediction that is not finite" in said.err
    assert notes_of(tmp_path / "a.csv") == ["prediction is not finite", "missing feature: CO"]


def test_model_of_numbers_that_are_not_finite_is_refused(call, own_run, table, tmp_path):
    predictor = load_run(own_run).predictor
    params = jax.tree.map(lambda leaf: leaf * np.nan, predictor.models[0].params)
    broken = dataclasses.replace(predictor.models[0], params=params)
    broken = dataclasses.replace(predictor, models=(broken,))
    with pytest.raises(ValueError, match="model 'study': expected finite numbers, got others in"):
        broken.predict(np.ones((1, 2)))
    save_predictor(own_run, broken)
    for command in (["inspect", own_run], ["predict", own_run, table, "-o", tmp_path / "a.csv"]):
        said = call(*command)
        assert said.code == 2
        assert "expected finite numbers, got nan" in said.err
        assert said.err.count("\n") == 1


def test_folder_that_does_not_know_its_range_says_nothing(call, own_run, tmp_path):
    predictor = load_run(own_run).predictor
    coding = dataclasses.replace(predictor.coding, feature_range=None)
    save_predictor(own_run, dataclasses.replace(predictor, coding=coding))
    path = write_features(tmp_path / "new.xlsx", [[1e4, "a", -20]])
    said = call("predict", own_run, path, "-o", tmp_path / "a.csv")
    assert (said.code, said.err) == (0, "")
    assert read_csv(tmp_path / "a.csv")[1].shape == (1, 2)


def test_a_run_of_the_study_repeats_no_column(call, made_run, table, tmp_path):
    refused = call("predict", made_run, table, "-o", tmp_path / "a.csv", "--keep", "SO2")
    assert refused.code == 2
    assert "--keep: " in refused.err
    assert "is a run of the study, which repeats no column; leave it out" in refused.err

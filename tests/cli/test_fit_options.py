"""Options of `jaxmtl fit` that change what is read and trained."""

from pathlib import Path

import jax
import numpy as np
import openpyxl
import optax
import pytest

from jaxmtl import STUDY_PHASES, HardSharing, Phase
from jaxmtl.report import load_run

SHORT = ["--phases", "4,1,2;2", "--hard-epochs", "3", "--quiet"]  # as in the other tests
NAMES = ["--preset", "study", "--features", "SO2,CO", "--targets", "PM2.5,O3"]


def edit(path: Path, cells: dict[str, object]) -> Path:
    book = openpyxl.load_workbook(path)
    for place, value in cells.items():
        book.active[place] = value
    book.save(path)
    return path


def rows_of(folder: Path) -> dict[str, int]:
    return load_run(folder).metrics["rows"]


def test_default_is_the_study(call, table, tmp_path, untrained):
    assert call("fit", table, *NAMES, "--out", tmp_path / "run").code == 0
    adaptive, hard = untrained
    model = HardSharing(shared=(4,), nodes=3, towers=(), outputs=(1, 1), activation="sigmoid")
    assert adaptive["model"] == hard["model"] == model
    assert model.initializer == "torch_linear"
    assert adaptive["phases"] == STUDY_PHASES
    assert (hard["epochs"], hard["learning_rate"]) == (480, 5e-3)
    for name, value in {"optimizer": optax.adam, "batch_size": 1, "shuffle": False}.items():
        assert adaptive[name] == hard[name] == value
    assert adaptive["seed"] == hard["seed"] == jax.random.key(0)
    assert adaptive["rule"] == "nonnegative"
    assert (adaptive["zeros"], adaptive["transplant"]) == ("reset", "fresh")


def test_options_reach_the_training(call, table, tmp_path, untrained):
    options = ["--shared", "5,4", "--nodes", 2, "--towers", "3", "--activation", "tanh"]
    options += ["--optimizer", "rmsprop", "--batch-size", 8, "--shuffle", "--seed", 2**32 - 1]
    options += ["--phases", "3,1,2,0.01;2", "--rule", "strict", "--zeros", "hold"]
    options += ["--transplant", "copy", "--scaling", "standard"]
    folder = tmp_path / "run"
    assert call("fit", table, *NAMES, *options, "--out", folder).code == 0
    adaptive, hard = untrained
    model = adaptive["model"]
    assert (model.shared, model.nodes, model.towers) == ((5, 4), 2, (3,))
    # Standardised targets go beyond 0..1, where no sigmoid does.
    assert (model.activation, model.output_activation) == ("tanh", "identity")
    assert adaptive["phases"] == (Phase(3, 1, 2, 0.01), Phase(2))
    assert (hard["epochs"], hard["learning_rate"]) == (5, 0.01)
    for name, value in {"optimizer": optax.rmsprop, "batch_size": 8, "shuffle": True}.items():
        assert adaptive[name] == hard[name] == value
    assert adaptive["seed"] == jax.random.key(2**32 - 1)
    assert adaptive["rule"] == "strict"
    assert (adaptive["zeros"], adaptive["transplant"]) == ("hold", "copy")
    settings = load_run(folder).config["settings"]
    assert (settings["seed"], settings["rule"]) == (2**32 - 1, "strict")
    assert settings["output_activation"] == "identity"


def test_built_in_data_goes_through_a_workbook(call, tmp_path, untrained):
    folder = tmp_path / "run"
    assert call("fit", "--out", folder).code == 0
    sheet = openpyxl.load_workbook(folder / "air_quality.xlsx").active
    assert "PM2.5" in [cell.value for cell in sheet[1]]
    run = load_run(folder)
    assert run.dataset.features == ("SO2", "CO", "NO2", "PM10")
    assert run.dataset.targets == ("PM2.5", "O3_8h")
    assert run.config["source"].startswith("file air_quality.xlsx (built-in data)")
    assert len(untrained[0]["data"].train.x) == 1169


def test_missing_features_and_targets_follow_one_option(call, make_table, tmp_path, untrained):
    path = edit(make_table(), {"B5": 0, "C6": -999, "D7": None, "E8": "0"})
    args = ("fit", path, *NAMES, "--missing-values", "0,-999")
    assert "the first of 2 missing" in call(*args, "--out", tmp_path / "a").err
    assert not (tmp_path / "a").exists()
    for options, rows in {
        ("--missing", "drop"): 36,
        ("--missing", "mean"): 40,
        ("--missing", "drop", "--missing-targets", "mask"): 38,
    }.items():
        folder = tmp_path / "".join(options)
        assert call(*args, *options, "--out", folder).code == 0
        assert sum(rows_of(folder).values()) == rows
        assert load_run(folder).reading[:2] == (options[1], ("0", "-999"))


def test_masked_targets_have_no_errors_where_none_is_known(call, make_table, tmp_path, untrained):
    path = edit(make_table(), {f"E{row}": None for row in range(2, 42)} | {"E3": 100, "E4": 90})
    args = ("--missing-targets", "mask", "--split", "chronological", "--out", tmp_path / "run")
    assert call("fit", path, *NAMES, *args).code == 0
    metrics = load_run(tmp_path / "run").metrics
    assert metrics["errors"]["adaptive"]["test"]["rmse"]["O3"] is None
    assert metrics["ratio"]["test"]["by_task"]["O3"] is None
    assert metrics["errors"]["adaptive"]["train"]["rmse"]["O3"] > 0
    assert metrics["ratio"]["test"]["of_means"] == 1
    cells = [line.split()[-3:] for line in call("inspect", tmp_path / "run").out.splitlines()]
    assert ["-", "-", "-"] in cells


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--test", "0.25", "--validation", "0.25"], (20, 10, 10)),
        (["--test", "0"], (40, 0, 0)),
        (["--test", "0", "--validation", "0.2"], (32, 8, 0)),
        (["--split", "chronological", "--gap", "3"], (29, 0, 8)),
    ],
)
def test_splits(call, table, tmp_path, untrained, options, expected):
    folder = tmp_path / "run"
    assert call("fit", table, *NAMES, *options, "--out", folder).code == 0
    assert tuple(rows_of(folder).values()) == expected
    shown = call("inspect", folder).out
    first = "test" if expected[2] else "validation" if expected[1] else "training"
    assert f"Errors on the {expected[2] or expected[1] or expected[0]} {first} rows" in shown
    predictions = (folder / "predictions.csv").read_text(encoding="utf-8-sig").splitlines()
    assert len(predictions) == 1 + expected[2]


def test_split_by_a_column(call, make_table, tmp_path, untrained):
    marks = {f"F{row}": "test" if row % 4 == 0 else "Train" for row in range(2, 42)}
    path = edit(make_table(), {"F1": "use", **marks})
    args = ("--split-column", "use", "--out", tmp_path / "run")
    assert call("fit", path, *NAMES, *args).code == 0
    assert rows_of(tmp_path / "run") == {"train": 30, "validation": 0, "test": 10}
    assert load_run(tmp_path / "run").config["settings"]["split"] == "column"


def test_sheet_by_name_or_number(call, make_table, tmp_path, untrained):
    book = openpyxl.load_workbook(make_table())
    book.copy_worksheet(book["days"]).title = "2021"
    book.create_sheet("empty", 0)
    book.save(tmp_path / "three.xlsx")
    for sheet, title in {"days": "days", "1": "days", "2": "2021", "2021": "2021"}.items():
        args = ("--sheet", sheet, "--out", tmp_path / sheet)
        assert call("fit", tmp_path / "three.xlsx", *NAMES, *args).code == 0
        assert load_run(tmp_path / sheet).config["source"].endswith(f"sheet '{title}'")


def test_scale_on_all_rows(call, table, tmp_path, untrained):
    folder = tmp_path / "run"
    assert call("fit", table, *NAMES, "--scale-on", "all", "--out", folder).code == 0
    sheet = openpyxl.load_workbook(table).active
    column = [sheet.cell(row, 2).value for row in range(2, 42)]
    scaler = load_run(folder).dataset.feature_scaler
    np.testing.assert_allclose(scaler.offset[0], min(column))
    np.testing.assert_allclose(scaler.scale[0], max(column) - min(column))


def test_constant_column_is_a_note_unless_quiet(call, make_table, tmp_path, untrained):
    path = edit(make_table(), {f"B{row}": 7 for row in range(2, 42)})
    noted = call("fit", path, *NAMES, "--out", tmp_path / "a")
    assert noted.code == 0
    assert noted.err.startswith("note: file")
    assert "column 'SO2'" in noted.err
    assert len(noted.err.splitlines()) == 1
    assert call("fit", path, *NAMES, "--out", tmp_path / "b", "--quiet") == (0, "", "")


def test_one_task(call, table, tmp_path, untrained):
    args = ("--features", "SO2", "--targets", "O3", "--phases", "2,1,1;1")
    assert call("fit", "--preset", "study", table, *args, "--out", tmp_path / "run").code == 0
    said = call("inspect", tmp_path / "run").out
    assert "no node split" in said
    assert "1 task\n" in said
    assert "mean of tasks" not in said


@pytest.mark.slow
def test_chinese_headers(call, make_table, tmp_path):
    names = ("二氧化硫", "一氧化碳", "细颗粒物", "臭氧, 8小时")
    path = make_table(names)
    args = [
        "--features",
        "二氧化硫,一氧化碳",
        "--targets",
        '细颗粒物,"臭氧, 8小时"',
        "--phases",
        "1",
    ]
    folder = tmp_path / "气体"
    assert call("fit", "--preset", "study", path, *args, *SHORT, "--out", folder) == (
        0,
        "",
        "",
    )  # no missing glyphs
    assert load_run(folder).dataset.targets == names[2:]
    assert "细颗粒物" in call("inspect", folder).out
    out = tmp_path / "预测.csv"
    assert call("predict", folder, path, "-o", out).code == 0
    # Excel takes a .csv without this mark for one in the code page of the country.
    assert out.read_bytes().startswith(b"\xef\xbb\xbf")
    assert out.read_text(encoding="utf-8-sig").splitlines()[0] == '细颗粒物,"臭氧, 8小时"'


def test_real_workbooks(call, tmp_path, untrained):
    shared = Path(__file__).resolve().parents[3] / "shared" / "data"
    if not shared.is_dir():
        pytest.skip("no real workbooks beside the project")
    names = ["--features", "SO2,CO,NO2,PM10", "--targets", "PM2.5,O3_8h", "--quiet"]
    path = shared / "nanjing_2013_2017.xlsx"
    assert call("fit", "--preset", "study", path, *names, "--out", tmp_path / "n").code == 0
    path = shared / "tianjin_2014_2022.xlsx"
    missing = ["--missing-values", "0", "--missing", "drop", "--out", tmp_path / "t"]
    assert call("fit", "--preset", "study", path, *names, *missing).code == 0
    assert sum(rows_of(tmp_path / "t").values()) == 3026

"""Bad input is one sentence on stderr, exit code 2, no traceback, and nothing written."""

import os
from pathlib import Path

import pytest

NAMES = ["--preset", "study", "--features", "SO2,CO", "--targets", "PM2.5,O3"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def check(result, tmp_path: Path, *parts: str, written: tuple[str, ...] = ()) -> None:
    assert result.code == 2
    assert result.out == ""
    *notes, error = result.err.splitlines()
    assert error.startswith("jaxmtl: ")
    assert all(note.startswith("note: ") for note in notes)
    for part in parts:
        assert part in result.err
    assert sorted(os.listdir(tmp_path)) == sorted(written)


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (["fti"], ["No such command 'fti'"]),
        (["fit", "--nodse", "3"], ["No such option", "--nodes"]),
        (["fit", "--seed", "x"], ["--seed: expected a whole number from 0 to 4294967295, got 'x'"]),
        (["fit", "--seed", "-1"], ["--seed: expected at least 0, got -1"]),
        (["fit", "--seed", "99999999999"], ["--seed: expected at most 4294967295"]),
        (
            ["fit", "--preset", "best"],
            ["--preset: expected one of study, table, quick, got 'best'"],
        ),
        (["fit", "--missing", "mask"], ["--missing: expected one of error, drop, mean"]),
        (["fit", "--missing-targets", "x"], ["--missing-targets: expected one of error"]),
        (["fit", "--scaling", "x"], ["--scaling: expected one of minmax, standard, none"]),
        (["fit", "--scale-on", "x"], ["--scale-on: expected one of train, all"]),
        (["fit", "--split", "x"], ["--split: expected one of random, chronological, column"]),
        (["fit", "--split", "column"], ["--split-column NAME"]),
        (["fit", "--split", "random", "--split-column", "a"], ["--split column"]),
        (["fit", "--gap", "2"], ["--gap: expected with --split chronological"]),
        (["fit", "--gap", "-1"], ["--gap: expected at least 0"]),
        (["fit", "--test", "1.5"], ["--test: expected below 1", "got 1.5"]),
        (["fit", "--validation", "-0.1"], ["--validation: expected at least 0, got -0.1"]),
        (["fit", "--test", "0.6", "--validation", "0.6"], ["leave rows to train on"]),
        (["fit", "--optimizer", "lion"], ["--optimizer: expected one of adam"]),
        (["fit", "--batch-size", "0"], ["--batch-size: expected at least 1"]),
        (["fit", "--nodes", "0"], ["--nodes: expected at least 1"]),
        (["fit", "--hard-epochs", "0"], ["--hard-epochs: expected at least 1"]),
        (["fit", "--shared", "4,x"], ["--shared: expected sizes of layers", "'4,x'"]),
        (["fit", "--towers", "0"], ["--towers: expected sizes of layers"]),
        (["fit", "--activation", "x"], ["activation: expected one of 'sigmoid'"]),
        (["fit", "--rule", "x"], ["--rule: expected one of nonnegative, strict"]),
        (["fit", "--phases", ""], ["--phases, phase 1: expected numbers"]),
        (["fit", "--phases", "3,1,2;x"], ["--phases, phase 2: expected numbers", "got 'x'"]),
        (["fit", "--phases", "3,1,2,0.1,5"], ["--phases, phase 1: expected numbers"]),
        (["fit", "--phases", "0"], ["--phases, phase 1: expected at least 1 epoch"]),
        (["fit", "--phases", "3,1,0"], ["--phases, phase 1: expected a threshold of at least 1"]),
        (["fit", "--phases", "3,,,-1"], ["--phases, phase 1: expected a finite learning rate"]),
        (["fit", "--features", ","], ["--features: expected names of columns of the built-in"]),
        (["fit", "--features", "SO2,SO2"], ["air_quality.xlsx (built-in data)", "named twice"]),
        (["fit", "--features", "CO", "--targets", "CO"], ["as a feature and as a target"]),
        (["fit", "--sheet", "x"], ["no sheet 'x'", "'Sheet1'"]),
        (["fit", "--config", "nowhere"], ["file nowhere: there is no such file"]),
        (
            ["fit", "no.xlsx"],
            ["--targets: expected with --preset table, got none; name the columns to predict"],
        ),
        (
            ["fit", "--preset", "study", "no.xlsx", "--features", "A"],
            ["--targets: expected names of columns"],
        ),
        (["fit", "no.xlsx", *NAMES[2:]], ["file no.xlsx: there is no such file"]),
        (["fit", "no.xlsx", *NAMES], ["file no.xlsx: there is no such file"]),
        (["predict"], ["Missing argument"]),
        (["predict", "nowhere", "a.csv", "-o", "b.csv"], ["folder nowhere: there is no such"]),
        (["predict", "nowhere", "a.csv", "-o", "b.txt"], ["ends in .xlsx or .csv, got .txt"]),
        (["predict", "nowhere", "a.csv", "-o", "b"], ["got no ending"]),
        (["predict", "nowhere", "a.csv", "-o", "."], ["no ending"]),
        (["inspect"], ["Missing argument 'DIR'"]),
        (["inspect", "nowhere"], ["folder nowhere: there is no such folder; check the path"]),
        (["inspect", "."], ["expected the folder of a run, got one without config.json"]),
    ],
)
def test_options_and_paths(call, tmp_path, args, parts):
    check(call(*args), tmp_path, *parts)


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        ([*NAMES[:2], "--features", "SO2,COO", "--targets", "O3"], ["'COO' (did you mean 'CO'?)"]),
        (
            [*NAMES[:2], "--features", "day,CO", "--targets", "O3"],
            ["column 'day'", "row 2", "got the text"],
        ),
        ([*NAMES, "--sheet", "nights"], ["no sheet 'nights'", "'days'"]),
        ([*NAMES, "--sheet", "3"], ["no sheet 3"]),
        ([*NAMES, "--split-column", "day"], ["column 'day', row 2: expected 'train'"]),
        ([*NAMES, "--test", "0.001"], ["expected at least one row for the test split"]),
    ],
)
def test_tables(call, table, tmp_path, args, parts):
    check(call("fit", table, *args), tmp_path, str(table), *parts)


def test_table_that_is_no_workbook(call, tmp_path):
    Path("a.xlsx").write_bytes(b"not a workbook")
    check(call("fit", "a.xlsx", *NAMES), tmp_path, "not an Excel workbook", written=("a.xlsx",))
    result = call("fit", "a.xlsx", *NAMES, "--sheet", "1")
    check(result, tmp_path, "file a.xlsx", written=("a.xlsx",))


@pytest.mark.skipif(os.name == "nt", reason="names are no bytes there")
@pytest.mark.parametrize("command", ["fit", "compare"])
def test_names_that_no_record_can_keep_are_refused_before_any_work(call, tmp_path, command):
    names = NAMES if command == "fit" else NAMES[2:]  # it has no presets
    done = call(command, os.fsdecode(b"t\xff.csv"), *names, "--out", "run")
    check(done, tmp_path, "TABLE: expected a path in UTF-8", "rename the file")


def test_out_that_is_a_file(call, tmp_path):
    Path("run").write_text("mine")
    for args in (["--out", "run"], ["--out", "run", "--force"], ["--out", "run/a"]):
        check(call("fit", *args), tmp_path, "run: ", written=("run",))
    assert Path("run").read_text() == "mine"


def test_settings_of_another_program(call, tmp_path):
    Path("config.json").write_text("{}")
    parts = ("expected JSON written by jaxmtl in format 1, got format None",)
    check(call("fit", "--config", "config.json"), tmp_path, *parts, written=("config.json",))
    Path("config.json").write_text("{")
    parts = ("expected JSON written by jaxmtl, got a damaged or other file",)
    check(call("fit", "--config", "config.json"), tmp_path, *parts, written=("config.json",))


def test_run_saved_without_settings_cannot_be_repeated(call, tmp_path):
    Path("config.json").write_text('{"format": 1, "settings": null}')
    parts = ("expected the settings of 'jaxmtl fit', got none",)
    check(call("fit", "--config", "config.json"), tmp_path, *parts, written=("config.json",))


@pytest.mark.parametrize("name", ["config.json", "metrics.json", "model.npz", "events.csv"])
@pytest.mark.parametrize("damage", ["missing", "cut", "other"])
def test_damaged_run_folder(call, own_run, table, tmp_path, name, damage):
    path = own_run / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"{}")
    if (name, damage) == ("events.csv", "cut"):
        path.write_bytes(content[:20])
    part = "got one without" if damage == "missing" else name
    check(call("inspect", own_run), tmp_path, part, written=("own",))
    check(call("predict", own_run, table, "-o", "a.csv"), tmp_path, part, written=("own",))


def test_files_that_do_not_belong_together(call, own_run, tmp_path):
    path = own_run / "metrics.json"
    whole = path.read_text(encoding="utf-8")
    path.write_text('{"format": 1, "runs": {}}')
    said = ("metrics.json", "Object missing required field")
    check(call("inspect", own_run), tmp_path, *said, written=("own",))
    path.write_text(whole.replace('"PM2.5"', '"PM10"'), encoding="utf-8")
    check(call("inspect", own_run), tmp_path, "do not belong together", written=("own",))


def test_debug_lets_the_exception_through(monkeypatch):
    from jaxmtl.cli import run
    from jaxmtl.report import RunFolderError

    monkeypatch.setenv("JAXMTL_DEBUG", "1")
    with pytest.raises(RunFolderError, match="no such folder"):
        run(["inspect", "nowhere"])


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (["fit", "a.csv", "Demand"], ["got 'Demand'; columns to predict", "--targets Demand,"]),
        (["fit", "a.csv", "O3", "log CO"], ["--targets 'O3,log CO'", "commas alone between"]),
        (["inspect", "run", "CO"], ["got 'CO'; a column is shown with --feature CO"]),
        (["predict", "run", "a.csv", "b.csv", "-o", "c.csv"], ["but options here, got 'b.csv'"]),
    ],
)
def test_a_name_that_stands_alone_is_told_its_option(call, tmp_path, args, parts):
    check(call(*args), tmp_path, *parts)

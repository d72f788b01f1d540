"""Rows in the order of time, and tables as they are, from the shell."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from jaxmtl.cli.compared import numbers_text
from jaxmtl.report import load_run
from jaxmtl.tasks import number_tasks

NAMES = ["--features", "SO2,CO", "--targets", "PM2.5,O3"]


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(1)
    x = rng.uniform([5, 0.2], [50, 2.0], (40, 2))
    y = np.stack([20 + x @ [1.0, 20.0], 200 - x @ [3.0, 10.0]], axis=1)
    return np.concatenate([x, y], axis=1).round(2)


@pytest.fixture
def make(rows, tmp_path):
    def make(days, gaps=(), header="day"):
        lines = [f"{header},SO2,CO,PM2.5,O3"]
        for number, (day, row) in enumerate(zip(days, rows.tolist(), strict=True)):
            cells = ["" if (number, name) in gaps else str(cell) for name, cell in enumerate(row)]
            lines.append(",".join([str(day), *cells]))
        path = tmp_path / "table.csv"
        path.write_text("\n".join(lines), encoding="utf-8")
        return path

    return make


DAYS = np.arange("2021-03-01", "2021-04-10", dtype="datetime64[D]").astype(str).tolist()


def test_newest_first_is_refused_or_put_in_order(call, make, tmp_path, untrained):
    table, out = make(DAYS[::-1]), tmp_path / "run"
    refused = call(
        "fit", "--preset", "study", table, *NAMES, "--split", "chronological", "--out", out
    )
    assert refused.code == 2
    assert "column 'day', row 3: expected dates that rise from row to row" in refused.err
    assert "--time day" in refused.err
    assert not out.exists()
    done = call("fit", "--preset", "study", table, *NAMES, "--time", "day", "--out", out)
    assert done.code == 0
    note = "tests on the last 8 rows in the order of 'day', from 2021-04-02 to 2021-04-09"
    assert note in done.err
    assert note in done.out
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    assert (config["settings"]["time"], config["settings"]["split"]) == ("day", "chronological")
    lines = (out / "predictions.csv").read_text(encoding="utf-8-sig").splitlines()
    assert [int(line.split(",")[0]) for line in lines[1:]] == list(range(9, 1, -1))
    # The option in place of another one of an older run.
    again = call("fit", "--config", out, "--time", "SO2", "--out", tmp_path / "b", "--quiet")
    assert again.code == 0
    assert load_run(tmp_path / "b").config["settings"]["split"] == "chronological"


def test_files_that_rise_and_files_without_dates(call, make, tmp_path, untrained):
    chronological = [*NAMES, "--split", "chronological"]
    done = call("fit", "--preset", "study", make(DAYS), *chronological, "--out", tmp_path / "a")
    assert "in the order of 'day', from 2021-04-02 to 2021-04-09" in done.err
    done = call(
        "fit",
        "--preset",
        "study",
        make([f"day {i}" for i in range(40)]),
        *chronological,
        "--out",
        tmp_path / "b",
    )
    assert done.code == 0
    assert "tests on the last 8 rows of the file, rows 34 to 41" in done.err


@pytest.mark.parametrize(
    ("days", "options", "said"),
    [
        (["", *DAYS[1:]], ["--time", "day"], "row 2: expected a date or a number .* got nothing"),
        (DAYS, ["--time", "days"], "'days' .did you mean 'day'"),
        (DAYS, ["--time", "day", "--split", "random"], "--time: expected with --split chronolog"),
        (DAYS, ["--time", "day", "--split-column", "day"], "--time: expected with --split chron"),
    ],
)
def test_what_is_no_time_is_one_sentence(call, make, tmp_path, days, options, said):
    result = call(
        "fit", "--preset", "study", make(days), *NAMES, *options, "--out", tmp_path / "run"
    )
    assert result.code == 2
    assert result.err.count("\n") == 1
    assert re.search(said, result.err), result.err


@pytest.mark.parametrize(
    ("how", "said"),
    [("mask", "5 of 40 rows have no known target"), ("drop", "7 of 40 rows have a missing target")],
)
def test_rows_without_labels_are_left_out_before_the_seeds_divide_them(
    call, make, tmp_path, monkeypatch, how, said
):
    given = []

    def stop(datasets, **options):
        given.extend(datasets)
        raise ValueError("seen enough")

    monkeypatch.setattr("jaxmtl.comparison.compare", stop)
    gaps = {(row, name) for row in range(0, 40, 9) for name in (2, 3)} | {(4, 3), (8, 2)}
    options = [*NAMES, "--seeds", "6", "--missing-targets", how, "--out", tmp_path / "out"]
    done = call("compare", make(DAYS, gaps), *options)
    assert done.err.splitlines()[-1].endswith("seen enough")
    assert done.err.count(said) == 1
    counts = {(len(data.splits.train.x), len(data.splits.test.x)) for data in given}
    assert len(given) == 6
    assert len(counts) == 1


def test_a_column_that_needs_another_arm_is_left_out_and_told():
    row = {"arm": "ridge", "O3 rmse": 1.0, "error": 1.0, "mean_rank": 1.0, "splits": 0.0}
    board = pd.DataFrame([row | {"parameters": np.nan, "delta_m": np.nan}])
    made = SimpleNamespace(
        leaderboard=board, tasks=number_tasks(["O3"]), contrasts=pd.DataFrame(), equal_time=None
    )
    said = numbers_text(made)
    assert "delta_m" not in said.splitlines()[0]
    assert "No delta_m, the change against one network a task: it needs the arm indep" in said
    made.leaderboard = board.assign(delta_m=-2.5)
    assert "delta_m" in numbers_text(made).splitlines()[0]
    assert "No delta_m" not in numbers_text(made)


def test_sorted_rows_and_large_units_are_noted(call, rows, tmp_path, untrained, monkeypatch):
    monkeypatch.setattr("jaxmtl.report.pictures.of_a_run.draw_fitted", lambda *args: None)
    sorted_table = tmp_path / "sorted.csv"
    order = np.argsort(rows[:, 2])
    text = [
        f"{i},{','.join(map(str, row))}" for i, row in enumerate((rows * [1, 1, 1, 1e4])[order])
    ]
    sorted_table.write_text("\n".join(["day,SO2,CO,PM2.5,O3", *text]), encoding="utf-8")
    options = [*NAMES, "--scaling", "none", "--seed", "3"]
    done = call("fit", "--preset", "study", sorted_table, *options, "--out", tmp_path / "a")
    assert "neighbouring rows are alike (PM2.5: correlation 0." in done.err
    assert "O3 makes up 100 % of their summed variance" in done.err
    assert "  note     targets are not scaled, and O3" in done.out
    done = call(
        "fit",
        "--preset",
        "study",
        sorted_table,
        *options,
        "--method",
        "ridge",
        "--out",
        tmp_path / "c",
    )
    assert "alike" not in done.err  # nothing is trained in an order
    assert "variance" not in done.err

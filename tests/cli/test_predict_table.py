"""Rows of a table of any kind are predicted: what stands beside them, and what is said of them."""

import csv

import pytest
from made_air import write


def test_predict_keeps_the_rows_as_they_came_and_notes_what_is_odd(learned, call, tmp_path):
    new = write(tmp_path / "new.csv", 12, targets=False, seed=1)
    with new.open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerow(["2021-03-01", "D", "9"])
    done = call("predict", learned / "run", new, "-o", tmp_path / "out.csv")
    assert done.code == 0, done.err
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    ends = ["O3 lower 90 %", "O3 upper 90 %"]
    assert list(rows[0])[:7] == ["day", "city", "CO", "O3", *ends, "level"]
    assert all(float(row[ends[0]]) < float(row["O3"]) < float(row[ends[1]]) for row in rows)
    assert {row["level one of 90 %"] for row in rows} <= {"high", "low", "high or low"}
    assert [row["city"] for row in rows] == [*"ABC" * 4, "D"]
    shares = [float(rows[0][f"level probability of {name}"]) for name in ("high", "low")]
    assert sum(shares) == pytest.approx(1)
    assert "CO missing" in rows[5]["note"]
    assert "city" in rows[-1]["note"]
    assert "CO" in rows[-1]["note"]


def test_columns_to_keep_are_chosen(learned, call, tmp_path):
    command = [
        "predict",
        learned / "run",
        learned / "air.csv",
        "-o",
        tmp_path / "out.csv",
        "--quiet",
    ]
    assert call(*command, "--keep", "city,CO").code == 0
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        header = next(csv.reader(file))
    ends = ["O3 lower 90 %", "O3 upper 90 %"]
    assert header[:7] == ["city", "CO", "O3", *ends, "level", "level one of 90 %"]
    assert header[7] == "level probability of high"
    refused = call(*command, "--keep", "ctiy", "--force")
    assert refused.code == 2
    assert "got 'ctiy' (did you mean 'city'?)" in refused.err


def test_intervals_are_of_the_level_asked_for(learned, call, tmp_path):
    widths = []
    command = ["predict", learned / "run", learned / "air.csv", "--quiet", "-o"]
    for number, options in enumerate(([], ["--confidence", 0.5], ["--joint"])):
        out = tmp_path / f"{number}.csv"
        done = call(*command, out, *options)
        assert done.code == 0, done.err
        level = "50 %" if 0.5 in options else "90 %"
        with out.open(encoding="utf-8-sig", newline="") as file:
            row = next(csv.DictReader(file))
        widths.append(float(row[f"O3 upper {level}"]) - float(row[f"O3 lower {level}"]))
    assert widths[1] < widths[0] < widths[2]
    done = call(*command[:-2], "-o", tmp_path / "3.csv", "--confidence", 0.9999)
    words = "intervals are left empty: a 99.99 % interval needs at least 9999 rows with a known"
    assert f"O3: {words}" in done.err
    refused = call(*command, tmp_path / "4.csv", "--confidence", 90)
    assert refused.code == 2
    assert (
        refused.err
        == "jaxmtl: --confidence: expected a number between 0 and 1, such as 0.9, got 90\n"
    )


def test_rows_from_other_conditions_are_noted(learned, call, tmp_path):
    lines = (learned / "air.csv").read_text("utf-8").splitlines()
    moved = [lines[0], *(line for line in lines[1:] if ",B," in line)]
    (tmp_path / "b.csv").write_text("\n".join(moved), "utf-8")
    command = ("predict", learned / "run", tmp_path / "b.csv", "-o", tmp_path / "out.csv")
    done = call(*command)
    assert done.code == 0, done.err
    (note,) = [line for line in done.err.splitlines() if "other conditions" in line]
    assert note.endswith(
        "predictions rest on other conditions than the model learned from: city (B in 100 % of "
        "rows, in 33 % of those learned from)"
    )
    done = call("predict", learned / "run", learned / "air.csv", "-o", tmp_path / "same.csv")
    assert "other conditions" not in done.err


def test_rows_that_carry_targets_are_scored(learned, call, tmp_path):
    done = call("predict", learned / "run", learned / "air.csv", "-o", tmp_path / "out.xlsx")
    assert done.code == 0, done.err
    assert "O3, 120 rows with a known value: RMSE" in done.out


def test_rows_that_were_learned_from_are_told_from_new_ones(learned, call, tmp_path):
    done = call("predict", learned / "run", learned / "air.csv", "-o", tmp_path / "same.csv")
    assert "has learned from rows of this very table" in done.err
    new = tmp_path / "new.csv"
    new.write_bytes((learned / "air.csv").read_bytes() + b"\n")
    done = call("predict", learned / "run", new, "-o", tmp_path / "out.csv")
    assert done.code == 0, done.err
    assert "learned from" not in done.err

"""A run's own script on tables of every kind: to the byte what ``jaxmtl predict`` writes."""

import csv

import numpy as np
import pytest

from jaxmtl.cli import run
from jaxmtl.data import infer_columns, read_cells
from jaxmtl.plain import table as plain_table
from jaxmtl.plain.main import main
from jaxmtl.prediction.fit_table import Plan, fit_table
from jaxmtl.prediction.predictor import Reading
from jaxmtl.prediction.table_run import write_table_run

READING = {"missing_values": ("-99", "rain=9", "O3=-7"), "decimal": ","}
HEADER = ["when", "CO", "street", "wet", "rain", "O3", "level", "visits"]


def lines_of(rows, seed):
    """Decimal commas, days first, forty streets, gaps and codes of gaps."""
    rng = np.random.default_rng(seed)
    for i in range(rows):
        co, street = rng.normal(), int(rng.integers(40))
        o3, visits = 2 * co + street / 10 + 0.1 * rng.normal(), rng.poisson(np.exp(0.5 * co))
        yield [
            f"{1 + i % 28:02d}.{1 + i % 12:02d}.2021 {i % 24:02d}:30",
            "-99" if i % 9 == 4 else f"{co:.3f}".replace(".", ","),
            "" if i % 13 == 5 else f"street {street}",
            "TRUE" if i % 2 else "false",
            str(i % 4) if i % 7 else "9",
            "" if i % 5 == 3 else f"{o3:.3f}".replace(".", ","),
            ["poor", "fair", "good"][int(np.digitize(co, [-0.5, 0.5]))],
            str(visits),
        ]


def write(path, lines, separator=";", header=HEADER):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=separator).writerows([header, *lines])
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("run")
    table = read_cells(write(place / "air.csv", lines_of(130, 0)), **READING)
    kinds = {"level": "poor<fair<good", "visits": "count"}
    columns = infer_columns(table, targets=["O3", "level", "visits"], kinds=kinds)
    plan = Plan(families=("mean", "linear"), folds=3)
    found = fit_table(table, columns, plan, reading=Reading(**READING))
    coded = {column["name"]: column.get("coded") for column in found.predictor.coding.columns}
    assert coded["street"] == "code"
    write_table_run(place, found, table)
    return place


@pytest.mark.parametrize("joint", [False, True])
def test_rows_of_every_kind(folder, tmp_path, monkeypatch, joint):
    monkeypatch.setattr(plain_table, "PIECE", 16)  # pieces hang on none before them
    lines = list(lines_of(50, 1))
    lines[20][2] = "a street that was not met"
    lines[21][1], lines[22][4] = "1234,5", "-99"
    lines[30:30] = [[], [""] * 8]
    for row in lines[10:14]:
        row[5:] = [""] * 3
    width = 5 if joint else len(HEADER)  # a table to predict need not have the targets
    lines = [row[:width] for row in lines]
    table = write(tmp_path / "new.csv", [*lines, [], []], header=HEADER[:width])
    options = ["--joint"] if joint else []
    written = [tmp_path / "one.csv", tmp_path / "other.csv"]
    command = ["predict", str(folder), str(table), "-o", str(written[0]), "--quiet", *options]
    assert run(command) == 0
    assert main(str(folder), [str(table), "-o", str(written[1]), *options]) == 0
    assert written[0].read_bytes() == written[1].read_bytes()


def test_spelling_of_numbers_is_found_out_as_by_predict(tmp_path):
    text = "sep=\t\nday\tCO\n1\t1,5\n2\t7\n\n3\t2,25\n"
    (tmp_path / "a.tsv").write_text(text, encoding="utf-8")
    found = plain_table.open_table(str(tmp_path / "a.tsv"), ["CO"], {})
    (piece,) = found.pieces()
    assert found.numbers(piece, "CO").tolist() == [1.5, 7.0, 2.25]
    assert (piece.rows, piece.blank) == ([3, 4, 6], [0, 0, 1])
    # Points that may mark thousands are not guessed at.
    (tmp_path / "b.csv").write_text("CO\n3.753\n867\n", encoding="utf-8")
    found = plain_table.open_table(str(tmp_path / "b.csv"), ["CO"], {})
    with pytest.raises(ValueError, match="say which with --thousands point or --decimal"):
        found.numbers(next(found.pieces()), "CO")
    found = plain_table.open_table(str(tmp_path / "b.csv"), ["CO"], {"thousands": "point"})
    assert found.numbers(next(found.pieces()), "CO").tolist() == [3753.0, 867.0]


def test_the_last_rows_are_read_as_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(plain_table, "PIECE", 2)
    (tmp_path / "a.csv").write_text("CO\n1.5\n2\n3.753\n867\n", encoding="utf-8")
    found = plain_table.open_table(str(tmp_path / "a.csv"), ["CO"], {})
    pieces = [found.numbers(piece, "CO").tolist() for piece in found.pieces()]
    assert pieces == [[1.5, 2.0], [3.753, 867.0]]


def test_nothing_is_written_if_a_late_row_is_odd(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(plain_table, "PIECE", 4)
    lines = list(lines_of(20, 2))
    lines[1][1], lines[17][0] = "", "soon"  # a note on an early row does not end the look
    table = write(tmp_path / "new.csv", lines)
    assert main(str(folder), [str(table)]) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert "column 'when', row 19: expected a date or time, got 'soon'" in found.err


def test_the_header_is_in_the_row_of_the_run(tmp_path):
    (tmp_path / "a.csv").write_text("of the ministry\n\nCO\n1\n", encoding="utf-8")
    found = plain_table.open_table(str(tmp_path / "a.csv"), ["CO"], {"header_row": 3})
    assert found.numbers(next(found.pieces()), "CO").tolist() == [1.0]
    with pytest.raises(ValueError, match="expected the header in row 2, as in the run"):
        plain_table.open_table(str(tmp_path / "a.csv"), ["CO"], {"header_row": 2})
    with pytest.raises(ValueError, match="there is no column 'CO'"):
        plain_table.open_table(str(tmp_path / "a.csv"), ["CO"], {})

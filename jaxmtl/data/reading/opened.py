"""What all ways to read a table share: its sheet, its rows, and how its numbers are written."""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from jaxmtl.data._errors import TableError
from jaxmtl.data.reading.body import Body, odd_labels, read_body
from jaxmtl.data.reading.grid import Area, Grid, column_letter
from jaxmtl.data.reading.text_table import read_text_table
from jaxmtl.data.reading.total_words import is_total_word
from jaxmtl.data.reading.totals import find_totals, is_far_above
from jaxmtl.data.reading.workbook import read_workbook
from jaxmtl.plain.cells import MissingValues, Notation, missing_by_column
from jaxmtl.plain.notations import POINTS, notations_of
from jaxmtl.plain.notations import notation_of as notation_of
from jaxmtl.plain.numbers import Column

Decimal = Literal[".", ","]
Thousands = Literal["comma", "point", "space", "apostrophe"]

WORKBOOKS = (".xlsx", ".xlsm", ".xltx", ".xltm")
_TEXTS = (".csv", ".tsv", ".txt")
_MOST_NOTED = 3  # rows of a kind that are noted one by one


class SheetColumns(NamedTuple):
    """The columns of a sheet that are read.

    Attributes:
        grid: the sheet.
        body: its rows.
        columns: their cells by name.
    """

    grid: Grid
    body: Body
    columns: dict[str, Column]


def open_columns(
    path: Path,
    names: Sequence[str],
    *,
    keep: Sequence[str] = (),
    sheet: str | int | None,
    header_row: int | None,
    visible_rows: bool,
    dates: bool = False,
    is_number: Callable[[Any], bool | None] | None = None,
) -> SheetColumns:
    """Reads the cells of columns.

    Args:
        path: the file.
        names: of the columns; of those that have to be there where all are read.
        keep: names of others whose cells are handed on.
        sheet: name or number; None for the first that is not hidden.
        header_row: number of the row of the header; None for the first that is not empty.
        visible_rows: whether hidden rows are left out.
        dates: whether other columns that begin with dates are handed on as well.
        is_number: whether a cell looks like a number, to read all columns; see ``read_body``.

    Raises:
        TableError: the file does not open, or a column is not there.
    """
    try:
        grid = _read_grid(path, sheet, {*names, *keep}, header_row)
        body = read_body(
            grid,
            names,
            keep=keep,
            header_row=header_row,
            visible_rows=visible_rows,
            dates=dates,
            is_number=is_number,
        )
    except OSError as error:
        raise TableError(
            f"file {path}: cannot be read ({error.strerror or error}); check the path, its "
            "permissions, and that no program has locked it"
        ) from error
    rows = [line.number for line in body.lines]
    columns = {
        name: Column(name, place, [line.cells[j] for line in body.lines], rows)
        for j, (name, place) in enumerate(body.columns.items())
    }
    return SheetColumns(grid, body, columns)


def missing_codes(
    path: Path,
    values: Iterable[float | str] | float | str,
    names: Sequence[str],
    *,
    of_run: bool = False,
) -> dict[str, MissingValues]:
    """What stands for a missing value, by the name of the column.

    Args:
        path: the file, for the sentence of an error.
        values: numbers or texts, or "CO=0" for one column.
        names: of the columns in use.
        of_run: whether the values are those of a run, of which not all columns need be here.

    Raises:
        TableError: a value for a column that is not in use.
    """
    codes = missing_by_column(values, names)
    if codes.unknown and not of_run:
        raise TableError(
            f"file {path}: expected a column in use before the equals sign of a missing value, got "
            f"{codes.unknown[0]!r}; choose among {', '.join(names)}"
        )
    return {name: codes.of_column.get(name, codes.everywhere) for name in names}


def ways_of_writing(
    read: SheetColumns,
    names: Iterable[str],
    missing: Mapping[str, MissingValues],
    notation: Notation,
) -> tuple[dict[str, Notation], list[str]]:
    """How the numbers of each column are written, and a note where that was found out.

    Args:
        read: with these columns.
        names: of the columns of numbers.
        missing: what stands for a missing value, by the name of the column.
        notation: as far as the user says.
    """
    columns = [read.columns[name] for name in names]
    return notations_of(columns, read.grid.source, read.grid.separator, missing, notation)


def pointed_notes(source: str, ways: Mapping[str, Notation], notation: Notation) -> list[str]:
    """Says in which columns points were taken for decimal ones after all."""
    pointed = [name for name, way in ways.items() if way != notation]
    if notation is not POINTS or not pointed:
        return []
    return [
        f"{source}, columns {', '.join(pointed)}: points are read as decimal ones, as not "
        "all of them stand before three digits"
    ]


def merged_notes(read: SheetColumns) -> list[str]:
    """Notes of cells merged into one: they hold a value in the first of their rows only."""
    grid, body = read.grid, read.body
    there = {line.number for line in body.lines}

    def counts(area: Area, place: int) -> bool:
        rows = range(max(area.first_row, body.header + 1), min(area.last_row, max(there)) + 1)
        return area.first_column <= place <= area.last_column and len(rows) > 1

    notes = []
    for name, place in body.columns.items():
        areas = [area for area in grid.merged if counts(area, place)]
        if areas:
            first = areas[0]
            notes.append(
                f"{grid.source}, column {name!r} ({column_letter(place)}): rows {first.first_row} "
                f"to {first.last_row} are merged, so that their value counts for the first row only"
            )
    return notes


def without_totals(
    body: Body, source: str, values: Float[np.ndarray, "rows numbers"]
) -> tuple[Bool[np.ndarray, " rows"], list[str]]:
    """Which rows are no totals, and notes on those that are or may be."""
    labels = [line.label for line in body.lines]
    named = np.array([bool(label) and is_total_word(label) for label in labels], bool)
    found = find_totals(named, values, [i for i in odd_labels(body) if not named[i]])
    stay = np.ones(len(labels), bool)
    notes = []
    for place in found.certain:
        stay[place] = False
        called = f" ({labels[place]!r})" if labels[place] else ""
        notes.append(
            f"{source}, row {body.lines[place].number}: its numbers{called} sum up other rows, so "
            "that it is left out"
        )
    for place in found.likely[:_MOST_NOTED]:
        others = np.delete(values, [*found.certain, *found.likely], axis=0)
        # Of numbers and NaN, the number.
        most, least = np.fmax.reduce(others), np.fmin.reduce(others)
        far = bool(((values[place] > most) | (values[place] < least)).any())
        notes.append(
            f"{source}, row {body.lines[place].number}: called {labels[place]!r}"
            + (" and far from the other rows" if far else "")
            + ", but used like them; remove the row if it is no data"
        )
    rows = values[stay]
    for place, at in ((0, 0), (len(labels) - 1, len(rows) - 1)):
        if stay[place] and place not in found.likely and is_far_above(at, rows):
            called = f" ({labels[place]!r})" if labels[place] else ""
            notes.append(
                f"{source}, row {body.lines[place].number}: its numbers{called} are far above "
                "those of all other rows, as those of a total; remove the row if it is no data"
            )
    return stay, notes


def _read_grid(path: Path, sheet: str | int | None, names: set[str], header: int | None) -> Grid:
    ending = path.suffix.lower()
    if path.is_dir():
        raise TableError(f"file {path}: expected a file, got a folder; name a file in it")
    if not path.exists():
        raise TableError(f"file {path}: there is no such file; check the path{_near(path)}")
    if ending in WORKBOOKS:
        return read_workbook(path, sheet)
    if ending in _TEXTS:
        if sheet not in (None, 0):
            raise TableError(
                f"file {path}: expected no sheet for a text table, got {sheet!r}; leave it out"
            )
        return read_text_table(path, names, header)
    advice = "save it as .xlsx" if ending == ".xls" else "save the table in one of these formats"
    raise TableError(
        f"file {path}: expected a file that ends in .xlsx or .csv, got {ending or 'no ending'!r}; "
        f"{advice}"
    )


def _near(path: Path) -> str:
    """A file of nearly that name in the same folder, as a question."""
    folder = path.parent
    names = [p.name for p in folder.iterdir() if p.is_file()] if folder.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.8)
    return f" (did you mean {near[0]!r}?)" if near else ""

"""Reading the feature and target columns of a workbook or text table."""

import difflib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from jaxmtl.data._errors import TableError
from jaxmtl.data.reading.body import Body, odd_labels, read_body, rows_without
from jaxmtl.data.reading.cells import Notation, missing_by_column
from jaxmtl.data.reading.grid import Area, Grid, column_letter
from jaxmtl.data.reading.names import plain_name
from jaxmtl.data.reading.numbers import (
    Column,
    column_notation,
    infer_notation,
    read_numbers,
    refuse_formulas,
)
from jaxmtl.data.reading.text_table import read_text_table
from jaxmtl.data.reading.total_words import is_total_word
from jaxmtl.data.reading.totals import find_totals
from jaxmtl.data.reading.workbook import read_workbook

Decimal = Literal[".", ","]
Thousands = Literal["comma", "point", "space", "apostrophe"]

_WORKBOOKS = (".xlsx", ".xlsm", ".xltx", ".xltm")
_TEXTS = (".csv", ".tsv", ".txt")
_MOST_NOTED = 3  # rows of a kind that are noted one by one


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """The columns of a table that are used, in original units.

    Attributes:
        features: names of the columns of ``x``.
        targets: names of the columns of ``y``; empty for a table to be predicted.
        x: features, NaN where missing.
        y: targets, NaN where missing.
        rows: number of each row in the sheet, where 1 is the sheet's first row.
        source: where it was read, to begin a sentence with: "file x.xlsx, sheet 'Sheet1'".
        kept: further columns by name, with the cells as the file holds them.
        left_out: numbers of the rows below the header that are no data: blank ones between others,
            totals, remarks.
        notes: what the user should know of how it was read.

    Example:
        >>> table = Table(features=("CO",), targets=(), x=np.array([[0.5], [np.nan]]),
        ...               y=np.zeros((2, 0)), rows=np.array([2, 3]), source="file a.csv", kept={})
        >>> table.place("CO", 1)
        "file a.csv, column 'CO', row 3"
    """

    features: tuple[str, ...]
    targets: tuple[str, ...]
    x: Float[np.ndarray, "rows features"]
    y: Float[np.ndarray, "rows targets"]
    rows: Int[np.ndarray, " rows"]
    source: str
    kept: dict[str, np.ndarray]
    left_out: Int[np.ndarray, " left_out"] = field(default_factory=lambda: np.zeros(0, int))
    notes: tuple[str, ...] = ()

    def place(self, column: str, row: int) -> str:
        """How a sentence names the cell of a column in the ``row``-th row, counted from 0."""
        return f"{self.source}, column {column!r}, row {self.rows[row]}"


def read_table(
    path: str | os.PathLike[str],
    *,
    features: Sequence[str],
    targets: Sequence[str] = (),
    sheet: str | int | None = None,
    missing_values: Iterable[float | str] | float | str = (),
    keep: Sequence[str] = (),
    decimal: Decimal | None = None,
    thousands: Thousands | None = None,
    header_row: int | None = None,
    visible_rows: bool = False,
    keep_dates: bool = False,
) -> Table:
    """Reads the feature and target columns of an .xlsx workbook or a .csv.

    The header is the first row that is not empty. Blanks around headers do not count, a line break
    in one counts as a blank, and all other columns are ignored. A number may be stored as text:
    with blanks around it, in full-width characters, and with thousands separators where "1,234.5"
    or "1,234,567" leaves no doubt. A blank cell is missing, and so are "NaN", "NA", "N/A", "#N/A",
    "null" and "none". Rows that are no data (blank ones, totals, remarks) are left out, and
    ``notes`` says so.

    Args:
        path: the file. A .csv may be in UTF-8 or GB18030, separated by comma, semicolon or tab.
        features: names of the columns to predict from.
        targets: names of the columns to be predicted; none to read rows for prediction only.
        sheet: name of the sheet, or its number from 0; None for the first that is not hidden.
        missing_values: numbers or texts that stand for a missing value, such as 0 or -999; in one
            column only, "CO=0".
        keep: names of further columns to hand on as they are, such as a date.
        decimal: "." or "," in numbers that are stored as text; None for a point, or for a comma
            where all cells of a table separated by semicolons or tabs agree with that.
        thousands: "comma", "point", "space" or "apostrophe" between the thousands of such numbers.
        header_row: number of the row of the header in the sheet, from 1.
        visible_rows: whether rows that are hidden, as by a filter, are left out.
        keep_dates: whether columns that begin with dates are handed on as well.

    Returns:
        The table.

    Raises:
        TableError: the file does not open, or a column or cell is not as expected; the sentence
            names file, sheet, column and row.

    Example:
        >>> import tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "air.csv")
        ...     _ = path.write_text("day,CO,PM2.5\\n1,0.4,35\\n2,,71\\n", encoding="utf-8")
        ...     table = read_table(path, features=["CO"], targets=["PM2.5"])
        >>> table.x.tolist(), table.y.tolist(), table.rows.tolist()
        ([[0.4], [nan]], [[35.0], [71.0]], [2, 3])
    """
    path = Path(path)
    features, targets, keep = (_as_names(names) for names in (features, targets, keep))
    _check_names(path, features, targets)
    used = (*features, *targets)
    names = tuple(dict.fromkeys((*used, *keep)))
    codes = missing_by_column(missing_values, used)
    if codes.unknown:
        raise TableError(
            f"file {path}: expected a column in use before the equals sign of a missing value, got "
            f"{codes.unknown[0]!r}; choose among {', '.join(used)}"
        )
    notation = _notation(decimal, thousands)
    try:
        grid = _read_grid(path, sheet, set(names), header_row)
        body = read_body(
            grid,
            used,
            keep=keep,
            header_row=header_row,
            visible_rows=visible_rows,
            dates=keep_dates,
        )
    except OSError as error:
        raise TableError(
            f"file {path}: cannot be read ({error.strerror or error}); check the path, its "
            "permissions, and that no program has locked it"
        ) from error
    columns = {name: _column(body, j, name) for j, name in enumerate(used)}
    handed_on = {name: _kept_column(body, j, name) for j, name in enumerate(body.kept)}
    for column in (*columns.values(), *handed_on.values()):
        refuse_formulas(column, grid.source, computed=grid.computed)
    missing = {name: codes.of_column.get(name, codes.everywhere) for name in used}
    notes = [*grid.notes, *body.notes, *_merged(grid, body)]
    if notation == Notation() and grid.separator in (";", "\t"):
        numbers = (columns[name] for name in used)
        notation, said = infer_notation(numbers, grid.source, missing)
        notes += said
    values = np.empty((len(body.lines), len(used)))
    pointed: list[str] = []
    adapts = thousands == "point" and decimal is None
    for j, name in enumerate(used):
        how = column_notation(columns[name]) if adapts else notation
        values[:, j], said = read_numbers(columns[name], grid.source, missing[name], how)
        notes += said
        if how != notation:
            pointed.append(name)
    if pointed:
        notes.append(
            f"{grid.source}, columns {', '.join(pointed)}: points are read as decimal ones, as not "
            "all of them stand before three digits"
        )
    stay, said = _without_totals(body, grid.source, values)
    numbers = np.array([line.number for line in body.lines], int)
    kept = {name: _as_objects(column.cells)[stay] for name, column in handed_on.items()}
    return Table(
        features=features,
        targets=targets,
        x=values[stay, : len(features)].copy(),
        y=values[stay, len(features) :].copy(),
        rows=numbers[stay],
        source=grid.source,
        kept=kept,
        left_out=rows_without(body.header, body.last, numbers[stay]),
        notes=(*notes, *said),
    )


def _notation(decimal: str | None, thousands: str | None) -> Notation:
    if decimal is None and thousands is not None:
        decimal = "," if thousands == "point" else "."
    if (decimal, thousands) in ((".", "point"), (",", "comma")):
        raise TableError(
            f"decimal: expected another sign than that of the thousands, got {decimal!r} with "
            f"thousands marked by a {thousands}; choose another one"
        )
    return Notation(decimal, thousands)


def _column(body: Body, j: int, name: str) -> Column:
    cells = [line.used[j] for line in body.lines]
    return Column(name, body.columns[name], cells, [line.number for line in body.lines])


def _kept_column(body: Body, j: int, name: str) -> Column:
    cells = [line.kept[j] for line in body.lines]
    return Column(name, body.kept[name], cells, [line.number for line in body.lines])


def _merged(grid: Grid, body: Body) -> list[str]:
    """Cells that are merged into one hold a value in the first of their rows only."""
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


def _without_totals(
    body: Body, source: str, values: Float[np.ndarray, "rows columns"]
) -> tuple[np.ndarray, list[str]]:
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
    return stay, notes


def _as_names(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(plain_name(name) for name in ([names] if isinstance(names, str) else names))


def _check_names(path: Path, features: tuple[str, ...], targets: tuple[str, ...]) -> None:
    if not features:
        raise TableError(f"file {path}: expected at least one feature column, got none; name one")
    for kind, names in (("features", features), ("targets", targets)):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise TableError(
                f"file {path}: the column {twice!r} is named twice among the {kind}; name it once"
            )
    both = next((name for name in features if name in targets), None)
    if both is not None:
        raise TableError(
            f"file {path}: the column {both!r} is named as a feature and as a target, which gives "
            "the answer away; remove it from one of them"
        )


def _read_grid(path: Path, sheet: str | int | None, names: set[str], header: int | None) -> Grid:
    ending = path.suffix.lower()
    if path.is_dir():
        raise TableError(f"file {path}: expected a file, got a folder; name a file in it")
    if not path.exists():
        raise TableError(f"file {path}: there is no such file; check the path{_near(path)}")
    if ending in _WORKBOOKS:
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


def _as_objects(cells: Sequence[Any]) -> np.ndarray:
    objects = np.empty(len(cells), dtype=object)
    objects[:] = cells
    return objects

"""Reading the feature and target columns of a workbook or text table."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxmtl.data._errors import TableError
from jaxmtl.data.reading.body import rows_without
from jaxmtl.data.reading.opened import (
    Decimal,
    Thousands,
    merged_notes,
    missing_codes,
    notation_of,
    open_columns,
    pointed_notes,
    ways_of_writing,
    without_totals,
)
from jaxmtl.plain.names import plain_name
from jaxmtl.plain.numbers import read_numbers, refuse_formulas


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
    missing = missing_codes(path, missing_values, used)
    notation = notation_of(decimal, thousands)
    sheet_columns = open_columns(
        path,
        used,
        keep=keep,
        sheet=sheet,
        header_row=header_row,
        visible_rows=visible_rows,
        dates=keep_dates,
    )
    grid, body, columns = sheet_columns
    for column in columns.values():
        refuse_formulas(column, grid.source, computed=grid.computed)
    ways, said = ways_of_writing(sheet_columns, used, missing, notation)
    notes = [*grid.notes, *body.notes, *merged_notes(sheet_columns), *said]
    values = np.empty((len(body.lines), len(used)))
    for j, name in enumerate(used):
        values[:, j], said = read_numbers(columns[name], grid.source, missing[name], ways[name])
        notes += said
    notes += pointed_notes(grid.source, ways, notation)
    stay, said = without_totals(body, grid.source, values)
    numbers = np.array([line.number for line in body.lines], int)
    kept = {
        name: _as_objects(column.cells)[stay]
        for name, column in columns.items()
        if name in keep or name not in used
    }
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


def _as_objects(cells: Sequence[Any]) -> np.ndarray:
    objects = np.empty(len(cells), dtype=object)
    objects[:] = cells
    return objects

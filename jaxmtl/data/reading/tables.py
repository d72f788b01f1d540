"""Reading the feature and target columns of a workbook or text table."""

import difflib
import os
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxmtl.data._errors import TableError
from jaxmtl.data.reading.cells import CellError, MissingValues, is_blank, read_cell
from jaxmtl.data.reading.grid import Grid, column_letter, without_blank_end
from jaxmtl.data.reading.text_table import read_text_table
from jaxmtl.data.reading.workbook import find_unsaved_formula, read_workbook

_WORKBOOKS = (".xlsx", ".xlsm", ".xltx", ".xltm")
_TEXTS = (".csv", ".tsv", ".txt")


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

    def place(self, column: str, row: int) -> str:
        """How a sentence names the cell of a column in the ``row``-th row, counted from 0."""
        return f"{self.source}, column {column!r}, row {self.rows[row]}"


def read_table(
    path: str | os.PathLike[str],
    *,
    features: Sequence[str],
    targets: Sequence[str] = (),
    sheet: str | int = 0,
    missing_values: Iterable[float | str] | float | str = (),
    keep: Sequence[str] = (),
) -> Table:
    """Reads the feature and target columns of an .xlsx workbook or a .csv.

    The header is the first row that is not empty. Blanks around headers do not count, and all
    other columns are ignored. A number may be stored as text: with blanks around it, in
    full-width characters, and with thousands separators where "1,234.5" or "1,234,567" leaves no
    doubt. A blank cell is missing, and so are "NaN", "NA", "N/A", "#N/A", "null" and "none".

    Args:
        path: the file. A .csv may be in UTF-8 or GB18030, separated by comma, semicolon or tab.
        features: names of the columns to predict from.
        targets: names of the columns to be predicted; none to read rows for prediction only.
        sheet: name of the sheet, or its number from 0.
        missing_values: numbers or texts that stand for a missing value, such as 0 or -999.
        keep: names of further columns to hand on as they are, such as a date.

    Returns:
        The table, with as many rows as the sheet below its header; wholly empty rows at the end
        do not count.

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
    missing = MissingValues.of(missing_values)
    grid = _read_grid(path, sheet, {*features, *targets, *keep})

    header = next(i for i, row in enumerate(grid.cells) if not all(map(is_blank, row)))
    columns = _find_columns(grid, header, (*features, *targets, *keep))
    first = header + 1
    _refuse_unsaved_formulas(path, sheet, grid, first, columns)
    body = without_blank_end(grid.cells[first:])
    if not body:
        raise TableError(f"{grid.source}: the header in row {first} has no rows below it; add rows")
    used = (*features, *targets)
    values = np.empty((len(body), len(used)))
    for j, name in enumerate(used):
        column = columns[name]
        for i, row in enumerate(body):
            try:
                values[i, j] = read_cell(_cell(row, column), missing)
            except CellError as error:
                place = f"column {name!r} ({column_letter(column)}), row {first + i + 1}"
                raise TableError(f"{grid.source}, {place}: {error}") from None
    kept = {name: _as_objects(body, columns[name]) for name in keep}
    return Table(
        features=features,
        targets=targets,
        x=values[:, : len(features)].copy(),
        y=values[:, len(features) :].copy(),
        rows=np.arange(first + 1, first + 1 + len(body)),
        source=grid.source,
        kept=kept,
    )


def _as_names(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name.strip() for name in ([names] if isinstance(names, str) else names))


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


def _read_grid(path: Path, sheet: str | int, names: set[str]) -> Grid:
    ending = path.suffix.lower()
    try:
        if path.is_dir():
            raise TableError(f"file {path}: expected a file, got a folder; name a file in it")
        if not path.exists():
            raise TableError(f"file {path}: there is no such file; check the path{_near(path)}")
        if ending in _WORKBOOKS:
            return read_workbook(path, sheet)
        if ending in _TEXTS:
            if sheet != 0:
                raise TableError(
                    f"file {path}: expected no sheet for a text table, got {sheet!r}; leave it out"
                )
            return read_text_table(path, names)
    except OSError as error:
        raise TableError(
            f"file {path}: cannot be read ({error.strerror or error}); check the path, its "
            "permissions, and that no program has locked it"
        ) from error
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


def _find_columns(grid: Grid, header: int, names: Iterable[str]) -> dict[str, int]:
    """The position of each named column, from 0."""
    found: dict[str, list[int]] = {}
    for column, cell in enumerate(grid.cells[header]):
        if not is_blank(cell):
            found.setdefault(str(cell).strip(), []).append(column)
    unknown = [name for name in dict.fromkeys(names) if name not in found]
    if unknown:
        raise TableError(
            f"{grid.source}, row {header + 1}: " + _describe_unknown(unknown, list(found))
        )
    for name in names:
        if len(found[name]) > 1:
            letters = " and ".join(column_letter(column) for column in found[name])
            raise TableError(
                f"{grid.source}, row {header + 1}: the header {name!r} stands over the columns "
                f"{letters}; rename all but one of them"
            )
    return {name: found[name][0] for name in names}


def _describe_unknown(unknown: list[str], headers: list[str]) -> str:
    """Which columns are not there, and which may have been meant."""
    headers = [h for h in headers if not h.startswith("Unnamed:")]
    offered = {_loosely(h): h for h in headers}
    texts = []
    for name in unknown:
        near = difflib.get_close_matches(_loosely(name), offered, n=1, cutoff=0.6)
        texts.append(f"{name!r}" + (f" (did you mean {offered[near[0]]!r}?)" if near else ""))
    listed = ", ".join(repr(h) for h in headers[:30]) or "none"
    more = f" and {len(headers) - 30} more" if len(headers) > 30 else ""
    missing = "is no column" if len(texts) == 1 else "are no columns"
    return f"there {missing} {', '.join(texts)}; choose among the headers {listed}{more}"


def _loosely(name: str) -> str:
    """A spelling to compare: without case, width, blanks and underscores."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(c for c in folded if not c.isspace() and c != "_")


def _refuse_unsaved_formulas(
    path: Path, sheet: str | int, grid: Grid, first: int, columns: dict[str, int]
) -> None:
    """Formulas that no program computed look like blank cells, or like a table that ends early."""
    # The cells of a text table are texts; None is a cell of a workbook.
    blanks = [
        (first + i, column)
        for i, row in enumerate(grid.cells[first:])
        for column in columns.values()
        if _cell(row, column) is None
    ]
    formula = find_unsaved_formula(path, sheet, blanks) if blanks else None
    if formula is not None:
        row, column, text = formula
        name = next(name for name in columns if columns[name] == column)
        raise TableError(
            f"{grid.source}, column {name!r} ({column_letter(column)}), row {row + 1}: the formula "
            f"{text} has no saved value; open the file in Excel or LibreOffice and save it, so "
            "that it is computed"
        )


def _cell(row: tuple[Any, ...], column: int) -> Any:
    return row[column] if column < len(row) else None


def _as_objects(body: list[tuple[Any, ...]], column: int) -> np.ndarray:
    cells = np.empty(len(body), dtype=object)
    for i, row in enumerate(body):
        cell = _cell(row, column)
        cells[i] = None if is_blank(cell) else cell
    return cells

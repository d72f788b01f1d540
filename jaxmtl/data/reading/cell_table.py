"""All columns of a table as cells: what they are is decided later."""

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxmtl.data._errors import TableError
from jaxmtl.data.reading.body import rows_without
from jaxmtl.data.reading.opened import (
    Decimal,
    SheetColumns,
    Thousands,
    merged_notes,
    missing_codes,
    notation_of,
    open_columns,
    pointed_notes,
    ways_of_writing,
    without_totals,
)
from jaxmtl.data.reading.packed import packed
from jaxmtl.plain.cells import (
    CellError,
    MissingValues,
    Notation,
    is_missing,
    looks_like_number,
    read_cell,
)
from jaxmtl.plain.names import columns_of_run, plain_name
from jaxmtl.plain.numbers import Column, read_numbers, read_plain, refuse_formulas

Made = TypeVar("Made")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CellTable:
    """Columns of a table as the file holds them.

    Attributes:
        columns: by name, in the order of the sheet, with the cells of every row.
        rows: number of each row in the sheet, where 1 is the sheet's first row.
        source: where it was read, to begin a sentence with: "file x.xlsx, sheet 'Sheet1'".
        missing: what stands for a missing value, by the name of the column.
        notations: how numbers in texts are written, by the name of the column.
        left_out: numbers of the rows below the header that are no data: blank ones between others,
            totals, remarks.
        unusable: why a column of the sheet is not among ``columns``, by its name.
        computed: whether some program computed the formulas of the sheet.
        notes: what the user should know of how it was read.
        made: what was found in the cells, so that it is looked for once; not to be changed.

    Example:
        >>> table = table_of_cells({"CO": ["0.5", "n/a"], "city": ["A", "B"]})
        >>> table.numbers("CO").tolist(), table.place("CO", 1), len(table)
        ([0.5, nan], "the table, column 'CO', row 2", 2)
    """

    columns: Mapping[str, Column]
    rows: Int[np.ndarray, " rows"]
    source: str
    missing: Mapping[str, MissingValues]
    notations: Mapping[str, Notation] = dataclasses.field(default_factory=dict)
    left_out: Int[np.ndarray, " left_out"] = dataclasses.field(
        default_factory=lambda: np.zeros(0, int)
    )
    unusable: Mapping[str, str] = dataclasses.field(default_factory=dict)
    computed: bool = True
    notes: tuple[str, ...] = ()
    made: dict[tuple[str, ...], Any] = dataclasses.field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.columns)

    def place(self, column: str, row: int) -> str:
        """How a sentence names the cell of a column in the ``row``-th row, counted from 0."""
        return f"{self.source}, column {column!r}, row {self.rows[row]}"

    def cells(self, name: str) -> Sequence[Any]:
        """The cells of a column as the file holds them, None where blank."""
        return self.columns[name].cells

    def gaps(self, name: str) -> Bool[np.ndarray, " rows"]:
        """Where a column holds nothing, or what stands for that."""
        codes = self.missing[name]
        of_text = functools.cache(functools.partial(is_missing, missing=codes))
        cells = self.cells(name)
        return np.array(
            [of_text(cell) if type(cell) is str else is_missing(cell, codes) for cell in cells],
            bool,
        )

    def once(self, make: Callable[..., Made], name: str, *more: Any) -> Made:
        """``make(self, name, *more)``, which is worked out once."""
        key = (make.__qualname__, name, *map(str, more))
        if key not in self.made:
            self.made[key] = make(self, name, *more)
        return self.made[key]

    def plain(self, name: str) -> Float[np.ndarray, " rows"] | None:
        """The numbers of a column of nothing but plain texts; None for any other."""
        return self.once(_plain, name)

    def numbers(self, name: str) -> Float[np.ndarray, " rows"]:
        """A column as numbers, NaN where missing.

        Raises:
            TableError: names the first cell that is no number.
        """
        return self.numbers_noted(name)[0]

    def numbers_noted(self, name: str) -> tuple[Float[np.ndarray, " rows"], list[str]]:
        """As ``numbers``, and what the user should know of how they were read."""
        return self.once(_numbers_noted, name)

    def notation(self, name: str) -> Notation:
        """How the numbers of a column are written."""
        return self.notations.get(name, Notation())

    def refuse_formulas(self, name: str) -> None:
        """Raises TableError if a formula of the column was never computed."""
        refuse_formulas(self.columns[name], self.source, computed=self.computed)

    def some(self, numbers: Int[np.ndarray, " some"]) -> "CellTable":
        """Some of the rows, by their places from 0."""
        places, rows = np.asarray(numbers).tolist(), self.rows[numbers]
        listed = rows.tolist()
        columns = {
            name: column._replace(cells=[column.cells[i] for i in places], rows=listed)
            for name, column in self.columns.items()
        }
        return dataclasses.replace(self, columns=columns, rows=rows, made={})


def _plain(table: CellTable, name: str) -> Float[np.ndarray, " rows"] | None:
    return read_plain(table.cells(name), table.missing[name], table.notation(name))


def _numbers_noted(table: CellTable, name: str) -> tuple[Float[np.ndarray, " rows"], list[str]]:
    values = table.plain(name)
    if values is not None:
        return values, []
    table.refuse_formulas(name)
    return read_numbers(
        table.columns[name], table.source, table.missing[name], table.notation(name)
    )


def read_cells(
    path: str | os.PathLike[str],
    *,
    names: Sequence[str] | None = None,
    expected: Sequence[str] = (),
    sheet: str | int | None = None,
    missing_values: Iterable[float | str] | float | str = (),
    decimal: Decimal | None = None,
    thousands: Thousands | None = None,
    header_row: int | None = None,
    visible_rows: bool = False,
    of_run: bool = False,
) -> CellTable:
    """Reads all columns of a sheet, or some, as cells; nothing in them is refused yet.

    Sheet, header, rows that are no data, and the spelling of numbers are found as in
    ``read_table``. Where all columns are read, those that hold mostly numbers tell which rows are
    totals, and texts in the others what a row is called.

    Args:
        path: the file.
        names: of the columns; None for all that can be told by their names.
        expected: names that have to be there, such as those of the targets.
        sheet: see ``read_table``.
        missing_values: see ``read_table``.
        decimal: see ``read_table``.
        thousands: see ``read_table``.
        header_row: see ``read_table``.
        visible_rows: see ``read_table``.
        of_run: whether expected columns and missing values are those of a run, which learned from
            the former; the latter may name columns that are not here.

    Returns:
        The cells.

    Raises:
        TableError: the file does not open, or a column is not there.

    Example:
        >>> import tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "air.csv")
        ...     _ = path.write_text("day,CO,level\\n1,0.4,good\\n2,,fair\\n", encoding="utf-8")
        ...     table = read_cells(path)
        >>> table.names, table.cells("level"), table.numbers("CO").tolist()
        (('day', 'CO', 'level'), ['good', 'fair'], [0.4, nan])
    """
    path, notation = Path(path), notation_of(decimal, thousands)
    must = tuple(dict.fromkeys(map(plain_name, (*(names or ()), *expected))))
    wanted = None if names is None else must
    with columns_of_run(empty=True) if of_run else contextlib.nullcontext():
        read = open_columns(
            path,
            must,
            sheet=sheet,
            header_row=header_row,
            visible_rows=visible_rows,
            is_number=functools.partial(looks_like_number, notation=notation),
        )
    grid, body, columns = read
    used = [name for name in columns if wanted is None or name in wanted]
    missing = missing_codes(path, missing_values, tuple(columns), of_run=of_run)
    ways, said = ways_of_writing(read, body.numbers, missing, notation)
    notes = [*grid.notes, *body.notes, *said]
    values, plain = _values(read, missing, ways)
    stay, said = without_totals(body, grid.source, values)
    if not stay.all():
        kept = np.flatnonzero(stay).tolist()
        rows = [body.lines[i].number for i in kept]
        columns = {
            name: column._replace(cells=[column.cells[i] for i in kept], rows=rows)
            for name, column in columns.items()
        }
    numbers = np.array([line.number for line in body.lines], int)[stay]
    return CellTable(
        columns={name: _packed(columns[name]) for name in used},
        rows=numbers,
        source=grid.source,
        missing={name: missing[name] for name in used},
        # A column whose numbers begin far below is written as the others are.
        notations={name: ways.get(name, next(iter(ways.values()), notation)) for name in used},
        left_out=rows_without(body.header, body.last, numbers),
        unusable=body.unusable,
        computed=grid.computed,
        made={
            (_plain.__qualname__, name): one[stay] for name, one in plain.items() if name in used
        },
        notes=(*notes, *merged_notes(read), *pointed_notes(grid.source, ways, notation), *said),
    )


def _packed(column: Column) -> Column:
    return column._replace(cells=packed(column.cells))


def table_of_cells(
    columns: Mapping[str, Sequence[Any]],
    *,
    source: str = "the table",
    missing_values: Iterable[float | str] | float | str = (),
    of_run: bool = False,
) -> CellTable:
    """A table of cells that are at hand, such as the columns of a data frame.

    Args:
        columns: cells by name: numbers, texts, dates, truth values, and None or NaN where missing.
        source: what the sentence of an error begins with.
        missing_values: see ``read_table``.
        of_run: see ``read_cells``.

    Returns:
        The table, with rows counted from 1.

    Raises:
        TableError: columns of different lengths, or none.

    Example:
        >>> table_of_cells({"CO": [0.5, None]}).gaps("CO").tolist()
        [False, True]
    """
    lengths = {name: len(cells) for name, cells in columns.items()}
    if not columns or len(set(lengths.values())) > 1:
        raise TableError(f"{source}: expected columns of one length, got {lengths or 'none'}")
    rows = np.arange(1, next(iter(lengths.values())) + 1)
    listed = rows.tolist()
    missing = missing_codes(Path(source), missing_values, tuple(columns), of_run=of_run)
    return CellTable(
        columns={
            name: Column(name, place, _listed(cells), listed)
            for place, (name, cells) in enumerate(columns.items())
        },
        rows=rows,
        source=source,
        missing=missing,
    )


def _listed(cells: Any) -> list[Any]:
    if isinstance(cells, np.ndarray) and cells.dtype.kind == "M":
        cells = cells.astype("datetime64[s]")
    values = cells.tolist() if hasattr(cells, "tolist") else list(cells)
    return [None if is_nothing(value) else value for value in values]


def is_nothing(value: Any) -> bool:
    """Whether it is None, NaN, NaT or pandas' NA, of which only the type can be asked.

    Args:
        value: of a cell.
    """
    return value is None or type(value).__name__ in ("NAType", "NaTType") or bool(value != value)


def _values(
    read: SheetColumns, missing: Mapping[str, MissingValues], ways: Mapping[str, Notation]
) -> tuple[Float[np.ndarray, "rows numbers"], dict[str, Float[np.ndarray, " rows"]]]:
    """Numbers by which totals are found; what is none is refused later, if it is used at all.

    Columns of nothing but plain numbers by their names, besides. A text among the numbers of a
    column may be what its row is called: days may be numbered, and the last one be "Total".
    """
    names, found = read.body.numbers, {}
    values = np.full((len(read.body.lines), len(names)), np.nan)
    for j, name in enumerate(names):
        cells = read.columns[name].cells
        plain = read_plain(cells, missing[name], ways[name])
        if plain is not None:
            values[:, j] = plain
            found[name] = plain
            continue
        for i, cell in enumerate(cells):
            try:
                values[i, j] = read_cell(cell, missing[name], ways[name])
            except CellError:
                read.body.call(i, read.columns[name].place, cell)
    return values, found

"""The order of time: read from a column, or that of the file where it is known to rise."""

import datetime
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxmtl.data._errors import TableError
from jaxmtl.data.reading.dates import is_date, read_times
from jaxmtl.data.reading.tables import Table
from jaxmtl.data.splits import SplitIndices


def times_of(table: Table, column: str) -> Float[np.ndarray, " rows"]:
    """Numbers that rise with the dates or numbers of a column.

    Args:
        table: with the column among those kept.
        column: its name.

    Returns:
        One number a row.

    Raises:
        TableError: a cell that is blank, no date, or not of the kind of the others.

    Example:
        >>> x = np.zeros((2, 1))
        >>> table = Table(features=("a",), targets=("b",), x=x, y=x, rows=np.array([2, 3]),
        ...               source="file a.csv", kept={"day": np.array(["2021-04-30", ""], object)})
        >>> times_of(table, "day")
        ... # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        jaxmtl.plain.errors.TableError: file a.csv, column 'day', row 3: expected a date ...
    """
    places = [table.place(column, row) for row in range(len(table.rows))]
    return read_times(table.kept[column].tolist(), places)


def rising_column(table: Table) -> str | None:
    """The column of dates by which the rows of a file stand in order.

    Args:
        table: with its columns of dates among those kept, as far as there are any.

    Returns:
        The name; None where no column holds dates.

    Raises:
        TableError: there are such columns, and the dates of all of them fall somewhere.

    Example:
        >>> x = np.zeros((2, 1))
        >>> days = np.array(["2021-04-30", "2021-04-29"], object)
        >>> table = Table(features=("a",), targets=("b",), x=x, y=x, rows=np.array([2, 3]),
        ...               source="file a.csv", kept={"day": days})
        >>> rising_column(table)
        ... # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        jaxmtl.plain.errors.TableError: file a.csv, column 'day', row 3: expected ...
    """
    falls = None
    for name, cells in table.kept.items():
        if not all(map(is_date, cells)):
            continue
        times = times_of(table, name)
        fall = np.flatnonzero(np.diff(times) < 0)
        if not len(fall):
            return name
        if falls is None:
            row = int(fall[0]) + 1
            falls = (
                f"{table.place(name, row)}: expected dates that rise from row to row for a "
                f"chronological split, got {_shown(cells[row])} after {_shown(cells[row - 1])}; "
                f"put the rows in order with --time {_quoted(name)}"
            )
    if falls is not None:
        raise TableError(falls)
    return None


def describe_order(table: Table, indices: SplitIndices, column: str | None) -> str:
    """Which rows a chronological split tests on.

    Args:
        table: that was divided.
        indices: its parts, in the order of time.
        column: by which the rows are in order; None where no column says so.

    Returns:
        A sentence without a full stop.

    Example:
        >>> x = np.zeros((3, 1))
        >>> table = Table(features=("a",), targets=("b",), x=x, y=x, rows=np.array([2, 3, 4]),
        ...               source="file a.csv", kept={})
        >>> parts = SplitIndices(np.arange(2), np.array([], int), np.array([2]))
        >>> describe_order(table, parts, None)
        ... # doctest: +NORMALIZE_WHITESPACE
        'file a.csv: tests on the last row of the file, row 4; whether it is the latest no column of
        dates says: name one with --time'
    """
    part, what = (indices.test, "tests") if len(indices.test) else (indices.validation, "validates")
    if not len(part):
        part, what = indices.train, "trains"
    first, last = int(part[0]), int(part[-1])
    rows = table.rows[part]
    count = "the last row" if len(part) == 1 else f"the last {len(part)} rows"
    if column is None:
        where = f"row {rows[0]}" if len(part) == 1 else f"rows {rows.min()} to {rows.max()}"
        it = "it is the latest" if len(part) == 1 else "they are the latest"
        return (
            f"{table.source}: {what} on {count} of the file, {where}; whether {it} no column of "
            "dates says: name one with --time"
        )
    cells = table.kept[column]
    return (
        f"{table.source}: {what} on {count} in the order of {column!r}, from "
        f"{_shown(cells[first])} to {_shown(cells[last])}"
    )


def _shown(cell: Any) -> str:
    if isinstance(cell, datetime.datetime) and cell.time() == datetime.time():
        return str(cell.date())
    return str(cell).strip()


def _quoted(name: str) -> str:
    return f"'{name}'" if any(character.isspace() for character in name) else name

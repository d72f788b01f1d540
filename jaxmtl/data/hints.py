"""What looks odd in a table: rows that come twice, time that falls, features that tell a target."""

import numpy as np
from jaxtyping import Float, Int

from jaxmtl.data._errors import TableError
from jaxmtl.data.columns import Columns
from jaxmtl.data.reading.cell_table import CellTable
from jaxmtl.data.tells import Values, rows_looked_at, tells, worth_a_look
from jaxmtl.data.typed import dates_of, levels_of, looks_of
from jaxmtl.plain.dates import DateOrder

Codes = dict[str, Int[np.ndarray, " rows"]]


def hints_of(table: CellTable, columns: Columns) -> list[str]:
    """What the user should know of a table as a whole.

    Args:
        table: with the columns.
        columns: that are used.

    Example:
        >>> from jaxmtl.data.reading.cell_table import table_of_cells
        >>> x = [float(i % 40) for i in range(80)]
        >>> table = table_of_cells({"a": x, "b": [2 * value for value in x]})
        >>> from jaxmtl.data import Column
        >>> from jaxmtl.tasks import Task
        >>> columns = Columns(columns=(Column(name="a", kind="number"),), tasks=(Task(name="b"),))
        >>> for note in hints_of(table, columns):
        ...     print(note.partition(", or")[0])
        the table: 40 of 80 rows repeat an earlier one in all columns that are used
        the table, column 'a': nearly tells 'b' by itself
    """
    codes = {name: column_codes(table, name) for name in columns.used}
    notes = [*_repeated(table, codes), *_falling(table, columns)]
    rows = rows_looked_at(len(table), len(columns.columns) * len(columns.tasks))

    def values(name: str, *, ordered: bool) -> Values:
        if ordered:
            return Values(True, table.numbers(name)[rows])
        return Values(False, np.where(codes[name] < 0, np.nan, codes[name])[rows])

    labels = [values(task.name, ordered=not task.has_classes) for task in columns.tasks]
    features = [values(one.name, ordered=one.kind == "number") for one in columns.columns]
    likely = worth_a_look(features, labels)
    for i, column in enumerate(columns.columns):
        told = [
            task.name
            for j, task in enumerate(columns.tasks)
            if column.kind != "date" and likely[i, j] and tells(features[i], labels[j])
        ]
        if told:
            named = ", ".join(map(repr, told))
            notes.append(
                f"{table.source}, column {column.name!r}: nearly tells {named} by itself, or was "
                "computed from it; if it is not known for new rows, leave it out with --ignore"
            )
    return notes


def column_codes(table: CellTable, name: str) -> Int[np.ndarray, " rows"]:
    """A number for each different value of a column, -1 where it is missing.

    Args:
        table: with the column.
        name: of the column, of any kind.
    """
    return table.once(_codes, name)


def _codes(table: CellTable, name: str) -> Int[np.ndarray, " rows"]:
    looks = looks_of(table, name)
    if looks.numbers == looks.known:
        values = table.numbers(name)
        codes = np.unique(values, return_inverse=True)[1]
        return np.where(np.isnan(values), -1, codes)
    place: dict[str | None, int] = {None: -1}
    levels = levels_of(table, name)
    return np.array([place.setdefault(level, len(place) - 1) for level in levels], int)


def repeats_of(table: CellTable, columns: Columns) -> Int[np.ndarray, " rows"]:
    """The place of the first row like each, itself where there is none before it.

    Taken for groups, they keep rows that are repeated together.

    Args:
        table: with the columns.
        columns: in all of which rows are to be alike.

    Returns:
        From 0.

    Example:
        >>> from jaxmtl.data import infer_columns, table_of_cells
        >>> table = table_of_cells({"CO": [1, 2, 1], "O3": [5, 6, 5]})
        >>> repeats_of(table, infer_columns(table, targets=["O3"])).tolist()
        [0, 1, 0]
    """
    return _first_like({name: column_codes(table, name) for name in columns.used})


def _first_like(codes: Codes) -> Int[np.ndarray, " rows"]:
    mixed = np.zeros(len(next(iter(codes.values()))), np.uint64)
    for one in codes.values():
        mixed = (mixed ^ (one + 1).astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    _, first, inverse = np.unique(mixed, return_index=True, return_inverse=True)
    return first[inverse]


def _repeated(table: CellTable, codes: Codes) -> list[str]:
    number = int((_first_like(codes) != np.arange(len(table))).sum())
    if not number:
        return []
    repeat = "rows repeat" if number > 1 else "rows repeats"
    return [
        f"{table.source}: {number} of {len(table)} {repeat} an earlier one in all columns that are "
        "used"
    ]


def time_of(table: CellTable, columns: Columns) -> Float[np.ndarray, " rows"]:
    """When each row was: seconds of dates, or the numbers of the column.

    Args:
        table: with the column.
        columns: with the name of the column as ``time``.

    Returns:
        Ascending with time.

    Raises:
        TableError: the column is neither, or there is a row without.

    Example:
        >>> from jaxmtl.data.reading.cell_table import table_of_cells
        >>> table = table_of_cells({"day": ["1970-01-02", "1970-01-01"], "b": [1, 2]})
        >>> time_of(table, Columns(columns=(), tasks=(), time="day")).tolist()
        [86400.0, 0.0]
    """
    name = columns.time
    if name is None:
        raise TableError(f"{table.source}: expected the name of a column of times, got none")
    looks = looks_of(table, name)
    if looks.dates > looks.known / 2:
        order: DateOrder | None = next(
            (one.order for one in columns.columns if one.name == name), None
        )
        moments = dates_of(table, name, order)[0].seconds
    elif looks.numbers > looks.known / 2:
        moments = table.numbers(name)
    else:
        raise TableError(
            f"{table.source}, column {name!r}: expected dates or numbers that say when a row was, "
            "got texts; choose another column for --time"
        )
    if np.isnan(moments).any():
        row = int(np.flatnonzero(np.isnan(moments))[0])
        raise TableError(
            f"{table.place(name, row)}: expected a date or number, as rows are put in its order, "
            "got nothing; fill it in or choose another column for --time"
        )
    return moments


def groups_of(table: CellTable, columns: Columns) -> Int[np.ndarray, " rows"]:
    """Numbers of the groups of rows that stay together; rows without a group stand alone.

    Args:
        table: with the column.
        columns: with the name of the column as ``group``.

    Example:
        >>> from jaxmtl.data.reading.cell_table import table_of_cells
        >>> table = table_of_cells({"city": ["A", None, "A", None]})
        >>> groups_of(table, Columns(columns=(), tasks=(), group="city")).tolist()
        [0, 1, 0, 2]
    """
    if columns.group is None:
        raise TableError(f"{table.source}: expected the name of a column of groups, got none")
    codes = column_codes(table, columns.group)
    alone = codes < 0
    codes = np.where(alone, codes.max(initial=-1) + np.cumsum(alone), codes)
    return codes


def _falling(table: CellTable, columns: Columns) -> list[str]:
    if columns.time is None:
        return []
    falls = np.flatnonzero(np.diff(time_of(table, columns)) < 0)
    if not len(falls):
        return []
    return [
        f"{table.place(columns.time, int(falls[0]) + 1)}: earlier than the row before, the first "
        f"of {len(falls)} such rows; rows are taken in the order of this column"
    ]

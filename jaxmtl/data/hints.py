"""What looks odd in a table: rows that come twice, time that falls, features that tell a target."""

import numpy as np
from jaxtyping import Float, Int

from jaxmtl.data._errors import TableError
from jaxmtl.data.columns import Columns
from jaxmtl.data.reading.cell_table import CellTable
from jaxmtl.data.typed import dates_of, levels_of, looks_of
from jaxmtl.tasks import Task

_LOOKED_AT = 20_000  # rows, when it is asked whether a feature tells a target
_TELLS = 0.98
_EXACT = 0.02  # of the spread of a target: nothing is left to learn
_BIN_ROWS = 8  # of a bin, at least


def hints_of(table: CellTable, columns: Columns) -> list[str]:
    """What the user should know of a table as a whole.

    Args:
        table: with the columns.
        columns: that are used.

    Example:
        >>> from jaxmtl.data.reading.cell_table import table_of_cells
        >>> x = [float(i % 40) for i in range(80)]
        >>> table = table_of_cells({"a": x, "b": [2 * value for value in x]})
        >>> from jaxmtl.data.columns import Column
        >>> columns = Columns(columns=(Column(name="a", kind="number"),), tasks=(Task(name="b"),))
        >>> for note in hints_of(table, columns):
        ...     print(note.partition(";")[0])
        the table: 40 of 80 rows repeat an earlier one in all columns that are used
        the table, column 'a': nearly tells 'b' by itself
    """
    codes = {name: column_codes(table, name) for name in columns.used}
    notes = [*_repeated(table, columns, codes), *_falling(table, columns)]
    labels = [_target(table, task, codes) for task in columns.tasks]
    for column in columns.columns:
        x = table.numbers(column.name) if column.kind == "number" else None
        told = [
            task.name
            for task, y in zip(columns.tasks, labels, strict=True)
            if _tells(x, codes[column.name], y)
        ]
        if told:
            named = ", ".join(map(repr, told))
            notes.append(
                f"{table.source}, column {column.name!r}: nearly tells {named} by itself; if it is "
                "not known for new rows, leave it out with --ignore"
            )
    return notes


def column_codes(table: CellTable, name: str) -> Int[np.ndarray, " rows"]:
    """A number for each different value of a column, -1 where it is missing.

    Args:
        table: with the column.
        name: of the column, of any kind.
    """
    looks = looks_of(table, name)
    if looks.numbers == looks.known:
        values = table.numbers(name)
        codes = np.unique(values, return_inverse=True)[1]
        return np.where(np.isnan(values), -1, codes)
    place: dict[str | None, int] = {None: -1}
    levels = levels_of(table, name)
    return np.array([place.setdefault(level, len(place) - 1) for level in levels], int)


def repeated_rows(codes: list[Int[np.ndarray, " rows"]]) -> Int[np.ndarray, " rows"]:
    """The place of the first row like each, itself where there is none before it.

    Args:
        codes: of each column.
    """
    mixed = np.zeros(len(codes[0]), np.uint64)
    for one in codes:
        mixed = (mixed ^ (one + 1).astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    _, first, inverse = np.unique(mixed, return_index=True, return_inverse=True)
    return first[inverse]


def _repeated(
    table: CellTable, columns: Columns, codes: dict[str, Int[np.ndarray, " rows"]]
) -> list[str]:
    number = int((repeated_rows(list(codes.values())) != np.arange(len(table))).sum())
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
        >>> time_of(table, Columns(columns=(), tasks=(Task(name="b"),), time="day")).tolist()
        [86400.0, 0.0]
    """
    name = columns.time
    if name is None:
        raise TableError(f"{table.source}: expected the name of a column of times, got none")
    looks = looks_of(table, name)
    if looks.dates > looks.known / 2:
        order = next((one.order for one in columns.columns if one.name == name), None)
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


def _target(
    table: CellTable, task: Task, codes: dict[str, Int[np.ndarray, " rows"]]
) -> tuple[bool, np.ndarray]:
    """Whether it is a class, and the values: numbers, or codes as numbers, NaN where missing."""
    if not task.has_classes:
        return False, table.numbers(task.name)
    labels = codes[task.name].astype(float)
    labels[labels < 0] = np.nan
    return True, labels


def _tells(
    x: Float[np.ndarray, " rows"] | None,
    codes: Int[np.ndarray, " rows"],
    target: tuple[bool, Float[np.ndarray, " rows"]],
) -> bool:
    """Whether a feature tells a target by itself, at least in half of the rows."""
    is_class, y = target
    known = ~np.isnan(y) & (codes >= 0 if x is None else ~np.isnan(x))
    rows = np.flatnonzero(known)
    if len(rows) > _LOOKED_AT:
        rows = rows[:: -(-len(rows) // _LOOKED_AT)]
    if len(rows) < 3 * _BIN_ROWS:
        return False
    y = y[rows]
    if x is None:
        bins = np.unique(codes[rows], return_inverse=True)[1]
    else:
        x = x[rows]
        if not is_class and _on_a_line(x, y):
            return True
        cuts = np.unique(np.quantile(x, np.linspace(0, 1, max(2, min(64, len(x) // _BIN_ROWS)))))
        bins = np.searchsorted(cuts[1:-1], x, side="right")
    number = int(bins.max()) + 1
    if number < 2 or number * _BIN_ROWS > len(y):
        return False
    if is_class:
        return _one_class_a_bin(bins, y)
    sizes = np.maximum(np.bincount(bins, minlength=number), 1)
    means = np.bincount(bins, y, number) / sizes
    total = ((y - y.mean()) ** 2).sum()
    if total == 0:
        return False
    left = ((y - means[bins]) ** 2).sum() / max(len(y) - number, 1)
    return bool(1 - left / (total / (len(y) - 1)) > _TELLS)


def _on_a_line(x: Float[np.ndarray, " rows"], y: Float[np.ndarray, " rows"]) -> bool:
    """Whether half of the rows lie exactly on a curve, or all nearly on a line."""
    if x.std() == 0 or y.std() == 0:
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        if abs(np.corrcoef(x, y)[0, 1]) > _TELLS:
            return True
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    values, inverse = np.unique(x, return_inverse=True)
    if len(values) < 3 * _BIN_ROWS:
        return False
    # The two neighbours in x tell a row exactly, where the curve between them is one.
    around = (np.roll(y, 1) + np.roll(y, -1))[1:-1] / 2
    exact = np.abs(y[1:-1] - around) <= _EXACT * y.std()
    varied = np.abs(np.roll(y, 1) - np.roll(y, -1))[1:-1] <= 2 * _EXACT * y.std()
    return bool((exact & varied).mean() > 0.5 and len(np.unique(y)) > 3 * _BIN_ROWS)


def _one_class_a_bin(bins: Int[np.ndarray, " rows"], y: Float[np.ndarray, " rows"]) -> bool:
    """Whether nearly all errors of the most frequent class are gone once the bin is known."""
    labels = np.unique(y, return_inverse=True)[1]
    counts = np.zeros((bins.max() + 1, labels.max() + 1))
    np.add.at(counts, (bins, labels), 1)
    errors = len(y) - counts.max(axis=1).sum()
    base = len(y) - counts.sum(axis=0).max()
    return bool(base > 0 and errors <= (1 - _TELLS) * len(y) and errors <= 0.1 * base)

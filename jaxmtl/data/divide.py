"""The rows of a table divided in one of the ways there are, and scaled."""

import warnings
from typing import Any, Literal

from jaxmtl.data.chronology import rising_column, times_of
from jaxmtl.data.prepare import Dataset, prepare
from jaxmtl.data.reading.tables import Table
from jaxmtl.data.splits import SplitIndices, chronological_split, column_split, random_split

SplitKind = Literal["random", "chronological", "column"]


def divide(
    table: Table,
    split: SplitKind = "random",
    *,
    seed: int = 0,
    test: float = 0.2,
    validation: float = 0.0,
    gap: int = 0,
    column: str | None = None,
    time: str | None = None,
) -> SplitIndices:
    """Which rows train, which choose, and which are only reported on.

    Args:
        table: with ``column`` among the columns kept, if one is named.
        split: "random", "chronological", or as a "column" says.
        seed: of a random split.
        test: fraction of the rows to test on.
        validation: fraction of the rows to choose by.
        gap: rows left out before each later part of a chronological split.
        column: that says which row is in which part; no fraction counts then.
        time: column of dates or numbers by which a chronological split puts the rows in order;
            None where they stand in it. Columns of dates that are kept are asked whether they do.

    Returns:
        Row numbers from 0.

    Raises:
        TableError: rows or options that do not go together, or dates that fall.

    Example:
        >>> import numpy as np
        >>> x = np.zeros((5, 1))
        >>> table = Table(features=("a",), targets=("b",), x=x, y=x, rows=np.arange(2, 7),
        ...               source="file a.csv", kept={})
        >>> divide(table, "chronological", test=0.4).test.tolist()
        [3, 4]
    """
    if column is not None:
        place = f"{table.source}, column {column!r}"
        return column_split(table.kept[column], place=place, rows=table.rows)
    num_rows = len(table.rows)
    fractions: dict[str, Any] = {"test": test, "validation": validation, "source": table.source}
    if split == "chronological":
        if time is None:
            rising_column(table)
        times = None if time is None else times_of(table, time)
        return chronological_split(num_rows, gap=gap, times=times, **fractions)
    return random_split(num_rows, seed=seed, **fractions)


def prepare_noted(
    table: Table, indices: SplitIndices, **options: Any
) -> tuple[Dataset, tuple[str, ...]]:
    """As ``prepare``, with what the user should know as texts instead of warnings.

    Args:
        table: see ``prepare``.
        indices: see ``prepare``.
        options: of ``prepare``.

    Returns:
        Scaled rows, and the notes.

    Raises:
        TableError: see ``prepare``.

    Example:
        >>> import numpy as np
        >>> x = np.array([[1.0], [1.0], [2.0]])
        >>> table = Table(features=("a",), targets=("b",), x=x, y=x, rows=np.arange(2, 5),
        ...               source="file a.csv", kept={})
        >>> none = np.array([], int)
        >>> len(prepare_noted(table, SplitIndices(np.arange(2), none, np.array([2])))[1])
        2
    """
    # -W error must not turn a note into a failure, nor a note be lost.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        dataset = prepare(table, indices, **options)
    return dataset, tuple(str(warning.message) for warning in caught)

"""How the rows of a table are divided, as its columns ask for it."""

import numpy as np

from jaxmtl.data._errors import TableError
from jaxmtl.data.columns import Columns
from jaxmtl.data.folds import Folds
from jaxmtl.data.hints import groups_of, repeats_of, time_of
from jaxmtl.data.kfold import chronological, grouped, kfold, resplits, strata_of
from jaxmtl.data.reading.cell_table import CellTable
from jaxmtl.data.splits import SplitIndices
from jaxmtl.data.table_data import TableData


def folds_of_table(
    table: CellTable,
    columns: Columns,
    made: TableData,
    k: int = 5,
    *,
    seed: int = 0,
    among: np.ndarray | None = None,
) -> Folds:
    """Folds of the rows that can be learned from: in time, by groups, or at random.

    Where neither a column of times nor one of groups is named, rare classes and labels are spread
    evenly, and rows that repeat each other stay together.

    Args:
        table: of cells.
        columns: with the names of the columns of times and groups.
        made: rows of the table, from ``data_of_table``.
        k: number of folds.
        seed: of the draw.
        among: numbers of the rows of ``made.data`` to divide; None for all.

    Returns:
        Numbers of rows of ``made.data``.

    Raises:
        TableError: there are not two rows, groups or moments.

    Example:
        >>> from jaxmtl.data import data_of_table, fit_coding, infer_columns, table_of_cells
        >>> table = table_of_cells({"city": list("AABB"), "a": [1, 2, 3, 4], "b": [1, 2, 4, 3]})
        >>> columns = infer_columns(table, targets=["b"], group="city")
        >>> made = data_of_table(table, columns, fit_coding(table, columns))
        >>> [fold.test.tolist() for fold in folds_of_table(table, columns, made, 2)]
        [[0, 1], [2, 3]]
    """
    among = np.arange(len(made.rows)) if among is None else np.asarray(among)
    rows = made.rows[among]
    if columns.time is not None:
        return chronological(time_of(table, columns)[rows], k, rows=among)
    if columns.group is not None:
        return grouped(groups_of(table, columns)[rows], k, seed=seed, rows=among)
    together = repeats_of(table, columns)[rows]
    return kfold(among, k, seed=seed, strata=strata_of(made.data)[among], together=together)


def held_out(
    table: CellTable,
    columns: Columns,
    made: TableData,
    *,
    test: float = 0.2,
    seed: int = 0,
) -> SplitIndices:
    """Rows to report on only: the latest, whole groups, or at random.

    Args:
        table: of cells.
        columns: with the names of the columns of times and groups.
        made: rows of the table, from ``data_of_table``.
        test: fraction of the rows, or of the groups.
        seed: of the draw.

    Returns:
        Numbers of rows of ``made.data``; rows of one moment are in one part.

    Raises:
        TableError: a part would have no row.

    Example:
        >>> from jaxmtl.data import data_of_table, fit_coding, infer_columns, table_of_cells
        >>> table = table_of_cells({"day": [4, 3, 2, 1], "a": [1, 2, 3, 4], "b": [1, 2, 4, 3]})
        >>> columns = infer_columns(table, targets=["b"], time="day")
        >>> made = data_of_table(table, columns, fit_coding(table, columns))
        >>> held_out(table, columns, made, test=0.5).test.tolist()
        [0, 1]
    """
    number = len(made.rows)
    if columns.time is None:
        by_group = columns.group is not None
        groups = groups_of(table, columns) if by_group else repeats_of(table, columns)
        return resplits(number, (seed,), test=test, groups=groups[made.rows]).parts[0]
    moments = time_of(table, columns)[made.rows]
    first = np.sort(moments)[min(max(number - int(np.floor(number * test + 0.5)), 0), number - 1)]
    later = moments >= first
    if not 0 < test < 1 or later.all():
        raise TableError(
            f"{table.source}, column {columns.time!r}: expected rows to learn from before those to "
            f"test on, got none with a fraction of {test} of {number} rows; choose a smaller one, "
            "or a column with more different times"
        )
    return SplitIndices(np.flatnonzero(~later), np.zeros(0, int), np.flatnonzero(later))

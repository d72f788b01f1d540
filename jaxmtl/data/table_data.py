"""From a table and its coding to the rows that methods learn from."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from jaxmtl.data.coding import Coding, labelled_rows
from jaxmtl.data.columns import Columns
from jaxmtl.data.folds import Data
from jaxmtl.data.reading.cell_table import CellTable
from jaxmtl.data.reading.grid import rows_named


class TableData(NamedTuple):
    """Rows of a table that can be learned from.

    Attributes:
        data: coded.
        rows: their places in the table, from 0.
        notes: what the user should know.

    Example:
        >>> TableData._fields
        ('data', 'rows', 'notes')
    """

    data: Data
    rows: Int[np.ndarray, " rows"]
    notes: tuple[str, ...]


def data_of_table(table: CellTable, columns: Columns, coding: Coding) -> TableData:
    """All rows of a table that can be learned from, coded.

    Args:
        table: with the columns.
        columns: from ``infer_columns``.
        coding: from ``fit_coding``.

    Returns:
        Data of the rows with a known target, targets in original units; which rows they are; and a
        note on those set aside.

    Raises:
        TableError: no row has a known target.

    Example:
        >>> from jaxmtl.data import fit_coding, infer_columns, table_of_cells
        >>> table = table_of_cells({"CO": [1, 2, 3], "O3": [1, None, 3]})
        >>> columns = infer_columns(table, targets=["O3"])
        >>> made = data_of_table(table, columns, fit_coding(table, columns))
        >>> made.data.y.tolist(), made.rows.tolist(), made.notes
        ([[1.0], [3.0]], [0, 2], ('the table, row 2: no target is known, so set aside',))
    """
    rows = labelled_rows(table, columns)
    y, known = coding.targets(table)
    data = Data(
        x=coding.encode(table).x[rows],
        y=y[rows],
        known=known[rows],
        tasks=columns.tasks,
        parts=coding.parts,
    )
    aside = np.delete(table.rows, rows)
    if not len(aside):
        return TableData(data, rows, ())
    note = f"{table.source}, {rows_named(aside)}: no target is known, so set aside"
    return TableData(data, rows, (note,))

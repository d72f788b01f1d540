"""The cells of one sheet as they lie in the file, and how to name them in a sentence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from jaxmtl.plain.names import column_letter as column_letter

LAST_ROW, LAST_COLUMN = 1_048_576, 16_384  # of a workbook's sheet


class SheetRow(NamedTuple):
    """One row that holds something.

    Attributes:
        number: in the sheet, where the first row is 1.
        cells: by column from 0; blank cells are not among them.
        hidden: by a filter or by hand.
    """

    number: int
    cells: dict[int, Any]
    hidden: bool = False


class Area(NamedTuple):
    """Cells from a first row and column (from 0) to a last one, rows as ``SheetRow.number``."""

    first_row: int
    last_row: int
    first_column: int
    last_column: int


@dataclass(kw_only=True)
class Grid:
    """One sheet.

    Attributes:
        source: "file x.xlsx, sheet 'Sheet1'", or "file x.csv".
        rows: in the order of the file, read as they are asked for.
        totals: rows that the file marks as totals of a table.
        merged: cells that are merged into one, once all rows are read.
        separator: between the cells of a text table.
        skipped: numbers of rows that are comments.
        notes: what the user should know; some come only once all rows are read.
        computed: whether a formula has another value than 0, once all rows are read.
        blank: the sentence for a sheet that holds nothing.
    """

    source: str
    rows: Iterator[SheetRow]
    blank: str
    totals: list[Area] = field(default_factory=list)
    merged: list[Area] = field(default_factory=list)
    separator: str | None = None
    skipped: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    computed: bool = False


def rows_named(numbers: Sequence[int] | np.ndarray) -> str:
    """ "row 5", "rows 5 and 7", "40 rows (5, 6, 7, ...)".

    Example:
        >>> rows_named([5]), rows_named([5, 7]), rows_named([5, 6, 7, 8])
        ('row 5', 'rows 5 and 7', '4 rows (5, 6, 7, ...)')
    """
    if len(numbers) == 1:
        return f"row {numbers[0]}"
    if len(numbers) <= 3:
        return f"rows {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
    return f"{len(numbers)} rows ({', '.join(map(str, numbers[:3]))}, ...)"

"""Writing a table as text, so that a spreadsheet program takes no cell for a formula."""

import csv
import re
from collections.abc import Iterable, Sequence
from typing import IO, Any

import numpy as np

from .names import plain_name

_FORMULA = re.compile(r"\s*[=+\-@]")  # what a cell begins with that is taken for one
_NUMBER = re.compile(r"[+-]?\d[\d.,]*([eE][+-]?\d+)?", re.ASCII)  # as it stands in a .csv file


def write_rows(file: IO[str], header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes the rows of a table below its header.

    Args:
        file: open for text.
        header: names of the columns.
        rows: cells; None and NaN are empty ones, and numbers are written with the digits that give
            them back exactly.

    Example:
        >>> import io
        >>> file = io.StringIO()
        >>> write_rows(file, ["CO"], [[0.5], [None]])
        >>> file.getvalue().split("\\r\\n")
        ['CO', '0.5', '""', '']
    """
    writer = csv.writer(file)
    writer.writerow([as_text(plain_name(name)) for name in header])
    # Most cells are numbers, which the writer writes with all their digits by itself.
    writer.writerows(
        [cell if type(cell) is float and cell == cell else _text(cell) for cell in row]
        for row in rows
    )


def as_text(cell: str) -> str:
    """A text that a spreadsheet program does not take for a formula.

    Args:
        cell: of a .csv file.

    Returns:
        The same, behind an apostrophe if it needs one; a number does not.

    Example:
        >>> as_text("=1+1"), as_text("PM2.5"), as_text("-0.5")
        ("'=1+1", 'PM2.5', '-0.5')
    """
    if _FORMULA.match(cell) is None or _NUMBER.fullmatch(cell.strip()):
        return cell
    return f"'{cell}"


def _text(cell: Any) -> str:
    if cell is None or (isinstance(cell, float | np.floating) and np.isnan(cell)):
        return ""
    return as_text(cell) if isinstance(cell, str) else str(cell)

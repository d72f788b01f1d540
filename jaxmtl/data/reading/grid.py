"""The cells of one sheet as they lie in the file, and how to name them in a sentence."""

from typing import Any, NamedTuple

from jaxmtl.data.reading.cells import is_blank


class Grid(NamedTuple):
    """One sheet.

    Attributes:
        source: "file x.xlsx, sheet 'Sheet1'", or "file x.csv".
        cells: rows of cells; the first one is row 1 of the sheet. They may differ in length.
    """

    source: str
    cells: list[tuple[Any, ...]]


def column_letter(number: int) -> str:
    """The letters over a column, counted from 0, as spreadsheets show them."""
    letters = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def without_blank_end(cells: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Without the wholly empty rows at the end, which editing leaves behind."""
    end = len(cells)
    while end and all(is_blank(cell) for cell in cells[end - 1]):
        end -= 1
    return cells[:end]

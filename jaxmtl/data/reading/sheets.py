"""Which sheet of a workbook the text of an option means."""

import os
from pathlib import Path

from jaxmtl.data.reading.workbook import sheet_titles


def find_sheet(path: str | os.PathLike[str], sheet: str | None) -> str | int | None:
    """The sheet that a text means: a name, or else a number from 0.

    Args:
        path: of the workbook.
        sheet: the text; None for the first that is not hidden.

    Returns:
        What ``read_table`` takes.

    Example:
        >>> find_sheet("air.csv", None), find_sheet("air.csv", "2021")
        (None, 2021)
    """
    if sheet is None:
        return None
    if not sheet.isdecimal():
        return sheet
    try:
        names = [title.strip() for title in sheet_titles(Path(path))]
    except Exception:  # whatever is wrong with the file, read_table has the sentence for it
        names = []
    return sheet if sheet.strip() in names else int(sheet)

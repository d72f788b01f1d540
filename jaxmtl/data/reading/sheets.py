"""Which sheet of a workbook the text of an option means."""

import os


def find_sheet(path: str | os.PathLike[str], sheet: str | None) -> str | int:
    """The sheet that a text means: a name, or else a number from 0.

    Args:
        path: of the workbook.
        sheet: the text; None for the first sheet.

    Returns:
        What ``read_table`` takes.

    Example:
        >>> find_sheet("air.csv", None), find_sheet("air.csv", "2021")
        (0, 2021)
    """
    if sheet is None:
        return 0
    if not sheet.isdecimal():
        return sheet
    try:
        from openpyxl import load_workbook

        book = load_workbook(path, read_only=True)
        names = [name.strip() for name in book.sheetnames]
        book.close()
    except Exception:  # whatever is wrong with the file, read_table has the sentence for it
        names = []
    return sheet if sheet.strip() in names else int(sheet)

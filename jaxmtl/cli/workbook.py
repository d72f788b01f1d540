"""Predictions as a workbook: full values, shown with as many digits as a reader bears."""

import datetime
import io
import math
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

Cell = float | str | datetime.date | datetime.time | None

NOT_IN_XML = "\ufffe\uffff"
DIGITS = 4  # that are shown of a typical number
MOST_DECIMALS = 8
DAY = "yyyy-mm-dd"

# A number as a program writes it: no zero before it, which codes have, and no more than 15 digits.
WRITTEN_OUT = re.compile(r"-?(?=[\d.]{1,16}(e|$))(0|[1-9]\d*)(\.\d+)?(e[+-]?\d+)?", re.ASCII | re.I)


def write_workbook(
    path: Path,
    header: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    rounded: Collection[str] = (),
    texts_only: bool = False,
) -> None:
    """Writes rows to a sheet; texts stay texts, and days are shown without an hour.

    Args:
        path: of the file.
        header: names of the columns.
        rows: cells, None for one that is empty.
        rounded: columns whose numbers are shown rounded; the cells hold them in full.
        texts_only: whether cells of other columns are of a file of texts, in which numbers are
            written out: a column of nothing else becomes one of numbers.

    Example:
        >>> import tempfile
        >>> from openpyxl import load_workbook
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "a.xlsx")
        ...     write_workbook(file, ["CO"], [[0.123456789]], rounded=["CO"])
        ...     cell = load_workbook(file).active["A2"]
        >>> cell.value, cell.number_format
        (0.123456789, '0.0000')
    """
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet("predictions")
    if texts_only:
        rows = _with_numbers(rows)
    columns = list(zip(*rows, strict=True)) or [()] * len(header)
    formats = [
        number_format(cells) if name in rounded else None
        for name, cells in zip(header, columns, strict=True)
    ]
    days = [_are_days(cells) for cells in columns]
    sheet.append([_as_text(sheet, name) for name in header])
    for row in rows:
        cells = zip(row, formats, days, strict=True)
        sheet.append([_cell(sheet, cell, shown, day) for cell, shown, day in cells])
    content = io.BytesIO()  # an archive that breaks off fails once more when it is cleared away
    book.save(content)
    path.write_bytes(content.getvalue())


def number_format(cells: Sequence[Any]) -> str:
    """How a spreadsheet program shows the numbers of a column.

    Args:
        cells: of the column; what is no number is passed over.

    Returns:
        Its format, with about four digits of a typical number.

    Example:
        >>> number_format([12.3456, 98.7654, None]), number_format([1.5e6]), number_format([2e-7])
        ('0.00', '0', '0.000E+00')
    """
    sizes = [abs(cell) for cell in cells if isinstance(cell, float) and math.isfinite(cell)]
    sizes = sorted(size for size in sizes if size > 0) or [1.0]
    # Rare large ones, and many that are almost 0, leave the digits of the others as they are.
    typical = max(sizes[len(sizes) // 2], sizes[-(-99 * (len(sizes) - 1) // 100)] / 10)
    if 0.1 < sizes[-1] <= 1:
        typical = max(typical, 0.1)  # shares, such as probabilities
    decimals = max(DIGITS - 1 - math.floor(math.log10(typical)), 0)
    if decimals > MOST_DECIMALS:
        return f"0.{'0' * (DIGITS - 1)}E+00"
    return f"0.{'0' * decimals}" if decimals else "0"


def _with_numbers(rows: Sequence[Sequence[Cell]]) -> list[Sequence[Cell]]:
    """Rows with numbers for their texts, in columns in which every text is that of a number."""
    columns: list[Sequence[Cell]] = []
    for cells in zip(*rows, strict=True):
        texts = [cell for cell in cells if isinstance(cell, str) and cell.strip()]
        if texts and all(WRITTEN_OUT.fullmatch(text.strip()) for text in texts):
            columns.append([_number(cell) if isinstance(cell, str) else cell for cell in cells])
        else:
            columns.append(cells)
    return [list(row) for row in zip(*columns, strict=True)]


def _number(text: str) -> Cell:
    if not text.strip():
        return None
    return float(text) if any(sign in text for sign in ".eE") else int(text)


def _are_days(cells: Sequence[Any]) -> bool:
    """Whether no date of a column has an hour."""
    dates = [cell for cell in cells if isinstance(cell, datetime.datetime)]
    return all(cell.time() == datetime.time.min for cell in dates)


def _cell(sheet: Any, cell: Cell, shown: str | None, day: bool) -> Any:
    from openpyxl.cell import WriteOnlyCell

    if isinstance(cell, str):
        return _as_text(sheet, cell)
    if day and isinstance(cell, datetime.datetime):
        shown = DAY
    elif not isinstance(cell, float):
        shown = None
    if shown is None:
        return cell
    value: Any = cell
    made = WriteOnlyCell(sheet, value=value)
    made.number_format = shown
    return made


def _as_text(sheet: Any, text: str) -> Any:
    """A cell that is no formula, even if it begins with an equals sign."""
    from openpyxl.cell import WriteOnlyCell

    from jaxmtl.plain.names import plain_name

    cell = WriteOnlyCell(
        sheet, value="".join(one for one in plain_name(text) if one not in NOT_IN_XML)
    )
    cell.data_type = "s"
    return cell

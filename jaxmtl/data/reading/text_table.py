"""Reading a .csv: its encoding and separator are found, not asked for."""

import csv
import io
import re
from collections.abc import Collection
from pathlib import Path

from jaxmtl.data._errors import TableError
from jaxmtl.data.reading.grid import Grid, column_letter, without_blank_end

_SEPARATORS = (",", ";", "\t")


def read_text_table(path: Path, names: Collection[str]) -> Grid:
    """Reads a text table; every cell is a text.

    Args:
        path: the file, in UTF-8 (with or without a mark), UTF-16 with a mark, or GB18030.
        names: column names to be found; the separator that shows most of them is taken.

    Raises:
        TableError: the file is no text, or its rows do not fit together.
    """
    source = f"file {path}"
    text = _decode(path)
    cells = _split(source, text, _find_separator(text, names))
    if not without_blank_end(cells):
        raise TableError(f"{source}: the table is empty; fill it or choose another file")
    return Grid(source, cells)


def _decode(path: Path) -> str:
    raw = path.read_bytes()
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "gb18030"]
    for encoding in encodings:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise TableError(
        f"file {path}: not a text table in UTF-8 or GB18030; save it as CSV UTF-8, or give it "
        "the ending .xlsx if it is a workbook"
    )


def _find_separator(text: str, names: Collection[str]) -> str:
    """The separator under which the header row shows most of the names, then most cells."""

    def score(separator: str) -> tuple[int, int]:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        try:
            header = next((row for row in reader if "".join(row).strip(" ,;\t")), [])
        except csv.Error:
            return -1, 0
        found = {cell.strip() for cell in header}
        return sum(name.strip() in found for name in names), len(header)

    return max(_SEPARATORS, key=score)


def _split(source: str, text: str, separator: str) -> list[tuple[str, ...]]:
    import pandas as pd

    # pandas takes the width of the table from the first line, which must not be an empty one.
    body = text.lstrip("\r\n")
    if not body:
        return []
    skipped = len(text[: len(text) - len(body)].splitlines())
    try:
        frame = pd.read_csv(
            io.StringIO(body, newline=""),
            sep=separator,
            header=None,
            dtype=str,
            na_filter=False,
            skip_blank_lines=False,
        )
    except pd.errors.ParserError as error:
        raise TableError(_describe(source, str(error), skipped)) from error
    return [()] * skipped + [tuple(row) for row in frame.to_numpy(dtype=object).tolist()]


def _describe(source: str, error: str, skipped: int) -> str:
    """What pandas says of rows that do not fit, with our row numbers."""
    if width := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", error):
        expected, row, got = (int(number) for number in width.groups())
        return (
            f"{source}, row {row + skipped}, column {column_letter(got - 1)}: expected at most "
            f"{expected} cells, as many as in the first row, got {got}; put quotation marks around "
            "a cell that holds a separator, or remove the cell"
        )
    if inside := re.search(r"EOF inside string starting at row (\d+)", error):
        return (
            f"{source}, row {int(inside[1]) + 1 + skipped}: a cell begins with a quotation mark "
            "that is never closed; close it"
        )
    return f"{source}: not a text table ({error}); save it as CSV UTF-8"

"""Reading a .csv: its encoding and separator are found, not asked for."""

import csv
import io
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from jaxmtl.data._errors import TableError
from jaxmtl.data.reading.grid import Grid, SheetRow, column_letter
from jaxmtl.plain.names import count_found
from jaxmtl.plain.separators import HINT, SEARCHED, cells_of, find_separator, is_comment

_CHUNK = 2**16  # rows that are lists at a time
_DIGITS = re.compile(r"\s*[+-]?\d*\s*")


def read_text_table(path: Path, names: Collection[str], header_row: int | None = None) -> Grid:
    """Reads a text table; every cell is a text.

    Lines above the header that begin with # are comments, and so are those below it that have
    another number of cells than the header. A first line such as "sep=;" names the separator.

    Args:
        path: the file, in UTF-8 (with or without a mark), UTF-16 with a mark, or GB18030.
        names: column names to be found; the separator that shows most of them is taken.
        header_row: number of the line of the header; None for the first that is not empty.

    Raises:
        TableError: the file is no text, or its rows do not fit together.
    """
    source = f"file {path}"
    lines = list(io.StringIO(_decode(path), newline=""))
    hint = HINT.fullmatch(lines[0].strip("\r\n")) if lines else None
    if hint is not None:
        lines[0] = "\n"
    separator = hint[1] if hint is not None else find_separator(lines[:SEARCHED], names)
    if header_row is not None:
        lines[: _first_of(lines, separator, header_row)] = ["\n"] * (header_row - 1)
    skipped = _drop_comments(lines, separator, names)
    grid = Grid(
        source=source,
        rows=_rows(source, lines, separator, names),
        blank="the table is empty; fill it or choose another file",
        separator=separator,
        skipped=skipped,
    )
    return grid


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


def _first_of(lines: list[str], separator: str, number: int) -> int:
    """How many lines stand before the row of that number; a cell may hold line breaks."""
    reader = csv.reader(lines, delimiter=separator)
    try:
        for _ in range(number - 1):
            next(reader, None)
    except csv.Error:
        return number - 1
    return reader.line_num


def _first_width(lines: list[str], separator: str) -> int:
    """How many cells the first line has that is no comment; 0 where there is none."""
    data = (line for line in lines if line.strip(" ,;\t\r\n") and not is_comment(line))
    return len(cells_of(next(data, ""), separator))


def _drop_comments(lines: list[str], separator: str, names: Collection[str]) -> list[int]:
    """Empties lines that are comments; gives their numbers."""
    skipped, width, inside = [], 0, False
    for i, line in enumerate(lines):
        before, inside = inside, inside != bool(line.count('"') % 2)
        if before or not line.strip(" ,;\t\r\n"):
            continue
        if not width and is_comment(line):
            bare = line.lstrip(' "').lstrip("# ")
            cells = cells_of(bare, separator)
            found = count_found(dict(enumerate(cells)), names)
            alone = found == 1 == len(names)
            if len(cells) > 1 and (
                found > 1 or (alone and len(cells) == _first_width(lines[i + 1 :], separator))
            ):
                lines[i] = bare  # the header itself
                width = len(cells)
                continue
        elif not width:
            width = len(cells_of(line, separator))
            continue
        elif not is_comment(line) or len(cells_of(line, separator)) == width:
            continue
        lines[i] = "\n"
        skipped.append(i + 1)
    return skipped


def _rows(
    source: str, lines: list[str], separator: str, names: Collection[str]
) -> Iterator[SheetRow]:
    import pandas as pd

    # pandas takes the width of the table from the first line, which must not be an empty one.
    skipped = 0
    while skipped < len(lines) and not lines[skipped].strip("\r\n"):
        skipped += 1
    body = "".join(lines[skipped:])
    if not body:
        return
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
        said = _describe(source, str(error), skipped, lines, separator, names)
        raise TableError(said) from error
    del lines[:], body
    for at in range(0, len(frame), _CHUNK):
        rows = frame.iloc[at : at + _CHUNK].to_numpy(dtype=object).tolist()
        for number, row in enumerate(rows, at + skipped + 1):
            cells = {column: cell for column, cell in enumerate(row) if cell and not cell.isspace()}
            if cells:
                yield SheetRow(number, cells)


def _describe(
    source: str,
    error: str,
    skipped: int,
    lines: list[str],
    separator: str,
    names: Collection[str],
) -> str:
    """What pandas says of rows that do not fit, with our row numbers."""
    if width := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", error):
        expected, row, got = (int(number) for number in width.groups())
        place = f"{source}, row {row + skipped}, column {column_letter(got - 1)}"
        rows = [cells_of(line, separator) for line in lines[: max(row + skipped, SEARCHED)]]
        found = [count_found(dict(enumerate(cells)), names) for cells in rows]
        number = found.index(max(found)) + 1
        said = f"{place}: expected at most {expected} cells, as many as in the first row, got {got}"
        if found[number - 1] > found[skipped]:
            return f"{said}; row {number} looks like the header: name it with --header-row {number}"
        digits = sum(map(bool, map(_DIGITS.fullmatch, rows[row + skipped - 1])))
        alike = digits >= got - 2 and digits > 1 and (got > expected + 1 or row == 2)
        if separator == "," and alike:
            return (
                f"{place}: expected at most {expected} cells, got {got}; if numbers are written "
                "with decimal commas, they cannot be told apart from the commas between cells: "
                "save the table with semicolons"
            )
        return f"{said}; put quotation marks around a cell that holds a separator, or remove it"
    if inside := re.search(r"EOF inside string starting at row (\d+)", error):
        return (
            f"{source}, row {int(inside[1]) + 1 + skipped}: a cell begins with a quotation mark "
            "that is never closed; close it"
        )
    return f"{source}: not a text table ({error}); save it as CSV UTF-8"

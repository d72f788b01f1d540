"""A text table, read a piece at a time, as the run that predicts it read its own.

Rows are taken as they are: totals and remarks are not looked for.
"""

import csv
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .cells import (
    MissingValues,
    Notation,
    corrected,
    is_missing,
    looks_like_number,
    missing_by_column,
    tidy,
)
from .coding import level_text
from .dates import DateParts, date_parts, seconds_of
from .errors import TableError
from .names import all_columns, columns_of_run, find_columns, plain_name
from .notations import column_notation, notation_of, notations_of
from .numbers import Column, read_numbers
from .separators import HINT, SEARCHED, find_separator, is_comment

ENDINGS = (".csv", ".tsv", ".txt")
PIECE = 8192  # rows that are read at once
_JUDGED = 2000  # rows by which a column is one of numbers
OTHERWISE = "'jaxmtl predict' reads other tables"


class Piece(NamedTuple):
    """Some rows of a table.

    Attributes:
        columns: their cells by name; None where blank.
        rows: their numbers in the file, from 1.
        blank: before each of them, how many blank rows there are.
    """

    columns: dict[str, Column]
    rows: list[int]
    blank: list[int]


class TextTable(NamedTuple):
    """A text table that can be read as often as is wanted.

    Attributes:
        path: of the file.
        separator: between its cells.
        header: number of its row of names.
        places: of the columns that can be told by their names, from 0.
        missing: what stands for a missing value, by the name of the column.
        notations: how numbers are written, by the name of the column.
    """

    path: str
    separator: str
    header: int
    places: dict[str, int]
    missing: Mapping[str, MissingValues]
    notations: Mapping[str, Notation]

    @property
    def source(self) -> str:
        """What a sentence begins with."""
        return f"file {self.path}"

    def pieces(self) -> Iterator[Piece]:
        """All rows below the header, but blank ones.

        Raises:
            TableError: a row that does not fit, or text in another encoding.
        """
        rows: list[list[str]] = []
        numbers: list[int] = []
        blank: list[int] = []
        before = width = 0
        for number, row in _records(self.path, self.separator):
            if number <= self.header:
                width = len(row)
                continue
            if not "".join(row).strip():
                before += 1
                continue
            if len("".join(row[width:]).strip()):
                raise TableError(
                    f"{self.source}, row {number}: expected at most {width} cells, as many as in "
                    f"the header, got {len(row)}; put quotation marks around a cell that holds a "
                    "separator"
                )
            if is_comment(row[0]) and len(row) != width:
                raise _remark(self.path, number)
            rows.append(row)
            numbers.append(number)
            blank.append(before)
            before = 0
            if len(rows) == PIECE:
                yield self._piece(rows, numbers, blank)
                rows, numbers, blank = [], [], []
        if rows:
            yield self._piece(rows, numbers, blank)

    def _piece(self, rows: list[list[str]], numbers: list[int], blank: list[int]) -> Piece:
        columns = {
            name: Column(name, place, [_cell(row, place) for row in rows], numbers)
            for name, place in self.places.items()
        }
        return Piece(columns, numbers, blank)

    def numbers(self, piece: Piece, name: str) -> np.ndarray:
        """A column of numbers, NaN where missing.

        Raises:
            TableError: names the first cell that is none.
        """
        column = piece.columns[name]
        return read_numbers(column, self.source, self.missing[name], self.notations[name])[0]

    def levels(self, piece: Piece, name: str) -> list[str | None]:
        """The levels of a category, None where missing."""
        missing = self.missing[name]
        return [
            None if cell is None or is_missing(cell, missing) else level_text(tidy(cell))
            for cell in piece.columns[name].cells
        ]

    def seconds(self, piece: Piece, name: str, order: str) -> np.ndarray:
        """A column of dates, as seconds since 1970; NaN where missing.

        Args:
            piece: of the table.
            name: of the column.
            order: of day and month in the rows learned from: "ymd", "dmy" or "mdy".

        Raises:
            TableError: names the first cell that is no date.
        """
        found = np.full(len(piece.rows), np.nan)
        missing, seen = self.missing[name], dict[str, float]()
        for i, cell in enumerate(piece.columns[name].cells):
            if cell is None or is_missing(cell, missing):
                continue
            if cell not in seen:
                place = f"{self.source}, column {name!r}, row {piece.rows[i]}"
                seen[cell] = _seconds(date_parts(cell, stamps=True), cell, order, place)
            found[i] = seen[cell]
        return found


def _seconds(parts: DateParts | None, cell: str, order: Any, place: str) -> float:
    if parts is None:
        raise TableError(f"{place}: expected a date or time, got {cell[:40]!r}; {corrected(cell)}")
    if parts.form == "?" and order == "ymd":
        raise TableError(
            f"{place}: expected a date such as 2015-01-31, as in the rows learned from, got "
            f"{cell[:40]!r}; write it so, or see whether 'jaxmtl predict' finds out which number "
            "is the day"
        )
    seconds = seconds_of(parts, order)
    if seconds is None:
        raise TableError(
            f"{place}: expected a date, got {cell[:40]!r}, a day that there is not; correct the "
            "cell"
        )
    return seconds


def open_table(path: str, names: Sequence[str], reading: Mapping[str, Any]) -> TextTable:
    """Finds the header of a text table, and how it is written.

    Args:
        path: of the file.
        names: of the columns that have to be there.
        reading: as the run keeps it: "header_row", "decimal" and so on.

    Returns:
        The table.

    Raises:
        TableError: the file does not open or is no such table, or a column is not there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "a.csv")
        ...     with open(path, "w") as file:
        ...         _ = file.write("day;CO\\n\\n1;0,5\\n")
        ...     table = open_table(path, ["CO"], {})
        ...     [(table.numbers(piece, "CO").tolist(), piece.blank) for piece in table.pieces()]
        [([0.5], [1])]
    """
    source = f"file {path}"
    ending = os.path.splitext(path)[1].lower()
    if os.path.isdir(path) or not os.path.exists(path):
        what = "expected a file, got a folder" if os.path.isdir(path) else "there is no such file"
        raise TableError(f"{source}: {what}; check the path")
    if ending not in ENDINGS:
        raise TableError(
            f"{source}: expected a text table that ends in {', '.join(ENDINGS)}, got "
            f"{ending or 'no ending'}; {OTHERWISE}"
        )
    lines = _first_lines(path)
    if not "".join(lines).strip():
        raise TableError(f"{source}: the table is empty; fill it or choose another file")
    hint = HINT.fullmatch(lines[0].strip("\r\n"))
    separator = hint[1] if hint is not None else find_separator(lines, names)
    number, header = _header(path, separator, reading.get("header_row"))
    cells = dict(enumerate(header))
    places, _ = all_columns(cells)
    with columns_of_run(empty=False):
        needed = find_columns(cells, tuple(map(plain_name, names)), f"{source}, row {number}")
    places |= {name: place for name, place in needed.items() if name not in places}
    # What stands for a missing value in a column that is not there says nothing.
    codes = missing_by_column(reading.get("missing_values", ()), tuple(places))
    missing = {name: codes.of_column.get(name, codes.everywhere) for name in places}
    table = TextTable(path, separator, number, places, missing, {})
    first = next(table.pieces(), None)
    if first is None:
        raise TableError(f"{source}: the header in row {number} has no rows below it; add rows")
    said = notation_of(reading.get("decimal"), reading.get("thousands"))
    of_numbers = [column for column in first.columns.values() if _of_numbers(column, said)]
    ways, _ = notations_of(of_numbers, source, separator, missing, said)
    usual = next(iter(ways.values()), said)
    for column in of_numbers:
        pointed = column_notation(column)
        # Points that are decimal ones in the first rows are so in the last few, too.
        if ways[column.name] == Notation() and pointed.decimal == ".":
            ways[column.name] = pointed
    return table._replace(notations={name: ways.get(name, usual) for name in places})


def _records(path: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Rows with their numbers, that of a first line that names the separator being blank."""
    number = 0
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=separator, strict=True)
            for number, row in enumerate(reader, 1):
                named = number == 1 and HINT.fullmatch(separator.join(row)) is not None
                yield number, [] if named else row
    except UnicodeDecodeError as error:
        raise _encoding(path) from error
    except csv.Error as error:
        raise TableError(
            f"file {path}, row {number + 1}: expected cells in closed quotation marks or none, got "
            f"others ({error}); correct the row"
        ) from error


def _first_lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = list(itertools.islice(file, SEARCHED))
    except UnicodeDecodeError as error:
        raise _encoding(path) from error
    if any("\0" in line for line in lines):
        raise _encoding(path)
    return lines


def _encoding(path: str) -> TableError:
    return TableError(f"file {path}: expected a text table in UTF-8, got another file; {OTHERWISE}")


def _remark(path: str, number: int) -> TableError:
    return TableError(
        f"file {path}, row {number}: expected a row of the table, got a remark that begins with "
        f"#; remove it ({OTHERWISE})"
    )


def _header(path: str, separator: str, header_row: int | None) -> tuple[int, list[str]]:
    for number, row in _records(path, separator):
        blank = not "".join(row).strip()
        if header_row is None and blank:
            continue
        if header_row is not None and number < header_row:
            continue
        if blank:
            break
        if is_comment(row[0]):
            raise _remark(path, number)
        return number, row
    raise TableError(
        f"file {path}: expected the header in row {header_row}, as in the run, got nothing there; "
        f"{OTHERWISE}"
    )


def _cell(row: Sequence[str], place: int) -> str | None:
    cell = row[place] if place < len(row) else ""
    return cell if cell.strip() else None


def _of_numbers(column: Column, notation: Notation) -> bool:
    said = [looks_like_number(cell, notation) for cell in column.cells[:_JUDGED]]
    return said.count(True) > said.count(False)

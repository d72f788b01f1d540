"""The rows below the header: which of them are data, and the cells of the columns in use."""

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from jaxmtl.data._errors import TableError
from jaxmtl.data.reading.dates import is_date
from jaxmtl.data.reading.grid import Grid, SheetRow, column_letter, rows_named
from jaxmtl.data.reading.total_words import is_total_word
from jaxmtl.plain.cells import tidy
from jaxmtl.plain.names import all_columns, count_found, find_columns
from jaxmtl.plain.values import ErrorText, is_blank

_SEARCHED = 50  # rows among which a header is looked for, if it is not the first one
_FIRST = 2  # rows by which a column is taken for one of dates
_ODD = 3  # rows at the end whose names may be unlike all others
_LATEST = 16  # rows at the end in which a text is looked at as a footnote
_JUDGED = 2000  # rows by which a column is one of numbers


class Line(NamedTuple):
    """What is kept of a row.

    Attributes:
        number: in the sheet.
        cells: of the columns that are read.
        used: those of them that hold numbers.
        label: a text in another column that names a total, or else the first text there.
        column: of the label; -1 without one.
        only_texts: whether the other columns hold texts only, or nothing; where all columns are
            read, whether they hold one text at most and nothing else.
        others: whether another column holds something.
        hidden: by a filter or by hand.
    """

    number: int
    cells: tuple[Any, ...]
    used: tuple[Any, ...]
    label: str
    column: int
    only_texts: bool
    others: bool
    hidden: bool


@dataclass
class Body:
    """The rows of a table.

    Attributes:
        header: number of the row of the header.
        columns: position of every name that is read, from 0.
        lines: that may be data.
        last: number of the last row that holds something.
        numbers: names of the columns that hold numbers, those of ``Line.used``.
        unusable: why a column cannot be read, by its name, where all columns are.
        notes: what the user should know.
    """

    header: int
    columns: dict[str, int]
    lines: list[Line]
    last: int
    numbers: tuple[str, ...]
    unusable: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def call(self, at: int, place: int, cell: Any) -> None:
        """Takes a cell of a column of numbers for what its row is called, if it may be that.

        Args:
            at: the row, as the number of its line from 0.
            place: of the column.
            cell: that is no number: it says what the row is called if it names a total, or if it
                is a word of the first column and no other column says so.
        """
        if not isinstance(cell, str) or isinstance(cell, ErrorText):
            return
        line, first = self.lines[at], min(self.columns.values())
        word = not line.label and place == first and "a" in _shape(cell)
        if word or (is_total_word(cell) and not is_total_word(line.label)):
            self.lines[at] = line._replace(label=cell, column=place)


def read_body(
    grid: Grid,
    names: Sequence[str],
    *,
    keep: Sequence[str] = (),
    header_row: int | None,
    visible_rows: bool,
    dates: bool = False,
    is_number: Callable[[Any], bool | None] | None = None,
) -> Body:
    """Finds the header and the rows below it that hold data.

    Args:
        grid: of one sheet; its rows are read to the end.
        names: of the columns in use, or of those that have to be there where all are read.
        keep: names of others whose cells are handed on; they tell what a row is like any other.
        header_row: number of the row of the header; None for the first that is not empty.
        visible_rows: whether hidden rows are left out.
        dates: whether other columns that begin with dates are handed on as well.
        is_number: whether a cell looks like a number, None for a missing one, to read all columns;
            without it the columns in use are read, all of them as numbers.

    Raises:
        TableError: there is no header with these names, or no row below it.
    """
    rows = grid.rows
    head = list(islice(rows, _SEARCHED))
    if not head and header_row is None:
        raise TableError(f"{grid.source}: {grid.blank}")
    place, header = _header(grid, head, names, header_row)
    found = find_columns(
        header.cells,
        tuple(dict.fromkeys((*names, *keep))),
        f"{grid.source}, row {header.number}",
        _other_header(head, place, names),
    )
    below = chain(head[place + 1 :], rows)
    unusable: dict[str, str] = {}
    nameless: list[int] = []
    if is_number is None:
        numbers, columns = list(names), found
        if dates:
            columns |= _dates(header, head[place + 1 :][:_FIRST], set(found.values()))
        lines = _lines(below, [found[name] for name in names], list(columns.values()))
    else:
        columns, unusable = all_columns(header.cells)
        judged = list(islice(below, _JUDGED))
        numbers = [name for name, at in columns.items() if _of_numbers(judged, at, is_number)]
        nameless = sorted({at for row in judged for at in row.cells} - header.cells.keys())
        places = [columns[name] for name in numbers]
        lines = _lines(chain(judged, below), places, list(columns.values()), alone=True)
    lines.sort(key=lambda line: line.number)  # which some programs do not
    while lines and not lines[-1].others and all(map(is_blank, lines[-1].used)):
        lines.pop()
    last = lines[-1].number if lines else header.number
    body = Body(header.number, columns, lines, last, tuple(numbers), unusable)
    if nameless:
        letters = ", ".join(map(column_letter, nameless[:_ODD])) + ", ..." * (len(nameless) > _ODD)
        body.notes.append(f"{grid.source}, column {letters}: without a header, so left out")
    _leave_out(body, grid, visible_rows=visible_rows)
    if lines and not body.lines:
        raise TableError(
            f"{grid.source}: none of the {len(lines)} rows below the header in row "
            f"{header.number} is left, as they are hidden, totals or remarks; add rows of data"
            + (", or leave out --visible-rows" if visible_rows else "")
        )
    if not lines:
        raise TableError(
            f"{grid.source}: the header in row {header.number} has no rows below it; add rows"
        )
    blank = rows_without(header.number, body.last, [*(n.number for n in lines), *grid.skipped])
    if len(blank):
        body.notes.append(f"{grid.source}, {rows_named(blank)}: blank, so left out")
    return body


def rows_without(
    header: int, last: int, numbers: Sequence[int] | Int[np.ndarray, " rows"]
) -> Int[np.ndarray, " others"]:
    """The rows from below a header to a last one that are not among some."""
    others = np.ones(last + 1, bool)
    others[: header + 1] = False
    others[[number for number in numbers if number <= last]] = False
    return np.flatnonzero(others)


def _header(
    grid: Grid, head: list[SheetRow], names: Sequence[str], header_row: int | None
) -> tuple[int, SheetRow]:
    if header_row is None:
        return 0, head[0]
    for place, row in enumerate(head):
        if row.number == header_row:
            return place, row
    # The rows before it may be very many; those that are wanted come after it.
    raise TableError(
        f"{grid.source}: expected the header in row {header_row}, got nothing there among the "
        f"first {_SEARCHED} rows that hold something; choose another row"
    )


def _other_header(head: list[SheetRow], place: int, names: Sequence[str]) -> str:
    """Which row looks like the header instead; empty if none does."""
    found = [count_found(row.cells, names) for row in head]
    best = max(range(len(found)), key=lambda i: found[i], default=place)
    if not found or found[best] <= found[place]:
        return ""
    number = head[best].number
    return f", or name row {number}, which looks like the header, with --header-row {number}"


def _of_numbers(
    rows: Iterable[SheetRow], place: int, is_number: Callable[[Any], bool | None]
) -> bool:
    said = [is_number(row.cells[place]) for row in rows if place in row.cells]
    return said.count(True) > said.count(False)


def _lines(
    rows: Iterable[SheetRow], numbers: Sequence[int], every: Sequence[int], *, alone: bool = False
) -> list[Line]:
    """Rows with what they are called.

    Args:
        rows: below the header.
        numbers: places of the columns that hold numbers.
        every: places of all columns that are read.
        alone: whether a remark is a text that stands alone in its row.
    """
    if not numbers:
        numbers = every  # nothing then says what is a remark
    taken, is_total = frozenset(numbers), functools.cache(is_total_word)
    lines = []
    for number, cells, hidden in rows:
        label, column, only_texts, texts = "", -1, True, 0
        others = cells.keys() - taken
        for place in sorted(others):
            cell = cells[place]
            if is_blank(cell):
                others.discard(place)
            elif not isinstance(cell, str):
                only_texts = False
            else:
                texts += 1
                if column < 0 or (is_total(cell) and not is_total(label)):
                    label, column = cell, place
        used = tuple(map(cells.get, numbers))
        if alone:
            only_texts = only_texts and texts <= 1
        read = used if every == numbers else tuple(map(cells.get, every))
        lines.append(Line(number, read, used, label, column, only_texts, bool(others), hidden))
    return lines


def _dates(header: SheetRow, first: list[SheetRow], taken: set[int]) -> dict[str, int]:
    """Columns that begin with dates, by names that are nowhere twice."""
    names = {place: tidy(str(cell)) for place, cell in header.cells.items() if not is_blank(cell)}
    many = Counter(names.values())
    return {
        name: place
        for place, name in names.items()
        if place not in taken
        and many[name] == 1
        and first
        and all(is_date(row.cells.get(place)) for row in first)
    }


def _leave_out(body: Body, grid: Grid, *, visible_rows: bool) -> None:
    hidden = [line.number for line in body.lines if line.hidden]
    if visible_rows and hidden:
        _drop(body, hidden)
        body.notes.append(f"{grid.source}, {rows_named(hidden)}: hidden, so left out")
    elif hidden:
        body.notes.append(
            f"{grid.source}: {len(hidden)} of {len(body.lines)} rows are hidden, as by a filter, "
            "and are used like the others; --visible-rows leaves them out"
        )
    places = set(body.columns.values())
    marked = {
        number
        for area in grid.totals
        if area.first_row > body.header
        and any(area.first_column <= place <= area.last_column for place in places)
        for number in range(area.first_row, area.last_row + 1)
    }
    totals = [line.number for line in body.lines if line.number in marked]
    if totals:
        _drop(body, totals)
        body.notes.append(f"{grid.source}, {rows_named(totals)}: totals of the table, so left out")
    if grid.skipped:
        body.notes.append(
            f"{grid.source}, {rows_named(grid.skipped)}: beginning with #, so left out"
        )
    for line in _footnotes(body, len(body.numbers)):
        text = line.label or next(cell for cell in line.used if not is_blank(cell))
        body.notes.append(
            f"{grid.source}, row {line.number}: nothing but the text {_short(text)}, so left out"
        )
        _drop(body, [line.number])


def _drop(body: Body, numbers: list[int]) -> None:
    gone = set(numbers)
    body.lines = [line for line in body.lines if line.number not in gone]


def _footnotes(body: Body, width: int) -> list[Line]:
    """Rows that hold a remark and no data."""
    found, shapes = [], {}
    bare = [line for line in body.lines if line.column >= 0 and all(map(is_blank, line.used))]
    bare = [line for line in bare if line.only_texts]
    for line in body.lines if bare else ():
        if line.column >= 0 and not all(map(is_blank, line.used)):
            shapes.setdefault(line.column, set()).add(_shape(line.label))
    for line in bare:
        shape = _shape(line.label)
        if not isinstance(line.label, ErrorText) and "a" in shape:
            if shape not in shapes.get(line.column, ()):
                found.append(line)
    # In a column that is used, only a sentence below all data is no attempt at a number.
    for line in reversed(body.lines[-_LATEST:]):
        texts = [cell for cell in line.used if not is_blank(cell)]
        if line in found:
            continue
        if not (len(texts) == 1 and width > 1 and line.column < 0 and line.only_texts):
            break
        text = texts[0]
        if not isinstance(text, str) or isinstance(text, ErrorText):
            break
        if not re.fullmatch(r"[^\d\s+\-.,]\S*\s+\S.*", text.strip(), re.DOTALL):
            break
        found.append(line)
    return sorted(found, key=lambda line: line.number)


def odd_labels(body: Body) -> list[int]:
    """Places of rows near the end that are called by words, where no other row is."""
    words = [line.column if "a" in _shape(line.label) else -1 for line in body.lines]
    count = Counter(words)
    places = range(max(len(words) - _ODD, 0), len(words))
    if len(words) <= 2 * _ODD:
        return []
    return [i for i in places if words[i] >= 0 and count[words[i]] <= _ODD]


@functools.lru_cache(maxsize=2**16)
def _shape(text: str) -> str:
    """A text with one sign for every word and every number: "day 7" is as "day 12"."""
    text = re.sub(r"\d+", "0", text.strip())
    return re.sub(r"[^\W\d_]+", "a", text)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= 40 else f"{text[:37]}...")

"""The rows below the header: which of them are data, and the cells of the columns in use."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from jaxmtl.data._errors import TableError
from jaxmtl.data.reading.cells import tidy
from jaxmtl.data.reading.dates import is_date
from jaxmtl.data.reading.grid import Grid, SheetRow, rows_named
from jaxmtl.data.reading.names import count_found, find_columns
from jaxmtl.data.reading.total_words import is_total_word
from jaxmtl.data.reading.values import ErrorText, is_blank

_SEARCHED = 50  # rows among which a header is looked for, if it is not the first one
_FIRST = 2  # rows by which a column is taken for one of dates
_ODD = 3  # rows at the end whose names may be unlike all others
_LATEST = 16  # rows at the end in which a text is looked at as a footnote


class Line(NamedTuple):
    """What is kept of a row.

    Attributes:
        number: in the sheet.
        used: cells of the columns in use.
        kept: cells that are handed on.
        label: a text in another column that names a total, or else the first text there.
        column: of the label; -1 without one.
        only_texts: whether the other columns hold texts only, or nothing.
        others: whether another column holds something.
        hidden: by a filter or by hand.
    """

    number: int
    used: tuple[Any, ...]
    kept: tuple[Any, ...]
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
        columns: position of every name in use, from 0.
        kept: the same of columns whose cells are handed on.
        lines: that may be data.
        last: number of the last row that holds something.
        notes: what the user should know.
    """

    header: int
    columns: dict[str, int]
    kept: dict[str, int]
    lines: list[Line]
    last: int
    notes: list[str] = field(default_factory=list)


def read_body(
    grid: Grid,
    names: Sequence[str],
    *,
    keep: Sequence[str] = (),
    header_row: int | None,
    visible_rows: bool,
    dates: bool = False,
) -> Body:
    """Finds the header and the rows below it that hold data.

    Args:
        grid: of one sheet; its rows are read to the end.
        names: of the columns in use.
        keep: names of others whose cells are handed on; they tell what a row is like any other.
        header_row: number of the row of the header; None for the first that is not empty.
        visible_rows: whether hidden rows are left out.
        dates: whether other columns that begin with dates are handed on as well.

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
    columns, kept = ({name: found[name] for name in some} for some in (names, keep))
    if dates:
        kept |= _dates(header, head[place + 1 :][:_FIRST], set(found.values()))
    wanted, handed_on = tuple(columns.values()), tuple(kept.values())
    taken = set(wanted)
    lines = [_line(row, wanted, taken, handed_on) for row in chain(head[place + 1 :], rows)]
    lines.sort(key=lambda line: line.number)  # which some programs do not
    while lines and not lines[-1].others and all(map(is_blank, lines[-1].used)):
        lines.pop()
    last = lines[-1].number if lines else header.number
    body = Body(header.number, columns, kept, lines, last)
    _leave_out(body, grid, visible_rows=visible_rows)
    if not body.lines:
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


def _line(
    row: SheetRow, wanted: tuple[int, ...], taken: set[int], handed_on: tuple[int, ...]
) -> Line:
    label, column, only_texts, others = "", -1, True, False
    for place in sorted(row.cells):
        cell = row.cells[place]
        if place in taken or is_blank(cell):
            continue
        others = True
        if not isinstance(cell, str):
            only_texts = False
        elif column < 0 or (is_total_word(cell) and not is_total_word(label)):
            label, column = cell, place
    used, kept = (tuple(map(row.cells.get, places)) for places in (wanted, handed_on))
    return Line(row.number, used, kept, label, column, only_texts, others, row.hidden)


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
    for line in _footnotes(body, len(body.columns)):
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
    for line in body.lines:
        if line.column >= 0 and not all(map(is_blank, line.used)):
            shapes.setdefault(line.column, set()).add(_shape(line.label))
    for line in body.lines:
        if not all(map(is_blank, line.used)) or line.column < 0 or not line.only_texts:
            continue
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


def _shape(text: str) -> str:
    """A text with one sign for every word and every number: "day 7" is as "day 12"."""
    text = re.sub(r"\d+", "0", text.strip())
    return re.sub(r"[^\W\d_]+", "a", text)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= 40 else f"{text[:37]}...")

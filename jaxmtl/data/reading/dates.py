"""Columns of dates or of numbers by which rows can be put in order."""

import datetime
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxmtl.data._errors import TableError
from jaxmtl.plain.values import is_blank

_TIME = r"(?:[T\s]+(?P<hour>\d{1,2})[:.](?P<minute>\d{2})(?:[:.](?P<second>\d{2}(?:[.,]\d+)?))?)?"
_ZONE = r"\s*(?P<zone>Z|[+-]\d{2}:?\d{2})?"
_NAMES = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_YEAR_FIRST = re.compile(
    r"(?P<year>\d{4})[-/.年](?P<month>\d{1,2})(?:月|[-/.](?P<day>\d{1,2})|月(?P<day2>\d{1,2})日)?"
    + _TIME
    + _ZONE
)
_YEAR_LAST = re.compile(
    r"(?P<first>\d{1,2})(?P<sign>[-/.])(?P<second_>\d{1,2})(?P=sign)(?P<year>\d{4})" + _TIME + _ZONE
)
_NAMED = re.compile(
    r"(?:(?P<day>\d{1,2})[-\s.]+)?(?P<name>[A-Za-z]{3,9})\.?[-\s]+(?:(?P<day2>\d{1,2}),?\s+)?"
    r"(?P<year>\d{4})" + _TIME + _ZONE
)
_COMPACT = re.compile(r"(?P<year>(?:18|19|20|21)\d{2})(?P<month>\d{2})(?P<day>\d{2})")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


class _Order(NamedTuple):
    """What two numbers before a year mean; None where no cell of the column tells."""

    day_first: bool | None


def is_date(cell: Any) -> bool:
    """Whether a cell holds a date, as a date or as a text that can be nothing else.

    Args:
        cell: of a table.

    Returns:
        False for numbers, times of a day and blank cells.

    Example:
        >>> [is_date(cell) for cell in ("2021-04-29", "20210429", "3.5", None)]
        [True, True, False, False]
    """
    if isinstance(cell, datetime.date):
        return True
    if isinstance(cell, int) and not isinstance(cell, bool):
        cell = str(cell)
    if not isinstance(cell, str):
        return False
    return any(_of_text(cell, _Order(first)) is not None for first in (True, False))


def read_times(cells: Sequence[Any], places: Sequence[str]) -> Float[np.ndarray, " rows"]:
    """Numbers that rise with the dates or numbers of a column.

    Args:
        cells: of the column: dates, texts that are dates, or numbers; all of one kind.
        places: how a sentence names each of them.

    Returns:
        Seconds, or the numbers themselves.

    Raises:
        TableError: a cell is blank or no date, or not of the kind of the others.

    Example:
        >>> read_times(["1 Mar 2021", "2 Mar 2021"], ["row 2", "row 3"]).tolist()
        [1614556800.0, 1614643200.0]
    """
    order = _order(cells, places)
    times, kinds = np.empty(len(cells)), []
    for i, cell in enumerate(cells):
        kind, value = _of_cell(cell, order)
        if value is None:
            got = "nothing" if is_blank(cell) else repr(cell)
            raise TableError(
                f"{places[i]}: expected a date or a number to order the rows by, got {got:.60}; "
                "fill it in, write it as 2021-04-29, or leave the row out"
            )
        if kinds and kind != kinds[0]:
            raise TableError(
                f"{places[i]}: expected {kinds[0]} as in the rows before it, got {kind}, {cell!r}; "
                "write the column in one way"
            )
        kinds.append(kind)
        times[i] = value
    return times


def _order(cells: Sequence[Any], places: Sequence[str]) -> _Order:
    """Whether days stand before months, which one cell with a number above 12 tells."""
    found: dict[bool, int] = {}
    open_at = None
    for i, cell in enumerate(cells):
        match = _YEAR_LAST.fullmatch(cell.strip()) if isinstance(cell, str) else None
        if match is None:
            continue
        first, second = int(match["first"]), int(match["second_"])
        if first > 12 >= second or match["sign"] == ".":
            found.setdefault(True, i)
        elif second > 12 >= first:
            found.setdefault(False, i)
        elif first != second and open_at is None:
            open_at = i
    if len(found) == 2:
        raise TableError(
            f"{places[found[False]]}: expected the day before the month as in "
            f"{cells[found[True]]!r}, got {cells[found[False]]!r}; write dates as 2021-04-29"
        )
    if not found and open_at is not None:
        raise TableError(
            f"{places[open_at]}: {cells[open_at]!r} does not say which number is the day, nor does "
            "any other row; write dates as 2021-04-29"
        )
    return _Order(next(iter(found), None))


def _of_cell(cell: Any, order: _Order) -> tuple[str, float | None]:
    if isinstance(cell, datetime.datetime):
        return "a date", _seconds(cell)
    if isinstance(cell, datetime.date):
        return "a date", _seconds(datetime.datetime.combine(cell, datetime.time()))
    if isinstance(cell, datetime.time):
        return "a time", cell.hour * 3600.0 + cell.minute * 60 + cell.second
    if isinstance(cell, bool):
        return "true or false", None
    if isinstance(cell, int | float):
        number = float(cell)
        return "a number", number if np.isfinite(number) else None
    if not isinstance(cell, str):
        return type(cell).__name__, None
    text = cell.strip()
    if _NUMBER.fullmatch(text):  # also 20210429, which rises like its date
        return "a number", float(text) if np.isfinite(float(text)) else None
    when = _of_text(text, order)
    return "a date", None if when is None else _seconds(when)


def _of_text(text: str, order: _Order) -> datetime.datetime | None:
    text = text.strip()
    for pattern in (_YEAR_FIRST, _YEAR_LAST, _NAMED, _COMPACT):
        match = pattern.fullmatch(text)
        if match is not None:
            try:
                return _of_parts(match.groupdict(), order)
            except ValueError:
                return None
    return None


def _of_parts(parts: dict[str, Any], order: _Order) -> datetime.datetime:
    """Raises ValueError for what is in no calendar."""
    day: Any = parts.get("day") or parts.get("day2") or 1
    month: Any = parts.get("month")
    if "first" in parts:
        both = parts["first"], parts["second_"]
        day, month = both if order.day_first is not False else both[::-1]
    if "name" in parts:
        month = _NAMES.index(parts["name"][:3].casefold()) + 1
    second = float((parts.get("second") or "0").replace(",", "."))
    clock = int(parts.get("hour") or 0), int(parts.get("minute") or 0), int(second)
    year, month, day = (int(str(part)) for part in (parts["year"], month, day))
    when = datetime.datetime(year, month, day, *clock)
    when += datetime.timedelta(seconds=second - int(second))
    zone = parts.get("zone")
    if zone and zone != "Z":
        minutes = int(zone[1:3]) * 60 + int(zone[-2:])
        when -= datetime.timedelta(minutes=minutes if zone[0] == "+" else -minutes)
    return when


def _seconds(when: datetime.datetime) -> float:
    return (when.replace(tzinfo=None) - datetime.datetime(1970, 1, 1)).total_seconds()

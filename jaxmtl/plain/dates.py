"""Dates and times in cells: which texts are dates, and whether the day or the month comes first."""

import datetime
import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from .cells import tidy

DateOrder = Literal["ymd", "dmy", "mdy"]
DAY = 86400.0  # seconds
_EPOCH = datetime.datetime(1970, 1, 1)
_MONTHS = {
    name[:length]: number
    for number, name in enumerate(
        "january february march april may june july august september october november "
        "december".split(),
        1,
    )
    for length in (3, 4, len(name))
}
_CLOCK = (
    r"(?P<h>\d{1,2})(?P<c>[:.时点])(?P<m>\d{2})(?:[:.分](?P<s>\d{2})(?:[.,]\d+)?)?[分秒]?"
    r"\s*(?P<half>[AaPp]\.?[Mm]\.?)?\s*(?:Z|UTC|[+-]\d{2}:?\d{2})?"
)
_HOUR = r"(?P<h0>\d{1,2})时?"
_SPAN = r"(?:T|,?\s+|(?<=日))"
_TIME = rf"(?:{_SPAN}(?:{_CLOCK}|{_HOUR}))?"
_YEAR_FIRST = re.compile(
    r"(?P<y>[12]\d{3})(?:(?P<sep>[-/.])(?P<b>\d{1,2})(?:(?P=sep)(?P<d>\d{1,2})|(?<!\.\d)(?<!\.\d\d))|"
    rf"年(?P<b2>\d{{1,2}})月(?:(?P<d2>\d{{1,2}})日)?){_TIME}"
)
_YEAR_LAST = re.compile(
    rf"(?P<a>\d{{1,2}})(?P<sep>[-/.])(?P<b>\d{{1,2}})(?P=sep)(?P<y>\d{{4}}|\d{{2}}){_TIME}"
)
_NAMED = re.compile(
    r"(?:[A-Za-z]{3,9},?\s+)??(?:(?P<d>\d{1,2})(?:st|nd|rd|th)?[\s.-]*(?P<n>[A-Za-z]{3,9})"
    r"|(?P<n2>[A-Za-z]{3,9})\.?\s+(?P<d2>\d{1,2})(?:st|nd|rd|th)?)[\s.,-]*(?P<y>\d{4}|\d{2})"
    rf"{_TIME}"
)
_ALONE = re.compile(_CLOCK)
_STAMP = re.compile(r"(?P<y>(?:19|20)\d{2})(?P<b>\d{2})(?P<d>\d{2})")


class DateParts(NamedTuple):
    """What a text says of a date, before it is known which of two numbers is the month.

    Attributes:
        form: "ymd" where that is known, "?" where the order of the first two numbers is not, and
            "time" without a date.
        year: 0 without a date.
        first: the month, or the first of two numbers.
        second: the day, or the second of two numbers.
        seconds: since midnight; None without a time.
        separator: between the numbers.
    """

    form: Literal["ymd", "?", "time"]
    year: int
    first: int
    second: int
    seconds: float | None
    separator: str = ""


class Dates(NamedTuple):
    """A column of dates.

    Attributes:
        seconds: since 1970, or since midnight where only times are given; NaN where missing.
        has_days: whether there are dates.
        has_times: whether there are times besides, other than midnight.
    """

    seconds: np.ndarray
    has_days: bool
    has_times: bool


def date_parts(cell: Any, *, stamps: bool = False) -> DateParts | None:
    """What a cell says of a date; None for what is no date.

    Args:
        cell: of a sheet.
        stamps: whether 20150131 is a date, too.

    Example:
        >>> date_parts("2015年1月31日")[1:4], date_parts("31.01.2015").form, date_parts("12.5")
        ((2015, 1, 31), '?', None)
    """
    if isinstance(cell, datetime.datetime):
        moment = cell.replace(tzinfo=None)
        seconds = (moment - datetime.datetime.combine(moment, datetime.time())).total_seconds()
        return DateParts("ymd", moment.year, moment.month, moment.day, seconds)
    if isinstance(cell, datetime.date):
        return DateParts("ymd", cell.year, cell.month, cell.day, None)
    if isinstance(cell, datetime.time):
        since = cell.hour * 3600 + cell.minute * 60 + cell.second
        return DateParts("time", 0, 0, 0, float(since))
    if isinstance(cell, datetime.timedelta):
        return DateParts("time", 0, 0, 0, cell.total_seconds())
    if stamps and isinstance(cell, int | float) and not isinstance(cell, bool):
        cell = f"{cell:.0f}" if cell == cell else ""
    if not isinstance(cell, str) or not cell or len(cell) > 60:
        return None
    return _of_text(tidy(cell), stamps=stamps)


def is_day(cell: Any) -> bool:
    """Whether a cell holds a date, with or without a time.

    Example:
        >>> is_day("2021-04-29"), is_day("20210429"), is_day("12:30"), is_day(3.5)
        (True, True, False, False)
    """
    parts = date_parts(cell, stamps=isinstance(cell, str))
    return parts is not None and parts.form != "time"


def _of_text(text: str, *, stamps: bool) -> DateParts | None:
    if found := _YEAR_FIRST.fullmatch(text):
        month, day = found["b"] or found["b2"], found["d"] or found["d2"] or "1"
        return _checked("ymd", int(found["y"]), int(month), int(day), found)
    if found := _YEAR_LAST.fullmatch(text):
        year = _full_year(found["y"])
        parts = _checked("?", year, int(found["a"]), int(found["b"]), found, found["sep"])
        if parts is not None:  # or else perhaps a time: 18.00.00
            return parts
    if found := _NAMED.fullmatch(text):
        month = _MONTHS.get((found["n"] or found["n2"]).casefold())
        if month is not None:
            day = int(found["d"] or found["d2"])
            return _checked("ymd", _full_year(found["y"]), month, day, found)
    if stamps and (found := _STAMP.fullmatch(text)):
        return _checked("ymd", int(found["y"]), int(found["b"]), int(found["d"]), None)
    if found := _ALONE.fullmatch(text):
        # 12.50 is a number; 12:50 and 12.50.00 are none.
        seconds = _seconds(found) if found["c"] != "." or found["s"] else None
        return None if seconds is None else DateParts("time", 0, 0, 0, seconds)
    return None


def _full_year(text: str) -> int:
    year = int(text)
    return year if len(text) == 4 else year + (2000 if year < 69 else 1900)


def _checked(
    form: Literal["ymd", "?"], year: int, first: int, second: int, found: Any, separator: str = ""
) -> DateParts | None:
    seconds = None
    if found is not None and (found["h"] or found["h0"]):
        seconds = _seconds(found)
        if seconds is None:
            return None
    if form == "ymd" and not (1 <= first <= 12 and 1 <= second <= 31):
        return None
    if form == "?" and not (1 <= min(first, second) <= 12 and max(first, second) <= 31):
        return None
    return DateParts(form, year, first, second, seconds, separator)


def _seconds(found: re.Match[str]) -> float | None:
    if not found["h"]:
        hour, minute, second = int(found["h0"]), 0, 0
    else:
        hour, minute, second = int(found["h"]), int(found["m"]), int(found["s"] or 0)
        if half := found["half"]:
            if not 1 <= hour <= 12:
                return None
            hour = hour % 12 + 12 * (half[0] in "pP")
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and minute + second):
        return None
    return hour * 3600.0 + minute * 60 + second


def seconds_of(parts: DateParts, order: DateOrder) -> float | None:
    """Seconds since 1970, or since midnight without a date; None for a day that there is not.

    Args:
        parts: from ``date_parts``.
        order: which of two numbers is the month.

    Example:
        >>> seconds_of(date_parts("02.01.1970"), "dmy"), seconds_of(date_parts("00:01"), "ymd")
        (86400.0, 60.0)
    """
    if parts.form == "time":
        return parts.seconds
    month, day = parts.first, parts.second
    if parts.form == "?" and order == "dmy":
        month, day = day, month
    try:
        days = (datetime.datetime(parts.year, month, day) - _EPOCH).days
    except ValueError:
        return None
    return days * DAY + (parts.seconds or 0.0)


def possible_orders(parts: Sequence[DateParts]) -> tuple[DateOrder, ...]:
    """In which orders all dates of a column can be read; with points the day comes first.

    Args:
        parts: of a column.

    Returns:
        "ymd" alone where no text leaves a choice.

    Example:
        >>> possible_orders([date_parts("01/02/2015"), date_parts("01/13/2015")])
        ('mdy',)
        >>> possible_orders([date_parts("01/02/2015")])
        ('dmy', 'mdy')
    """
    open_ones = [one for one in parts if one.form == "?"]
    if not open_ones:
        return ("ymd",)
    orders: list[DateOrder] = []
    if all(one.second <= 12 for one in open_ones):
        orders.append("dmy")
    pointed = all(one.separator == "." for one in open_ones)
    if all(one.first <= 12 for one in open_ones) and not (pointed and orders):
        orders.append("mdy")
    return tuple(orders)

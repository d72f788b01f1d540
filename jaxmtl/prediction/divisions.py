"""How rows are divided to see where predictions are wrong: by time, and by category."""

import datetime
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxmtl.data import CellTable, Columns
from jaxmtl.data.hints import column_codes, time_of
from jaxmtl.data.typed import dates_of, levels_of, looks_of
from jaxmtl.plain.dates import DAY

Kind = Literal["prediction", "time", "month", "hour"]
MOST_SPANS = 24  # that can be read
EQUAL_SPANS = 12
ROWS_OF_A_SPAN = 10
MOST_CATEGORIES, MOST_LEVELS = 30, 200  # columns, and levels of each, that are looked at
MOST_IDENTIFYING = 3  # columns by which a row is named
MISSING = "missing"  # as a level
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Division(NamedTuple):
    """Rows in parts.

    Attributes:
        kind: "time" for spans of it, "month" of the year, "hour" of the day; "prediction" where
            parts are those of what is predicted; None for the levels of a category.
        column: by which rows are divided.
        labels: of the parts, in their order.
        part: of each row, below 0 where it has none.

    Example:
        >>> Division("month", "day", ("Jan",), np.array([0])).labels
        ('Jan',)
    """

    kind: Kind | None
    column: str
    labels: tuple[str, ...]
    part: Int[np.ndarray, " rows"]


class Moments(NamedTuple):
    """When rows were.

    Attributes:
        column: that says so.
        values: seconds of dates, or numbers; NaN where it does not.
        dates: whether there are days.
        times: whether there are hours.
    """

    column: str
    values: Float[np.ndarray, " rows"]
    dates: bool
    times: bool


def moments_of(
    table: CellTable, columns: Columns, rows: Int[np.ndarray, " shown"]
) -> Moments | None:
    """When rows were, by the column of times or else by the first of dates.

    Args:
        table: of cells.
        columns: what they are.
        rows: places of the rows in the table.

    Returns:
        Their moments; None for a table without.

    Example:
        >>> from jaxmtl.data import infer_columns, table_of_cells
        >>> table = table_of_cells({"day": ["1970-01-02", "1970-01-01"], "b": [1, 2]})
        >>> moments_of(table, infer_columns(table, targets=["b"]), np.array([1])).values.tolist()
        [0.0]
    """
    dates = [column for column in columns.columns if column.kind == "date"]
    if columns.time is not None and columns.time not in [column.name for column in dates]:
        looks = looks_of(table, columns.time)
        days = looks.dates > looks.known / 2
        return Moments(columns.time, time_of(table, columns)[rows], days, False)
    dates.sort(key=lambda column: column.name != columns.time)
    if not dates:
        return None
    found, _ = dates_of(table, dates[0].name, dates[0].order, stamps=True)
    times = found.has_times or not found.has_days
    return Moments(dates[0].name, found.seconds[rows], found.has_days, times)


def divisions_of_time(moments: Moments) -> list[Division]:
    """Spans of time; the months of the year where there are several of them; the hours of the day.

    Args:
        moments: of the rows.

    Returns:
        Those in which there are two parts or more.

    Example:
        >>> days = np.arange(0, 800.0) * 86400
        >>> [(one.kind, len(one.labels)) for one in
        ...  divisions_of_time(Moments("day", days, True, False))]
        [('time', 9), ('month', 12)]
    """
    known = np.isfinite(moments.values)
    values = np.where(known, moments.values, 0.0)
    found = []
    if not known.any():
        return []
    name, every = moments.column, values[known]
    if moments.dates:
        found.append(_calendar(name, values, known) or _equal_spans(name, values, known, _day))
        months = _units(values, "M")
        if len(np.unique(months[known])) > 12:
            found.append(Division("month", name, MONTHS, np.where(known, months % 12, -1)))
    elif not moments.times:
        found.append(_equal_spans(name, values, known, "{:.6g}".format))
    if moments.times and len(np.unique(every % DAY // 3600)) > 1:
        hours = tuple(f"{hour:02d}:00" for hour in range(24))
        part = np.where(known, values % DAY // 3600, -1).astype(int)
        found.append(Division("hour", name, hours, part))
    return [one for one in found if one is not None]


def divisions_by_category(
    table: CellTable, columns: Columns, rows: Int[np.ndarray, " shown"]
) -> list[Division]:
    """The levels of every category and of the column of groups; where a number is missing.

    Args:
        table: of cells.
        columns: what they are.
        rows: places of the rows in the table.

    Returns:
        One a column; of many levels the most frequent. A gap is a level, too.

    Example:
        >>> from jaxmtl.data import infer_columns, table_of_cells
        >>> table = table_of_cells({"city": ["A", "B", "B"], "b": [1, 2, 3]})
        >>> columns = infer_columns(table, targets=["b"], kinds={"city": "category"})
        >>> found, = divisions_by_category(table, columns, np.arange(3))
        >>> found.labels, found.part.tolist()
        (('B', 'A'), [1, 0, 0])
    """
    gaps = [one for one in columns.columns if one.kind == "number" and one.missing]
    gaps.sort(key=lambda column: -column.missing)
    found = [_levels(table, name, rows) for name in _categories(columns)[:MOST_CATEGORIES]]
    for column in gaps[:MOST_CATEGORIES]:
        part = np.where(np.isnan(table.numbers(column.name)[rows]), 0, -1)
        found.append(Division(None, column.name, (MISSING,), part))
    return found


def identifying(columns: Columns) -> tuple[str, ...]:
    """Columns by which a reader knows a row again: dates first, then groups and categories.

    Args:
        columns: what they are.

    Returns:
        At most three names.
    """
    dates = [column.name for column in columns.columns if column.kind == "date"]
    names = [name for name in (columns.time, columns.group) if name is not None]
    names = [*names, *dates, *_categories(columns)]
    return tuple(dict.fromkeys(names))[:MOST_IDENTIFYING]


def cell_words(cell: Any) -> str:
    """A cell as a reader knows it; a day without an hour where it is midnight.

    Args:
        cell: of a sheet.

    Example:
        >>> cell_words(datetime.datetime(2020, 7, 1)), cell_words(None), cell_words(3.0)
        ('2020-07-01', '', '3')
    """
    if isinstance(cell, datetime.datetime) and cell.time() == datetime.time():
        return cell.date().isoformat()
    if isinstance(cell, float) and cell.is_integer():
        return f"{cell:.0f}"
    return "" if cell is None else str(cell)


def _categories(columns: Columns) -> list[str]:
    names = [column.name for column in columns.columns if column.kind == "category"]
    first = [] if columns.group is None else [columns.group]
    return list(dict.fromkeys([*first, *names]))


def _levels(table: CellTable, name: str, rows: np.ndarray) -> Division:
    codes = column_codes(table, name)[rows]
    found, first, part, counts = np.unique(
        codes, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.lexsort((found, -counts))[:MOST_LEVELS]
    place = np.full(len(found), -1)
    place[order] = np.arange(len(order))
    levels = levels_of(table, name)
    labels = tuple(levels[i] or MISSING for i in rows[first[order]].tolist())
    return Division(None, name, labels, place[part])


def _units(seconds: np.ndarray, unit: str) -> np.ndarray:
    """Whole days, months or years since 1970."""
    return np.floor(seconds).astype("datetime64[s]").astype(f"datetime64[{unit}]").astype(int)


def _calendar(name: str, seconds: np.ndarray, known: np.ndarray) -> Division | None:
    """The finest spans of the calendar that can be read and hold enough rows; None without any."""
    days, months = _units(seconds, "D"), _units(seconds, "M")
    # The first day of 1970 was a Thursday.
    spans = ((days, _of_day), ((days + 3) // 7, _of_week), (months, _of_month))
    spans += ((months // 3, _of_quarter), (months // 12, _of_year))
    for unit, label in spans:
        low, high = int(unit[known].min()), int(unit[known].max())
        number = high - low + 1
        if number == 1:
            return None
        if number <= MOST_SPANS and known.sum() >= ROWS_OF_A_SPAN * number:
            labels = tuple(label(low + i) for i in range(number))
            return Division("time", name, labels, np.where(known, unit - low, -1))
    return None


def _equal_spans(name: str, values: np.ndarray, known: np.ndarray, label: Any) -> Division | None:
    low, high = values[known].min(), values[known].max()
    number = min(EQUAL_SPANS, int(known.sum()) // ROWS_OF_A_SPAN)
    if number < 2 or not low < high:
        return None
    edges = np.linspace(low, high, number + 1)
    part = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, number - 1)
    labels: Sequence[str] = [
        f"{label(a)} to {label(b)}" for a, b in zip(edges[:-1], edges[1:], strict=True)
    ]
    return Division("time", name, tuple(labels), np.where(known, part, -1))


def _day(seconds: float) -> str:
    return _of_day(int(seconds // DAY))


def _of_day(day: int) -> str:
    return str(np.datetime64(day, "D"))


def _of_week(week: int) -> str:
    return f"week of {_of_day(7 * week - 3)}"


def _of_month(month: int) -> str:
    return f"{MONTHS[month % 12]} {1970 + month // 12}"


def _of_quarter(quarter: int) -> str:
    return f"{1970 + quarter // 4} Q{quarter % 4 + 1}"


def _of_year(year: int) -> str:
    return str(1970 + year)

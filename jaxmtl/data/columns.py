"""What the columns of a table are, as far as they are used."""

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

from jaxmtl._words import short
from jaxmtl.data.kinds import ColumnKind
from jaxmtl.plain.dates import DateOrder
from jaxmtl.tasks import Task

_MOST_SHOWN = 4  # levels of a category in a line
_FIRST, _LAST = -62_135_596_800, 253_402_300_799  # the years 1 to 9999, in seconds since 1970


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
    """A column to predict from.

    Attributes:
        name: of the column.
        kind: "number", "category" or "date".
        missing: rows in which it holds nothing.
        rows: of the table.
        low: least number, or the first date in seconds since 1970; None for a category.
        high: greatest number, or the last date.
        levels: of a category, the most frequent first, or in their order.
        ordered: whether the levels have an order.
        order: of day and month in the texts of dates.
        parts: of a date, what is made of it: "year", "season", "weekday", "hour".

    Example:
        >>> Column(name="CO", kind="number", rows=10, missing=1, low=0.2, high=4.0).range_words
        '0.2 to 4'
    """

    name: str
    kind: ColumnKind
    missing: int = 0
    rows: int = 0
    low: float | None = None
    high: float | None = None
    levels: tuple[str, ...] = ()
    ordered: bool = False
    order: DateOrder = "ymd"
    parts: tuple[str, ...] = ()

    @property
    def made(self) -> str:
        """What is made of it, in words."""
        if self.kind == "date":
            return ", ".join(self.parts) or "nothing: all dates are alike"
        if self.kind == "category":
            return f"{len(self.levels)} levels" + (" in their order" if self.ordered else "")
        return "scaled" + (", gaps marked" if self.missing else "")

    @property
    def range_words(self) -> str:
        """Its range, or its most frequent levels."""
        if self.kind == "category":
            more = len(self.levels) - _MOST_SHOWN
            listed = (" < " if self.ordered else ", ").join(self.levels[:_MOST_SHOWN])
            return listed + (f", and {more} more" if more > 0 else "")
        if self.low is None or self.high is None:
            return ""
        if self.kind == "number":
            return f"{self.low:.6g} to {self.high:.6g}"
        return f"{_moment(self.low, self.parts)} to {_moment(self.high, self.parts)}"

    @property
    def has_dates(self) -> bool:
        """Whether the ends of its range are dates of the calendar, if it is one of dates."""
        ends = (self.low, self.high) if self.kind == "date" else ()
        return all(end is None or _FIRST <= end <= _LAST for end in ends)

    def to_json(self) -> dict[str, Any]:
        """As texts, numbers and lists."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    @staticmethod
    def from_json(saved: Mapping[str, Any]) -> "Column":
        """The column that ``to_json`` was called on.

        Args:
            saved: perhaps by way of a file; fields that there are not are passed over.

        Returns:
            The column.

        Raises:
            ValueError: a field that is missing.

        Example:
            >>> column = Column(name="city", kind="category", levels=("A", "B"))
            >>> Column.from_json(column.to_json()) == column
            True
        """
        names = {field.name for field in dataclasses.fields(Column)}
        if not isinstance(saved, Mapping) or not {"name", "kind"} <= set(saved):
            raise ValueError(
                f"column: expected fields of a column, name and kind among them, got {short(saved)}"
            )
        own = {name: saved[name] for name in names & set(saved)}
        lists = {name: tuple(value) for name, value in own.items() if isinstance(value, list)}
        return Column(**{**own, **lists})


def _moment(seconds: float, parts: tuple[str, ...]) -> str:
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)
    if parts == ("hour",) and seconds <= 86400:
        return f"{moment:%H:%M}"
    return f"{moment:%Y-%m-%d %H:%M}" if moment.time() != datetime.time() else f"{moment:%Y-%m-%d}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Columns:
    """What is predicted from what.

    Attributes:
        columns: to predict from, in the order of the table.
        tasks: to be predicted.
        left_out: columns that are not used, with the reason.
        notes: what the user should know of them.
        group: column of which the rows of one value stay together; None: rows stand alone.
        time: column that says when a row was; None: order is of no meaning.

    Example:
        >>> columns = Columns(columns=(Column(name="CO", kind="number"),), tasks=(Task(name="O3"),))
        >>> columns.features, columns.targets
        (('CO',), ('O3',))
    """

    columns: tuple[Column, ...]
    tasks: tuple[Task, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    group: str | None = None
    time: str | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the columns to predict from."""
        return tuple(column.name for column in self.columns)

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return tuple(task.name for task in self.tasks)

    @property
    def used(self) -> tuple[str, ...]:
        """Names of all columns that have to be in a table to learn from."""
        further = (name for name in (self.group, self.time) if name is not None)
        return tuple(dict.fromkeys((*self.features, *self.targets, *further)))

"""Where predictions are wrong: when, at which predictions, in which categories, and in which rows.

All of it is of rows that were not learned from. Many parts are looked at, some of which are worse
by chance alone: intervals hold for all parts of a division together, and what is called worse is so
with 95 % certainty among all parts of all divisions and tasks.
"""

from typing import Annotated, Any

import numpy as np
from jaxtyping import Bool, Float, Int
from msgspec import Meta, Struct

from jaxmtl.data import CellTable, Columns, Data
from jaxmtl.prediction.divisions import (
    ROWS_OF_A_SPAN,
    Division,
    Kind,
    divisions_by_category,
    divisions_of_time,
    moments_of,
)
from jaxmtl.prediction.predictor import values_of
from jaxmtl.prediction.reliability import Reliability, reliability_of
from jaxmtl.prediction.worst_rows import WorstRows, worst_rows
from jaxmtl.statistics.batch_means import Batches, Means
from jaxmtl.statistics.conformal import binomial_ends
from jaxmtl.tasks import Task, output_slices

TENTHS = 10
WORST_LEVELS = 5
MOST_CELLS, FEWEST_ROWS = 600_000, 20_000  # rows times tasks that are divided
LEVEL = 0.95
ONE_SIDED = 2 * LEVEL - 1  # of an interval whose lower end alone has the other doubt

Count = Annotated[int, Meta(ge=0)]
Size = Annotated[float, Meta(ge=0)]


class Parts(Struct):
    """Errors of a task in the parts of a division; null where there are too few rows.

    Attributes:
        rows: of each part, whose label is known.
        typical: typical error (RMSE); of classes the share of the rows that is wrong.
        low: lower ends of its interval: 95 % sure of all parts together.
        high: upper ends.
        times: how many times larger errors are than those of all rows, at least, 95 % sure of all
            parts of all divisions and tasks: the lower end of the ratio of mean absolute errors,
            which a few extreme rows sway less than squares.
        bias: of numbers the mean of observed less predicted; null for classes.
        bias_low: lower ends of its interval.
        bias_high: upper ends.
        predicted: of numbers the mean prediction.

    Example:
        >>> Parts([9], [1.0], [0.5], [2.0], [0.7], [0.1], [-0.3], [0.5], [7.0]).rows
        [9]
    """

    rows: list[Count]
    typical: list[Size | None]
    low: list[Size | None]
    high: list[Size | None]
    times: list[Size | None]
    bias: list[float | None]
    bias_low: list[float | None]
    bias_high: list[float | None]
    predicted: list[float | None]

    def __post_init__(self) -> None:
        """Checks what a file says."""
        for name in self.__struct_fields__:
            if len(getattr(self, name)) != len(self.rows):
                raise ValueError(f"{name}: expected {len(self.rows)} parts")


class Divided(Struct):
    """Errors in the parts of a division.

    Attributes:
        kind: "prediction" for tenths of what is predicted, "time" for spans of it, "month" of the
            year, "hour" of the day.
        column: by which rows are divided; empty for the prediction.
        labels: of the parts; none for tenths, which are those of each task.
        tasks: by name; classes are not divided by prediction.

    Example:
        >>> Divided("month", "day", ["Jan"], {}).kind
        'month'
    """

    kind: Kind
    column: str
    labels: list[str]
    tasks: dict[str, Parts]

    def __post_init__(self) -> None:
        """Checks what a file says."""
        for name, parts in self.tasks.items():
            if self.kind != "prediction" and len(parts.rows) != len(self.labels):
                raise ValueError(f"{name}: expected {len(self.labels)} parts of {self.column}")


class LevelError(Struct):
    """Errors where a category is of one level; see ``Parts``."""

    column: str
    level: str
    rows: Count
    typical: Size
    low: Size
    high: Size
    times: Size
    bias: float | None


class Levels(Struct):
    """The levels of categories with the largest errors.

    Attributes:
        looked: levels with enough rows, of all columns: their intervals hold together.
        worst: at most five, the one with the largest ``times`` first.

    Example:
        >>> Levels(looked=0, worst=[]).looked
        0
    """

    looked: Count
    worst: Annotated[list[LevelError], Meta(max_length=WORST_LEVELS)]


class WhereWrong(Struct):
    """Where predictions are wrong.

    Attributes:
        divided: rows whose errors are divided: all, or some where there are very many.
        typical: typical error of all rows by task; of classes the share that is wrong.
        divisions: by prediction, and by time where the table has dates.
        levels: of categories, by task.
        worst: single rows.
        reliability: of the probabilities of classes, by task.

    Example:
        >>> WhereWrong.__struct_fields__[:3]
        ('divided', 'typical', 'divisions')
    """

    divided: Count
    typical: dict[str, Size | None]
    divisions: list[Divided]
    levels: dict[str, Levels]
    worst: WorstRows
    reliability: dict[str, Reliability]

    def check(self, tasks: tuple[Task, ...]) -> None:
        """Raises ValueError unless it is of these tasks.

        Args:
            tasks: that are predicted.
        """
        names = [task.name for task in tasks]
        classes = {task.name for task in tasks if task.has_classes}
        numbers = [name for name in names if name not in classes]
        tables = [("typical", self.typical, names)]
        tables += [("levels", self.levels, names)] if self.levels else []
        tables += [
            (one.kind, one.tasks, numbers if one.kind == "prediction" else names)
            for one in self.divisions
        ]
        for what, found, expected in tables:
            if list(found) != expected:
                raise ValueError(
                    f"metrics.json: {what}: expected the targets {', '.join(expected)}, got "
                    f"{', '.join(found)[:80]}"
                )
        strange = {*self.reliability, *(row.task for row in self.worst.classes)} - classes
        strange |= {row.task for row in self.worst.numbers} - set(numbers)
        if strange:
            raise ValueError(f"metrics.json: {min(strange)!r} is no target of its kind")


def where_wrong(
    table: CellTable,
    columns: Columns,
    data: Data,
    rows: Int[np.ndarray, " rows"],
    shown: Int[np.ndarray, " shown"],
    held: Float[np.ndarray, "shown outputs"],
) -> WhereWrong:
    """Divides the errors of predictions, and finds the rows with the largest.

    Args:
        table: from which the data were made.
        columns: what its columns are.
        data: what is true.
        rows: places of its rows in the table.
        shown: numbers of the rows in ``data`` that are predicted.
        held: what they were predicted to be by what had not seen them.

    Returns:
        Errors by prediction, time and category, and the rows with the largest errors.
    """
    tasks, slices = data.tasks, output_slices(data.tasks)
    places = rows[shown]
    typical: dict[str, float | None] = {}
    for t, (task, part) in enumerate(zip(tasks, slices, strict=True)):
        at = _known(data, shown, held[:, part], t)
        typical[task.name] = _typical(task, _errors(task, held[at, part], data.y[shown[at], t]))
    some = _in_order(table, columns, places, max(MOST_CELLS // len(tasks), FEWEST_ROWS))
    by_time, by_level = _divisions(table, columns, places[some])
    grouped = [(one, Batches(one.part, len(one.labels))) for one in (*by_time, *by_level)]
    found = [Divided("prediction", "", [], {})]
    found += [Divided(one.kind, one.column, list(one.labels), {}) for one in by_time if one.kind]
    levels: dict[str, Levels] = {}
    reliability: dict[str, Reliability] = {}
    number = sum(task.has_classes for task in tasks)
    for t, (task, part) in enumerate(zip(tasks, slices, strict=True)):
        at = _known(data, shown[some], held[some, part], t)
        own, y = held[some[at], part], data.y[shown[some[at]], t]
        batches = [
            whole if at.all() else Batches(one.part[at], len(one.labels)) for one, whole in grouped
        ]
        tenths = [] if task.has_classes else [_tenths(values_of(task, own))]
        looks = len(tasks) * sum(_enough(one) for one in (*tenths, *batches))
        of_task = _OfTask(task, own, y, looks)
        for division, one in zip(found[1 - len(tenths) :], (*tenths, *batches), strict=False):
            division.tasks[task.name] = of_task.parts(one)
        if by_level:
            levels[task.name] = of_task.levels(by_level, batches[len(by_time) :])
        if task.has_classes:
            told = reliability_of(task.classes, own, y.astype(int), looks=number)
            reliability |= {} if told is None else {task.name: told}
    return WhereWrong(
        divided=len(some),
        typical=typical,
        divisions=[one for one in found if one.tasks],
        levels=levels,
        worst=worst_rows(table, columns, data, rows, shown, held, typical),
        reliability=reliability,
    )


class _OfTask:
    """Errors of the rows in which one task is known."""

    def __init__(self, task: Task, own: np.ndarray, y: np.ndarray, looks: int) -> None:
        self._task, self._off, self._looks = task, _errors(task, own, y), looks
        self._distance, self._predicted = np.abs(self._off), values_of(task, own)
        with np.errstate(over="ignore"):
            self._size = self._off if task.has_classes else self._off**2

    def parts(self, batches: Batches) -> Parts:
        enough = batches.rows >= ROWS_OF_A_SPAN
        looks = _enough(batches)
        typical, low, high, times = self._typical(batches, looks)
        none = np.full(len(batches.rows), np.nan)
        bias, bias_low, bias_high, predicted = none, none, none, none
        if not self._task.has_classes:
            means = batches.means(self._off)
            bias, (bias_low, bias_high) = means.mean, means.ends(looks, level=LEVEL)
            predicted = batches.means(self._predicted).mean
        ends = [np.where(enough, end, np.nan) for end in (low, high, times, bias_low, bias_high)]
        return Parts(
            rows=batches.rows.tolist(),
            typical=_numbers(typical),
            low=_numbers(ends[0]),
            high=_numbers(ends[1]),
            times=_numbers(ends[2]),
            bias=_numbers(bias),
            bias_low=_numbers(ends[3]),
            bias_high=_numbers(ends[4]),
            predicted=_numbers(predicted),
        )

    def levels(self, divisions: list[Division], batches: list[Batches]) -> Levels:
        looked = sum(map(_enough, batches))
        worst: list[LevelError] = []
        for division, one in zip(divisions, batches, strict=True):
            values = np.stack(self._typical(one, looked))
            known = (one.rows >= ROWS_OF_A_SPAN) & np.isfinite(values).all(axis=0)
            bias = one.means(self._off).mean
            for i in np.flatnonzero(known).tolist():
                typical, low, high, times = (float(f"{value:.6g}") for value in values[:, i])
                worst.append(
                    LevelError(
                        column=division.column,
                        level=division.labels[i],
                        rows=int(one.rows[i]),
                        typical=typical,
                        low=low,
                        high=high,
                        times=times,
                        bias=None if self._task.has_classes else _number(bias[i]),
                    )
                )
        worst.sort(key=lambda level: -level.times)
        return Levels(looked=looked, worst=worst[:WORST_LEVELS])

    def _typical(self, batches: Batches, looks: int) -> tuple[np.ndarray, ...]:
        """The typical error or share wrong of each part, the ends of its interval, and times."""
        means = batches.means(self._size)
        overall = (self._distance.mean() if len(self._distance) else 0.0) or np.inf
        if self._task.has_classes:
            low, high = _ends_of_shares(means, batches.rows, looks, LEVEL)
            least, _ = _ends_of_shares(means, batches.rows, self._looks, ONE_SIDED)
            return means.mean, low, high, least / overall
        low, high = means.ends(looks, level=LEVEL, positive=True)
        distances = batches.means(self._distance)
        least, _ = distances.ends(self._looks, level=ONE_SIDED, positive=True)
        return np.sqrt(means.mean), np.sqrt(low), np.sqrt(high), least / overall


def _ends_of_shares(
    means: Means, rows: np.ndarray, looks: int, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """The wider of what rows that stand alone and what rows like their neighbours allow."""
    number = np.maximum(rows, 1)
    wrong = np.rint(np.nan_to_num(means.mean) * number).astype(int)
    low, high = binomial_ends(wrong, number, 1 - (1 - level) / max(looks, 1))
    by_batches = means.ends(looks, level=level)
    return (
        np.clip(np.fmin(low, by_batches[0]), 0, 1),
        np.clip(np.fmax(high, by_batches[1]), 0, 1),
    )


def _enough(batches: Batches) -> int:
    """How many parts have rows enough for an interval."""
    return int((batches.rows >= ROWS_OF_A_SPAN).sum())


def _typical(task: Task, off: np.ndarray) -> float | None:
    if not len(off):
        return None
    with np.errstate(over="ignore"):
        return _number(off.mean() if task.has_classes else np.sqrt((off**2).mean()))


def _errors(task: Task, own: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Observed less predicted; of classes 1 where the predicted one is wrong."""
    predicted = values_of(task, own)
    return (predicted != y).astype(float) if task.has_classes else y - predicted


def _known(
    data: Data, shown: np.ndarray, own: Float[np.ndarray, "shown width"], t: int
) -> Bool[np.ndarray, " shown"]:
    """Where a task is known, and was predicted: a run may have diverged."""
    return data.known[shown, t] & np.isfinite(own).all(axis=1)


def _in_order(
    table: CellTable, columns: Columns, places: np.ndarray, most: int
) -> Int[np.ndarray, " some"]:
    """Numbers of the rows, or of some drawn from them, in the order of time or of the table."""
    some = np.arange(len(places))
    if len(some) > most:
        some = np.random.default_rng(0).choice(len(places), most, replace=False)
    moments = moments_of(table, columns, places[some])
    keys = [places[some]] if moments is None else [places[some], moments.values]
    return some[np.lexsort(keys)]


def _divisions(
    table: CellTable, columns: Columns, places: np.ndarray
) -> tuple[list[Division], list[Division]]:
    moments = moments_of(table, columns, places)
    by_time = [] if moments is None else divisions_of_time(moments)
    return by_time, divisions_by_category(table, columns, places)


def _tenths(predicted: np.ndarray) -> Batches:
    """Rows by what is predicted of them, in ten parts where there are enough."""
    number = min(max(len(predicted) // ROWS_OF_A_SPAN, 1), TENTHS)
    edges = np.zeros(0)
    if number > 1:
        edges = np.unique(np.quantile(predicted, np.arange(1, number) / number))
        edges = edges[edges > predicted.min()]
    return Batches(np.searchsorted(edges, predicted, side="right"), len(edges) + 1)


def _number(value: Any) -> float | None:
    """As a file keeps it: six digits say all there is."""
    return float(f"{value:.6g}") if np.isfinite(value) else None


def _numbers(values: Float[np.ndarray, " parts"]) -> list[float | None]:
    return [_number(value) for value in values.tolist()]

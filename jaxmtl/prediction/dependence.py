"""How predictions change with one column: partial dependence, with what folds disagree about."""

import datetime
import difflib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxmtl import plain
from jaxmtl.data import Coding, table_of_cells
from jaxmtl.prediction.predictor import Predictor
from jaxmtl.tasks import Task, output_slices

MOST_POINTS = 12
EDGES = (0.02, 0.98)  # quantiles of a number, between which points lie
LEVEL_95 = 0.975  # quantile of the t distribution
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
WIDTHS = {"year": 1, "season": 2, "weekday": 7, "hour": 2}  # coded features of a part of a date


class Dependence(NamedTuple):
    """Mean predictions at values of a column.

    Attributes:
        column: of the table.
        part: of a date: "year", "season", "weekday" or "hour"; empty of other columns.
        labels: the values in words.
        values: where they lie on an axis: numbers, and years with a fraction; else their place
            among months, days, even hours or levels.
        is_number: whether ``values`` are on a scale, so that points may be joined by a line.
        names: what is predicted: a name a task, of classes "level probability of good".
        mean: outputs at every value.
        low: lower ends of their 95 % intervals.
        high: upper ends.
        more: values that the column has besides, such as rare levels.
        rows: over which predictions were averaged.

    Example:
        >>> found = Dependence("CO", "", ("1", "2"), np.array([1.0, 2.0]), True, ("O3",),
        ...                    *np.array([[[3.0], [4]], [[2], [3]], [[4], [5]]]), 0, 9)
        >>> found.mean[:, 0].tolist()
        [3.0, 4.0]
    """

    column: str
    part: str
    labels: tuple[str, ...]
    values: Float[np.ndarray, " points"]
    is_number: bool
    names: tuple[str, ...]
    mean: Float[np.ndarray, "points outputs"]
    low: Float[np.ndarray, "points outputs"]
    high: Float[np.ndarray, "points outputs"]
    more: int
    rows: int


class _Grid(NamedTuple):
    """Values, and the coded features that say them; ``places`` are counted within the column."""

    part: str
    labels: tuple[str, ...]
    values: np.ndarray
    is_number: bool
    places: list[int]
    coded: np.ndarray
    more: int = 0


def partial_dependence(
    predictor: Predictor,
    x: Float[np.ndarray, "rows features"],
    column: str,
    *,
    points: int = MOST_POINTS,
) -> tuple[Dependence, ...]:
    """Sets a column to one value in all rows, and averages what is predicted then.

    It says what the predictor makes of the column, all others being as they are, not what would
    happen if somebody changed it: rows may arise that never were where columns go together.

    The interval is that of the curve, not of a row's target. The model of a fold has learned
    without that fold's rows, so that the K curves are those of a jackknife that leaves out a fold
    at a time: with other rows to learn from, a curve would lie within in about 95 % of cases.

    Args:
        predictor: of a table of columns of any kind, with several folds.
        x: coded features of rows like those learned from.
        column: that the predictor uses.
        points: at most this many values: quantiles of a number within the range of the rows; the
            most frequent levels; of a date one curve each for trend, season, weekday and hour, as
            far as the predictor sees them.

    Returns:
        One curve, of a date one a part.

    Raises:
        ValueError: another coding, a column that is not used, or one that has one value only.

    Example:
        >>> from jaxmtl.data import infer_columns
        >>> from jaxmtl.prediction.fit_table import Plan, fit_table
        >>> numbers = [i % 7 for i in range(70)]
        >>> table = table_of_cells({"CO": numbers, "O3": [2 * v for v in numbers]})
        >>> columns = infer_columns(table, targets=["O3"])
        >>> found = fit_table(table, columns, Plan(families=("linear",)))
        >>> curve, = partial_dependence(found.predictor, found.data.x, "CO")
        >>> curve.labels[:3], curve.mean[:3, 0].round(1).tolist()
        (('0', '1', '2'), [0.0, 2.0, 4.0])

    References:
        Friedman (2001), Greedy function approximation, Annals of Statistics, section 8.2. The
        delete-a-group jackknife: Kott (2001), Journal of Official Statistics 17, with the t
        distribution of K - 1 degrees of freedom.
    """
    coding = predictor.coding
    if not isinstance(coding, Coding):
        raise ValueError(
            "dependence: expected a run on a table of columns of any kind, got one of columns of "
            "numbers"
        )
    spec = _spec_of(coding, column)
    own = [i for i, part in enumerate(coding.parts) if part.column == column]
    found = []
    for grid in _grids(spec, x[:, own], points):
        if len(grid.labels) < 2:
            continue
        rows = np.repeat(x[None], len(grid.labels), axis=0)
        at = [own[place] for place in grid.places]
        rows[:, :, at] = grid.coded[:, None]
        found.append(_curve(predictor, grid, rows, column))
    if not found:
        raise ValueError(f"column {column!r}: expected several values, got one in all rows")
    return tuple(found)


def _spec_of(coding: Coding, column: str) -> Mapping[str, Any]:
    for spec in coding.columns:
        if spec["name"] == column:
            return spec
    raise ValueError(
        f"expected a column that the run predicts from, got {column!r}"
        f"{nearest(column, coding.inputs)}"
    )


def nearest(name: str, known: Sequence[str], most: int = 3) -> str:
    """The end of a sentence about a name that there is not: the nearest ones, or some.

    Args:
        name: as it was given.
        known: those that there are.
        most: names to say.

    Returns:
        In brackets.

    Example:
        >>> nearest("N02", ["NO", "NO2", "CO"]), nearest("?", ["NO", "CO"])
        (' (did you mean NO2 or NO?)', ' (there are NO, CO)')
    """
    folded = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(name.casefold(), list(folded), n=most, cutoff=0.4)
    if near:
        return f" (did you mean {' or '.join(folded[one] for one in near)}?)"
    more = len(known) - 2 * most
    shown = ", ".join(known[: 2 * most])
    return f" (there are {shown}{f' and {more} more' if more > 0 else ''})"


def output_names(tasks: Sequence[Task]) -> tuple[str, ...]:
    """What each output says: a name a task, of classes one a class.

    Args:
        tasks: in the order of the outputs.

    Example:
        >>> output_names([Task(name="rain", kind="classes", classes=("no", "yes"))])
        ('rain probability of no', 'rain probability of yes')
    """
    return tuple(
        name
        for task in tasks
        for name in (
            [f"{task.name} probability of {one}" for one in task.classes]
            if task.has_classes
            else [task.name]
        )
    )


def _curve(predictor: Predictor, grid: _Grid, rows: np.ndarray, column: str) -> Dependence:
    from scipy.stats import t as student

    points, number, features = rows.shape
    each = np.stack(
        [
            np.asarray(model.predict(rows.reshape(-1, features)), float)
            .reshape(points, number, -1)
            .mean(axis=1)
            for model in predictor.models
        ]
    )
    folds = len(each)
    mean = each.mean(axis=0)
    # Of leaving out a fold at a time: their spread, times nearly as many folds as there are.
    doubt = np.sqrt((folds - 1) / folds * ((each - mean) ** 2).sum(axis=0))
    doubt = doubt * float(student.ppf(LEVEL_95, folds - 1)) if folds > 1 else doubt + np.nan
    low, high = mean - doubt, mean + doubt
    for task, part in zip(predictor.tasks, output_slices(predictor.tasks), strict=True):
        if task.has_classes or task.kind == "count":
            most = 1.0 if task.has_classes else np.inf
            for end in (mean, low, high):
                end[:, part] = np.clip(end[:, part], 0, most)
    return Dependence(
        column=column,
        part=grid.part,
        labels=grid.labels,
        values=grid.values,
        is_number=grid.is_number,
        names=output_names(predictor.tasks),
        mean=mean,
        low=low,
        high=high,
        more=grid.more,
        rows=number,
    )


def _grids(spec: Mapping[str, Any], x: np.ndarray, points: int) -> list[_Grid]:
    """What a column is set to; ``x`` are its own coded features."""
    if spec["kind"] == "category":
        return [_level_grid(spec, x, points)]
    known = x[x[:, -1] == 0] if spec["missing"] else x
    if spec["kind"] == "number":
        return [_number_grid(spec, known, points)]
    grids, start = [], 0
    flag = [x.shape[1] - 1] if spec["missing"] else []
    for part in spec["parts"]:
        places = list(range(start, start + WIDTHS[part]))
        labels, values, coded = _DATES[part](spec, known[:, places], points)
        coded = np.concatenate([coded, np.zeros((len(coded), len(flag)))], axis=1)
        grids.append(_Grid(part, labels, values, part == "year", places + flag, coded))
        start += WIDTHS[part]
    return grids


def _number_grid(spec: Mapping[str, Any], known: np.ndarray, points: int) -> _Grid:
    raw = np.linspace(spec["low"], spec["high"], 1001)
    scale = plain.scaled(raw, spec)
    # Coding keeps the order, so that it can be undone.
    values = np.interp(known[:, 0], scale, raw) if scale[-1] > scale[0] else raw[:1]
    chosen = _chosen(values, points)
    table = table_of_cells({spec["name"]: chosen.tolist()})
    coded = Coding(columns=(spec,), tasks=()).encode(table).x
    labels = tuple(f"{value:.4g}" for value in chosen)
    return _Grid("", labels, chosen, True, list(range(coded.shape[1])), coded)


def _chosen(values: np.ndarray, points: int) -> np.ndarray:
    """All different values where they are few, else quantiles that differ."""
    if not len(values):
        return values
    start, size = values.min(), max(float(np.ptp(values)), 1e-300)
    different = np.unique(np.round((values - start) / size, 6))  # coding rounds to float32
    if len(different) <= points:
        return different * size + start
    low, high = EDGES
    return np.unique(np.quantile(values, np.linspace(low, high, points)))


def _level_grid(spec: Mapping[str, Any], x: np.ndarray, points: int) -> _Grid:
    levels = list(spec["levels"])
    table = table_of_cells({spec["name"]: levels})
    coded = Coding(columns=(spec,), tasks=()).encode(table).x
    counts = (x[:, None] == coded[None]).all(axis=2).sum(axis=0)
    order = np.argsort(-counts, kind="stable")[:points]
    if spec["coded"] == "ranks":
        order = np.sort(order)
    labels = tuple(levels[i] for i in order)
    places = list(range(coded.shape[1]))
    values = np.arange(len(order), dtype=float)
    return _Grid("", labels, values, False, places, coded[order], len(levels) - len(order))


def _years(spec: Mapping[str, Any], known: np.ndarray, points: int) -> Any:
    coded = _chosen(known[:, 0].astype(float), points)[:, None]
    years = coded[:, 0] / spec["scale"] + spec["center"] if spec["scale"] else coded[:0, 0]
    days = [
        datetime.date(int(year), 1, 1) + datetime.timedelta(days=365.24 * (year % 1))
        for year in years.tolist()
    ]
    labels = tuple(f"{day:%Y-%m}" for day in days)
    once = [i for i, label in enumerate(labels) if label not in labels[:i]]
    return tuple(labels[i] for i in once), years[once], coded[once]


def _months(spec: Mapping[str, Any], known: np.ndarray, points: int) -> Any:
    days = [
        (datetime.date(2001, month, 15) - datetime.date(1970, 1, 1)).days for month in range(1, 13)
    ]
    waves = plain.date_features(86400.0 * np.array(days))["season"]
    return _near(MONTHS, waves, known)


def _weekdays(spec: Mapping[str, Any], known: np.ndarray, points: int) -> Any:
    return _near(DAYS, np.eye(len(DAYS)), known)


def _hours(spec: Mapping[str, Any], known: np.ndarray, points: int) -> Any:
    hours = np.arange(0, 24, 2)
    waves = plain.date_features(3600.0 * hours)["hour"]
    return _near([f"{hour:02}:00" for hour in hours], waves, known)


def _near(labels: Sequence[str], coded: np.ndarray, known: np.ndarray) -> Any:
    """Those values to which some row is nearest: of others nothing was learned."""
    apart = ((known[:, None] - coded[None]) ** 2).sum(axis=2)
    there = np.unique(apart.argmin(axis=1)) if len(known) else np.zeros(0, int)
    return tuple(labels[i] for i in there), there.astype(float), coded[there]


_DATES = {"year": _years, "season": _months, "weekday": _weekdays, "hour": _hours}

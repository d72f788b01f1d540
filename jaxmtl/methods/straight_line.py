"""A straight line for every task, of any kind: ridge regression and logistic regression."""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float, Key

from jaxmtl.data.folds import Data, Folds
from jaxmtl.methods.levels import MOST_BUCKETS, buckets_of, code_columns
from jaxmtl.methods.linear import LinearModel
from jaxmtl.methods.links import Link, floors
from jaxmtl.methods.logistic import fit_logistic
from jaxmtl.methods.method import Fitted, Work
from jaxmtl.methods.of_each_task import fit_each_fold, tasks_known_together
from jaxmtl.plain.links import level_numbers

# Penalties over the square of the largest size; the strongest, which leaves the mean, comes first.
SHARES = np.concatenate([[np.inf], np.logspace(2, -8, 21)])
MOST_ROWS_OF_CLASSES = 100_000
_CELLS_AT_ONCE = 1 << 21
_CELLS_OF_CLASSES = 20_000_000
_LEAST_SIZE = 1e-6  # of the largest: what is smaller is rounding


@dataclasses.dataclass(frozen=True)
class StraightLine:
    """Ridge regression of numbers and multinomial logistic regression of classes.

    Every task has a penalty of its own, chosen on the validation rows; without any, by leaving one
    training row out (numbers) or a third of them (classes). Numbers are divided by their standard
    deviation; of a column with the number of a level, each of the frequent levels has a slope.

    References:
        Hoerl, Kennard (1970), Ridge Regression, Technometrics 12(1); the error of leaving one out
        from the leverages: Golub, Heath, Wahba (1979), Generalized Cross-Validation, Technometrics
        21(2), section 1.

    Example:
        >>> from jaxmtl.data import SplitIndices
        >>> from jaxmtl.tasks import number_tasks
        >>> x = np.arange(8.0)[:, None]
        >>> data = Data(x=x, y=3 * x + 1, known=np.ones((8, 1), bool), tasks=number_tasks(["CO"]))
        >>> fold = SplitIndices(np.arange(5), np.array([], int), np.arange(5, 8))
        >>> found = StraightLine().fit(data, Folds(parts=(fold,)), keys=None, work=Work())
        >>> found.models[0].predict(np.array([[10.0]])).round(2).tolist()
        [[31.0]]
    """

    name: str = "linear"
    description: str = "a straight line (ridge regression; logistic regression for classes)"

    def fit(
        self, data: Data, folds: Folds, keys: Key[Array, " folds"] | None, work: Work
    ) -> Fitted:
        """One model a fold; neither keys nor work are needed."""
        del keys, work
        found = fit_each_fold(self.name, data, folds, _fit)
        classes = [t for t, task in enumerate(data.tasks) if task.width > 1]
        most = max(data.known[fold.train][:, classes].sum(axis=0).max(initial=0) for fold in folds)
        if most <= MOST_ROWS_OF_CLASSES:
            return found
        note = (
            f"{self.name}: the lines of classes were learned from {MOST_ROWS_OF_CLASSES} or fewer "
            f"of up to {most} rows, drawn at random"
        )
        return dataclasses.replace(found, notes=(note,))


class _Design(NamedTuple):
    """From coded features to columns of numbers and a column for each frequent level."""

    columns: np.ndarray
    scale: np.ndarray
    codes: tuple[tuple[int, np.ndarray], ...]  # place and buckets

    @property
    def width(self) -> int:
        return len(self.columns) + sum(int(buckets.max()) for _, buckets in self.codes)

    def of(self, x: np.ndarray) -> np.ndarray:
        parts = [x[:, self.columns].astype(float) * self.scale]
        for column, buckets in self.codes:
            numbers = buckets[level_numbers(x[:, column], len(buckets))]
            parts.append((numbers[:, None] == np.arange(buckets.max())).astype(float))
        return np.concatenate(parts, axis=1)


class _Directions(NamedTuple):
    """Centred columns as ``left * sizes @ right``; ``left`` is worked out chunk by chunk."""

    mean: np.ndarray
    sizes: np.ndarray
    right: np.ndarray

    def left(self, columns: np.ndarray) -> np.ndarray:
        return (columns - self.mean) @ self.right.T / self.sizes


def _fit(train: Data, validation: Data) -> tuple[LinearModel, dict[str, Any]]:
    design = _design(train)
    widths = [task.width for task in train.tasks]
    starts = np.cumsum([0, *widths])
    slopes, intercept = np.zeros((design.width, starts[-1])), np.zeros(starts[-1])
    penalties: list[float] = [0.0] * len(widths)
    for group in tasks_known_together(train):
        mask = train.known[:, group[0]]
        x = train.x if mask.all() else train.x[mask]
        directions, cross_of = _directions(design, x)
        numbers = [t for t in group if widths[t] == 1]
        if numbers:
            at = starts[numbers]
            y = train.y[mask][:, numbers].astype(float)
            found = _ridge(design, directions, cross_of, x, y, validation, numbers)
            slopes[:, at], intercept[at], chosen = found
            for t, penalty in zip(numbers, chosen, strict=True):
                penalties[t] = penalty
        for t in (t for t in group if widths[t] > 1):
            at = slice(starts[t], starts[t + 1])
            labels = train.y[mask, t].astype(int)
            found = _classes(design, directions, x, labels, widths[t], validation, t)
            slopes[:, at], intercept[at], penalties[t] = found
    return _model(design, train, slopes, intercept), {"penalty": penalties}


def _design(train: Data) -> _Design:
    codes = code_columns(train)
    columns = np.setdiff1d(np.arange(train.x.shape[1]), [column for column, _ in codes])
    scale = np.ones(len(columns))
    for k, column in enumerate(columns):
        if train.parts and train.parts[column].role == "level":
            continue
        values = train.x[:, column].astype(float)
        spread = values.std()
        # A column that does not vary beyond rounding has no say.
        flat = spread <= 1e-12 * np.abs(values).max(initial=0)
        scale[k] = 0.0 if flat else 1 / spread
    buckets = [
        (column, buckets_of(train.x[:, column], size, MOST_BUCKETS)) for column, size in codes
    ]
    return _Design(columns, scale, tuple(buckets))


def _chunks(rows: int, width: int) -> Iterator[slice]:
    step = max(_CELLS_AT_ONCE // max(width, 1), 1)
    return (slice(at, min(at + step, rows)) for at in range(0, rows, step))


def _directions(design: _Design, x: np.ndarray) -> tuple[_Directions, Any]:
    """The directions of the columns, and a function from centred targets to what they have of each.

    Of fewer rows than columns the products of the rows are taken instead of those of the columns.
    """
    rows, width = len(x), design.width
    mean = np.zeros(width)
    for part in _chunks(rows, width):
        mean += design.of(x[part]).sum(axis=0) / rows
    if rows > width:
        products = np.zeros((width, width))
        for part in _chunks(rows, width):
            centred = design.of(x[part]) - mean
            products += centred.T @ centred
        squares, vectors = np.linalg.eigh(products)
        right, centred = vectors.T, None
    else:
        centred = design.of(x) - mean
        squares, vectors = np.linalg.eigh(centred @ centred.T)
        right = None
    sizes = np.sqrt(np.maximum(squares, 0))
    kept = sizes > _LEAST_SIZE * sizes.max(initial=0)
    sizes = sizes[kept]
    if right is None:
        assert centred is not None  # of few rows they are at hand
        right = vectors.T[kept] @ centred / sizes[:, None]
    else:
        right = right[kept]
    directions = _Directions(mean, sizes, right)

    def along(y: np.ndarray) -> np.ndarray:
        found = np.zeros((len(sizes), y.shape[1]))
        for part in _chunks(rows, width):
            found += directions.left(design.of(x[part])).T @ y[part]
        return found

    return directions, along


def _ridge(
    design: _Design,
    directions: _Directions,
    along_of: Any,
    x: np.ndarray,
    y: np.ndarray,
    validation: Data,
    numbers: list[int],
) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Slopes, intercepts and penalties of tasks that are known in the same rows."""
    y_mean = y.mean(axis=0)
    along = along_of(y - y_mean)
    squares = directions.sizes**2
    penalties = SHARES * squares.max(initial=1.0 if not len(squares) else 0.0)
    shrink = squares / (squares + penalties[:, None])  # (penalties, directions)
    every = (along[:, None, :] * shrink.T[:, :, None]).reshape(len(along), -1)
    others = validation.known[:, numbers]
    inner = np.zeros((len(penalties), len(numbers)))
    outer = np.zeros_like(inner)
    if not others.any(axis=0).all():
        for part in _chunks(len(x), design.width):
            left = directions.left(design.of(x[part]))
            leverage = left**2 @ shrink.T + 1 / len(x)
            off = (left @ every).reshape(len(left), *inner.shape) - (y[part] - y_mean)[:, None]
            # Below one row of freedom nothing is left to judge by.
            off /= np.maximum(1 - leverage, 1e-12)[:, :, None]
            inner += (off**2).sum(axis=0)
    for part in _chunks(len(validation.x), design.width):
        left = directions.left(design.of(validation.x[part]))
        off = (left @ every).reshape(len(left), *inner.shape)
        off -= (validation.y[part][:, numbers] - y_mean)[:, None]
        outer += np.where(others[part][:, None], off**2, 0.0).sum(axis=0)
    best = np.argmin(np.where(others.any(axis=0), outer, inner), axis=0)
    chosen = along * shrink[best].T / directions.sizes[:, None]
    slopes = directions.right.T @ chosen
    return slopes, y_mean - directions.mean @ slopes, [float(penalties[k]) for k in best]


def _classes(
    design: _Design,
    directions: _Directions,
    x: np.ndarray,
    labels: np.ndarray,
    classes: int,
    validation: Data,
    task: int,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Slopes, intercept and penalty of the logits of one task."""
    from threadpoolctl import threadpool_limits

    rows, sizes = len(x), directions.sizes
    most = min(MOST_ROWS_OF_CLASSES, max(_CELLS_OF_CLASSES // max(len(sizes), 1), 1000))
    if rows > most:
        drawn = np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
        x, labels = x[drawn], labels[drawn]

    def whitened(x: np.ndarray) -> np.ndarray:
        parts = [
            directions.left(design.of(x[part])) * np.sqrt(rows)
            for part in _chunks(len(x), design.width)
        ]
        return np.concatenate([np.empty((0, len(sizes))), *parts])

    others = np.flatnonzero(validation.known[:, task])[:most]
    held = None
    if len(others):
        held = (whitened(validation.x[others]), validation.y[others, task].astype(int))
    relative = (sizes.max(initial=0) / sizes) ** 2
    # Products of narrow arrays: threads would wait for each other longer than they work.
    with threadpool_limits(1, "blas"):
        inner, intercept, share = fit_logistic(whitened(x), labels, classes, relative, held)
    slopes = directions.right.T @ (inner * (np.sqrt(rows) / sizes)[:, None])
    return slopes, intercept - directions.mean @ slopes, share


def _model(
    design: _Design, train: Data, slopes: Float[np.ndarray, "width outputs"], intercept: np.ndarray
) -> LinearModel:
    outputs, at = slopes.shape[1], len(design.columns)
    of_features = np.zeros((train.x.shape[1], outputs))
    of_features[design.columns] = slopes[:at] * design.scale[:, None]
    extra: dict[str, Any] = {}
    if design.codes:
        tables = []
        for _, buckets in design.codes:
            frequent = int(buckets.max())
            tables.append(np.vstack([slopes[at : at + frequent], np.zeros((1, outputs))])[buckets])
            at += frequent
        extra["codes"] = tuple((column, len(buckets)) for column, buckets in design.codes)
        extra["levels"] = np.concatenate(tables)
    if any(task.width > 1 for task in train.tasks):
        extra["links"] = tuple(
            Link("softmax" if task.width > 1 else "same", task.width) for task in train.tasks
        )
        extra["floor"] = floors(train.tasks, train.y, train.known)
    return LinearModel(slopes=of_features, intercept=intercept, **extra)

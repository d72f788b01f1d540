"""What tasks share: how their labels go together, and what remains after the features."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxmtl.tasks import Task, output_slices

FEWEST = 10  # rows that carry both labels
MOST_TASKS = 160  # the first ones, beyond which pairs are too many to look at
LEVEL_95 = 0.975  # quantile of the t distribution
_FLAT = 1e-10  # deviation over the mean: less is rounding
_LEAST = 1e-12  # of a product of two variances near 1 of those rows that carry both labels


class Relations(NamedTuple):
    """Correlations of every pair of tasks, with intervals of 95 %.

    Attributes:
        places: numbers of the tasks, in the order of the matrices.
        rows: rows that carry both labels.
        labels: correlation of the labels; NaN where it is not known.
        labels_low: lower ends.
        labels_high: upper ends.
        predictions: correlation of what is predicted of rows that were not learned from.
        rest: correlation of labels less predictions: what tasks share that features do not tell.
        rest_low: lower ends.
        rest_high: upper ends.

    Example:
        >>> one = np.ones((1, 1))
        >>> Relations((0,), one.astype(int), one, one, one, one, one, one, one).rows.tolist()
        [[1]]
    """

    places: tuple[int, ...]
    rows: Int[np.ndarray, "tasks tasks"]
    labels: Float[np.ndarray, "tasks tasks"]
    labels_low: Float[np.ndarray, "tasks tasks"]
    labels_high: Float[np.ndarray, "tasks tasks"]
    predictions: Float[np.ndarray, "tasks tasks"]
    rest: Float[np.ndarray, "tasks tasks"]
    rest_low: Float[np.ndarray, "tasks tasks"]
    rest_high: Float[np.ndarray, "tasks tasks"]


def relations_of(
    tasks: Sequence[Task],
    outputs: Float[np.ndarray, "rows outputs"],
    y: Float[np.ndarray, "rows tasks"],
    known: Bool[np.ndarray, "rows tasks"],
    block: Int[np.ndarray, " rows"],
) -> Relations | None:
    """Correlates labels, predictions and residuals of rows that carry both labels of a pair.

    A class of two is 0 or 1, and its prediction the probability of the second; an ordered class is
    its number, and its prediction the expected one. Classes without an order are left out.

    Args:
        tasks: in the order of the outputs.
        outputs: what was predicted of rows that were not learned from.
        y: their labels.
        known: which are known.
        block: rows that go together, as of one group or of neighbouring times.

    Returns:
        Matrices; None where there are not two tasks to correlate. Intervals are those of Fisher's
        z, whose error is that of a jackknife that leaves out a block at a time.

    Example:
        >>> from jaxmtl.tasks import number_tasks
        >>> y = np.random.default_rng(0).normal(size=(200, 1)) * [1, 1] + [[0.0, 5.0]]
        >>> found = relations_of(number_tasks("ab"), 0 * y, y, y < 99, np.arange(200) % 100)
        >>> found.labels[0, 1].round(3), found.rest[0, 1].round(3), found.predictions[0, 1]
        (np.float64(1.0), np.float64(1.0), np.float64(nan))

    References:
        Fisher (1915), Biometrika 10; Miller (1974), The jackknife - a review, Biometrika 61.
    """
    slices = output_slices(tasks)
    places = [t for t, task in enumerate(tasks) if task.kind != "classes" or task.width == 2]
    places = places[:MOST_TASKS]
    if len(places) < 2:
        return None
    predicted = np.stack([_value(outputs[:, slices[t]]) for t in places], axis=1)
    there = known[:, places]
    labels = np.where(there, y[:, places], 0.0)
    predicted = np.where(there, predicted, 0.0)
    numbers = np.unique(block, return_inverse=True)[1]
    own = _correlations(labels, there, numbers)
    rest = _correlations(labels - predicted, there, numbers)
    predictions, _, _ = _correlations(predicted, there, numbers)
    rows = there.T.astype(int) @ there.astype(int)
    return Relations(tuple(places), rows, *own, predictions, *rest)


def _value(outputs: np.ndarray) -> np.ndarray:
    """A number, or the expected number of a class."""
    width = outputs.shape[1]
    return outputs[:, 0] if width == 1 else outputs @ np.arange(width)


def _correlations(
    values: np.ndarray, there: np.ndarray, block: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every pair, and the ends of their intervals."""
    from scipy.stats import t as student

    blocks = int(block.max()) + 1
    largest = np.abs(values).max(axis=0)  # whose square may be no float
    values = values / np.where(largest > 0, largest, 1)
    mean = values.sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    centred = np.where(there, values - mean, 0.0)
    size = np.sqrt((centred**2).sum(axis=0) / np.maximum(there.sum(axis=0), 1))
    flat = size <= _FLAT * np.abs(mean)
    centred = np.where(flat, 0.0, centred / np.where(size > 0, size, 1))
    parts = [_moments(centred[block == b], there[block == b]) for b in range(blocks)]
    total = np.sum(parts, axis=0)
    found = _of_moments(total)
    number = total[0]
    found[number < FEWEST] = np.nan
    z = np.arctanh(np.clip(found, -1 + 1e-12, 1 - 1e-12))
    used, without = np.zeros_like(z), []
    for part in parts:
        shared = part[0] > 0
        other = np.arctanh(np.clip(_of_moments(total - part), -1 + 1e-12, 1 - 1e-12))
        without.append(np.where(shared, other, np.nan))
        used += shared
    each = np.stack(without)
    at = np.isfinite(each)
    middle = np.where(at, each, 0).sum(axis=0) / np.maximum(at.sum(axis=0), 1)
    square = np.where(at, (each - middle) ** 2, 0).sum(axis=0)
    error = np.sqrt((used - 1) / np.maximum(used, 1) * square)
    error = np.where(used > 1, error * student.ppf(LEVEL_95, np.maximum(used - 1, 1)), np.nan)
    return found, np.tanh(z - error), np.tanh(z + error)


def _moments(values: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Number, sums, sums of squares and of products over the rows that carry both."""
    at = there.astype(float)
    sums, squares = values.T @ at, (values**2).T @ at
    return np.stack([at.T @ at, sums, sums.T, squares, squares.T, values.T @ values])


def _of_moments(moments: np.ndarray) -> np.ndarray:
    number, first, second, first_square, second_square, product = moments
    number = np.maximum(number, 1)
    shared = product / number - first * second / number**2
    spread = (first_square / number - (first / number) ** 2) * (
        second_square / number - (second / number) ** 2
    )
    return np.where(
        spread > _LEAST, np.clip(shared / np.sqrt(np.where(spread > 0, spread, 1)), -1, 1), np.nan
    )

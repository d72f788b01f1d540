"""Columns of pairs: which of them are complete, their means, and those without any spread."""

from collections.abc import Callable
from typing import Any

import numpy as np

_ROUNDING = 1e-12  # of the larger number: differences below it are 0
_ENDS = [1, 2, 4, 5]  # rows of the ends of intervals in what `means` returns


def by_column(
    function: Callable[[np.ndarray, np.ndarray], np.ndarray], width: int, arm: Any, reference: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Applies a function of complete pairs to the columns, those with the same gaps at once."""
    arm, reference = np.asarray(arm, np.float64), np.asarray(reference, np.float64)
    if arm.ndim < 1 or arm.shape != reference.shape:
        raise ValueError(
            "arm and reference: expected one value a seed and equal shapes, "
            f"got {arm.shape} and {reference.shape}"
        )
    shape = arm.shape[1:]
    columns = int(np.prod(shape))
    arm, reference = (x.reshape(len(x), columns) for x in (arm, reference))
    known = np.isfinite(arm) & np.isfinite(reference)
    values = np.full((width, columns), np.nan)
    groups: dict[bytes, list[int]] = {}
    for column in range(columns):
        groups.setdefault(known[:, column].tobytes(), []).append(column)
    for group in groups.values():
        rows = known[:, group[0]]
        a, b = arm[rows][:, group], reference[rows][:, group]
        # Sorted, so that the order of the seeds does not change the resampling.
        order = np.lexsort((b, a - b), axis=0)
        values[:, group] = function(
            np.take_along_axis(a, order, 0), np.take_along_axis(b, order, 0)
        )
    return values.reshape(width, *shape), known.sum(axis=0).reshape(shape)


def means(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Rows difference, low, high, percent, low, high; intervals still NaN."""
    found = np.full((6, a.shape[1]), np.nan)
    if len(a):
        found[0] = (a - b).mean(axis=0)
        found[3] = percent_of(found[0], b.mean(axis=0))
    return found


def percent_of(difference: np.ndarray, base: np.ndarray) -> np.ndarray:
    """The difference in percent of the base; NaN where that is not above 0."""
    return np.where(base > 0, 100 * difference / np.where(base > 0, base, 1.0), np.nan)


def rounding(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Per column, the difference that rounding alone makes."""
    return _ROUNDING * np.maximum(np.abs(a).max(axis=0), np.abs(b).max(axis=0))


def find_flat(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns whose differences are all alike, and those whose differences are all 0."""
    difference, least = a - b, rounding(a, b)
    return np.ptp(difference, axis=0) <= least, np.abs(difference).max(axis=0) <= least


def settle_flat(found: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    """The ends of intervals where all differences are alike: the rule of this module."""
    flat, zero = find_flat(a, b)
    centre = found[[0, 0, 3, 3]]
    found[_ENDS] = np.where(flat, np.where(zero, 0 * centre, np.nan), found[_ENDS])

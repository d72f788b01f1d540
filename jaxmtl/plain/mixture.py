"""Weighted means of what models predict, and how far these are apart."""

from collections.abc import Iterable, Sequence

import numpy as np


def weighted_mean(
    each: Iterable[np.ndarray], weights: np.ndarray, widths: Sequence[int], rows: int
) -> np.ndarray:
    """The weighted mean of what models predict.

    Args:
        each: (rows, outputs) of every model, one after the other.
        weights: (models, tasks); those of a task have the sum 1.
        widths: columns of every task in the outputs.
        rows: how many there are.

    Returns:
        (rows, outputs).

    Example:
        >>> each = [np.array([[1.0]]), np.array([[3.0]])]
        >>> weighted_mean(each, np.array([[0.75], [0.25]]), [1], 1).tolist()
        [[1.5]]
    """
    found = np.zeros((rows, sum(widths)))
    for predicted, own in zip(each, weights, strict=True):
        columns = np.repeat(own, widths)
        # What a model predicts of tasks that it has no weight for may be anything.
        used = columns > 0
        found[:, used] += predicted[:, used] * columns[used]
    return found


def disagreement(
    each: Sequence[np.ndarray],
    weights: np.ndarray,
    mean: np.ndarray,
    widths: Sequence[int],
) -> np.ndarray:
    """Weighted standard deviation of what models predict, around their mean.

    Args:
        each: (rows, outputs) of every model.
        weights: (models, tasks); those of a task have the sum 1.
        mean: (rows, outputs), the weighted mean.
        widths: columns of every task in the outputs.

    Returns:
        (rows, tasks); 0 for tasks of several columns, as those of classes.

    Example:
        >>> each = [np.array([[1.0]]), np.array([[3.0]])]
        >>> disagreement(each, np.array([[0.5], [0.5]]), np.array([[2.0]]), [1]).tolist()
        [[1.0]]
    """
    found = np.zeros((len(mean), len(widths)))
    starts = np.cumsum([0, *widths[:-1]])
    for t, (start, width) in enumerate(zip(starts, widths, strict=True)):
        if width == 1:
            of_task = weights[:, t]
            square = sum(
                weight * (predicted[:, start] - mean[:, start]) ** 2
                for predicted, weight in zip(each, of_task, strict=True)
                if weight > 0
            )
            found[:, t] = np.sqrt(square)
    return found

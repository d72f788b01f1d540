"""What only some kinds of task are measured by, in NumPy: counts, and ordered classes."""

import numpy as np
from jaxtyping import Float, Int

LEAST_COUNT = 1e-3  # an expected count below it is taken for it where something was counted


def count_deviance(
    expected: Float[np.ndarray, " rows"], counted: Float[np.ndarray, " rows"]
) -> Float[np.ndarray, " rows"]:
    """Poisson deviance of each row: 2 (m - y + y log(y / m)), 0 where they are equal.

    Args:
        expected: m; below 0 as 0, and where y is above 0 at least 0.001: no row is infinite.
        counted: y, at least 0.

    Example:
        >>> count_deviance(np.array([0.0, 2.0, 1.0]), np.array([0.0, 2.0, 0.0])).tolist()
        [0.0, 0.0, 2.0]
    """
    mean = np.where(expected < 0, 0.0, expected)
    some = counted > 0
    ratio = np.where(some, counted, 1) / np.where(some, np.maximum(mean, LEAST_COUNT), 1)
    floor = np.where(some, np.maximum(mean, LEAST_COUNT), mean)
    return 2 * (floor - counted + counted * np.log(ratio))


def level_error(found: Int[np.ndarray, " rows"], labels: Int[np.ndarray, " rows"]) -> float:
    """Mean number of levels between ordered classes and those predicted.

    Args:
        found: numbers of the predicted classes.
        labels: numbers of the true ones.

    Example:
        >>> level_error(np.array([0, 2]), np.array([0, 0]))
        1.0
    """
    return float(np.abs(found - labels).mean())


def quadratic_kappa(
    found: Int[np.ndarray, " rows"], labels: Int[np.ndarray, " rows"], classes: int
) -> float:
    """Cohen's kappa with squared distances of ordered classes.

    Args:
        found: numbers of the predicted classes.
        labels: numbers of the true ones.
        classes: how many there are.

    Returns:
        1 for no error, 0 for no better than chance; NaN where there is no chance of an error.

    Example:
        >>> quadratic_kappa(np.array([0, 1, 2]), np.array([0, 1, 2]), 3)
        1.0

    References:
        Cohen (1968), Weighted kappa, Psychological Bulletin 70(4).
    """
    distance = np.subtract.outer(np.arange(classes), np.arange(classes)) ** 2
    both = np.zeros((classes, classes))
    np.add.at(both, (labels, found), 1)
    chance = np.outer(both.sum(axis=1), both.sum(axis=0)) / max(len(labels), 1)
    expected = (distance * chance).sum()
    return float(1 - (distance * both).sum() / expected) if expected > 0 else float("nan")

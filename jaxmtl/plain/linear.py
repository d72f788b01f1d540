"""Straight lines."""

from collections.abc import Sequence

import numpy as np

from .links import level_numbers


def linear_sums(
    x: np.ndarray,
    slopes: np.ndarray,
    intercept: np.ndarray,
    codes: Sequence[Sequence[int]] = (),
    levels: np.ndarray | None = None,
) -> np.ndarray:
    """``x @ slopes + intercept``, in float64, and what levels add; a row hangs on no other row.

    Args:
        x: (rows, features), coded.
        slopes: (features, outputs).
        intercept: of every output.
        codes: place of each feature that holds the number of a level, and its levels.
        levels: (levels, outputs), those of one code after those of the other; None without codes.

    Returns:
        (rows, outputs).

    Example:
        >>> linear_sums(np.array([[1.0]]), np.array([[2.0]]), np.array([3.0])).tolist()
        [[5.0]]
    """
    x = np.asarray(x, float)
    if levels is None:
        return np.einsum("rf,fo->ro", x, slopes) + intercept
    places = [column for column, _ in codes]
    numbers = np.delete(x, places, axis=1)
    sums = np.einsum("rf,fo->ro", numbers, np.delete(slopes, places, axis=0))
    sums += intercept
    at = 0
    for column, size in codes:
        sums += levels[at + level_numbers(x[:, column], size)]
        at += size
    return sums

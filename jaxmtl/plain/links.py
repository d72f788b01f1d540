"""From sums to outputs, and from numbers of levels to places in arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def linked(links: Sequence[Sequence[Any]], sums: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """What a model predicts.

    Args:
        links: kind and width of each task: "same" for a number that is its sum, "exp" for a number
            above 0, "softmax" for classes whose sums are logits, "shares" for classes whose sums
            are probabilities.
        sums: (rows, outputs); they may be overwritten.
        floor: what is added to each probability before they are divided by their sum; 0 for
            numbers.

    Returns:
        Numbers, and probabilities of classes.

    Raises:
        ValueError: a kind that there is not.

    Example:
        >>> linked([["same", 1], ["softmax", 2]], np.array([[3.0, 0.0, 0.0]]), np.zeros(3)).tolist()
        [[3.0, 0.5, 0.5]]
    """
    at = 0
    for kind, width in links:
        columns = slice(at, at + width)
        at += width
        part = sums[:, columns]
        if kind == "exp":
            sums[:, columns] = np.exp(part)
        elif kind in ("softmax", "shares"):
            if kind == "softmax":
                part = np.exp(part - part.max(axis=1, keepdims=True))
                part = part / part.sum(axis=1, keepdims=True)
            part = part + floor[columns]
            sums[:, columns] = part / part.sum(axis=1, keepdims=True)
        elif kind != "same":
            raise ValueError(f"link: expected one of same, exp, softmax, shares, got {kind!r}")
    return sums


def level_numbers(codes: np.ndarray, size: int) -> np.ndarray:
    """Codes as whole numbers; what is out of range is the last level, that of levels not met.

    Args:
        codes: of any shape.
        size: levels that there are.

    Example:
        >>> level_numbers(np.array([1.0, 7.0, np.nan]), 3).tolist()
        [1, 2, 2]
    """
    known = (codes >= 0) & (codes < size)  # false for NaN as well
    return np.where(known, codes, size - 1).astype(np.int64)


def bucketed(x: np.ndarray, codes: Sequence[tuple[int, np.ndarray]]) -> np.ndarray:
    """The features with buckets in place of the numbers of levels.

    Args:
        x: (rows, features), coded.
        codes: place of each column that holds numbers of levels, and the bucket of every level.

    Returns:
        A new array where there are such columns, else the very one.

    Example:
        >>> bucketed(np.array([[2.0]]), [(0, np.array([1, 0, 5]))]).tolist()
        [[5.0]]
    """
    if not codes:
        return x
    x = x.copy()
    for column, buckets in codes:
        x[:, column] = buckets[level_numbers(x[:, column], len(buckets))]
    return x

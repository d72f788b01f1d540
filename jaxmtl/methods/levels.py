"""Columns that hold the number of a level: their levels in few buckets, and a column each."""

from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from jaxmtl._words import short
from jaxmtl.data.folds import Data
from jaxmtl.plain.links import level_numbers

MOST_BUCKETS = 255  # that of all other levels stands behind them: 256 numbers fit a byte


def code_columns(data: Data) -> tuple[tuple[int, int], ...]:
    """Which columns of ``x`` hold the number of a level, and how many levels each has.

    Args:
        data: with its parts.

    Returns:
        Place and size of each.

    Example:
        >>> from jaxmtl.data.folds import Part
        >>> from jaxmtl.tasks import number_tasks
        >>> data = Data(x=np.zeros((1, 2)), y=np.zeros((1, 1)), known=np.ones((1, 1), bool),
        ...             tasks=number_tasks(["CO"]), parts=(Part("T"), Part("City", "code", 27)))
        >>> code_columns(data)
        ((1, 27),)
    """
    return tuple((at, part.size) for at, part in enumerate(data.parts) if part.role == "code")


def buckets_of(
    codes: Float[np.ndarray, " rows"], size: int, most: int = MOST_BUCKETS
) -> UInt8[np.ndarray, " levels"]:
    """The bucket of every level: the frequent ones have one each, all others share one.

    Args:
        codes: numbers of levels in the training rows.
        size: levels that there are.
        most: buckets of a single level, at most 255.

    Returns:
        By level: 0 for the most frequent one, and so on; the last number, that of the distinct
        frequent levels, for levels that are rare or were not met.

    Example:
        >>> buckets_of(np.array([2.0, 2, 2, 0, 0, 3]), 5, most=2).tolist()
        [1, 2, 0, 2, 2]
    """
    counts = np.bincount(level_numbers(codes, size), minlength=size)
    order = np.argsort(-counts, kind="stable")
    frequent = order[: min(most, np.count_nonzero(counts))]
    found = np.full(size, len(frequent), np.uint8)
    found[frequent] = np.arange(len(frequent))
    return found


def codes_from_json(what: str, saved: Any, features: int) -> tuple[tuple[int, int], ...]:
    """Places and sizes of columns with numbers of levels, from a file.

    Args:
        what: they are part of, for the error.
        saved: pairs of place and size.
        features: columns that there are.

    Returns:
        The pairs.

    Raises:
        ValueError: something else, a place that there is not, or one twice.

    Example:
        >>> codes_from_json("model", [[7, 3]], 2)
        Traceback (most recent call last):
            ...
        ValueError: model: expected places of codes below 2, each once, and sizes, got [[7, 3]]
    """
    good = isinstance(saved, list) and all(
        isinstance(pair, list)
        and len(pair) == 2
        and all(type(number) is int for number in pair)
        and 0 <= pair[0] < features
        and pair[1] >= 1
        for pair in saved
    )
    if not good or len({column for column, _ in saved}) < len(saved):
        raise ValueError(
            f"{what}: expected places of codes below {features}, each once, and sizes, got "
            f"{short(saved)}"
        )
    return tuple((column, size) for column, size in saved)

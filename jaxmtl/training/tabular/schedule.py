"""Rates of training on tables: how large, for which parameters, and when."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

PERIODS = 4  # in which the rate falls to 0, each twice as long as the one before
# Times the rate, by the last name of a parameter; 1 for others, and 0 for all of a line.
FACTORS = {
    "scale": 6.0,
    "bias": 0.1,
    "share": 0.1,
    "frequency": 0.1,
    "phase": 0.1,
    "mixture": 0.1,
    "offset": 0.1,
}
LINE = "line"
DECAYED = ("kernel", "mixture", "frequency")


def rate_at(done: Float[Array, ""]) -> Float[Array, ""]:
    """The share of the largest rate after a share of the training: 0 at 1, 3, 7 and 15 fifteenths.

    Args:
        done: from 0 to 1, traced.

    Returns:
        (1 - cos(2 pi log2(1 + 15 done))) / 2.

    Example:
        >>> [round(float(rate_at(jnp.float32(n / 15))), 3) for n in (0, 1, 3, 5, 15)]
        [0.0, 0.0, 0.0, 0.93, 0.0]

    References:
        Holzmüller et al. (2024), Better by Default, appendix A.3.
    """
    return (1 - jnp.cos(2 * math.pi * jnp.log2(1 + (2**PERIODS - 1) * done))) / 2


def marks_of(epochs: int) -> tuple[int, ...]:
    """Epochs at whose ends the rate is 0, and parameters are worth keeping.

    Args:
        epochs: in all, at least 1.

    Returns:
        Ascending, the last of them all epochs.

    Example:
        >>> marks_of(256), marks_of(3)
        ((17, 51, 119, 256), (1, 3))
    """
    marks = (round(epochs * (2**n - 1) / (2**PERIODS - 1)) for n in range(1, PERIODS + 1))
    return tuple(sorted({max(mark, 1) for mark in marks}))


def factors(params: PyTree) -> tuple[PyTree, PyTree]:
    """Of every parameter the factor of its rate, and whether it decays; numbers for each leaf."""

    def name(path: Any) -> str:
        return str(path[-1].key)

    def rate(path: Any, leaf: Any) -> float:
        del leaf
        return 0.0 if LINE in [str(part.key) for part in path] else FACTORS.get(name(path), 1.0)

    rates = jax.tree_util.tree_map_with_path(rate, params)
    decays = jax.tree_util.tree_map_with_path(
        lambda path, leaf: float(name(path) in DECAYED), params
    )
    return rates, decays


def epochs_for(rows: int, most: int = 128, least: int = 16) -> int:
    """Epochs that rows are worth: fewer where there are many, as the root of their number.

    Args:
        rows: of a fold.
        most: for few rows.
        least: for many.

    Example:
        >>> epochs_for(300), epochs_for(2400), epochs_for(30_000), epochs_for(400_000)
        (128, 51, 16, 16)
    """
    return int(min(most, max(2500 / math.sqrt(max(rows, 1)), least)))


def batch_for(rows: int) -> int:
    """Rows of an update: an eighth of few rows, 64 to 1024 of many.

    Args:
        rows: of a fold.

    Returns:
        At most all of them.

    Example:
        >>> [batch_for(rows) for rows in (20, 200, 3000, 50_000, 10**6)]
        [20, 32, 128, 512, 1024]
    """
    if rows < 64:
        return rows
    steps = ((512, 32), (1024, 64), (8192, 128), (30_000, 256), (100_000, 512))
    return next((size for most, size in steps if rows <= most), 1024)

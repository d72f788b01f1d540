"""A snapshot of the epoch of least validation error, kept while a run goes on."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxmtl.duplication import HeadIndex

Parts = tuple[Array, Array, Array]


class Best(NamedTuple):
    """The epoch of least mean validation error so far, the first of equals.

    Where no epoch had a finite mean, it is the first one.

    Attributes:
        params: at its end.
        head_index: at its end; None for networks without a bank.
        state: of the network at its end, such as running statistics; None for most.
        errors: on the validation rows, at its end.
        epoch: its number in the run, counted from 1 over all phases; 0 before the first.
        passed: epochs of the run so far.

    Example:
        >>> from jaxmtl import HardSharing, Rows, Splits, fit
        >>> x = jax.random.uniform(jax.random.key(1), (20, 4))
        >>> rows = Rows(x, x[:, :2])
        >>> run = fit(
        ...     HardSharing(), Splits(rows, rows), key=jax.random.key(0), epochs=3, keep_best=True
        ... )
        >>> int(run.best.epoch), int(run.best.passed)
        (3, 3)
    """

    params: PyTree
    head_index: HeadIndex | None
    state: PyTree
    errors: Float[Array, " tasks"]
    epoch: Int[Array, ""]
    passed: Int[Array, ""]


def first_best(params: PyTree, head_index: HeadIndex | None, state: PyTree, num_tasks: int) -> Best:
    """The snapshot before the first epoch: the start, which any epoch replaces."""
    zero = jnp.int32(0)
    return Best(params, head_index, state, jnp.full(num_tasks, jnp.inf, float), zero, zero)


def keep_better(
    best: Best,
    params: PyTree,
    head_index: HeadIndex | None,
    state: PyTree,
    errors: Float[Array, " tasks"],
    counts: Bool[Array, ""],
) -> Best:
    """The snapshot after an epoch.

    Args:
        best: before it, traced.
        params: at its end, traced.
        head_index: at its end, traced.
        state: of the network at its end, traced.
        errors: on the validation rows at its end, traced.
        counts: whether the epoch ran and did not diverge, traced.

    Returns:
        The snapshot of the better one of both.
    """
    passed = best.passed + counts.astype(jnp.int32)
    errors = errors.astype(best.errors.dtype)
    first = best.epoch == 0
    takes = counts & (first | is_less(errors, best.errors))
    new = Best(params, head_index, state, errors, passed, passed)
    kept = jax.tree.map(lambda new, old: jnp.where(takes, new, old), new, best)
    return kept._replace(passed=passed)


def is_less(new: Float[Array, " tasks"], old: Float[Array, " tasks"]) -> Bool[Array, ""]:
    """Whether the mean of ``new`` is finite, and less than that of ``old`` if that is finite.

    Entries that are NaN are left out of a mean. The two are compared without rounding: epochs late
    in a run differ in the last bit of one task, which a mean in float32 would not show.

    Args:
        new: traced.
        old: traced.

    Returns:
        A boolean.

    Example:
        >>> step = jnp.float32(2**-24)  # too small to change a sum in float32
        >>> old = jnp.array([1.0, step])
        >>> bool(is_less(jnp.array([1.0, step / 2]), old)), bool(is_less(old, old))
        (True, False)
    """
    sums = [jnp.where(jnp.isnan(errors), 0, errors) for errors in (new, old)]
    numbers = [(~jnp.isnan(errors)).sum(dtype=jnp.int32) for errors in (new, old)]
    finite = [
        jnp.isfinite(terms).all() & (number > 0)
        for terms, number in zip(sums, numbers, strict=True)
    ]
    # Both sides times both numbers of entries: new * numbers[1] - old * numbers[0].
    terms = jnp.concatenate([_times(sums[0], numbers[1]), _times(-sums[1], numbers[0])])
    return finite[0] & (~finite[1] | (_sign_of_sum(terms) < 0))


def _times(values: Float[Array, " tasks"], factor: Int[Array, ""]) -> Float[Array, " terms"]:
    """Terms whose exact sum is the factor times that of the values: one a binary digit."""
    digits = jnp.arange(values.size.bit_length())
    powers = jnp.asarray(2.0 ** np.arange(len(digits)), values.dtype)
    powers = jnp.where((factor >> digits) & 1, powers, 0)
    return (powers[:, None] * values[None]).reshape(-1)


def _sign_of_sum(terms: Float[Array, " terms"]) -> Float[Array, ""]:
    """A number of the sign of the exact sum: three parts hold more digits than float64 has."""

    def add(parts: Parts, term: Array) -> tuple[Parts, None]:
        high, middle, low = parts
        high, rest = _two_sum(high, term)
        middle, rest = _two_sum(middle, rest)
        return (high, middle, low + rest), None

    zero = jnp.zeros((), terms.dtype)
    (high, middle, low), _ = jax.lax.scan(add, (zero, zero, zero), terms)
    middle, low = _two_sum(middle, low)
    total, _ = _two_sum(high, middle)
    # A total of 0 is exact; what it leaves out is too small to turn any other.
    return jnp.where(total == 0, low, total)


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """The rounded sum, and exactly what the rounding left out (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)

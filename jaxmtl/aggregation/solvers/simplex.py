"""The simplex of weights w >= 0, sum w = 1: projection and point of least norm."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxmtl.aggregation.solvers.linear import multiply, unit_gram
from jaxmtl.aggregation.solvers.nonnegative import nonnegative_qp
from jaxmtl.aggregation.solvers.solution import Solution
from jaxmtl.aggregation.solvers.trust import (
    ROUNDING,
    amplification,
    cancels,
    estimate,
    length_of,
    verdict,
)


@jax.jit
def project_simplex(
    values: Float[Array, " n"], among: Bool[Array, " n"] | None = None
) -> Float[Array, " n"]:
    """Euclidean projection onto the simplex, exact.

    Args:
        values: traced.
        among: entries that may be above 0, traced; None for all.

    Returns:
        The projection; 0 where ``among`` is False.

    Example:
        >>> import jax.numpy as jnp
        >>> project_simplex(jnp.array([0.5, 1.5, -1.0])).tolist()
        [0.0, 1.0, 0.0]
    """
    size = values.shape[0]
    among = jnp.ones(size, bool) if among is None else among
    # No cancellation of large values. A shift changes nothing, slopes included: those of a maximum
    # are NaN where a compiler rounds it and what it was taken of by different ways.
    largest = jnp.max(jnp.where(among, values, -jnp.inf))
    shifted = values - jax.lax.stop_gradient(largest)
    sorted_down = -jnp.sort(jnp.where(among, -shifted, jnp.inf))
    finite = jnp.isfinite(sorted_down)
    sums = jnp.cumsum(jnp.where(finite, sorted_down, 0))
    numbers = jnp.arange(1, size + 1, dtype=values.dtype)
    thresholds = (sums - 1) / numbers
    kept = jnp.maximum((finite & (sorted_down > thresholds)).sum(), 1)
    projected = jnp.maximum(shifted - thresholds[kept - 1], 0)
    return jnp.where(among, projected, 0)


@jax.jit
def min_norm_weights(
    gram: Float[Array, "tasks tasks"],
    present: Bool[Array, " tasks"],
    scales: Float[Array, " tasks"] | None = None,
) -> Solution:
    """Weights on the simplex that minimise w'G w.

    With w = x / sum(x) the problem is min x'G x / 2 - 1'x over x >= 0. In units of the norms d of
    the rows, C = D^-1 G D^-1 and the linear term is -min(d) / d: of order 1 however the rows are
    scaled. If 0 is a convex combination of the rows, x grows along it and w tends to it.

    Args:
        gram: G, traced.
        present: tasks that may have weight, traced.
        scales: see ``unit_gram``.

    Returns:
        The weights as ``x``, and how far they are from optimal. A zero row among those present
        takes all weight, several share it.

    Example:
        >>> import jax.numpy as jnp
        >>> min_norm_weights(jnp.array([[1.0, 0.0], [0.0, 4.0]]), jnp.ones(2, bool)).x.tolist()
        [0.800000011920929, 0.20000000298023224]
    """
    unit = unit_gram(gram, present, scales)
    smallest = jnp.min(jnp.where(unit.live, unit.norms, jnp.inf))
    share = jnp.where(unit.live, smallest * unit.inverse, 0)
    found = nonnegative_qp(unit.cosines, -share)
    total = (found.x * share).sum()
    # Weights of unit rows, of a direction in the unit of the shortest row.
    z = found.x / jnp.where(total > 0, total, 1)
    zero_rows = present & ~unit.live
    weights = jnp.where(
        zero_rows.any(),
        zero_rows.astype(gram.dtype) / jnp.maximum(zero_rows.sum(dtype=gram.dtype), 1),
        z * share,
    )
    # Products of the rows with the direction are its squared length, or more without weight.
    eps = float(jnp.finfo(gram.dtype).eps)
    products = multiply(unit.cosines, z)
    over = products - share * (z * products).sum()
    off = jnp.where(unit.live, jnp.where(z > 0, over, jnp.minimum(over, 0)), 0)
    error = estimate(amplification(unit.cosines, share), length_of(z), off)
    usual = jnp.ones((), gram.dtype)
    if jnp.finfo(gram.dtype).bits == 64:
        # The best is no longer than this one: beside rows that cancel all of this is rounding.
        usual = jnp.where(cancels(unit.cosines, z), jnp.maximum(length_of(z), 1), usual)
    good, residual = verdict(unit.cosines, z, jnp.max(jnp.abs(off)), error, usual)
    good &= (jnp.abs(off) <= ROUNDING * eps * (1 + length_of(z))).all()
    none = zero_rows.any() | ~unit.live.any()
    return Solution(weights, found.support, good | none, jnp.where(none, 0, residual))


def share_among(weights: Float[Array, " n"], among: Bool[Array, " n"]) -> Float[Array, " n"]:
    """Weights restricted to some entries and scaled to sum to 1; equal ones if nothing is left.

    Example:
        >>> import jax.numpy as jnp
        >>> share_among(jnp.array([0.5, 0.25, 0.25]), jnp.array([False, True, True])).tolist()
        [0.0, 0.5, 0.5]
    """
    kept = jnp.where(among, weights, 0)
    total = kept.sum()
    even = among.astype(weights.dtype) / jnp.maximum(among.sum(dtype=weights.dtype), 1)
    return jnp.where(total > 0, kept / jnp.where(total > 0, total, 1), even)

"""The simplex of weights w >= 0, sum w = 1: projection and point of least norm."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxmtl.aggregation.solvers.linear import unit_gram
from jaxmtl.aggregation.solvers.nonnegative import Solution, nonnegative_qp


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
    shifted = values - jnp.max(
        jnp.where(among, values, -jnp.inf)
    )  # no cancellation of large values
    sorted_down = -jnp.sort(jnp.where(among, -shifted, jnp.inf))
    finite = jnp.isfinite(sorted_down)
    sums = jnp.cumsum(jnp.where(finite, sorted_down, 0))
    numbers = jnp.arange(1, size + 1, dtype=values.dtype)
    thresholds = (sums - 1) / numbers
    kept = jnp.maximum((finite & (sorted_down > thresholds)).sum(), 1)
    projected = jnp.maximum(shifted - thresholds[kept - 1], 0)
    return jnp.where(among, projected, 0)


@jax.jit
def min_norm_weights(gram: Float[Array, "tasks tasks"], present: Bool[Array, " tasks"]) -> Solution:
    """Weights on the simplex that minimise w'G w.

    With w = x / sum(x) the problem is min x'G x / 2 - 1'x over x >= 0. In units of the norms d of
    the rows, C = D^-1 G D^-1 and the linear term is -min(d) / d: of order 1 however the rows are
    scaled. If 0 is a convex combination of the rows, x grows along it and w tends to it.

    Args:
        gram: G, traced.
        present: tasks that may have weight, traced.

    Returns:
        The weights as ``x``, and the state of the solver. A zero row among those present takes all
        weight, several share it.

    Example:
        >>> import jax.numpy as jnp
        >>> min_norm_weights(jnp.array([[1.0, 0.0], [0.0, 4.0]]), jnp.ones(2, bool)).x.tolist()
        [0.800000011920929, 0.20000000298023224]
    """
    unit = unit_gram(gram, present)
    smallest = jnp.min(jnp.where(unit.live, unit.norms, jnp.inf))
    share = jnp.where(unit.live, smallest * unit.inverse, 0)
    found = nonnegative_qp(unit.cosines, -share)
    weights = found.x * share
    total = weights.sum()
    zero_rows = present & ~unit.live
    weights = jnp.where(
        zero_rows.any(),
        zero_rows.astype(gram.dtype) / jnp.maximum(zero_rows.sum(dtype=gram.dtype), 1),
        weights / jnp.where(total > 0, total, 1),
    )
    return found._replace(x=weights)


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

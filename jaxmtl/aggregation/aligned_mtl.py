"""Aligned gradients: the system of gradients with condition number 1."""

from collections.abc import Sequence
from typing import Any, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmtl._validate import check_choice
from jaxmtl.aggregation.contract import Aggregator, Context, Weighed, from_rule, preference_vector
from jaxmtl.aggregation.solvers.eigen import eigenvalues_and_vectors
from jaxmtl.aggregation.solvers.linear import unit_gram
from jaxmtl.aggregation.solvers.trust import accuracy

Scale = Literal["min", "median", "rmse"]


def aligned_mtl(
    scale: Scale = "min",
    preferences: Float[Array, " tasks"] | Sequence[float] | None = None,
) -> Aggregator:
    """Combination of the closest system of orthogonal gradients of equal length.

    With G = V L V', the balanced system is B J, B = sqrt(s) V L^(-1/2) V', and (B J)(B J)' = s I
    on the range of G; the weights are B p. s is the smallest eigenvalue, their median or their mean
    (rmse, the mean of the squared singular values), over the eigenvalues above tasks * eps of the
    largest. Of an even number of them the median is the lower middle one, as in TorchJD.
    ``converged`` is False where rounding may have changed the least eigenvalue by more than 1e-6 of
    itself (1e-3 in float32), by which the result would change: dependent or near-dependent rows,
    or rows of very different length. ``residual`` is that share. p sums to
    1 by default, as in TorchJD; LibMTL takes 1 a task.

    Needs the Gram matrix. Permutation invariant, of degree 1.

    Args:
        scale: which s, static; ``"min"`` as in the paper.
        preferences: p, one a task; None for 1 / tasks (of those present).

    Returns:
        The aggregator; no state.

    Raises:
        ValueError: an unknown scale; at the update, if there is not one preference a task.

    Example:
        >>> import jax.numpy as jnp
        >>> gram = jnp.array([[18.0, -22.0], [-22.0, 38.0]])
        >>> [round(w, 4) for w in aligned_mtl().weights(gram).tolist()]
        [0.5591, 0.4083]

    References:
        Senushkin, Patakin, Kuznetsov, Konushin (2023), Independent component alignment for
        multi-task learning, algorithm 1.
    """
    check_choice("scale", scale, ("min", "median", "rmse"))

    def rule(gram: Any, state: Any, context: Context) -> Weighed:
        p = preference_vector("aligned_mtl", preferences, context.present, gram.dtype)
        unit = unit_gram(gram, context.present, context.scales)
        size = jnp.max(unit.norms)
        some = size > 0
        lengths = unit.norms / jnp.where(some, size, 1)
        scaled = unit.cosines * lengths[:, None] * lengths[None]
        values, vectors = eigenvalues_and_vectors(scaled)
        number = context.present.sum(dtype=gram.dtype)
        keep = (values > number * float(jnp.finfo(gram.dtype).eps) * values[-1]) & some
        rank = keep.sum()
        if scale == "min":
            s = jnp.min(jnp.where(keep, values, jnp.inf))
        elif scale == "median":
            ascending = jnp.sort(jnp.where(keep, values, jnp.inf))
            s = ascending[jnp.maximum(rank - 1, 0) // 2]
        else:
            s = jnp.where(keep, values, 0).sum() / jnp.maximum(rank, 1)
        root = jnp.where(keep, jnp.sqrt(jnp.where(keep, s, 1) / jnp.where(keep, values, 1)), 0)
        balanced = (vectors * (root * (vectors * p[:, None]).sum(axis=0))[None]).sum(axis=1)
        # Without a gradient there is nothing to balance: the sum over p of zeros.
        weights = jnp.where(some & context.present, balanced, jnp.where(some, 0, p))
        # Eigenvalues are known to about eps of the largest.
        least = values[jnp.minimum(gram.shape[0] - unit.live.sum(), gram.shape[0] - 1)]
        unsure = 2 * float(jnp.finfo(gram.dtype).eps) * values[-1]
        good = (unsure <= accuracy(gram.dtype) * least) | ~some
        residual = unsure / jnp.maximum(least, jnp.where(some, unsure, 1))
        return Weighed(weights, state, good, residual)

    return from_rule(rule, scaled=True)

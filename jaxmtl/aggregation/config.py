"""Conflict-free inverse gradients: one direction at the same angle to all."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmtl.aggregation.contract import Aggregator, Context, Weighed, from_rule, preference_vector
from jaxmtl.aggregation.solvers.eigen import pseudo_inverse_times
from jaxmtl.aggregation.solvers.linear import multiply, unit_gram
from jaxmtl.aggregation.solvers.trust import (
    ROUNDING,
    accuracy,
    inverse_error,
    length_of,
    safe_root,
)


def config(preferences: Float[Array, " tasks"] | Sequence[float] | None = None) -> Aggregator:
    """The unit direction u with the same cosine to all gradients, as long as their projections.

    u is U^+ p normalised, with the unit gradients as the rows of U, and the result is (sum_t g_t.u)
    u. U^+ p = U' C^+ p needs only the cosines C = U U', so the rows are read twice as by any other
    method, where the authors' code and TorchJD decompose the whole matrix. Eigenvalues of C up to
    tasks * eps of the largest count as 0. ``converged`` is False where no direction has these
    cosines (opposite rows), or the Gram matrix, as rounded, does not determine it (near-opposite
    ones); then u is the nearest in the sense of least squares. ``residual`` is the largest error of
    a cosine, or the estimated relative error of u.

    Needs the Gram matrix. Permutation invariant, linear under scaling of the rows, of degree 1.

    Args:
        preferences: p, the cosines wanted up to a factor; None for 1.

    Returns:
        The aggregator; no state.

    Raises:
        ValueError: at the update, if there is not one preference a task.

    Example:
        >>> import jax.numpy as jnp
        >>> grads = jnp.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]])
        >>> aggregator = config()
        >>> combined, _, _ = aggregator.update(grads, aggregator.init(grads))
        >>> [round(g, 4) for g in combined.tolist()]
        [0.1588, 2.0706, 2.0706]

    References:
        Liu, Chu, Thuerey (2025), ConFIG: towards conflict-free training of physics informed neural
        networks, equations 2 and 3.
    """

    def rule(gram: Any, state: Any, context: Context) -> Weighed:
        p = preference_vector("config", preferences, context.present, gram.dtype, default="sum")
        unit = unit_gram(gram, context.present, context.scales)
        rtol = gram.shape[0] * float(jnp.finfo(gram.dtype).eps)
        raw, _, least = pseudo_inverse_times(unit.cosines, jnp.where(unit.live, p, 0), rtol)
        cosines = jnp.where(unit.live, multiply(unit.cosines, raw), 0)
        square = (raw * cosines).sum()
        # In units of the longest row, so that no sum of lengths overflows.
        largest = jnp.max(unit.norms)
        length = (unit.norms / jnp.where(largest > 0, largest, 1) * cosines).sum()
        factor = jnp.where(square > 0, length / jnp.where(square > 0, square, 1), 0)
        weights = factor * raw * (largest * unit.inverse)
        eps = float(jnp.finfo(gram.dtype).eps)
        off = jnp.where(unit.live, cosines - p, 0)
        exact = (jnp.abs(off) <= ROUNDING * eps * (jnp.max(jnp.abs(p)) + length_of(raw))).all()
        error = inverse_error(least, length_of(raw), off)
        root = safe_root(square)
        error = error / jnp.where(root > 0, root, 1)
        good = (exact & (error <= accuracy(gram.dtype))) | ~unit.live.any()
        return Weighed(
            weights, state, good, jnp.minimum(jnp.maximum(error, jnp.max(jnp.abs(off))), 1 / eps)
        )

    return from_rule(rule, scaled=True)

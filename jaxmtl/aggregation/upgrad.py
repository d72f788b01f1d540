"""Jacobian descent: the sum of the gradients, each projected until it hurts no task."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmtl.aggregation.contract import Aggregator, Context, Weighed, from_rule, preference_vector
from jaxmtl.aggregation.solvers.cone import sum_of_projections
from jaxmtl.aggregation.solvers.linear import unit_gram


def upgrad(preferences: Float[Array, " tasks"] | Sequence[float] | None = None) -> Aggregator:
    """Sum of p_t times the projection of g_t onto the dual cone {d : J d >= 0}.

    The projection of g_t has weights v >= e_t that minimise v'G v. It depends on the angles
    alone: with unit rows and z_t the solution for row t, w = D^-1 sum_t p_t d_t z_t with d the
    norms. One batch of m programs on the same matrix of cosines, exact whatever the scales, so that
    the result is linear under scaling of the rows at working precision. TorchJD adds 1e-4 of the
    trace to the Gram matrix, which shifts its weights by about 1e-4 and breaks that property by up
    to 6 %. With p = 1 and two tasks it is PCGrad.

    Needs the Gram matrix. Non-conflicting, permutation invariant, linear under scaling, strongly
    stationary, of degree 1. ``residual`` is the largest violation of a
    condition of optimality relative to the length of the result, or the estimated error of the
    result where the Gram matrix, as rounded, does not determine it (rows that are near opposite).

    Args:
        preferences: p, one a task, >= 0; None for 1 / tasks (of those present), as in the paper;
            LibMTL takes 1.

    Returns:
        The aggregator; no state.

    Raises:
        ValueError: at the update, if there is not one preference a task.

    Example:
        >>> import jax.numpy as jnp
        >>> gram = jnp.array([[18.0, -22.0], [-22.0, 38.0]])
        >>> [round(w, 4) for w in upgrad().weights(gram).tolist()]
        [1.1111, 0.7895]

    References:
        Quinton, Rey (2024), Jacobian descent for multi-objective optimization, arXiv:2406.16232,
        equation 5 and proposition 1.
    """

    def rule(gram: Any, state: Any, context: Context) -> Weighed:
        p = preference_vector("upgrad", preferences, context.present, gram.dtype)
        unit = unit_gram(gram, context.present, context.scales)
        rows = jnp.eye(gram.shape[0], dtype=gram.dtype)
        lengths = p * unit.norms
        largest = jnp.max(lengths)
        shares = lengths / jnp.where(largest > 0, largest, 1)
        found = sum_of_projections(unit, rows, shares)
        each = lengths[:, None] * unit.inverse[None] * (rows + found.added)
        weights = jnp.where(unit.live, each.sum(axis=0), p)
        return Weighed(weights, state, found.converged, found.residual)

    return from_rule(rule, scaled=True)

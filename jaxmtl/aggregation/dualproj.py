"""The mean gradient, projected until it hurts no task."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmtl.aggregation.contract import Aggregator, Context, Weighed, from_rule, preference_vector
from jaxmtl.aggregation.solvers.cone import sum_of_projections
from jaxmtl.aggregation.solvers.linear import unit_gram


def dualproj(preferences: Float[Array, " tasks"] | Sequence[float] | None = None) -> Aggregator:
    """Projection of sum_t p_t g_t onto the dual cone {d : J d >= 0}.

    The weights v >= p minimise v'G v; they are p themselves if the sum hurts no task. Exact;
    TorchJD adds 1e-4 of the trace to the Gram matrix.

    Needs the Gram matrix. Non-conflicting, permutation invariant, strongly stationary, of degree 1.
    ``residual`` is as of ``upgrad``.

    Args:
        preferences: p, one a task, >= 0; None for 1 / tasks (of those present).

    Returns:
        The aggregator; no state.

    Raises:
        ValueError: at the update, if there is not one preference a task.

    Example:
        >>> import jax.numpy as jnp
        >>> gram = jnp.array([[18.0, -22.0], [-22.0, 38.0]])
        >>> [round(w, 4) for w in dualproj().weights(gram).tolist()]
        [0.6111, 0.5]

    References:
        Lopez-Paz, Ranzato (2017), Gradient episodic memory, equation 11.
    """

    def rule(gram: Any, state: Any, context: Context) -> Weighed:
        p = preference_vector("dualproj", preferences, context.present, gram.dtype)
        unit = unit_gram(gram, context.present, context.scales)
        lengths = p * unit.norms
        largest = jnp.max(lengths)
        scale = jnp.where(largest > 0, largest, 1)
        start = lengths / scale
        found = sum_of_projections(unit, start[None], jnp.ones(1, gram.dtype))
        # What the projection adds; p itself is kept to the last digit where it adds nothing.
        weights = p + found.added[0] * scale * unit.inverse
        return Weighed(weights, state, found.converged, found.residual)

    return from_rule(rule, scaled=True)

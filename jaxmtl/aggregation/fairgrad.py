"""Fair resource allocation between the tasks."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmtl._validate import check_positive
from jaxmtl.aggregation.contract import Aggregator, Context, Weighed, from_rule, preference_vector
from jaxmtl.aggregation.settings import Real, in_type
from jaxmtl.aggregation.solvers import fair_weights


def fairgrad(
    alpha: Real = 1.0, preferences: Float[Array, " tasks"] | Sequence[float] | None = None
) -> Aggregator:
    """Alpha-fair progress of the tasks: the w > 0 with (G w)_t = w_t^(-1 / alpha).

    The direction maximises sum_t (g_t.d)^(1 - alpha) / (1 - alpha): 0 is the mean, 1 is Nash-MTL
    without a limit on the norm, and large alpha tends to max-min fairness. The authors' code and
    TorchJD call SciPy's least squares; here w is the unique minimiser of a convex function, by
    Newton steps.

    Zero gradients get weight 0. At a Pareto-stationary point there is no solution: ``converged`` is
    False. ``residual`` is the largest |(G w)_t (w_t / p_t)^(1 / alpha) - 1|.

    Needs the Gram matrix. Non-conflicting and permutation invariant, of degree (1 - alpha) / (1 +
    alpha).

    Args:
        alpha: >= 0, may be traced; the paper takes 1 or 2.
        preferences: p, factors of the tasks' utilities, (G w)_t = (p_t / w_t)^(1 / alpha); None for
            1 (for 1 / tasks with alpha 0).

    Returns:
        The aggregator; no state.

    Raises:
        ValueError: alpha below 0; at the update, if there is not one preference a task.

    Example:
        >>> import jax.numpy as jnp
        >>> gram = jnp.array([[18.0, -22.0], [-22.0, 38.0]])
        >>> [round(w, 4) for w in fairgrad(2.0).weights(gram).tolist()]
        [0.4714, 0.3195]

    References:
        Ban, Ji (2024), Fair resource allocation in multi-task learning, equation 8.
    """
    check_positive("alpha", alpha, zero=True)

    def rule(gram: Any, state: Any, context: Context) -> Weighed:
        mean = preference_vector("fairgrad", preferences, context.present, gram.dtype)
        known, power = isinstance(alpha, int | float), in_type(alpha, gram.dtype)
        if known and alpha == 0:
            return Weighed(mean, state)
        p = None
        if preferences is not None:
            p = preference_vector("fairgrad", preferences, context.present, gram.dtype)
        if known:
            found = fair_weights(gram, context.present, power, p, context.scales)
            return Weighed(found.x, state, found.converged, found.residual)
        some = power > 0
        found = fair_weights(gram, context.present, jnp.where(some, power, 1), p, context.scales)
        return Weighed(
            jnp.where(some, found.x, mean),
            state,
            found.converged | ~some,
            jnp.where(some, found.residual, 0),
        )

    return from_rule(rule, scaled=True)

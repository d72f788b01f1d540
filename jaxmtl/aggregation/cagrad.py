"""Conflict-averse gradients: the best worst case near the mean."""

from collections.abc import Sequence
from typing import Any, Literal

from jaxtyping import Array, Float

from jaxmtl._validate import check_choice, check_positive
from jaxmtl.aggregation.contract import Aggregator, Context, Weighed, from_rule, preference_vector
from jaxmtl.aggregation.settings import Real, in_type
from jaxmtl.aggregation.solvers import worst_case_weights

Rescale = Literal["none", "square", "linear"]


def cagrad(
    c: Real = 0.5,
    rescale: Rescale = "none",
    preferences: Float[Array, " tasks"] | Sequence[float] | None = None,
) -> Aggregator:
    """The d that maximises min_t g_t.d over the ball |d - g0| <= c |g0| around the mean g0.

    d = g0 + c |g0| g_w / |g_w|, where w on the simplex minimises g_w.g0 + c |g0| |g_w|. The
    authors' code and LibMTL call SLSQP, TorchJD an interior-point solver, good to about 2e-5; here
    the support of w is found and the rest is a quadratic equation. c = 0 is the mean, and |d - g0|
    = c |g0| exactly. Scale: nothing is divided by default, as in the paper and TorchJD; the
    authors' code and LibMTL divide by 1 + c^2 (``"square"``), and Nash-MTL's multiplies by the
    number of tasks too.

    Where 0 is a convex combination of the gradients, no direction improves all of them. If the ball
    reaches one that hurts none, g_w is 0 and so is the result, as in TorchJD, which says so
    whenever |g_w| is below 1e-4 of the trace's root; here it is decided by whether the margin can
    be reached at working precision, relative to the rows. Otherwise the best worst case is a loss.

    Needs the Gram matrix. Permutation invariant, of degree 1; non-conflicting for c >= 1 (below,
    where the ball reaches a direction that is).

    Args:
        c: radius of the ball, >= 0; may be traced.
        rescale: ``"none"``, ``"square"`` for 1 / (1 + c^2), ``"linear"`` for 1 / (1 + c). Static.
        preferences: weights of g0; None for 1 / tasks (of those present).

    Returns:
        The aggregator; no state. ``residual`` is the largest shortfall of a margin, relative.

    Raises:
        ValueError: c below 0 or an unknown rescaling; at the update, if there is not one
            preference a task.

    Example:
        >>> import jax.numpy as jnp
        >>> gram = jnp.array([[18.0, -22.0], [-22.0, 38.0]])
        >>> [round(w, 4) for w in cagrad(0.5).weights(gram).tolist()]
        [0.7041, 0.5]

    References:
        Liu, Liu, Jin, Stone, Liu (2021), Conflict-averse gradient descent for multi-task learning,
        algorithm 1.
    """
    check_positive("c", c, zero=True)
    check_choice("rescale", rescale, ("none", "square", "linear"))

    def rule(gram: Any, state: Any, context: Context) -> Weighed:
        b = preference_vector("cagrad", preferences, context.present, gram.dtype)
        radius = in_type(c, gram.dtype)
        factor = {"none": 1, "square": 1 / (1 + radius**2), "linear": 1 / (1 + radius)}[rescale]
        found = worst_case_weights(gram, context.present, b, radius, context.scales)
        return Weighed(found.x * factor, state, found.converged, found.residual)

    return from_rule(rule, scaled=True)

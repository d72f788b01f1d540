"""A weighted sum that pulls the losses towards a ray."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmtl._validate import check_positive
from jaxmtl.aggregation.contract import Context, preference_vector
from jaxmtl.aggregation.losses.contract import Scalarizer, from_value
from jaxmtl.aggregation.settings import Real, in_type


def cosmos(
    lam: Real = 1.0, preferences: Float[Array, " tasks"] | Sequence[float] | None = None
) -> Scalarizer:
    """Weighted sum less lam times the cosine of losses and preferences: p'L - lam cos(L, p).

    Slopes may be below 0: a loss may be raised to come nearer to the ray. The paper draws p from a
    Dirichlet distribution at every step and gives it to the network as an input: p may be traced.

    Args:
        lam: strength of the pull, >= 0, may be traced.
        preferences: p, one a task; None for 1 / tasks (of those present).

    Returns:
        The loss method; no state. Where all losses are 0 the cosine counts as 0, without slope.

    Raises:
        ValueError: lam below 0; at the call, if there is not one preference a task.

    Example:
        >>> import jax.numpy as jnp
        >>> method = cosmos(1.0, [0.2, 0.3, 0.5])
        >>> round(method.scalarize(jnp.array([0.5, 2.0, 4.0]), ())[0].item(), 6)
        1.726671

    References:
        Ruchte, Grabocka (2021), Scalable Pareto front approximation for deep multi-objective
        learning, equation 5.
    """
    check_positive("lam", lam, zero=True)

    def value(losses: Array, state: object, context: Context) -> Array:
        p = preference_vector("cosmos", preferences, context.present, losses.dtype)
        present = jnp.where(context.present, losses, 0)
        product = (p * present).sum()
        return product - in_type(lam, losses.dtype) * safe_ratio(
            product, length(present) * length(p)
        )

    return from_value(value)


def length(vector: Float[Array, " n"]) -> Float[Array, ""]:
    """Euclidean length, with slope 0 at 0."""
    # Any size gives the same length; the slope of a maximum is 0 / 0 where XLA rounds it otherwise
    # when it looks for the largest entry again.
    size = jax.lax.stop_gradient(jnp.max(jnp.abs(vector)))
    unit = vector / jnp.where(size > 0, size, 1)
    squares = (unit**2).sum()
    return size * jnp.sqrt(jnp.where(squares > 0, squares, 1))


def safe_ratio(numerator: Array, denominator: Array) -> Array:
    """The quotient, 0 without slope where the denominator is 0."""
    positive = denominator != 0
    return jnp.where(positive, numerator / jnp.where(positive, denominator, 1), 0)

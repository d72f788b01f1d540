"""Smooth Tchebycheff scalarisation."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmtl._validate import check_positive
from jaxmtl.aggregation.contract import Context, preference_vector
from jaxmtl.aggregation.losses.contract import Scalarizer, from_value
from jaxmtl.aggregation.settings import Real, in_type


def stch(
    mu: Real = 1.0,
    preferences: Float[Array, " tasks"] | Sequence[float] | None = None,
    reference: Float[Array, " tasks"] | Sequence[float] | float = 0.0,
) -> Scalarizer:
    """A smooth maximum of the weighted losses: mu log sum_t exp(p_t (L_t - z_t) / mu).

    It tends to the maximum for mu -> 0 and, up to a constant, to linear scalarisation for large mu;
    every Pareto-optimal point is a minimum of it for some p. No log T is taken off, as in the
    paper and TorchJD. The authors' experiments (and LibMTL) put it on log(L_t / nadir_t), with the
    mean losses of four epochs as nadir, times T: give it such losses for the same.

    Args:
        mu: smoothness in units of the weighted losses, above 0, may be traced.
        preferences: p, one a task; None for 1 / tasks (of those present). May be traced.
        reference: z, the ideal losses, a number or one a task.

    Returns:
        The loss method; no state.

    Raises:
        ValueError: mu not above 0; at the call, not one preference or reference a task.

    Example:
        >>> import jax.numpy as jnp
        >>> round(stch().scalarize(jnp.array([0.5, 2.0, 4.0]), ())[0].item(), 6)
        1.934815

    References:
        Lin, Zhang, Yang, Liu, Wang, Zhang (2024), Smooth Tchebycheff scalarization, equation 10.
    """
    check_positive("mu", mu)

    def value(losses: Array, state: object, context: Context) -> Array:
        p = preference_vector("stch", preferences, context.present, losses.dtype)
        smoothness = in_type(mu, losses.dtype)
        scaled = p * (losses - reference_losses("stch", reference, losses)) / smoothness
        return smoothness * jax.nn.logsumexp(jnp.where(context.present, scaled, -jnp.inf))

    return from_value(value)


def reference_losses(method: str, reference: Any, losses: Array) -> Array:
    """A reference point as an array, one number a task.

    Raises:
        ValueError: neither a number nor one a task.
    """
    z = jnp.asarray(reference, losses.dtype)
    if z.shape not in ((), losses.shape):
        raise ValueError(
            f"{method}: expected a reference of shape {losses.shape}, one a task, or a number, "
            f"got shape {z.shape}"
        )
    return jnp.broadcast_to(z, losses.shape)

"""The geometric mean of the losses."""

import jax.numpy as jnp
from jaxtyping import Array

from jaxmtl.aggregation.contract import Context
from jaxmtl.aggregation.losses.contract import Scalarizer, from_value, present_mean


def gls() -> Scalarizer:
    """The loss (prod_t L_t)^(1/T), by logarithms, so that it does not underflow.

    Invariant to the scales of the losses up to a common factor. Losses below the smallest normal
    number count as that number and have no slope; with a loss below 0 the loss and all slopes are
    NaN.

    Returns:
        The loss method; no state.

    Example:
        >>> import jax.numpy as jnp
        >>> round(gls().scalarize(jnp.array([0.5, 2.0, 4.0]), ())[0].item(), 6)
        1.587401

    References:
        Chennupati, Sistu, Yogamani, Rawashdeh (2019), MultiNet++, equation 3.
    """

    def value(losses: Array, state: object, context: Context) -> Array:
        tiny = jnp.finfo(losses.dtype).tiny
        logs = jnp.log(jnp.where(losses < tiny, tiny, losses))
        logs = jnp.where(losses < 0, jnp.nan, logs)
        return jnp.exp(present_mean(logs, context.present))

    return from_value(value)

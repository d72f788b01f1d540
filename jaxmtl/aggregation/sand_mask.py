"""Masks by agreement of signs, smoothly: SAND-mask."""

import jax.numpy as jnp
from jaxtyping import Array

from jaxmtl._validate import check_choice, check_positive, check_within
from jaxmtl.aggregation.and_mask import masked_mean
from jaxmtl.aggregation.contract import Aggregator
from jaxmtl.aggregation.settings import Real, in_type


def sand_mask(tau: Real = 0.5, k: Real = 10.0, *, rescale: bool = True) -> Aggregator:
    """Mean gradient times max(0, tanh(k (|mean_t sign(g_t)| - tau) / variance)).

    The mask is smooth, and low where the gradients vary much for the agreement of their signs; the
    variance is over tasks, unbiased. Where it is 0 the mask is 1 above tau and 0 below. With
    ``rescale``, each leaf is divided by the mean of its mask, as in the authors' code and
    DomainBed, whose default tau = 1 makes every mask 0; ours is 0.5. The variance makes it no
    function of any degree.

    Needs the gradients, no Gram matrix. Permutation invariant; no weighted sum.

    Args:
        tau: agreement from which a coordinate is kept, in [0, 1].
        k: slope, above 0, in the unit of the variance. Both may be traced.
        rescale: static.

    Returns:
        The aggregator; no state.

    Raises:
        ValueError: tau not in [0, 1], k not above 0.

    Example:
        >>> import jax.numpy as jnp
        >>> grads = jnp.array([[1.0, 2.0], [1.0, -1.0]])
        >>> aggregator = sand_mask(rescale=False)
        >>> aggregator.update(grads, aggregator.init(grads))[0].tolist()
        [1.0, 0.0]

    References:
        Shahtalebi, Gagnon-Audet, Laleh, Faramarzi, Ahuja, Rish (2021), SAND-mask, section 3.
    """
    check_within("tau", tau, 0, 1)
    check_positive("k", k)
    check_choice("rescale", rescale, (False, True))

    def mask(agreement: Array, variance: Array) -> Array:
        above = agreement - in_type(tau, agreement.dtype)
        smooth = jnp.tanh(in_type(k, above.dtype) * above / jnp.where(variance > 0, variance, 1))
        return jnp.maximum(jnp.where(variance > 0, smooth, jnp.sign(above)), 0)

    return masked_mean(mask, rescale=rescale)

"""Impartial multi-task learning on the losses."""

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxmtl.aggregation.losses.contract import Scalarizer
from jaxmtl.aggregation.losses.learned import learned, own_optimizer
from jaxmtl.aggregation.parts import nonnegative
from jaxmtl.aggregation.settings import Real


def imtl_l(
    initial: Real = 0.0,
    learning_rate: Real = 0.025,
    optimizer: optax.GradientTransformation | None = None,
) -> Scalarizer:
    """Learned scales that bring all losses to 1.

    The loss is sum_t exp(s_t) L_t - s_t, for fixed losses least at s = -log L, where every scaled
    loss is 1: twice that of ``uncertainty`` with the sign of s turned, though its s learn at
    another pace. The scales are in the state and take a step of an optimizer of their own at each
    call; the paper trains them with the optimizer of the network, for which give ``optimizer`` the
    same. LibMTL joins it to ``imtl_g``; here that is ``imtl_g`` on gradients of scaled losses. A
    loss below 0, which no scale brings to 1 (s would grow without end), gives NaN.

    Args:
        initial: of every s.
        learning_rate: of Adam on s, above 0, may be traced.
        optimizer: instead of Adam, any optax optimizer.

    Returns:
        The loss method; its state is a ``LearnedState`` of s.

    Raises:
        ValueError: a learning rate not above 0.

    Example:
        >>> import jax.numpy as jnp
        >>> method = imtl_l()
        >>> method.scalarize(jnp.array([0.5, 2.0, 4.0]), method.init(3))[0].item()
        6.5

    References:
        Liu, Li, Kuang, et al. (2021), Towards impartial multi-task learning, section 3.2.
    """

    def terms(losses: Array, s: Array) -> Array:
        return jnp.exp(s) * nonnegative(losses) - s

    return learned(terms, initial, own_optimizer(optimizer, learning_rate))

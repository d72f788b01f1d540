"""Weights from learned task uncertainties."""

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxmtl.aggregation.losses.contract import Scalarizer
from jaxmtl.aggregation.losses.learned import learned, own_optimizer
from jaxmtl.aggregation.parts import nonnegative
from jaxmtl.aggregation.settings import Real


def uncertainty(
    initial: Real = 0.0,
    learning_rate: Real = 0.025,
    optimizer: optax.GradientTransformation | None = None,
) -> Scalarizer:
    """Losses of a Gaussian likelihood with a learned variance a task.

    With the log variances s the loss is sum_t L_t exp(-s_t) / 2 + s_t / 2; for fixed losses it is
    least at s = log L. The log variances are in the state and take a step of an optimizer of their
    own at each call, on the loss before the step; the paper trains them with the optimizer of the
    network, for which give ``optimizer`` the same. LibMTL starts at -0.5, TorchJD at 0. A loss
    below 0, for which no variance is best (s would fall without end), gives NaN.

    Args:
        initial: of every log variance.
        learning_rate: of Adam on the log variances, above 0, may be traced; 0.025 as in the
            Nash-MTL benchmark.
        optimizer: instead of Adam, any optax optimizer.

    Returns:
        The loss method; its state is a ``LearnedState`` of log variances.

    Raises:
        ValueError: a learning rate not above 0.

    Example:
        >>> import jax.numpy as jnp
        >>> method = uncertainty()
        >>> loss, state, weights = method.scalarize(jnp.array([0.5, 2.0, 4.0]), method.init(3))
        >>> loss.item(), weights.tolist(), [round(s, 3) for s in state.values.tolist()]
        (3.25, [0.5, 0.5, 0.5], [-0.025, 0.025, 0.025])

    References:
        Kendall, Gal, Cipolla (2018), Multi-task learning using uncertainty to weigh losses,
        equation 7 (with s = log sigma^2, section 3.2).
    """

    def terms(losses: Array, s: Array) -> Array:
        return nonnegative(losses) * jnp.exp(-s) / 2 + s / 2

    return learned(terms, initial, own_optimizer(optimizer, learning_rate))

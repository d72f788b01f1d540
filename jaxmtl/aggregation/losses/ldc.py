"""Loss discrepancy control."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxmtl._modes import take_step
from jaxmtl._validate import check_positive
from jaxmtl.aggregation.contract import Context
from jaxmtl.aggregation.losses.contract import Scalarizer, from_value, keep_absent
from jaxmtl.aggregation.losses.learned import LearnedState, own_optimizer
from jaxmtl.aggregation.settings import Real, in_type


def ldc(
    strength: Real = 0.1,
    learning_rate: Real = 0.001,
    optimizer: optax.GradientTransformation | None = None,
) -> Scalarizer:
    """Learned weights that keep the weighted losses alike: LDC-MTL.

    The loss is sum_t s_t L_t + lambda (T - 1) times the mean over pairs of |s_t L_t - s_u L_u|,
    with s = softmax(b). The logits b are in the state and take a step of an optimizer of their own
    at each call, down the same loss. Departures: the authors' s is a router on the mean shared
    feature, softmax(A z + b), and a loss method sees no feature: here A = 0; and they sum over the
    T - 1 neighbours t, t + 1, which depends on the order of the tasks.

    Args:
        strength: lambda, >= 0, may be traced; the authors' are 0.01 to 0.1.
        learning_rate: of Adam on b, above 0, may be traced.
        optimizer: instead of Adam, any optax optimizer.

    Returns:
        The loss method; its state is a ``LearnedState`` of b. The s of the tasks present sum to 1.

    Raises:
        ValueError: a number out of range.

    Example:
        >>> import jax.numpy as jnp
        >>> method = ldc(strength=0.1)
        >>> loss, _, _ = method.scalarize(jnp.array([1.0, 3.0]), method.init(2))
        >>> round(loss.item(), 4)  # (1 + 3) / 2 + 0.1 * |1 - 3| / 2
        2.1

    References:
        Xiao et al. (2025), LDC-MTL: balancing multi-task learning through scalable loss discrepancy
        control, arXiv 2502.08585, equation 5.
    """
    check_positive("strength", strength, zero=True)
    own = own_optimizer(optimizer, learning_rate)

    def total(logits: Array, losses: Array, context: Context) -> Array:
        present = context.present
        s = jax.nn.softmax(jnp.where(present, logits, -jnp.inf))
        parts = s * losses
        pairs = jnp.triu(present[:, None] & present[None], 1)
        gaps = jnp.abs(parts[:, None] - parts[None])
        # Equal but for rounding is equal: Adam makes steps of full length of the smallest slopes.
        rounding = 4 * float(jnp.finfo(losses.dtype).eps) * jnp.max(jnp.abs(parts))
        gaps = jnp.where(pairs & (gaps > rounding), gaps, 0).sum()
        number = present.sum(dtype=losses.dtype)
        share = (number - 1) / jnp.maximum(pairs.sum(dtype=losses.dtype), 1)
        # The s sum to 1, so that this is sum_t s_t L_t; of equal losses its slopes in b are 0.
        base = jax.lax.stop_gradient(jnp.where(present, losses, 0).sum() / number)
        weighted = base + (s * (losses - base)).sum()
        return weighted + in_type(strength, losses.dtype) * share * gaps

    def value(losses: Array, state: LearnedState, context: Context) -> Array:
        return total(state.values.astype(losses.dtype), losses, context)

    def advance(losses: Array, state: LearnedState, context: Context) -> LearnedState:
        slopes = jax.grad(total)(state.values, losses.astype(state.values.dtype), context)
        moved, inner = take_step(own, slopes, state.optimizer, state.values)
        return keep_absent(LearnedState(jnp.asarray(moved), inner), state, context.present)

    def init_state(tasks: int, dtype: jnp.dtype) -> LearnedState:
        values = jnp.zeros(tasks, dtype)
        return LearnedState(values, own.init(values))

    return from_value(value, init_state, advance)

"""Improvable-gap balancing."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxmtl._validate import check_positive
from jaxmtl.aggregation.contract import Context
from jaxmtl.aggregation.losses.contract import Scalarizer, from_value, keep_absent
from jaxmtl.aggregation.parts import nonnegative
from jaxmtl.aggregation.settings import Real


class IGBState(NamedTuple):
    """Losses of the first epoch.

    Attributes:
        sums: of each task's losses in it.
        batches: number of them.
        calls: so far.

    Example:
        >>> import jaxmtl.aggregation as ag
        >>> ag.igb().init(2).batches.tolist()
        [0, 0]
    """

    sums: Float[Array, " tasks"]
    batches: Int[Array, " tasks"]
    calls: Int[Array, ""]


def igb(period: Real = 25) -> Scalarizer:
    """More weight for tasks whose loss is still large for what it was at first: IGBv1.

    The loss is sum_t w_t log L_t with w = T softmax(L / mean loss of the first epoch), not
    differentiated; in the first epoch, of ``period`` calls, w = 1.

    Args:
        period: calls of the first epoch, at least 1, may be traced.

    Returns:
        The loss method; its state is an ``IGBState``. The weights w of the tasks present sum to
        their number. A loss below 0 gives NaN; a loss of 0 counts as the smallest number.

    Raises:
        ValueError: a period not above 0.

    Example:
        >>> import jax.numpy as jnp
        >>> method = igb(period=1)
        >>> _, state, _ = method.scalarize(jnp.array([1.0, 2.0]), method.init(2))
        >>> _, _, weights = method.scalarize(jnp.array([0.5, 2.0]), state)
        >>> [round(w, 4) for w in weights.tolist()]  # 2 softmax([0.5, 1]) / losses
        [1.5102, 0.6225]

    References:
        Dai, Fei, Lu (2023), Improvable gap balancing for multi-task learning, UAI, section 3.2.
    """
    check_positive("period", period)

    def value(losses: Array, state: IGBState, context: Context) -> Array:
        tiny = float(jnp.finfo(losses.dtype).tiny)
        losses = jnp.maximum(nonnegative(losses, context.present), tiny)
        batches = jnp.maximum(state.batches, 1).astype(losses.dtype)
        first = state.sums.astype(losses.dtype) / batches
        known = (state.calls >= period) & (state.batches > 0) & (first > 0)
        ratio = jnp.where(known, losses / jnp.where(known, first, 1), 1)
        number = context.present.sum(dtype=losses.dtype)
        weights = number * jax.nn.softmax(jnp.where(context.present, ratio, -jnp.inf))
        weights = jnp.where(state.calls >= period, weights, 1)
        terms = jax.lax.stop_gradient(weights) * jnp.log(losses)
        return jnp.where(context.present, terms, 0).sum()

    def advance(losses: Array, state: IGBState, context: Context) -> IGBState:
        first = state.calls < period
        sums = state.sums + jnp.where(first, losses.astype(state.sums.dtype), 0)
        moved = IGBState(sums, state.batches + first.astype(jnp.int32), state.calls + 1)
        return keep_absent(moved, state, context.present)

    def init_state(tasks: int, dtype: Any) -> IGBState:
        return IGBState(jnp.zeros(tasks, dtype), jnp.zeros(tasks, jnp.int32), jnp.int32(0))

    return from_value(value, init_state, advance)

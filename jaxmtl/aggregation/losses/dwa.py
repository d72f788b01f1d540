"""Dynamic weight average."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxmtl._validate import check_positive
from jaxmtl.aggregation.contract import Context
from jaxmtl.aggregation.losses.contract import Scalarizer, from_value, keep_absent
from jaxmtl.aggregation.parts import nonnegative
from jaxmtl.aggregation.settings import Real, in_type


class DWAState(NamedTuple):
    """Mean losses of the last two epochs, and of the current one so far.

    Attributes:
        last: mean loss of each task in the last epoch.
        before: in the one before.
        epochs: epochs in which the task was there.
        sums: sum of its losses in this epoch.
        batches: number of them.
        calls: calls in this epoch.

    Example:
        >>> import jaxmtl.aggregation as ag
        >>> ag.dwa().init(2).epochs.tolist()
        [0, 0]
    """

    last: Float[Array, " tasks"]
    before: Float[Array, " tasks"]
    epochs: Int[Array, " tasks"]
    sums: Float[Array, " tasks"]
    batches: Int[Array, " tasks"]
    calls: Int[Array, ""]


def dwa(temperature: Real = 2.0, period: Real = 25) -> Scalarizer:
    """More weight for tasks whose loss falls more slowly: w = T softmax(r / temperature).

    r_t is the ratio of the mean losses of the last two epochs, 1 as long as there are not two (or
    the earlier was 0); an epoch is ``period`` calls, counted here, so that no one need tell.

    Args:
        temperature: above 0, may be traced; large for equal weights.
        period: calls of an epoch, at least 1, may be traced: batches an epoch in the paper and
            LibMTL; 25 is the (sliding) window of the Nash-MTL benchmark.

    Returns:
        The loss method; its state is a ``DWAState``. The weights of the tasks present sum to their
        number. A loss below 0 gives NaN: falling, its ratio would rise.

    Raises:
        ValueError: a number out of range.

    Example:
        >>> import jax.numpy as jnp
        >>> method = dwa(period=1)
        >>> state = method.init(3)
        >>> for losses in ([1.0, 2.0, 4.0], [0.5, 1.8, 3.9], [0.5, 1.8, 3.9]):
        ...     _, state, weights = method.scalarize(jnp.array(losses), state)
        >>> [round(w, 5) for w in weights.tolist()]
        [0.85973, 1.05007, 1.0902]

    References:
        Liu, Johns, Davison (2019), End-to-end multi-task learning with attention, equation 7.
    """
    check_positive("temperature", temperature)
    check_positive("period", period)

    def value(losses: Array, state: DWAState, context: Context) -> Array:
        known = (state.epochs >= 2) & (state.before != 0)
        ratio = jnp.where(known, state.last / jnp.where(known, state.before, 1), 1)
        logits = jnp.where(
            context.present,
            ratio.astype(losses.dtype) / in_type(temperature, losses.dtype),
            -jnp.inf,
        )
        weights = context.present.sum(dtype=losses.dtype) * jax.nn.softmax(logits)
        return (weights * nonnegative(losses, context.present)).sum()

    def advance(losses: Array, state: DWAState, context: Context) -> DWAState:
        sums, batches = state.sums + losses.astype(state.sums.dtype), state.batches + 1
        now = keep_absent(
            state._replace(sums=sums, batches=batches, calls=state.calls + 1),
            state,
            context.present,
        )
        there = now.batches > 0
        mean = now.sums / jnp.maximum(now.batches, 1).astype(now.sums.dtype)
        closed = DWAState(
            last=jnp.where(there, mean, state.last),
            before=jnp.where(there, state.last, state.before),
            epochs=state.epochs + there.astype(jnp.int32),
            sums=jnp.zeros_like(now.sums),
            batches=jnp.zeros_like(now.batches),
            calls=jnp.zeros_like(now.calls),
        )
        ends = now.calls >= period
        return jax.tree.map(lambda a, b: jnp.where(ends, a, b), closed, now)

    def init_state(tasks: int, dtype: Any) -> DWAState:
        return DWAState(
            last=jnp.ones(tasks, dtype),
            before=jnp.ones(tasks, dtype),
            epochs=jnp.zeros(tasks, jnp.int32),
            sums=jnp.zeros(tasks, dtype),
            batches=jnp.zeros(tasks, jnp.int32),
            calls=jnp.int32(0),
        )

    return from_value(value, init_state, advance)

"""Fast adaptive multitask optimization."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from jaxmtl._modes import take_step
from jaxmtl._validate import check_positive
from jaxmtl.aggregation.contract import Context
from jaxmtl.aggregation.losses.contract import Scalarizer, from_value, keep_absent
from jaxmtl.aggregation.losses.stch import reference_losses
from jaxmtl.aggregation.settings import Real


class FAMOState(NamedTuple):
    """Logits of the weights, their optimizer, and the losses before the update.

    Attributes:
        logits: one a task.
        optimizer: state of their optimizer.
        before: losses that ``scalarize`` was given.
        seen: tasks that were present then and not observed since.

    Example:
        >>> import jaxmtl.aggregation as ag
        >>> ag.famo().init(2).seen.tolist()
        [False, False]
    """

    logits: Float[Array, " tasks"]
    optimizer: Any
    before: Float[Array, " tasks"]
    seen: Bool[Array, " tasks"]


def famo(
    learning_rate: Real = 0.025,
    decay: Real = 1e-3,
    minima: Float[Array, " tasks"] | Sequence[float] | float = 0.0,
    optimizer: optax.GradientTransformation | None = None,
) -> Scalarizer:
    """Weights under which the slowest task's log loss falls fastest, without task gradients.

    With the logits xi, z = softmax(xi) and D_t = L_t - b_t + 1e-8 (b the losses' lower bounds) the
    loss is sum_t c z_t log D_t, where c = 1 / sum_t z_t / D_t is held constant: the slopes c z_t /
    D_t sum to 1. After the update of the parameters, ``observe`` gets the losses of the same batch
    anew, and the logits take a step of their own optimizer down sum_t z_t (log D_t before - log
    D_t after), that is, weight goes to tasks that improved least. That costs a second forward pass;
    see ``scalarized_step`` for doing without. A loss below its bound gives NaN.

    Args:
        learning_rate: of Adam on the logits, above 0, may be traced; as in the paper.
        decay: of the logits, added to their gradient (not decoupled), >= 0.
        minima: b, a number or one a task, below every loss.
        optimizer: instead of Adam with decay, any optax optimizer.

    Returns:
        The loss method; its state is a ``FAMOState``.

    Raises:
        ValueError: a number out of range; at the call, if there is not one minimum a task.

    Example:
        >>> import jax.numpy as jnp
        >>> method = famo()
        >>> loss, state, weights = method.scalarize(jnp.array([0.5, 2.0, 4.0]), method.init(3))
        >>> round(loss.item(), 6), [round(w, 4) for w in weights.tolist()]
        (0.504107, [0.7273, 0.1818, 0.0909])
        >>> state = method.observe(jnp.array([0.4, 1.9, 4.0]), state)
        >>> [round(w, 4) for w in state.logits.tolist()]
        [-0.025, 0.025, 0.025]

    References:
        Liu, Feng, Stone, Liu (2023), FAMO: fast adaptive multitask optimization, algorithm 1.
    """
    check_positive("learning_rate", learning_rate)
    check_positive("decay", decay, zero=True)
    if optimizer is None:
        optimizer = optax.chain(optax.add_decayed_weights(decay), optax.adam(learning_rate))
    inner: optax.GradientTransformation = optimizer

    def distances(losses: Array) -> Array:
        return losses - reference_losses("famo", minima, losses) + 1e-8

    def shares(logits: Array, present: Array) -> Array:
        return jax.nn.softmax(jnp.where(present, logits, -jnp.inf))

    def value(losses: Array, state: FAMOState, context: Context) -> Array:
        z = shares(state.logits.astype(losses.dtype), context.present)
        d = jnp.where(context.present, distances(losses), 1)
        c = jax.lax.stop_gradient(1 / (z / d).sum())
        return c * (z * jnp.log(d)).sum()

    def advance(losses: Array, state: FAMOState, context: Context) -> FAMOState:
        before = jnp.where(context.present, losses.astype(state.before.dtype), state.before)
        return state._replace(before=before, seen=context.present)

    def observe(losses: Array, state: FAMOState, context: Context) -> FAMOState:
        both = context.present & state.seen
        after = jnp.where(both, losses.astype(state.before.dtype), 1)
        before = jnp.where(both, state.before, 1)
        fall = jnp.log(distances(before)) - jnp.log(distances(after))

        def total(logits: Array) -> Array:
            safe = both | ~both.any()
            return (shares(logits, safe) * jnp.where(both, fall, 0)).sum()

        slopes = jax.grad(total)(state.logits)
        moved, following = take_step(inner, slopes, state.optimizer, state.logits)
        proposed = keep_absent((moved, following), (state.logits, state.optimizer), both)
        logits, kept = jax.tree.map(
            lambda new, old: jnp.where(both.any(), new, old),
            proposed,
            (state.logits, state.optimizer),
        )
        return FAMOState(logits, kept, state.before, jnp.zeros_like(state.seen))

    def init_state(tasks: int, dtype: Any) -> FAMOState:
        logits = jnp.zeros(tasks, dtype)
        return FAMOState(logits, inner.init(logits), jnp.ones(tasks, dtype), jnp.zeros(tasks, bool))

    return from_value(value, init_state, advance, observe)

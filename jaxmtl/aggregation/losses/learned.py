"""Loss methods with a parameter a task, learned beside those of the network."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxmtl._modes import take_step
from jaxmtl._validate import check_positive
from jaxmtl.aggregation.contract import Context
from jaxmtl.aggregation.losses.contract import Scalarizer, from_value, keep_absent
from jaxmtl.aggregation.settings import Real


class LearnedState(NamedTuple):
    """Parameters of a loss method, and of the optimizer that trains them.

    Attributes:
        values: one a task.
        optimizer: state of their optimizer.

    Example:
        >>> import jaxmtl.aggregation as ag
        >>> ag.uncertainty().init(2).values.tolist()
        [0.0, 0.0]
    """

    values: Float[Array, " tasks"]
    optimizer: Any


def own_optimizer(
    optimizer: optax.GradientTransformation | None, learning_rate: Real
) -> optax.GradientTransformation:
    """The optimizer given, else Adam at the learning rate, which may be traced."""
    check_positive("learning_rate", learning_rate)
    return optax.adam(learning_rate) if optimizer is None else optimizer


def learned(
    terms: Callable[[Array, Array], Array],
    initial: Real,
    optimizer: optax.GradientTransformation,
) -> Scalarizer:
    """The loss sum_t term(L_t, s_t), in which s takes a step of its own optimizer at each call.

    Args:
        terms: elementwise, from losses and parameters to terms.
        initial: of every parameter.
        optimizer: of the parameters.

    Returns:
        The loss method; its state is a ``LearnedState``.

    Example:
        >>> import jax.numpy as jnp
        >>> import optax
        >>> method = learned(lambda loss, s: jnp.exp(s) * loss - s, 0.0, optax.sgd(0.1))
        >>> _, state, _ = method.scalarize(jnp.array([2.0, 1.0]), method.init(2))
        >>> [round(s, 6) for s in state.values.tolist()]
        [-0.1, 0.0]
    """

    def total(values: Array, losses: Array, context: Context) -> Array:
        return jnp.where(context.present, terms(losses, values), 0).sum()

    def value(losses: Array, state: LearnedState, context: Context) -> Array:
        return total(state.values.astype(losses.dtype), losses, context)

    def advance(losses: Array, state: LearnedState, context: Context) -> LearnedState:
        slopes = jax.grad(total)(state.values, losses.astype(state.values.dtype), context)
        moved, inner = take_step(optimizer, slopes, state.optimizer, state.values)
        return keep_absent(LearnedState(jnp.asarray(moved), inner), state, context.present)

    def init_state(tasks: int, dtype: Any) -> LearnedState:
        values = jnp.full(tasks, initial, dtype)
        return LearnedState(values, optimizer.init(values))

    return from_value(value, init_state, advance)

"""What task weights do to the losses after the step that they bring about."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmtl.aggregation.info import weighted_loss
from jaxmtl.gradients import LossFn
from jaxmtl.gradients.loss import loss_vector


def look_ahead_slopes(
    loss_fn: LossFn,
    params: PyTree,
    weights: Float[Array, " tasks"],
    batch: PyTree,
    validation_batch: PyTree,
    step_fn: Callable[..., PyTree],
    primary: Float[Array, " tasks"],
    *,
    takes_value: bool = False,
) -> tuple[Float[Array, " tasks"], Float[Array, " tasks"]]:
    """Derivative in the weights of the validation loss after one weighted step, exact.

    The weighted gradient is sum_t w_t g_t, so that the derivative is g_t'v with v the validation
    gradient pulled back through the step: all tasks' by one pass along v, without second
    derivatives of the network, by reverse mode only.

    Args:
        loss_fn: ``loss_fn(params, batch)`` gives the vector of task losses.
        params: traced.
        weights: w, one a task, traced.
        batch: for the step.
        validation_batch: on which its result is judged.
        step_fn: ``step_fn(params, gradient) -> params``, differentiable in the gradient.
        primary: factors of the validation losses, traced.
        takes_value: whether the step depends on the weighted loss, too: ``step_fn(params, gradient,
            value)``. Static.

    Returns:
        The derivatives, and the validation losses after the step.

    Example:
        >>> import jax.numpy as jnp
        >>> loss_fn = lambda w, x: jnp.stack([w * x, -w * x])
        >>> slopes, _ = look_ahead_slopes(
        ...     loss_fn, jnp.array(1.0), jnp.ones(2), 2.0, 3.0,
        ...     lambda w, g: w - 0.1 * g, jnp.array([1.0, 0.0]))
        >>> [round(s, 6) for s in slopes.tolist()]
        [-0.6, 0.6]
    """
    losses, pullback = jax.vjp(lambda p: loss_vector(loss_fn(p, batch)), params)
    given = pullback(weights.astype(losses.dtype))
    if takes_value:
        given += (weighted_loss(weights, losses),)
    ahead, back_through_step = jax.vjp(lambda *g: step_fn(params, *g), *given)
    validation, validation_pullback = jax.vjp(
        lambda p: loss_vector(loss_fn(p, validation_batch)), ahead
    )
    (at_ahead,) = validation_pullback(primary.astype(validation.dtype))
    direction, *slope_of_value = back_through_step(at_ahead)
    # The way back is linear in the weights, and its transpose is the way forth along v.
    _, transposed = jax.vjp(lambda w: pullback(w)[0], jnp.zeros_like(losses))
    (slopes,) = transposed(direction)
    for slope in slope_of_value:
        slopes += slope.astype(losses.dtype) * losses
    return slopes, validation


def plain_step(params: PyTree, gradient: PyTree, rate: Any) -> PyTree:
    """A step of gradient descent.

    Args:
        params: traced.
        gradient: of the same structure, traced.
        rate: its size, may be traced.

    Returns:
        The parameters after it, in their types.

    Example:
        >>> import jax.numpy as jnp
        >>> plain_step(jnp.array([1.0, 2.0]), jnp.array([2.0, 0.0]), 0.5).tolist()
        [0.0, 2.0]
    """
    return jax.tree.map(lambda p, g: p - (rate * g).astype(p.dtype), params, gradient)

"""From a loss method and an optax optimizer to one training step with one backward pass."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Key, PyTree

from jaxmtl._modes import own_transfers, take_step
from jaxmtl.aggregation.losses.contract import Scalarizer
from jaxmtl.aggregation.step import AggregatedStep, StepState, step_key
from jaxmtl.gradients import LossFn
from jaxmtl.gradients.tasks import check_parameters, loss_vector


class ScalarizedInfo(NamedTuple):
    """What one step found.

    Attributes:
        losses: task losses before the update.
        weights: slopes of the loss in them, by which task gradients were weighed.
        loss: the loss whose gradient was used.

    Example:
        >>> ScalarizedInfo._fields
        ('losses', 'weights', 'loss')
    """

    losses: Float[Array, " tasks"]
    weights: Float[Array, " tasks"]
    loss: Float[Array, ""]


def scalarized_step(
    loss_fn: LossFn,
    scalarizer: Scalarizer,
    optimizer: optax.GradientTransformation,
    *,
    second_forward: bool = True,
) -> AggregatedStep:
    """Makes one step of losses, one weighted backward pass and the optimizer.

    Args:
        loss_fn: ``loss_fn(params, batch)`` gives the vector of task losses. With tasks missing from
            a batch the losses themselves may be NaN, their slopes in the parameters may not; those
            of ``mean_over_known`` are 0 (for targets of NaN see there).
        scalarizer: makes one loss of them.
        optimizer: any optax optimizer.
        second_forward: for methods that observe losses after the update (FAMO): whether to compute
            them on the same batch, as the paper does, or to let those of the next batch stand in
            for them, which costs nothing and is the same if all batches are. Static.

    Returns:
        ``init(params, batch, key=None) -> state`` and ``step(params, state, batch, *, present=None)
        -> (params, state, info)`` with a ``ScalarizedInfo``; ``step`` may be jitted, scanned and
        mapped over seeds.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import optax
        >>> import jaxmtl.aggregation as ag
        >>> loss_fn = lambda w, x: jnp.stack([((w - x) ** 2).sum(), ((w + x) ** 2).sum()])
        >>> init, step = scalarized_step(loss_fn, ag.equal(), optax.sgd(0.125))
        >>> params, batch = jnp.array([1.0, 1.0]), jnp.array([1.0, 0.0])
        >>> params, state, info = jax.jit(step)(params, init(params, batch), batch)
        >>> params.tolist(), info.losses.tolist(), info.loss.item()
        ([0.5, 0.5], [1.0, 5.0], 6.0)
    """

    @own_transfers
    def init(params: PyTree, batch: PyTree, key: Key[Array, ""] | None = None) -> StepState:
        check_parameters(params)
        losses = jax.eval_shape(lambda p, b: loss_vector(loss_fn(p, b)), params, batch)
        return StepState(
            aggregator=scalarizer.init(
                losses.shape[0], jnp.promote_types(losses.dtype, jnp.float32)
            ),
            optimizer=optimizer.init(params),
            key=key,
            number=jnp.int32(0),
        )

    def step(
        params: PyTree,
        state: StepState,
        batch: PyTree,
        *,
        present: Bool[Array, " tasks"] | None = None,
    ) -> tuple[PyTree, StepState, ScalarizedInfo]:
        losses, pullback = jax.vjp(lambda p: loss_vector(loss_fn(p, batch)), params)
        inner: Any = state.aggregator
        if scalarizer.observe is not None and not second_forward:
            inner = scalarizer.observe(losses, inner, present=present)
        key = step_key(state)
        loss, inner, weights = scalarizer.scalarize(losses, inner, key=key, present=present)
        (grads,) = pullback(weights.astype(losses.dtype))
        following, optimizer_state = take_step(optimizer, grads, state.optimizer, params)
        if scalarizer.observe is not None and second_forward:
            inner = scalarizer.observe(loss_fn(following, batch), inner, present=present)
        state = StepState(inner, optimizer_state, state.key, state.number + 1)
        return following, state, ScalarizedInfo(losses, weights, loss)

    step_fn: Callable[..., Any] = step
    return AggregatedStep(init, step_fn)

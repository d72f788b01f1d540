"""From an aggregator and an optax optimizer to one training step, and into optax itself."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from jaxmtl._modes import own_transfers, take_step
from jaxmtl.aggregation.contract import AggregationInfo, Aggregator
from jaxmtl.gradients import LossFn, task_gradients
from jaxmtl.gradients.tasks import check_parameters


class StepState(NamedTuple):
    """What a step carries on.

    Attributes:
        aggregator: state of the aggregator.
        optimizer: state of the optimizer.
        key: from which each step's key is folded; None where none was given.
        number: steps taken.
    """

    aggregator: Any
    optimizer: Any
    key: Key[Array, ""] | None
    number: Int[Array, ""]


def step_key(state: StepState) -> Key[Array, ""] | None:
    """The key of one step; a method that draws is refused if there is none."""
    return None if state.key is None else jax.random.fold_in(state.key, state.number)


class StepInfo(NamedTuple):
    """What one step found.

    Attributes:
        losses: task losses before the update.
        aggregation: info of the aggregator.
    """

    losses: Float[Array, " tasks"]
    aggregation: AggregationInfo


class AggregatedStep(NamedTuple):
    """A pair of pure functions.

    Attributes:
        init: ``init(params, batch, key=None) -> state``; the batch only tells the number of tasks.
            Methods that draw want a ``jax.random.key`` of yours: a fixed one would draw the same
            numbers in every run.
        step: ``step(params, state, batch, *, present=None, order=None, extra_batches=()) ->
            (params, state, info)``.

    Example:
        >>> AggregatedStep._fields
        ('init', 'step')
    """

    init: Callable[..., StepState]
    step: Callable[..., tuple[PyTree, StepState, StepInfo]]


def aggregated_step(
    loss_fn: LossFn,
    aggregator: Aggregator,
    optimizer: optax.GradientTransformation,
    *,
    gradients: Callable[
        [LossFn], Callable[[PyTree, PyTree], tuple[Array, PyTree]]
    ] = task_gradients,
) -> AggregatedStep:
    """Makes one step of losses, task gradients, their aggregation and the optimizer.

    Args:
        loss_fn: ``loss_fn(params, batch)`` gives the vector of task losses.
        aggregator: combines the task gradients; see ``with_heads`` for parameters of one task.
        optimizer: any optax optimizer.
        gradients: how task gradients are computed: ``gradients(loss_fn)(params, batch)`` gives
            losses and stacked gradients.

    Returns:
        ``init`` and ``step``. ``step`` may be jitted, scanned and mapped over seeds; ``present``
        marks the tasks that the batch has, and ``extra_batches`` are the two further batches of
        SDMGrad and MoDo.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import optax
        >>> import jaxmtl.aggregation as ag
        >>> loss_fn = lambda w, x: jnp.stack([((w - x) ** 2).sum(), ((w + x) ** 2).sum()])
        >>> init, step = aggregated_step(loss_fn, ag.upgrad(), optax.sgd(0.25))
        >>> params, batch = jnp.array([1.0, 1.0]), jnp.array([1.0, 0.0])
        >>> params, state, info = jax.jit(step)(params, init(params, batch), batch)
        >>> params.tolist(), info.losses.tolist()
        ([0.5, 0.5], [1.0, 5.0])
    """
    gradients_fn = gradients(loss_fn)

    @own_transfers
    def init(params: PyTree, batch: PyTree, key: Key[Array, ""] | None = None) -> StepState:
        check_parameters(params)
        _, shapes = jax.eval_shape(gradients_fn, params, batch)
        return StepState(
            aggregator=aggregator.init(shapes),
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
        order: Int[Array, "tasks tasks"] | None = None,
        extra_batches: Sequence[PyTree] = (),
    ) -> tuple[PyTree, StepState, StepInfo]:
        losses, task_grads = gradients_fn(params, batch)
        grads, aggregator_state, info = aggregator.update(
            task_grads,
            state.aggregator,
            losses=losses,
            params=params,
            key=step_key(state),
            present=present,
            order=order,
            extra_task_grads=[gradients_fn(params, extra)[1] for extra in extra_batches],
        )
        after, optimizer_state = take_step(optimizer, grads, state.optimizer, params)
        following = StepState(aggregator_state, optimizer_state, state.key, state.number + 1)
        return after, following, StepInfo(losses, info)

    return AggregatedStep(init, step)


class AsOptaxState(NamedTuple):
    """State of the optax transformation.

    Attributes:
        inner: state of the aggregator.
        info: of the last update; zeros before the first.
        key: from which each update's key is folded.
        number: updates done.
    """

    inner: Any
    info: AggregationInfo
    key: Key[Array, ""]
    number: Int[Array, ""]


def as_optax(
    aggregator: Aggregator, num_tasks: int, *, seed: int = 0
) -> optax.GradientTransformationExtraArgs:
    """Makes an aggregator an optax transformation that takes stacked gradients.

    The protocol is that of ``optax.experimental.aggregating``: ``init(params)``, and
    ``update(stacked, state, params, **extra)`` returns updates of the shape of the parameters. It
    stands first in ``optax.chain``, or as the aggregator of ``aggregating.process``. Extra
    arguments are those of the aggregator (``losses``, ``present``, ``order``, ``extra_task_grads``,
    ``key``); others are for the transformations behind it and ignored.

    Args:
        aggregator: any.
        num_tasks: number of tasks, which parameters do not tell; static.
        seed: of the key that the state carries, for methods that draw.

    Returns:
        The transformation; its state is an ``AsOptaxState``, whose ``info`` is that of the last
        update.

    Example:
        >>> import jax.numpy as jnp
        >>> import optax
        >>> import jaxmtl.aggregation as ag
        >>> optimizer = optax.chain(as_optax(ag.mgda(), num_tasks=2), optax.sgd(0.5))
        >>> params = jnp.zeros(2)
        >>> state = optimizer.init(params)
        >>> stacked = jnp.array([[1.0, 0.0], [0.0, 1.0]])
        >>> updates, state = optimizer.update(stacked, state, params)
        >>> updates.tolist()
        [-0.25, -0.25]
    """

    @own_transfers
    def init(params: PyTree) -> AsOptaxState:
        shapes = jax.tree.map(
            lambda p: jax.ShapeDtypeStruct((num_tasks, *jnp.shape(p)), jnp.result_type(p)), params
        )
        inner = aggregator.init(shapes)
        key = jax.random.key(seed)

        def info_of(stacked: PyTree) -> AggregationInfo:
            order = jnp.broadcast_to(jnp.arange(num_tasks), (num_tasks, num_tasks))
            ones = jnp.ones(num_tasks)
            return aggregator.update(stacked, inner, losses=ones, key=key, order=order)[2]

        found = jax.eval_shape(info_of, shapes)
        info = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), found)
        return AsOptaxState(inner, info, key, jnp.int32(0))

    def update(
        updates: Any,
        state: Any,
        params: Any = None,
        *,
        losses: Any = None,
        present: Any = None,
        order: Any = None,
        extra_task_grads: Sequence[PyTree] = (),
        key: Any = None,
        **ignored: Any,
    ) -> tuple[Any, Any]:
        del ignored
        grads, inner, info = aggregator.update(
            updates,
            state.inner,
            losses=losses,
            params=params,
            key=jax.random.fold_in(state.key, state.number) if key is None else key,
            present=present,
            order=order,
            extra_task_grads=extra_task_grads,
        )
        return grads, AsOptaxState(inner, info, state.key, state.number + 1)

    init_fn: Any = init  # its arguments have names, which optax does not promise
    return optax.GradientTransformationExtraArgs(init_fn, update)

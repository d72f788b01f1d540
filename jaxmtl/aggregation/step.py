"""From an aggregator and an optax optimizer to one training step, and into optax itself."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from jaxmtl._modes import own_transfers, take_step
from jaxmtl.aggregation.checks import check_info, check_kind, check_method, check_parts, check_state
from jaxmtl.aggregation.contract import AggregationInfo, Aggregator
from jaxmtl.aggregation.info import StepInfo, info_of, read_value, value_for
from jaxmtl.aggregation.keys import another_pass, for_shapes, key_apart, step_keys
from jaxmtl.aggregation.known import AnyMethod, as_aggregator
from jaxmtl.aggregation.one_pass import OnePass
from jaxmtl.gradients import LossFn, task_gradients
from jaxmtl.gradients.loss import gives_aux, parts_of, value_of
from jaxmtl.gradients.stacked import num_tasks as count_tasks
from jaxmtl.gradients.tasks import check_parameters


class StepState(NamedTuple):
    """What a step carries on.

    Attributes:
        aggregator: state of the aggregator.
        optimizer: state of the optimizer.
        key: from which each step's key is folded; None where none was given to ``init``.
        number: steps taken.
    """

    aggregator: Any
    optimizer: Any
    key: Key[Array, ""] | None
    number: Int[Array, ""]


class AggregatedStep(NamedTuple):
    """A pair of pure functions.

    Attributes:
        init: ``init(params, batch, *args, key=None) -> state``, whose ``aggregator`` is what the
            method keeps (of ``recon`` the scores) and ``optimizer`` what the optimizer does;
            batch and arguments only tell the number of tasks. Methods and losses that draw want a
            ``jax.random.key`` of yours: a fixed one would draw the same numbers in every run. Of a
            loss without arguments the key may stand in their place.
        step: ``step(params, state, batch, *args, key=None, present=None, value=None, order=None,
            extra_batches=()) -> (params, state, info)``. The arguments are those of the loss beyond
            parameters and batch. The key is that of this step; None for one that is folded from the
            state's. Of a loss with a parameter ``key`` it is split for loss and method, else it is
            the method's. The value is what optimizers are told that want one, such as a validation
            loss for ``optax.contrib.reduce_on_plateau``; None for ``info.loss``, or the mean of the
            losses of the tasks present where that is None.

    Example:
        >>> AggregatedStep._fields
        ('init', 'step')
    """

    init: Callable[..., StepState]
    step: Callable[..., tuple[PyTree, StepState, StepInfo]]


def aggregated_step(
    loss_fn: LossFn,
    aggregator: AnyMethod,
    optimizer: optax.GradientTransformation,
    *,
    has_aux: bool = False,
    gradients: Callable[..., Callable[..., tuple[Any, PyTree]]] = task_gradients,
) -> AggregatedStep:
    """Makes one step of losses, task gradients, their aggregation and the optimizer.

    Args:
        loss_fn: ``loss_fn(params, batch)`` gives the task losses, a vector or scalars by name (a
            dict, NamedTuple or dataclass). It may take more: ``loss_fn(params, batch, *args)`` is
            given what ``step`` is, and a ``key`` if it has a parameter of that name.
        aggregator: combines the task gradients: an aggregator, a loss method, or a name of either
            such as ``"cagrad(c=0.4)"``; see ``with_heads`` for parameters of one task.
        optimizer: any optax optimizer that goes along the direction it is given. Those that want
            ``value`` and ``grad`` get them, see ``AggregatedStep``. A line search
            (``optax.lbfgs()``) and ``optax.contrib.sam`` look at the loss elsewhere, and combined
            gradients are the gradient of none: they are refused here; see ``scalarized_step``.
        has_aux: whether the loss gives a pair (losses, aux); aux comes out in ``info.aux``, and
            what of it the next batch needs is handed on as an argument. Static.
        gradients: how task gradients are computed: ``gradients(loss_fn)(params, batch, *args)``
            gives losses and stacked gradients, ``gradients(loss_fn, has_aux=True)`` the pair of
            losses and aux in place of the losses.

    Returns:
        ``init`` and ``step``, see ``AggregatedStep``, with a ``StepInfo``. ``step`` may be jitted,
        scanned and mapped over seeds; ``present`` marks the tasks that the batch has, and
        ``extra_batches`` are the two further batches of SDMGrad and MoDo.

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

        A method that draws takes its key once, and folds one a step from it; or one with each step:

        >>> loss_fn = lambda w, x: jnp.stack([(w**2).sum(), ((w - x) ** 2).sum(), -w.sum()])
        >>> init, step = aggregated_step(loss_fn, "pcgrad", optax.sgd(0.25))
        >>> state, step = init(params, batch, key=jax.random.key(0)), jax.jit(step)
        >>> for _ in range(2):
        ...     params, state, info = step(params, state, batch)
        >>> params, state, info = step(params, state, batch, key=jax.random.key(1))
        >>> int(state.number)
        3

        A running mean of the inputs, which is no parameter, and losses by name:

        >>> def loss_fn(w, x, mean):
        ...     mean = 0.5 * mean + 0.5 * x
        ...     return {"near": ((w - mean) ** 2).sum(), "small": (w**2).sum()}, mean
        >>> init, step = aggregated_step(loss_fn, ag.sum(), optax.sgd(0.25), has_aux=True)
        >>> params, mean, step = jnp.array([1.0, 1.0]), jnp.zeros(2), jax.jit(step)
        >>> state = init(params, batch, mean)
        >>> for _ in range(2):
        ...     params, state, info = step(params, state, batch, mean)
        ...     mean = info.aux
        >>> mean.tolist(), info.names, info.scalars()["loss/small"].item()
        ([0.75, 0.0], ('near', 'small'), 0.0625)
    """
    aggregator = as_aggregator(aggregator)
    check_parts("aggregator", aggregator, Aggregator, optimizer)
    has_aux = gives_aux(loss_fn, has_aux)
    parts = parts_of(loss_fn, has_aux)
    gradients_fn = gradients(loss_fn, has_aux=True) if has_aux else gradients(loss_fn)

    def task_gradients_of(*given: Any, **keyed: Any) -> PyTree:
        return gradients_fn(*given, **keyed)[1]

    init = init_of(loss_fn, task_gradients_of, optimizer, lambda _, shapes: aggregator.init(shapes))

    def step(
        params: PyTree,
        state: StepState,
        batch: PyTree,
        *args: PyTree,
        key: Key[Array, ""] | None = None,
        present: Bool[Array, " tasks"] | None = None,
        value: Float[Array, ""] | None = None,
        order: Int[Array, "tasks tasks"] | None = None,
        extra_batches: Sequence[PyTree] = (),
    ) -> tuple[PyTree, StepState, StepInfo]:
        check_kind(state, StepState)
        keys = step_keys(loss_fn, args, state, key)

        def all_rows() -> Any:
            given, task_grads = gradients_fn(params, batch, *args, **keys.loss)
            losses = read_value(given, has_aux)[0]
            check_state(state.aggregator, lambda: aggregator.init(task_grads), losses.shape[0])
            extra_task_grads = [
                gradients_fn(params, extra, *args, **another_pass(keys, number))[1]
                for number, extra in enumerate(extra_batches)
            ]
            return given, aggregator.update(
                task_grads,
                state.aggregator,
                losses=losses,
                params=params,
                extra_task_grads=extra_task_grads,
                **about,
            )

        def open_loss() -> Any:
            losses, pullback, beside = jax.vjp(
                lambda p: parts(p, batch, *args, **keys.loss), params, has_aux=True
            )
            return value_of(losses, beside, has_aux), losses, lambda w: pullback(w)[0]

        about = {"key": keys.method, "present": present, "order": order}
        if isinstance(aggregator, OnePass):
            given, combined = aggregator.spare(params, state.aggregator, open_loss, all_rows, about)
        else:
            given, combined = all_rows()
        losses, names, aux = read_value(given, has_aux)
        grads, aggregator_state, found = combined
        info = info_of(losses, found, weighted=aggregator.weighted, aux=aux, names=names)
        value = value_for(info, present, value)
        after, optimizer_state = take_step(optimizer, grads, state.optimizer, params, value=value)
        following = StepState(aggregator_state, optimizer_state, state.key, state.number + 1)
        return after, following, info

    return AggregatedStep(init, step)


def init_of(
    loss_fn: LossFn,
    seen: Callable[..., PyTree],
    optimizer: optax.GradientTransformation,
    start: Callable[[PyTree, PyTree], Any],
) -> Callable[..., StepState]:
    """``init`` of a step.

    Args:
        loss_fn: for whether it takes a key.
        seen: ``seen(params, batch, *args, **key)``: what the method's first state is made for, such
            as task gradients or losses; only its shapes are used.
        optimizer: any.
        start: from parameters and these shapes to the method's first state.

    Returns:
        ``init(params, batch, *args, key=None)``.

    Example:
        >>> import jax.numpy as jnp
        >>> loss_fn = lambda w, x: jnp.stack([w * x, -w * x])
        >>> init = init_of(loss_fn, loss_fn, optax.sgd(0.1), lambda _, losses: losses.shape)
        >>> init(jnp.array(1.0), 2.0).aggregator
        (2,)
    """

    @own_transfers
    def init(
        params: PyTree, batch: PyTree, *args: PyTree, key: Key[Array, ""] | None = None
    ) -> StepState:
        check_parameters(params)
        args, key = key_apart(loss_fn, args, key)
        keyed = for_shapes(loss_fn, args, key)
        shapes = jax.eval_shape(lambda p, b, rest: seen(p, b, *rest, **keyed), params, batch, args)
        return StepState(start(params, shapes), optimizer.init(params), key, jnp.int32(0))

    return init


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
    aggregator: AnyMethod, num_tasks: int, *, seed: int = 0
) -> optax.GradientTransformationExtraArgs:
    """Makes an aggregator an optax transformation that takes stacked gradients.

    The protocol is that of ``optax.experimental.aggregating``: ``init(params)``, and
    ``update(stacked, state, params, **extra)`` returns updates of the shape of the parameters. It
    stands first in ``optax.chain``, or as the aggregator of ``aggregating.process``. Extra
    arguments are those of the aggregator (``losses``, ``present``, ``order``, ``extra_task_grads``,
    ``key``); others are for the transformations behind it and ignored.

    Args:
        aggregator: any, or a loss method or a name; see ``aggregated_step``.
        num_tasks: number of tasks, which parameters do not tell; static.
        seed: of the key that the state carries, for methods that draw.

    Returns:
        The transformation; its state is an ``AsOptaxState``, whose ``info`` is that of the last
        update.

    Raises:
        ValueError: no method; at the update, gradients of another number of tasks.

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

    aggregator = as_aggregator(aggregator)
    check_method("aggregator", aggregator, Aggregator)

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
            info = aggregator.update(stacked, inner, losses=ones, key=key, order=order)[2]
            check_info(info, AggregationInfo)
            return info

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
        check_kind(state, AsOptaxState)
        if count_tasks(updates) != num_tasks:
            raise ValueError(
                f"as_optax: expected the gradients of num_tasks={num_tasks} tasks, got those of "
                f"{count_tasks(updates)} on the first axis"
            )
        check_state(state.inner, lambda: aggregator.init(updates), count_tasks(updates))
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

"""Auto-Lambda: task weights learned through the step that they bring about."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from jaxmtl._modes import check_optimizer, own_transfers, take_step
from jaxmtl._pytree import register_dataclass
from jaxmtl._validate import check_positive, check_static
from jaxmtl.aggregation.checks import check_kind, check_state
from jaxmtl.aggregation.info import StepInfo, value_for, weighted_loss
from jaxmtl.aggregation.keys import another_pass, for_shapes, key_apart, step_keys
from jaxmtl.aggregation.losses.contract import keep_absent
from jaxmtl.aggregation.losses.look_ahead import look_ahead_slopes, plain_step
from jaxmtl.aggregation.settings import Real
from jaxmtl.aggregation.step import AggregatedStep
from jaxmtl.gradients import LossFn
from jaxmtl.gradients.loss import gives_aux, loss_names, parts_of
from jaxmtl.gradients.tasks import check_parameters

# A search has loops, through which the derivative of its result cannot be pulled back.
_AHEAD = (
    "look_ahead: expected a number beside an optimizer that also needs {}, since through the step "
    "that it would take there is no derivative, got None"
)


class AutoLambdaState(NamedTuple):
    """What a step carries on.

    Attributes:
        weights: lambda, one a task.
        weight_optimizer: state of their optimizer.
        optimizer: state of the optimizer of the parameters.
        key: from which each step's key is folded, for losses that draw; None where none was given.
        number: steps taken.

    Example:
        >>> AutoLambdaState._fields
        ('weights', 'weight_optimizer', 'optimizer', 'key', 'number')
    """

    weights: Float[Array, " tasks"]
    weight_optimizer: Any
    optimizer: Any
    key: Key[Array, ""] | None
    number: Int[Array, ""]


@register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class AutoLambdaInfo(StepInfo):
    """What one step found: of the training batch what every step tells, and what lay ahead.

    Attributes:
        validation: task losses on the validation batch, after the look-ahead step.
        slopes: of the primary tasks' validation loss in the weights.

    Example:
        >>> import jax.numpy as jnp
        >>> two = jnp.array([1.0, 2.0])
        >>> info = AutoLambdaInfo(losses=two, weights=two, aggregation=None, loss=two @ two,
        ...     names=("demand", "price"), validation=3 * two, slopes=two)
        >>> info.scalars()["validation/price"].item()
        6.0
    """

    validation: Float[Array, " tasks"]
    slopes: Float[Array, " tasks"]

    @own_transfers
    def scalars(self) -> dict[str, Array]:
        """As those of ``StepInfo``, with ``validation/TASK`` and ``slope/TASK``."""
        return (
            super().scalars()
            | self.of_tasks("validation", self.validation)
            | self.of_tasks("slope", self.slopes)
        )


@dataclasses.dataclass(frozen=True)
class AutoLambda:
    """A pair of pure functions that learns task weights through the step that they bring about.

    Attributes:
        init: ``init(num_tasks, dtype=None) -> state``, weights and the state of their optimizer.
        weigh: ``weigh(loss_fn, params, state, batch, validation_batch, step_fn, present=None) ->
            (weights, state, slopes, validation)``; see ``look_ahead_slopes`` for ``step_fn``,
            ``takes_value`` and what is returned. Weights of tasks that are absent stay as they are.

    Example:
        >>> auto_lambda().init(2)[0].tolist()
        [0.10000000149011612, 0.10000000149011612]
    """

    init: Callable[..., tuple[Array, Any]]
    weigh: Callable[..., tuple[Array, tuple[Array, Any], Array, Array]]


def auto_lambda(
    primary: Sequence[int] | None = None,
    initial: Real = 0.1,
    weight_rate: Real = 1e-4,
    weight_optimizer: optax.GradientTransformation | None = None,
) -> AutoLambda:
    """The weights of Auto-Lambda, for steps that are made elsewhere; see ``auto_lambda_step``.

    Args:
        primary: see there.
        initial: see there.
        weight_rate: see there.
        weight_optimizer: see there.

    Returns:
        The pair.

    Raises:
        ValueError: a rate not above 0; at ``init``, a primary task that there is not.

    Example:
        >>> import jax.numpy as jnp
        >>> loss_fn = lambda w, x: jnp.stack([((w - x) ** 2).sum(), ((w + x) ** 2).sum()])
        >>> method, x = auto_lambda(primary=[0], weight_rate=0.01), jnp.array([1.0, 0.0])
        >>> weights, *_ = method.weigh(
        ...     loss_fn, jnp.array([0.5, 0.5]), method.init(2), x, x, lambda w, g: w - 0.1 * g)
        >>> [round(w, 4) for w in weights.tolist()]  # the second task is in the way
        [0.11, 0.09]

    References:
        Liu, James, Davison, Johns (2022), Auto-Lambda: disentangling dynamic task relationships,
        TMLR, equations 5 to 7.
    """
    check_positive("weight_rate", weight_rate)
    check_static("primary", primary)
    optimizer = optax.adam(weight_rate) if weight_optimizer is None else weight_optimizer
    check_optimizer(optimizer, "weight_optimizer")

    def factors(tasks: int) -> Array:
        chosen = range(tasks) if primary is None else primary
        unknown = [task for task in chosen if not 0 <= task < tasks]
        if unknown:
            raise ValueError(f"primary: expected tasks in 0 .. {tasks - 1}, got {unknown[0]}")
        return jnp.array([float(task in chosen) for task in range(tasks)])

    @own_transfers
    def init(num_tasks: int, dtype: Any = None) -> tuple[Array, Any]:
        factors(num_tasks)
        weights = jnp.full(num_tasks, initial, jnp.result_type(float if dtype is None else dtype))
        return weights, optimizer.init(weights)

    def weigh(
        loss_fn: LossFn,
        params: PyTree,
        state: tuple[Array, Any],
        batch: PyTree,
        validation_batch: PyTree,
        step_fn: Callable[..., PyTree],
        present: Bool[Array, " tasks"] | None = None,
        *,
        takes_value: bool = False,
    ) -> tuple[Array, tuple[Array, Any], Array, Array]:
        weights, inner = state
        primaries = factors(weights.shape[0])
        used = weights if present is None else jnp.where(present, weights, 0)
        slopes, validation = look_ahead_slopes(
            *(loss_fn, params, used, batch, validation_batch, step_fn, primaries),
            takes_value=takes_value,
        )
        if present is not None:
            slopes = jnp.where(present, slopes, 0)
        slopes = slopes.astype(weights.dtype)
        moved, following = take_step(optimizer, slopes, inner, weights)
        kept = jnp.ones(moved.shape, bool) if present is None else present
        weights, inner = keep_absent((moved, following), (weights, inner), kept)
        return weights, (weights, inner), slopes, validation

    return AutoLambda(init, weigh)


def auto_lambda_step(
    loss_fn: LossFn,
    optimizer: optax.GradientTransformation,
    *,
    look_ahead: Any,
    primary: Sequence[int] | None = None,
    initial: Real = 0.1,
    weight_rate: Real = 1e-4,
    weight_optimizer: optax.GradientTransformation | None = None,
    has_aux: bool = False,
) -> AggregatedStep:
    """Makes one step that first moves the task weights, then the parameters with these weights.

    The weights go down the validation loss of the primary tasks as it would be after one step on
    the training batch, differentiated exactly; the authors take finite differences, whose step of
    0.01 / |v| is of no concern here. As theirs, the weights are neither normalised nor bounded.

    Args:
        loss_fn: ``loss_fn(params, batch)`` gives the task losses, and may take and give more; see
            ``aggregated_step``. On the validation batch it has the same arguments and draws from
            another key; its aux there is dropped.
        optimizer: of the parameters. What it may want beside gradients it gets, see
            ``scalarized_step``: the loss is the weighted sum with the weights of this step.
        look_ahead: the step that is differentiated: a number, which may be traced, for a plain
            gradient step of that size (the authors': the current learning rate), or None for the
            step that the optimizer would take, with its momentum and decay, told the value of the
            weighted loss. Adam hardly depends on the scale of the gradient, and early on on nothing
            but its sign: give a number there, and beside a line search or ``optax.contrib.sam``.
        primary: numbers of the tasks that count in the validation loss; None for all.
        initial: of every weight; 0.1 as the authors'.
        weight_rate: of Adam on the weights, above 0, may be traced; 1e-4 as the authors'.
        weight_optimizer: instead of Adam, any optax optimizer.
        has_aux: whether the loss gives a pair (losses, aux). Static.

    Returns:
        ``init(params, batch, *args, key=None) -> state`` and ``step(params, state, batch,
        validation_batch, *args, key=None, present=None, value=None) -> (params, state, info)`` as
        those of ``aggregated_step``, with an ``AutoLambdaInfo``. A task that is not present has no
        part in the step; what it loses on the validation batch counts.

    Raises:
        ValueError: a number not above 0; at ``init``, a primary task that there is not; at the
            step, no validation batch.

    Example:
        >>> import jax.numpy as jnp
        >>> import optax
        >>> loss_fn = lambda w, x: jnp.stack([((w - x) ** 2).sum(), ((w + x) ** 2).sum()])
        >>> init, step = auto_lambda_step(
        ...     loss_fn, optax.sgd(0.1), look_ahead=0.1, primary=[0], weight_rate=0.01)
        >>> params, batch = jnp.array([0.5, 0.5]), jnp.array([1.0, 0.0])
        >>> params, state, info = step(params, init(params, batch), batch, batch)
        >>> [round(w, 4) for w in state.weights.tolist()]  # the second task is in the way
        [0.11, 0.09]

    References:
        Liu, James, Davison, Johns (2022), Auto-Lambda: disentangling dynamic task relationships,
        TMLR, equations 5 to 7.
    """
    if look_ahead is not None:
        check_positive("look_ahead", look_ahead)
    check_optimizer(optimizer)
    method = auto_lambda(primary, initial, weight_rate, weight_optimizer)
    parts = parts_of(loss_fn, gives_aux(loss_fn, has_aux))

    @own_transfers
    def init(
        params: PyTree, batch: PyTree, *args: PyTree, key: Key[Array, ""] | None = None
    ) -> AutoLambdaState:
        check_parameters(params)
        args, key = key_apart(loss_fn, args, key)
        keyed = for_shapes(loss_fn, args, key)
        losses, _ = jax.eval_shape(
            lambda p, b, rest: parts(p, b, *rest, **keyed), params, batch, args
        )
        dtype = jnp.promote_types(losses.dtype, jnp.float32)
        first = method.init(losses.shape[0], dtype)
        return AutoLambdaState(*first, optimizer.init(params), key, jnp.int32(0))

    def step(
        params: PyTree,
        state: AutoLambdaState,
        batch: PyTree,
        validation_batch: PyTree = None,
        *args: PyTree,
        key: Key[Array, ""] | None = None,
        present: Bool[Array, " tasks"] | None = None,
        value: Float[Array, ""] | None = None,
    ) -> tuple[PyTree, AutoLambdaState, AutoLambdaInfo]:
        check_kind(state, AutoLambdaState)
        if validation_batch is None:
            raise ValueError(
                "validation_batch: expected a second batch, on which the step is judged, got none: "
                "step(params, state, batch, validation_batch, *args)"
            )
        keys = step_keys(loss_fn, args, state, key)

        def losses_at(params: PyTree, drawn: tuple[PyTree, PyTree]) -> Array:
            rows, keyed = drawn
            return parts(params, rows, *args, **jax.tree.map(jax.random.clone, keyed))[0]

        losses, pullback, beside = jax.vjp(
            lambda p: parts(p, batch, *args, **keys.loss), params, has_aux=True
        )
        here = batch, keys.loss
        number, dtype = losses.shape[0], jnp.promote_types(losses.dtype, jnp.float32)
        own = state.weights, state.weight_optimizer
        check_state(own, lambda: method.init(number, dtype), number)

        def ahead(params: PyTree, gradient: PyTree, *loss: Array) -> PyTree:
            if look_ahead is not None:
                return plain_step(params, gradient, look_ahead)
            told = loss[0] if value is None else value
            before = state.optimizer
            return take_step(optimizer, gradient, before, params, value=told, no_function=_AHEAD)[0]

        weights, (kept, inner), slopes, validation = method.weigh(
            losses_at,
            params,
            own,
            here,
            (validation_batch, another_pass(keys, 0)),
            ahead,
            present,
            takes_value=look_ahead is None,
        )
        if present is not None:
            weights = jnp.where(present, weights, 0)

        (gradient,) = pullback(weights.astype(losses.dtype))
        info = AutoLambdaInfo(
            losses=losses,
            weights=weights,
            aggregation=None,
            loss=weighted_loss(weights, losses),
            aux=beside.aux,
            names=loss_names(beside.named),
            validation=validation,
            slopes=slopes,
        )
        after, following = take_step(
            optimizer,
            gradient,
            state.optimizer,
            params,
            value=value_for(info, present, value),
            value_fn=lambda params: weighted_loss(weights, losses_at(params, here)),
        )
        return after, AutoLambdaState(kept, inner, following, state.key, state.number + 1), info

    init_fn: Callable[..., Any] = init
    step_fn: Callable[..., Any] = step
    return AggregatedStep(init_fn, step_fn)

"""How the gradients of the tasks become one: their sum, a loss method, or an aggregator."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from jaxmtl._words import not_called, short
from jaxmtl.aggregation import AggregationInfo, Aggregator, AutoLambda, Scalarizer
from jaxmtl.aggregation.checks import check_info
from jaxmtl.aggregation.info import info_of, value_for, weighted_loss
from jaxmtl.aggregation.known import make_named, read_name, standing
from jaxmtl.aggregation.losses import plain_step
from jaxmtl.aggregation.tables import AGGREGATORS, AHEAD, LOSSES

Combiner = Aggregator | Scalarizer | AutoLambda
Combining = str | Combiner
"""A name, such as ``"cagrad(c=0.4)"``, or what a factory of ``jaxmtl.aggregation`` returns."""

OfTasks = Callable[[Float[Array, " tasks"]], PyTree]
LossOf = Callable[[Float[Array, " tasks"]], Float[Array, ""]]


class Combination(NamedTuple):
    """What a way to combine task gradients did, over the updates of an epoch.

    Attributes:
        weights: mean weight of every task gradient, (tasks,); NaN (None in a compiled loop) for
            methods whose result is no weighted sum of them.
        conflict_rate: mean share of the pairs of tasks whose gradients on what they share point
            apart (inner product below 0); NaN (None there) for loss methods, which do not look at
            gradients.
        unconverged: updates whose solver missed its tolerance.

    Example:
        >>> Combination._fields
        ('weights', 'conflict_rate', 'unconverged')
    """

    weights: Any
    conflict_rate: Any
    unconverged: Int[Array, ""]


class Combined(NamedTuple):
    """What one update came to.

    Attributes:
        grads: for the optimizer, in the form of the parameters.
        state: of the method.
        combination: of this update.
        value: the loss that belongs to the gradient: that of a loss method, the weighted sum where
            all parameters went along one; else the mean of the losses of the tasks present.
        loss_of: the loss of a loss method as a function of those of the tasks; None beside an
            aggregator, whose direction is the gradient of no function.
    """

    grads: PyTree
    state: PyTree
    combination: Combination
    value: Float[Array, ""]
    loss_of: LossOf | None = None


class Weighted(NamedTuple):
    """What a loss method says of one update.

    Attributes:
        weights: of the gradients of the tasks.
        state: of the method, after it.
        value: its loss.
        loss_of: its loss as a function of those of the tasks, with the state before the update.
    """

    weights: Float[Array, " tasks"]
    state: PyTree
    value: Float[Array, ""]
    loss_of: LossOf


class Ahead(NamedTuple):
    """What methods need that judge a step before it is made.

    Attributes:
        losses: from parameters and a batch to the losses of the tasks.
        batch: of this update.
        following: the batch on which the step is judged.
        rate: of the plain gradient step that is looked ahead by.
    """

    losses: Callable[[PyTree, PyTree], Float[Array, " tasks"]]
    batch: PyTree
    following: PyTree
    rate: Float[Array, ""]


def aggregators() -> tuple[str, ...]:
    """Names of all aggregators; those of one's own are among them."""
    return tuple(AGGREGATORS)


def weightings() -> tuple[str, ...]:
    """Names of all loss methods, and of those that look ahead."""
    return (*LOSSES, *AHEAD)


def check_combining(method: Any) -> Combining:
    """The method, or its name as it is always written.

    Raises:
        ValueError: neither a known name nor a method.

    Example:
        >>> check_combining("cagrad( c=0.4 )")
        'cagrad(c=0.4)'
        >>> check_combining("upgrade")
        Traceback (most recent call last):
            ...
        ValueError: aggregator: there is no method 'upgrade' (did you mean 'upgrad'?)
    """
    if isinstance(method, str):
        hint = "; jaxmtl.aggregation has them all, and so has jaxmtl compare --list-arms"
        return standing(method, of="aggregator", hint=hint)
    if not isinstance(method, Combiner):
        called = not_called(method)
        said = short(method) if called is None else ": ".join(called)
        raise ValueError(
            "aggregator: expected a name such as 'upgrad', or what a function of "
            f"jaxmtl.aggregation returns, got {said}"
        )
    return method


def name_of(method: Any) -> str | None:
    """The name of a method without its options; None of one that has no name."""
    return read_name(method).name if isinstance(method, str) else None


def draws(method: Combining) -> bool:
    """Whether the method may want a key; one that was not named is given one."""
    name = name_of(method)
    if name is None:
        return True
    row = LOSSES.get(name) or AGGREGATORS.get(name)
    return row is not None and "key" in row.needs


def looks_ahead(method: Combining | None) -> bool:
    """Whether the method judges its step on the batch that follows."""
    return name_of(method) in AHEAD or isinstance(method, AutoLambda)


@functools.cache
def method_of(method: Combining, num_tasks: int) -> Combiner:
    """The method itself; the same object for the same name, as it is static under ``jit``."""
    if not isinstance(method, str):
        return method
    return make_named(method, num_tasks, of="aggregator")


def first_state(method: Combining, num_tasks: int, params: PyTree) -> PyTree:
    """The state before the first update."""
    return state_of(method_of(method, num_tasks), num_tasks, params)


def state_of(found: Combiner, num_tasks: int, params: PyTree) -> PyTree:
    """The state of a method before the first update."""
    if not isinstance(found, Aggregator):
        return found.init(num_tasks)
    shapes = jax.tree.map(
        lambda p: jax.ShapeDtypeStruct((num_tasks, *jnp.shape(p)), jnp.result_type(p)), params
    )
    return found.init(shapes)


def no_combination(method: Combining, num_tasks: int, params: PyTree) -> Combination:
    """The sum over no updates; None for what the method does not tell."""
    return blank_of(method_of(method, num_tasks), num_tasks, params)


def blank_of(found: Combiner, num_tasks: int, params: PyTree) -> Combination:
    """The sum over no updates of a method."""
    if not isinstance(found, Aggregator):
        return _of_weights(jnp.zeros(num_tasks))

    def weights_of(params: PyTree) -> Any:
        rows = jax.tree.map(lambda p: jnp.zeros((num_tasks, *p.shape), p.dtype), params)
        given: dict[str, Any] = {"losses": jnp.ones(num_tasks), "key": jax.random.key(0)}
        info = found.update(rows, found.init(rows), params=params, **given)[2]
        check_info(info, AggregationInfo)
        return info.weights

    return Combination(
        weights=jnp.zeros(num_tasks) if _has_weights(jax.eval_shape(weights_of, params)) else None,
        conflict_rate=jnp.zeros(()),
        unconverged=jnp.int32(0),
    )


def _has_weights(weights: Any) -> bool:
    """Whether there is one weight a task; some methods have none, others one a layer and task."""
    return weights is not None and weights.ndim == 1


def mean_combination(total: Combination, updates: Int[Array, ""]) -> Combination:
    """Means out of sums over updates."""
    number = jnp.maximum(updates, 1)
    weights, rate = jax.tree.map(
        lambda of_all: of_all / number.astype(of_all.dtype), (total.weights, total.conflict_rate)
    )
    return Combination(weights, rate, total.unconverged)


def told(combination: Combination, num_tasks: int) -> Combination:
    """On the host, NaN in place of None: what a method does not tell is a column all the same."""
    rows = np.shape(combination.unconverged)
    weights, rate = combination.weights, combination.conflict_rate
    return combination._replace(
        weights=np.full((*rows, num_tasks), np.nan, np.float32) if weights is None else weights,
        conflict_rate=np.full(rows, np.nan, np.float32) if rate is None else rate,
    )


def combine(
    method: Combining,
    losses: Float[Array, " tasks"],
    gradient_of: OfTasks,
    state: PyTree,
    *,
    shared: PyTree,
    params: PyTree,
    key: Key[Array, ""] | None,
    present: Bool[Array, " tasks"] | None,
    ahead: Ahead | None = None,
) -> Combined:
    """One update's gradient out of those of the tasks.

    Args:
        method: static.
        losses: of the tasks, traced.
        gradient_of: ``gradient_of(weights)`` gives the gradient of the weighted sum of the losses,
            in the form of the parameters.
        state: of the method.
        shared: which parameters several tasks reach, booleans in their structure and shapes.
        params: traced.
        key: for methods that draw, else None.
        present: tasks that the batch has; None for all.
        ahead: for methods that look ahead.

    Returns:
        Gradient, next state, and what was found.
    """
    found = method_of(method, losses.shape[0])
    if isinstance(found, Aggregator):
        rows = task_rows(gradient_of, losses)
        return by_rows(
            found, losses, rows, state, shared=shared, params=params, key=key, present=present
        )
    weighted = by_losses(found, losses, state, params=params, key=key, present=present, ahead=ahead)
    weights, state, value, loss_of = weighted
    grads = gradient_of(weights.astype(losses.dtype))
    return Combined(grads, state, _of_weights(weights), value, loss_of)


def task_rows(gradient_of: OfTasks, losses: Float[Array, " tasks"]) -> PyTree:
    """The gradient of every task, by one backward pass each."""
    return jax.vmap(gradient_of)(jnp.eye(losses.shape[0], dtype=losses.dtype))


def by_losses(
    found: Scalarizer | AutoLambda,
    losses: Float[Array, " tasks"],
    state: PyTree,
    *,
    params: PyTree,
    key: Key[Array, ""] | None,
    present: Bool[Array, " tasks"] | None,
    ahead: Ahead | None,
) -> Weighted:
    """Weights of a loss method, for all parameters alike, its next state, and its loss."""
    if isinstance(found, Scalarizer):

        def loss_of(losses: Array) -> Array:
            again = None if key is None else jax.random.clone(key)
            return found.scalarize(losses, state, key=again, present=present)[0]

        value, after, weights = found.scalarize(losses, state, key=key, present=present)
        return Weighted(weights, after, value, loss_of)
    assert ahead is not None
    weights, state, _, _ = found.weigh(
        ahead.losses,
        params,
        state,
        ahead.batch,
        ahead.following,
        lambda params, gradient: plain_step(params, gradient, ahead.rate),
    )
    loss_of = functools.partial(weighted_loss, weights)
    return Weighted(weights, state, loss_of(losses), loss_of)


def by_rows(
    found: Aggregator,
    losses: Float[Array, " tasks"],
    rows: PyTree,
    state: PyTree,
    *,
    shared: PyTree,
    params: PyTree,
    key: Key[Array, ""] | None,
    present: Bool[Array, " tasks"] | None,
) -> Combined:
    """What an aggregator makes of the gradients of the tasks.

    It sees the parameters that several tasks reach; those of one task get that task's own gradient
    as it is.
    """
    ours = jax.tree.map(lambda mark, row: jnp.where(mark[None], row, 0), shared, rows)
    combined, state, info = found.update(
        ours, state, losses=losses, params=params, key=key, present=present
    )
    grads = jax.tree.map(
        lambda mark, one, row: jnp.where(mark, one, row.sum(axis=0).astype(one.dtype)),
        shared,
        combined,
        rows,
    )
    seen = Combination(
        weights=info.weights.astype(float) if _has_weights(info.weights) else None,
        conflict_rate=info.conflict_rate.mean().astype(float),
        unconverged=(~info.converged).sum(dtype=jnp.int32),
    )
    return Combined(grads, state, seen, _value(found, losses, info, shared, present))


def _value(
    found: Aggregator,
    losses: Float[Array, " tasks"],
    info: AggregationInfo,
    shared: PyTree,
    present: Bool[Array, " tasks"] | None,
) -> Float[Array, ""]:
    along, apart = (
        value_for(info_of(losses, info, weighted=weighted, aux=None, names=None), present)
        for weighted in (found.weighted, False)
    )
    everything = jnp.stack([mark.all() for mark in jax.tree.leaves(shared)]).all()
    return jnp.where(everything, along.astype(losses.dtype), apart)


def _of_weights(weights: Float[Array, " tasks"]) -> Combination:
    return Combination(weights.astype(float), None, jnp.int32(0))


def observe(
    method: Combining,
    losses_after: Callable[[], Float[Array, " tasks"]],
    state: PyTree,
    present: Bool[Array, " tasks"] | None,
    num_tasks: int,
) -> PyTree:
    """The state after the update, for methods that look at the losses once more (FAMO)."""
    found = method_of(method, num_tasks)
    if isinstance(found, Scalarizer) and found.observe is not None:
        return found.observe(losses_after(), state, present=present)
    return state

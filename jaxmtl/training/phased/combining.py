"""How the gradients of the tasks become one: their sum, a loss method, or an aggregator."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from jaxmtl._words import did_you_mean, short
from jaxmtl.aggregation import (
    LOSS_METHODS,
    REGISTRY,
    Aggregator,
    AutoLambda,
    Scalarizer,
    auto_lambda,
    make,
    make_scalarizer,
)
from jaxmtl.aggregation.losses import plain_step

Combiner = Aggregator | Scalarizer | AutoLambda
Combining = str | Combiner
"""A name of ``METHODS``, or what a factory of ``jaxmtl.aggregation`` returns."""

AGGREGATORS: tuple[str, ...] = tuple(REGISTRY)
WEIGHTINGS: tuple[str, ...] = (*LOSS_METHODS, "auto_lambda")
METHODS: tuple[str, ...] = (*AGGREGATORS, *WEIGHTINGS)
"""Names of all aggregators, then of all loss methods."""

OfTasks = Callable[[Float[Array, " tasks"]], PyTree]


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
    """

    grads: PyTree
    state: PyTree
    combination: Combination


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


def check_combining(method: Any) -> None:
    """Raises ValueError for what is neither a known name nor a method.

    Example:
        >>> check_combining("upgrade")
        Traceback (most recent call last):
            ...
        ValueError: aggregator: there is no method 'upgrade' (did you mean 'upgrad'?)
    """
    if isinstance(method, str):
        if method not in METHODS:
            hint = did_you_mean(method, METHODS) or (
                "; jaxmtl.aggregation has them all, and so has jaxmtl compare --list-arms"
            )
            raise ValueError(f"aggregator: there is no method {short(method)}{hint}")
    elif not isinstance(method, Combiner):
        raise ValueError(
            "aggregator: expected a name such as 'upgrad', or what a function of "
            f"jaxmtl.aggregation returns, got {method!r}"
        )


def draws(method: Combining) -> bool:
    """Whether the method may want a key; one that was not named is given one."""
    if not isinstance(method, str):
        return True
    row = LOSS_METHODS.get(method) or REGISTRY.get(method)
    return row is not None and "key" in row.needs


def looks_ahead(method: Combining | None) -> bool:
    """Whether the method judges its step on the batch that follows."""
    return method == "auto_lambda" or isinstance(method, AutoLambda)


@functools.cache
def method_of(method: Combining, num_tasks: int) -> Combiner:
    """The method itself; the same object for the same name, as it is static under ``jit``."""
    if not isinstance(method, str):
        return method
    if method == "auto_lambda":
        return auto_lambda()
    build = make_scalarizer if method in LOSS_METHODS else make
    return build(method, num_tasks)


def first_state(method: Combining, num_tasks: int, params: PyTree) -> PyTree:
    """The state before the first update."""
    found = method_of(method, num_tasks)
    if not isinstance(found, Aggregator):
        return found.init(num_tasks)
    shapes = jax.tree.map(
        lambda p: jax.ShapeDtypeStruct((num_tasks, *jnp.shape(p)), jnp.result_type(p)), params
    )
    return found.init(shapes)


def no_combination(method: Combining, num_tasks: int, params: PyTree) -> Combination:
    """The sum over no updates; None for what the method does not tell."""
    found = method_of(method, num_tasks)
    if not isinstance(found, Aggregator):
        return _of_weights(jnp.zeros(num_tasks))

    def weights_of(params: PyTree) -> Any:
        rows = jax.tree.map(lambda p: jnp.zeros((num_tasks, *p.shape), p.dtype), params)
        given: dict[str, Any] = {"losses": jnp.ones(num_tasks), "key": jax.random.key(0)}
        return found.update(rows, found.init(rows), params=params, **given)[2].weights

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

    An aggregator sees the parameters that several tasks reach; those of one task get that task's
    own gradient as it is. A loss method weighs them all, which is the gradient of its loss.

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
    if isinstance(found, Scalarizer):
        _, state, weights = found.scalarize(losses, state, key=key, present=present)
        grads = gradient_of(weights.astype(losses.dtype))
        return Combined(grads, state, _of_weights(weights))
    if isinstance(found, AutoLambda):
        assert ahead is not None
        weights, state, _, _ = found.weigh(
            ahead.losses,
            params,
            state,
            ahead.batch,
            ahead.following,
            lambda params, gradient: plain_step(params, gradient, ahead.rate),
        )
        return Combined(gradient_of(weights.astype(losses.dtype)), state, _of_weights(weights))
    rows = jax.vmap(gradient_of)(jnp.eye(losses.shape[0], dtype=losses.dtype))
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
    return Combined(grads, state, seen)


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

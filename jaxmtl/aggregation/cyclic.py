"""One task an update, and the running means of all for the aggregator."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from jaxmtl._validate import check_within
from jaxmtl.aggregation.contract import Context
from jaxmtl.aggregation.known import AnyMethod, as_aggregator
from jaxmtl.aggregation.one_pass import OnePass, one_pass, untold
from jaxmtl.aggregation.settings import Real
from jaxmtl.gradients.stacked import accumulator_dtype, num_tasks


class CyclicState(NamedTuple):
    """Running means, of the gradients and of what was made of them.

    Attributes:
        inner: state of the aggregator.
        means: of every task's gradient, leaves (tasks, *param), not yet corrected for their start.
        counts: gradients of each task so far.
        before: what the aggregator gave at the last update, as a running mean; leaves like a row.
        squares: running mean of squares, leaves like a row.
        updates: at which the aggregator was asked.
        next: the task whose turn it is.
    """

    inner: Any
    means: PyTree
    counts: Int[Array, " tasks"]
    before: PyTree
    squares: PyTree
    updates: Int[Array, ""]
    next: Int[Array, ""]


def cyclic(aggregator: AnyMethod, *, decay: Real = 0.9, decay_squares: Real = 0.999) -> OnePass:
    """Takes the gradient of one task an update, in turns, and aggregates the tasks' running means.

    One backward pass an update in ``aggregated_step``, whatever the number of tasks. Update t takes
    the gradient g_i of task i = t mod T: m_i <- b1 m_i + (1 - b1) g_i. As soon as every task had
    its turn, A is asked with the means, each divided by 1 - b1^(its count); as only one of them has
    moved, the result is no new gradient: with M = A(...) (1 - b1^t) the direction's own gradient is
    (M - b1 M_before) / (1 - b1), of which the running mean of squares s is kept. What comes out is
    A(...) / (sqrt(s / (1 - b2^t)) + 1e-8), Adam's direction, so give it to plain ``optax.sgd``. The
    updates before every task had its turn are 0.

    The authors skip nobody; here the turn passes over tasks that are absent, and a gradient that is
    not finite gives NaN and leaves all as it was.

    Args:
        aggregator: A, any; its weights are those of the means. Its state moves at each update.
        decay: b1, in [0, 1); may be traced.
        decay_squares: b2, in [0, 1); may be traced.

    Returns:
        The aggregator; its state is a ``CyclicState``, T + 2 times the parameters.

    Raises:
        ValueError: a decay outside [0, 1).

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxmtl.aggregation as ag
        >>> aggregator = cyclic(ag.mean())
        >>> grads = jnp.array([[1.0, -2.0], [3.0, 0.5]])
        >>> state = aggregator.init(grads)
        >>> for _ in range(3):
        ...     direction, state, _ = aggregator.update(grads, state)
        ...     print([round(x, 4) + 0.0 for x in direction.tolist()])
        [0.0, 0.0]
        [1.0, -1.0]
        [1.0, -1.0]

    References:
        Liu, Chu, Thuerey (2025), ConFIG: towards conflict-free training of physics informed neural
        networks, algorithm 2 (M-ConFIG), for any aggregator in ConFIG's place.
    """
    check_within("decay", decay, 0, 1, open_end=True)
    check_within("decay_squares", decay_squares, 0, 1, open_end=True)
    inside = as_aggregator(aggregator)

    def init(task_grads: PyTree) -> CyclicState:
        tasks, dtype = num_tasks(task_grads), accumulator_dtype(task_grads)
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, dtype), task_grads)
        row = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape[1:], dtype), task_grads)
        return CyclicState(
            inner=inside.init(zeros),
            means=zeros,
            counts=jnp.zeros(tasks, jnp.int32),
            before=row,
            squares=jax.tree.map(jnp.copy, row),
            updates=jnp.int32(0),
            next=jnp.int32(0),
        )

    def ask(state: CyclicState, context: Context) -> Float[Array, " tasks"]:
        tasks = state.counts.shape[0]
        waits = jnp.where(context.present, (jnp.arange(tasks) - state.next) % tasks, tasks)
        dtype = jax.tree.leaves(state.means)[0].dtype
        turn = jax.nn.one_hot(jnp.argmin(waits), tasks, dtype=dtype)
        return jnp.where(context.present, turn, 0)

    def answer(pulled: PyTree, state: CyclicState, weights: Array, context: Context) -> Any:
        tasks, dtype = weights.shape[0], weights.dtype
        b1, b2 = jnp.asarray(decay, dtype), jnp.asarray(decay_squares, dtype)
        task, some = jnp.argmax(weights), weights.any()
        given = jax.tree.map(lambda leaf: leaf.astype(dtype), pulled)
        finite = jnp.array(True)
        for leaf in jax.tree.leaves(given):
            finite = finite & jnp.isfinite(leaf).all()
        means = jax.tree.map(
            lambda m, g: m.at[task].set(b1 * m[task] + (1 - b1) * g), state.means, given
        )
        counts = state.counts.at[task].add(1)
        corrected = jax.tree.map(lambda m: m / _start(b1, counts, m.ndim - 1), means)
        combined, inner, info = inside.update(
            corrected,
            state.inner,
            losses=context.losses,
            key=context.key,
            order=context.order,
        )
        updates = state.updates + 1
        mean = jax.tree.map(lambda c: c * _start(b1, updates, 0), combined)
        squares = jax.tree.map(
            lambda s, m, before: b2 * s + (1 - b2) * ((m - b1 * before) / (1 - b1)) ** 2,
            *(state.squares, mean, state.before),
        )
        direction = jax.tree.map(
            lambda c, s: c / (jnp.sqrt(s / _start(b2, updates, 0)) + 1e-8), combined, squares
        )
        turn = (task + 1).astype(jnp.int32) % tasks
        taken = state._replace(means=means, counts=counts, next=turn)
        asked = taken._replace(inner=inner, before=mean, squares=squares, updates=updates)
        ready = (counts > 0).all()

        def chosen(a: PyTree, b: PyTree, mark: Array) -> PyTree:
            return jax.tree.map(lambda x, y: jnp.where(mark, x, y), a, b)

        following = chosen(chosen(asked, taken, ready), state, finite & some)
        result = jax.tree.map(
            lambda d, p: jnp.where(finite, jnp.where(ready & some, d, 0), jnp.nan).astype(p.dtype),
            *(direction, pulled),
        )
        nothing = untold(jnp.zeros(tasks, dtype), jnp.array(False), jnp.array(0.0, dtype))
        told = info._replace(weights=nothing.weights if info.weights is None else info.weights)
        return result, following, chosen(told, nothing, finite & ready & some)

    return one_pass(init, ask, answer, weighted=False)


def _start(decay: Array, count: Array, trailing: int) -> Array:
    """By what a running mean that began at 0 is divided, with axes behind that of the tasks."""
    share = 1 - decay ** jnp.maximum(count, 1).astype(decay.dtype)
    return share.reshape(share.shape + (1,) * trailing)

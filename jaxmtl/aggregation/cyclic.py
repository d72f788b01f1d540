"""One task an update, and the running means of all for the aggregator."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from jaxmtl._validate import check_within
from jaxmtl.aggregation.contract import Context, describe, gram_context
from jaxmtl.aggregation.known import AnyMethod, as_aggregator
from jaxmtl.aggregation.one_pass import OnePass, one_pass, untold
from jaxmtl.aggregation.rows import weighted_sum
from jaxmtl.aggregation.settings import Real
from jaxmtl.gradients.stacked import accumulator_dtype, num_tasks, row_products


class CyclicState(NamedTuple):
    """Running means, of the gradients and of what was made of them.

    Attributes:
        inner: state of the aggregator.
        means: of every task's gradient, leaves (tasks, size), not yet corrected for their start.
        gram: their inner products; None for an aggregator that reads the means themselves.
        counts: gradients of each task so far.
        before: what the aggregator gave at the last update, as a running mean; leaves like a row.
        squares: running mean of squares, leaves like a row.
        updates: at which the aggregator was asked.
        next: the task whose turn it is.
    """

    inner: Any
    means: PyTree
    gram: Float[Array, "tasks tasks"] | None
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

    What an update costs beside its pass: of an aggregator on the Gram matrix only a row and a
    column of the means' products are computed anew, and the means, T times the parameters, are read
    twice, for these and for their weighted sum. One of them is written, in place where the state is
    donated to ``jit`` or carried by a ``scan``. These are 8 T bytes a parameter, against 6 R
    operations a weight of a dense layer and R rows: some 20 to 30 T rows keep it within 0.3 of a
    step. Convolutions and tokens count every position as a row. Aggregators that read the gradients
    themselves are given all means at each update.

    The authors skip nobody; here the turn passes over tasks that are absent, and a gradient that is
    not finite gives NaN and leaves all as it was.

    Args:
        aggregator: A, any; its weights are those of the means. Its state moves at each update.
        decay: b1, in [0, 1); may be traced.
        decay_squares: b2, in [0, 1); may be traced.

    Returns:
        The aggregator; its state is a ``CyclicState``, T + 2 times the parameters: donate it.

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
        flat = jax.tree.map(lambda leaf: leaf.reshape(tasks, -1), zeros)
        row = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape[1:], dtype), task_grads)
        return CyclicState(
            inner=inside.init(zeros),
            means=flat,
            gram=None if inside.rule is None else jnp.zeros((tasks, tasks), dtype),
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

    def aggregate(
        means: PyTree, gram: Any, share: Array, inner: Any, context: Context, like: PyTree
    ) -> Any:
        """What the aggregator makes of the means, each divided by its share."""
        given: dict[str, Any] = {
            "losses": context.losses,
            "key": context.key,
            "order": context.order,
        }
        if inside.rule is None:
            corrected = jax.tree.map(
                lambda m, g: (m / share[:, None]).reshape(-1, *g.shape), means, like
            )
            return inside.update(corrected, inner, **given)
        about = gram_context(share.shape[0], **given)
        corrected = gram / (share[:, None] * share[None])
        found = inside.rule(corrected, inner, about)
        told = describe(corrected, about, found.weights, found.converged, found.residual)
        combined = weighted_sum(found.weights / share, means)
        return shaped(combined, like), found.state, told

    def answer(pulled: PyTree, state: CyclicState, weights: Array, context: Context) -> Any:
        tasks, dtype = weights.shape[0], weights.dtype
        b1, b2 = jnp.asarray(decay, dtype), jnp.asarray(decay_squares, dtype)
        task = jnp.argmax(weights)
        given = jax.tree.map(lambda leaf: leaf.astype(dtype).reshape(-1), pulled)
        finite = jnp.array(True)
        for leaf in jax.tree.leaves(given):
            finite = finite & jnp.isfinite((0 * leaf).sum())
        taken = finite & weights.any()
        row = jax.tree.map(
            lambda m, g: jnp.where(taken, b1 * m[task] + (1 - b1) * g, m[task]), state.means, given
        )
        # A row of the means moves, in place, and with it a row and a column of their products.
        means = jax.tree.map(lambda m, r: m.at[task].set(r), state.means, row)
        counts = state.counts.at[task].add(taken.astype(jnp.int32))
        gram = state.gram
        if gram is not None:
            products = jax.tree.map(lambda m: row_products(m, m[task][None], dtype)[:, 0], means)
            line = jax.tree.reduce(jnp.add, products)
            gram = gram.at[task].set(line).at[:, task].set(line)
        combined, inner, info = aggregate(
            means, gram, _start(b1, counts), state.inner, context, pulled
        )
        updates = state.updates + 1
        mean = jax.tree.map(lambda c: c * _start(b1, updates), combined)
        squares = jax.tree.map(
            lambda s, m, before: b2 * s + (1 - b2) * ((m - b1 * before) / (1 - b1)) ** 2,
            *(state.squares, mean, state.before),
        )
        direction = jax.tree.map(
            lambda c, s: c / (jnp.sqrt(s / _start(b2, updates)) + 1e-8), combined, squares
        )
        asked = taken & (counts > 0).all()

        def chosen(a: PyTree, b: PyTree) -> PyTree:
            return jax.tree.map(lambda x, y: jnp.where(asked, x, y), a, b)

        following = CyclicState(
            inner=chosen(inner, state.inner),
            means=means,
            gram=gram,
            counts=counts,
            before=chosen(mean, state.before),
            squares=chosen(squares, state.squares),
            updates=chosen(updates, state.updates),
            next=jnp.where(taken, (task + 1).astype(jnp.int32) % tasks, state.next),
        )
        result = jax.tree.map(
            lambda d, p: jnp.where(finite, jnp.where(asked, d, 0), jnp.nan).astype(p.dtype),
            *(direction, pulled),
        )
        nothing = untold(jnp.zeros(tasks, dtype), jnp.array(False), jnp.array(0.0, dtype))
        told = info._replace(weights=nothing.weights if info.weights is None else info.weights)
        return result, following, chosen(told, nothing)

    return one_pass(init, ask, answer, weighted=False)


def shaped(flat: PyTree, like: PyTree) -> PyTree:
    """Leaves that are vectors, in the shapes of others.

    Example:
        >>> import jax.numpy as jnp
        >>> shaped(jnp.arange(4.0), jnp.ones((2, 2))).tolist()
        [[0.0, 1.0], [2.0, 3.0]]
    """
    return jax.tree.map(lambda leaf, other: leaf.reshape(other.shape), flat, like)


def _start(decay: Array, count: Array) -> Array:
    """By what a running mean that began at 0 is divided."""
    return 1 - decay ** jnp.maximum(count, 1).astype(decay.dtype)

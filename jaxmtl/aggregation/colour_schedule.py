"""Tasks that do not conflict step together, the others in turns."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxmtl._validate import check_count, check_positive, check_within
from jaxmtl.aggregation.contract import Context, checked, describe
from jaxmtl.aggregation.one_pass import OnePass, one_pass, untold
from jaxmtl.aggregation.parts import kept_unless
from jaxmtl.aggregation.rows import gram_matrix, weighted_sum
from jaxmtl.aggregation.settings import Real, in_type
from jaxmtl.gradients.stacked import accumulator_dtype, num_tasks


class ColourState(NamedTuple):
    """Running means of the gradients, and the groups that were made of them.

    Attributes:
        means: leaves (tasks, *param), 0 for a task that was never there.
        seen: refreshes at which each task was there.
        colours: the group of each task.
        updates: so far.
    """

    means: PyTree
    seen: Int[Array, " tasks"]
    colours: Int[Array, " tasks"]
    updates: Int[Array, ""]


def colour_schedule(*, refresh: int = 32, threshold: Real = 0.0, rate: Real = 0.1) -> OnePass:
    """Groups tasks by conflict, and lets one group a time step on the sum of its losses.

    Two tasks are joined by an edge where minus the cosine of their running mean gradients exceeds
    the threshold; a greedy colouring, task by task in their order, gives each the first colour that
    no neighbour has. Update t trains the tasks of colour t modulo the number of colours: one
    backward pass of their summed losses in ``aggregated_step``. At every ``refresh``-th update all
    gradients are computed, the means take a step towards them, and tasks are coloured anew.

    Args:
        refresh: updates from one colouring to the next, static.
        threshold: tau, in [0, 1]; may be traced. 0 parts all that conflict.
        rate: of the running means, in (0, 1], 1 for the gradients themselves; may be traced.

    Returns:
        The aggregator, a sum over the tasks whose turn it is; its state is a ``ColourState``, T
        times the parameters. Weights are 1 and 0.

    Raises:
        ValueError: a refresh below 1, a threshold or a rate out of range.

    Example:
        >>> import jax.numpy as jnp
        >>> aggregator = colour_schedule(refresh=4)
        >>> grads = jnp.array([[1.0, 0.0], [-1.0, 0.5], [1.0, 1.0]])
        >>> state = aggregator.init(grads)
        >>> for _ in range(3):
        ...     _, state, info = aggregator.update(grads, state)
        ...     print(info.weights.tolist())
        [1.0, 0.0, 1.0]
        [0.0, 1.0, 0.0]
        [1.0, 0.0, 1.0]

    References:
        Patapati, Srinivasan (2025), Graph coloring for multi-task learning (SON-GOKU), arXiv
        2509.16959: the interference graph and its greedy colouring. A task that is absent at a
        refresh keeps its mean; one that has none yet is in conflict with nobody.
    """
    check_count("refresh", refresh)
    check_within("threshold", threshold, 0, 1)
    check_positive("rate", rate)
    check_within("rate", rate, 0, 1)

    def init(task_grads: PyTree) -> ColourState:
        tasks, dtype = num_tasks(task_grads), accumulator_dtype(task_grads)
        return ColourState(
            means=jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, dtype), task_grads),
            seen=jnp.zeros(tasks, jnp.int32),
            colours=jnp.zeros(tasks, jnp.int32),
            updates=jnp.int32(0),
        )

    def due(state: ColourState, context: Context) -> Bool[Array, ""]:
        del context
        return state.updates % refresh == 0

    def full(task_grads: PyTree, state: ColourState, **given: Any) -> Any:
        rows, context = checked(task_grads, **given)
        gram = gram_matrix(rows)
        dtype = gram.dtype
        # The first gradient of a task is its mean: nothing to be corrected for a start at 0.
        step = jnp.where(state.seen > 0, in_type(rate, dtype), 1)
        step = jnp.where(context.present, step, 0)

        def moved(mean: Array, row: Array) -> Array:
            share = step.reshape(-1, *(1,) * (mean.ndim - 1))
            return mean + share * (row.astype(dtype) - mean)

        means = jax.tree.map(moved, state.means, rows)
        products = gram_matrix(means)
        norms = jnp.sqrt(jnp.diagonal(products))
        edges = -products > in_type(threshold, dtype) * norms[:, None] * norms[None]
        new = ColourState(
            means,
            state.seen + context.present.astype(jnp.int32),
            greedy_colours(edges),
            state.updates,
        )
        old = kept_unless(jnp.isfinite(gram).all(), new, state)
        weights = ask(old, context)
        info = describe(gram, context, weights)
        return weighted_sum(weights, rows), old._replace(updates=state.updates + 1), info

    def ask(state: ColourState, context: Context) -> Float[Array, " tasks"]:
        number = jnp.max(state.colours) + 1
        turn = state.colours == state.updates % number
        return (turn & context.present).astype(jax.tree.leaves(state.means)[0].dtype)

    def answer(pulled: PyTree, state: ColourState, weights: Array, context: Context) -> Any:
        del context
        info = untold(weights, jnp.array(True), jnp.zeros((), weights.dtype))
        return pulled, state._replace(updates=state.updates + 1), info

    return one_pass(init, ask, answer, weighted=True, due=due, full=full)


def greedy_colours(edges: Bool[Array, "tasks tasks"]) -> Int[Array, " tasks"]:
    """The first colour that no earlier neighbour has, task by task in their order.

    Args:
        edges: which two tasks may not have the same colour, symmetric, traced; the diagonal does
            not count.

    Returns:
        Numbers from 0 on, int32; at most the largest number of neighbours + 1 of them.

    Example:
        >>> import jax.numpy as jnp
        >>> greedy_colours(jnp.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], bool)).tolist()
        [0, 1, 0]
    """
    tasks = edges.shape[0]

    def colour(task: Array, colours: Array) -> Array:
        earlier = edges[task] & (jnp.arange(tasks) < task)
        taken = (jax.nn.one_hot(colours, tasks, dtype=bool) & earlier[:, None]).any(axis=0)
        return colours.at[task].set(jnp.argmin(taken).astype(jnp.int32))

    return jax.lax.fori_loop(0, tasks, colour, jnp.zeros(tasks, jnp.int32))

"""Weights that are found early, by gradients, and then stay what they are."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxmtl._validate import check_count
from jaxmtl.aggregation.contract import Context, gram_context
from jaxmtl.aggregation.every import check_weighted
from jaxmtl.aggregation.known import AnyMethod, as_aggregator
from jaxmtl.aggregation.mean import mean
from jaxmtl.aggregation.one_pass import OnePass, one_pass, untold
from jaxmtl.aggregation.rows import gram_matrix, keep_present
from jaxmtl.gradients.stacked import accumulator_dtype, num_tasks


class FixedWeightsState(NamedTuple):
    """What was found so far.

    Attributes:
        inner: state of the method inside.
        updates: so far, no more than are looked at.
        sums: over these, of the weights or of the gradients' norms.
        counts: updates at which the task was there, and its entry finite.
    """

    inner: Any
    updates: Int[Array, ""]
    sums: Float[Array, " tasks"]
    counts: Int[Array, " tasks"]


def fixed_weights_from(aggregator: AnyMethod | None, steps: int) -> OnePass:
    """The mean of a method's weights over the first updates, kept for all that follow.

    The first ``steps`` updates are those of the method, with a backward pass a task; from then on
    each is one backward pass of the weighted loss, in ``aggregated_step`` and ``gramian_step``.
    Fixed weights, if good ones, mostly do as well as weights solved anew at each update.

    Args:
        aggregator: the method inside, whose result must be a weighted sum. None: the first updates
            follow the mean gradient, and the weights are proportional to 1 over the mean norm of
            each task's gradient and sum to 1, so that from then on no task's gradient dominates.
        steps: updates that are looked at, static; a few hundred.

    Returns:
        The aggregator; its state is a ``FixedWeightsState``. A task that never was there in the
        first updates has weight 0; after them cosines and the conflict rate are NaN.

    Raises:
        ValueError: steps below 1, a method whose result is no weighted sum.

    Example:
        >>> import jax.numpy as jnp
        >>> aggregator = fixed_weights_from(None, steps=1)
        >>> grads = jnp.array([[3.0, 4.0], [0.0, 1.0]])  # norms 5 and 1
        >>> _, state, _ = aggregator.update(grads, aggregator.init(grads))
        >>> [round(w, 4) for w in aggregator.update(grads, state)[2].weights.tolist()]
        [0.1667, 0.8333]

    References:
        The idea is that of Yang et al. (2025), AutoScale, arXiv 2508.13979: choose fixed weights by
        what gradient methods balance. Kurin et al. (2022), In defense of the unitary scalarization.
    """
    check_count("steps", steps)
    inside = mean() if aggregator is None else as_aggregator(aggregator)
    check_weighted("fixed_weights_from", inside)

    def init(task_grads: PyTree) -> FixedWeightsState:
        tasks, dtype = num_tasks(task_grads), accumulator_dtype(task_grads)
        return FixedWeightsState(
            inner=inside.init(task_grads),
            updates=jnp.int32(0),
            sums=jnp.zeros(tasks, dtype),
            counts=jnp.zeros(tasks, jnp.int32),
        )

    def due(state: FixedWeightsState, context: Context) -> Bool[Array, ""]:
        del context
        return state.updates < steps

    def full(task_grads: PyTree, state: FixedWeightsState, **given: Any) -> Any:
        combined, inner, info = inside.update(task_grads, state.inner, **given)
        present = gram_context(state.sums.shape[0], present=given.get("present")).present
        seen = info.weights
        if aggregator is None:
            seen = jnp.sqrt(jnp.diagonal(gram_matrix(keep_present(task_grads, present))))
        counted = present & jnp.isfinite(seen)
        following = FixedWeightsState(
            inner=inner,
            updates=state.updates + 1,
            sums=state.sums + jnp.where(counted, seen, 0),
            counts=state.counts + counted.astype(jnp.int32),
        )
        return combined, following, info

    def found(state: FixedWeightsState) -> Float[Array, " tasks"]:
        means = state.sums / jnp.maximum(state.counts, 1).astype(state.sums.dtype)
        if aggregator is not None:
            return means
        inverse = jnp.where(means > 0, 1 / jnp.where(means > 0, means, 1), 0)
        total = inverse.sum()
        return inverse / jnp.where(total > 0, total, 1)

    def ask(state: FixedWeightsState, context: Context) -> Array:
        return jnp.where(context.present, found(state), 0)

    def answer(pulled: PyTree, state: FixedWeightsState, weights: Array, context: Context) -> Any:
        del context
        zero = jnp.zeros((), weights.dtype)
        return pulled, jax.tree.map(jnp.asarray, state), untold(weights, jnp.array(True), zero)

    return one_pass(init, ask, answer, weighted=True, due=due, full=full)

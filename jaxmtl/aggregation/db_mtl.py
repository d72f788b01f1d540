"""Dual balancing: logarithms of losses, and gradients of one length."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from jaxmtl._validate import check_choice, check_positive, check_within
from jaxmtl.aggregation.contract import Aggregator, checked, describe, require_losses
from jaxmtl.aggregation.parts import kept_unless, nonnegative
from jaxmtl.aggregation.rows import along_tasks, gram_matrix, weighted_sum
from jaxmtl.aggregation.settings import Real, in_type
from jaxmtl.gradients.stacked import accumulator_dtype, num_tasks


class DBMTLState(NamedTuple):
    """Smoothed gradients.

    Attributes:
        smoothed: of the logarithms of the losses, like the task gradients.
        steps: updates at which task t was present.
    """

    smoothed: PyTree
    steps: Int[Array, " tasks"]


def db_mtl(beta: Real = 0.9, beta_sigma: Real = 0.0, *, log_losses: bool = True) -> Aggregator:
    """Sum of the smoothed gradients of the log losses, each stretched to the longest one's length.

    h_t = g_t / (loss_t + 1e-8), the gradient of log(loss_t); y_t <- h_t + beta / k^beta_sigma (y_t
    - h_t) from y = 0, with k the number of the update; the result is sum_t max_s |y_s| / |y_t| y_t.
    Defaults as in LibMTL, by the authors. A smoothed gradient of 0 adds nothing. Losses below 0,
    which have no logarithm, give NaN.

    Needs losses, the gradients and a state of their size. No weighted sum of the gradients given:
    ``info.weights`` are those of the smoothed ones.

    Args:
        beta: share of the past in the smoothing, in [0, 1]; 0 for none.
        beta_sigma: decay of that share, >= 0. Both may be traced.
        log_losses: False if the task gradients are already those of the log losses. Static.

    Returns:
        The aggregator; its state is a ``DBMTLState``. Absent tasks keep theirs.

    Raises:
        ValueError: a number out of range; at the update, without losses.

    Example:
        >>> import jax.numpy as jnp
        >>> grads = jnp.array([[3.0, 4.0], [0.0, 1.0]])
        >>> aggregator = db_mtl(beta=0.0)
        >>> combined, _, _ = aggregator.update(grads, aggregator.init(grads), losses=jnp.ones(2))
        >>> combined.round(4).tolist()
        [3.0, 9.0]

    References:
        Lin, Jiang, Ye, Zhang, Chen, Liu, Liu, Kwok (2023), Dual-balancing for multi-task learning,
        algorithm 1.
    """
    check_within("beta", beta, 0, 1)
    check_choice("log_losses", log_losses, (False, True))
    check_positive("beta_sigma", beta_sigma, zero=True)

    def init(task_grads: PyTree) -> DBMTLState:
        dtype = accumulator_dtype(task_grads)
        return DBMTLState(
            smoothed=jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, dtype), task_grads),
            steps=jnp.zeros(num_tasks(task_grads), jnp.int32),
        )

    def update(task_grads: PyTree, state: DBMTLState, **given: Any) -> Any:
        task_grads, context = checked(task_grads, **given)
        dtype, present = accumulator_dtype(task_grads), context.present
        factor = jnp.ones(present.shape, dtype)
        if log_losses:
            factor = 1 / (nonnegative(require_losses("db_mtl", context, dtype)) + 1e-8)
        steps = state.steps + present.astype(jnp.int32)
        number = jnp.maximum(steps, 1).astype(dtype)
        past = jnp.where(present, in_type(beta, dtype) / number ** in_type(beta_sigma, dtype), 1)

        def smooth(y: Array, leaf: Array) -> Array:
            h = along_tasks(factor, leaf) * leaf.astype(dtype)
            return h + along_tasks(past, leaf) * (y - h)

        smoothed = jax.tree.map(smooth, state.smoothed, task_grads)
        rows = jax.tree.map(lambda y: jnp.where(along_tasks(present, y), y, 0), smoothed)
        norms = jnp.sqrt(jnp.diagonal(gram_matrix(rows)))
        weights: Float[Array, " tasks"] = jnp.where(
            norms > 0, jnp.max(norms) / jnp.where(norms > 0, norms, 1), 0 * norms
        )
        combined = weighted_sum(weights, rows)
        combined = jax.tree.map(lambda c, leaf: c.astype(leaf.dtype), combined, task_grads)
        info = describe(gram_matrix(task_grads), context, weights)
        finite = jnp.isfinite(norms).all() & jnp.isfinite(factor).all()
        return combined, kept_unless(finite, DBMTLState(smoothed, steps), state), info

    return Aggregator(init, update, weighted=False)

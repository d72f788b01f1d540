"""The mean without the extremes, coordinate by coordinate."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxmtl._validate import check_count
from jaxmtl.aggregation.contract import Aggregator, checked, describe
from jaxmtl.aggregation.rows import along_tasks, gram_matrix
from jaxmtl.gradients.stacked import accumulator_dtype, num_tasks


def trimmed_mean(trim: int = 1) -> Aggregator:
    """Mean at each coordinate after the ``trim`` largest and smallest entries are left out.

    Needs the gradients, no Gram matrix. Permutation invariant, of degree 1; no weighted sum.

    Args:
        trim: number left out on either side, >= 0, static.

    Returns:
        The aggregator; no state. Where tasks are missing and not more than 2 trim are left,
        ``converged`` is False and the result is 0.

    Raises:
        ValueError: trim below 0; at ``init`` and the update, not more than 2 trim tasks.

    Example:
        >>> import jax.numpy as jnp
        >>> grads = jnp.array([[1.0], [2.0], [30.0]])
        >>> aggregator = trimmed_mean()
        >>> aggregator.update(grads, aggregator.init(grads))[0].tolist()
        [2.0]

    References:
        Yin, Chen, Ramchandran, Bartlett (2018), Byzantine-robust distributed learning, definition
        2.
    """
    check_count("trim", trim, zero=True)

    def check(task_grads: PyTree) -> None:
        if num_tasks(task_grads) <= 2 * trim:
            raise ValueError(
                f"trimmed_mean: expected more than {2 * trim} tasks with trim={trim}, "
                f"got {num_tasks(task_grads)}"
            )

    def init(task_grads: PyTree) -> tuple[()]:
        check(task_grads)
        return ()

    def update(task_grads: PyTree, state: Any, **given: Any) -> Any:
        check(task_grads)
        task_grads, context = checked(task_grads, **given)
        dtype = accumulator_dtype(task_grads)
        number = context.present.sum()
        ranks = jnp.arange(context.present.shape[0])
        kept = (ranks >= trim) & (ranks < number - trim)
        divisor = jnp.maximum(kept.sum(dtype=dtype), 1)

        def of_leaf(leaf: Array) -> Array:
            given_ones = jnp.where(along_tasks(context.present, leaf), leaf.astype(dtype), jnp.inf)
            ordered = jnp.sort(given_ones, axis=0)
            chosen = jnp.where(along_tasks(kept, leaf), ordered, 0).sum(axis=0) / divisor
            # NaN sorts last and would be trimmed.
            return jnp.where(jnp.isnan(leaf).any(axis=0), jnp.nan, chosen).astype(leaf.dtype)

        info = describe(gram_matrix(task_grads), context, converged=number > 2 * trim)
        return jax.tree.map(of_leaf, task_grads), state, info

    return Aggregator(init, update, weighted=False)

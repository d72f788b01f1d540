"""Preferences for any method: task losses, and with them their gradients, times a factor."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmtl.aggregation.contract import Aggregator, Context, Weighed
from jaxmtl.aggregation.known import AnyMethod, as_aggregator
from jaxmtl.aggregation.rows import along_tasks
from jaxmtl.gradients.stacked import num_tasks


def preferred(
    aggregator: AnyMethod, preferences: Float[Array, " tasks"] | Sequence[float]
) -> Aggregator:
    """Multiplies each task's gradient by its preference, then aggregates: A(diag(p) J).

    It is what scaling the losses does, and works with every method; methods that undo scales, such
    as Nash-MTL, undo it. Methods whose paper has preferences of its own (``upgrad``, ``dualproj``,
    ``aligned_mtl``, ``config``, ``nash_mtl``, ``fairgrad``, ``cagrad``, ``pcgrad``, ``gradvac``,
    ``sdmgrad``) take them as an argument, which is not the same. Losses are handed on as they are.

    Args:
        aggregator: any.
        preferences: p, one a task, > 0; a traced array may be mapped over.

    Returns:
        The aggregator; ``info.weights`` are those of the gradients as given, cosines and conflict
        rate do not depend on p.

    Raises:
        ValueError: at the update, if there is not one preference a task.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxmtl.aggregation as ag
        >>> aggregator = preferred(ag.mean(), [2.0, 1.0])
        >>> aggregator.update(jnp.array([[1.0], [4.0]]), ())[0].tolist()
        [3.0]
    """

    aggregator = as_aggregator(aggregator)

    def factors(tasks: int, dtype: Any) -> Array:
        p = jnp.asarray(preferences, dtype)
        if p.shape != (tasks,):
            raise ValueError(f"preferred: expected preferences of shape ({tasks},), got {p.shape}")
        return p

    def scaled(task_grads: PyTree) -> PyTree:
        tasks = num_tasks(task_grads)
        return jax.tree.map(
            lambda leaf: leaf * along_tasks(factors(tasks, leaf.dtype), leaf), task_grads
        )

    def update(task_grads: PyTree, state: Any, *, extra_task_grads: Any = (), **given: Any) -> Any:
        combined, state, info = aggregator.update(
            scaled(task_grads),
            state,
            extra_task_grads=[scaled(extra) for extra in extra_task_grads],
            **given,
        )
        if info.weights is not None:
            p = factors(num_tasks(task_grads), info.weights.dtype)
            info = info._replace(weights=info.weights * p)
        return combined, state, info

    def rule(gram: Any, state: Any, context: Context) -> Weighed:
        assert aggregator.rule is not None
        p = factors(gram.shape[0], gram.dtype)
        found = aggregator.rule(gram * p[:, None] * p[None], state, context)
        return found._replace(weights=found.weights * p)

    has_rule = aggregator.rule is not None
    return Aggregator(aggregator.init, update, rule if has_rule else None, aggregator.weighted)

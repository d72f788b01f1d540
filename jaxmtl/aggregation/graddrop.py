"""Gradient sign dropout."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxmtl.aggregation.contract import Aggregator, checked, describe, require_key
from jaxmtl.aggregation.rows import along_tasks, gram_matrix
from jaxmtl.aggregation.settings import Real
from jaxmtl.gradients.stacked import accumulator_dtype


def graddrop(leak: Real | Float[Array, " tasks"] | Sequence[float] = 0.0) -> Aggregator:
    """At each coordinate, the sum of the gradients of one sign, chosen at random.

    At every coordinate P = (1 + sum_t g_t / sum_t |g_t|) / 2; with probability P the positive
    entries are kept, else the negative ones. Without leak the expectation is the sum of the
    gradients exactly. A task with leak l adds l times its entry always and (1 - l) times what is
    kept. Works leaf by leaf and needs ``key``. The paper drops at a representation, on gradients
    times the sign of the activations, summed over the batch, as does LibMTL; this is the rule
    itself, for whatever gradients are given, as in TorchJD.

    Needs the gradients, no Gram matrix. Permutation invariant in distribution; no weighted sum.

    Args:
        leak: l, one number or one a task, in [0, 1]; may be traced.

    Returns:
        The aggregator; no state.

    Raises:
        ValueError: at the update, without a key, or if there is not one leak a task.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> grads = jnp.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]])
        >>> aggregator = graddrop()
        >>> combined, _, _ = aggregator.update(grads, aggregator.init(grads), key=jax.random.key(1))
        >>> combined[0].item() in (-4.0, 6.0), combined[1:].tolist()
        (True, [2.0, 2.0])

    References:
        Chen, Ngiam, Huang, Luong, Kretzschmar, Chai, Anguelov (2020), Just pick a sign, algorithm
        1.
    """

    def update(task_grads: PyTree, state: Any, **given: Any) -> Any:
        task_grads, context = checked(task_grads, **given)
        leaves, structure = jax.tree.flatten(task_grads)
        dtype = accumulator_dtype(task_grads)
        leaks = jnp.asarray(leak, dtype)
        if leaks.ndim and leaks.shape != context.present.shape:
            raise ValueError(
                f"graddrop: expected a leak of shape {context.present.shape}, got {leaks.shape}"
            )
        leaks = jnp.broadcast_to(leaks, context.present.shape)
        key = require_key("graddrop", context)
        # One draw for all coordinates: a draw for each parameter is a program for each to compile.
        sizes = [math.prod(leaf.shape[1:]) for leaf in leaves]
        draws = jnp.split(jax.random.uniform(key, (sum(sizes),), dtype), np.cumsum(sizes)[:-1])
        dropped = [
            drop_signs(leaf.astype(dtype), draw.reshape(leaf.shape[1:]), leaks).astype(leaf.dtype)
            for leaf, draw in zip(leaves, draws, strict=True)
        ]
        return (
            jax.tree.unflatten(structure, dropped),
            state,
            describe(gram_matrix(task_grads), context),
        )

    return Aggregator(lambda task_grads: (), update, weighted=False)


def drop_signs(
    leaf: Float[Array, "tasks ..."],
    uniform: Float[Array, "..."],
    leak: Float[Array, " tasks"],
) -> Float[Array, "..."]:
    """The rule at every coordinate: positive entries stay where P > uniform, else negative ones.

    Args:
        leaf: task gradients of one parameter, traced.
        uniform: a number in [0, 1) a coordinate, traced.
        leak: one a task, traced.

    Returns:
        The combined gradient of the parameter.

    Example:
        >>> import jax.numpy as jnp
        >>> drop_signs(jnp.array([[-4.0], [6.0]]), jnp.array([0.59]), jnp.zeros(2)).tolist()
        [6.0]
        >>> drop_signs(jnp.array([[-4.0], [6.0]]), jnp.array([0.61]), jnp.zeros(2)).tolist()
        [-4.0]
    """
    magnitude = jnp.abs(leaf).sum(axis=0)
    share = leaf.sum(axis=0) / jnp.where(magnitude > 0, magnitude, 1)
    positive = (1 + share) / 2 > uniform
    kept = jnp.where(positive[None], leaf > 0, leaf < 0).astype(leaf.dtype)
    leaked = along_tasks(leak, leaf)
    combined = ((leaked + (1 - leaked) * kept) * leaf).sum(axis=0)
    # NaN is of neither sign; XLA turns the product with a mask into a choice and would drop it.
    return jnp.where(jnp.isnan(magnitude), jnp.nan, combined)

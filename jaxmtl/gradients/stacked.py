"""Stacked task gradients: a pytree whose leaves have the task axis first."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree


def num_tasks(task_grads: PyTree) -> int:
    """Length of the task axis.

    Args:
        task_grads: task gradients, or anything whose leaves have their shapes.

    Returns:
        The number of tasks.

    Raises:
        ValueError: no leaf, a leaf without an axis, leaves that differ in their first axis, or a
            leaf that is not of a real floating type.

    Example:
        >>> import jax.numpy as jnp
        >>> num_tasks({"kernel": jnp.ones((3, 4, 2)), "bias": jnp.ones((3, 2))})
        3
    """
    leaves = jax.tree_util.tree_leaves_with_path(task_grads)
    if not leaves:
        raise ValueError("task_grads: expected at least one leaf, got none")
    for path, leaf in leaves:
        name = jax.tree_util.keystr(path)
        if not leaf.shape:
            raise ValueError(f"task_grads{name}: expected the task axis first, got a scalar")
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise ValueError(f"task_grads{name}: expected a floating type, got {leaf.dtype}")
        if leaf.shape[0] != leaves[0][1].shape[0]:
            raise ValueError(
                f"task_grads{name}: expected {leaves[0][1].shape[0]} tasks on the first axis, as "
                f"in task_grads{jax.tree_util.keystr(leaves[0][0])}, got shape {leaf.shape}"
            )
    return leaves[0][1].shape[0]


def accumulator_dtype(task_grads: PyTree) -> Any:
    """Type in which dot products are summed: float32, or float64 where a leaf is.

    Example:
        >>> import jax.numpy as jnp
        >>> accumulator_dtype(jnp.ones((2, 3), jnp.bfloat16))
        dtype('float32')
    """
    kinds = (jax.dtypes.canonicalize_dtype(leaf.dtype) for leaf in jax.tree.leaves(task_grads))
    return jnp.result_type(jnp.float32, *kinds)  # as JAX holds them: NumPy's float64 may be float32


def row_products(rows: Array, others: Array, dtype: Any) -> Float[Array, "tasks others"]:
    """Inner products of all pairs of rows, the first axes, summed in the given type.

    Example:
        >>> import jax.numpy as jnp
        >>> rows = jnp.array([[1.0, 0.0], [2.0, 1.0]])
        >>> row_products(rows, rows, jnp.float32).tolist()
        [[1.0, 2.0], [2.0, 5.0]]
    """
    return jax.lax.dot_general(
        rows.reshape(rows.shape[0], -1).astype(dtype),
        others.reshape(others.shape[0], -1).astype(dtype),
        (((1,), (1,)), ((), ())),
        precision=jax.lax.Precision.HIGHEST,
    )


def weighted_rows(weights: Float[Array, " tasks"], rows: Array, dtype: Any) -> Array:
    """Sum over the first axis of weight times row, summed in the given type, in that of the rows.

    Example:
        >>> import jax.numpy as jnp
        >>> rows = jnp.array([[1.0, 2.0], [4.0, 0.0]])
        >>> weighted_rows(jnp.array([1.0, 0.5]), rows, jnp.float32).tolist()
        [3.0, 2.0]
    """
    summed = jax.lax.dot_general(
        weights.astype(dtype),
        rows.reshape(rows.shape[0], -1).astype(dtype),
        (((0,), (0,)), ((), ())),
        precision=jax.lax.Precision.HIGHEST,
    )
    return summed.reshape(rows.shape[1:]).astype(rows.dtype)

"""Stacked task gradients: a pytree whose leaves have the task axis first, read as the rows of J.

J has one row a task and one column a parameter; it is never formed. What a method needs is either
the Gram matrix G = J J^T, (tasks, tasks), or one leaf after the other.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from jaxmtl.gradients.stacked import accumulator_dtype, num_tasks, row_products, weighted_rows


@jax.jit
def gram_matrix(task_grads: PyTree, others: PyTree | None = None) -> Float[Array, "tasks tasks"]:
    """Inner products of all pairs of task gradients, G = J J^T, in float32 at least.

    Args:
        task_grads: leaves (tasks, *param), traced.
        others: task gradients of another batch; then J J'^T, which is not symmetric. Traced.

    Returns:
        The matrix, float32, or float64 where a leaf is.

    Example:
        >>> import jax.numpy as jnp
        >>> grads = {"w": jnp.array([[1.0, 2.0], [3.0, 0.0]]), "b": jnp.array([1.0, -1.0])}
        >>> gram_matrix(grads).tolist()
        [[6.0, 2.0], [2.0, 10.0]]
    """
    tasks, dtype = num_tasks(task_grads), accumulator_dtype(task_grads)

    def of_leaf(a: Array, b: Array) -> Array:
        if tasks == 2:  # for so few rows, matrix times vector is the faster product on CPU
            return jnp.concatenate([row_products(row, b, dtype) for row in (a[:1], a[1:])])
        return row_products(a, b, dtype)

    products = jax.tree.map(of_leaf, task_grads, task_grads if others is None else others)
    return jax.tree.reduce(jnp.add, products)


@jax.jit
def scaled_gram(
    task_grads: PyTree, present: Bool[Array, " tasks"]
) -> tuple[Float[Array, "tasks tasks"], Float[Array, " tasks"]]:
    """The Gram matrix of rows that are divided by powers of two where squares are out of range.

    In float32 the squares of numbers below 1e-19 underflow, and rows of such numbers would count as
    zero. Where every norm is well within range nothing is divided, and the rows are read once.

    Args:
        task_grads: leaves (tasks, *param), traced.
        present: rows that matter; the others are zero. Traced.

    Returns:
        The matrix, and what each row was divided by.

    Example:
        >>> import jax.numpy as jnp
        >>> rows = jnp.array([[2.0, 0.0], [2.0**-100, 2.0**-100]])
        >>> gram, scales = scaled_gram(rows, jnp.ones(2, bool))
        >>> float(scales[0]), float(scales[1]) == 2.0**-112
        (1.0, True)
        >>> jnp.diagonal(gram).tolist() == [2.0**2, 2 * 2.0 ** (2 * (112 - 100))]
        True
    """
    return _scaled_gram(task_grads, present)


@jax.custom_jvp
def _scaled_gram(task_grads: PyTree, present: Bool[Array, " tasks"]) -> tuple[Array, Array]:
    plain = gram_matrix(task_grads)
    info = jnp.finfo(plain.dtype)
    least = float(info.tiny) / float(info.eps) ** 2
    squares = jnp.diagonal(plain)
    outside = present & ~((squares > least) & jnp.isfinite(squares))

    # Where the norm of a row may lie tells by what it is brought within range: one whose square has
    # gone out of range above, has underflowed, or is among the small numbers that have few digits.
    lowest = int(info.minexp) - int(info.nmant)
    above, gone, small = (
        2.0 ** (int(info.maxexp) * 5 // 8),
        2.0 ** (lowest * 3 // 4),
        2.0 ** (lowest * 25 // 64),
    )

    def rescale(_: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        found = jnp.select([squares == 0, squares <= least], [gone, small], above)
        scales = jnp.where(outside, found, 1).astype(plain.dtype)
        return _gram_of_divided(task_grads, scales), scales, jnp.asarray(False)

    # Instead of a condition: under vmap that would rescale all rows where it should none.
    start = (plain, jnp.ones_like(squares), outside.any())
    gram, scales, _ = jax.lax.while_loop(lambda carry: carry[2], rescale, start)
    return gram, scales


def _gram_of_divided(task_grads: PyTree, scales: Float[Array, " tasks"]) -> Array:
    divided = jax.tree.map(
        lambda leaf: leaf.astype(scales.dtype) * along_tasks(1 / scales, leaf), task_grads
    )
    return gram_matrix(divided)


@_scaled_gram.defjvp
def _scaled_gram_derivative(primals: Any, tangents: Any) -> Any:
    (task_grads, present), (change, _) = primals, tangents
    gram, scales = _scaled_gram(task_grads, present)
    _, gram_dot = jax.jvp(lambda rows: _gram_of_divided(rows, scales), (task_grads,), (change,))
    return (gram, scales), (gram_dot, jnp.zeros_like(scales))


@jax.jit
def weighted_sum(weights: Float[Array, " tasks"], task_grads: PyTree) -> PyTree:
    """Sum over tasks of w_t g_t: the combined gradient J^T w.

    Args:
        weights: one a task, traced.
        task_grads: leaves (tasks, *param), traced.

    Returns:
        A pytree of leaves (*param) in the types of the leaves given.

    Example:
        >>> import jax.numpy as jnp
        >>> weighted_sum(jnp.array([1.0, 0.5]), jnp.array([[1.0, 2.0], [4.0, 0.0]])).tolist()
        [3.0, 2.0]
    """
    dtype = jnp.promote_types(weights.dtype, accumulator_dtype(task_grads))

    return jax.tree.map(lambda leaf: weighted_rows(weights, leaf, dtype), task_grads)


def along_tasks(values: Float[Array, " tasks"], leaf: Array) -> Array:
    """Shapes one value a task so that it multiplies a leaf (tasks, *param)."""
    return values.reshape(values.shape[0], *(1,) * (leaf.ndim - 1))


def keep_present(task_grads: PyTree, present: Bool[Array, " tasks"] | None) -> PyTree:
    """Sets the rows of absent tasks to 0, whatever they hold: a loss over no row is often NaN."""
    if present is None:
        return task_grads
    return jax.tree.map(
        lambda leaf: jnp.where(along_tasks(present, leaf), leaf, jnp.zeros((), leaf.dtype)),
        task_grads,
    )


def num_parameters(task_grads: PyTree) -> int:
    """Number of columns of J."""
    return sum(math.prod(leaf.shape[1:]) for leaf in jax.tree.leaves(task_grads))

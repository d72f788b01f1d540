"""Which task reads which column of the bank, and the gather that makes reading exact."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxmtl._validate import is_concrete
from jaxmtl.duplication.aligned import (
    AlignedIndex,
    aligned_readers,
    select_aligned,
    slots_to_aligned,
)

HeadIndex = Int[Array, "tasks nodes"]
AnyIndex = HeadIndex | AlignedIndex


def initial_head_index(tasks: int, nodes: int) -> HeadIndex:
    """Head index of a network in which all tasks read all nodes.

    Args:
        tasks: number of tasks, static.
        nodes: number of nodes at the start, static.

    Returns:
        int32 (tasks, nodes), every row 0 .. nodes-1.

    Example:
        >>> initial_head_index(2, 3).tolist()
        [[0, 1, 2], [0, 1, 2]]
    """
    return jnp.tile(jnp.arange(nodes, dtype=jnp.int32), (tasks, 1))


def readers(head_index: AnyIndex, capacity: int) -> Bool[Array, "tasks capacity"]:
    """The head mask: which task reads which column of the bank.

    Args:
        head_index: traced.
        capacity: number of columns of the bank, static.

    Returns:
        bool (tasks, capacity).

    Example:
        >>> import jax.numpy as jnp
        >>> readers(jnp.array([[2, 1], [0, 1]]), 4).astype(int).tolist()
        [[0, 1, 1, 0], [1, 1, 0, 0]]
    """
    if isinstance(head_index, AlignedIndex):
        return aligned_readers(head_index)
    return (head_index[:, :, None] == jnp.arange(capacity)[None, None]).any(axis=1)


def column_slots(head_index: HeadIndex, capacity: int) -> Int[Array, "tasks capacity"]:
    """The slot at which each task reads each column; 0 where it does not (see ``readers``).

    Args:
        head_index: traced; no task reads one column at two slots.
        capacity: number of columns of the bank, static.

    Returns:
        int32 (tasks, capacity).

    Example:
        >>> import jax.numpy as jnp
        >>> column_slots(jnp.array([[2, 1], [0, 1]]), 3).tolist()
        [[0, 1, 0], [0, 1, 0]]
    """
    reads = head_index[:, :, None] == jnp.arange(capacity)[None, None]
    return jnp.argmax(reads, axis=1).astype(jnp.int32)


def slots_to_columns(
    values: Float[Array, "batch tasks nodes"], head_index: AnyIndex, capacity: int
) -> Float[Array, "batch tasks capacity"]:
    """Moves values of head slots (such as deltas) to the columns read there; 0 where not read.

    Args:
        values: one value a sample, task and slot, traced.
        head_index: traced; no task reads one column at two slots.
        capacity: number of columns of the bank, static.

    Returns:
        One value a sample, task and column.

    Example:
        >>> import jax.numpy as jnp
        >>> slots_to_columns(jnp.array([[[5.0, 6.0]]]), jnp.array([[2, 0]]), 3).tolist()
        [[[6.0, 0.0, 5.0]]]
    """
    if isinstance(head_index, AlignedIndex):
        return slots_to_aligned(values, head_index)
    slots = column_slots(head_index, capacity)
    moved = jnp.take_along_axis(values, slots[None], axis=-1, mode="clip")
    return jnp.where(readers(head_index, capacity), moved, 0)


def free_column(head_index: HeadIndex, capacity: int) -> Int[Array, ""]:
    """The first column that no head reads, or -1 if there is none.

    Args:
        head_index: traced.
        capacity: number of columns of the bank, static.

    Returns:
        int32 scalar.

    Example:
        >>> int(free_column(initial_head_index(2, 3), 6))
        3
    """
    used = readers(head_index, capacity).any(axis=0)
    return jnp.where(used.all(), -1, jnp.argmin(used)).astype(jnp.int32)


def select_columns(
    leaf: Float[Array, "*inputs capacity"], head_index: AnyIndex
) -> Float[Array, "*inputs tasks nodes"]:
    """Gathers, for every task, the columns of a bank leaf that its head reads.

    The gradient of a column is the sum over its readers. It is written as a gather too (each task
    reads a column at one slot at most), so that it has no scatter: on a GPU it is deterministic,
    and in a compiled loop over single samples it fuses.

    Args:
        leaf: kernel or bias of the bank, node axis last, traced.
        head_index: traced; no task reads one column at two slots (``check_head_index``).

    Returns:
        The leaf with its last axis replaced by (tasks, nodes).

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> bias, index = jnp.array([1.0, 2.0, 3.0]), jnp.array([[2, 1], [0, 1]])
        >>> select_columns(bias, index).tolist()
        [[3.0, 2.0], [1.0, 2.0]]
        >>> jax.grad(lambda b: select_columns(b, index).sum())(bias).tolist()
        [1.0, 2.0, 1.0]
    """
    if isinstance(head_index, AlignedIndex):
        return select_aligned(leaf, head_index)
    return _gather(leaf, head_index)


@jax.custom_vjp
def _gather(leaf: Array, head_index: HeadIndex) -> Array:
    return jnp.take(leaf, head_index, axis=-1, mode="clip")


def _gather_forward(leaf: Array, head_index: HeadIndex) -> tuple[Array, tuple[Array, Array]]:
    return _gather(leaf, head_index), (head_index, jnp.zeros(leaf.shape[-1], jnp.bool))


def _gather_backward(residuals: tuple[Array, Array], cotangent: Array) -> tuple[Array, None]:
    head_index, columns = residuals
    capacity = columns.shape[0]
    outer = range(cotangent.ndim - 2)
    slots = jnp.expand_dims(column_slots(head_index, capacity), outer)
    reads = jnp.expand_dims(readers(head_index, capacity), outer)
    moved = jnp.take_along_axis(cotangent, slots, axis=-1, mode="clip")
    return jnp.where(reads, moved, 0).sum(axis=-2), None


_gather.defvjp(_gather_forward, _gather_backward)


def check_head_index(head_index: AnyIndex, capacity: int) -> None:
    """Raises ValueError unless the index fits the bank; looks only at concrete arrays.

    Args:
        head_index: index to check.
        capacity: number of columns of the bank.

    Raises:
        ValueError: not two axes of integers, a column outside the bank, or one task that reads a
            column twice.

    Example:
        >>> import jax.numpy as jnp
        >>> check_head_index(jnp.array([[0, 1], [0, 4]]), 4)
        Traceback (most recent call last):
            ...
        ValueError: head_index: expected columns 0 .. 3 of the bank, got 4 at task 1, slot 1
    """
    if isinstance(head_index, AlignedIndex):
        return
    if head_index.ndim != 2 or not jnp.issubdtype(head_index.dtype, jnp.integer):
        raise ValueError(
            "head_index: expected integers of shape (tasks, nodes), "
            f"got {head_index.dtype} of shape {head_index.shape}"
        )
    if not is_concrete(head_index):
        return
    table = np.asarray(head_index)
    outside = np.argwhere((table < 0) | (table >= capacity))
    if len(outside):
        t, j = outside[0]
        raise ValueError(
            f"head_index: expected columns 0 .. {capacity - 1} of the bank, "
            f"got {table[t, j]} at task {t}, slot {j}"
        )
    for t, row in enumerate(table):
        if len(np.unique(row)) < len(row):
            raise ValueError(
                "head_index: expected different columns at the slots of a task, "
                f"got {row.tolist()} for task {t}"
            )

"""Node duplication: a pytree transformation that changes no prediction."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int, PyTree

from jaxmtl._validate import is_concrete
from jaxmtl.duplication.columns import BankPath, bank_capacity, copy_column, map_bank
from jaxmtl.duplication.head_index import HeadIndex, free_column


def duplicate_node(
    params: PyTree,
    head_index: HeadIndex,
    node: Int[ArrayLike, ""],
    tasks: Bool[ArrayLike, " tasks"] | Sequence[int],
    *,
    bank: BankPath = "bank",
) -> tuple[PyTree, HeadIndex]:
    """Gives some tasks a copy of a node of their own, without changing any prediction.

    Column ``node`` of every bank leaf is copied into the first free column, and that column's
    number is written into the head index of ``tasks`` wherever they read ``node``.

    Args:
        params: any pytree with a bank, traced.
        head_index: traced.
        node: column to duplicate, traced.
        tasks: the tasks that get the copy, a list of task numbers or a bool mask (tasks,), traced.
            Tasks that do not read the node are ignored. Some reader must stay with the original.
        bank: see ``bank_capacity``, static.

    Returns:
        New parameters and head index, of the same shapes. Where there is nothing to part (no reader
        or every reader of the node moves, or no column is free) both come back unchanged.

    Raises:
        ValueError: with concrete arguments, when there is nothing to part, or a task or node that
            does not exist. Traced values never raise.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmtl.duplication import initial_head_index
        >>> params = {"bank": {"kernel": jnp.array([[1.0, 2.0, 0.0, 0.0]])}}
        >>> params, index = duplicate_node(params, initial_head_index(2, 2), 1, [0])
        >>> params["bank"]["kernel"].tolist(), index.tolist()
        ([[1.0, 2.0, 2.0, 0.0]], [[0, 2], [0, 1]])

    References:
        Wang et al. (2023), Mathematics 11(22), 4639. The study's second and third duplications wire
        the first head to the wrong columns, so that predictions jump; here they never do.
    """
    capacity = bank_capacity(params, bank=bank)
    new_index, target = part_readers(head_index, capacity, node, tasks)
    return copy_column(params, node, target, bank=bank), new_index


def part_readers(
    head_index: HeadIndex,
    capacity: int,
    node: Int[ArrayLike, ""],
    tasks: Bool[ArrayLike, " tasks"] | Sequence[int],
    *,
    whose: str = "duplicate_node",
) -> tuple[HeadIndex, Int[Array, ""]]:
    """The head index after a duplication, and the column that the copy goes into.

    Args:
        head_index: traced.
        capacity: columns of the bank, static.
        node: column to duplicate, traced.
        tasks: see ``duplicate_node``, traced.
        whose: what errors begin with, static.

    Returns:
        The new index, and the first free column; the same index and ``node`` itself where there is
        nothing to part.

    Raises:
        ValueError: see ``duplicate_node``.

    Example:
        >>> index, copy = part_readers(jnp.array([[0, 1], [0, 1]]), 4, 1, [0])
        >>> index.tolist(), int(copy)
        ([[0, 2], [0, 1]], 2)
    """
    moving = _task_mask(tasks, head_index.shape[0])
    if is_concrete(head_index, node, moving):
        _check_duplication(
            np.asarray(head_index), capacity, int(np.asarray(node)), np.asarray(moving), whose
        )
    reads = (head_index == node).any(axis=1)
    copy = free_column(head_index, capacity)
    parts = (reads & moving).any() & (reads & ~moving).any() & (copy >= 0)
    target = jnp.where(parts, copy, node)
    new_index = jnp.where((head_index == node) & moving[:, None], target, head_index)
    return new_index.astype(head_index.dtype), target


def moving_readers(
    gradients: Float[ArrayLike, " tasks"],
    reads: Bool[ArrayLike, " tasks"],
    known: Bool[ArrayLike, " tasks"] | None = None,
) -> Bool[Array, " tasks"]:
    """Which readers of a column get its copy: they part by the sign of one number a task.

    The group of the lowest-numbered reader moves; 0 counts as positive. A reader whose label is
    unknown, or whose number is NaN, is on neither side: it stays with the original. Should all that
    are left be of one sign, or fewer than two be left, the lowest-numbered reader goes alone.

    Args:
        gradients: of every task, at the weight that fired; or products of every task's gradient of
            the unit with that of one reader. Traced.
        reads: which tasks read the column, traced.
        known: which labels are known where the numbers come from; None for all. Traced.

    Returns:
        bool (tasks,), for ``tasks`` of ``duplicate_node``.

    Example:
        >>> moving_readers(jnp.array([2.0, -1.0, 3.0]), jnp.array([True, True, True])).tolist()
        [True, False, True]
        >>> unknown = jnp.array([False, True, True])
        >>> moving_readers(jnp.array([2.0, -1.0, 3.0]), jnp.full(3, True), unknown).tolist()
        [False, True, False]
    """
    gradients, reads = jnp.asarray(gradients), jnp.asarray(reads)
    counted = reads & ~jnp.isnan(gradients)
    counted = counted if known is None else counted & known
    told = counted.sum() > 1
    reads = jnp.where(told, counted, reads)
    positive, lowest = gradients >= 0, jnp.argmax(reads)
    group = reads & (positive == positive[lowest])
    alone = jnp.arange(reads.shape[0]) == lowest
    return jnp.where((group == reads).all() | ~told, alone, group)


def split_all(
    params: PyTree, head_index: HeadIndex, *, bank: BankPath = "bank"
) -> tuple[PyTree, HeadIndex]:
    """Gives every task its own copy of every node, without changing any prediction.

    Args:
        params: any pytree with a bank of tasks * nodes columns or more, traced.
        head_index: traced.
        bank: see ``bank_capacity``, static.

    Returns:
        New parameters and head index, of the same shapes: task t reads ``t * nodes + slot``.

    Raises:
        ValueError: a bank with fewer columns.

    Example:
        >>> import jax.numpy as jnp
        >>> params = {"bank": jnp.array([1.0, 2.0, 0.0, 0.0])}
        >>> params, index = split_all(params, jnp.array([[0, 1], [0, 1]]))
        >>> params["bank"].tolist(), index.tolist()
        ([1.0, 2.0, 1.0, 2.0], [[0, 1], [2, 3]])
    """
    capacity = bank_capacity(params, bank=bank)
    if capacity < head_index.size:
        raise ValueError(
            f"split_all: expected a bank of at least tasks * nodes = {head_index.size} columns, "
            f"got {capacity}"
        )
    own = jnp.arange(head_index.size, dtype=head_index.dtype)

    def apart(leaf: Array) -> Array:
        return leaf.at[..., own].set(leaf[..., head_index.reshape(-1)])

    return map_bank(apart, params, bank=bank), own.reshape(head_index.shape)


def _task_mask(tasks: Any, num_tasks: int) -> Any:
    array = jnp.asarray(tasks)
    if array.dtype == jnp.bool:
        if array.shape != (num_tasks,):
            raise ValueError(f"tasks: expected a mask of shape ({num_tasks},), got {array.shape}")
        return array
    if is_concrete(array):
        wrong = [int(t) for t in np.ravel(np.asarray(array)) if not 0 <= t < num_tasks]
        if wrong:
            raise ValueError(f"tasks: expected numbers 0 .. {num_tasks - 1}, got {wrong[0]}")
    return (jnp.arange(num_tasks)[:, None] == array.reshape(1, -1)).any(axis=1)


def _check_duplication(
    head_index: np.ndarray, capacity: int, node: int, moving: np.ndarray, whose: str
) -> None:
    reads = (head_index == node).any(axis=1)
    staying, going = np.flatnonzero(reads & ~moving), np.flatnonzero(reads & moving)
    if not len(staying) or not len(going):
        raise ValueError(
            f"{whose}: expected some readers of node {node} in tasks and some not, got "
            f"readers {np.flatnonzero(reads).tolist()} and tasks {np.flatnonzero(moving).tolist()}"
        )
    if len(np.unique(head_index)) >= capacity:
        raise ValueError(
            f"{whose}: expected a free column, got a bank whose {capacity} columns are all "
            "read; give the model a larger capacity"
        )

"""Another numbering of the bank's columns, in which no head has to search for its own.

A node that is duplicated stays at its slot: all readers of a column read it at one slot. So the
column that task t reads at slot j may be renumbered to ``owner * nodes + j``, where the owner is
its lowest-numbered reader; spare columns take the numbers that are left. Under that numbering the
gather of columns is a choice among as many values as there are tasks, which a compiled loop over
single samples, or over many seeds at once, does several times faster. A training epoch renumbers
at its start and back at its end; nobody else sees it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int


class AlignedIndex(NamedTuple):
    """A head index of which only the owners are not known beforehand.

    Attributes:
        owner: lowest-numbered reader of the column that each task reads at each slot; the number of
            that column is ``owner * nodes + slot``.

    Example:
        >>> AlignedIndex(jnp.array([[0, 0], [0, 1]])).shape  # slot 1 was duplicated
        (2, 2)
    """

    owner: Int[Array, "tasks nodes"]

    @property
    def shape(self) -> tuple[int, ...]:
        """Tasks and nodes."""
        return self.owner.shape


def can_align(head_index: Int[Array, "tasks nodes"], capacity: int) -> bool:
    """Whether the columns may be renumbered.

    Args:
        head_index: concrete.
        capacity: columns of the bank.

    Returns:
        Whether the bank has a column a slot, and every column is read at one slot only.

    Example:
        >>> can_align(jnp.array([[2, 1], [0, 1]]), 4), can_align(jnp.array([[1, 0], [0, 1]]), 4)
        (True, False)
    """
    table = np.asarray(head_index)
    if capacity != table.size:
        return False
    slots = np.broadcast_to(np.arange(table.shape[1]), table.shape)
    return len(np.unique(table)) == len({*zip(table.flat, slots.flat, strict=True)})


def align(head_index: Int[Array, "tasks nodes"]) -> tuple[AlignedIndex, Int[Array, " capacity"]]:
    """Renumbers the columns of a bank of tasks * nodes columns.

    Args:
        head_index: one that ``can_align``, traced.

    Returns:
        The aligned index, and the old number of the column at each new one.

    Example:
        >>> index, order = align(jnp.array([[0, 3, 2], [0, 1, 2]]))
        >>> index.owner.tolist(), order.tolist()
        ([[0, 0, 0], [0, 1, 0]], [0, 3, 2, 4, 1, 5])
    """
    tasks, nodes = head_index.shape
    owner = jnp.argmax(head_index[:, None] == head_index[None], axis=1).astype(jnp.int32)
    owned = (owner == jnp.arange(tasks)[:, None]).reshape(-1)
    used = (head_index.reshape(-1, 1) == jnp.arange(tasks * nodes)[None]).any(axis=0)
    spare = jnp.argsort(used, stable=True)[jnp.cumsum(~owned) - 1]
    order = jnp.where(owned, head_index.reshape(-1), spare).astype(jnp.int32)
    return AlignedIndex(owner), order


def aligned_readers(index: AlignedIndex) -> Bool[Array, "tasks capacity"]:
    """The head mask under the new numbering.

    Args:
        index: traced.

    Returns:
        bool (tasks, tasks * nodes).

    Example:
        >>> aligned_readers(AlignedIndex(jnp.array([[0, 0], [0, 1]]))).astype(int).tolist()
        [[1, 1, 0, 0], [1, 0, 0, 1]]
    """
    tasks = index.shape[0]
    reads = index.owner[:, None, :] == jnp.arange(tasks)[None, :, None]
    return reads.reshape(tasks, -1)


@jax.custom_vjp
def select_aligned(
    leaf: Float[Array, "*inputs capacity"], index: AlignedIndex
) -> Float[Array, "*inputs tasks nodes"]:
    """What ``select_columns`` does, under the new numbering.

    Args:
        leaf: kernel or bias of the bank, node axis last, traced.
        index: traced.

    Returns:
        The leaf with its last axis replaced by (tasks, nodes).

    Example:
        >>> index = AlignedIndex(jnp.array([[0, 0], [0, 1]]))
        >>> select_aligned(jnp.array([1.0, 2.0, 0.0, 4.0]), index).tolist()
        [[1.0, 2.0], [1.0, 4.0]]
    """
    owned = leaf.reshape(*leaf.shape[:-1], *index.shape)
    chosen = owned[..., :1, :]
    for task in range(1, index.shape[0]):
        chosen = jnp.where(
            _like(index.owner == task, owned), owned[..., task : task + 1, :], chosen
        )
    return jnp.broadcast_to(chosen, owned.shape)


def _select_forward(leaf: Array, index: AlignedIndex) -> tuple[Array, AlignedIndex]:
    return select_aligned(leaf, index), index


def _select_backward(index: AlignedIndex, cotangent: Array) -> tuple[Array, None]:
    tasks = index.shape[0]
    total = jnp.zeros_like(cotangent)
    for reader in range(tasks):
        mine = index.owner[reader, None] == jnp.arange(tasks)[:, None]
        total += jnp.where(_like(mine, cotangent), cotangent[..., reader : reader + 1, :], 0)
    return total.reshape(*cotangent.shape[:-2], -1), None


select_aligned.defvjp(_select_forward, _select_backward)


def slots_to_aligned(
    values: Float[Array, "batch tasks nodes"], index: AlignedIndex
) -> Float[Array, "batch tasks capacity"]:
    """What ``slots_to_columns`` does, under the new numbering.

    Args:
        values: one value a sample, task and slot, traced.
        index: traced.

    Returns:
        One value a sample, task and column; 0 where not read.

    Example:
        >>> index = AlignedIndex(jnp.array([[0, 0], [0, 1]]))
        >>> slots_to_aligned(jnp.array([[[5.0, 6.0], [7.0, 8.0]]]), index).tolist()
        [[[5.0, 6.0, 0.0, 0.0], [7.0, 0.0, 0.0, 8.0]]]
    """
    tasks, nodes = index.shape
    reads = aligned_readers(index).reshape(tasks, tasks, nodes)
    spread = jnp.where(reads[None], values[:, :, None], 0)
    return spread.reshape(values.shape[0], tasks, tasks * nodes)


def inverse_order(order: Int[Array, " capacity"]) -> Int[Array, " capacity"]:
    """The order that undoes an order.

    Args:
        order: a permutation, traced.

    Returns:
        Its inverse.

    Example:
        >>> inverse_order(jnp.array([2, 0, 1])).tolist()
        [1, 2, 0]
    """
    return jnp.argsort(order).astype(jnp.int32)


def _like(mask: Array, values: Array) -> Array:
    lead: Sequence[int] = range(values.ndim - mask.ndim)
    return jnp.expand_dims(mask, lead)

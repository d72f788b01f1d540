"""Running statistics: what every view's update makes of the banks."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxmtl.sharing.columns import Entries, Reads, bank_of, check_bank, map_leaves
from jaxmtl.sharing.groups import Pointers


def pool_stats(stats: PyTree, pointers: Pointers, updated: Sequence[PyTree]) -> PyTree:
    """Statistics after a step in which every view has updated its own.

    A column gets the mean over its readers; a leaf of no group that over all tasks. Where nothing
    below was split all updates are equal, and the mean is that number to the bit.

    Args:
        stats: banks before the step, from ``enlarge``, for the columns that no task reads. Traced.
        pointers: traced.
        updated: of every task, the statistics of its view after the step, traced.

    Returns:
        Banks of the same structure. Leaves that are no floats, such as counts, are the first
        task's.

    Raises:
        ValueError: another number of views than of tasks, or other leaves in them.

    Example:
        >>> from jaxmtl.sharing import duplicate, enlarge, open_banks
        >>> params, stats = {"scale": jnp.ones(2)}, {"mean": jnp.array([5.0, 6.0])}
        >>> groups = {"norm": [("scale", 0), ("mean", 0)]}
        >>> banks, pointers = open_banks(params, groups, num_tasks=2, others=[stats], capacity=3)
        >>> stats, pointers = duplicate(enlarge(stats, pointers), pointers, "norm", 1, [1])
        >>> updated = [{"mean": jnp.array([7.0, 8.0])}, {"mean": jnp.array([9.0, 0.0])}]
        >>> pool_stats(stats, pointers, updated)["mean"].tolist()
        [8.0, 8.0, 0.0]
    """
    if len(updated) != pointers.num_tasks:
        raise ValueError(
            f"updated: expected the statistics of {pointers.num_tasks} views, got {len(updated)}"
        )
    # Banks have the structure of the views: leaves meet in order, whatever holds them.
    sizes = [len(jax.tree.leaves(tree)) for tree in (stats, *updated)]
    if len(set(sizes)) > 1:
        raise ValueError(
            f"updated: expected statistics of {sizes[0]} leaves, as the banks have, got {sizes[1:]}"
        )
    reads = [Reads(pointers, task) for task in range(pointers.num_tasks)]
    leaves = iter(zip(*map(jax.tree.leaves, updated), strict=True))

    def pooled(leaf: Any, entries: Entries) -> Array:
        check_bank(leaf, entries)
        views = zip(next(leaves), reads, strict=True)
        return _mean(leaf, [bank_of(view, entries, own) for view, own in views])

    def shared(leaf: Any) -> Array:
        return _mean(leaf, [(view, jnp.bool(True)) for view in next(leaves)])

    return map_leaves(pooled, stats, pointers, others=shared)


def _mean(before: Any, parts: list[tuple[Array, Array]]) -> Array:
    """The mean over those that have a value, as a difference from the first of them."""
    first = before
    for value, has in reversed(parts):
        first = jnp.where(has, value, first)
    if not jnp.issubdtype(jnp.result_type(before), jnp.inexact):
        return first
    rest = sum(jnp.where(has, value - first, 0) for value, has in parts)
    number = sum(has.astype(first.dtype) for _, has in parts)
    return first + rest / jnp.maximum(number, 1)

"""Banks of columns, and the network of every task as a view into them."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Int, PyTree

from jaxmtl import duplication
from jaxmtl._paths import named_leaves
from jaxmtl._validate import is_concrete
from jaxmtl.sharing.columns import Entries, check_bank, map_leaves, view_leaves
from jaxmtl.sharing.groups import Groups, Pointers, point


def open_banks(
    params: PyTree,
    groups: Groups,
    num_tasks: int,
    *,
    capacity: int | Mapping[str, int] | None = None,
    others: Sequence[PyTree] = (),
) -> tuple[PyTree, Pointers]:
    """Makes banks of a network's parameters, and pointers by which every task reads all of it.

    Every axis of units is enlarged from the number of units to the capacity; the free columns hold
    zeros and are never read. Leaves of no group stay as they are, one for all tasks.

    Args:
        params: any pytree of one network, traced.
        groups: by name, a list of parts: ``(path, axis)``, ``(path, None)`` for whole leaves as one
            unit, or a ``Part``. A leaf belongs to one group at most, by its *output* axis: the next
            layer reads slots, so that the axis of its inputs is in no group. ``find_units``
            proposes groups. Static.
        num_tasks: number of tasks, static.
        capacity: columns of a group, one number or one by the name of the group; None for
            ``num_tasks * units``, which no sequence of duplications exceeds. Static.
        others: further trees with leaves of the groups, such as running statistics, which
            ``enlarge`` then opens.

    Returns:
        The banks, a pytree of the same structure, and the pointers.

    Raises:
        ValueError: a path that matches no leaf, an axis that the leaf has not, leaves of one group
            with different numbers of units, a leaf in two groups, an array that stands at two
            places of which one is in the group, or a capacity below the number of units.

    Example:
        >>> params = {"conv": {"kernel": jnp.ones((3, 3, 1, 4)), "bias": jnp.zeros(4)}}
        >>> banks, pointers = open_banks(params, {"conv": [("conv", -1)]}, num_tasks=2, capacity=6)
        >>> banks["conv"]["kernel"].shape, pointers["conv"].shape
        ((3, 3, 1, 6), (2, 4))
    """
    leaves = named_leaves(params)
    for tree in others:
        for path, leaf in named_leaves(tree).items():
            if path in leaves:
                raise ValueError(
                    f"others: expected leaves of other names than the parameters, got {path!r} in "
                    "both"
                )
            leaves[path] = leaf
    pointers = point(groups, leaves, num_tasks, capacity)
    return enlarge(params, pointers), pointers


def enlarge(tree: PyTree, pointers: Pointers) -> PyTree:
    """Banks of a further tree of the network, such as its running statistics.

    Args:
        tree: with leaves of the shapes that the network has, traced; those that belong to no group
            stay as they are.
        pointers: from ``open_banks(..., others=[tree])``.

    Returns:
        A pytree of the same structure.

    Raises:
        ValueError: a leaf of a group of another size.

    Example:
        >>> params, stats = {"scale": jnp.ones(2)}, {"mean": jnp.ones(2)}
        >>> groups = {"norm": [("scale", 0), ("mean", 0)]}
        >>> banks, pointers = open_banks(params, groups, num_tasks=2, others=[stats])
        >>> enlarge(stats, pointers)["mean"].tolist()
        [1.0, 1.0, 0.0, 0.0]
    """

    def enlarged(leaf: Any, entries: Entries) -> Array:
        group, place = entries[0]
        leaf = jnp.asarray(leaf)
        leaf = leaf[None] if place.new else leaf
        if leaf.ndim <= place.axis or leaf.shape[place.axis] != group.units * place.width:
            raise ValueError(
                f"tree: expected {place.path!r} with {group.units * place.width} entries along "
                f"axis {place.axis}, got shape {leaf.shape}"
            )
        free = (group.capacity - group.units) * place.width
        return jnp.pad(leaf, [(0, free if i == place.axis else 0) for i in range(leaf.ndim)])

    return map_leaves(enlarged, tree, pointers)


def task_view(banks: PyTree, pointers: Pointers, task: Int[ArrayLike, ""]) -> PyTree:
    """The network of one task: parameters in the shapes that the user's own ``apply`` takes.

    Do not map over tasks with ``vmap``: XLA makes grouped convolutions of mapped kernels, which on
    a CPU take ten times as long. ``view_losses`` computes one view after the other.

    Args:
        banks: from ``open_banks`` or ``enlarge``, traced.
        pointers: traced; NumPy arrays, where they are all known.
        task: number of the task, static or traced.

    Returns:
        A pytree of the same structure: slot u of a group is column ``pointers[group][task, u]``.

    Raises:
        ValueError: banks of another size, or a tree without leaves of the groups.

    Example:
        >>> from jaxmtl.sharing import duplicate
        >>> params = {"dense": {"kernel": jnp.ones((2, 3)), "bias": jnp.arange(3.0)}}
        >>> banks, pointers = open_banks(params, {"dense": [("dense", -1)]}, num_tasks=2)
        >>> banks, pointers = duplicate(banks, pointers, "dense", 1, [0])
        >>> pointers["dense"].tolist(), task_view(banks, pointers, 0)["dense"]["bias"].tolist()
        ([[0, 3, 2], [0, 1, 2]], [0.0, 1.0, 2.0])
    """
    if is_concrete(task) and not 0 <= int(np.asarray(task)) < pointers.num_tasks:
        raise ValueError(f"task: expected 0 .. {pointers.num_tasks - 1}, got {task}")
    return view_leaves(banks, pointers, task, some=True)


def readers(pointers: Pointers, group: str) -> Bool[Array, "tasks capacity"]:
    """Which task reads which column of a group.

    Args:
        pointers: traced.
        group: its name, static.

    Returns:
        bool (tasks, capacity).

    Example:
        >>> _, pointers = open_banks({"w": jnp.ones(2)}, {"w": [("w", 0)]}, 2, capacity=3)
        >>> readers(pointers, "w").astype(int).tolist()
        [[1, 1, 0], [1, 1, 0]]
    """
    return duplication.readers(pointers[group], pointers.group(group).capacity)


def compact(banks: PyTree, pointers: Pointers) -> tuple[PyTree, Pointers]:
    """Drops the columns that no task reads, for saving and counting. Not for use under ``jit``.

    Args:
        banks: concrete; any tree of banks.
        pointers: concrete.

    Returns:
        Banks of the columns in use, in their old order, and pointers renumbered to match. Groups
        that are slices of one leaf keep as many columns as the one that uses most. No view changes.

    Raises:
        ValueError: traced values.

    Example:
        >>> from jaxmtl.sharing import duplicate
        >>> banks, pointers = open_banks({"w": jnp.arange(2.0)}, {"w": [("w", 0)]}, num_tasks=2)
        >>> banks, pointers = compact(*duplicate(banks, pointers, "w", 0, [1]))
        >>> banks["w"].tolist(), pointers["w"].tolist()
        ([0.0, 1.0, 0.0], [[0, 1], [2, 1]])
    """
    used = _used(pointers)
    kept = {name: len(columns) for name, columns in used.items()}
    for _ in pointers.groups:  # until groups that share leaves, in whatever chain, agree
        for entries in pointers.places().values():
            most = max(kept[group.name] for group, _ in entries)
            kept |= {group.name: most for group, _ in entries}

    def changed(leaf: Any, entries: Entries) -> Array:
        check_bank(leaf, entries)
        (first, place), found = entries[0], np.array(leaf)  # on the host: nothing is compiled
        for group, own in entries:
            order = used[group.name]
            order = np.concatenate([order, np.setdiff1d(np.arange(first.capacity), order)])
            order = (order[:, None] * own.width + np.arange(own.width)[None]).reshape(-1)
            if own.at is None:
                found = np.take(found, order, axis=own.axis)
                continue
            part = np.moveaxis(found, own.at[0], 0)[own.at[1]]
            part[...] = np.take(part, order, axis=own.axis - (own.at[0] < own.axis))
        return jnp.asarray(
            np.take(found, np.arange(kept[first.name] * place.width), axis=place.axis)
        )

    columns = {
        name: jnp.asarray(np.searchsorted(used[name], np.asarray(table)).astype(np.int32))
        for name, table in pointers.columns.items()
    }
    groups = tuple(group._replace(capacity=kept[group.name]) for group in pointers.groups)
    return map_leaves(changed, banks, pointers), Pointers(columns, groups)


def count_parameters(banks: PyTree, pointers: Pointers) -> int:
    """Number of parameters in use: columns that no task reads do not count.

    Args:
        banks: any tree of banks.
        pointers: concrete.

    Returns:
        The number of scalars.

    Raises:
        ValueError: traced pointers.

    Example:
        >>> from jaxmtl.sharing import duplicate
        >>> params = {"w": jnp.ones((2, 3)), "out": jnp.ones(3)}
        >>> banks, pointers = open_banks(params, {"w": [("w", -1)]}, num_tasks=2)
        >>> count_parameters(banks, pointers)
        9
        >>> count_parameters(*duplicate(banks, pointers, "w", 0, [1]))
        11
    """
    used, places, total = _used(pointers), pointers.places(), 0
    for path, leaf in named_leaves(banks).items():
        size = int(np.prod(np.shape(leaf)))
        entries = places.get(path)
        if entries is None:
            total += size
            continue
        group, place = entries[0]
        slices = 1 if place.at is None else np.shape(leaf)[place.at[0]]
        column = size // slices // group.capacity
        total += column * sum(len(used[group.name]) for group, _ in entries)
        total += column * group.units * (slices - len(entries))
    return total


def _used(pointers: Pointers) -> dict[str, Int[np.ndarray, " used"]]:
    if not is_concrete(pointers):
        raise ValueError("pointers: expected concrete ones, got traced ones; call it outside jit")
    return {name: np.unique(np.asarray(table)) for name, table in pointers.columns.items()}

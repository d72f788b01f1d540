"""Splits and merges of columns, in parameters, statistics and optimizer state at once."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, Bool, Float, Int, PyTree

from jaxmtl._paths import leaf_path
from jaxmtl._validate import check_choice, is_concrete
from jaxmtl.duplication import part_readers
from jaxmtl.duplication.columns import column_copier
from jaxmtl.duplication.moments import axis_in_moment, bank_shapes, parameter_of
from jaxmtl.duplication.transplant import Transplant
from jaxmtl.sharing.banks import readers, task_view
from jaxmtl.sharing.columns import change_columns, check_some, map_group
from jaxmtl.sharing.groups import Pointers

Tasks = Bool[ArrayLike, " tasks"] | Sequence[int]
Change = Callable[[Array], Array]


class Shared(NamedTuple):
    """What a split or a merge has changed.

    Attributes:
        banks: parameters.
        pointers: of every task.
        stats: banks of running statistics; None where none were given.
        opt_state: of the optimizer; None where none was given.

    Example:
        >>> Shared._fields
        ('banks', 'pointers', 'stats', 'opt_state')
    """

    banks: PyTree
    pointers: Pointers
    stats: PyTree = None
    opt_state: PyTree = None


def duplicate(
    banks: PyTree, pointers: Pointers, group: str, column: Int[ArrayLike, ""], tasks: Tasks
) -> tuple[PyTree, Pointers]:
    """Gives some tasks a copy of a unit of their own, without changing any output.

    Only the parameters are changed: with running statistics or an optimizer, ``split`` does all at
    once. To choose the group, too, by a traced number, duplicate in one group after the other with
    a mask of tasks that is False in all but one.

    Args:
        banks: from ``open_banks``, traced.
        pointers: traced.
        group: name of the group, static.
        column: to duplicate, into the lowest free one. Traced.
        tasks: that get the copy, a list of task numbers or a bool mask (tasks,), traced; tasks that
            do not read the column are ignored. ``moving_readers`` chooses them by sign.

    Returns:
        New banks and pointers, of the same shapes. Where there is nothing to part (no reader or
        every reader of the column moves, or no column is free) both come back unchanged.

    Raises:
        ValueError: with concrete arguments, when there is nothing to part, or a task that does not
            exist; an unknown group. Traced values never raise.

    Example:
        >>> from jaxmtl.sharing import open_banks
        >>> params = {"w": jnp.array([[1.0, 2.0]])}
        >>> banks, pointers = open_banks(params, {"w": [("w", -1)]}, num_tasks=2)
        >>> banks, pointers = duplicate(banks, pointers, "w", 1, [0])
        >>> banks["w"].tolist(), pointers["w"].tolist()
        ([[1.0, 2.0, 2.0, 0.0]], [[0, 2], [0, 1]])
    """
    changed = split(banks, pointers, group, column, tasks)
    return changed.banks, changed.pointers


def split(
    banks: PyTree,
    pointers: Pointers,
    group: str,
    column: Int[ArrayLike, ""],
    tasks: Tasks,
    *,
    stats: PyTree = None,
    opt_state: PyTree = None,
    mode: Transplant = "copy",
    init: Callable[[PyTree], PyTree] | None = None,
) -> Shared:
    """``duplicate`` in everything that has columns: none of it can be forgotten.

    A copy whose running statistics are those of an unused column would change outputs, and one
    without its original's moments would go another way.

    Args:
        banks: traced.
        pointers: traced.
        group: static.
        column: traced.
        tasks: traced.
        stats: banks of running statistics, from ``enlarge``. Traced.
        opt_state: any optax state of the banks, traced.
        mode: of the optimizer state, see ``transplant``. Static.
        init: ``optimizer.init``, for ``mode="fresh"``.

    Returns:
        All of it after the split.

    Raises:
        ValueError: see ``duplicate`` and ``transplant``.

    Example:
        >>> import optax
        >>> from jaxmtl.sharing import enlarge, open_banks
        >>> params, stats = {"scale": jnp.ones(2)}, {"mean": jnp.array([5.0, 6.0])}
        >>> groups = {"norm": [("scale", 0), ("mean", 0)]}
        >>> banks, pointers = open_banks(params, groups, num_tasks=2, others=[stats], capacity=3)
        >>> stats, opt_state = enlarge(stats, pointers), optax.adam(0.1).init(banks)
        >>> changed = split(banks, pointers, "norm", 1, [1], stats=stats, opt_state=opt_state)
        >>> changed.stats["mean"].tolist(), changed.pointers["norm"].tolist()
        ([5.0, 6.0, 6.0], [[0, 1], [0, 2]])
    """
    check_some(banks, pointers)
    capacity = pointers.group(group).capacity
    columns, copy = part_readers(pointers[group], capacity, column, tasks, whose=f"group {group!r}")
    copied = column_copier(column, copy)
    banks = map_group(copied, banks, pointers, group)
    if stats is not None:
        stats = map_group(copied, stats, pointers, group)
    if opt_state is not None:
        opt_state = transplant(opt_state, banks, pointers, group, column, copy, mode, init=init)
    return Shared(banks, pointers.replace(group, columns), stats, opt_state)


def merge(
    banks: PyTree,
    pointers: Pointers,
    group: str,
    kept: Int[ArrayLike, ""],
    freed: Int[ArrayLike, ""],
    *,
    stats: PyTree = None,
    opt_state: PyTree = None,
) -> Shared:
    """Makes one column of two copies of a unit: the inverse of a split, where they are still alike.

    The column becomes the mean of the two by the number of their readers; so do running statistics
    and moments. Outputs change with the difference of the copies, see ``output_change``.

    Args:
        banks: traced.
        pointers: traced.
        group: static.
        kept: column that all readers of the two read afterwards, traced.
        freed: column that is free afterwards, and zero. Traced.
        stats: banks of running statistics, traced.
        opt_state: any optax state of the banks, traced.

    Returns:
        All of it after the merge; unchanged where the two are no copies of one unit.

    Raises:
        ValueError: with concrete arguments, columns that nobody reads, that stand at different
            slots, or that are one; see also ``transplant``.

    Example:
        >>> from jaxmtl.sharing import open_banks
        >>> banks, pointers = open_banks({"w": jnp.ones(2)}, {"w": [("w", 0)]}, num_tasks=2)
        >>> banks, pointers = duplicate(banks, pointers, "w", 1, [0])
        >>> banks = {"w": banks["w"].at[2].set(3.0)}
        >>> merged = merge(banks, pointers, "w", 1, 2)
        >>> merged.banks["w"].tolist(), merged.pointers["w"].tolist()
        ([1.0, 2.0, 0.0, 0.0], [[0, 1], [0, 1]])
    """
    check_some(banks, pointers)
    table = pointers[group]
    kept, freed = jnp.asarray(kept), jnp.asarray(freed)
    alike = _are_copies(table, kept, freed)
    if is_concrete(alike) and not bool(np.asarray(alike)):
        raise ValueError(
            f"group {group!r}: expected two columns that are copies of one unit, got {kept} and "
            f"{freed}, read at {np.argwhere(np.asarray(table) == np.asarray(kept)).tolist()} and "
            f"{np.argwhere(np.asarray(table) == np.asarray(freed)).tolist()} (task, slot)"
        )
    reads = readers(pointers, group).sum(axis=0)
    share = reads[freed] / jnp.maximum(reads[kept] + reads[freed], 1)

    def merged(leaf: Array) -> Array:
        one, other = (jnp.take(leaf, c, axis=-1, mode="clip")[..., None] for c in (kept, freed))
        mean = one + (share * (other - one)).astype(leaf.dtype)
        numbers = jnp.arange(leaf.shape[-1])
        new = jnp.where(numbers == kept, mean, jnp.where(numbers == freed, 0, leaf))
        return jnp.where(alike, new, leaf)

    columns = jnp.where(alike & (table == freed), kept, table).astype(table.dtype)
    if stats is not None:
        stats = map_group(merged, stats, pointers, group)
    if opt_state is not None:
        opt_state = map_state(merged, opt_state, banks, pointers, group)
    banks = map_group(merged, banks, pointers, group)
    return Shared(banks, pointers.replace(group, columns), stats, opt_state)


def output_change(
    outputs: Callable[[PyTree], PyTree],
    before: tuple[PyTree, Pointers],
    after: tuple[PyTree, Pointers],
) -> Float[Array, ""]:
    """The largest change of any output of any task, such as by a merge.

    Args:
        outputs: ``outputs(view)`` of one task's network on rows of yours; several tasks' outputs
            count as the one's whose view it is.
        before: banks and pointers, traced.
        after: the same, traced.

    Returns:
        The largest absolute difference.

    Example:
        >>> from jaxmtl.sharing import open_banks
        >>> banks, pointers = open_banks({"w": jnp.ones(2)}, {"w": [("w", 0)]}, num_tasks=2)
        >>> apart = duplicate(banks, pointers, "w", 1, [0])
        >>> moved = {"w": apart[0]["w"].at[2].set(3.0)}, apart[1]
        >>> merged = merge(*moved, "w", 1, 2)
        >>> output_change(lambda view: view["w"].sum(), moved, merged[:2]).item()
        1.0
    """
    changes = []
    for task in range(before[1].num_tasks):
        found = [outputs(task_view(*given, task)) for given in (before, after)]
        changes += jax.tree.leaves(jax.tree.map(lambda a, b: jnp.abs(a - b).max(), *found))
    return jnp.stack(changes).max()


def transplant(
    opt_state: PyTree,
    banks: PyTree,
    pointers: Pointers,
    group: str,
    column: Int[ArrayLike, ""],
    copy: Int[ArrayLike, ""],
    mode: Transplant,
    *,
    init: Callable[[PyTree], PyTree] | None = None,
) -> PyTree:
    """Optimizer state after a duplication; as ``duplication.transplant``, for any group.

    Args:
        opt_state: any optax state of the banks; moments are found by the path of their leaf, and in
            states of ``optax.flatten`` by their place. Traced.
        banks: traced.
        pointers: traced.
        group: static.
        column: the duplicated column, traced.
        copy: that of its copy, traced.
        mode: ``"copy"`` gives the copy its original's moments, ``"fresh"`` starts the whole
            optimizer anew. Static.
        init: ``optimizer.init``, needed for ``"fresh"`` only.

    Returns:
        A state of the same structure. Numbers that are sums over the group's axis, as some factored
        moments are, stay.

    Raises:
        ValueError: an unknown mode, ``"fresh"`` without ``init``, or ``"copy"`` of a state in which
            columns cannot be told.

    Example:
        >>> import optax
        >>> from jaxmtl.sharing import open_banks
        >>> banks, pointers = open_banks({"w": jnp.ones(2)}, {"w": [("w", 0)]}, 2, capacity=3)
        >>> state = optax.TraceState(trace={"w": jnp.array([3.0, 4.0, 0.0])})
        >>> transplant(state, banks, pointers, "w", 0, 2, "copy").trace["w"].tolist()
        [3.0, 4.0, 3.0]
    """
    check_choice("mode", mode, ("fresh", "copy"))
    if mode == "fresh":
        if init is None:
            raise ValueError('transplant: expected init=optimizer.init for mode "fresh", got None')
        return init(banks)
    return map_state(column_copier(column, copy), opt_state, banks, pointers, group)


def map_state(
    change: Change, opt_state: PyTree, banks: PyTree, pointers: Pointers, group: str
) -> PyTree:
    """Changes what an optimizer keeps for the columns of one group."""
    shapes = bank_shapes(banks, lambda path: True)
    flat, unravel = ravel_pytree(banks)
    places = pointers.places()

    def changed(path: tuple[Any, ...], leaf: Any) -> Any:
        shape = jnp.shape(leaf)
        if math.prod(shape) <= 1:  # counts
            return leaf
        found = parameter_of(path, shapes)
        if found is None:
            if shape != flat.shape:
                return leaf
            tree = map_group(change, unravel(leaf.astype(flat.dtype)), pointers, group)
            return ravel_pytree(tree)[0].astype(leaf.dtype)

        def axis_of(axis: int) -> int | None:
            return axis_in_moment(path, shape, shapes[found[0]], found[1], axis)

        for owner, place in places.get(leaf_path(found[0]), []):
            if owner.name != group:
                continue
            axis, at = axis_of(place.axis), place.at
            sliced = None if at is None else axis_of(at[0])
            if axis is None or (at is not None and sliced is None):
                continue
            at = None if at is None or sliced is None else (sliced, at[1])
            leaf = change_columns(change, leaf, axis, place.width, at)
        return leaf

    return jax.tree_util.tree_map_with_path(changed, opt_state)


def _are_copies(
    table: Int[Array, "tasks units"], one: Int[Array, ""], other: Int[Array, ""]
) -> Bool[Array, ""]:
    """Whether two columns are read, at one slot, and by different tasks."""
    both = [(table == column).any(axis=0) for column in (one, other)]
    read = both[0].any() & both[1].any()
    return read & (both[0] == both[1]).all() & (one != other)

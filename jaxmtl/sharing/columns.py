"""Columns of one leaf: gathered for a task, spread back, and changed; and the leaves of a tree."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PyTree

from jaxmtl._paths import leaf_path, listed, named_leaves
from jaxmtl.sharing.groups import Group, Place, Pointers

Entries = list[tuple[Group, Place]]


def map_leaves(
    change: Callable[[Any, Entries], Any],
    tree: PyTree,
    pointers: Pointers,
    *,
    others: Callable[[Any], Any] = lambda leaf: leaf,
    some: bool = False,
) -> PyTree:
    """Changes the leaves of a tree that belong to a group, and maybe the others.

    Args:
        change: of a leaf and its groups.
        tree: any.
        pointers: of which the groups are used.
        others: of a leaf of no group, which by default stays.
        some: whether a tree without any such leaf is an error.

    Returns:
        The new tree.

    Raises:
        ValueError: there is none, and some are expected.
    """
    places = pointers.places()
    if some:
        check_some(tree, pointers)

    def changed(path: tuple[Any, ...], leaf: Any) -> Any:
        found = places.get(leaf_path(path))
        return others(leaf) if found is None else change(leaf, found)

    return jax.tree_util.tree_map_with_path(changed, tree)


def check_some(tree: PyTree, pointers: Pointers) -> None:
    """Raises ValueError if no leaf of the tree belongs to a group."""
    paths, places = [*named_leaves(tree)], pointers.places()
    if places.keys().isdisjoint(paths):
        raise ValueError(
            f"banks: expected a tree with leaves of the groups, such as {next(iter(places))!r}, "
            f"got {listed(paths, 3)}; a tree without any is the same for all tasks"
        )


def check_bank(leaf: Any, entries: Entries) -> None:
    """Raises ValueError if a leaf is no bank of its groups."""
    (group, place), shape = entries[0], np.shape(leaf)
    wanted = group.capacity * place.width
    if len(shape) <= place.axis or shape[place.axis] != wanted:
        raise ValueError(
            f"banks: expected {place.path!r} with {wanted} entries along axis {place.axis}, for "
            f"the {group.capacity} columns of group {group.name!r}, got shape {shape}: open_banks "
            "and enlarge make banks"
        )


class Reads:
    """What one task reads: columns of every slot, and slots of every column, worked out once."""

    def __init__(self, pointers: Pointers, task: Any) -> None:
        """Of pointers of NumPy all is known in a trace, too."""
        self._pointers, self._task = pointers, task
        self._found: dict[str, tuple[Array, Array, Array]] = {}

    def of(self, entries: Entries, slices: int | None) -> tuple[Array, Array, Array]:
        """Columns (units,), slots (capacity,), and which columns are read (capacity,).

        Args:
            entries: of a leaf.
            slices: of the leaf, if it has a group a slice: all have a leading axis then.
        """
        if slices is None:
            return self._of_group(entries[0][0])
        first = entries[0][0]
        groups = {place.at and place.at[1]: group for group, place in entries}
        plain = np.arange(first.units, dtype=np.int32)
        every = np.arange(first.capacity)
        apart = plain, np.where(every < first.units, every, 0), every < first.units
        rows = [
            self._of_group(groups[number]) if number in groups else apart
            for number in range(slices)
        ]
        columns, slots, read = (jnp.stack(parts) for parts in zip(*rows, strict=True))
        return columns, slots, read

    def _of_group(self, group: Group) -> tuple[Array, Array, Array]:
        if group.name not in self._found:
            columns = self._pointers.columns[group.name][self._task]
            numpy = np if isinstance(columns, np.ndarray) else jnp
            hits = columns[:, None] == numpy.arange(group.capacity)[None]
            self._found[group.name] = columns, numpy.argmax(hits, axis=0), hits.any(axis=0)
        return self._found[group.name]


def view_of(leaf: Array, entries: Entries, reads: Reads) -> Array:
    """The leaf of one task's network."""
    check_bank(leaf, entries)
    place = entries[0][1]
    if place.at is None:
        view = take(leaf, reads.of(entries, None), place.axis, place.width)
    else:
        sliced = place.at[0]
        one = functools.partial(take, axis=_without(place.axis, sliced), width=place.width)
        view = jax.vmap(one, (sliced, 0), sliced)(leaf, reads.of(entries, leaf.shape[sliced]))
    return jnp.squeeze(view, place.axis) if place.new else view


def bank_of(view: Array, entries: Entries, reads: Reads) -> tuple[Array, Array]:
    """The other way: what one task has at its columns, 0 at others; and which columns it reads."""
    place = entries[0][1]
    view = jnp.expand_dims(view, place.axis) if place.new else view
    if place.at is None:
        _, slots, read = reads.of(entries, None)
        return put(view, slots, read, place.axis, place.width)
    sliced = place.at[0]
    _, slots, read = reads.of(entries, view.shape[sliced])
    one = functools.partial(put, axis=_without(place.axis, sliced), width=place.width)
    return jax.vmap(one, (sliced, 0, 0), sliced)(view, slots, read)


def _without(axis: int, removed: int) -> int:
    return axis - (removed < axis)


def take(leaf: Array, reads: tuple[Array, Array, Array], axis: int, width: int) -> Array:
    """Columns of a leaf; its gradient is a gather, too, as no column is taken twice."""
    columns = reads[0]
    if isinstance(columns, np.ndarray) and np.array_equal(columns, np.arange(len(columns))):
        return jax.lax.slice_in_dim(leaf, 0, len(columns) * width, axis=axis)
    return _take(leaf, *map(jnp.asarray, reads), axis, width)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _take(leaf: Array, columns: Array, slots: Array, read: Array, axis: int, width: int) -> Array:
    return jnp.take(leaf, _entries(columns, width), axis=axis, mode="clip")


def _take_forward(
    leaf: Array, columns: Array, slots: Array, read: Array, axis: int, width: int
) -> tuple[Array, tuple[Array, Array]]:
    return _take(leaf, columns, slots, read, axis, width), (slots, read)


def _take_backward(
    axis: int, width: int, residuals: tuple[Array, Array], cotangent: Array
) -> tuple[Array, None, None, None]:
    return put(cotangent, *residuals, axis, width)[0], None, None, None


_take.defvjp(_take_forward, _take_backward)


def put(
    view: Array, slots: Array, read: Array, axis: int, width: int
) -> tuple[Array, Bool[Array, "..."]]:
    """The bank with a view at its columns and 0 elsewhere, and which entries it has filled."""
    read = jnp.asarray(read) if width == 1 else jnp.repeat(jnp.asarray(read), width)
    filled = jnp.expand_dims(read, [i for i in range(view.ndim) if i != axis])
    moved = jnp.take(view, _entries(slots, width), axis=axis, mode="clip")
    return jnp.where(filled, moved, jnp.zeros((), moved.dtype)), filled


def _entries(columns: Array, width: int) -> Array:
    if width == 1:
        return jnp.asarray(columns)
    return (jnp.asarray(columns)[:, None] * width + jnp.arange(width)[None]).reshape(-1)


def view_leaves(tree: PyTree, pointers: Pointers, task: Any, *, some: bool = False) -> PyTree:
    """One task's view of a tree, of which all leaves may belong to no group."""
    reads = Reads(pointers, task)
    return map_leaves(
        lambda leaf, entries: view_of(leaf, entries, reads), tree, pointers, some=some
    )


def change_columns(
    change: Callable[[Array], Array],
    leaf: Array,
    axis: int,
    width: int,
    at: tuple[int, int] | None,
) -> Array:
    """Changes a leaf of which the function sees the columns as the last axis.

    Args:
        change: of one leaf, columns last, as ``duplication.map_bank`` takes it.
        leaf: a bank, or a moment of one.
        axis: of the columns.
        width: entries a column.
        at: axis and number of the slice to change; None for all.

    Returns:
        The changed leaf.
    """
    if at is not None:
        sliced, number = at
        part = jax.lax.index_in_dim(leaf, number, sliced, keepdims=False)
        part = change_columns(change, part, _without(axis, sliced), width, None)
        return leaf.at[(slice(None),) * sliced + (number,)].set(part)
    shape = leaf.shape
    parted = leaf.reshape(*shape[:axis], shape[axis] // width, width, *shape[axis + 1 :])
    changed = jnp.moveaxis(change(jnp.moveaxis(parted, axis, -1)), -1, axis)
    return changed.reshape(*shape[:axis], -1, *shape[axis + 1 :])


def map_group(
    change: Callable[[Array], Array], tree: PyTree, pointers: Pointers, name: str
) -> PyTree:
    """Changes the columns of one group in a tree of banks."""

    def changed(leaf: Any, entries: Entries) -> Any:
        for group, place in entries:
            if group.name == name:
                check_bank(leaf, entries)
                leaf = change_columns(change, leaf, place.axis, place.width, place.at)
        return leaf

    return map_leaves(changed, tree, pointers)

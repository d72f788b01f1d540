"""Columns of one leaf: gathered for a task, spread back, and changed; and the leaves of a tree."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PyTree

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


def task_rows(entries: Entries, pointers: Pointers, task: Any, slices: int | None) -> Array:
    """The columns that a task reads of a leaf: (units,), or (slices, units) of a leaf of slices."""
    rows = {
        place.at and place.at[1]: pointers.columns[group.name][task] for group, place in entries
    }
    if slices is None:
        return rows[None]
    units = jnp.arange(entries[0][0].units, dtype=jnp.int32)
    return jnp.stack([jnp.asarray(rows.get(number, units)) for number in range(slices)])


def view_of(leaf: Array, entries: Entries, pointers: Pointers, task: Any) -> Array:
    """The leaf of one task's network."""
    check_bank(leaf, entries)
    place = entries[0][1]
    if place.at is None:
        view = take(leaf, task_rows(entries, pointers, task, None), place.axis, place.width)
    else:
        sliced = place.at[0]
        rows = task_rows(entries, pointers, task, leaf.shape[sliced])
        one = functools.partial(take, axis=_without(place.axis, sliced), width=place.width)
        view = jax.vmap(one, (sliced, 0), sliced)(leaf, rows)
    return jnp.squeeze(view, place.axis) if place.new else view


def bank_of(view: Array, entries: Entries, pointers: Pointers, task: Any) -> tuple[Array, Array]:
    """The other way: what one task has at its columns, 0 at others; and which columns it reads."""
    group, place = entries[0]
    view = jnp.expand_dims(view, place.axis) if place.new else view
    spread = functools.partial(put, capacity=group.capacity, width=place.width)
    if place.at is None:
        rows = task_rows(entries, pointers, task, None)
        return spread(view, rows, axis=place.axis)
    sliced = place.at[0]
    rows = task_rows(entries, pointers, task, view.shape[sliced])
    one = functools.partial(spread, axis=_without(place.axis, sliced))
    return jax.vmap(one, (sliced, 0), sliced)(view, rows)


def _without(axis: int, removed: int) -> int:
    return axis - (removed < axis)


def take(leaf: Array, columns: Int[Array, " units"], axis: int, width: int) -> Array:
    """Columns of a leaf; its gradient is a gather, too, as no column is taken twice."""
    if isinstance(columns, np.ndarray) and np.array_equal(columns, np.arange(len(columns))):
        return jax.lax.slice_in_dim(leaf, 0, len(columns) * width, axis=axis)
    return _take(leaf, jnp.asarray(columns), axis, width)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _take(leaf: Array, columns: Int[Array, " units"], axis: int, width: int) -> Array:
    return jnp.take(leaf, _entries(columns, width), axis=axis, mode="clip")


def _take_forward(leaf: Array, columns: Array, axis: int, width: int) -> tuple[Array, Any]:
    size = leaf.shape[axis]
    return _take(leaf, columns, axis, width), (columns, jnp.zeros(size // width, jnp.bool))


def _take_backward(axis: int, width: int, residuals: Any, cotangent: Array) -> tuple[Array, None]:
    columns, bank = residuals
    return put(cotangent, columns, axis=axis, width=width, capacity=len(bank))[0], None


_take.defvjp(_take_forward, _take_backward)


def put(
    view: Array, columns: Int[Array, " units"], *, axis: int, width: int, capacity: int
) -> tuple[Array, Bool[Array, "..."]]:
    """The bank with a view at its columns and 0 elsewhere, and which entries it has filled."""
    hits = jnp.asarray(columns)[:, None] == jnp.arange(capacity)[None]
    slots, filled = jnp.argmax(hits, axis=0), hits.any(axis=0)
    filled = jnp.expand_dims(jnp.repeat(filled, width), [i for i in range(view.ndim) if i != axis])
    moved = jnp.take(view, _entries(slots, width), axis=axis, mode="clip")
    return jnp.where(filled, moved, jnp.zeros((), moved.dtype)), filled


def _entries(columns: Array, width: int) -> Array:
    if width == 1:
        return jnp.asarray(columns)
    return (jnp.asarray(columns)[:, None] * width + jnp.arange(width)[None]).reshape(-1)


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

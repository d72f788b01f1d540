"""Groups of units, written by leaf and axis, and the pointers of every task into their columns."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Int

from jaxmtl._paths import check_matched, listed, matches
from jaxmtl._pytree import register_dataclass
from jaxmtl._validate import check_count
from jaxmtl.duplication import initial_head_index


class Part(NamedTuple):
    """What a group of units has in the leaves of one path. All of it is static.

    Attributes:
        path: of a leaf, ``"trunk/conv_0/kernel"``, or of all leaves below, ``"trunk/conv_0"``; with
            ``*`` as in a shell.
        axis: along which the units stand, negative counts from the end; None takes whole leaves as
            one unit.
        at: ``(axis, number)``: only that slice, of layers stacked for ``scan``.
        width: entries of the axis that make a unit, such as the numbers of one head.

    Example:
        >>> Part("attention/query_proj/weight", axis=0, width=16)
        Part(path='attention/query_proj/weight', axis=0, at=None, width=16)
    """

    path: str
    axis: int | None = None
    at: tuple[int, int] | None = None
    width: int = 1


PartLike = Part | tuple[Any, ...] | str
Groups = Mapping[str, Sequence[PartLike]]


class Place(NamedTuple):
    """A leaf of a group, once it is open: where its columns are.

    Attributes:
        path: of the leaf.
        axis: of the columns, in the bank.
        width: entries a column.
        at: axis in the bank and number of the slice; None for all of the leaf.
        new: whether the leaf of the network has no such axis: it is one unit as a whole.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmtl.sharing import open_banks
        >>> _, pointers = open_banks({"w": jnp.ones((2, 3))}, {"w": [("w", -1)]}, num_tasks=2)
        >>> pointers.group("w").places
        (Place(path='w', axis=1, width=1, at=None, new=False),)
    """

    path: str
    axis: int
    width: int
    at: tuple[int, int] | None
    new: bool


class Group(NamedTuple):
    """A group of units, once it is open.

    Attributes:
        name: as the user calls it.
        units: slots of every task.
        capacity: columns of the bank.
        places: its leaves.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmtl.sharing import open_banks
        >>> _, pointers = open_banks({"w": jnp.ones((2, 3))}, {"w": ["w"]}, num_tasks=2)
        >>> pointers.groups[0].units, pointers.groups[0].capacity
        (1, 2)
    """

    name: str
    units: int
    capacity: int
    places: tuple[Place, ...]


@register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Pointers:
    """Which column of each group every task reads at each of its slots: a pytree.

    Attributes:
        columns: int32 (tasks, units) by the name of the group, traced.
        groups: what they point into, static.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmtl.sharing import open_banks
        >>> banks, pointers = open_banks({"w": jnp.ones((2, 3))}, {"w": [("w", -1)]}, num_tasks=2)
        >>> pointers["w"].tolist(), pointers.num_tasks, pointers.group("w").capacity
        ([[0, 1, 2], [0, 1, 2]], 2, 6)
    """

    columns: dict[str, Int[Array, "tasks units"]]
    groups: tuple[Group, ...] = dataclasses.field(metadata={"static": True})

    @property
    def num_tasks(self) -> int:
        """Number of tasks."""
        return next(iter(self.columns.values())).shape[-2]

    def group(self, name: str) -> Group:
        """The group of a name.

        Raises:
            ValueError: there is none.
        """
        for group in self.groups:
            if group.name == name:
                return group
        names = [group.name for group in self.groups]
        raise ValueError(f"group: expected one of {listed(names)}, got {name!r}")

    def __getitem__(self, name: str) -> Int[Array, "tasks units"]:
        """The pointers into one group."""
        return self.columns[self.group(name).name]

    def replace(self, name: str, columns: Int[Array, "tasks units"]) -> "Pointers":
        """Other pointers into one group."""
        self.group(name)
        return dataclasses.replace(self, columns=self.columns | {name: columns})

    def places(self) -> dict[str, list[tuple[Group, Place]]]:
        """All groups of a leaf, by its path: several for slices of one leaf."""
        found: dict[str, list[tuple[Group, Place]]] = {}
        for group in self.groups:
            for place in group.places:
                found.setdefault(place.path, []).append((group, place))
        return found


def point(
    groups: Groups,
    leaves: Mapping[str, Any],
    num_tasks: int,
    capacity: int | Mapping[str, int] | None,
) -> Pointers:
    """The pointers before any split.

    Args:
        groups: as the user writes them.
        leaves: of the network, by path; of running statistics, too.
        num_tasks: static.
        capacity: see ``open_banks``.

    Returns:
        Pointers 0 .. units-1 in every row.

    Raises:
        ValueError: see ``open_banks``.
    """
    check_count("num_tasks", num_tasks)
    if not groups:
        raise ValueError("groups: expected at least one group of units, got none")
    if isinstance(capacity, Mapping):
        for name in capacity:
            if name not in groups:
                raise ValueError(
                    f"capacity: expected names of groups, {listed([*groups])}, got {name!r}"
                )
    opened = tuple(
        _opened(name, parts, leaves, num_tasks, capacity) for name, parts in groups.items()
    )
    columns = {group.name: initial_head_index(num_tasks, group.units) for group in opened}
    pointers = Pointers(columns, opened)
    for path, found in pointers.places().items():
        _check_apart(path, found)
    _check_tied(pointers, leaves)
    return pointers


def _opened(
    name: str,
    parts: Sequence[PartLike],
    leaves: Mapping[str, Any],
    num_tasks: int,
    capacity: int | Mapping[str, int] | None,
) -> Group:
    if isinstance(parts, str | Part) or not parts:
        raise ValueError(
            f"group {name!r}: expected a list of parts such as ('dense/kernel', -1), got {parts!r}"
        )
    sizes: dict[Place, int] = {}
    for part in map(_as_part, parts):
        check_matched((part.path,), [*leaves], f"the network, in group {name!r}")
        for path in leaves:
            if matches(path, part.path):
                place, size = _placed(name, part, path, np.shape(leaves[path]))
                sizes[place] = size
    units = next(iter(sizes.values()))
    for place, size in sizes.items():
        if size != units:
            owner = next(iter(sizes)).path
            raise ValueError(
                f"group {name!r}: expected {units} units along axis {place.axis} of "
                f"{place.path!r}, as {owner!r} has, got {size}"
            )
    own = capacity.get(name) if isinstance(capacity, Mapping) else capacity
    own = num_tasks * units if own is None else own
    first = next(iter(sizes))
    check_count(f"capacity of group {name!r}, of {first.path!r}", own)
    if own < units:
        raise ValueError(
            f"capacity of group {name!r}: expected at least its {units} units, along axis "
            f"{first.axis} of {first.path!r}, got {own}"
        )
    return Group(name, units, int(own), tuple(sizes))


def _as_part(part: PartLike) -> Part:
    if isinstance(part, str):
        return Part(part)
    if not isinstance(part, tuple) or not 1 <= len(part) <= 4 or not isinstance(part[0], str):
        raise ValueError(
            f"groups: expected parts such as ('dense/kernel', -1) or ('block', None), got {part!r}"
        )
    entries: list[Any] = [*part]
    return Part(*entries)


def _placed(name: str, part: Part, path: str, shape: tuple[int, ...]) -> tuple[Place, int]:
    whose = f"group {name!r}, leaf {path!r} of shape {shape}"
    new = part.axis is None
    axis = 0 if part.axis is None else _axis_of(whose, part.axis, len(shape))
    at = None
    if part.at is not None:
        sliced, number = _axis_of(whose, part.at[0], len(shape)), part.at[1]
        if sliced == axis and not new:
            raise ValueError(f"{whose}: expected a slice along another axis than that of its units")
        if not 0 <= number < shape[sliced]:
            raise ValueError(
                f"{whose}: expected a slice 0 .. {shape[sliced] - 1} along axis {sliced}, "
                f"got {number}"
            )
        at = (sliced + new, number)
    check_count(f"{whose}: width", part.width)
    size = 1 if new else shape[axis]
    if size % part.width or not size:
        raise ValueError(
            f"{whose}: expected {'whole leaves' if new else f'an axis {axis}'} of units of "
            f"{part.width} entries, got {size}"
        )
    return Place(path, axis, part.width, at, new), size // part.width


def _axis_of(whose: str, axis: int, ndim: int) -> int:
    if not isinstance(axis, int) or not -ndim <= axis < ndim:
        wanted = f"an axis {-ndim} .. {ndim - 1}, or None for one unit" if ndim else "axis None"
        raise ValueError(f"{whose}: expected {wanted}, got {axis!r}")
    return axis % ndim


def _check_apart(path: str, found: list[tuple[Group, Place]]) -> None:
    """A leaf has one group, or one for each of its slices."""
    names = " and ".join(repr(group.name) for group, _ in found[:2])
    slices = [place.at for _, place in found]
    if len(found) > 1 and (None in slices or len(set(slices)) < len(slices)):
        raise ValueError(f"groups: expected every leaf in one group, got {path!r} in {names}")
    alike = {
        (group.units, group.capacity, place.axis, place.width, place.new, (place.at or (0, 0))[0])
        for group, place in found
    }
    if len(alike) > 1:
        raise ValueError(
            f"groups: expected slices of {path!r} along one axis, with units along one axis and "
            f"one capacity, got others in {names}"
        )


def _check_tied(pointers: Pointers, leaves: Mapping[str, Any]) -> None:
    """Refuses a group with one use of an array that stands at two places."""
    owner = {path: found[0][0].name for path, found in pointers.places().items()}
    for one, other in tied_leaves(leaves):
        if owner.get(one) != owner.get(other):
            raise ValueError(
                f"groups: expected {one!r} and {other!r}, which are one array, in one group or in "
                "none: a split would part the two uses; make them one leaf, or two arrays"
            )


def tied_leaves(leaves: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Pairs of paths of one and the same array of two axes or more.

    Vectors are left out: a constant may well fill two biases.
    """
    first: dict[int, str] = {}
    pairs = []
    for path, leaf in leaves.items():
        if np.ndim(leaf) > 1:
            before = first.setdefault(id(leaf), path)
            if before != path:
                pairs.append((before, path))
    return pairs

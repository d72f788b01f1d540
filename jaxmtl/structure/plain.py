"""Which tasks share which layers, and how wide these are: plain data that knows no network."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from jaxmtl._words import did_you_mean

Group = tuple[str, ...]
Groups = tuple[Group, ...]
Path = tuple[str | int, ...]


class StructureError(ValueError):
    """What is wrong with a structure.

    Attributes:
        path: names and numbers that lead to the part that is wrong, as in JSON.
    """

    def __init__(self, path: Path, message: str) -> None:
        """A sentence about a part."""
        super().__init__(message)
        self.path = path


@dataclasses.dataclass(frozen=True)
class Layer:
    """Who shares one layer.

    Attributes:
        width: nodes that every task reads.
        groups: tasks that read the same nodes, each task in one group.
        nodes: of single nodes, counted from 0, that are parted further: the number of the node and
            its own groups, each within a group of the layer.

    Example:
        >>> Layer(8, (("a", "b"), ("c",)), nodes=((3, (("a",), ("b",), ("c",))),)).columns
        17
    """

    width: int
    groups: Groups
    nodes: tuple[tuple[int, Groups], ...] = ()

    @property
    def columns(self) -> int:
        """Nodes of all groups together."""
        parted = sum(len(groups) - len(self.groups) for _, groups in self.nodes)
        return self.width * len(self.groups) + parted

    def groups_of(self, node: int) -> Groups:
        """Who shares one node."""
        return dict(self.nodes).get(node, self.groups)

    @property
    def streams(self) -> Groups:
        """Tasks that read the same of every node."""
        return meet([self.groups, *(groups for _, groups in self.nodes)])


@dataclasses.dataclass(frozen=True)
class Structure:
    """Which tasks share which hidden layers of a network, from the input up.

    Equal structures are equal values: groups stand in the order of their first tasks.

    Attributes:
        tasks: their names.
        layers: the hidden layers.

    Raises:
        StructureError: no task or layer, a name twice, a width or a node out of range, or groups
            that do not hold every task once; the sentence names the layer and the task.

    Example:
        >>> Structure(("a", "b", "c"), (Layer(8, (("c",), ("b", "a"))),)).layers[0].groups
        (('a', 'b'), ('c',))
        >>> Structure(("a", "b"), (Layer(8, (("a",),)),))
        Traceback (most recent call last):
            ...
        jaxmtl.structure.plain.StructureError: layer 1: expected every task in one group, got \
'b' in none
    """

    tasks: tuple[str, ...]
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        """Checks, and puts groups in order."""
        tasks = tuple(self.tasks)
        if not tasks:
            raise StructureError(("tasks",), "tasks: expected at least one, got none")
        for task in tasks:
            if not isinstance(task, str) or not task:
                raise StructureError(("tasks",), f"tasks: expected names, got {task!r}")
            if tasks.count(task) > 1:
                raise StructureError(
                    ("tasks",), f"tasks: expected every name once, got {task!r} twice"
                )
        if not self.layers:
            raise StructureError(("layers",), "layers: expected at least one, got none")
        object.__setattr__(self, "tasks", tasks)
        layers = [_checked(layer, tasks, place) for place, layer in enumerate(self.layers, 1)]
        object.__setattr__(self, "layers", tuple(layers))

    @property
    def widths(self) -> tuple[int, ...]:
        """Nodes of every layer that a task reads."""
        return tuple(layer.width for layer in self.layers)

    @property
    def columns(self) -> tuple[int, ...]:
        """Nodes of every layer, of all groups together."""
        return tuple(layer.columns for layer in self.layers)

    def count_parameters(self, features: int, outputs: Sequence[int] | None = None) -> int:
        """Numbers of a dense network of this structure.

        Args:
            features: columns of its input.
            outputs: width of each task's output; None for one each.

        Example:
            >>> separate(("a", "b"), (8,)).count_parameters(features=4)
            98
        """
        inputs = (features, *self.widths)
        hidden = sum((into + 1) * c for into, c in zip(inputs, self.columns, strict=False))
        return hidden + (inputs[-1] + 1) * (len(self.tasks) if outputs is None else sum(outputs))

    def layer_at(self, layer: int) -> int:
        """The number of a layer, counted from 0, of one that may be counted from the end.

        Raises:
            ValueError: there is no such layer.
        """
        number = len(self.layers)
        if not isinstance(layer, int) or not -number <= layer < number:
            raise ValueError(f"layer: expected a number from 0 to {number - 1}, got {layer!r}")
        return layer % number


def shared(tasks: Iterable[str], widths: Sequence[int]) -> Structure:
    """All tasks share all hidden layers.

    Args:
        tasks: their names.
        widths: of the hidden layers.

    Returns:
        The structure.

    Raises:
        StructureError: see ``Structure``.

    Example:
        >>> shared(("a", "b"), (8, 4)).columns
        (8, 4)
    """
    names = tuple(tasks)
    return Structure(names, tuple(Layer(width, (names,)) for width in widths))


def separate(tasks: Iterable[str], widths: Sequence[int]) -> Structure:
    """A network for each task.

    Args:
        tasks: their names.
        widths: of the hidden layers of each.

    Returns:
        The structure.

    Raises:
        StructureError: see ``Structure``.

    Example:
        >>> separate(("a", "b"), (8, 4)).columns
        (16, 8)
    """
    names = tuple(tasks)
    return grouped(names, widths, [(name,) for name in names])


def grouped(
    tasks: Iterable[str], widths: Sequence[int], groups: Iterable[Iterable[str]]
) -> Structure:
    """A network for each group of tasks.

    Args:
        tasks: their names.
        widths: of the hidden layers of each.
        groups: of the tasks.

    Returns:
        The structure.

    Raises:
        StructureError: see ``Structure``.

    Example:
        >>> grouped("abc", (8,), ["ac", "b"]).layers[0].groups
        (('a', 'c'), ('b',))
    """
    found = tuple(tuple(group) for group in groups)
    return Structure(tuple(tasks), tuple(Layer(width, found) for width in widths))


def check_tree(structure: Structure) -> None:
    """Refuses a structure in which tasks that were apart come together again.

    As pointers into banks that is no fault: the tasks use the same weights on inputs of their own.
    In a network that computes every branch once it cannot be.

    Args:
        structure: any.

    Raises:
        StructureError: the layer and the tasks.

    Example:
        >>> apart, joined = Layer(4, (("a",), ("b",))), Layer(4, (("a", "b"),))
        >>> check_tree(Structure(("a", "b"), (joined, apart)))
        >>> check_tree(Structure(("a", "b"), (apart, joined)))
        Traceback (most recent call last):
            ...
        jaxmtl.structure.plain.StructureError: layer 2: expected 'a' and 'b' apart, as they are in \
layer 1: branches cannot rejoin; part them here, too, or let them share layer 1
    """
    for place, (before, layer) in enumerate(itertools.pairwise(structure.layers), 1):
        numbers = group_numbers(structure.tasks, before.streams)
        for task, other in _pairs(layer):
            if numbers[task] != numbers[other]:
                raise StructureError(
                    ("layers", place),
                    f"layer {place + 1}: expected {task!r} and {other!r} apart, as they are in "
                    f"layer {place}: branches cannot rejoin; part them here, too, or let them "
                    f"share layer {place}",
                )


def group_numbers(tasks: Sequence[str], groups: Groups) -> dict[str, int]:
    """The number of the group of every task.

    Example:
        >>> group_numbers("abc", (("a", "c"), ("b",)))
        {'a': 0, 'b': 1, 'c': 0}
    """
    found = {task: number for number, group in enumerate(groups) for task in group}
    return {task: found[task] for task in tasks}


def meet(partitions: Sequence[Groups]) -> Groups:
    """The coarsest partition that lies within all of some.

    Example:
        >>> meet([(("a", "b"), ("c",)), (("a",), ("b", "c"))])
        (('a',), ('b',), ('c',))
    """
    tasks = [task for group in partitions[0] for task in group]
    numbers = [group_numbers(tasks, groups) for groups in partitions]
    found: dict[tuple[int, ...], list[str]] = {}
    for task in tasks:
        found.setdefault(tuple(number[task] for number in numbers), []).append(task)
    return tuple(map(tuple, found.values()))


def _pairs(layer: Layer) -> Iterator[tuple[str, str]]:
    """The first of every group with each of the others."""
    for groups in (layer.groups, *(groups for _, groups in layer.nodes)):
        for group in groups:
            yield from ((group[0], task) for task in group[1:])


def _checked(layer: Layer, tasks: Group, place: int) -> Layer:
    path, where = ("layers", place - 1), f"layer {place}"
    if not isinstance(layer.width, int) or isinstance(layer.width, bool) or layer.width < 1:
        raise StructureError(
            (*path, "width"), f"{where}: expected a width of at least 1, got {layer.width!r}"
        )
    groups = _ordered(layer.groups, tasks, (*path, "groups"), where)
    numbers = group_numbers(tasks, groups)
    nodes: dict[int, Groups] = {}
    for node, own in sorted(layer.nodes, key=lambda pair: str(pair[0])):
        at = (*path, "nodes", str(node))
        if not isinstance(node, int) or not 0 <= node < layer.width:
            raise StructureError(
                at, f"{where}: expected nodes from 0 to {layer.width - 1}, got {node!r}"
            )
        if node in nodes:
            raise StructureError(at, f"{where}: expected every node once, got {node} twice")
        own = _ordered(own, tasks, at, f"{where}, node {node}")
        for group in own:
            for task in group[1:]:
                if numbers[task] != numbers[group[0]]:
                    raise StructureError(
                        at,
                        f"{where}, node {node}: expected {group[0]!r} and {task!r} apart, as they "
                        "are in the layer, got them together",
                    )
        if own != groups:
            nodes[node] = own
    return Layer(layer.width, groups, tuple(sorted(nodes.items())))


def _ordered(groups: Any, tasks: Group, path: Path, where: str) -> Groups:
    order = {task: place for place, task in enumerate(tasks)}
    seen: set[str] = set()
    for group in groups:
        if isinstance(group, str) or not group:
            raise StructureError(
                path, f"{where}: expected groups of at least one task, got {group!r}"
            )
        for task in group:
            if task not in order:
                hint = did_you_mean(str(task), tasks)
                raise StructureError(
                    path, f"{where}: expected tasks that there are, got {task!r}{hint}"
                )
            if task in seen:
                raise StructureError(
                    path, f"{where}: expected every task in one group, got {task!r} in two"
                )
            seen.add(task)
    for task in tasks:
        if task not in seen:
            raise StructureError(
                path, f"{where}: expected every task in one group, got {task!r} in none"
            )
    inner = [tuple(sorted(group, key=order.__getitem__)) for group in groups]
    return tuple(sorted(inner, key=lambda group: order[group[0]]))

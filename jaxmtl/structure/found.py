"""The structure of networks that were trained: from a head index, pointers and ways of sharing."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from jaxmtl.structure.plain import Group, Groups, Layer, Structure


def layer_of_index(index: Int[np.ndarray, "tasks nodes"], tasks: Group) -> Layer:
    """A layer of which each task reads some columns.

    Args:
        index: the column that each task reads at each node.
        tasks: their names.

    Returns:
        The layer: groups of tasks that share at some node at least, and nodes that are parted
        further.

    Example:
        >>> layer_of_index(np.array([[0, 1], [0, 2]]), ("a", "b"))
        Layer(width=2, groups=(('a', 'b'),), nodes=((1, (('a',), ('b',))),))
        >>> layer_of_index(np.array([[0, 1], [2, 3]]), ("a", "b")).groups
        (('a',), ('b',))
    """
    index = np.asarray(index)
    nodes = [_same(column, tasks) for column in index.T]
    groups = _joined(nodes, tasks)
    parted = tuple((node, own) for node, own in enumerate(nodes) if own != groups)
    return Layer(index.shape[1], groups, parted)


def structure_of_pointers(
    copies: Mapping[str, Int[np.ndarray, " tasks"]], widths: Sequence[int], tasks: Group
) -> Structure:
    """The structure of a network of which whole layers have copies.

    Args:
        copies: of every layer, from the input up, which copy each task reads.
        widths: of the layers.
        tasks: their names.

    Returns:
        The structure.

    Example:
        >>> copies = {"shared_0": np.array([0, 0]), "bank": np.array([0, 1])}
        >>> structure_of_pointers(copies, (4, 3), ("a", "b")).columns
        (4, 6)
    """
    layers = [
        Layer(width, _same(np.asarray(own), tasks))
        for own, width in zip(copies.values(), widths, strict=True)
    ]
    return Structure(tasks, tuple(layers))


def _same(numbers: np.ndarray, tasks: Group) -> Groups:
    """Tasks of one number, in the order of their first."""
    found: dict[int, list[str]] = {}
    for task, number in zip(tasks, numbers.tolist(), strict=True):
        found.setdefault(number, []).append(task)
    return tuple(map(tuple, found.values()))


def _joined(nodes: Sequence[Groups], tasks: Group) -> Groups:
    """The finest partition that every other one lies within."""
    if all(own == nodes[0] for own in nodes):
        return nodes[0]
    number = {task: place for place, task in enumerate(tasks)}
    for groups in nodes:
        for group in groups:
            least = min(number[task] for task in group)
            old = {number[task] for task in group}
            number = {task: least if own in old else own for task, own in number.items()}
    return _same(np.array([number[task] for task in tasks]), tasks)

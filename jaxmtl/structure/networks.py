"""A structure as the networks have it that there are: ways of sharing, and a head index."""

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Int

from jaxmtl.structure.plain import Layer, Structure, group_numbers, grouped, separate, shared
from jaxmtl.structure.trunk import copies_of

Sharing = Literal["shared", "separate", "bank"] | tuple[int, ...]


def sharing_of(structure: Structure) -> Sharing:
    """Which way of sharing of ``TableNet`` a structure is.

    Args:
        structure: any.

    Returns:
        ``"shared"`` or ``"separate"``; the number of the group of every task where each group has a
        network; ``"bank"`` where all is shared but the last layer.

    Raises:
        ValueError: it is none of them; the sentence names the layer.

    Example:
        >>> from jaxmtl.structure import bank, grouped, separate, shared
        >>> start = shared("ab", (8, 4))
        >>> sharing_of(start), sharing_of(bank(start)), sharing_of(separate("ab", (8, 4)))
        ('shared', 'bank', 'separate')
        >>> sharing_of(grouped("abc", (8, 4), ["ac", "b"]))
        (0, 1, 0)
    """
    tasks, layers = len(structure.tasks), structure.layers
    if all(len(layer.groups) == tasks for layer in layers) and tasks > 1:
        return "separate"
    first = layers[0].groups
    if 1 < len(first) < tasks and all(layer == Layer(layer.width, first) for layer in layers):
        return tuple(group_numbers(structure.tasks, first).values())
    for place, layer in enumerate(layers[:-1], 1):
        if len(layer.streams) > 1:
            raise ValueError(
                f"layer {place}: expected the same groups in all layers, or all shared but the "
                f"last, got {len(layer.streams)} groups of {tasks} tasks; a Trunk takes any "
                "structure"
            )
    return "bank" if len(layers[-1].streams) > 1 else "shared"


def structure_of(
    sharing: str | tuple[int, ...], tasks: Iterable[str], widths: Sequence[int]
) -> Structure:
    """A way of sharing of ``TableNet`` as a structure.

    Args:
        sharing: ``"shared"``, ``"separate"``, ``"bank"`` before any duplication, or the number of
            the group of every task; ``"rank_one"`` is shared but for numbers of the tasks' own.
        tasks: their names.
        widths: of the hidden layers.

    Returns:
        The structure.

    Example:
        >>> structure_of((0, 1, 0), "abc", (8,)).layers[0].groups
        (('a', 'c'), ('b',))
    """
    names = tuple(tasks)
    if sharing == "separate":
        return separate(names, widths)
    if isinstance(sharing, str):
        return shared(names, widths)
    groups: dict[int, list[str]] = {}
    for name, number in zip(names, sharing, strict=True):
        groups.setdefault(number, []).append(name)
    return grouped(names, widths, groups.values())


def head_index_of(structure: Structure) -> Int[np.ndarray, "tasks nodes"]:
    """The head index of a network with a bank, such as ``HardSharing``.

    Args:
        structure: with all layers shared but the last.

    Returns:
        Which column of the bank each task reads at each node: 0 and up for what all share or the
        first of those that do not, then the copies.

    Raises:
        ValueError: another layer is parted.

    Example:
        >>> from jaxmtl.structure import Layer
        >>> parted = Layer(3, (("a", "b"),), nodes=((1, (("a",), ("b",))),))
        >>> head_index_of(Structure(("a", "b"), (parted,))).tolist()
        [[0, 1, 2], [0, 3, 2]]
    """
    if sharing_of(structure) not in ("shared", "bank") and len(structure.layers) > 1:
        raise ValueError("layer 1: expected it shared below a bank, got several copies")
    layer = structure.layers[len(structure.layers) - 1]
    copies = copies_of(layer, structure.tasks, layer.width)
    table = np.tile(np.arange(layer.width, dtype=np.int32), (len(structure.tasks), 1))
    free = layer.width
    for node in range(layer.width):
        for copy in sorted(set(copies[:, node].tolist()))[1:]:
            table[copies[:, node] == copy, node] = free
            free += 1
    return table

"""A structure as the networks have it that there are: ways of sharing, and a head index."""

from typing import Literal

import numpy as np
from jaxtyping import Int

from jaxmtl.structure.plain import Structure
from jaxmtl.structure.trunk import copies_of

Sharing = Literal["shared", "separate", "bank"]


def sharing_of(structure: Structure) -> Sharing:
    """Which way of sharing of ``TableNet`` a structure is.

    Args:
        structure: any.

    Returns:
        ``"shared"`` or ``"separate"``; ``"bank"`` where all is shared but the last layer.

    Raises:
        ValueError: it is none of them; the sentence names the layer.

    Example:
        >>> from jaxmtl.structure import bank, separate, shared
        >>> start = shared("ab", (8, 4))
        >>> sharing_of(start), sharing_of(bank(start)), sharing_of(separate("ab", (8, 4)))
        ('shared', 'bank', 'separate')
    """
    tasks, layers = len(structure.tasks), structure.layers
    if all(len(layer.groups) == tasks for layer in layers) and tasks > 1:
        return "separate"
    for place, layer in enumerate(layers[:-1], 1):
        if len(layer.streams) > 1:
            raise ValueError(
                f"layer {place}: expected all layers apart, or none but the last, got "
                f"{len(layer.streams)} groups of {tasks} tasks; a Trunk takes any structure"
            )
    return "bank" if len(layers[-1].streams) > 1 else "shared"


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
    if sharing_of(structure) == "separate" and len(structure.layers) > 1:
        raise ValueError("layer 1: expected it shared below a bank, got a copy for each task")
    layer = structure.layers[len(structure.layers) - 1]
    copies = copies_of(layer, structure.tasks, layer.width)
    table = np.tile(np.arange(layer.width, dtype=np.int32), (len(structure.tasks), 1))
    free = layer.width
    for node in range(layer.width):
        for copy in sorted(set(copies[:, node].tolist()))[1:]:
            table[copies[:, node] == copy, node] = free
            free += 1
    return table

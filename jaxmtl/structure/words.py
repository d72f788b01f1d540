"""A structure in words."""

from collections.abc import Sequence

from jaxmtl.structure.plain import Group, Groups, Structure

MOST = 4  # names in a row; of more, their number is said


def describe(structure: Structure) -> str:
    """Says which tasks share what, from the input up, a sentence a run of equal layers.

    Args:
        structure: any.

    Returns:
        One paragraph.

    Example:
        >>> from jaxmtl.structure import Layer, shared
        >>> describe(shared(("CO", "O3"), (8, 4)))
        'Layers 1 to 2 (8 and 4 nodes) are shared by both tasks.'
        >>> parted = (Layer(8, (("CO", "O3"), ("NO2",))), Layer(4, (("CO",), ("O3",), ("NO2",))))
        >>> describe(Structure(("CO", "O3", "NO2"), parted))
        'Layer 1 (8 nodes a group): CO and O3 share; NO2 is alone. Layer 2 (4 nodes a task): each \
of the 3 tasks has its own.'
    """
    sentences, start = [], 0
    layers = structure.layers
    for end in range(1, len(layers) + 1):
        same = end < len(layers) and layers[end].groups == layers[start].groups
        if same and not layers[end].nodes and not layers[start].nodes:
            continue
        sentences.append(_sentence(structure, start, end))
        start = end
    return " ".join(sentences)


def _sentence(structure: Structure, start: int, end: int) -> str:
    tasks, layers = structure.tasks, structure.layers[start:end]
    several = len(layers) > 1
    which = f"Layers {start + 1} to {end}" if several else f"Layer {start + 1}"
    widths = listed([str(layer.width) for layer in layers])
    nodes = "node" if widths == "1" else "nodes"
    groups, verb = layers[0].groups, "are" if several else "is"
    if len(tasks) == 1:
        text = f"{which} ({widths} {nodes}) {verb} of the one task."
    elif len(groups) == 1:
        everybody = "both tasks" if len(tasks) == 2 else f"all {len(tasks)} tasks"
        text = f"{which} ({widths} {nodes}) {verb} shared by {everybody}."
    elif len(groups) == len(tasks):
        text = f"{which} ({widths} {nodes} a task): each of the {len(tasks)} tasks has its own."
    else:
        text = f"{which} ({widths} {nodes} a group): {_shares(groups)}."
    parted = layers[0].nodes
    if parted:
        numbers = listed([str(node) for node, _ in parted[:MOST]])
        if len(parted) > MOST:
            numbers = f"{len(parted)} nodes"
        more = sum(len(own) - len(groups) for _, own in parted)
        noun = "Node" if len(parted) == 1 else "Nodes"
        said = numbers if len(parted) > MOST else f"{noun} {numbers}"
        verb = "is" if len(parted) == 1 else "are"
        text += f" {said} of it {verb} parted further, by {more} more {_copies(more)}."
    return text


def _copies(number: int) -> str:
    return "copy" if number == 1 else "copies"


def _shares(groups: Groups) -> str:
    """Groups in words; many of one size are counted."""
    alone = [group[0] for group in groups if len(group) == 1]
    together = [group for group in groups if len(group) > 1]
    parts = [f"{_names(group)} share" for group in together[:MOST]]
    if len(together) > MOST:
        parts.append(f"and {len(together) - MOST} more groups")
    if alone:
        parts.append(f"{_names(tuple(alone))} {'is' if len(alone) == 1 else 'are each'} alone")
    return "; ".join(parts)


def _names(group: Group) -> str:
    if len(group) <= MOST:
        return listed(group)
    return f"{', '.join(group[: MOST - 1])} and {len(group) - MOST + 1} more"


def listed(names: Sequence[str]) -> str:
    """Names as a sentence has them.

    Example:
        >>> listed(["a", "b", "c"])
        'a, b and c'
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

"""Proposals: from a structure, and from what was seen, to another; decisions take them or not."""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Bool, Float

from jaxmtl._validate import check_count
from jaxmtl.structure.plain import Groups, Layer, Structure, grouped, meet
from jaxmtl.structure.relations import groups_by


def grow(structure: Structure, factor: int = 2) -> Structure:
    """Every layer as many times as wide.

    Args:
        structure: any; nodes that are parted stay so.
        factor: at least 1.

    Returns:
        The wider structure.

    Example:
        >>> from jaxmtl.structure import shared
        >>> grow(shared("ab", (8, 4))).widths
        (16, 8)
    """
    check_count("factor", factor)
    layers = [Layer(one.width * factor, one.groups, one.nodes) for one in structure.layers]
    return Structure(structure.tasks, tuple(layers))


def everything(structure: Structure) -> Structure:
    """A network for each task, of the same widths.

    Args:
        structure: any.

    Returns:
        The structure.

    Example:
        >>> from jaxmtl.structure import shared
        >>> everything(shared("ab", (8, 4))).columns
        (16, 8)
    """
    return by_groups(structure, [(task,) for task in structure.tasks])


def by_groups(structure: Structure, groups: Iterable[Iterable[str]]) -> Structure:
    """A network for each group, of the same widths.

    Args:
        structure: any.
        groups: of the tasks, such as ``groups_by`` finds.

    Returns:
        The structure.

    Example:
        >>> from jaxmtl.structure import shared
        >>> by_groups(shared("abc", (8,)), ["ab", "c"]).columns
        (16,)
    """
    return grouped(structure.tasks, structure.widths, groups)


def split_layer(
    structure: Structure, layer: int, groups: Iterable[Iterable[str]] | None = None
) -> Structure:
    """One layer parted; the others stay as they are.

    Args:
        structure: any.
        layer: its number from 0, or from the end.
        groups: of the tasks; None for a copy a task.

    Returns:
        The structure.

    Raises:
        ValueError: there is no such layer; see also ``Structure``.

    Example:
        >>> from jaxmtl.structure import shared
        >>> split_layer(shared("ab", (8, 4)), 0).columns
        (16, 4)
    """
    place = structure.layer_at(layer)
    own = [(task,) for task in structure.tasks] if groups is None else map(tuple, groups)
    layers = list(structure.layers)
    layers[place] = Layer(layers[place].width, tuple(own))
    return Structure(structure.tasks, tuple(layers))


def bank(structure: Structure) -> Structure:
    """The last layer parted into a copy a task.

    Args:
        structure: any.

    Returns:
        The structure.

    Example:
        >>> from jaxmtl.structure import shared
        >>> bank(shared("ab", (8, 4))).columns
        (8, 8)
    """
    return split_layer(structure, -1)


def by_conflict(structure: Structure, scores: Float[np.ndarray, "layers tasks tasks"]) -> Structure:
    """The layer with the most conflict parted in two, and all above it.

    Args:
        structure: any.
        scores: the more, the more conflict, such as ``Tally.score``; NaN where nothing is known.

    Returns:
        The structure; the same where nothing is known of any pair.

    Raises:
        ValueError: scores of another shape.

    Example:
        >>> from jaxmtl.structure import shared
        >>> scores = np.zeros((2, 3, 3))
        >>> scores[1, 2, :2] = scores[1, :2, 2] = 0.5
        >>> by_conflict(shared("abc", (8, 4)), scores).layers[1].groups
        (('a', 'b'), ('c',))
    """
    tasks, layers = structure.tasks, structure.layers
    scores = np.asarray(scores, np.float64)
    if scores.shape != (len(layers), len(tasks), len(tasks)):
        raise ValueError(
            f"scores: expected shape {(len(layers), len(tasks), len(tasks))}, got {scores.shape}"
        )
    pairs = scores[:, *np.triu_indices(len(tasks), 1)]
    if not np.isfinite(pairs).any():
        return structure
    worst = int(np.argmax(np.where(np.isfinite(pairs), pairs, -np.inf).max(axis=1)))
    groups = groups_by(-scores[worst], tasks, 2)
    for layer in range(worst, len(layers)):
        structure = split_layer(structure, layer, meet([groups, structure.layers[layer].groups]))
    return structure


def by_streak(
    structure: Structure,
    streaks: Float[np.ndarray, " nodes"],
    moving: Bool[np.ndarray, "tasks nodes"],
    threshold: int,
    layer: int = -1,
) -> Structure:
    """The study's: the node of a layer with the longest streak of conflict is duplicated.

    Args:
        structure: any.
        streaks: batches in a row in which tasks disagreed on the node.
        moving: the tasks that get the copy, such as ``duplication.moving_readers`` finds.
        threshold: of the streak, below which nothing is proposed.
        layer: of the nodes.

    Returns:
        The structure; the same where no streak is long enough or nobody moves.

    Raises:
        ValueError: arrays of another shape.

    Example:
        >>> from jaxmtl.structure import shared
        >>> moving = np.array([[True, True], [False, False]])
        >>> by_streak(shared("ab", (2,)), np.array([3, 9]), moving, 8).layers[0].nodes
        ((1, (('a',), ('b',))),)
    """
    place = structure.layer_at(layer)
    own, tasks = structure.layers[place], structure.tasks
    streaks, moving = np.asarray(streaks), np.asarray(moving, bool)
    if streaks.shape != (own.width,) or moving.shape != (len(tasks), own.width):
        raise ValueError(
            f"streaks, moving: expected shapes {(own.width,)} and {(len(tasks), own.width)}, got "
            f"{streaks.shape} and {moving.shape}"
        )
    node = int(np.argmax(streaks))
    if streaks[node] < threshold:
        return structure
    goes = dict(zip(tasks, moving[:, node].tolist(), strict=True))
    parted = [
        tuple(task for task in group if goes[task] == moves)
        for group in own.groups_of(node)
        for moves in (True, False)
    ]
    nodes = dict(own.nodes) | {node: tuple(group for group in parted if group)}
    layers = list(structure.layers)
    layers[place] = Layer(own.width, own.groups, tuple(nodes.items()))
    return Structure(tasks, tuple(layers))


def merge_alike(
    structure: Structure,
    distances: Sequence[Float[np.ndarray, "tasks tasks"]],
    tolerance: float,
) -> Structure:
    """Groups of a layer joined whose copies have stayed alike.

    Args:
        structure: any; single nodes that are parted stay so only where their groups do.
        distances: of each layer, how far the tasks' copies are from each other.
        tolerance: up to which two groups become one, by their tasks that are furthest apart.

    Returns:
        The structure.

    Raises:
        ValueError: distances of another number of layers or tasks.

    Example:
        >>> from jaxmtl.structure import separate
        >>> near = np.array([[0, 0.1, 3], [0.1, 0, 3], [3, 3, 0]])
        >>> merge_alike(separate("abc", (8,)), [near], 0.5).layers[0].groups
        (('a', 'b'), ('c',))
    """
    tasks = structure.tasks
    shapes = {np.shape(one) for one in distances}
    if len(distances) != len(structure.layers) or shapes != {(len(tasks), len(tasks))}:
        raise ValueError(
            f"distances: expected one matrix of {len(tasks)} tasks for each of "
            f"{len(structure.layers)} layers, got {len(distances)} of shapes {sorted(shapes)}"
        )
    place = {task: number for number, task in enumerate(tasks)}
    layers = []
    for layer, own in zip(structure.layers, distances, strict=True):
        groups = [list(group) for group in layer.groups]

        def furthest(pair: tuple[int, int], groups: list[list[str]] = groups, d: np.ndarray = own):
            one, other = ([place[task] for task in groups[number]] for number in pair)
            return d[np.ix_(one, other)].max()

        while len(groups) > 1:
            pairs = [(a, b) for a in range(len(groups)) for b in range(a + 1, len(groups))]
            nearest = min(pairs, key=furthest)
            if furthest(nearest) > tolerance:
                break
            groups[nearest[0]] += groups.pop(nearest[1])
        same = len(groups) == len(layer.groups)
        layers.append(Layer(layer.width, tuple(map(tuple, groups)), layer.nodes if same else ()))
    return Structure(tasks, tuple(layers))


def at_random(structure: Structure, rng: np.random.Generator) -> Structure:
    """The control: as many groups of as many tasks everywhere, but of other tasks.

    Args:
        structure: any.
        rng: of the order of the tasks.

    Returns:
        A structure of the same numbers of parameters.

    Example:
        >>> from jaxmtl.structure import grouped
        >>> one = grouped("abcd", (8,), ["abc", "d"])
        >>> at_random(one, np.random.default_rng(0)).columns == one.columns
        True
    """
    new = dict(zip(structure.tasks, rng.permutation(structure.tasks).tolist(), strict=True))

    def renamed(groups: Groups) -> Groups:
        return tuple(tuple(new[task] for task in group) for group in groups)

    layers = [
        Layer(one.width, renamed(one.groups), tuple((n, renamed(g)) for n, g in one.nodes))
        for one in structure.layers
    ]
    return Structure(structure.tasks, tuple(layers))

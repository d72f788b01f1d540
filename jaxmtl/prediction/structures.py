"""Which targets share a network: what is tried, and what rows that were not learned from say."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxmtl.data import Data
from jaxmtl.methods import Method
from jaxmtl.methods.registry import FAMILY_GROUPS, TABLE_FAMILIES
from jaxmtl.methods.table_networks import TableNetworks
from jaxmtl.prediction.gains import Gain, gain_over, overall_gain
from jaxmtl.prediction.options import WORDS
from jaxmtl.prediction.relations import relations_of
from jaxmtl.structure import (
    Structure,
    groups_by,
    sharing_of,
    structure_of,
)
from jaxmtl.structure.plain import Groups, group_numbers
from jaxmtl.tasks import Task

TOGETHER, ONE_BY_ONE, IN_GROUPS = "network", "separate", "groups"
WAYS = (TOGETHER, ONE_BY_ONE, IN_GROUPS)  # families that differ in sharing alone
AUTO, SHARED, SEPARATE = WORDS
CLEAR = 0.5  # by how much tasks of a group have to go together more than those of others
MOST_GROUPS = 8
HIDDEN_OF_GROUPS = (96, 96, 96)


class Tried(NamedTuple):
    """A way of sharing that networks were trained in.

    Attributes:
        name: of the family.
        groups: tasks that share.
        relative: loss of every task on rows that were not learned from, over that of a constant.
        parameters: numbers of one network; -1 where it is not known.
        seconds: that it took.
    """

    name: str
    groups: Groups
    relative: Float[np.ndarray, " tasks"]
    parameters: int
    seconds: float

    @property
    def mean(self) -> float:
        """Over the tasks where it is known."""
        known = np.isfinite(self.relative)
        return float(self.relative[known].mean()) if known.any() else np.inf


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Decision:
    """What was tried, and which way of sharing is the best by itself.

    Attributes:
        asked: what the user wanted.
        structure: the best one.
        kept: its family.
        tried: all ways.
        gains: its losses over those of each of the others, a task each.
        overall: the same, the mean of the tasks' relative losses.
    """

    asked: str
    structure: Structure
    kept: str
    tried: tuple[Tried, ...]
    gains: tuple[Gain, ...]
    overall: tuple[Gain, ...]


def families_with(
    names: Sequence[str], structure: str | Structure, tasks: Sequence[Task]
) -> tuple[str, ...]:
    """Families that are trained, given which targets are to share networks.

    Args:
        names: of families.
        structure: one of ``WORDS``, or the only structure that networks are to have.
        tasks: that are predicted.

    Returns:
        Names; of ``IN_GROUPS`` it is decided later whether groups are clear enough.

    Raises:
        ValueError: no network among the families, or one task, where something was asked for.

    Example:
        >>> from jaxmtl.tasks import number_tasks
        >>> families_with(["linear", "network", "separate"], "shared", number_tasks("ab"))
        ('linear', 'network')
    """
    networks = FAMILY_GROUPS["networks"]
    if structure == AUTO:
        groups = len(tasks) > 2 and {TOGETHER, ONE_BY_ONE} <= set(names)
        return (*names, *((IN_GROUPS,) if groups else ()))
    if not set(names) & set(networks):
        raise ValueError(
            f"--structure: expected networks among the families, got {', '.join(names)}; add "
            "--families networks, or leave it out"
        )
    if len(tasks) < 2:
        raise ValueError("--structure: expected several targets, which may share, got one")
    if isinstance(structure, Structure):
        kept: tuple[str, ...] = (_way(sharing_of(structure)),)
    else:
        kept = (ONE_BY_ONE,) if structure == SEPARATE else (TOGETHER, "residual")
    others = tuple(name for name in names if name not in networks)
    return (*others, *(name for name in kept if len(kept) == 1 or name in names))


def check_structure(structure: Structure, targets: Sequence[str]) -> None:
    """Refuses a structure that networks for tables cannot have.

    Args:
        structure: that was asked for.
        targets: names of what is predicted.

    Raises:
        ValueError: other tasks, or layers that are shared in different ways.

    Example:
        >>> from jaxmtl.structure import shared
        >>> check_structure(shared("ab", (8,)), ["a", "c"])
        Traceback (most recent call last):
            ...
        ValueError: tasks: expected the targets a, c, got a, b
    """
    if sorted(structure.tasks) != sorted(targets):
        raise ValueError(
            f"tasks: expected the targets {', '.join(targets)}, got {', '.join(structure.tasks)}"
        )
    if sharing_of(structure) == "bank":
        last = len(structure.layers)
        raise ValueError(
            f"layer {last}: expected the same groups in all layers, got "
            f"{len(structure.layers[-1].streams)} groups above a layer that all share; networks "
            "for tables share all layers or none"
        )


def network_of(
    name: str,
    structure: str | Structure,
    tasks: Sequence[Task],
    found: Bool[np.ndarray, "tasks tasks"] | Float[np.ndarray, "tasks tasks"] | None,
) -> Method | None:
    """The method of a family of networks.

    Args:
        name: of it.
        structure: what was asked for.
        tasks: that are predicted.
        found: correlations of what networks together predict of rows that they have not learned
            from; None where there are none.

    Returns:
        The method; None where there are no clear groups, or the name is none of ``WAYS``.
    """
    targets = [task.name for task in tasks]
    if isinstance(structure, Structure) and name in WAYS:
        in_order = structure_in_order(structure, targets)
        sharing: Any = sharing_of(in_order)
        return TableNetworks(
            name=name, description=_described(name), sharing=sharing, hidden=in_order.widths
        )
    if name != IN_GROUPS:
        return None
    groups = None if found is None else clear_groups(found, targets)
    if groups is None:
        return None
    return TableNetworks(
        name=name,
        description=_described(name),
        sharing=tuple(group_numbers(targets, groups).values()),
        hidden=HIDDEN_OF_GROUPS,
    )


def structure_in_order(structure: Structure, targets: Sequence[str]) -> Structure:
    """The same structure with its tasks in another order."""
    return Structure(tuple(targets), structure.layers)


def clear_groups(
    relation: Float[np.ndarray, "tasks tasks"], targets: Sequence[str]
) -> Groups | None:
    """Groups of targets that are predicted alike, if these are clear.

    Args:
        relation: correlations of predictions, whatever their sign; NaN where not known.
        targets: names, three at least.

    Returns:
        Of all numbers of groups, those within which the mean correlation is larger than between
        them by most; None if that is less than 0.5, or all are alone.

    Example:
        >>> relation = np.eye(4)
        >>> relation[0, 1] = relation[1, 0] = -0.9
        >>> relation[2, 3] = relation[3, 2] = 0.8
        >>> clear_groups(relation, ["a", "b", "c", "d"])
        (('a', 'b'), ('c', 'd'))
        >>> clear_groups(np.full((3, 3), 0.9), ["a", "b", "c"]) is None
        True
    """
    close = np.abs(np.nan_to_num(np.asarray(relation, float)))
    first, second = np.triu_indices(len(targets), 1)
    best, found = CLEAR, None
    for number in range(2, min(len(targets) - 1, MOST_GROUPS) + 1):
        groups = groups_by(close, tuple(targets), number)
        own = np.array(list(group_numbers(targets, groups).values()))
        within = own[first] == own[second]
        if not within.any() or within.all():
            continue
        pairs = close[first, second]
        apart = pairs[within].mean() - pairs[~within].mean()
        if apart > best:
            best, found = apart, groups
    return found


def relation_of(
    tasks: Sequence[Task],
    held: Float[np.ndarray, "rows outputs"],
    y: Float[np.ndarray, "rows tasks"],
    known: Bool[np.ndarray, "rows tasks"],
) -> Float[np.ndarray, "tasks tasks"]:
    """Correlations of what is predicted of rows; NaN for classes that have no order.

    Args:
        tasks: in the order of the outputs.
        held: predictions of rows that were not learned from.
        y: their labels.
        known: which are known.

    Returns:
        One matrix of all tasks.
    """
    matrix = np.full((len(tasks), len(tasks)), np.nan)
    found = relations_of(tasks, held, y, known, np.arange(len(y)) % 2)
    if found is not None:
        matrix[np.ix_(found.places, found.places)] = found.predictions
    return matrix


def decide(
    asked: str,
    by: Any,
    relative: Mapping[str, Float[np.ndarray, " tasks"]],
    bags: Mapping[str, Float[np.ndarray, "shown outputs"]],
    constant: Float[np.ndarray, " outputs"],
    data: Data,
    shown: Int[np.ndarray, " shown"],
    block: Int[np.ndarray, " shown"],
) -> Decision | None:
    """The way of sharing that is best on rows that were not learned from, against the others.

    Args:
        asked: what the user wanted, in words.
        by: families that were trained, with what each is and took; see ``Learned``.
        relative: losses over that of a constant, on rows that their folds held out.
        bags: predictions of the rows that errors are shown of.
        constant: what predicts best without looking at any feature.
        data: with what is true.
        shown: numbers of these rows.
        block: of each of them, from ``blocks_of``.

    Returns:
        The decision; None without networks that share in one of ``WAYS``, or of one task.
    """
    tasks, fitted = data.tasks, by.fitted
    names = [name for name in WAYS if isinstance(by.methods.get(name), TableNetworks)]
    if not names or len(tasks) < 2:
        return None
    targets = [task.name for task in tasks]
    structures = {
        name: structure_of(by.methods[name].sharing, targets, by.methods[name].hidden)
        for name in names
    }
    tried = tuple(
        Tried(
            name=name,
            groups=structures[name].layers[0].groups,
            relative=relative[name],
            parameters=int(fitted[name].parameters[0]),
            seconds=by.seconds[name],
        )
        for name in names
    )
    kept = min(tried, key=lambda one: one.mean).name
    over = [name for name in names if name != kept]
    return Decision(
        asked=asked,
        structure=structures[kept],
        kept=kept,
        tried=tried,
        gains=tuple(gain_over(n, bags[kept], bags[n], data, shown, block) for n in over),
        overall=tuple(
            overall_gain(n, bags[kept], bags[n], constant, data, shown, block) for n in over
        ),
    )


def _way(sharing: Any) -> str:
    return {SHARED: TOGETHER, SEPARATE: ONE_BY_ONE}.get(sharing, IN_GROUPS)


def _described(name: str) -> str:
    if name in TABLE_FAMILIES:
        return TABLE_FAMILIES[name].description
    return "networks, one for each group of targets"

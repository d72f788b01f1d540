"""Families of models, each trained on all folds of a table, as far as the time allows."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from jaxmtl._memory import give_memory_back
from jaxmtl.data import Data, Folds
from jaxmtl.methods import TABLE_FAMILIES, Fitted, Method, Work, find_method, held_out
from jaxmtl.methods.method import OnProgress
from jaxmtl.methods.registry import families_for
from jaxmtl.prediction.calibration import LEVEL
from jaxmtl.prediction.family_words import said
from jaxmtl.prediction.kept import Kept
from jaxmtl.prediction.structures import (
    AUTO,
    IN_GROUPS,
    TOGETHER,
    families_with,
    network_of,
    relation_of,
)
from jaxmtl.prediction.time_plan import TimePlan, cost_of, left_out_note, without_the_longest
from jaxmtl.structure import Structure, to_json
from jaxmtl.training import SweepProgress

LONGEST = 900.0  # seconds
MOMENT = 0.1  # seconds that are left where what came before has taken them all

LAST = "last"  # stage: the families are mixed, and what comes of it is written

OnStage = Callable[["Stage"], None]


class Stage(NamedTuple):
    """Where the learning stands.

    Attributes:
        name: of the family at work; ``LAST`` for what comes after the last one.
        number: its number, from 0.
        total: of families, and one for what comes after.
        share: of its work that is done; 0 where it does not say.
        seconds_left: of the whole, about.

    Example:
        >>> Stage("boosted", 3, 5, 0.0, 40.0).number
        3
    """

    name: str
    number: int
    total: int
    share: float
    seconds_left: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """How the rows of a table are learned from.

    Attributes:
        families: names of methods, the simplest first; see ``TABLE_FAMILIES``.
        folds: into which the rows are divided; each is predicted by what the others taught. None:
            as many as ``folds_for`` says.
        test: fraction of the rows, or of the groups, that nothing learns from; 0 for none.
        seed: of the folds, the test rows and the methods.
        seconds: that all may take; None for as long as it needs. What is learned then hangs on the
            machine.
        spent: seconds of these that are over, as by reading the table.
        longest: seconds beyond which a family is left out where ``seconds`` is None, by what it is
            expected to take; None for none. The first one is always trained.
        confidence: level of the intervals whose coverage is measured.
        structure: which targets share a network: ``"auto"``, ``"shared"``, ``"separate"``, or the
            only structure that networks are to have.

    Example:
        >>> Plan(folds=3).families[:4]
        ('mean', 'linear', 'extra_trees', 'boosted')
    """

    families: tuple[str, ...] = tuple(TABLE_FAMILIES)
    folds: int | None = None
    test: float = 0.0
    seed: int = 0
    seconds: float | None = None
    spent: float = 0.0
    longest: float | None = LONGEST
    confidence: float = LEVEL
    structure: str | Structure = AUTO


class Learned(NamedTuple):
    """What families have learned.

    Attributes:
        fitted: by name, the simplest first.
        seconds: that each took.
        methods: that they are.
        notes: what the user should know.
    """

    fitted: dict[str, Fitted]
    seconds: dict[str, float]
    methods: dict[str, Method]
    notes: tuple[str, ...]


def fit_families(
    plan: Plan, data: Data, folds: Folds, work: Work, on_stage: OnStage | None
) -> Learned:
    """Trains families, the simplest first, as far as the time allows.

    Args:
        plan: which, and how long.
        data: to learn from.
        folds: of it.
        work: see ``fit_table``.
        on_stage: see ``fit_table``.

    Returns:
        What each has learned, and what is to be said of those left out.

    Raises:
        ValueError: see ``fit_table``.
    """
    fitted: dict[str, Fitted] = {}
    seconds: dict[str, float] = {}
    methods: dict[str, Method] = {}
    left_out: list[tuple[str, float]] = []
    names, others = families_with(plan.families, plan.structure, data.tasks), ()
    if plan.structure == AUTO:  # what was asked for is trained, however long it takes
        names, others = families_for(names, data)
    # Whether there are clear groups is known later: until then no time is set aside for them.
    perhaps = [name for name in names if name == IN_GROUPS and isinstance(plan.structure, str)]
    costs = {name: cost_of(name, data, folds) for name in names if name not in perhaps}
    longest = plan.longest if plan.seconds is None else None
    names, too_long = without_the_longest(costs, longest)
    free = None if plan.seconds is None else max(plan.seconds - plan.spent, MOMENT)
    timing = TimePlan({name: costs[name] for name in names}, free)
    kept = None
    if work.checkpoint is not None:
        given = None if isinstance(plan.structure, str) else to_json(plan.structure)
        kept = Kept(Path(work.checkpoint), data, folds, seed=plan.seed, asked=given)
    before: list[str] = []
    steps = len(names)
    for number, name in enumerate([*names, *perhaps]):
        method = _method(name, plan, data, folds, fitted)
        if method is None:  # there are no clear groups
            continue
        if name in perhaps:
            cost = cost_of(name, data, folds)
            if longest is not None and cost.whole > longest:
                continue
            timing.add(name, cost)
        steps = number + 1
        found = None if kept is None else kept.load(name)
        if found is not None:
            methods[name], (fitted[name], seconds[name]) = method, found
            before.append(name)
            timing.leave_out(name)
            continue
        # Something has to be learned, whatever the time.
        if fitted and name not in timing.kept():
            left_out.append((name, timing.needs(name)))
            timing.leave_out(name)
            continue
        tell = _teller(name, number, timing, on_stage, len(names) + len(perhaps) + 1)
        began = time.perf_counter()
        keys = jax.random.split(jax.random.key(plan.seed), len(folds))
        share = timing.share(name)
        place = None if kept is None or share is not None else kept.checkpoint(name)
        how = dataclasses.replace(
            work, seconds=share, checkpoint=place, resume=place is not None, on_progress=tell
        )
        methods[name], fitted[name] = method, method.fit(data, folds, keys, how)
        seconds[name] = time.perf_counter() - began
        timing.done(name)
        give_memory_back()
        if kept is not None and share is None:
            kept.save(name, fitted[name], seconds[name])
    if on_stage is not None:
        on_stage(Stage(LAST, steps, steps + 1, 0.0, timing.rest))
    cut = [left_out_note(plan.seconds, left_out)] if left_out and plan.seconds else []
    if before:
        cut.append(f"kept from a fit that was broken off: {', '.join(map(said, before))}")
    own = dict.fromkeys(note for one in fitted.values() for note in one.notes)
    return Learned(fitted, seconds, methods, (*others, *too_long, *cut, *own))


def _method(
    name: str, plan: Plan, data: Data, folds: Folds, fitted: Mapping[str, Fitted]
) -> Method | None:
    """The method of a family; None for groups where there are no clear ones."""
    relation = None
    if name == IN_GROUPS and (together := fitted.get(TOGETHER)) is not None:
        seen = np.concatenate([part.test for part in folds])
        held = np.concatenate(held_out(together, data, folds))
        relation = relation_of(data.tasks, held, data.y[seen], data.known[seen])
    own = network_of(name, plan.structure, data.tasks, relation)
    return find_method(name) if own is None and name != IN_GROUPS else own


def _teller(
    name: str, number: int, timing: TimePlan, on_stage: OnStage | None, total: int
) -> OnProgress | None:
    """Says that a family begins, and gives what says how far it is."""
    if on_stage is None:
        return None
    on_stage(Stage(name, number, total, 0.0, timing.needs(name) + timing.later(name) + timing.rest))

    def tell(part: str, at: SweepProgress) -> None:
        del part
        left = at.seconds_left if at.seconds_left == at.seconds_left else timing.needs(name)
        share = at.done / max(at.total, 1)
        on_stage(Stage(name, number, total, share, left + timing.later(name) + timing.rest))

    return tell

"""From a table to what predicts all of its targets: families of models, judged and mixed."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from jaxmtl._memory import give_memory_back
from jaxmtl.data import (
    CellTable,
    Columns,
    Data,
    Folds,
    data_of_table,
    fit_coding,
    folds_of_table,
)
from jaxmtl.data import held_out as held_out_rows
from jaxmtl.methods import TABLE_FAMILIES, Fitted, Work, find_method, held_out, mixed
from jaxmtl.methods.method import OnProgress
from jaxmtl.methods.registry import families_for
from jaxmtl.metrics.of_tasks import Scores, constant_prediction, score
from jaxmtl.plain.mixture import disagreement
from jaxmtl.prediction.calibration import LEVEL, calibrate
from jaxmtl.prediction.coverage import Coverage, coverage_left_out, coverage_of
from jaxmtl.prediction.family_words import said
from jaxmtl.prediction.gains import Gain, blocks_of, gain_over
from jaxmtl.prediction.importance import Importance, permutation_importance
from jaxmtl.prediction.kept import Kept
from jaxmtl.prediction.predictor import ByFold, Predictor, Reading
from jaxmtl.prediction.time_plan import TimePlan, cost_of, left_out_note, without_the_longest
from jaxmtl.statistics.selection import greedy
from jaxmtl.tasks import output_widths
from jaxmtl.training import SweepProgress

MIXED = "mixture"
LONGEST = 900.0  # seconds
MOMENT = 0.1  # seconds that are left where what came before has taken them all
FOLDS, MORE_FOLDS, ROWS_FOR_MORE_FOLDS = 5, 10, 1000
TOGETHER, ONE_BY_ONE = "network", "separate"  # families that differ in sharing alone

OnStage = Callable[["Stage"], None]


class Stage(NamedTuple):
    """Where the learning stands.

    Attributes:
        name: of the family at work.
        number: its number, from 0.
        total: of families.
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


class Line(NamedTuple):
    """A line of the leaderboard.

    Attributes:
        name: of the family, or "mixture".
        description: in a few words.
        scores: on rows that it had not seen.
        seconds: that it took.
    """

    name: str
    description: str
    scores: Scores
    seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TableFit:
    """What was learned from a table, and how well it predicts.

    Attributes:
        predictor: of new rows.
        columns: what was predicted from what.
        data: the rows in which a target was known.
        rows: their places in the table, from 0.
        folds: of the rows learned from; or what was tested, if rows were set aside for that.
        shown: numbers of the rows in ``data`` that errors are shown of.
        held: predictions of these, by what had not seen them.
        leaderboard: every family, and last their mixture, on the same rows.
        weights: of every family for every task.
        coverage: what intervals held of the rows shown.
        importance: what each column is worth, on rows that folds left out.
        gain: over the simplest family that looks at the features; None without another one.
        sharing: loss of networks for all targets together over that of one for each; None without
            both.
        notes: what the user should know.
    """

    predictor: Predictor
    columns: Columns
    data: Data
    rows: Int[np.ndarray, " rows"]
    folds: Folds
    shown: Int[np.ndarray, " shown"]
    held: Float[np.ndarray, "shown outputs"]
    leaderboard: tuple[Line, ...]
    weights: Float[np.ndarray, "families tasks"]
    coverage: Coverage
    importance: Importance
    gain: Gain | None
    sharing: Gain | None
    notes: tuple[str, ...]


def fit_table(
    table: CellTable,
    columns: Columns,
    plan: Plan | None = None,
    *,
    reading: Reading | None = None,
    work: Work | None = None,
    on_stage: OnStage | None = None,
) -> TableFit:
    """Trains families of models on folds of a table, and mixes those that predict best.

    Every row is predicted by models that have not seen it; of these predictions a weighted mean is
    chosen for each task. What is kept is one such mixture a fold, and predicts by their mean.

    Args:
        table: with all columns in use.
        columns: from ``infer_columns``; of those, ``group`` and ``time`` say which rows may not
            stand on both sides of a fold.
        plan: how; None: all families, and no row set aside.
        reading: how tables to predict are to be read.
        work: see ``Method.fit``. Families that are through are kept in its ``checkpoint``, and
            taken from there if they have learned from the same rows in the same way; what the time
            has cut is not kept.
        on_stage: called as each family begins, and while networks learn.

    Returns:
        What predicts, and errors on rows that were not seen.

    Raises:
        TableError: rows that cannot be learned from or divided.
        ValueError: a family that there is not, or that does not go with the tasks.

    Example:
        >>> from jaxmtl.data import infer_columns, table_of_cells
        >>> x = [i % 7 for i in range(70)]
        >>> table = table_of_cells({"CO": x, "city": list("ABABB") * 14,
        ...                         "O3": [2 * v + i % 2 for i, v in enumerate(x)]})
        >>> plan = Plan(families=("mean", "linear"))
        >>> found = fit_table(table, infer_columns(table, targets=["O3"]), plan)
        >>> [line.name for line in found.leaderboard], found.weights.ravel().tolist()
        (['mean', 'linear', 'mixture'], [0.0, 1.0])
    """
    plan = plan or Plan()
    coding = fit_coding(table, columns)
    made = data_of_table(table, columns, coding)
    data, rows = made.data, made.rows
    learned, test = np.arange(len(rows)), np.zeros(0, int)
    if plan.test:
        learned, _, test = held_out_rows(table, columns, made, test=plan.test, seed=plan.seed)
    number = plan.folds or folds_for(len(learned))
    folds = folds_of_table(table, columns, made, number, seed=plan.seed, among=learned)
    fitted, seconds, cut = _fit_families(plan, data, folds, work or Work(), on_stage)
    fold = np.concatenate([np.full(len(part.test), k) for k, part in enumerate(folds)])
    seen = np.concatenate([part.test for part in folds])
    held = {name: np.concatenate(held_out(one, data, folds)) for name, one in fitted.items()}
    mixture = greedy(list(held.values()), data.y[seen], data.known[seen], data.tasks, fold)
    models = tuple(
        mixed([one.models[k] for one in fitted.values()], mixture.weights, data.tasks)
        for k in range(len(folds))
    )
    labels = data.y[seen], data.known[seen]
    widths = output_widths(data.tasks)
    apart = disagreement(list(held.values()), mixture.weights, mixture.predictions, widths)
    calibration = calibrate(data.tasks, mixture.predictions, *labels, fold, apart)
    predictor = Predictor(
        coding=coding,
        tasks=data.tasks,
        models=models,
        method=MIXED if len(fitted) > 1 else next(iter(fitted)),
        reading=reading or Reading(),
        calibration=calibration,
    )
    if len(test):
        shown = test
        bags = {name: _mean_of(one, data.x[test]) for name, one in fitted.items()}
        found = predictor.outputs_by_fold(data.x[test])
        own = found.mean
        covered = coverage_of(
            predictor, found, data.y[test], data.known[test], confidence_level=plan.confidence
        )
    else:
        shown, bags, own = seen, held, mixture.predictions
        left = ByFold(own[None], apart[None])
        covered = coverage_left_out(
            predictor, left, *labels, fold, data.x[seen], confidence_level=plan.confidence
        )
    block = blocks_of(table, columns, rows[shown], plan.seed)
    board = _leaderboard(bags, own, data, shown, learned, seconds)
    return TableFit(
        predictor=predictor,
        columns=columns,
        data=data,
        rows=rows,
        folds=folds,
        shown=shown,
        held=own,
        leaderboard=board,
        weights=mixture.weights,
        coverage=covered,
        importance=permutation_importance(models, data, folds, seed=plan.seed),
        gain=_gain(bags, own, data, shown, block),
        sharing=_sharing(bags, data, shown, block),
        notes=(*made.notes, *folds.notes, *cut, *_notes(fitted), *mixture.notes),
    )


def folds_for(rows: int) -> int:
    """Folds of a table, where nobody says how many.

    Few rows are worth more of them: models that learn from nine tenths are better by a hundredth
    than those that learn from four fifths, and it takes twice as long.

    Args:
        rows: to learn from.

    Returns:
        Their number.

    Example:
        >>> folds_for(1000), folds_for(1001)
        (10, 5)
    """
    return MORE_FOLDS if rows <= ROWS_FOR_MORE_FOLDS else FOLDS


def _fit_families(
    plan: Plan, data: Data, folds: Folds, work: Work, on_stage: OnStage | None
) -> tuple[dict[str, Fitted], dict[str, float], tuple[str, ...]]:
    """What each has learned, the seconds it took, and what is to be said of those left out."""
    fitted: dict[str, Fitted] = {}
    seconds: dict[str, float] = {}
    left_out: list[tuple[str, float]] = []
    names, others = families_for(plan.families, data)
    costs = {name: cost_of(name, data, folds) for name in names}
    longest = plan.longest if plan.seconds is None else None
    names, too_long = without_the_longest(costs, longest)
    free = None if plan.seconds is None else max(plan.seconds - plan.spent, MOMENT)
    timing = TimePlan({name: costs[name] for name in names}, free)
    kept = None
    if work.checkpoint is not None:
        kept = Kept(Path(work.checkpoint), data, folds, seed=plan.seed)
    before: list[str] = []
    for number, name in enumerate(names):
        found = None if kept is None else kept.load(name)
        if found is not None:
            fitted[name], seconds[name] = found
            before.append(name)
            timing.leave_out(name)
            continue
        # Something has to be learned, whatever the time.
        if fitted and name not in timing.kept():
            left_out.append((name, timing.needs(name)))
            timing.leave_out(name)
            continue
        tell = _teller(name, number, timing, on_stage, len(names))
        began = time.perf_counter()
        keys = jax.random.split(jax.random.key(plan.seed), len(folds))
        share = timing.share(name)
        place = None if kept is None or share is not None else kept.checkpoint(name)
        how = dataclasses.replace(
            work, seconds=share, checkpoint=place, resume=place is not None, on_progress=tell
        )
        fitted[name] = find_method(name).fit(data, folds, keys, how)
        seconds[name] = time.perf_counter() - began
        timing.done(name)
        give_memory_back()
        if kept is not None and share is None:
            kept.save(name, fitted[name], seconds[name])
    cut = [left_out_note(plan.seconds, left_out)] if left_out and plan.seconds else []
    if before:
        cut.append(f"kept from a fit that was broken off: {', '.join(map(said, before))}")
    return fitted, seconds, (*others, *too_long, *cut)


def _teller(
    name: str, number: int, timing: TimePlan, on_stage: OnStage | None, total: int
) -> OnProgress | None:
    """Says that a family begins, and gives what says how far it is."""
    if on_stage is None:
        return None
    on_stage(Stage(name, number, total, 0.0, timing.needs(name) + timing.later(name)))

    def tell(part: str, at: SweepProgress) -> None:
        del part
        left = at.seconds_left if at.seconds_left == at.seconds_left else timing.needs(name)
        share = at.done / max(at.total, 1)
        on_stage(Stage(name, number, total, share, left + timing.later(name)))

    return tell


def _notes(fitted: Mapping[str, Fitted]) -> list[str]:
    return list(dict.fromkeys(note for one in fitted.values() for note in one.notes))


def _mean_of(fitted: Fitted, x: np.ndarray) -> np.ndarray:
    return np.mean([model.predict(x) for model in fitted.models], axis=0)


def _leaderboard(
    bags: Mapping[str, np.ndarray],
    own: np.ndarray,
    data: Data,
    shown: np.ndarray,
    learned: np.ndarray,
    seconds: Mapping[str, float],
) -> tuple[Line, ...]:
    constant = constant_prediction(data.tasks, data.y[learned], data.known[learned])

    def scores(predicted: np.ndarray) -> Scores:
        y, known = data.y[shown], data.known[shown]
        return score(data.tasks, predicted, y, known, constant=constant)

    lines = [
        Line(name, find_method(name).description, scores(predicted), seconds[name])
        for name, predicted in bags.items()
    ]
    if len(bags) > 1:
        lines.append(Line(MIXED, "weighted mean of these", scores(own), sum(seconds.values())))
    return tuple(lines)


def _gain(
    bags: Mapping[str, np.ndarray],
    own: np.ndarray,
    data: Data,
    shown: np.ndarray,
    block: np.ndarray,
) -> Gain | None:
    over = next((name for name in bags if name != "mean"), None)
    if over is None or len(bags) == 1:
        return None
    return gain_over(over, own, bags[over], data, shown, block)


def _sharing(
    bags: Mapping[str, np.ndarray], data: Data, shown: np.ndarray, block: np.ndarray
) -> Gain | None:
    if TOGETHER not in bags or ONE_BY_ONE not in bags:
        return None
    return gain_over(ONE_BY_ONE, bags[TOGETHER], bags[ONE_BY_ONE], data, shown, block)

"""From a table to what predicts all of its targets: families of models, judged and mixed."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

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
from jaxmtl.methods import Fitted, Work, held_out, mixed
from jaxmtl.metrics.of_tasks import Scores, constant_prediction, score
from jaxmtl.plain.mixture import disagreement
from jaxmtl.prediction.calibration import calibrate
from jaxmtl.prediction.coverage import Coverage, coverage_left_out, coverage_of
from jaxmtl.prediction.families import LONGEST as LONGEST
from jaxmtl.prediction.families import Learned, OnStage, Plan, fit_families
from jaxmtl.prediction.families import Stage as Stage
from jaxmtl.prediction.gains import Gain, blocks_of, gain_over
from jaxmtl.prediction.importance import Importance, permutation_importance
from jaxmtl.prediction.predictor import ByFold, Predictor, Reading
from jaxmtl.prediction.structures import ONE_BY_ONE, TOGETHER, Decision, decide
from jaxmtl.statistics.selection import greedy
from jaxmtl.tasks import output_widths

MIXED = "mixture"
MEAN = "mean"  # family
FOLDS, MORE_FOLDS, ROWS_FOR_MORE_FOLDS = 5, 10, 1000


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
        structure: which targets share a network; None without networks, or with one target.
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
    structure: Decision | None
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
    learned_by = fit_families(plan, data, folds, work or Work(), on_stage)
    fitted = learned_by.fitted
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
    board = _leaderboard(bags, own, data, shown, learned, learned_by)
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
        structure=_structure(plan, learned_by, held, bags, data, (seen, shown, learned), block),
        notes=(*made.notes, *folds.notes, *learned_by.notes, *mixture.notes),
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


def _mean_of(fitted: Fitted, x: np.ndarray) -> np.ndarray:
    return np.mean([model.predict(x) for model in fitted.models], axis=0)


def _leaderboard(
    bags: Mapping[str, np.ndarray],
    own: np.ndarray,
    data: Data,
    shown: np.ndarray,
    learned: np.ndarray,
    by: Learned,
) -> tuple[Line, ...]:
    constant = bags.get(MEAN)  # parts of a table in time are predicted from those before alone
    if constant is None:
        constant = constant_prediction(data.tasks, data.y[learned], data.known[learned])
    lines = [
        Line(
            name,
            by.methods[name].description,
            _scores(predicted, data, shown, constant),
            by.seconds[name],
        )
        for name, predicted in bags.items()
    ]
    if len(bags) > 1:
        scores = _scores(own, data, shown, constant)
        lines.append(Line(MIXED, "weighted mean of these", scores, sum(by.seconds.values())))
    return tuple(lines)


def _scores(predicted: np.ndarray, data: Data, rows: np.ndarray, constant: np.ndarray) -> Scores:
    return score(data.tasks, predicted, data.y[rows], data.known[rows], constant=constant)


def _structure(
    plan: Plan,
    by: Learned,
    held: Mapping[str, np.ndarray],
    bags: Mapping[str, np.ndarray],
    data: Data,
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
    block: np.ndarray,
) -> Decision | None:
    """Decided on rows that folds held out, and judged on those that errors are shown of."""
    seen, shown, learned = rows
    constant = constant_prediction(data.tasks, data.y[learned], data.known[learned])
    relative = {name: _scores(own, data, seen, constant).relative for name, own in held.items()}
    asked = plan.structure if isinstance(plan.structure, str) else "a file"
    return decide(asked, by, relative, bags, constant, data, shown, block)


def _gain(
    bags: Mapping[str, np.ndarray],
    own: np.ndarray,
    data: Data,
    shown: np.ndarray,
    block: np.ndarray,
) -> Gain | None:
    over = next((name for name in bags if name != MEAN), None)
    if over is None or len(bags) == 1:
        return None
    return gain_over(over, own, bags[over], data, shown, block)


def _sharing(
    bags: Mapping[str, np.ndarray], data: Data, shown: np.ndarray, block: np.ndarray
) -> Gain | None:
    if TOGETHER not in bags or ONE_BY_ONE not in bags:
        return None
    return gain_over(ONE_BY_ONE, bags[TOGETHER], bags[ONE_BY_ONE], data, shown, block)

"""What share of rows intervals hold that were not used for them."""

from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float, Int
from msgspec import Meta, Struct

from jaxmtl.prediction.calibration import LEVEL, Bounds
from jaxmtl.prediction.predictor import ByFold, Predictor
from jaxmtl.prediction.shortage import Shortage
from jaxmtl.statistics.conformal import binomial_interval

Count = Annotated[int, Meta(ge=0)]
COMPARED = 50  # rows of a fold, that say how much higher one model predicts than another
ENDS = 20  # rows, below which a tenth of them says nothing


class Held(Struct):
    """How many of some rows an interval holds.

    Attributes:
        rows: whose label is known.
        held: of these.

    Example:
        >>> Held(rows=20, held=18).share
        0.9
    """

    rows: Count
    held: Count

    def __post_init__(self) -> None:
        """Checks what a file says."""
        if self.held > self.rows:
            raise ValueError(f"held: expected {self.rows} rows at most, got {self.held}")

    @property
    def share(self) -> float:
        """Held rows over rows; NaN without rows."""
        return self.held / self.rows if self.rows else float("nan")

    @property
    def between(self) -> tuple[float, float]:
        """Where the true share lies (95 %, exact binomial)."""
        return binomial_interval(self.held, self.rows)


class TaskCoverage(Struct):
    """What the intervals of a task hold.

    Attributes:
        all: of the rows.
        lowest: of the tenth with the lowest observed values; None for classes, and for few rows.
        highest: of the tenth with the highest.
        width: median width of the intervals; None where it is infinite. Of classes the mean number
            in a set.

    Example:
        >>> TaskCoverage(all=Held(rows=2, held=1), lowest=None, highest=None, width=3.0).all.share
        0.5
    """

    all: Held
    lowest: Held | None
    highest: Held | None
    width: Annotated[float, Meta(ge=0)] | None


class Coverage(Struct):
    """What intervals hold.

    Attributes:
        level: that they were made for.
        tasks: by name.
        joint: rows of which the joint intervals hold all tasks; None with one task, or where no row
            has all labels.
        shortages: tasks with too few rows for finite intervals of new rows; None in an older file.
        joint_shortage: the same of intervals that hold all tasks; None where there are enough.

    Example:
        >>> Coverage(level=0.9, tasks={}, joint=None).level
        0.9
    """

    level: Annotated[float, Meta(gt=0, lt=1)]
    tasks: dict[str, TaskCoverage]
    joint: Held | None
    shortages: dict[str, Shortage] | None = None
    joint_shortage: Shortage | None = None


def coverage_of(
    predictor: Predictor,
    found: ByFold,
    y: Float[np.ndarray, "rows tasks"],
    known: Bool[np.ndarray, "rows tasks"],
    *,
    confidence_level: float = LEVEL,
) -> Coverage:
    """What the intervals of a predictor hold of rows that it has not seen.

    Args:
        predictor: with a calibration.
        found: its outputs for the rows.
        y: their labels.
        known: which are known.
        confidence_level: of the intervals.

    Returns:
        Counts and widths by task.
    """
    each, joint = (
        predictor.bounds(found, confidence_level=confidence_level, joint=joint)
        for joint in (False, True)
    )
    return _coverage(predictor, each, joint, y, known, confidence_level)


def coverage_left_out(
    predictor: Predictor,
    found: ByFold,
    y: Float[np.ndarray, "rows tasks"],
    known: Bool[np.ndarray, "rows tasks"],
    fold: Int[np.ndarray, " rows"],
    x: Float[np.ndarray, "rows features"],
    *,
    confidence_level: float = LEVEL,
) -> Coverage:
    """What intervals hold of the rows that folds left out: those of a fold from the others' errors.

    What the others' models would predict of a row, had they not seen it, is taken to be what the
    fold's own model predicts and by how much theirs are higher on rows that both have seen. Where
    a model is all but constant, rows of equal labels are then as far from it in all folds; else
    those of the fold whose constant is the highest would all seem to be beyond the others'.

    Args:
        predictor: with a calibration.
        found: what each row was predicted to be by the fold that left it out, as one fold.
        y: their labels.
        known: which are known.
        fold: which fold left a row out, from 0.
        x: their coded features.
        confidence_level: of the intervals.

    Returns:
        As ``coverage_of``. The intervals are those of one fold's model, which has learned from
        fewer rows and is not a mean of several: they are wider than those of the predictor.
    """
    calibration = predictor.calibration
    assert calibration is not None
    higher = _higher(predictor, x, fold)
    folds = len(predictor.models)
    kinds = []
    for all_tasks in (False, True):
        parts = []
        for f in range(folds):
            at = fold == f
            parts.append(
                calibration.bounds(
                    predictor.tasks,
                    found.outputs[:, at] + higher[f][:, None],
                    np.repeat(found.disagreement[:, at], folds, axis=0),
                    confidence_level=confidence_level,
                    joint=all_tasks,
                    without=f,
                )
            )
        kinds.append(_in_order(parts, fold))
    each, joint = kinds
    return _coverage(predictor, each, joint, y, known, confidence_level)


def _higher(
    predictor: Predictor, x: Float[np.ndarray, "rows features"], fold: Int[np.ndarray, " rows"]
) -> Float[np.ndarray, "folds folds outputs"]:
    """By how much the outputs of a fold's model are higher than those of another's, on average."""
    folds = len(predictor.models)
    places = [np.flatnonzero(fold == k) for k in range(folds)]
    # Anywhere in the fold: its rows may be sorted.
    some = [at[np.linspace(0, len(at) - 1, min(len(at), COMPARED)).astype(int)] for at in places]
    rows = x[np.concatenate(some)]
    ends = np.cumsum([len(at) for at in some])[:-1]
    level = np.array(
        [
            [part.mean(axis=0) for part in np.split(model.predict(rows).astype(float), ends)]
            for model in predictor.models
        ]
    )
    found = np.zeros((folds, folds, level.shape[-1]))
    for f, g in np.ndindex(folds, folds):
        seen = [k for k in range(folds) if k not in (f, g)] or list(range(folds))
        found[f, g] = (level[g] - level[f])[seen].mean(axis=0)
    return found


def _in_order(parts: list[Bounds], fold: np.ndarray) -> Bounds:
    """Rows of all folds in their own order."""
    place = np.argsort(np.argsort(fold, kind="stable"), kind="stable")
    return Bounds(
        *(
            {name: np.concatenate([part[i][name] for part in parts])[place] for name in parts[0][i]}
            for i in range(2)
        )
    )


def _coverage(
    predictor: Predictor,
    each: Bounds,
    joint: Bounds,
    y: np.ndarray,
    known: np.ndarray,
    level: float,
) -> Coverage:
    tasks: dict[str, TaskCoverage] = {}
    together = np.ones(len(y), bool)
    for t, task in enumerate(predictor.tasks):
        at = known[:, t]
        inside = _inside(each, task.name, y[:, t], at)
        together &= at & _inside(joint, task.name, y[:, t], at)
        lowest = highest = None
        if task.has_classes:
            width = float(each.sets[task.name].sum(axis=1).mean())
        else:
            width = float(np.median(np.diff(each.ends[task.name], axis=1)))
            if at.sum() >= ENDS:
                order = np.argsort(y[at, t], kind="stable")
                tenth = len(order) // 10
                lowest, highest = (
                    _held(inside[at][part]) for part in (order[:tenth], order[-tenth:])
                )
        tasks[task.name] = TaskCoverage(
            all=_held(inside[at]),
            lowest=lowest,
            highest=highest,
            width=width if np.isfinite(width) else None,
        )
    whole = known.all(axis=1)
    several = len(predictor.tasks) > 1 and bool(whole.any())
    short = predictor.shortages(confidence_level=level, joint=True) if several else {}
    return Coverage(
        level=level,
        tasks=tasks,
        joint=_held(together[whole]) if several else None,
        shortages=predictor.shortages(confidence_level=level),
        joint_shortage=next(iter(short.values()), None),
    )


def _held(inside: np.ndarray) -> Held:
    return Held(rows=len(inside), held=int(inside.sum()))


def _inside(bounds: Bounds, name: str, y: np.ndarray, known: np.ndarray) -> np.ndarray:
    if name in bounds.sets:
        return bounds.sets[name][np.arange(len(y)), np.where(known, y, 0).astype(int)]
    ends = bounds.ends[name]
    return (y >= ends[:, 0]) & (y <= ends[:, 1])

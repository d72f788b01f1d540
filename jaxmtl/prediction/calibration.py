"""How sure a prediction is: intervals and sets of classes, from rows that were left out."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxmtl.plain.bounds import bounds_of, ranks_of
from jaxmtl.plain.columns import LEVEL as LEVEL
from jaxmtl.plain.conformal import conformal_rank, cv_plus
from jaxmtl.plain.spread import TERMS, SpreadModel, check_spread
from jaxmtl.statistics.spread import fit_spread
from jaxmtl.tasks import Task, output_slices


class Bounds(NamedTuple):
    """Between what the targets of rows lie.

    Attributes:
        ends: of numbers, lower and upper, by the name of the task; infinite where there are too few
            rows for the level.
        sets: of classes, whether a class is in the set, by the name of the task.
    """

    ends: dict[str, Float[np.ndarray, "rows 2"]]
    sets: dict[str, Bool[np.ndarray, "rows classes"]]


def intervals(
    predictions: Float[np.ndarray, "*folds rows"],
    residuals: Float[np.ndarray, " left_out"],
    fold: Int[np.ndarray, " left_out"] | None = None,
    *,
    confidence_level: float = LEVEL,
    spreads: Float[np.ndarray, "*folds rows"] | None = None,
) -> Float[np.ndarray, "rows 2"]:
    """Intervals from residuals of rows that a model has not learned from.

    Args:
        predictions: of new rows, by one model or by that of every fold.
        residuals: observed minus predicted, of rows that were left out, each by the model of the
            fold that left it out; divided by that model's spread there, if ``spreads`` are given.
        fold: which one that was; None with one model.
        confidence_level: share of new rows whose interval is to hold them.
        spreads: what the residuals of new rows are in proportion to; None: all rows alike.

    Returns:
        Lower and upper ends; infinite where there are too few residuals for the level. Rows must be
        exchangeable. One model: at least the level is held (split conformal). Folds: about the
        level, at least 2 x level - 1 (CV+).

    Raises:
        ValueError: shapes that do not go together, residuals or spreads that are no such numbers.

    Example:
        >>> residuals = np.array([-1.0, 0.5, 2.0, -0.1])
        >>> intervals(np.array([10.0, 20.0]), residuals, confidence_level=0.8)
        array([[ 8., 12.],
               [18., 22.]])

    References:
        See ``jaxmtl.plain.conformal.cv_plus``.
    """
    centres = np.atleast_2d(np.asarray(predictions, float))
    scores = np.abs(np.asarray(residuals, float))
    fold = np.zeros(len(scores), int) if fold is None else np.asarray(fold)
    widths = None if spreads is None else np.atleast_2d(np.asarray(spreads, float))
    if scores.ndim != 1 or fold.shape != scores.shape or not len(scores):
        raise ValueError(
            f"residuals: expected one a row and a fold for each, got shapes {scores.shape} and "
            f"{fold.shape}"
        )
    if not np.isfinite(scores).all():
        raise ValueError("residuals: expected finite numbers; leave rows without a label out")
    if not ((fold >= 0) & (fold < len(centres))).all():
        raise ValueError(
            f"fold: expected numbers from 0 to {len(centres) - 1}, one for each of the "
            f"predictions' folds, got {fold.min()} to {fold.max()}"
        )
    if widths is not None and widths.shape != centres.shape:
        raise ValueError(f"spreads: expected shape {centres.shape}, got {widths.shape}")
    if widths is not None and not (widths > 0).all():
        raise ValueError(f"spreads: expected numbers above 0, got {widths[~(widths > 0)][0]:g}")
    return cv_plus(centres, scores, fold, conformal_rank(len(scores), confidence_level), widths)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """Errors of rows that were left out, and how they follow from the row.

    Attributes:
        fold: which fold left a row out.
        scores: how far the prediction was off, over the spread there; of classes 1 minus the
            probability of the true one; NaN where the label is not known.
        terms: terms of ``SpreadModel`` that the spread of a task follows from: 0 for none.
        spreads: the model of every fold and task, as ``SpreadModel.to_array`` has it.

    Example:
        >>> from jaxmtl.tasks import number_tasks
        >>> rng = np.random.default_rng(0)
        >>> y = rng.normal(size=(50, 1))
        >>> found = calibrate(number_tasks(["CO"]), np.zeros((50, 1)), y, np.ones((50, 1), bool),
        ...                   np.arange(50) % 5)
        >>> bounds = found.bounds(number_tasks(["CO"]), np.zeros((5, 1, 1)), confidence_level=0.9)
        >>> bounds.ends["CO"].round(1).tolist()
        [[-1.5, 1.5]]
    """

    fold: Int[np.ndarray, " left_out"]
    scores: Float[np.ndarray, "left_out tasks"]
    terms: Int[np.ndarray, " tasks"]
    spreads: Float[np.ndarray, "folds tasks parts"]

    def bounds(
        self,
        tasks: Sequence[Task],
        outputs: Float[np.ndarray, "folds rows outputs"],
        disagreement: Float[np.ndarray, "folds rows tasks"] | None = None,
        *,
        confidence_level: float = LEVEL,
        joint: bool = False,
        without: int | None = None,
    ) -> Bounds:
        """Intervals and sets of rows.

        Args:
            tasks: in the order of the outputs.
            outputs: of every fold's model.
            disagreement: how far the parts of that model are apart; None for 0.
            confidence_level: share of rows to hold.
            joint: whether it is the share of rows of which all tasks are held together.
            without: a fold whose rows are taken for new ones: its own errors are not used.

        Returns:
            Ends and sets by task.
        """
        found = bounds_of(
            self.arrays(),
            [task.to_json() for task in tasks],
            outputs,
            disagreement,
            level=confidence_level,
            joint=joint,
            without=without,
        )
        return Bounds(*found)

    def rows_used(self, *, joint: bool = False) -> tuple[int, ...]:
        """Rows whose errors intervals of each task follow from.

        Args:
            joint: whether only rows with all labels count.
        """
        known = np.isfinite(self.scores)
        counts = [known.all(axis=1).sum()] * known.shape[1] if joint else known.sum(axis=0)
        return tuple(map(int, counts))

    def infinite(self, *, confidence_level: float = LEVEL, joint: bool = False) -> tuple[bool, ...]:
        """Of which tasks intervals are infinite, and sets hold all classes, for want of rows.

        Args:
            confidence_level: share of rows to hold.
            joint: whether it is the share of rows of which all tasks are held together.
        """
        ranks = ranks_of(self.scores, confidence_level, joint)
        used = self.rows_used(joint=joint)
        return tuple(rank > rows for rank, rows in zip(ranks, used, strict=True))

    def arrays(self) -> dict[str, np.ndarray]:
        """What ``calibration_of`` takes."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def calibrate(
    tasks: Sequence[Task],
    held: Float[np.ndarray, "left_out outputs"],
    y: Float[np.ndarray, "left_out tasks"],
    known: Bool[np.ndarray, "left_out tasks"],
    fold: Int[np.ndarray, " left_out"],
    disagreement: Float[np.ndarray, "left_out tasks"] | None = None,
) -> Calibration:
    """What intervals follow from: errors on rows left out, and what makes them larger.

    The error of a row may grow with what is predicted and with the disagreement of the families of
    models; whether it does is decided on rows that the growth was not fitted on.

    Args:
        tasks: in the order of the outputs.
        held: what each row was predicted to be by the fold that left it out.
        y: labels; numbers of classes.
        known: which labels are known.
        fold: which fold left a row out, from 0.
        disagreement: spread of the families of that fold around their mean; None for 0.

    Returns:
        What ``Calibration.bounds`` needs.
    """
    folds = int(fold.max()) + 1
    scores = np.full(y.shape, np.nan)
    terms = np.zeros(len(tasks), int)
    spreads = np.zeros((folds, len(tasks), SpreadModel.length()))
    for t, (task, part) in enumerate(zip(tasks, output_slices(tasks), strict=True)):
        at = known[:, t]
        own, label = held[at, part], y[at, t]
        if task.has_classes:
            scores[at, t] = 1 - own[np.arange(len(own)), label.astype(int)]
            continue
        apart = np.zeros(at.sum()) if disagreement is None else disagreement[at, t]
        off = np.abs(label - own[:, 0])
        found = fit_spread(own[:, 0], apart, off, fold[at], folds)
        terms[t] = found[0].terms
        for f, model in enumerate(found):
            spreads[f, t] = model.to_array()
            here = fold[at] == f
            scores[np.flatnonzero(at)[here], t] = off[here] / model(own[here, 0], apart[here])
    return Calibration(fold=fold, scores=scores, terms=terms, spreads=spreads)


def calibration_of(
    arrays: Mapping[str, Any], *, tasks: Sequence[Task], folds: int
) -> Calibration | None:
    """Reads what ``Calibration.arrays`` gave.

    Args:
        arrays: by name; empty where there is none.
        tasks: that are predicted.
        folds: of the models.

    Returns:
        The calibration, or None.

    Raises:
        ValueError: arrays of another kind.
    """
    if not arrays:
        return None
    names = [field.name for field in dataclasses.fields(Calibration)]
    if sorted(arrays) != sorted(names):
        raise ValueError(f"intervals: expected {', '.join(names)}, got {', '.join(arrays)[:80]}")
    fold, scores, terms, spreads = (np.asarray(arrays[name]) for name in names)
    shapes = {
        "fold": (fold, (len(scores),) if scores.ndim else (), "i"),
        "scores": (scores, (len(scores) if scores.ndim else 0, len(tasks)), "f"),
        "terms": (terms, (len(tasks),), "i"),
        "spreads": (spreads, (folds, len(tasks), SpreadModel.length()), "f"),
    }
    for name, (array, shape, kind) in shapes.items():
        if array.shape != shape or array.dtype.str[1:] != f"{kind}8":
            raise ValueError(
                f"intervals: {name}: expected shape {shape} of kind {kind}, got {array.shape} of "
                f"{array.dtype}"
            )
    if not ((fold >= 0) & (fold < folds)).all() or not np.isin(terms, TERMS).all():
        raise ValueError(
            f"intervals: expected folds below {folds}, and terms of {', '.join(map(str, TERMS))}"
        )
    told = np.isfinite(scores)
    if not np.isfinite(spreads).all() or not (np.isnan(scores) | (told & (scores >= 0))).all():
        raise ValueError("intervals: expected finite spreads, and finite scores of 0 or more")
    numbers = [t for t, task in enumerate(tasks) if not task.has_classes]
    for f, t in np.ndindex(folds, len(numbers)):
        check_spread(spreads[f, numbers[t]])
    return Calibration(fold=fold, scores=scores, terms=terms, spreads=spreads)

"""Between what the targets of rows lie, from a calibration and the outputs of every fold."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .conformal import class_sets, conformal_rank, cv_plus, joint_rank
from .spread import SpreadModel

CLASSES = ("classes", "ordered")  # kinds of tasks with an output a class


def bounds_of(
    calibration: Mapping[str, np.ndarray],
    tasks: Sequence[Mapping[str, Any]],
    outputs: np.ndarray,
    disagreement: np.ndarray | None = None,
    *,
    level: float,
    joint: bool = False,
    without: int | None = None,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Intervals of numbers, and sets of classes.

    Args:
        calibration: arrays of ``jaxmtl.prediction.calibration.Calibration``.
        tasks: as they are saved, in the order of the outputs.
        outputs: (folds, rows, outputs) of every fold's model.
        disagreement: (folds, rows, tasks), how far the parts of that model are apart; None for 0.
        level: share of rows to hold.
        joint: whether it is the share of rows of which all tasks are held together.
        without: a fold whose rows are taken for new ones: its own errors are not used.

    Returns:
        (rows, 2), lower and upper ends, and (rows, classes), whether a class is in the set, each by
        the name of the task.

    Raises:
        ValueError: a level that is not between 0 and 1.

    Example:
        >>> calibration = {
        ...     "fold": np.zeros(3, int), "scores": np.array([[0.5], [1.0], [2.0]]),
        ...     "terms": np.zeros(1, int),
        ...     "spreads": np.array([[[1.0, *[0.0] * (SpreadModel.length() - 1)]]])}
        >>> ends, _ = bounds_of(calibration, [{"name": "CO", "kind": "number", "classes": []}],
        ...                     np.zeros((1, 1, 1)), level=0.7)
        >>> ends["CO"].round(6).tolist()
        [[-2.0, 2.0]]
    """
    every, of_row = calibration["scores"], calibration["fold"]
    here = np.ones(len(of_row), bool) if without is None else of_row != without
    ranks = ranks_of(every[here], level, joint)
    ends: dict[str, np.ndarray] = {}
    sets: dict[str, np.ndarray] = {}
    at = 0
    for t, task in enumerate(tasks):
        width = len(task["classes"]) or 1
        own, at = outputs[..., at : at + width], at + width
        known = here & np.isfinite(every[:, t])
        if joint:
            known &= np.isfinite(every).all(axis=1)
        scores = every[known, t]
        fold = of_row[known]
        if task["kind"] in CLASSES:
            inside = class_sets(own, scores, fold, ranks[t])
            sets[task["name"]] = without_gaps(inside) if task["kind"] == "ordered" else inside
            continue
        apart = np.zeros(outputs.shape[:2]) if disagreement is None else disagreement[..., t]
        terms = int(calibration["terms"][t])
        spread = np.stack(
            [
                SpreadModel.of_array(calibration["spreads"][f, t], terms)(centre, each)
                for f, (centre, each) in enumerate(zip(own[..., 0], apart, strict=True))
            ]
        )
        found = cv_plus(own[..., 0], scores, fold, ranks[t], spread)
        ends[task["name"]] = np.maximum(found, 0) if task["kind"] == "count" else found
    return ends, sets


def ranks_of(scores: np.ndarray, level: float, joint: bool) -> list[int]:
    """The rank of the errors of each task that bounds it, from their scores (rows, tasks)."""
    if joint:
        whole = scores[np.isfinite(scores).all(axis=1)]
        return [joint_rank(whole, level)] * scores.shape[1]
    return [conformal_rank(int(n), level) for n in np.isfinite(scores).sum(axis=0)]


def without_gaps(inside: np.ndarray) -> np.ndarray:
    """Sets of ordered classes with all between the least and the largest.

    Args:
        inside: (rows, classes), whether a class is in the set.

    Example:
        >>> without_gaps(np.array([[True, False, True, False]])).tolist()
        [[True, True, True, False]]
    """
    up = np.maximum.accumulate(inside, axis=1)
    down = np.maximum.accumulate(inside[:, ::-1], axis=1)[:, ::-1]
    return up & down

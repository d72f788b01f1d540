"""Predictions as columns of a table: values, ends of intervals, classes, probabilities."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxmtl.prediction.calibration import LEVEL, Bounds
from jaxmtl.tasks import Task, output_slices

Columns = dict[str, list[Any]]


def predicted_columns(
    tasks: Sequence[Task],
    words: Mapping[str, np.ndarray],
    outputs: Float[np.ndarray, "rows outputs"],
    bounds: Bounds | None = None,
    level: float = LEVEL,
) -> Columns:
    """What is predicted, the columns of a task side by side.

    Args:
        tasks: in the order of the outputs.
        words: by the name of the task: numbers in original units, or classes.
        outputs: with the probabilities of classes.
        bounds: of the rows; None for no intervals.
        level: that these hold.

    Returns:
        By name: the prediction, its interval, and the probability of every class.

    Example:
        >>> predicted_columns([Task(name="CO")], {"CO": np.array([1.5])}, np.array([[1.5]]))
        {'CO': [1.5]}
    """
    found: Columns = {}
    for task, part in zip(tasks, output_slices(tasks), strict=True):
        found[task.name] = words[task.name].tolist()
        if bounds is not None:
            found |= interval_columns(task, bounds, level)
        if task.has_classes:
            for name, column in zip(task.classes, outputs[:, part].T, strict=True):
                found[f"{task.name} probability of {name}"] = column.tolist()
    return found


def interval_columns(task: Task, bounds: Bounds, level: float) -> Columns:
    """Ends of the intervals of a task, or the classes of its sets in words.

    Args:
        task: that is predicted.
        bounds: of the rows.
        level: that they hold.

    Returns:
        By name; None for an end that is infinite.

    Example:
        >>> bounds = Bounds({"CO": np.array([[1.0, np.inf]])}, {})
        >>> interval_columns(Task(name="CO"), bounds, 0.9)
        {'CO lower 90 %': [1.0], 'CO upper 90 %': [None]}
    """
    at = level_words(level)
    if task.has_classes:
        classes = np.array(list(map(str, task.classes)), object)
        words = [" or ".join(classes[inside]) for inside in bounds.sets[task.name]]
        return {f"{task.name} one of {at}": words}
    found: Columns = {}
    for side, column in zip(("lower", "upper"), bounds.ends[task.name].T, strict=True):
        ends = column.tolist()
        found[f"{task.name} {side} {at}"] = [end if np.isfinite(end) else None for end in ends]
    return found


def level_words(level: float) -> str:
    """A level in words.

    Args:
        level: between 0 and 1.

    Example:
        >>> level_words(0.975)
        '97.5 %'
    """
    return f"{100 * level:.10g} %"


def level_of(metrics: Mapping[str, Any]) -> float:
    """The level of a run's intervals.

    Args:
        metrics: contents of ``metrics.json``.

    Returns:
        0.9 where the run does not say.
    """
    return float((metrics.get("intervals") or {}).get("level", LEVEL))

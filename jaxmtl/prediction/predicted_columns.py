"""Predictions as columns of a table: values, ends of intervals, classes, probabilities."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from jaxmtl.plain.columns import LEVEL, Columns, columns_of, interval_columns_of
from jaxmtl.plain.columns import level_of as level_of
from jaxmtl.plain.columns import level_words as level_words
from jaxmtl.prediction.calibration import Bounds
from jaxmtl.tasks import Task


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
    return columns_of([task.to_json() for task in tasks], words, outputs, bounds, level)


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
    return interval_columns_of(task.to_json(), bounds, level)

"""How well a network does, task by task, by its loss and in original units."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxmtl.data import Preprocessing, Rows
from jaxmtl.metrics import Scores, score
from jaxmtl.tasks import number_tasks


class TaskErrors(NamedTuple):
    """Errors of each task over the rows whose target is known; NaN where there are none.

    Attributes:
        loss: mean squared error of the scaled values, which training minimises.
        scores: measures in original units.
    """

    loss: Float[np.ndarray, " tasks"]
    scores: Scores


def task_errors(
    predicted: Float[np.ndarray, "rows tasks"], rows: Rows, coding: Preprocessing
) -> TaskErrors:
    """Errors of predictions.

    Args:
        predicted: scaled predictions.
        rows: scaled rows that were predicted.
        coding: the way back to original units.

    Returns:
        The errors of each task.

    Example:
        >>> from jaxmtl.data import Scaler
        >>> scaler = Scaler(np.array([10.0]), np.array([100.0]))
        >>> coding = Preprocessing(features=("CO",), targets=("PM2.5",), feature_scaler=scaler,
        ...                        target_scaler=scaler)
        >>> rows = Rows(x=np.zeros((2, 1)), y=np.array([[0.5], [0.25]]))
        >>> loss, scores = task_errors(np.array([[0.0], [0.75]]), rows, coding)
        >>> loss.tolist(), scores.of("rmse").tolist(), scores.of("mae").tolist()
        ([0.25], [50.0], [50.0])
    """
    tasks = number_tasks(coding.targets)
    y = np.asarray(rows.y, dtype=np.float64)
    predicted = np.asarray(predicted, dtype=np.float64)
    known = None if rows.known is None else np.asarray(rows.known)
    return TaskErrors(
        loss=score(tasks, predicted, y, known).of("mse"),
        scores=score(tasks, coding.decode(predicted), coding.decode(y), known),
    )


def ratio(
    adaptive: Float[np.ndarray, "*tasks"], hard: Float[np.ndarray, "*tasks"]
) -> Float[np.ndarray, "*tasks"]:
    """Adaptive errors over those of hard sharing; NaN where the latter are 0.

    Args:
        adaptive: errors.
        hard: errors of the same rows and unit.

    Returns:
        Below 1 where the adaptive run is the better one.

    Example:
        >>> ratio(np.array([1.0, 3.0]), np.array([2.0, 0.0])).tolist()
        [0.5, nan]
    """
    hard = np.asarray(hard)
    with np.errstate(invalid="ignore"):  # infinite over infinite, after a divergence
        return np.where(hard > 0, np.asarray(adaptive) / np.where(hard > 0, hard, 1), np.nan)

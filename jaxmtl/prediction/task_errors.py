"""How well a network does, task by task, in scaled and in original units."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxmtl.data import Preprocessing, Rows


class TaskErrors(NamedTuple):
    """Errors of each task over the rows whose target is known; NaN where there are none.

    Attributes:
        mse: mean squared error of the scaled values, which training minimises.
        rmse: root of the mean squared error in original units.
        mae: mean absolute error in original units.
    """

    mse: Float[np.ndarray, " tasks"]
    rmse: Float[np.ndarray, " tasks"]
    mae: Float[np.ndarray, " tasks"]


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
        >>> [e.tolist() for e in task_errors(np.array([[0.0], [0.75]]), rows, coding)]
        [[0.25], [50.0], [50.0]]
    """
    y = np.asarray(rows.y, dtype=np.float64)
    predicted = np.asarray(predicted, dtype=np.float64)
    known = np.ones(y.shape, bool) if rows.known is None else np.asarray(rows.known)
    # After a divergence, predictions may be anything; what is not finite is told as such.
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = predicted - y
        original = coding.decode(predicted) - coding.decode(y)
        return TaskErrors(
            mse=_mean_over_known(scaled**2, known),
            rmse=np.sqrt(_mean_over_known(original**2, known)),
            mae=_mean_over_known(np.abs(original), known),
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


def _mean_over_known(
    values: Float[np.ndarray, "rows tasks"], known: np.ndarray
) -> Float[np.ndarray, " tasks"]:
    count = known.sum(axis=0)
    total = np.where(known, values, 0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)

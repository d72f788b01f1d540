"""What is to be said of single rows that were predicted, and of them all."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxmtl.data.feature_range import describe_outside
from jaxmtl.plain.notes import notes_on_numbers
from jaxmtl.prediction.predictor import Predictor


class RowNotes(NamedTuple):
    """Notes on predictions.

    Attributes:
        by_row: one a row, empty where there is nothing to say.
        summary: sentences about all rows, without full stops.
    """

    by_row: tuple[str, ...]
    summary: tuple[str, ...]


def row_notes(
    predictor: Predictor,
    x: Float[np.ndarray, "rows features"],
    predicted: Float[np.ndarray, "rows tasks"],
) -> RowNotes:
    """Which rows have no prediction, why, and which lie outside what was trained on.

    Args:
        predictor: that made the predictions.
        x: features in original units, NaN where missing.
        predicted: of these rows, in original units.

    Returns:
        The notes.

    Example:
        >>> from jaxmtl.data import Preprocessing, Scaler
        >>> from jaxmtl.data.feature_range import FeatureRange
        >>> from jaxmtl.methods import LinearModel
        >>> from jaxmtl.tasks import number_tasks
        >>> scaler = Scaler(np.zeros(1), np.ones(1))
        >>> coding = Preprocessing(
        ...     features=("CO",), targets=("O3",), feature_scaler=scaler, target_scaler=scaler,
        ...     feature_range=FeatureRange(np.array([0.0]), np.array([2.0])))
        >>> line = LinearModel(slopes=np.ones((1, 1)), intercept=np.zeros(1))
        >>> predictor = Predictor(
        ...     coding=coding, tasks=number_tasks(["O3"]), models=(line,), method="ridge")
        >>> x = np.array([[1.0], [9.0]])
        >>> row_notes(predictor, x, predictor.predict(x)).by_row
        ('', 'outside the training rows: CO')
    """
    x = np.asarray(x, dtype=np.float64)
    coding = predictor.preprocessing
    summary = []
    gaps = np.isnan(x) & (predictor.reading.missing_features == "drop")
    missing = gaps.any(axis=1)
    if missing.any():
        summary.append(f"{missing.sum()} of {len(x)} rows have a missing feature and no prediction")
    odd = np.asarray(~np.isfinite(predicted).all(axis=1) & ~missing)
    if odd.any():
        first = _values(coding.features, x[int(np.argmax(odd))])
        summary.append(
            f"{odd.sum()} of {len(x)} rows have a prediction that is not finite and is left blank, "
            f"with all features known: {first}"
        )
    outside = np.zeros(x.shape, bool)
    if coding.feature_range is not None:
        outside = coding.feature_range.beyond(x) > 0
        said = describe_outside(coding.feature_range, coding.features, x)
        summary += [] if said is None else [said]
    notes = notes_on_numbers(coding.features, gaps, odd, outside)
    return RowNotes(tuple(notes), tuple(summary))


def _values(names: Sequence[str], row: np.ndarray, most: int = 4) -> str:
    """The first such row, by which one can find out why."""
    shown = [f"{name} {value:.4g}" for name, value in zip(names[:most], row, strict=False)]
    return f"the first has {', '.join(shown)}" + (" and so on" if len(names) > most else "")

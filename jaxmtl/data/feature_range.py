"""Values of features that no training row came near: what is predicted there is a guess."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxmtl.plain.notes import MOST_NAMED


class FeatureRange(NamedTuple):
    """The least and the greatest value of each feature among the training rows.

    Attributes:
        low: in original units.
        high: the same.

    Example:
        >>> trained = FeatureRange(np.array([0.0, 7.0]), np.array([10.0, 7.0]))
        >>> trained.beyond(np.array([[35.0, 7.0], [-5.0, 8.0], [np.nan, 7.0]])).tolist()
        [[2.5, 0.0], [0.5, inf], [0.0, 0.0]]
    """

    low: Float[np.ndarray, " features"]
    high: Float[np.ndarray, " features"]

    def beyond(self, x: Float[np.ndarray, "rows features"]) -> Float[np.ndarray, "rows features"]:
        """How far values lie outside, in widths of the range; 0 within it and where missing."""
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            off = np.nan_to_num(np.fmax(np.fmax(self.low - x, x - self.high), 0.0), posinf=np.inf)
            return np.where(off > 0, off / (self.high - self.low), 0.0)


def range_of(x: Float[np.ndarray, "rows features"]) -> FeatureRange:
    """The range of the known values of training rows.

    Args:
        x: in original units, NaN where missing; a known value in every column.

    Returns:
        The range.

    Example:
        >>> range_of(np.array([[1.0], [np.nan], [3.0]]))
        FeatureRange(low=array([1.]), high=array([3.]))
    """
    return FeatureRange(np.nanmin(x, axis=0), np.nanmax(x, axis=0))


def describe_outside(
    trained: FeatureRange,
    names: Sequence[str],
    x: Float[np.ndarray, "rows features"],
    *,
    rows: str = "rows",
    least: float = 0.0,
) -> str | None:
    """How many rows lie outside, in which columns, and how far.

    Args:
        trained: the range of the training rows.
        names: of the features.
        x: rows in original units, NaN where missing.
        rows: what the sentence calls them.
        least: nothing is said unless a value lies more than so many widths of the range outside.

    Returns:
        A sentence without a full stop; None where there is nothing to say.

    Example:
        >>> trained = FeatureRange(np.array([0.0]), np.array([10.0]))
        >>> describe_outside(trained, ["CO"], np.array([[50.0], [5.0], [12.0]]))
        ... # doctest: +NORMALIZE_WHITESPACE
        '2 of 3 rows hold values outside those of the training rows, where predictions are
        guesses: CO in 2 rows (as far as 50, trained on 0 to 10)'
    """
    beyond = trained.beyond(x)
    outside = beyond > 0
    if not (beyond > least).any():
        return None
    order = np.argsort(-beyond.max(axis=0), kind="stable")
    columns = [j for j in order.tolist() if outside[:, j].any()]
    told = []
    for j in columns[:MOST_NAMED]:
        count = int(outside[:, j].sum())
        far = x[int(np.argmax(beyond[:, j])), j]
        low, high = trained.low[j], trained.high[j]
        on = f"{low:.4g} only" if low == high else f"{low:.4g} to {high:.4g}"
        told.append(
            f"{names[j]} in {count} row{'s' * (count > 1)} (as far as {far:.4g}, trained on {on})"
        )
    if len(columns) > MOST_NAMED:
        more = len(columns) - MOST_NAMED
        told.append(f"and {more} column{'s' * (more > 1)} more")
    count = int(outside.any(axis=1).sum())
    return (
        f"{count} of {len(x)} {rows} hold values outside those of the training rows, where "
        f"predictions are guesses: {', '.join(told)}"
    )

"""Affine scaling of columns, and the way back to the original units."""

from typing import Literal, NamedTuple, cast

import jax
import numpy as np
from jaxtyping import Float

from jaxmtl._validate import check_choice

AnyArray = np.ndarray | jax.Array
ScalingKind = Literal["minmax", "standard", "none"]


class Scaler(NamedTuple):
    """Scales column j to ``(x[..., j] - offset[j]) / scale[j]``.

    A column of scale 0 was constant where the scaler was fitted: it is scaled to 0, whatever it
    holds, and comes back as ``offset``. NaN stays NaN. Both ways work on NumPy and JAX arrays of
    any number of leading axes, under jit and vmap.

    Attributes:
        offset: what is scaled to 0, in original units.
        scale: the length that is scaled to 1, in original units; 0 for a constant column.

    Example:
        >>> scaler = Scaler(offset=np.array([10.0]), scale=np.array([5.0]))
        >>> scaler.transform(np.array([[10.0], [20.0]])).tolist()
        [[0.0], [2.0]]
        >>> scaler.inverse(np.array([[2.0]])).tolist()
        [[20.0]]
    """

    offset: Float[AnyArray, " columns"]
    scale: Float[AnyArray, " columns"]

    def transform(self, x: Float[AnyArray, "*rows columns"]) -> Float[AnyArray, "*rows columns"]:
        """Original units to scaled ones."""
        offset, scale = _along_last(self.offset, x), _along_last(self.scale, x)
        constant = scale == 0
        return (x - offset) / (scale + constant) * ~constant

    def inverse(self, x: Float[AnyArray, "*rows columns"]) -> Float[AnyArray, "*rows columns"]:
        """Scaled units to original ones."""
        return x * _along_last(self.scale, x) + _along_last(self.offset, x)


def fit_scaler(x: Float[np.ndarray, "rows columns"], kind: ScalingKind = "minmax") -> Scaler:
    """Fits a scaler to the known values of each column.

    Args:
        x: values in original units, NaN where missing.
        kind: "minmax" maps the least and the greatest value to 0 and 1, "standard" the mean and
            one standard deviation (of the population) above it, and "none" changes nothing.

    Returns:
        The scaler, in float64.

    Raises:
        ValueError: a column has no known value or an infinite one, or spans more than float64.

    Example:
        >>> scaler = fit_scaler(np.array([[1.0, 7.0], [3.0, 7.0], [np.nan, 7.0]]))
        >>> scaler.offset.tolist(), scaler.scale.tolist()
        ([1.0, 7.0], [2.0, 0.0])
    """
    check_choice("kind", kind, ("minmax", "standard", "none"))
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2:
        raise ValueError(f"x: expected an array of shape (rows, columns), got {x.shape}")
    if kind == "none":
        return Scaler(np.zeros(x.shape[1]), np.ones(x.shape[1]))
    for j in range(x.shape[1]):
        if np.isnan(x[:, j]).all():
            raise ValueError(f"x: expected a known value in column {j}, got none")
    low, high = np.nanmin(x, axis=0), np.nanmax(x, axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        span = high - low
    if not np.isfinite(span).all():
        j = int(np.argmin(np.isfinite(span)))
        raise ValueError(
            f"x: expected finite values no further apart than float64 reaches, got {low[j]} to "
            f"{high[j]} in column {j}"
        )
    if kind == "minmax":
        return Scaler(low, span)
    # In units of the span, so that squares neither overflow nor vanish.
    unit = (x - low) / np.where(span == 0, 1, span)
    return Scaler(low + span * np.nanmean(unit, axis=0), span * np.nanstd(unit, axis=0))


def _along_last(vector: AnyArray, x: AnyArray) -> AnyArray:
    """The vector with as many axes as ``x``: JAX may be set to refuse implicit ones."""
    return cast(AnyArray, vector.reshape((1,) * (x.ndim - 1) + (-1,)))

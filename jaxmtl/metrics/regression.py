"""Errors of predicted numbers."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxmtl.metrics._rows import as_float, known_mask, mean_known, ratio


def rmse(
    outputs: Float[Array, "rows ..."],
    targets: Float[Array, "rows ..."],
    known: Bool[Any, "rows ..."] | None = None,
) -> Float[Array, "..."]:
    """Root of the mean squared error of each task.

    Args:
        outputs: predictions, traced.
        targets: true values in the same units, traced.
        known: which targets are known, traced; None for all.

    Returns:
        One number a task in the units of the targets; NaN with no known row.

    Raises:
        ValueError: shapes that differ.

    Example:
        >>> import jax.numpy as jnp
        >>> float(rmse(jnp.array([1.0, 5.0]), jnp.array([1.0, 1.0]), jnp.array([False, True])))
        4.0
    """
    outputs, targets = as_float(outputs), as_float(targets)
    known = known_mask("outputs", outputs, targets, known)
    error = jnp.where(known, outputs - targets, 0)
    return jnp.sqrt(mean_known(error**2, known))


def mae(
    outputs: Float[Array, "rows ..."],
    targets: Float[Array, "rows ..."],
    known: Bool[Any, "rows ..."] | None = None,
) -> Float[Array, "..."]:
    """Mean absolute error of each task.

    Args:
        outputs: predictions, traced.
        targets: true values in the same units, traced.
        known: which targets are known, traced; None for all.

    Returns:
        One number a task in the units of the targets; NaN with no known row.

    Raises:
        ValueError: shapes that differ.

    Example:
        >>> import jax.numpy as jnp
        >>> float(mae(jnp.array([1.0, 5.0]), jnp.array([2.0, 2.0])))
        2.0
    """
    outputs, targets = as_float(outputs), as_float(targets)
    known = known_mask("outputs", outputs, targets, known)
    return mean_known(jnp.abs(outputs - targets), known)


def r2_score(
    outputs: Float[Array, "rows ..."],
    targets: Float[Array, "rows ..."],
    known: Bool[Any, "rows ..."] | None = None,
) -> Float[Array, "..."]:
    """Coefficient of determination of each task: 1 - sum (y - o)**2 / sum (y - mean y)**2.

    Args:
        outputs: predictions o, traced.
        targets: true values y, traced.
        known: which targets are known, traced; None for all.

    Returns:
        One number a task: 1 is perfect, 0 as good as the mean of the targets. Of a constant target,
        1 if it is met exactly and else 0, as in scikit-learn; NaN with fewer than two known rows.

    Raises:
        ValueError: shapes that differ.

    Example:
        >>> import jax.numpy as jnp
        >>> float(r2_score(jnp.array([1.0, 2.0, 2.0]), jnp.array([1.0, 2.0, 3.0])))
        0.5
    """
    outputs, targets = as_float(outputs), as_float(targets)
    known = known_mask("outputs", outputs, targets, known)
    targets = jnp.where(known, targets, 0)
    centred = jnp.where(known, targets - mean_known(targets, known)[None], 0)
    left = (jnp.where(known, outputs - targets, 0) ** 2).sum(axis=0)
    spread = (centred**2).sum(axis=0)
    r2 = jnp.where(spread == 0, (left == 0).astype(left.dtype), 1 - ratio(left, spread))
    return jnp.where(known.sum(axis=0) < 2, jnp.nan, r2)

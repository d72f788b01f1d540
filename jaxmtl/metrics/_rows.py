"""Masks and means that every metric needs."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def known_mask(
    name: str, values: Array, labels: Array, known: Any | None
) -> Bool[Array, "rows ..."]:
    """The mask as an array of the labels' shape, once all three shapes agree.

    Args:
        name: of the values in the error message.
        values: predictions.
        labels: true values.
        known: which labels are known, or None.

    Returns:
        The mask.

    Raises:
        ValueError: shapes that differ, or no axis of rows.
    """
    if labels.ndim < 1 or values.shape != labels.shape:
        raise ValueError(
            f"{name}: expected the shape of the labels, with the rows first, "
            f"got {values.shape} for labels {labels.shape}"
        )
    if known is None:
        return jnp.ones(labels.shape, jnp.bool)
    known = jnp.asarray(known, jnp.bool)
    if known.shape != labels.shape:
        raise ValueError(
            f"known: expected the shape of the labels {labels.shape}, got {known.shape}"
        )
    return known


def mean_known(
    values: Float[Array, "rows ..."], known: Bool[Array, "rows ..."]
) -> Float[Array, "..."]:
    """Mean over the known rows; NaN where there is none."""
    return jnp.where(known, values, 0).sum(axis=0) / known.sum(axis=0)


def ratio(
    over: Float[Array, "..."], under: Float[Array, "..."], *, undefined: float = 0.0
) -> Float[Array, "..."]:
    """``over / under``, with a given value where ``under`` is 0."""
    return jnp.where(under == 0, undefined, over / jnp.where(under == 0, 1, under))


def as_float(values: Any) -> Float[Array, "..."]:
    """The values in float32 or wider: half precision cannot count beyond 2048."""
    values = jnp.asarray(values)
    return values.astype(jnp.promote_types(values.dtype, jnp.float32))

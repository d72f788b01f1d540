"""Keeps a missing target out of the gradient without hiding it from the value."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def check_same_shape(outputs: Array, targets: Array) -> None:
    """Raises ValueError unless outputs and targets have one shape."""
    if outputs.shape != targets.shape:
        raise ValueError(
            f"targets: expected the shape of the outputs {outputs.shape}, got {targets.shape}"
        )


def guarded(
    loss: Callable[[Array], Float[Array, "..."]],
    targets: Array,
    missing: Bool[Array, "..."],
) -> Float[Array, "..."]:
    """``loss(targets)``, NaN with a slope of 0 where a target is missing.

    The target is replaced before the loss sees it: masking only the result would leave 0 * NaN in
    the backward pass.

    Args:
        loss: elementwise in the targets.
        targets: true values, traced.
        missing: where there is none, traced.

    Returns:
        The losses.
    """
    values = loss(jnp.where(missing, jnp.zeros((), targets.dtype), targets))
    return jnp.where(missing, jnp.nan, values)

"""Bounds on outputs, as values that are to be <= 0 and as how far an output lies outside."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmtl._pytree import register_dataclass


def bound_excess(
    outputs: Float[Array, "*shape"],
    *,
    lower: Float[Array, "..."] | float | None = None,
    upper: Float[Array, "..."] | float | None = None,
) -> Float[Array, "*shape"]:
    """How far every output lies outside of its bounds: relu(lower - y) + relu(y - upper).

    Args:
        outputs: in any unit, traced.
        lower: a number, or an array that broadcasts to the outputs, in their unit, traced; None for
            no lower bound.
        upper: the same; may not be None if ``lower`` is.

    Returns:
        Distances to the interval, 0 inside; NaN stays NaN.

    Raises:
        ValueError: neither bound, or one that does not broadcast to the outputs.

    Example:
        >>> import jax.numpy as jnp
        >>> bound_excess(jnp.array([0.0, 0.75, 2.0]), lower=0.5, upper=1.0).tolist()
        [0.5, 0.0, 1.0]
    """
    if lower is None and upper is None:
        raise ValueError("bound_excess: expected a lower or an upper bound, got neither")
    excess = jnp.zeros_like(outputs)
    if lower is not None:
        excess += jax.nn.relu(_bound("lower", lower, outputs) - outputs)
    if upper is not None:
        excess += jax.nn.relu(outputs - _bound("upper", upper, outputs))
    return excess


@register_dataclass
@dataclasses.dataclass(frozen=True)
class OutputBound:
    """Bounds on one output column, as a constraint for ``jaxmtl.training.fit_constrained``.

    Called with outputs and task losses, it gives one column of values a bound, (batch, 1 or 2):
    lower - y and y - upper, which are to be <= 0. The bounds are leaves, so a sweep may vmap them.

    Attributes:
        column: of the outputs of all tasks side by side, from 0; static.
        lower: in the unit of the output, or None.
        upper: in the unit of the output, or None.

    Example:
        >>> import jax.numpy as jnp
        >>> OutputBound(1, lower=0.5)(jnp.array([[0.0, 0.25], [0.0, 1.0]]), None).tolist()
        [[0.25], [-0.5]]
    """

    column: int = dataclasses.field(metadata={"static": True})
    lower: Any = None
    upper: Any = None

    def __post_init__(self) -> None:
        """Checks that there is a bound."""
        if self.lower is None and self.upper is None:
            raise ValueError("OutputBound: expected a lower or an upper bound, got neither")

    def __call__(
        self, outputs: Float[Array, "batch outputs"], losses: Any
    ) -> Float[Array, "batch constraints"]:
        """Values that are to be <= 0, one row a sample."""
        del losses
        if not -outputs.shape[-1] <= self.column < outputs.shape[-1]:
            raise ValueError(
                f"OutputBound: expected a column below {outputs.shape[-1]}, the number of outputs, "
                f"got {self.column}"
            )
        y = outputs[:, self.column]
        values = [] if self.lower is None else [self.lower - y]
        values += [] if self.upper is None else [y - self.upper]
        return jnp.stack(values, axis=-1)


def _bound(name: str, bound: Any, outputs: Array) -> Array:
    bound = jnp.asarray(bound, outputs.dtype)
    try:
        return jnp.broadcast_to(bound, outputs.shape)
    except ValueError:
        raise ValueError(
            f"{name}: expected a number or a shape that broadcasts to the outputs {outputs.shape}, "
            f"got {bound.shape}"
        ) from None

"""Soft constraints: a price on leaving the bounds."""

import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxmtl._pytree import register_dataclass
from jaxmtl._validate import check_positive, is_concrete
from jaxmtl.constraints.bounds import bound_excess
from jaxmtl.constraints.violation import Equality, excess_of


def bound_penalty(
    outputs: Float[Array, "*shape"],
    *,
    lower: Float[Array, "..."] | float | None = None,
    upper: Float[Array, "..."] | float | None = None,
    strength: Float[Array, ""] | float = 1.0,
    mask: Bool[Array, "*shape"] | None = None,
) -> Float[Array, ""]:
    """Penalty strength * mean(relu(lower - y)^2), its upper-bound and its two-sided form.

    It is smooth, costs nothing inside of the bounds, and its slope falls to 0 at the bound: at any
    finite strength an output that its own loss pulls outward rests somewhat outside.

    Args:
        outputs: y, traced.
        lower: a number, or an array that broadcasts to the outputs, traced; None for no bound.
        upper: the same; may not be None if ``lower`` is.
        strength: at least 0, in units of the loss over the output's unit squared, traced.
        mask: which outputs count, traced; None for all. The mean is over those that count; what the
            others hold, NaN even, has no influence on the value or the gradient.

    Returns:
        A scalar, 0 if no output counts.

    Raises:
        ValueError: neither bound, a negative strength, or shapes that do not fit.

    Example:
        >>> import jax.numpy as jnp
        >>> y = jnp.array([[0.0], [0.5], [1.0], [3.0]])
        >>> float(bound_penalty(y, lower=0.5, strength=10.0))
        0.625
        >>> float(bound_penalty(y, lower=0.5, upper=1.0, strength=10.0))
        10.625
    """
    if is_concrete(strength):
        check_positive("strength", float(strength), zero=True)
    if mask is None:
        return strength * (bound_excess(outputs, lower=lower, upper=upper) ** 2).mean()
    if mask.shape != outputs.shape:
        raise ValueError(
            f"mask: expected the shape of the outputs {outputs.shape}, got {mask.shape}"
        )
    # Masked before and after: no NaN of an output that does not count reaches the gradient.
    excess = bound_excess(jnp.where(mask, outputs, 0), lower=lower, upper=upper)
    counted = jnp.maximum(mask.sum(), 1).astype(outputs.dtype)
    return strength * (jnp.where(mask, excess, 0) ** 2).sum() / counted


@dataclasses.dataclass(frozen=True)
class SoftBound:
    """Bounds and strength of ``bound_penalty``, in a form that a network may hold.

    Attributes:
        lower: a number, or a tuple with one a column; None for no lower bound.
        upper: the same.
        strength: at least 0.

    Example:
        >>> import jax.numpy as jnp
        >>> float(SoftBound(lower=0.5, strength=10.0).penalty(jnp.array([[0.0], [0.5]])))
        1.25
    """

    lower: Any = None
    upper: Any = None
    strength: float = 1.0

    def __post_init__(self) -> None:
        """Checks the numbers."""
        if self.lower is None and self.upper is None:
            raise ValueError("SoftBound: expected a lower or an upper bound, got neither")
        check_positive("strength", self.strength, zero=True)
        for name in ("lower", "upper"):
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))

    def penalty(self, outputs: Float[Array, "batch width"]) -> Float[Array, ""]:
        """The penalty of a batch of outputs of one task."""
        return bound_penalty(outputs, lower=self.lower, upper=self.upper, strength=self.strength)


@register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class QuadraticPenalty:
    """Penalty strength * relu(g)^2 of values g that are to be <= 0 (strength * h^2 of equalities).

    The method without memory, for ``jaxmtl.training.fit_constrained``: the soft penalty of a fixed
    strength, and with strength 0 no constraint at all, though violation is still measured.

    Attributes:
        strength: at least 0, a number or one a constraint, traced.
        equality: whether values are to be 0 rather than <= 0, for all or one a constraint (the last
            axis of the values). Static.

    Example:
        >>> import jax.numpy as jnp
        >>> soft = QuadraticPenalty(strength=10.0)
        >>> soft.terms(jnp.array([-1.0, 0.5]), soft.init(jnp.zeros(2))).tolist()
        [0.0, 2.5]
    """

    strength: Any = 1.0
    equality: Equality = dataclasses.field(default=False, metadata={"static": True})

    def init(self, values: Float[Array, "*batch constraints"]) -> tuple[()]:
        """There is no state."""
        del values
        return ()

    def terms(
        self, values: Float[Array, "*batch constraints"], state: tuple[()]
    ) -> Float[Array, "*batch constraints"]:
        """What every value adds to the loss."""
        del state
        strength = jnp.broadcast_to(jnp.asarray(self.strength, values.dtype), values.shape)
        return strength * excess_of(values, self.equality) ** 2

    def update(self, values: Float[Array, "*batch constraints"], state: tuple[()]) -> tuple[()]:
        """Nothing changes."""
        del values
        return state

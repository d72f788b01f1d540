"""Augmented Lagrangian: multipliers that find the price of every constraint."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmtl._pytree import register_dataclass
from jaxmtl.constraints.violation import Equality, is_equality


class AugmentedLagrangianState(NamedTuple):
    """What the method knows of each constraint; every field has the shape of the values.

    Attributes:
        multiplier: estimate of the Lagrange multiplier; >= 0 for inequalities.
        penalty: penalty factor rho.
        residual: what the last update found of violation and of a multiplier without need.
    """

    multiplier: Float[Array, "*batch constraints"]
    penalty: Float[Array, "*batch constraints"]
    residual: Float[Array, "*batch constraints"]


@register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentedLagrangian:
    """Method of multipliers for min f(x) subject to g(x) <= 0 and h(x) = 0.

    Add ``terms(values, state).sum()`` to f and minimise for a while, then call ``update``; repeat.
    The terms are, with multiplier m and penalty factor rho of the constraint,

        (max(0, m + rho g)^2 - m^2) / (2 rho)   for g <= 0,
        m h + rho h^2 / 2                       for h = 0,

    and the update is m <- max(0, m + rho g), or m <- m + rho h. Unlike a penalty of fixed strength,
    a point that satisfies the constraint to any accuracy is found at a finite penalty factor: where
    minimisation ends, the multiplier is that of the Kuhn-Tucker conditions, the price of tightening
    the constraint by one unit. Schedule of the penalty factor: it is multiplied by ``growth``, up
    to ``max_penalty``, for each constraint whose residual (|h|, or |max(g, -m / rho)|) is above
    ``progress`` times that of the last update and above ``tolerance``. Growth 1 holds it; for a
    schedule of one's own, write it into the state: ``state._replace(penalty=...)``.

    The shape of the values is free. One entry a constraint is the textbook's form; with (samples,
    constraints), every sample has its own multiplier, and where the mean of the terms is added to
    the loss instead of their sum, multipliers are scaled by the number of samples. All numbers are
    leaves: an instance may be traced and mapped over.

    Attributes:
        penalty: rho at the start, above 0.
        growth: factor of the schedule, at least 1.
        progress: in [0, 1]; a residual has to fall below this share of the last to count as
            progress.
        tolerance: a residual up to this, in the constraint's unit, leaves rho alone (multipliers
            still move), so that rounding errors at the solution do not drive it to its limit.
        max_penalty: limit of rho.
        max_multiplier: limit of |m|, so that a constraint that cannot be met does not run away.
        equality: whether the values are h rather than g: of all, or one a constraint (the last
            axis). Static.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> method = AugmentedLagrangian(penalty=1.0)  # min (x - 2)^2 subject to x <= 1
        >>> objective = lambda x, state: (x - 2) ** 2 + method.terms(x - 1, state)
        >>> slope = jax.grad(lambda x, state: objective(x, state).sum())
        >>> def outer(_, carry):
        ...     x, state = carry
        ...     x = jax.lax.fori_loop(0, 20, lambda _, x: x - 0.1 * slope(x, state), x)
        ...     return x, method.update(x - 1, state)
        >>> start = jnp.zeros(1), method.init(jnp.zeros(1))
        >>> x, state = jax.lax.fori_loop(0, 30, outer, start)
        >>> round(float(x[0]), 4), round(float(state.multiplier[0]), 3)
        (1.0, 2.0)

    References:
        Hestenes (1969), Multiplier and gradient methods; Powell (1969); Rockafellar (1973), the
        form for inequalities; Birgin, Martinez (2014), Practical Augmented Lagrangian Methods,
        algorithm 4.1 (residual, growth, limits). Departure: factors grow constraint by constraint.
    """

    penalty: Any = 1.0
    growth: Any = 2.0
    progress: Any = 0.5
    tolerance: Any = 1e-4
    max_penalty: Any = 1e4
    max_multiplier: Any = 1e6
    equality: Equality = dataclasses.field(default=False, metadata={"static": True})

    def __post_init__(self) -> None:
        """Checks plain numbers; leaves may be traced."""
        limits = {"penalty": 0.0, "growth": 1.0, "max_penalty": 0.0, "max_multiplier": 0.0}
        for name, low in limits.items():
            value = getattr(self, name)
            if not isinstance(value, int | float | np.number):
                continue
            if not (value >= low and value > 0):
                above = ">= 1" if low else "> 0"
                raise ValueError(f"AugmentedLagrangian: expected {name} {above}, got {value}")
        if isinstance(self.progress, int | float) and not 0 <= self.progress <= 1:
            raise ValueError(
                f"AugmentedLagrangian: expected progress in [0, 1], got {self.progress}"
            )

    def init(self, values: Float[Array, "*batch constraints"]) -> AugmentedLagrangianState:
        """State at the start: multipliers 0.

        Args:
            values: anything with the shape and type of the values; their content is not used.

        Returns:
            The state.
        """
        start = jnp.asarray(self.penalty, values.dtype)
        return AugmentedLagrangianState(
            multiplier=jnp.zeros(values.shape, values.dtype),
            penalty=jnp.broadcast_to(start, values.shape),
            residual=jnp.full(values.shape, jnp.inf, values.dtype),
        )

    def terms(
        self, values: Float[Array, "*batch constraints"], state: AugmentedLagrangianState
    ) -> Float[Array, "*batch constraints"]:
        """What every constraint adds to the objective.

        Args:
            values: g or h at the current point, traced.
            state: traced; constant while the objective is minimised.

        Returns:
            Terms of the shape of the values; those of satisfied inequalities are <= 0.
        """
        _check_shapes(values, state)
        multiplier, penalty = state.multiplier, state.penalty
        # Equal to the textbook's form, without the difference of two large squares.
        active = values * (multiplier + penalty * values / 2)
        slack = -(multiplier**2) / (2 * penalty)
        presses = is_equality(self.equality, values) | ~(multiplier + penalty * values <= 0)
        return jnp.where(presses, active, slack)

    def update(
        self, values: Float[Array, "*batch constraints"], state: AugmentedLagrangianState
    ) -> AugmentedLagrangianState:
        """Multipliers and penalty factors after the objective was minimised.

        Args:
            values: g or h at the point reached, traced.
            state: traced.

        Returns:
            The new state, of the same shapes and types.
        """
        _check_shapes(values, state)
        equality = is_equality(self.equality, values)
        multiplier = state.multiplier + state.penalty * values
        multiplier = jnp.where(equality, multiplier, jnp.maximum(multiplier, 0))
        need = jnp.maximum(values, -state.multiplier / state.penalty)
        residual = jnp.abs(jnp.where(equality, values, need))
        stalled = (residual > self.progress * state.residual) & (residual > self.tolerance)
        grown = jnp.minimum(state.penalty * self.growth, self.max_penalty)
        new = AugmentedLagrangianState(
            multiplier=jnp.clip(multiplier, -self.max_multiplier, self.max_multiplier),
            penalty=jnp.where(stalled, grown, state.penalty),
            residual=residual,
        )
        return jax.tree.map(lambda leaf, old: leaf.astype(old.dtype), new, state)


def _check_shapes(values: Array, state: AugmentedLagrangianState) -> None:
    if values.shape != state.multiplier.shape:
        raise ValueError(
            f"values: expected the shape of the state {state.multiplier.shape}, "
            f"got {values.shape}; init needs values of the shape that terms and update get"
        )

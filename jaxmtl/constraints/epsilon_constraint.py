"""Epsilon-constraint between tasks: some no worse than a bound while the others improve."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmtl._pytree import register_dataclass
from jaxmtl.constraints.augmented_lagrangian import (
    AugmentedLagrangian,
    AugmentedLagrangianState,
)


@register_dataclass
@dataclasses.dataclass(frozen=True)
class EpsilonConstraint:
    """Minimises the sum of some task losses while each of the others stays at or below a bound.

    min sum over free t of L_t subject to L_t <= b_t for the others, by the augmented Lagrangian on
    the task losses. Each bound gives one point of the trade-off between tasks; in contrast to a
    sweep of loss weights, points on concave parts of the front are found too, and the bound is in
    the unit of the loss. The multiplier of a task is the slope of the front there: what one unit of
    its bound is worth in loss of the free tasks.

    Attributes:
        bounds: one a task, in the unit of its loss; None for a task that is free. Which are None is
            static; the numbers are leaves, so a front is traced by one vmap over bounds.
        method: how multipliers are found.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> losses_of = lambda w: jnp.stack([w**2, (w - 1) ** 2])  # w = 0 or w = 1?
        >>> epsilon = EpsilonConstraint(bounds=(None, 0.25))
        >>> w, state = jnp.float32(0.0), epsilon.init(jnp.zeros(2))
        >>> slope = jax.grad(lambda w, state: epsilon.objective(losses_of(w), state))
        >>> @jax.jit
        ... def outer(_, carry):
        ...     w, state = carry
        ...     w = jax.lax.fori_loop(0, 20, lambda _, w: w - 0.1 * slope(w, state), w)
        ...     return w, epsilon.update(losses_of(w), state)
        >>> w, state = jax.lax.fori_loop(0, 40, outer, (w, state))
        >>> round(float(w), 3), round(float(state.multiplier[0]), 2)
        (0.5, 1.0)

    References:
        Haimes, Lasdon, Wismer (1971), On a bicriterion formulation; Miettinen (1998), Nonlinear
        Multiobjective Optimization, section 3.2.
    """

    bounds: Sequence[Any]
    method: AugmentedLagrangian = AugmentedLagrangian()

    def __post_init__(self) -> None:
        """Checks that there is something to bound and something to minimise."""
        object.__setattr__(self, "bounds", tuple(self.bounds))
        free = [bound is None for bound in self.bounds]
        if all(free) or not any(free):
            raise ValueError(
                "EpsilonConstraint: expected a bound for some tasks and None for the others, "
                f"got {self.bounds}"
            )
        for bound in self.bounds:
            if isinstance(bound, int | float | np.number) and not np.isfinite(bound):
                raise ValueError(f"EpsilonConstraint: expected finite bounds, got {self.bounds}")

    @property
    def task_weights(self) -> tuple[float, ...]:
        """1 for the tasks whose losses are minimised, 0 for those that are bounded."""
        return tuple(float(bound is None) for bound in self.bounds)

    def values(self, losses: Float[Array, " tasks"]) -> Float[Array, " constraints"]:
        """Loss minus bound of every bounded task, to be <= 0; in the order of the tasks."""
        if losses.shape != (len(self.bounds),):
            raise ValueError(
                f"losses: expected one a task, shape ({len(self.bounds)},), got {losses.shape}"
            )
        pairs = enumerate(self.bounds)
        return jnp.stack([losses[t] - bound for t, bound in pairs if bound is not None])

    def __call__(
        self, outputs: Any, losses: Float[Array, " tasks"]
    ) -> Float[Array, " constraints"]:
        """``values(losses)``, in the form that ``jaxmtl.training.fit_constrained`` asks for."""
        del outputs
        return self.values(losses)

    def init(self, losses: Float[Array, " tasks"]) -> AugmentedLagrangianState:
        """State at the start; of the losses, only shape and type matter."""
        return self.method.init(self.values(losses))

    def objective(
        self, losses: Float[Array, " tasks"], state: AugmentedLagrangianState
    ) -> Float[Array, ""]:
        """What to minimise: the free losses and the terms of the bounded ones."""
        values = self.values(losses)
        free = [losses[t] for t, bound in enumerate(self.bounds) if bound is None]
        return sum(free) + self.method.terms(values, state).sum()

    def update(
        self, losses: Float[Array, " tasks"], state: AugmentedLagrangianState
    ) -> AugmentedLagrangianState:
        """New multipliers, from the losses at the point reached (over all rows, not one batch)."""
        return self.method.update(self.values(losses), state)

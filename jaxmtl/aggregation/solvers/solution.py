"""What solvers of the nonnegative program return, and how far it is off."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


class Solution(NamedTuple):
    """Result of a solver.

    Attributes:
        x: the minimiser.
        support: where x is free.
        converged: whether the residual is within tolerance.
        residual: largest violation of a condition, relative to 1 + max |x|.
    """

    x: Float[Array, "*batch n"]
    support: Bool[Array, "*batch n"]
    converged: Bool[Array, "*batch"]
    residual: Float[Array, "*batch"]


def solution_of(
    x: Float[Array, "*batch n"], support: Bool[Array, "*batch n"], residual: Float[Array, "*batch"]
) -> Solution:
    """The solution that is x, but for entries below 0."""
    return Solution(jnp.maximum(x, 0), support, residual <= tolerance(x.dtype), residual)


def tolerance(dtype: Any) -> float:
    """Residual up to which a solution counts as converged."""
    return 100 * float(jnp.finfo(dtype).eps) ** 0.75


def enough(q: Float[Array, " n"]) -> float:
    """Residual at which there is nothing to gain."""
    return (8 + q.shape[0]) * float(jnp.finfo(q.dtype).eps)


def violation(
    x: Float[Array, "*batch n"], y: Float[Array, "*batch n"], support: Bool[Array, "*batch n"]
) -> Float[Array, "*batch"]:
    """The residual of x, where y = C x + q is 0 on the support only as far as it was solved."""
    worst = jnp.max(jnp.where(support, jnp.maximum(-x, jnp.abs(y)), -y), axis=-1)
    return jnp.maximum(worst, 0) / (1 + jnp.max(jnp.abs(x), axis=-1))

"""Projection onto the dual cone of the rows: the nearest direction that hurts no task."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmtl.aggregation.solvers.linear import Unit
from jaxmtl.aggregation.solvers.nonnegative import Solution, nonnegative_qp


@jax.jit
def project_dual_cone(unit: Unit, weights: Float[Array, "*batch tasks"]) -> Solution:
    """Weights v >= u of the projection of J^T u onto {d : J d >= 0}, that minimise v'G v.

    Args:
        unit: the Gram matrix as cosines and norms, traced.
        weights: u times the norms of the rows, that is, weights of unit rows; of order 1. Traced.

    Returns:
        x = v - u times the norms, what the projection adds, and the state of the solver.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmtl.aggregation.solvers.linear import unit_gram
        >>> unit = unit_gram(jnp.array([[1.0, -0.5], [-0.5, 1.0]]), jnp.ones(2, bool))
        >>> project_dual_cone(unit, jnp.array([1.0, 0.0])).x.round(5).tolist()
        [0.0, 0.5]

    References:
        Quinton, Rey (2024), Jacobian descent, arXiv:2406.16232, proposition 1.
    """
    alive = jnp.where(_expand(unit.live, weights), weights, 0)
    linear = jnp.where(
        _expand(unit.live, weights),
        (_expand(unit.cosines, alive[..., None]) * alive[..., None, :]).sum(axis=-1),
        0,
    )
    return nonnegative_qp(unit.cosines, linear)


def _expand(values: Array, target: Array) -> Array:
    return jnp.expand_dims(values, range(target.ndim - values.ndim))

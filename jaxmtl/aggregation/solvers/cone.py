"""Projections onto the dual cone of the rows: the nearest directions that hurt no task."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxmtl.aggregation.solvers.linear import Unit, multiply
from jaxmtl.aggregation.solvers.nonnegative import nonnegative_qp
from jaxmtl.aggregation.solvers.solution import Solution
from jaxmtl.aggregation.solvers.trust import (
    ROUNDING,
    Trust,
    amplification,
    cancelling,
    cancels,
    estimate,
    length_of,
    thin,
    vanishes,
    verdict,
)


class Projections(NamedTuple):
    """Projections, and how far their sum may be off.

    Attributes:
        added: x = v - u times the norms, what each projection adds to its weights.
        converged: whether the sum is right, as far as rounding can tell.
        residual: how far it is off, relative to its length.
    """

    added: Float[Array, "batch tasks"]
    converged: Bool[Array, ""]
    residual: Float[Array, ""]


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
    return nonnegative_qp(unit.cosines, _linear(unit, weights))


@jax.jit
def sum_of_projections(
    unit: Unit, starts: Float[Array, "batch tasks"], shares: Float[Array, " batch"]
) -> Projections:
    """``project_dual_cone``, and a verdict on the sum of the projections.

    Args:
        unit: the Gram matrix as cosines and norms, traced.
        starts: weights u of unit rows, one projection a row; of order 1. Traced.
        shares: factors of the projections in the sum, the largest 1 or 0. Traced.

    Returns:
        The projections.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmtl.aggregation.solvers.linear import unit_gram
        >>> unit = unit_gram(jnp.array([[1.0, -0.5], [-0.5, 1.0]]), jnp.ones(2, bool))
        >>> found = sum_of_projections(unit, jnp.eye(2), jnp.ones(2))
        >>> found.added.round(5).tolist(), bool(found.converged)
        ([[0.0, 0.5], [0.5, 0.0]], True)
    """
    trust = amplification(unit.cosines)
    # Beside them, whether rows cancel: a program with the same matrix.
    linear = jnp.concatenate([_linear(unit, starts), cancelling(trust)[None]])
    x = nonnegative_qp(unit.cosines, linear).x
    added, even = x[:-1], x[-1]
    return Projections(added, *_judge(unit.cosines, starts, added, shares, trust, even))


def _linear(unit: Unit, weights: Float[Array, "*batch tasks"]) -> Float[Array, "*batch tasks"]:
    live = _expand(unit.live, weights)
    alive = jnp.where(live, weights, 0)
    return jnp.where(
        live, (_expand(unit.cosines, alive[..., None]) * alive[..., None, :]).sum(axis=-1), 0
    )


def _judge(
    cosines: Float[Array, "n n"],
    starts: Float[Array, "batch n"],
    added: Float[Array, "batch n"],
    shares: Float[Array, " batch"],
    trust: Trust,
    even: Float[Array, " n"],
) -> tuple[Bool[Array, ""], Float[Array, ""]]:
    """``verdict`` on a sum of projections."""
    eps = float(jnp.finfo(cosines.dtype).eps)
    weights = starts + added
    products = jnp.matmul(weights, cosines, precision=jax.lax.Precision.HIGHEST)
    off = jnp.where(added > 0, products, jnp.minimum(products, 0))
    off = jnp.where((shares > 0)[:, None], off, 0)
    lengths = length_of(weights)
    exact = (jnp.abs(off) <= ROUNDING * eps * (1 + lengths)[:, None]).all()
    unknown = thin(cosines, even)
    if jnp.finfo(cosines.dtype).bits == 64:
        # What is known to cancel stays 0 whatever the weights are, next to rows that are shorter.
        known = cancels(cosines, weights) & ~unknown
        trust = trust._replace(noise=jnp.where(known, 1, trust.noise))
    if cosines.shape[0] == 2:  # one row is projected off the other: nothing small is divided by
        trust = trust._replace(noise=jnp.ones_like(trust.noise))
    errors = estimate(trust, lengths, off) * shares
    total = (shares[:, None] * weights).sum(axis=0)
    violation = jnp.max(jnp.abs(off) * shares[:, None])
    # What is left of rows that cancel is nothing beside the shortest of them, too.
    parts = (shares[:, None] * starts).sum(axis=0)
    shortest = jnp.min(jnp.where(parts > 0, parts, jnp.inf))
    usual = jnp.minimum(length_of(shares * length_of(starts)), parts.shape[0] * shortest)
    good, residual = verdict(cosines, total, violation, length_of(errors), usual)
    # Beside rows that are opposite but for rounding, what is left of a third may turn about.
    square = (total * multiply(cosines, total)).sum()
    exact &= vanishes(square, total) | ~unknown
    # What is too much for rounding is no small residual.
    return good & exact, jnp.where(exact, residual, jnp.maximum(residual, 2 * eps**0.5))


def _expand(values: Array, target: Array) -> Array:
    return jnp.expand_dims(values, range(target.ndim - values.ndim))

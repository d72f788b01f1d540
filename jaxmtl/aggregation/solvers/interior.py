"""Interior-point steps to a nonnegative program whose support pivoting does not find."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxmtl.aggregation.solvers.linear import factored_solver, masked_solver, multiply, ridge
from jaxmtl.aggregation.solvers.solution import Solution, better, enough, solution_of

INTERIOR_STEPS = 60


class _Interior(NamedTuple):
    x: Array
    y: Array
    best: Solution
    round: Array


def interior_point(
    matrix: Float[Array, "n n"], q: Float[Array, " n"], wanted: Bool[Array, ""]
) -> Solution:
    """Predictor and corrector steps to x'y = 0 from within x > 0, y > 0; none if not wanted."""
    least = enough(q)
    eye = jnp.eye(q.shape[0], dtype=q.dtype)

    def length(z: Array, dz: Array) -> Array:
        return jnp.minimum(1, jnp.min(jnp.where(dz < 0, -z / jnp.where(dz < 0, dz, 1), jnp.inf)))

    def body(carry: _Interior) -> _Interior:
        x, y, best, number = carry
        off = multiply(matrix, x) + q - y
        ratio = y / x
        # The ridge does not move the solution: the right side knows nothing of it.
        solve = factored_solver(matrix + (ratio + ridge(q.dtype))[:, None] * eye)

        def direction(target: Array) -> tuple[Array, Array]:
            dx = solve(target - off)
            return dx, target - ratio * dx

        dx, dy = direction(-y)
        mean = (x * y).mean()
        after = ((x + length(x, dx) * dx) * (y + length(y, dy) * dy)).mean()
        centre = (after / mean) ** 3 * mean
        dx, dy = direction((centre - dx * dy) / x - y)
        x, y = x + 0.99 * length(x, dx) * dx, y + 0.99 * length(y, dy) * dy
        best = better(_rounded(matrix, q, x, x > y), best)
        return _Interior(x, y, best, number + 1)

    ones = jnp.ones_like(q)
    start = solution_of(ones, ones > 0, jnp.where(wanted, jnp.inf, 0).astype(q.dtype))
    return jax.lax.while_loop(
        lambda c: (c.best.residual > least) & (c.round < INTERIOR_STEPS),
        body,
        _Interior(ones, ones, start, jnp.int32(0)),
    ).best


def exact_on(
    matrix: Float[Array, "n n"], q: Float[Array, " n"], found: Solution, shift: Float[Array, ""]
) -> Solution:
    """The solution on the same support, next to the one that was found."""
    y = multiply(matrix, found.x) + q
    x = found.x - masked_solver(matrix, found.support, shift=shift)(y)
    return _rounded(matrix, q, jnp.maximum(x, 0), found.support)


def _rounded(
    matrix: Float[Array, "n n"], q: Float[Array, " n"], x: Float[Array, " n"], support: Array
) -> Solution:
    """x on its support, with everything that is off in its residual."""
    x = jnp.where(support, x, 0)
    y = multiply(matrix, x) + q
    off = jnp.max(jnp.where(support, jnp.abs(y), -y))
    return solution_of(x, support, jnp.maximum(off, 0) / (1 + jnp.max(x)))

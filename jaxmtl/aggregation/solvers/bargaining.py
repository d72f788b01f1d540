"""Fixed points G w = w^(-1/alpha): the Nash bargaining solution and its relatives."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxmtl.aggregation.settings import Real
from jaxmtl.aggregation.solvers.linear import (
    UNROLLED,
    factored_solver,
    multiply,
    unit_gram,
    unrolled_inverse,
)
from jaxmtl.aggregation.solvers.solution import Solution
from jaxmtl.aggregation.solvers.trust import accuracy

LIMIT = 100


class _Carry(NamedTuple):
    z: Array
    moved: Array  # largest relative change in the last round
    round: Array


def fair_weights(
    gram: Float[Array, "tasks tasks"],
    present: Bool[Array, " tasks"],
    alpha: Real,
    preferences: Float[Array, " tasks"] | None = None,
    scales: Float[Array, " tasks"] | None = None,
) -> Solution:
    """Positive weights with (G w)_t = (p_t / w_t)^(1 / alpha), by damped Newton steps.

    They minimise the strictly convex w'G w / 2 + sum_t of the integral of -(p / w)^(1 / alpha). In
    w = w0 z, where w0 solves the diagonal equations, the start z = 1 is exact for orthogonal
    gradients. A step is cut so that no z loses more than 9/10 of itself, then halved until the
    slope along it is no longer positive beyond half of what it was.

    Where 0 is a combination of the rows with positive weights (Pareto stationarity) there is no
    solution and z grows without end; the iteration stops at its limit or where rounding stops it,
    ``converged`` is False; so it is where a product (G w)_t is not determined by the matrix as it
    is rounded. Derivatives are those of the equations.

    Args:
        gram: G, traced.
        present: tasks to weigh, traced.
        alpha: above 0, static (a number of Python, whose powers are simpler ones) or traced; 1 is
            the Nash bargaining solution.
        preferences: p, above 0 for live tasks; None for 1. Traced.
        scales: see ``unit_gram``.

    Returns:
        The weights as ``x``, 0 for zero rows; the residual is the largest
        |(G w)_t (w_t / p_t)^(1 / alpha) - 1|.

    Example:
        >>> import jax.numpy as jnp
        >>> found = fair_weights(jnp.array([[4.0, 0.0], [0.0, 1.0]]), jnp.ones(2, bool), 1.0)
        >>> found.x.round(5).tolist(), bool(found.converged)
        ([0.5, 1.0], True)
    """
    if isinstance(alpha, int | float):
        return _of_known(gram, present, alpha, preferences, scales)
    return _of_traced(gram, present, jnp.asarray(alpha, gram.dtype), preferences, scales)


def _fair(
    balanced: Callable[..., Solution],
    gram: Float[Array, "tasks tasks"],
    present: Bool[Array, " tasks"],
    alpha: Real,
    preferences: Float[Array, " tasks"] | None,
    scales: Float[Array, " tasks"] | None,
) -> Solution:
    unit = unit_gram(gram, present, scales)
    live = unit.live
    chosen = live if preferences is None else live & (preferences > 0)
    p = jnp.ones_like(unit.norms) if preferences is None else jnp.where(chosen, preferences, 1)
    found = balanced(alpha, unit.cosines, jnp.where(chosen, unit.norms, 1), p, chosen)
    return found._replace(x=jnp.where(chosen, found.x * unit.inverse, 0))


def _solved(
    alpha: Real,
    cosines: Float[Array, "n n"],
    norms: Float[Array, " n"],
    p: Float[Array, " n"],
    chosen: Bool[Array, " n"],
) -> Solution:
    """The weights of unit rows, v = norms * w."""
    power, dtype = 1 / alpha, cosines.dtype
    # Equations of unit rows: (C v)_t = k_t v_t^-power.
    log_start = _log_start(power, norms, p)
    # C z' with z' = start * z, divided by start: one row's unit never overflows another's.
    shift = log_start[None] - log_start[:, None]
    both = chosen[:, None] & chosen[None]
    eye = jnp.eye(norms.shape[0], dtype=dtype)
    limit = 0.75 * math.log(float(jnp.finfo(dtype).max))
    growth = jnp.where(both, jnp.exp(jnp.clip(shift, -limit, limit)), eye)
    scaled = jnp.where(both, cosines * growth, eye)
    symmetric = jnp.where(both, cosines, eye)
    weight = jnp.exp(2 * (log_start - jnp.max(jnp.where(chosen, log_start, -jnp.inf))))
    weight = jnp.where(chosen, jnp.maximum(weight, float(jnp.finfo(dtype).tiny) ** 0.9), 1)
    # Newton matrix in z: symmetric after a multiplication of each equation by its start value.
    root = jnp.sqrt(weight)

    def equations(z: Array) -> tuple[Array, Array]:
        return multiply(scaled, z), z**-power

    def body(carry: _Carry) -> _Carry:
        z = carry.z
        left, right = equations(z)
        # (root C root + diag(weight power z^(-power - 1))) step = weight (right - left); divided by
        # root on both sides this has the cosines and a positive diagonal.
        diagonal = power * right / z
        step = _solve_shifted(symmetric, diagonal, root * (right - left)) / root
        along = weight * step
        bend = (along * multiply(scaled, step)).sum()
        sizes = jnp.min(jnp.where(step < 0, -0.9 * z / jnp.where(step < 0, step, -1), 1))
        tries = jnp.minimum(sizes, 1) * 0.5 ** jnp.arange(8, dtype=dtype)
        moved = z[None] + tries[:, None] * step[None]
        slopes = (along * left).sum() + tries * bend - (along[None] * moved**-power).sum(axis=1)
        first = (along * (left - right)).sum()
        good = slopes <= 0.5 * jnp.abs(first)
        at = jnp.argmax(good)
        change = jnp.where(good.any(), tries[at], tries[-1]) * step
        return _Carry(z + change, jnp.max(jnp.abs(change) / z), carry.round + 1)

    # Newton's method squares the error: after a change of sqrt(eps) / 10 there is nothing to gain.
    # Beyond z of about 1 / sqrt(eps), C z is rounding error: no solution that could be told.
    eps = float(jnp.finfo(dtype).eps)
    end = jax.lax.while_loop(
        lambda c: (c.moved > 0.1 * eps**0.5) & (c.z.max() < 10 / eps**0.5) & (c.round < LIMIT),
        body,
        _Carry(jnp.ones_like(norms), jnp.asarray(jnp.inf, dtype), jnp.int32(0)),
    )
    # What rounding of the cosines leaves of a product, relative to it.
    left, right = equations(end.z)
    unsure = eps * jnp.max(growth * end.z[None] / jnp.abs(left)[:, None])
    residual = jnp.maximum(jnp.max(jnp.abs(left / right - 1)), unsure)
    residual = jnp.minimum(residual, 1 / eps)
    v = jnp.where(chosen, end.z * jnp.exp(log_start), 0)
    good = residual <= accuracy(dtype)
    return Solution(v, chosen, good, residual)


def _log_start(power: Real, norms: Array, p: Array) -> Array:
    return ((power - 1) * jnp.log(norms) + power * jnp.log(p)) / (1 + power)


_balanced = jax.custom_jvp(_solved, nondiff_argnums=(0,))
_balanced_at = jax.custom_jvp(_solved)
_of_known = functools.partial(jax.jit(_fair, static_argnums=(0, 3)), _balanced)
_of_traced = functools.partial(jax.jit(_fair, static_argnums=0), _balanced_at)


@_balanced.defjvp
def _balanced_derivative(alpha: float, primals: Any, tangents: Any) -> Any:
    return _derivative(alpha, 0, _balanced(alpha, *primals), primals, tangents)


@_balanced_at.defjvp
def _balanced_at_derivative(primals: Any, tangents: Any) -> Any:
    alpha, rest = primals[0], primals[1:]
    return _derivative(alpha, tangents[0], _balanced_at(*primals), rest, tangents[1:])


def _derivative(alpha: Real, alpha_dot: Any, found: Solution, primals: Any, tangents: Any) -> Any:
    cosines, norms, p, chosen = primals
    cosines_dot, norms_dot, p_dot, _ = tangents
    power, v = 1 / alpha, found.x
    # (C v)_t v_t^power = k_t: C dv + power (C v / v) dv = C v dlog(k) - dC v.
    start = jnp.exp(_log_start(power, norms, p))
    ratio = jnp.where(chosen, v / start, 1)
    log_k_dot = (power - 1) * norms_dot / norms + power * p_dot / p
    if not isinstance(alpha, int | float):
        # The exponent moves on both sides.
        power_dot = -alpha_dot * power * power
        log_k_dot += power_dot * (jnp.log(norms) + jnp.log(p) - jnp.log(jnp.where(chosen, v, 1)))
    both = chosen[:, None] & chosen[None]
    b = start * ratio**-power * log_k_dot - multiply(jnp.where(both, cosines_dot, 0), v)
    eye = jnp.eye(v.shape[0], dtype=v.dtype)
    diagonal = power * ratio ** -(1 + power)
    v_dot = _solve_shifted(jnp.where(both, cosines, eye), diagonal, jnp.where(chosen, b, 0))
    none: Any = np.zeros((), jax.dtypes.float0)
    nowhere: Any = np.zeros(chosen.shape, jax.dtypes.float0)
    return found, Solution(
        jnp.where(chosen, v_dot, 0),
        nowhere,
        none,
        jnp.zeros_like(found.residual),
    )


def _solve_shifted(matrix: Array, diagonal: Array, b: Array) -> Array:
    size = matrix.shape[0]
    eye = jnp.eye(size, dtype=matrix.dtype)
    # Rounding may have made the cosines indefinite by this much.
    diagonal = diagonal + 8 * size * float(jnp.finfo(matrix.dtype).eps)
    # Scaled to a unit diagonal: entries of ``diagonal`` differ by many orders of magnitude.
    scale = jax.lax.rsqrt(1 + diagonal)
    shifted = (matrix + eye * diagonal[None]) * scale[:, None] * scale[None]
    if size <= UNROLLED:
        return scale * multiply(unrolled_inverse(shifted), scale * b)
    return scale * factored_solver(shifted)(scale * b)

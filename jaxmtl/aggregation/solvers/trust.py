"""How far a solution may be off, given that the Gram matrix itself is rounded.

The cosines C are known up to about eps. Weights z of unit rows then leave C z uncertain by eps |z|,
and the direction U'z by that times the square root of C^-1: for two rows that are d off opposite,
eps / d^2. What is asked of a solution is that this is little beside the direction's own length.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxmtl.aggregation.solvers.linear import (
    UNROLLED,
    factored_solver,
    least_ridge,
    masked_solver,
    multiply,
    unrolled_inverse,
)

# Slack of a condition, in units of eps times the weights: what rounding alone may leave.
ROUNDING = 64


class Trust(NamedTuple):
    """What an error of C z does to the direction U'z.

    Attributes:
        noise: largest error of the direction for an error 1 that is rounding.
        full: the same for what is left beyond rounding, which counts in singular directions, too.
        inverse: of C with a floor under its eigenvalues.
        floor: that, less what rounding makes of eigenvalues that are 0.
    """

    noise: Float[Array, ""]
    full: Float[Array, ""]
    inverse: Float[Array, "n n"]
    floor: float


def accuracy(dtype: Any) -> float:
    """Error of a direction, relative to its length, up to which a solution counts as converged.

    Example:
        >>> import jax.numpy as jnp
        >>> accuracy(jnp.float32)
        0.001
    """
    return 1e-6 if jnp.finfo(dtype).bits == 64 else 1e-3


def amplification(cosines: Float[Array, "n n"], normal: Float[Array, " n"] | None = None) -> Trust:
    """Largest error of the direction U'z for an error 1 of C z, about the root of trace(C^-1).

    Directions in which C is singular to working precision hardly count: rows that are dependent
    cancel there, whatever their weights. Rows that are merely near-dependent have large weights
    instead, by which this is multiplied.

    Args:
        cosines: C, traced.
        normal: s, where only errors of z with s'z = 0 matter, as on the simplex. Traced.

    Returns:
        The factors and the inverse. NaN where C is not finite or far from semidefinite.

    Example:
        >>> import jax.numpy as jnp
        >>> float(amplification(jnp.eye(4)).noise.round(3))
        2.0
    """
    size, dtype = cosines.shape[0], cosines.dtype
    wide = jnp.finfo(dtype).bits == 64
    floor = (1e4 if wide else 400) * float(jnp.finfo(dtype).eps)
    eye = jnp.eye(size, dtype=dtype)
    if size <= UNROLLED:
        inverse = unrolled_inverse(cosines + floor * eye)
    else:
        inverse = factored_solver(cosines + floor * eye, columns=True)(eye)
    if normal is not None:
        image = multiply(inverse, normal)
        along = (image * normal).sum()
        inverse = inverse - image[:, None] * image[None] / jnp.where(along > 0, along, 1)
    # Null eigenvalues are rounding, of either sign: not below 0 when this is added.
    rounding = (1 + 0.5 * size**0.5) * float(jnp.finfo(dtype).eps)
    less = floor - rounding
    spread = jnp.trace(inverse) - less * (inverse**2).sum()
    full = jnp.minimum(jnp.trace(inverse), 1 / floor) * (floor / least_ridge(dtype))
    noise, full = jnp.sqrt(jnp.maximum(spread, 0)), jnp.sqrt(jnp.maximum(full, 0))
    return Trust(noise, full, inverse, less)


def estimate(
    trust: Trust, lengths: Float[Array, "*batch"], off: Float[Array, "*batch n"]
) -> Float[Array, "*batch"]:
    """Estimated error of a direction of unit rows.

    With C s = off the direction less U's is exact for what is projected less U's, and projections
    bring no two points further apart: it is off by 2 |U's| at most, apart from rounding of C.

    Args:
        trust: from ``amplification``.
        lengths: |z|, traced.
        off: violations of the conditions, with their signs, traced.

    Returns:
        The error, in the unit of the direction.

    Example:
        >>> import jax.numpy as jnp
        >>> float(estimate(amplification(jnp.eye(4)), jnp.ones(()), jnp.zeros(4))) < 1e-6
        True
    """
    eps = float(jnp.finfo(off.dtype).eps)
    beyond = jnp.maximum(jnp.abs(off) - 4 * eps * (1 + lengths)[..., None], 0)
    s = jnp.matmul(off, trust.inverse, precision=jax.lax.Precision.HIGHEST)
    known = safe_root((s * (off - trust.floor * s)).sum(axis=-1))
    # Cosines of single precision are off by more than eps: sums of many products.
    noise = (1 if jnp.finfo(off.dtype).bits == 64 else 2) * eps * lengths * trust.noise
    return noise + 2 * known + length_of(beyond) * trust.full


def inverse_error(
    least: Float[Array, ""], lengths: Float[Array, ""], off: Float[Array, " n"]
) -> Float[Array, ""]:
    """Estimated error of U'z for the z that solves C z = b, beside which only its length counts.

    Args:
        least: least eigenvalue of C, traced.
        lengths: |z|, traced.
        off: C z - b, traced.

    Returns:
        The error; without end where C is singular as far as rounding can tell.

    Example:
        >>> import jax.numpy as jnp
        >>> float(inverse_error(jnp.float32(0), jnp.float32(1), jnp.zeros(2)))
        inf
    """
    eps = float(jnp.finfo(off.dtype).eps)
    sure = least - 4 * off.shape[0] * eps
    root = jnp.sqrt(jnp.where(sure > 0, sure, 1))
    return jnp.where(sure > 0, (4 * eps * lengths + length_of(off)) / root, jnp.inf)


def vanishes(
    square: Float[Array, "*batch"], weights: Float[Array, "*batch n"]
) -> Bool[Array, "*batch"]:
    """Whether the squared length z'C z of a direction is 0 as far as rounding can tell.

    Example:
        >>> import jax.numpy as jnp
        >>> bool(vanishes(jnp.float32(1e-8), jnp.ones(2)))
        True
    """
    size, eps = weights.shape[-1], float(jnp.finfo(weights.dtype).eps)
    return square <= 2 * size**0.5 * eps * (weights**2).sum(axis=-1)


def cancels(
    cosines: Float[Array, "n n"], weights: Float[Array, "*batch n"]
) -> Bool[Array, "*batch"]:
    """Whether unit rows with these weights cancel exactly, that is, as well as rounding allows.

    A sharper test than the length: |C z| is linear in it, z'C z quadratic.

    Example:
        >>> import jax.numpy as jnp
        >>> bool(cancels(jnp.array([[1.0, -1.0], [-1.0, 1.0]]), jnp.ones(2)))
        True
    """
    eps = float(jnp.finfo(weights.dtype).eps)
    products = jnp.matmul(weights, cosines, precision=jax.lax.Precision.HIGHEST)
    left = jnp.max(jnp.abs(products), axis=-1)
    return left <= ROUNDING * eps * length_of(weights)


def suspect(trust: Trust) -> Bool[Array, ""]:
    """Whether C is so near to singular that its rows may cancel: see ``thin``.

    Example:
        >>> import jax.numpy as jnp
        >>> bool(suspect(amplification(jnp.eye(4))))
        False
    """
    return jnp.trace(trust.inverse) * trust.floor > 0.1


def cancelling(trust: Trust) -> Float[Array, " n"]:
    """q of the program beside a solver's own whose minimiser ``thin`` reads: -1, or 0 for none.

    Example:
        >>> import jax.numpy as jnp
        >>> cancelling(amplification(jnp.eye(2))).tolist()
        [0.0, 0.0]
    """
    return jnp.where(suspect(trust), -jnp.ones_like(trust.inverse[0]), 0)


def thin(
    cosines: Float[Array, "n n"], x: Float[Array, " n"], every: Float[Array, "n n"] | None = None
) -> Bool[Array, ""]:
    """Whether 0 is a convex combination of the unit rows, as far as rounding can tell.

    Then the cone of directions that hurt none has no inside, and a change of the rows by less than
    rounding takes away what part of it one will. In double precision it counts as known where the
    combination is 0 to the last digits: rows that are meant to cancel, such as opposite ones.

    Args:
        cosines: C, traced.
        x: the minimiser of x'C x / 2 - 1'x over x >= 0, which solvers find beside their own
            program; 0 where ``suspect`` says that there is nothing to find. Traced.
        every: C with rows that take no part in combinations, but may tell that they are not 0.
            Traced; None for C.

    Returns:
        The answer.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmtl.aggregation.solvers.nonnegative import nonnegative_qp
        >>> opposite = jnp.array([[1.0, -1.0], [-1.0, 1.0]], jnp.float32)
        >>> bool(thin(opposite, nonnegative_qp(opposite, -jnp.ones(2)).x))
        True
    """
    none = vanishes((x * multiply(cosines, x)).sum(), x) & (x > 0).any()
    if jnp.finfo(cosines.dtype).bits < 64:
        return none
    eps = float(jnp.finfo(cosines.dtype).eps)

    def look(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        z = x
        for _ in range(2):  # inverse iteration: of x the combination is left, and its rows
            z = jnp.where(z > eps**0.3 * jnp.max(z), z / jnp.max(z), 0)
            solve = masked_solver(cosines, z > 0, refinements=0, shift=least_ridge(z.dtype))
            z = solve(z)
            z = z - solve(multiply(cosines, z))
        left = jnp.max(jnp.abs(multiply(cosines if every is None else every, z)))
        return jnp.asarray(False), left > (1 + 0.5 * z.shape[0]) * eps * length_of(z)

    # Instead of a condition: under vmap that would look for all.
    return jax.lax.while_loop(lambda carry: carry[0], look, (none, none))[1]


def length_of(vectors: Float[Array, "*batch n"]) -> Float[Array, "*batch"]:
    """Euclidean lengths, with derivative 0 at 0.

    Example:
        >>> import jax.numpy as jnp
        >>> float(length_of(jnp.array([3.0, 4.0])))
        5.0
    """
    return safe_root((vectors**2).sum(axis=-1))


def safe_root(squares: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Square roots of what is above 0, and 0 with derivative 0 elsewhere; NaN stays.

    Example:
        >>> import jax.numpy as jnp
        >>> safe_root(jnp.array([4.0, -1.0])).tolist()
        [2.0, 0.0]
    """
    none = squares <= 0
    return jnp.where(none, 0, jnp.sqrt(jnp.where(none, 1, squares)))


def verdict(
    cosines: Float[Array, "n n"],
    weights: Float[Array, " n"],
    violation: Float[Array, ""],
    error: Float[Array, ""],
    usual: Float[Array, ""] | float = 1.0,
) -> tuple[Bool[Array, ""], Float[Array, ""]]:
    """Whether a direction U'z is right and hurts none, and a residual that says how far it is off.

    Args:
        cosines: C, traced.
        weights: z, traced.
        violation: largest violation of a condition of optimality, in the unit of U'z. Traced.
        error: estimated error of the direction. Traced.
        usual: length that replaces that of the direction where this is 0 to working precision.

    Returns:
        ``converged`` and ``residual``, relative to the length.

    Example:
        >>> import jax.numpy as jnp
        >>> nothing = jnp.float32(0.0)
        >>> converged, _ = verdict(jnp.eye(2), jnp.array([1.0, -0.5]), nothing, nothing)
        >>> bool(converged)  # the second row is hurt
        False
    """
    dtype = cosines.dtype
    products = multiply(cosines, weights)
    square = (weights * products).sum()
    nothing = vanishes(square, weights)
    length = jnp.where(nothing, usual, safe_root(square))
    length = jnp.where(length == 0, 1, length)
    off = jnp.maximum(violation, jnp.max(-products)) / length
    error = error / length
    half = float(jnp.finfo(dtype).eps) ** 0.5
    narrow = jnp.finfo(dtype).bits < 64
    least = min(half * cosines.shape[0] ** 0.5 if narrow else 1, accuracy(dtype))
    enough = jnp.where(nothing, least, accuracy(dtype))
    residual = jnp.where(error <= enough, off, jnp.maximum(off, error))
    good = (off <= half) & (error <= enough)
    return good, jnp.maximum(residual, 0)

"""Small symmetric systems: scaling and masked solves."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

# Up to this many tasks, elimination is unrolled: XLA fuses it, and no LAPACK call is made.
UNROLLED = 8
# Beyond this many, a matrix is factored by halves on a CPU.
ELIMINATED = 32


class Unit(NamedTuple):
    """A Gram matrix as cosines and norms: G = diag(norms) cosines diag(norms).

    Attributes:
        cosines: diagonal exactly 1; rows and columns of zero gradients are those of the identity.
        norms: 0 for zero gradients.
        inverse: 1 / norms; 0 for zero gradients.
        live: gradients that are present and not zero.
    """

    cosines: Float[Array, "tasks tasks"]
    norms: Float[Array, " tasks"]
    inverse: Float[Array, " tasks"]
    live: Bool[Array, " tasks"]


@jax.jit
def unit_gram(
    gram: Float[Array, "tasks tasks"],
    present: Bool[Array, " tasks"],
    scales: Float[Array, " tasks"] | None = None,
) -> Unit:
    """Splits scales from angles: solvers then see the angles only, whatever the scales.

    Args:
        gram: G, traced.
        present: tasks to keep, traced.
        scales: what the rows were divided by before G was formed, traced; None for 1. The norms
            are those of the rows as they were, whose squares may be out of range.

    Returns:
        Cosines and norms.

    Example:
        >>> import jax.numpy as jnp
        >>> unit = unit_gram(jnp.array([[4.0, -3.0], [-3.0, 9.0]]), jnp.ones(2, bool))
        >>> unit.cosines.tolist(), unit.norms.tolist()
        ([[1.0, -0.5], [-0.5, 1.0]], [2.0, 3.0])
    """
    squares = jnp.diagonal(gram)
    live = present & (squares > 0)
    norms = jnp.where(live, jnp.sqrt(jnp.where(live, squares, 1)), 0)
    inverse = jnp.where(live, 1 / jnp.where(live, norms, 1), 0)
    both = live[:, None] & live[None] & ~jnp.eye(gram.shape[0], dtype=bool)
    # One factor after the other: their product may overflow where the cosine does not.
    scaled = jnp.clip(gram * inverse[:, None] * inverse[None], -1, 1)
    if scales is not None:
        norms, inverse = norms * scales, inverse / scales
    return Unit(
        jnp.where(both, scaled, jnp.eye(gram.shape[0], dtype=gram.dtype)), norms, inverse, live
    )


def least_ridge(dtype: Any) -> float:
    """The least that keeps a singular matrix of cosines invertible in spite of rounding.

    Example:
        >>> import jax.numpy as jnp
        >>> least_ridge(jnp.float32) < ridge(jnp.float32)
        True
    """
    return 32 * float(jnp.finfo(dtype).eps)


def ridge(dtype: Any) -> float:
    """What is added to the diagonal of a matrix of cosines so that it can be inverted.

    Rounding then costs eps / ridge in directions in which the matrix is singular; the bias, ridge /
    eigenvalue in the others, is removed by refinement (``masked_solver``).
    """
    return float(jnp.finfo(dtype).eps) ** 0.63


def masked_solver(
    matrix: Float[Array, "*batch n n"],
    mask: Bool[Array, "*batch n"],
    refinements: int | Int[Array, ""] = 2,
    shift: float | Float[Array, ""] | None = None,
    start: Float[Array, "*batch n"] | None = None,
) -> Callable[[Float[Array, "*batch n"]], Float[Array, "*batch n"]]:
    """Solver of C_PP x_P = b_P with x = 0 outside P, for positive semidefinite C.

    C + ridge I is factored once; every refinement x += (C + ridge I)^-1 (b - C x) takes a factor
    ridge / (ridge + eigenvalue) off the bias, so that x tends to the solution of the unperturbed
    system where there is one.

    Args:
        matrix: C with diagonal of order 1, traced.
        mask: P, traced.
        refinements: number of them, static or traced.
        shift: instead of ``ridge``, static or traced. ``least_ridge`` is right where C is
            near-singular, while the other bridges over what is singular.
        start: x that the shift draws to, without refinements: (C + shift I) x = b + shift start on
            P. Traced; None for 0.

    Returns:
        A function from b to x, both over the last axis.

    Example:
        >>> import jax.numpy as jnp
        >>> solve = masked_solver(jnp.array([[1.0, 0.5], [0.5, 1.0]]), jnp.array([True, False]))
        >>> solve(jnp.array([2.0, 7.0])).round(5).tolist()
        [2.0, 0.0]
    """
    size = matrix.shape[-1]
    eye = jnp.eye(size, dtype=matrix.dtype)
    both = mask[..., :, None] & mask[..., None, :]
    restricted = jnp.where(both, matrix, jnp.zeros((), matrix.dtype))
    shift = ridge(matrix.dtype) if shift is None else shift
    shifted = jnp.where(both, matrix + shift * _like(eye, matrix), _like(eye, both))
    if size <= UNROLLED:
        solve = functools.partial(_apply, unrolled_inverse(shifted))
    else:
        solve = factored_solver(shifted)

    def refined(b: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        b = jnp.where(mask, b, jnp.zeros((), b.dtype))
        # A loop, so that the solve is compiled once; none where elimination is unrolled.
        rounds = refinements + 1
        x = jax.lax.fori_loop(
            0,
            rounds,
            lambda _, x: x + solve(b - _apply(restricted, x)),
            jnp.zeros_like(b) if start is None else jnp.where(mask, start, 0),
            unroll=rounds if isinstance(rounds, int) and size <= UNROLLED else None,
        )
        return jnp.where(mask, x, jnp.zeros((), x.dtype))

    return refined


def factored_solver(
    matrix: Float[Array, "*batch n n"], *, columns: bool = False
) -> Callable[[Float[Array, "*batch n"]], Float[Array, "*batch n"]]:
    """Solver of C x = b for positive definite C, by the inverse of Cholesky's factor.

    Args:
        matrix: C, traced.
        columns: whether b is a matrix of columns, static.

    Returns:
        A function from b to x.

    Example:
        >>> import jax.numpy as jnp
        >>> factored_solver(jnp.array([[4.0, 0.0], [0.0, 1.0]]))(jnp.array([2.0, 3.0])).tolist()
        [0.5, 3.0]
    """
    factor = jax.lax.platform_dependent(matrix, cpu=_inverse_factor, default=_inverse_by_lapack)

    def solve(b: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        b = b if columns else b[..., None]
        x = _product(jnp.swapaxes(factor, -1, -2), _product(factor, b))
        return x if columns else x[..., 0]

    return solve


def _inverse_factor(matrix: Float[Array, "*batch n n"]) -> Float[Array, "*batch n n"]:
    """L^-1 of C = L L^T; beyond some size that of one half, then of what it leaves of the other.

    On a CPU, LAPACK's batched calls wait for work that is queued in the pool of threads that they
    run in (jaxlib 0.10): as many calls at a time as there are threads never end.
    """
    size = matrix.shape[-1]
    if size <= ELIMINATED:
        return _eliminated(matrix)
    half = size // 2
    upper = _inverse_factor(matrix[..., :half, :half])
    panel = _product(matrix[..., half:, :half], jnp.swapaxes(upper, -1, -2))
    left = matrix[..., half:, half:] - _product(panel, jnp.swapaxes(panel, -1, -2))
    lower = _inverse_factor(left)
    between = -_product(lower, _product(panel, upper))
    none = jnp.zeros_like(jnp.swapaxes(between, -1, -2))
    rows = jnp.concatenate([upper, none], axis=-1), jnp.concatenate([between, lower], axis=-1)
    return jnp.concatenate(rows, axis=-2)


def _eliminated(matrix: Float[Array, "*batch n n"]) -> Float[Array, "*batch n n"]:
    """L^-1 by n eliminations in the place of C."""
    size = matrix.shape[-1]
    down = jax.lax.broadcasted_iota(jnp.int32, matrix.shape, matrix.ndim - 2)
    across = jax.lax.broadcasted_iota(jnp.int32, matrix.shape, matrix.ndim - 1)

    def eliminate(k: Array, rest: Array) -> Array:
        row = jax.lax.dynamic_slice_in_dim(rest, k, 1, axis=-2)
        column = jax.lax.dynamic_slice_in_dim(rest, k, 1, axis=-1)
        root = jax.lax.rsqrt(jax.lax.dynamic_slice_in_dim(row, k, 1, axis=-1))
        # Column k of what is left is 0 from here on: it has room for that of the inverse.
        row = jnp.where(across[..., :1, :] == k, root, row * root)
        below = rest - column * root * row
        below = jnp.where(across == k, below - rest, below)
        return jnp.where(down == k, row, jnp.where(down > k, below, rest))

    return jnp.tril(jax.lax.fori_loop(0, size, eliminate, matrix))


def _inverse_by_lapack(matrix: Float[Array, "*batch n n"]) -> Float[Array, "*batch n n"]:
    factor = jnp.linalg.cholesky(matrix, symmetrize_input=False)
    eye = jnp.broadcast_to(jnp.eye(matrix.shape[-1], dtype=matrix.dtype), matrix.shape)
    return jax.lax.linalg.triangular_solve(factor, eye, left_side=True, lower=True)


def _product(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def unrolled_inverse(matrix: Float[Array, "*batch n n"]) -> Float[Array, "*batch n n"]:
    """Inverse of positive definite matrices by n Gauss-Jordan steps, without pivoting.

    Example:
        >>> import jax.numpy as jnp
        >>> unrolled_inverse(jnp.array([[2.0, 2.0], [2.0, 4.0]])).tolist()
        [[1.0, -0.5], [-0.5, 0.5]]
    """
    size = matrix.shape[-1]
    for k in range(size):
        pivot = matrix[..., k : k + 1, k : k + 1]
        row = matrix[..., k : k + 1, :] / pivot
        column = matrix[..., :, k : k + 1]
        at = jnp.arange(size) == k
        at_row = _like(at[:, None], matrix)
        at_column = _like(at[None], matrix)
        inside = matrix - column * row
        on_row = jnp.where(at_column, 1 / pivot, row)
        on_column = -column / pivot
        matrix = jnp.where(at_row, on_row, jnp.where(at_column, on_column, inside))
    return matrix


def multiply(matrix: Float[Array, "*batch n n"], x: Float[Array, "*batch n"]) -> Array:
    """C x over the last axes, at full precision on every backend."""
    return _apply(matrix, x)


def _apply(matrix: Array, x: Array) -> Array:
    if matrix.shape[-1] <= UNROLLED:
        return (matrix * x[..., None, :]).sum(axis=-1)
    return _product(matrix, x[..., None])[..., 0]


def _like(values: Array, target: Array) -> Array:
    return jnp.expand_dims(values, range(target.ndim - values.ndim))

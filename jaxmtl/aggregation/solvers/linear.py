"""Small symmetric systems: scaling, masked solves, pseudo-inverses."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

# Up to this many tasks, elimination is unrolled: XLA fuses it, and no LAPACK call is made.
UNROLLED = 8


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
    refinements: int = 2,
    shift: float | None = None,
) -> Callable[[Float[Array, "*batch n"]], Float[Array, "*batch n"]]:
    """Solver of C_PP x_P = b_P with x = 0 outside P, for positive semidefinite C.

    C + ridge I is factored once; every refinement x += (C + ridge I)^-1 (b - C x) takes a factor
    ridge / (ridge + eigenvalue) off the bias, so that x tends to the solution of the unperturbed
    system where there is one.

    Args:
        matrix: C with diagonal of order 1, traced.
        mask: P, traced.
        refinements: number of them, static.
        shift: instead of ``ridge``, static. ``least_ridge`` is right where C is near-singular,
            while the other bridges over what is singular.

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
        x = solve(b)
        for _ in range(refinements):
            x = x + solve(b - _apply(restricted, x))
        return jnp.where(mask, x, jnp.zeros((), x.dtype))

    return refined


def factored_solver(
    matrix: Float[Array, "*batch n n"], *, columns: bool = False
) -> Callable[[Float[Array, "*batch n"]], Float[Array, "*batch n"]]:
    """Solver of C x = b for positive definite C, by Cholesky's factor.

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
    factor = jnp.linalg.cholesky(matrix, symmetrize_input=False)

    def solve(b: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        b = b if columns else b[..., None]
        half = jax.lax.linalg.triangular_solve(factor, b, left_side=True, lower=True)
        whole = jax.lax.linalg.triangular_solve(
            factor, half, left_side=True, lower=True, transpose_a=True
        )
        return whole if columns else whole[..., 0]

    return solve


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


@functools.partial(jax.jit, static_argnames="rtol")
def pseudo_inverse_times(
    matrix: Float[Array, "n n"], vector: Float[Array, " n"], rtol: float
) -> tuple[Float[Array, " n"], Array, Array]:
    """C^+ b of a positive semidefinite matrix, its rank and its least eigenvalue.

    Args:
        matrix: C, traced.
        vector: b, traced.
        rtol: eigenvalues up to rtol times the largest count as 0, static.

    Returns:
        C^+ b, the number of eigenvalues kept, and the least of all.

    Example:
        >>> import jax.numpy as jnp
        >>> x, rank, _ = pseudo_inverse_times(jnp.ones((2, 2)), jnp.array([1.0, 1.0]), 1e-6)
        >>> x.round(5).tolist(), int(rank)
        ([0.5, 0.5], 1)
    """
    values, vectors = jnp.linalg.eigh(matrix, symmetrize_input=False)
    keep = values > rtol * jnp.max(jnp.abs(values))
    inverse = jnp.where(keep, 1 / jnp.where(keep, values, 1), 0)
    return _apply(vectors, inverse * _apply(vectors.T, vector)), keep.sum(), values[0]


def multiply(matrix: Float[Array, "*batch n n"], x: Float[Array, "*batch n"]) -> Array:
    """C x over the last axes, at full precision on every backend."""
    return _apply(matrix, x)


def _apply(matrix: Array, x: Array) -> Array:
    if matrix.shape[-1] <= UNROLLED:
        return (matrix * x[..., None, :]).sum(axis=-1)
    return jnp.matmul(matrix, x[..., None], precision=jax.lax.Precision.HIGHEST)[..., 0]


def _like(values: Array, target: Array) -> Array:
    return jnp.expand_dims(values, range(target.ndim - values.ndim))

"""Eigenvalues of small symmetric matrices, one at a time on a CPU, and pseudo-inverses by them."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmtl.aggregation.solvers.linear import multiply


@jax.custom_jvp
def eigenvalues_and_vectors(matrix: Float[Array, "n n"]) -> tuple[Array, Array]:
    """``jnp.linalg.eigh``, which under ``vmap`` runs matrix by matrix on a CPU.

    On a CPU, LAPACK's batched calls wait for work that is queued in the pool of threads that they
    run in (jaxlib 0.10): as many calls at a time as there are threads never end. For matrices of
    this size the loop takes as long as the call.

    Args:
        matrix: symmetric, traced; its lower half is read.

    Returns:
        Eigenvalues, rising, and eigenvectors as columns.

    Example:
        >>> import jax.numpy as jnp
        >>> eigenvalues_and_vectors(jnp.array([[2.0, 0.0], [0.0, 1.0]]))[0].tolist()
        [1.0, 2.0]
    """
    return jax.lax.platform_dependent(matrix, cpu=_alone, default=_by_lapack)


@eigenvalues_and_vectors.defjvp
def _(
    primals: tuple[Array], tangents: tuple[Array]
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    values, vectors = eigenvalues_and_vectors(*primals)
    symmetric = (tangents[0] + tangents[0].T) / 2
    high = jax.lax.Precision.HIGHEST
    turned = jnp.matmul(jnp.matmul(vectors.T, symmetric, precision=high), vectors, precision=high)
    eye = jnp.eye(values.size, dtype=values.dtype)
    # Eigenvectors of an eigenvalue that is met twice have no derivative: inf there.
    apart = 1 / (eye + (values[None] - values[:, None])) - eye
    return (values, vectors), (
        jnp.diagonal(turned),
        jnp.matmul(vectors, apart * turned, precision=high),
    )


def _by_lapack(matrix: Array) -> tuple[Array, Array]:
    values, vectors = jnp.linalg.eigh(matrix, symmetrize_input=False)
    return values, vectors


_alone = jax.custom_batching.custom_vmap(_by_lapack)


@_alone.def_vmap
def _(axis_size: int, batched: list[bool], matrix: Array) -> tuple[Any, tuple[bool, bool]]:
    del axis_size, batched
    return jax.lax.map(_alone, matrix), (True, True)


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
    values, vectors = eigenvalues_and_vectors(matrix)
    keep = values > rtol * jnp.max(jnp.abs(values))
    inverse = jnp.where(keep, 1 / jnp.where(keep, values, 1), 0)
    return multiply(vectors, inverse * multiply(vectors.T, vector)), keep.sum(), values[0]

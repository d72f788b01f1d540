"""Quadratic programs of dependent, opposite and repeated rows, against the conditions they meet."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmtl.aggregation.solvers.nonnegative import nonnegative_qp


def cosines(rows):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(unit @ unit.T, np.float32)


def drawn(kind, size, rng):
    rows = rng.normal(size=(size, size // 2))
    half = size // 2
    if kind == "opposite":
        rows[half:] = -rows[: size - half] + 1e-3 * rng.normal(size=(size - half, half))
    if kind == "repeated":
        rows[half:] = rows[: size - half]
    if kind == "alike":
        rows = rng.normal(size=(1, half)) + 1e-2 * rows
    return cosines(rows)


@pytest.mark.parametrize("size", [12, 40])  # one is factored at once, one by halves
@pytest.mark.parametrize("kind", ["half the rank", "opposite", "repeated", "alike"])
def test_programs_of_dependent_rows_meet_their_conditions(kind, size):
    rng = np.random.default_rng(size)
    for _ in range(3):
        matrix = drawn(kind, size, rng)
        # Projections of every row, whether rows cancel, and two with nothing to do.
        linear = np.concatenate(
            [matrix, -np.ones((1, size)), np.zeros((1, size)), np.ones((1, size))]
        )
        found = jax.tree.map(np.asarray, nonnegative_qp(jnp.asarray(matrix), jnp.asarray(linear)))
        assert found.converged.all()
        assert (found.x[-2:] == 0).all()
        x = found.x.astype(float)
        y = x @ matrix.astype(float) + linear
        largest = 1 + x.max(axis=1, keepdims=True)
        assert (x >= 0).all()
        assert (y >= -1e-4 * largest).all()
        assert (
            np.abs(y[found.x > 0]) <= 1e-4 * np.broadcast_to(largest, y.shape)[found.x > 0]
        ).all()


def test_alone_and_under_vmap_as_in_a_batch():
    rng = np.random.default_rng(0)
    matrix = jnp.asarray(drawn("half the rank", 12, rng))
    batch = nonnegative_qp(matrix, matrix)
    alone = jax.lax.map(lambda q: nonnegative_qp(matrix, q), matrix)
    at_once = jax.vmap(nonnegative_qp, in_axes=(None, 0))(matrix, matrix)
    for found in (alone, at_once):
        assert found.converged.all()
        # There may be several solutions; what they make of the rows is one.
        np.testing.assert_allclose(found.x @ matrix, batch.x @ matrix, atol=1e-4)

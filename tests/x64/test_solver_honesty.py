"""``converged`` against exact rational arithmetic, and derivatives against differences."""

import itertools
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmtl.aggregation as ag

TASKS = 4
PREFERENCES = {"upgrad": np.eye(TASKS)[2], "dualproj": np.full(TASKS, 0.25)}


def solve(matrix, right):
    """The solution of a square rational system; None where it is singular."""
    size = len(right)
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for k in range(size):
        pivot = next((i for i in range(k, size) if rows[i][k] != 0), None)
        if pivot is None:
            return None
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [value / rows[k][k] for value in rows[k]]
        for i in range(size):
            if i != k and rows[i][k] != 0:
                rows[i] = [a - rows[i][k] * b for a, b in zip(rows[i], rows[k], strict=True)]
    return [row[-1] for row in rows]


def exact_projection(j, start):
    """J'v of least norm with v >= start, over all independent active sets: unique, exact."""
    rows = [[Fraction(float(value)) for value in row] for row in j]
    u = [Fraction(float(value)) for value in start]
    gram = [[sum(a * b for a, b in zip(x, y, strict=True)) for y in rows] for x in rows]
    q = [sum(g * v for g, v in zip(row, u, strict=True)) for row in gram]
    for size in range(len(j) + 1):
        for support in itertools.combinations(range(len(j)), size):
            matrix = [[gram[a][b] for b in support] for a in support]
            x = solve(matrix, [-q[a] for a in support])
            if x is None or any(value < 0 for value in x):
                continue
            v = list(u)
            for at, value in zip(support, x, strict=True):
                v[at] += value
            if all(sum(g * w for g, w in zip(row, v, strict=True)) >= 0 for row in gram):
                columns = zip(*rows, strict=True)
                return np.array(
                    [float(sum(a * w for a, w in zip(c, v, strict=True))) for c in columns]
                )
    raise AssertionError("no active set fits")


def near_opposite(offset, seed):
    """Two rows that are ``offset`` off opposite, and two others, one of which they hold back."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((TASKS, 5))
    rows[:3, :3] = [[1, 0, 0], [-1, offset, 0], [0.3, -1, 0.5]]
    rows[3, 3:] = rng.normal(size=2)
    return rows @ np.linalg.qr(rng.normal(size=(5, 5)))[0]


def families(number):
    rng = np.random.default_rng(0)
    for seed in range(6):
        yield rng.normal(size=(TASKS, 5)) - 0.2
        yield (rng.normal(size=(TASKS, 5)) - 0.2) * 10.0 ** rng.integers(-3, 4, size=(TASKS, 1))
        yield np.pad(rng.integers(-3, 4, size=(TASKS, 2)).astype(float), ((0, 0), (0, 3)))
        yield rng.normal(size=(2, 5))[[0, 0, 1, 1]] * np.array([1, -1, 1, -2])[:, None]
        for exponent in (0, 1, 2, 3, 4, 4.3, 5, 6, 7, 9, 11)[: number - 4]:
            yield near_opposite(10.0**-exponent, seed)


@pytest.fixture(scope="module")
def updates():
    made = {name: ag.make(name) if name == "dualproj" else None for name in PREFERENCES}
    made["upgrad"] = ag.upgrad(PREFERENCES["upgrad"])
    return {
        name: jax.jit(jax.vmap(lambda j, a=method: a.update(j, ())[::2]))
        for name, method in made.items()
    }


@pytest.mark.parametrize(("dtype", "accuracy"), [(np.float64, 1e-6), (np.float32, 2e-3)])
@pytest.mark.parametrize("name", list(PREFERENCES))
def test_what_says_converged_is_right(name, dtype, accuracy, updates):
    # In single precision rows that are closer to opposite than that are opposite but for rounding.
    matrices = np.stack(list(families(15 if dtype == np.float64 else 10))).astype(dtype)
    found, info = updates[name](jnp.asarray(matrices))
    right = np.stack([exact_projection(j, PREFERENCES[name]) for j in matrices])
    lengths = np.linalg.norm(matrices, axis=2)
    size = np.linalg.norm(right, axis=1)
    error = np.linalg.norm(np.asarray(found, float) - right, axis=1)
    # A result of 0 is one up to rounding of the rows that cancel.
    rounding = 8 * np.finfo(dtype).eps ** 0.5 * (lengths * PREFERENCES[name]).max(axis=1)
    sure = np.asarray(info.converged)
    assert (error <= np.maximum(accuracy * size, rounding * 0.1))[sure].all()
    hurt = (np.einsum("bij,bj->bi", matrices, np.asarray(found, float)) / lengths).min(axis=1)
    assert (hurt >= -4 * np.finfo(dtype).eps ** 0.5 * np.maximum(size, rounding))[sure].all()
    # And it says so wherever the rounded matrix determines the answer.
    assert sure.reshape(6, -1)[:, : 9 if dtype == np.float64 else 6].all()
    assert not sure.reshape(6, -1)[:, 11:].any()
    assert (info.residual[~sure] > np.finfo(dtype).eps ** 0.5).all()


def test_near_opposite_rows_are_solved_as_far_as_the_matrix_tells(updates):
    offsets = (1e-1, 1e-2, 1e-3, 1e-4, 5e-5)
    matrices = np.stack([near_opposite(offset, 1) for offset in offsets])
    for name, update in updates.items():
        found, info = update(jnp.asarray(matrices))
        right = np.stack([exact_projection(j, PREFERENCES[name]) for j in matrices])
        error = np.linalg.norm(found - right, axis=1) / np.linalg.norm(right, axis=1)
        assert (error <= 1e-6).all()
        assert info.converged[:4].all()


def test_equal_angles_and_projections_are_there_or_it_is_said():
    matrices = np.stack([near_opposite(10.0**-e, 2)[:3] for e in range(1, 12)])
    for aggregator, unit in ((ag.config(), True), (ag.imtl_g(), True)):
        update = jax.jit(jax.vmap(lambda j, a=aggregator: a.update(j, ())[::2]))
        found, info = update(jnp.asarray(matrices))
        products = np.einsum("bij,bj->bi", matrices, found)
        products /= np.linalg.norm(matrices, axis=2) if unit else 1
        size = np.linalg.norm(found, axis=1)
        uneven = (products.max(axis=1) - products.min(axis=1)) / size
        assert (uneven[np.asarray(info.converged)] <= 1e-8).all()
        assert info.converged[:4].all()
        assert not info.converged[5:].any()


@pytest.mark.parametrize("c", [0.5, 2.0, 10.0])
def test_cagrad_of_rows_of_different_length_in_single_precision(c):
    rng = np.random.default_rng(3)
    scales = 10.0 ** np.array([0.0, 3.0, -3.0, 6.0])[:, None]
    matrices = (rng.normal(size=(8, TASKS, 6)) - 0.1) * scales
    update = jax.jit(jax.vmap(lambda j: ag.cagrad(c).update(j, ())[::2]))
    found, info = update(jnp.asarray(matrices, jnp.float32))
    right, exact = update(jnp.asarray(matrices))
    assert exact.converged.all()
    error = np.linalg.norm(found - right, axis=1) / np.linalg.norm(right, axis=1)
    sure = np.asarray(info.converged)
    assert sure.sum() >= 6
    assert (error[sure] <= 2e-3).all()


SMALL = ("mgda", "upgrad", "dualproj", "cagrad", "imtl_g", "config", "aligned_mtl", "nash_mtl")


@pytest.mark.parametrize("name", SMALL)
def test_squares_out_of_range_change_nothing(name):
    rows = np.random.default_rng(4).normal(size=(3, 6)).astype(np.float32)
    aggregator = ag.make(name)
    update = jax.jit(lambda j: aggregator.update(j, aggregator.init(j))[::2])
    right, info = update(jnp.asarray(rows))
    assert info.converged
    for power in (-90, 70):
        factor = np.float32(2.0**power)
        found, info = update(jnp.asarray(rows * factor))
        degree = ag.REGISTRY[name].degree
        np.testing.assert_allclose(found / factor**degree, right, rtol=1e-6, atol=1e-7)
        assert info.converged
    uneven = rows * np.float32([[1], [2.0**-80], [2.0**-70]])
    grads, info = update(jnp.asarray(uneven))
    if name in ("upgrad", "dualproj"):
        cosines = uneven.astype(float) @ np.asarray(grads, float)
        cosines /= np.linalg.norm(uneven.astype(float), axis=1) * np.linalg.norm(grads)
        assert (cosines >= -1e-5).all()


@pytest.mark.parametrize("tasks", [2, 6, 10])
@pytest.mark.parametrize("name", ["upgrad", "dualproj", "mgda", "cagrad", "nash_mtl", "fairgrad"])
def test_derivatives_equal_differences(name, tasks):
    rng = np.random.default_rng(5)
    j, step, out = rng.normal(size=(3, tasks, 12)) + 0.1
    aggregator = ag.fairgrad(2.0) if name == "fairgrad" else ag.make(name)

    @jax.jit
    def value(j):
        return (aggregator.update(j, aggregator.init(j))[0] * out[0]).sum()

    slope = (jax.jit(jax.grad(value))(j) * step).sum()
    size = 1e-5
    expected = (value(j + size * step) - value(j - size * step)) / (2 * size)
    np.testing.assert_allclose(slope, expected, rtol=1e-5, atol=1e-8)

"""``converged`` against exact rational arithmetic, and derivatives against differences."""

import functools
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from x64 import exact

import jaxmtl.aggregation as ag

COLUMNS, TASKS = 6, 4
ACCURACY = {np.float64: 1e-6, np.float32: 1e-3}


def made(size):
    """One aggregator a name; UPGrad for one task alone: one exact program is enough."""
    return {
        "upgrad": ag.upgrad(np.eye(size)[0]),
        "dualproj": ag.dualproj(),
        "mgda": ag.mgda(),
        "cagrad_0.5": ag.cagrad(0.5),
        "cagrad_2": ag.cagrad(2.0),
        "nash_mtl": ag.nash_mtl(None),
        "config": ag.config(),
        "imtl_g": ag.imtl_g(),
    }


def right(name, rows):
    """The exact result; None where the best margin of CAGrad is 0, or no direction is equal."""
    number, live = len(rows), [row for row in rows if any(row)]
    if name == "upgrad":
        return exact.projection(rows, [Fraction(int(t == 0)) for t in range(number)])
    if name == "dualproj":
        return exact.projection(rows, [Fraction(1, number)] * number)
    if name == "mgda":
        return exact.least_norm(rows)
    if name.startswith("cagrad"):
        return exact.worst_case(rows, float(name[7:])) or [Fraction(0)] * COLUMNS
    return exact.equal_products(live, name == "config")


@functools.cache
def families(number):
    """Names and rows, all of them numbers of single precision."""
    rng = np.random.default_rng(number)

    def normal():
        return rng.normal(size=(number, COLUMNS))

    def turned(rows):
        return rows @ np.linalg.qr(normal_square())[0]

    def normal_square():
        return rng.normal(size=(COLUMNS, COLUMNS))

    found = [("well", normal()), ("well", normal()), ("tiny", normal() * 1e-20)]
    found += [("scaled", normal() * 10.0 ** rng.integers(-18, 16, size=(number, 1)))]
    for exponent in (1, 2, 3, 4, 5, 6, 7, 8):
        # The last row, and the first of UPGrad, are held back by two that are nearly opposite.
        rows = normal()
        rows[0, :3] = [0.3, -1, 0.5]
        rows[-2:] = np.eye(2, COLUMNS) * [[1.0], [10.0**-exponent]]
        rows[-1, 0] = -1
        found.append((f"opposite but for 1e-{exponent}", turned(rows) if exponent < 7 else rows))
    for exponent in (1, 5):
        rows = normal()
        rows[1] = rows[0] + 10.0**-exponent * rows[1]
        found.append((f"equal but for 1e-{exponent}", rows))
    dependent = rng.integers(-3, 4, size=(number, COLUMNS)).astype(float)
    dependent[-1] = -dependent[:-1].sum(axis=0)
    opposite = normal()
    opposite[1] = -2 * opposite[0]
    zero = normal() * (np.arange(number) > 0)[:, None]
    found += [("cancel", dependent), ("opposite", opposite), ("zero row", zero)]
    return [name for name, _ in found], np.stack([r for _, r in found]).astype(np.float32)


@functools.cache
def truths(number):
    """By name of the method: the exact results of all families, NaN where there is none."""
    rational = [exact.rational(rows) for rows in families(number)[1]]
    found = {}
    for name in made(1):
        if name != "nash_mtl":
            all_right = [right(name, rows) for rows in rational]
            none = [float("nan")] * COLUMNS
            found[name] = np.array([[float(v) for v in d or none] for d in all_right])
    return found


@functools.cache
def all_methods(size):
    def run(j, present):
        return {
            name: aggregator.update(j, aggregator.init(j), present=present)[::2]
            for name, aggregator in made(size).items()
        }

    return jax.jit(jax.vmap(run, in_axes=(0, None)))


def imbalance(rows, weights):
    """Largest |w_t (G w)_t - 1| of the equations of Nash's solution, exactly."""
    w = [Fraction(float(value)) for value in weights]
    products = [exact.dot(row, w) for row in exact.gram(rows)]
    live = [any(row) for row in rows]
    return max(abs(float(a * b - 1)) for a, b, on in zip(w, products, live, strict=True) if on)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("number", [2, 3, 4, 5])
def test_what_says_converged_is_right(number, dtype):
    kinds, matrices = families(number)
    size = 3 if number <= 3 else 5
    padded = np.zeros((len(kinds), size, COLUMNS), dtype)
    padded[:, :number] = matrices
    results = all_methods(size)(jnp.asarray(padded), jnp.arange(size) < number)
    eps, accuracy = np.finfo(dtype).eps, ACCURACY[dtype]
    rows = matrices.astype(float)
    lengths = np.linalg.norm(rows, axis=2)
    longest = lengths.max(axis=1)
    for name, (found, info) in results.items():
        found, sure = np.asarray(found, float), np.asarray(info.converged)
        if name == "nash_mtl":
            pairs = zip(matrices[sure], np.asarray(info.weights)[sure, :number], strict=True)
            for j, weights in pairs:
                assert imbalance(exact.rational(j), weights) <= accuracy
        else:
            truth = truths(number)[name]
            length = np.linalg.norm(truth, axis=1)
            error = np.linalg.norm(found - truth, axis=1)
            # Next to nothing is nothing: what is left of rows that cancel is rounding.
            nothing = length <= 16 * eps**0.5 * longest
            allowed = np.where(nothing, 16 * eps**0.5 * longest, accuracy * length)
            assert (error[sure] <= (allowed + 4 * eps * longest)[sure]).all(), name
        if not name.startswith("cagrad_0"):
            products = np.einsum("bij,bj->bi", rows, found)
            hurt = (products / np.where(lengths > 0, lengths, 1)).min(axis=1)
            slack = 4 * eps**0.5 * np.linalg.norm(found, axis=1) + 64 * eps * longest
            assert (hurt[sure] >= -slack[sure]).all(), name
        easy = {"well", "tiny", "scaled", "zero row"}
        if dtype == np.float64 or name != "imtl_g":
            easy |= {"opposite but for 1e-1", "equal but for 1e-1"}
        if dtype == np.float64 and name not in ("imtl_g", "config"):
            easy |= {"opposite but for 1e-2", "opposite but for 1e-3"}
        assert sure[[kind in easy for kind in kinds]].all(), name
        assert np.isfinite(found).all(), name
        residual = np.asarray(info.residual)
        assert (residual[sure] <= accuracy).all(), name


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


@pytest.mark.parametrize("tasks", [3, 10])
@pytest.mark.parametrize("name", ["upgrad", "mgda", "cagrad", "nash_mtl", "fairgrad"])
def test_derivatives_equal_differences(name, tasks):
    rng = np.random.default_rng(5)
    j, step, out = rng.normal(size=(3, tasks, 12)) + 0.1
    aggregator = ag.fairgrad(2.0) if name == "fairgrad" else ag.make(name)

    def value(j):
        return (aggregator.update(j, aggregator.init(j))[0] * out[0]).sum()

    @jax.jit
    def both(j):
        at, slopes = jax.value_and_grad(value)(j)
        return at, (slopes * step).sum(), jax.jvp(value, (j,), (jnp.asarray(step),))[1]

    size = 1e-5
    _, backward, forward = both(j)
    expected = (both(j + size * step)[0] - both(j - size * step)[0]) / (2 * size)
    np.testing.assert_allclose(backward, expected, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(forward, expected, rtol=1e-5, atol=1e-8)

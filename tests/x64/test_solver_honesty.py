"""``converged`` against exact rational arithmetic, and derivatives against differences."""

import functools
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from aggregation.cases import arguments, example
from some_cases import some
from x64 import exact

import jaxmtl.aggregation as ag

COLUMNS = 6
ACCURACY = {np.float64: 1e-6, np.float32: 1e-3}
# Names of methods, and CAGrad's c.
METHODS = {
    "upgrad": None,
    "pcd": None,
    "mgda": None,
    "cagrad_0.5": 0.5,
    "cagrad_2": 2.0,
    "dualproj": None,
    "nash_mtl": None,
    "config": None,
    "imtl_g": None,
}
# Programs of five rows are not enumerated; all methods have the same solver for them.
SIZES = {"mgda": 5}
# The same verdict as of DualProj, which stands for these in single precision.
DOUBLE = ("upgrad", "pcd")
CASES = [
    (n, t) for n in METHODS for t in (np.float64, np.float32) if t != np.float32 or n not in DOUBLE
]


def made(name, size, c):
    """UPGrad for one task alone: one exact program is enough."""
    if name == "upgrad":
        return ag.upgrad(np.eye(size)[0])
    if name == "nash_mtl":
        return ag.nash_mtl(None)
    if name == "pcd":  # of whose result the first task is the measure, and nothing else
        return ag.pcd(0.0, eps=0.0)
    return ag.cagrad(c) if name == "cagrad" else ag.make(name)


@functools.cache
def compiled(name, size):
    """The update of a batch of matrices, for any c of CAGrad."""

    def run(matrices, present, c):
        aggregator = made(name, size, c)

        def one(j):  # one after the other: half as much to compile as of a batch
            return aggregator.update(j, aggregator.init(j), present=present)[::2]

        return jax.lax.map(one, matrices)

    return jax.jit(run)


def updated(name, matrices):
    """Results for matrices of any number of rows, by one program for a method and type."""
    number, size = matrices.shape[1], SIZES.get(name, 4)
    padded = np.zeros((len(matrices), size, COLUMNS), matrices.dtype)
    padded[:, :number] = matrices
    c = METHODS[name] or 0.0
    found, info = compiled(name.split("_0")[0].split("_2")[0], size)(
        jnp.asarray(padded), jnp.arange(size) < number, jnp.asarray(c, matrices.dtype)
    )
    return np.asarray(found, float), jax.tree.map(np.asarray, info)


def right(name, rows):
    """The exact result; None where the best margin of CAGrad is 0, or no direction is equal."""
    number, live = len(rows), [row for row in rows if any(row)]
    if name == "upgrad":
        return exact.projection(rows, [Fraction(int(t == 0)) for t in range(number)])
    if name == "dualproj":
        return exact.projection(rows, [Fraction(1, number)] * number)
    if name == "pcd":
        d = exact.projection(rows, [Fraction(int(t == 0)) for t in range(number)])
        square = exact.dot(d, d)
        factor = exact.root(exact.dot(rows[0], rows[0])) / exact.root(square) if square else 0
        return [factor * value for value in d]
    if name == "mgda":
        return exact.least_norm(rows)
    if name.startswith("cagrad"):
        return exact.worst_case(rows, METHODS[name]) or [Fraction(0)] * COLUMNS
    return exact.equal_products(live, name == "config")


@functools.cache
def families(number):
    """Names and rows, all of them numbers of single precision."""
    rng = np.random.default_rng(number)

    def normal():
        return rng.normal(size=(number, COLUMNS))

    def nearly_opposite(exponent):
        # The last row, and the first of UPGrad, are held back by two that are nearly opposite.
        rows = normal()
        rows[0, :3] = [0.3, -1, 0.5]
        rows[-2:] = np.eye(2, COLUMNS) * [[1.0], [10.0**-exponent]]
        rows[-1, 0] = -1
        return rows

    def turned(rows):
        return rows @ np.linalg.qr(normal_square())[0]

    def normal_square():
        return rng.normal(size=(COLUMNS, COLUMNS))

    found = [("well", normal()), ("well", normal()), ("tiny", normal() * 1e-20)]
    found += [("scaled", normal() * 10.0 ** rng.integers(-18, 16, size=(number, 1)))]
    found += [("uneven", normal() * 10.0 ** rng.permutation([0, 3, -3, 6, 1])[:number, None])]
    for exponent in (1, 2, 3, 4, 5, 6, 7, 8):
        rows = nearly_opposite(exponent)
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
    for exponent in (10, 12, 13):  # and far longer than all others
        rows = nearly_opposite(exponent)
        longer = np.where(np.arange(number) < number - 2, 1e-4, 1e4)[:, None]
        name = f"opposite but for 1e-{exponent}"
        found += [(name, rows), (f"{name}, long", rows * longer)]
    return [name for name, _ in found], np.stack([r for _, r in found]).astype(np.float32)


@functools.cache
def truth(name, number):
    """The exact results of all families, NaN where there is none."""
    none = [float("nan")] * COLUMNS
    all_right = [right(name, exact.rational(rows)) for rows in families(number)[1]]
    return np.array([[float(v) for v in d or none] for d in all_right])


def imbalance(rows, weights):
    """Largest |w_t (G w)_t - 1| of the equations of Nash's solution, exactly."""
    w = [Fraction(float(value)) for value in weights]
    products = [exact.dot(row, w) for row in exact.gram(rows)]
    live = [any(row) for row in rows]
    return max(abs(float(a * b - 1)) for a, b, on in zip(w, products, live, strict=True) if on)


EVERY = [(*case, m) for case in CASES for m in range(2, SIZES.get(case[0], 4) + 1)]
# In double precision a projection and a root, in single precision another program.
PROGRAMS = {
    np.float64: ("upgrad", "nash_mtl"),
    np.float32: ("mgda",),
}
KEPT = [case for case in EVERY if case[0] in PROGRAMS[case[1]] and case[2] < 5]


@pytest.mark.parametrize("case", some(EVERY, *KEPT))
def test_what_says_converged_is_right(case):
    name, dtype, number = case
    kinds, matrices = families(number)
    found, info = updated(name, matrices.astype(dtype))
    sure = info.converged
    eps, accuracy = np.finfo(dtype).eps, ACCURACY[dtype]
    rows = matrices.astype(float)
    lengths = np.linalg.norm(rows, axis=2)
    longest = lengths.max(axis=1)
    if name == "nash_mtl":
        for j, weights in zip(matrices[sure], info.weights[sure, :number], strict=True):
            assert imbalance(exact.rational(j), weights) <= accuracy
    else:
        expected = truth(name, number)
        length = np.linalg.norm(expected, axis=1)
        error = np.linalg.norm(found - expected, axis=1)
        # Next to nothing is nothing: what is left of rows that cancel is rounding.
        least = np.where(lengths > 0, lengths, np.inf).min(axis=1)
        beside = 16 * eps**0.5 * (least if name in ("upgrad", "dualproj", "pcd") else longest)
        allowed = np.where(length <= beside, beside, accuracy * length)
        assert (error[sure] <= (allowed + 4 * eps * longest)[sure]).all()
    if name != "cagrad_0.5":
        products = np.einsum("bij,bj->bi", rows, found)
        hurt = (products / np.where(lengths > 0, lengths, 1)).min(axis=1)
        slack = 4 * eps**0.5 * np.linalg.norm(found, axis=1) + 64 * eps * longest
        assert (hurt[sure] >= -slack[sure]).all()
    easy = {"well", "tiny", "scaled", "uneven", "zero row"}
    if dtype == np.float64 or name != "imtl_g":
        easy |= {"opposite but for 1e-1", "equal but for 1e-1"}
    if dtype == np.float64 and name not in ("imtl_g", "config"):
        easy |= {"opposite but for 1e-2", "opposite but for 1e-3"}
    assert sure[[kind in easy for kind in kinds]].all()
    assert np.isfinite(found).all()
    assert (info.residual[sure] <= accuracy).all()


@pytest.mark.parametrize("name", some([name for name in METHODS if name not in DOUBLE], "mgda"))
def test_squares_out_of_range_change_nothing(name):
    kinds, matrices = families(4)
    degree = 0 if name == "nash_mtl" else 1
    expected, info = updated(name, matrices)
    good = info.converged & np.array([kind in ("well", "uneven") for kind in kinds])
    assert good.sum() == 3
    size = np.abs(expected[good]).max(axis=1, keepdims=True)
    for power in (-90, 70):
        found, info = updated(name, matrices * np.float32(2.0**power))
        scaled = found[good] / 2.0 ** (power * degree) / size
        np.testing.assert_allclose(scaled, expected[good] / size, rtol=0, atol=2e-6)
        assert info.converged[good].all()


DERIVED = sorted(ag.REGISTRY)


@pytest.mark.parametrize("name", some(DERIVED, "moco", "nash_mtl", "pcgrad", "trimmed_mean"))
def test_derivatives_equal_differences(name):
    tasks = 2 if name == "cagrad" else 4
    rng = np.random.default_rng(5)
    j, step, out = rng.normal(size=(3, tasks, 12)) + 0.1
    aggregator, given = example(name), arguments(tasks)
    if name == "fairgrad":
        aggregator = ag.fairgrad(2.0)
    elif name == "constant":
        aggregator = ag.constant(np.arange(1.0, tasks + 1))

    def value(j):
        return (aggregator.update(j, aggregator.init(j), **given)[0] * out[0]).sum()

    @jax.jit
    def both(j):
        at, along = jax.linearize(value, j)
        (slopes,) = jax.linear_transpose(along, j)(jnp.ones(()))
        return at, along(jnp.asarray(step)), (slopes * step).sum()

    size = 1e-5
    _, forward, backward = both(j)
    expected = (both(j + size * step)[0] - both(j - size * step)[0]) / (2 * size)
    np.testing.assert_allclose(forward, expected, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(backward, expected, rtol=1e-5, atol=1e-8)

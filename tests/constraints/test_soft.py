"""Soft penalties and violation against literal NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmtl.constraints import (
    OutputBound,
    QuadraticPenalty,
    SoftBound,
    bound_excess,
    bound_penalty,
    excess_of,
    measure_violation,
)

RNG = np.random.default_rng(0)
Y = RNG.normal(size=(32, 3))
FORMS = [(0.2, None), (None, 0.4), (-0.3, 0.4)]


def literal_penalty(y, lower, upper, strength, mask=None):
    total, counted = 0.0, 0
    for place in np.ndindex(*y.shape):
        if mask is not None and not mask[place]:
            continue
        counted += 1
        if lower is not None and y[place] < lower:
            total += (lower - y[place]) ** 2
        if upper is not None and y[place] > upper:
            total += (y[place] - upper) ** 2
    return strength * total / max(counted, 1)


@pytest.mark.parametrize(("lower", "upper"), FORMS)
@pytest.mark.parametrize("masked", [False, True])
def test_penalty_and_gradient(lower, upper, masked):
    mask = RNG.uniform(size=Y.shape) < 0.5 if masked else None
    y = jnp.asarray(Y, jnp.float32)

    def penalty(y):
        return bound_penalty(y, lower=lower, upper=upper, strength=10.0, mask=mask)

    value, slope = jax.value_and_grad(penalty)(y)
    y64 = np.asarray(y, np.float64)
    np.testing.assert_allclose(value, literal_penalty(y64, lower, upper, 10.0, mask), rtol=1e-5)
    np.testing.assert_allclose(jax.jit(penalty)(y), value, rtol=1e-6)
    for place in [(0, 0), (3, 1), (7, 2), (20, 0)]:
        step = np.zeros_like(y64)
        step[place] = 1e-5
        want = literal_penalty(y64 + step, lower, upper, 10.0, mask)
        want = (want - literal_penalty(y64 - step, lower, upper, 10.0, mask)) / 2e-5
        np.testing.assert_allclose(slope[place], want, rtol=1e-4, atol=1e-6)


def test_what_does_not_count_may_be_nan():
    y = jnp.array([[1.0], [jnp.nan], [0.0]])
    mask = jnp.array([[True], [False], [True]])
    value, slope = jax.value_and_grad(lambda y: bound_penalty(y, lower=0.5, mask=mask))(y)
    assert float(value) == 0.125
    np.testing.assert_array_equal(slope, [[0], [0], [-0.5]])
    assert float(bound_penalty(y, lower=0.5, mask=jnp.zeros((3, 1), bool))) == 0
    assert np.isnan(bound_penalty(y, lower=0.5))


def test_bounds_and_strength_map_over():
    y = jnp.asarray(Y, jnp.float32)
    bounds, strengths = jnp.array([0.0, 0.5]), jnp.array([1.0, 7.0])
    mapped = jax.vmap(lambda b, s: bound_penalty(y, lower=b, strength=s))(bounds, strengths)
    loop = [bound_penalty(y, lower=b, strength=s) for b, s in zip(bounds, strengths, strict=True)]
    np.testing.assert_allclose(mapped, np.stack(loop), rtol=1e-6)
    assert bound_excess(y, lower=jnp.zeros(3)).shape == (32, 3)


def test_output_bound_equals_the_penalty():
    y = jnp.asarray(Y, jnp.float32)
    bound = OutputBound(1, lower=-0.3, upper=0.4)
    values = bound(y, None)
    assert values.shape == (32, 2)
    method = QuadraticPenalty(strength=10.0)
    terms = method.terms(values, method.init(values))
    want = bound_penalty(y[:, 1], lower=-0.3, upper=0.4, strength=10.0)
    np.testing.assert_allclose(terms.sum(axis=-1).mean(), want, rtol=1e-6)
    np.testing.assert_allclose(
        SoftBound(lower=-0.3, upper=0.4, strength=10.0).penalty(y[:, 1:2]), want, rtol=1e-6
    )


def test_violation_against_a_loop():
    excess = np.maximum(Y - 0.5, 0)
    mask = RNG.uniform(size=32) < 0.6
    got = measure_violation(jnp.asarray(excess, jnp.float32), mask=jnp.asarray(mask), tolerance=0.1)
    kept = [row for row, counts in zip(excess, mask, strict=True) if counts]
    for c in range(3):
        column = [row[c] for row in kept]
        np.testing.assert_allclose(got.rate[c], np.mean([v > 0.1 for v in column]), rtol=1e-6)
        np.testing.assert_allclose(got.size[c], np.mean(column), rtol=1e-5)
        np.testing.assert_allclose(got.worst[c], max(column), rtol=1e-6)


def test_violation_of_nothing_and_of_nan():
    none = measure_violation(jnp.ones((3, 2)), mask=jnp.zeros(3, bool))
    assert all((np.asarray(leaf) == 0).all() for leaf in none)
    broken = measure_violation(excess_of(jnp.array([[jnp.nan], [-1.0]])))
    assert broken.rate.tolist() == [0.5]
    assert np.isnan(broken.size).all()
    assert np.isnan(broken.worst).all()


def test_violation_eager_jit_vmap():
    excess = jnp.asarray(np.maximum(Y, 0), jnp.float32).reshape(2, 16, 3)
    mapped = jax.vmap(measure_violation)(excess)
    jitted = jax.jit(measure_violation)
    for i in range(2):
        for got, want in zip(jitted(excess[i]), measure_violation(excess[i]), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-6)
        for got, want in zip(mapped, measure_violation(excess[i]), strict=True):
            np.testing.assert_allclose(got[i], want, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: bound_penalty(jnp.ones(2)), "got neither"),
        (lambda: SoftBound(), "got neither"),
        (lambda: OutputBound(0), "got neither"),
        (lambda: OutputBound(2, lower=0.0)(jnp.ones((4, 2)), None), "column below 2"),
        (lambda: bound_penalty(jnp.ones(2), lower=0.0, strength=-1.0), "strength: expected"),
        (lambda: SoftBound(lower=0.0, strength=-1.0), "strength: expected"),
        (lambda: bound_penalty(jnp.ones(2), lower=0.0, mask=jnp.ones(3, bool)), "mask: expected"),
        (lambda: bound_excess(jnp.ones((2, 3)), upper=jnp.ones(2)), r"upper.*got \(2,\)"),
        (lambda: measure_violation(jnp.ones(3)), r"\(samples, constraints\)"),
        (lambda: measure_violation(jnp.ones((3, 1)), mask=jnp.ones(2, bool)), r"\(3,\), got"),
        (lambda: measure_violation(jnp.ones((3, 1)), tolerance=-0.1), "tolerance"),
        (lambda: excess_of(jnp.ones(3), (True, False)), "equality: expected"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()

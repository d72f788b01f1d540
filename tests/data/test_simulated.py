"""Simulated data against their definitions, over many data sets drawn at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmtl.data import simulate_exponential, simulate_normal, simulate_uniform

SETS, ROWS = 400, 300


def draw(simulate, seed):
    return simulate(jax.random.key(seed), num_rows=ROWS)


@pytest.fixture(
    scope="module",
    params=[
        # Mean and standard deviation of one input, and the noise's deviation.
        (simulate_uniform, 3000, 4.0, 8 / np.sqrt(12), 1.0),
        (simulate_normal, 1000, 0.0, 1.0, 0.2),
        (simulate_exponential, 3000, 10.0, 10.0, 1.0),
    ],
    ids=["uniform", "normal", "exponential"],
)
def case(request):
    simulate = request.param[0]
    x, y = jax.jit(jax.vmap(lambda seed: draw(simulate, seed)))(jnp.arange(SETS))
    return *request.param, np.asarray(x, np.float64), np.asarray(y, np.float64)


def test_rows_of_the_study_by_default(case):
    simulate, num_rows, *_ = case
    x, y = jax.eval_shape(simulate, jax.random.key(0))
    assert x.shape == (num_rows, 5)
    assert y.shape == (num_rows, 2)


def test_targets_span_zero_to_one(case):
    *_, y = case
    assert y.shape == (SETS, ROWS, 2)
    np.testing.assert_array_equal(y.min(axis=1), 0)
    # XLA may divide by multiplying with the reciprocal.
    np.testing.assert_allclose(y.max(axis=1), 1, rtol=2e-7)


def test_inputs_have_the_stated_distribution(case):
    simulate, _, mean, deviation, _, x, _ = case
    x = x.reshape(-1, 5)
    np.testing.assert_allclose(x.mean(axis=0), mean, atol=5 * deviation / np.sqrt(len(x)))
    np.testing.assert_allclose(x.std(axis=0), deviation, rtol=0.02)
    assert np.abs(np.corrcoef(x.T) - np.eye(5)).max() < 0.02
    if simulate is simulate_uniform:
        assert 0 <= x.min() < 0.01
        assert 7.99 < x.max() < 8
    elif simulate is simulate_exponential:
        assert x.min() >= 0
        np.testing.assert_allclose((x > 20).mean(), np.exp(-2), rtol=0.02)
    else:
        np.testing.assert_allclose((x**4).mean(), 3, rtol=0.02)


def test_targets_are_a_scaled_linear_map_with_the_stated_noise(case):
    """A regression on x leaves noise whose ratio to the weights is as defined.

    With y = (x W + noise - low) / span, the slope of y is W / span and its residual deviation is
    sigma / span. Over many data sets, the moments of W = W1 W2 are known, which pins sigma.
    """
    simulate, _, _, _, sigma, x, y = case
    design = np.concatenate([np.ones((SETS, ROWS, 1)), x], axis=2)
    transposed = np.swapaxes(design, 1, 2)
    slope = np.linalg.solve(transposed @ design, transposed @ y)
    residual = (y - design @ slope).std(axis=1) * np.sqrt(ROWS / (ROWS - 6))
    weights = slope[:, 1:] / residual[:, None, :] * sigma
    if simulate is simulate_uniform:
        # Each is a sum of four products of means 2 and 2.
        np.testing.assert_allclose(weights.mean(), 16, rtol=0.05)
        assert (weights > -1).all()
    else:
        np.testing.assert_allclose((weights**2).mean(), 4, rtol=0.15)
        assert abs(weights.mean()) < 0.3


def test_pure_in_the_key(case):
    simulate, *_, x, y = case
    one_x, one_y = draw(simulate, 2)
    np.testing.assert_allclose(one_x, x[2], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one_y, y[2], rtol=1e-5, atol=1e-6)
    assert (x[0] != x[1]).any()


def test_too_few_rows(case):
    with pytest.raises(ValueError, match="num_rows: expected at least 2, got 1"):
        case[0](jax.random.key(0), num_rows=1)

"""Scaling: its definition, the way back, constant columns, NumPy and JAX alike."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jaxmtl.data import Scaler, fit_scaler

X = np.array([[1.0, -2.0, 5.0], [3.0, np.nan, 5.0], [2.0, 6.0, 5.0]])

columns = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.floats(-1e300, 1e300, allow_subnormal=False),
)


def test_minmax_by_its_definition():
    scaled = fit_scaler(X).transform(X)
    np.testing.assert_array_equal(scaled, [[0, 0, 0], [1, np.nan, 0], [0.5, 1, 0]])


def test_standard_by_its_definition():
    scaler = fit_scaler(X, "standard")
    np.testing.assert_allclose(scaler.offset, np.nanmean(X, axis=0), rtol=1e-12)
    np.testing.assert_allclose(scaler.scale, np.nanstd(X, axis=0), rtol=1e-12)
    scaled = scaler.transform(X)[:, :2]
    np.testing.assert_allclose(np.nanmean(scaled, axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.nanstd(scaled, axis=0), 1, rtol=1e-12)


def test_none_changes_nothing():
    np.testing.assert_array_equal(fit_scaler(X, "none").transform(X), X)


@pytest.mark.parametrize("kind", ["minmax", "standard"])
def test_constant_column_becomes_zero_and_comes_back(kind):
    # 0.1 three times has a standard deviation that rounding makes positive.
    scaler = fit_scaler(np.full((3, 1), 0.1), kind)
    assert scaler.scale.tolist() == [0]
    assert scaler.transform(np.array([[0.1], [7.0]])).tolist() == [[0], [0]]
    assert scaler.inverse(np.array([[0.0], [7.0]])).tolist() == [[0.1], [0.1]]


@pytest.mark.parametrize("kind", ["minmax", "standard", "none"])
@settings(derandomize=True, max_examples=60, deadline=None)
@given(x=columns)
def test_round_trip(kind, x):
    scaler = fit_scaler(x, kind)
    scaled = scaler.transform(x)
    assert np.isfinite(scaled).all()
    atol = 1e-12 * max(np.abs(x).max(), 1e-300)
    np.testing.assert_allclose(scaler.inverse(scaled), x, rtol=1e-12, atol=atol)
    if kind == "minmax":
        assert (scaled >= 0).all()
        assert (scaled <= 1).all()
        varied = x.max(axis=0) > x.min(axis=0)
        assert (scaled.max(axis=0) == varied).all()


def test_under_jit_and_vmap_with_any_leading_axes():
    scaler = fit_scaler(X)
    x = jnp.asarray(np.nan_to_num(X), jnp.float32)
    both = jax.jit(lambda s, v: s.inverse(s.transform(v)))
    expected = scaler.inverse(scaler.transform(np.nan_to_num(X)))
    leaves = Scaler(*(jnp.asarray(v, jnp.float32) for v in scaler))
    with jax.numpy_rank_promotion("raise"):
        np.testing.assert_allclose(both(leaves, x), expected, rtol=1e-6)
        np.testing.assert_allclose(both(leaves, x[0]), expected[0], rtol=1e-6)
        np.testing.assert_allclose(both(leaves, x[None]), expected[None], rtol=1e-6)
        np.testing.assert_allclose(
            jax.vmap(both, in_axes=(None, 0))(leaves, x), expected, rtol=1e-6
        )
        np.testing.assert_allclose(scaler.transform(x), scaler.transform(np.array(x)), rtol=1e-6)


@pytest.mark.parametrize(
    ("x", "kind", "problem"),
    [
        ([[1.0]], "maxmin", "kind: expected one of 'minmax'"),
        ([1.0], "minmax", r"expected an array of shape \(rows, columns\)"),
        ([[1.0, np.nan]], "minmax", "a known value in column 1, got none"),
        ([[1.0], [np.inf]], "minmax", "finite values .* in column 0"),
        ([[1e308], [-1e308]], "standard", "no further apart than float64 reaches"),
    ],
)
def test_bad_input(x, kind, problem):
    with pytest.raises(ValueError, match=problem):
        fit_scaler(np.array(x), kind)

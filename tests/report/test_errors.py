"""Errors and counts against plain NumPy."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxmtl import HardSharing
from jaxmtl.data import Preprocessing, Rows, Scaler
from jaxmtl.methods.study.parameters import parameter_counts
from jaxmtl.prediction.task_errors import ratio, task_errors
from jaxmtl.training.in_chunks import CHUNK, predictor

CODING = Preprocessing(
    features=("a",),
    targets=("b", "c"),
    feature_scaler=Scaler(np.zeros(1), np.ones(1)),
    target_scaler=Scaler(np.array([5.0, -1.0]), np.array([10.0, 200.0])),
)


def test_errors_by_hand():
    rng = np.random.default_rng(0)
    y, predicted = rng.uniform(size=(2, 50, 2))
    known = rng.uniform(size=(50, 2)) < 0.7
    for mask in (None, known):
        errors = task_errors(predicted, Rows(np.zeros((50, 1)), y, mask), CODING)
        for t in range(2):
            rows = slice(None) if mask is None else mask[:, t]
            wrong = predicted[rows, t] - y[rows, t]
            scale = CODING.target_scaler.scale[t]
            np.testing.assert_allclose(errors.loss[t], np.mean(wrong**2), rtol=1e-12)
            rmse, mae = errors.scores.of("rmse")[t], errors.scores.of("mae")[t]
            np.testing.assert_allclose(rmse, scale * np.sqrt(np.mean(wrong**2)), 1e-12)
            np.testing.assert_allclose(mae, scale * np.mean(np.abs(wrong)), 1e-12)


def test_task_without_a_known_value_has_no_error():
    rows = Rows(np.zeros((3, 1)), np.zeros((3, 2)), np.array([[True, False]] * 3))
    errors = task_errors(np.ones((3, 2)), rows, CODING)
    found = errors.loss, errors.scores.of("rmse"), errors.scores.of("mae")
    assert [np.isnan(e).tolist() for e in found] == [[False, True]] * 3


def test_errors_beyond_all_bounds_warn_of_nothing():
    rows = Rows(np.zeros((2, 1)), np.zeros((2, 2)))
    errors = task_errors(np.array([[np.inf, 1e200], [1, np.nan]]), rows, CODING)
    assert errors.loss[0] == np.inf
    assert np.isnan(errors.loss[1])
    assert np.isnan(ratio(np.array([np.inf]), np.array([np.inf]))).all()


def test_prediction_of_a_row_does_not_depend_on_the_others():
    model = HardSharing(shared=(5,), outputs=(1, 1, 1))
    params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 3)))["params"]
    predict = predictor(model, params, model.initial_head_index())
    x = np.random.default_rng(0).normal(size=(CHUNK + 7, 3)).astype(np.float32)
    whole = predict(x)
    assert whole.shape == (CHUNK + 7, 3)
    for rows in (slice(0, 1), slice(5, 9), slice(CHUNK - 1, None)):
        np.testing.assert_array_equal(predict(x[rows]), whole[rows])
    expected = model.apply({"params": params}, x, model.initial_head_index())
    np.testing.assert_allclose(whole, expected, rtol=1e-5)


def test_parameter_counts_of_a_deeper_network():
    model = HardSharing(shared=(6, 4), nodes=3, towers=(2,), outputs=(1, 1, 1))
    params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 5)))["params"]
    index = jnp.array([[3, 1, 2], [0, 1, 2], [0, 1, 4]])
    trunk = (5 * 6 + 6) + (6 * 4 + 4)
    tower = (3 * 2 + 2) + (2 + 1)
    assert parameter_counts(model, 5, params, index) == {
        "adaptive": trunk + 5 * (4 + 1) + 3 * tower,
        "hard_sharing": trunk + 3 * (4 + 1) + 3 * tower,
        "independent_networks": 3 * (trunk + 3 * (4 + 1) + tower),
    }

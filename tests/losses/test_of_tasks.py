"""Losses of tasks of several kinds, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmtl.losses import (
    loss_of,
    mean_over_known,
    poisson_deviance,
    predictions_of,
    sliced,
    softmax_cross_entropy,
    squared_error,
    weighted,
)
from jaxmtl.tasks import Task, number_tasks

LEVEL = Task(name="level", kind="classes", classes=("good", "fair", "poor"))
HEAVY = Task(name="level", kind="classes", classes=("good", "fair", "poor"), weight=3.0)


def test_numbers_of_weight_1_have_the_squared_error_itself():
    assert loss_of(number_tasks("abc")) is squared_error
    assert loss_of([Task(name="a", weight=1)]) is squared_error


def test_other_tasks_have_a_loss_made_of_the_table():
    parts = (squared_error, softmax_cross_entropy)
    assert loss_of([Task(name="a"), LEVEL]) == sliced(parts, (1, 3), (1, 1))
    parts = (weighted(squared_error, 2), weighted(softmax_cross_entropy, 3.0))
    assert loss_of([Task(name="a", weight=2), HEAVY]) == sliced(parts, (1, 3), (1, 1))


def test_equal_tasks_have_equal_losses_that_are_compiled_once():
    traces = []

    def total(loss, outputs, targets):
        traces.append(loss)
        return loss(outputs, targets).sum()

    compiled = jax.jit(total, static_argnums=0)
    for _ in range(2):
        compiled(loss_of([Task(name="a", weight=2.0), HEAVY]), jnp.ones((2, 4)), jnp.ones((2, 2)))
    assert len(traces) == 1
    assert loss_of([Task(name="a"), HEAVY]) != loss_of([Task(name="a"), LEVEL])


def test_values_by_hand():
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(6, 4)).astype(np.float32)
    y = np.column_stack([rng.normal(size=6), rng.integers(0, 3, 6)]).astype(np.float32)
    found = loss_of([Task(name="a", weight=0.5), HEAVY])(jnp.asarray(outputs), jnp.asarray(y))
    logits = outputs[:, 1:].astype(np.float64)
    picked = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(6), y[:, 1].astype(int)]
    expected = np.column_stack([0.5 * (outputs[:, 0] - y[:, 0]) ** 2, 3 * picked])
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("unknown", [np.nan, -1.0, 3.0, 1e30])
@pytest.mark.parametrize("tasks", [(Task(name="a"), LEVEL), (Task(name="a", weight=2.0), HEAVY)])
def test_unknown_classes_leave_finite_slopes(tasks, unknown):
    loss = loss_of(tasks)
    outputs = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)), jnp.float32)
    y = jnp.array([[0.5, 1.0], [0.2, unknown], [0.0, 2.0]])
    known = jnp.array([[True, True], [True, False], [True, True]])
    missing = np.isnan(np.asarray(loss(outputs, y)))
    assert np.argwhere(missing).tolist() == [[1, 1]]

    def total(outputs):
        return mean_over_known(loss(outputs, y), known).sum()

    slopes = np.asarray(jax.grad(total)(outputs))
    assert np.isfinite(slopes).all()
    assert (slopes[1, 1:] == 0).all()
    assert (slopes[[0, 2], 1:] != 0).all()


def test_predictions_are_numbers_and_probabilities():
    outputs = np.array([[7.0, 0.0, np.log(2.0), 0.0], [-1.0, 1e4, 0.0, 0.0]], np.float32)
    found = predictions_of([Task(name="a"), LEVEL], outputs)
    np.testing.assert_allclose(found, [[7, 0.25, 0.5, 0.25], [-1, 1, 0, 0]], rtol=1e-6)
    assert found.dtype == np.float32
    numbers = outputs[:, :2]
    assert predictions_of(number_tasks("ab"), numbers) is numbers
    nothing = predictions_of([LEVEL], np.array([[np.inf, 0, 0], [np.nan, 0, 0]]))
    assert np.isnan(nothing).all()


DOGS = Task(name="dogs", kind="count")
RANKED = Task(name="rank", kind="ordered", classes=("low", "high"))


def test_counts_have_the_deviance_of_scikit_learn():
    from sklearn.metrics import mean_poisson_deviance

    rng = np.random.default_rng(0)
    z, y = rng.normal(size=50), rng.poisson(1.0, 50).astype(float)
    loss = loss_of([DOGS, RANKED])
    outputs = jnp.asarray(np.column_stack([z, np.zeros((50, 2))]), jnp.float32)
    found = loss(outputs, jnp.asarray(np.column_stack([y, y > 0]), jnp.float32))
    assert float(found[:, 0].mean()) == pytest.approx(mean_poisson_deviance(y, np.exp(z)), rel=1e-5)
    np.testing.assert_allclose(found[:, 1], np.log(2), rtol=1e-6)
    predicted = predictions_of([DOGS, RANKED], np.asarray(outputs))
    np.testing.assert_allclose(predicted[:, 0], np.exp(z), rtol=1e-6)
    np.testing.assert_allclose(predicted[:, 1:], 0.5)


def test_far_counts_have_finite_slopes_and_unknown_ones_none():
    z = jnp.array([[200.0], [-200.0], [0.0], [0.0]])
    y = jnp.array([[1.0], [5.0], [jnp.nan], [-1.0]])
    losses = poisson_deviance(z, y)
    assert np.isfinite(losses[:2]).all()
    assert np.isnan(losses[2:]).all()
    slopes = jax.grad(lambda z: mean_over_known(poisson_deviance(z, y), y >= 0).sum())(z)
    assert np.isfinite(slopes).all()
    assert (slopes[2:] == 0).all()
    assert slopes[0, 0] > 0 > slopes[1, 0]


def test_bad_input():
    with pytest.raises(ValueError, match="tasks: expected at least one, got none"):
        loss_of([])
    with pytest.raises(ValueError, match="weight: expected a number > 0, got 0"):
        weighted(squared_error, 0)
    with pytest.raises(ValueError, match=r"outputs: expected shape \(rows, 4\)"):
        predictions_of([Task(name="a"), LEVEL], np.zeros((2, 2)))

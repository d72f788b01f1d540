"""Backpropagation by hand equals ``jax.grad`` in double precision, stops and all."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import oracle_backprop
import pytest
from drawn import drawn_parameters

import jaxmtl
from jaxmtl.models import HardSharing

MODEL = HardSharing(shared=(), nodes=3, activation=None, param_dtype=jnp.float64)


def problem(seed: int, rows: int = 20) -> tuple[Any, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(rows, 4)), rng.uniform(size=(rows, 2))
    return drawn_parameters(MODEL, x[:1], seed)["params"], x, y


def losses_of(params: Any, batch: tuple[Any, Any]) -> jax.Array:
    x, y = batch
    return ((MODEL.apply({"params": params}, x) - y) ** 2).mean(axis=0)


def assert_close(got: Any, expected: Any) -> None:
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10), got, expected
    )


@pytest.mark.parametrize("seed", range(3))
def test_gradients_are_those_of_autodiff(seed):
    params, x, y = problem(seed)
    assert params["bank"]["kernel"].dtype == jnp.float64
    each, tasks, total, counts = gradients(params, x, y)
    assert_close(oracle_backprop.sample_task_gradients(params, x, y), each)
    assert_close(oracle_backprop.task_gradients(params, x, y), tasks)
    assert_close(oracle_backprop.mean_gradients(params, x, y), total)
    np.testing.assert_array_equal(oracle_backprop.count_conflicts(params, x, y), counts)


@jax.jit
def gradients(params: Any, x: Any, y: Any) -> tuple[Any, Any, Any, Any]:
    each = jaxmtl.sample_task_gradients(losses_of)(params, (x, y))
    tasks = jaxmtl.task_gradients(losses_of)(params, (x, y))[1]
    total = jax.grad(lambda p: losses_of(p, (x, y)).sum())(params)
    counts = jaxmtl.count_conflicts(jaxmtl.sign_conflict(each["bank"]["kernel"], task_axis=1))
    return each, tasks, total, counts


@jax.jit
def one_update(
    params: Any, streak: Any, conflicts: Any, x: Any, y: Any, rate: Any
) -> tuple[Any, Any, Any]:
    grads = jaxmtl.task_gradients(losses_of)(params, (x, y))[1]
    kernel = jnp.moveaxis(grads["bank"]["kernel"], 0, 1)[None]  # (1, features, tasks, nodes)
    evidence = jaxmtl.Evidence(
        conflict=jaxmtl.sign_conflict(kernel, task_axis=-2),
        zero=(kernel == 0).all(axis=-2),
        comparable=jnp.ones((1, 1, 1), bool),
    )
    streak = jaxmtl.update_streak(streak, evidence)[-1]
    conflicts += jaxmtl.count_conflicts(evidence.conflict)
    params = jax.tree.map(lambda p, g: p - rate * g.sum(axis=0), params, grads)
    return params, streak, conflicts


def descend(params: Any, x: Any, y: Any, rate: float, updates: int, threshold: int) -> Any:
    """``oracle_backprop.descend`` from the library's parts."""
    streak = conflicts = np.zeros(params["bank"]["kernel"].shape, int)
    for update in range(1, updates + 1):
        params, streak, conflicts = one_update(params, streak, conflicts, x, y, rate)
        if np.max(streak) >= threshold:
            return params, streak, conflicts, update, True
    return params, streak, conflicts, updates, False


@pytest.mark.parametrize("seed", range(4))
def test_stops_at_three_full_batch_conflicts_in_a_row(seed):
    params, x, y = problem(seed)
    mine = oracle_backprop.descend(params, x, y, learning_rate=0.5, updates=60)
    theirs = descend(params, x, y, 0.5, 60, 3)
    assert_close(tuple(mine), theirs)
    assert mine.stopped
    assert mine.streak.max() == 3
    assert 3 <= mine.updates < 60


def test_a_threshold_out_of_reach_stops_nothing():
    params, x, y = problem(0)
    mine = oracle_backprop.descend(params, x, y, learning_rate=0.5, updates=12, threshold=13)
    assert_close(tuple(mine), descend(params, x, y, 0.5, 12, 13))
    assert (mine.updates, mine.stopped) == (12, False)
    assert mine.conflicts.max() <= 12


def test_streaks_of_tasks_that_pull_apart_or_alike():
    """With all rows alike the sign at every weight is that of the errors, which can be chosen."""
    params, x, _ = problem(5)
    params = jax.tree.map(np.asarray, params)
    params["output"]["kernel"] = np.abs(params["output"]["kernel"]) + 0.5
    x = np.repeat(np.abs(x[:1]) + 0.1, 6, axis=0)
    outputs = oracle_backprop.forward(params, x)[1]
    apart, alike = outputs + [0.1, -0.1], outputs + [0.1, 0.1]
    used = np.s_[:, :3]
    for y, expected in ((apart, 2), (alike, 0)):
        found = oracle_backprop.descend(params, x, y, learning_rate=1e-3, updates=2)
        assert (found.streak[used] == expected).all()
        assert (found.streak[:, 3:] == 0).all()

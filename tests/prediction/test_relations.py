"""What tasks share, before and after the features: correlations, and how sure they are."""

import numpy as np
import pytest

from jaxmtl.prediction.relations import FEWEST, relations_of
from jaxmtl.tasks import Task, number_tasks


def made(seed, rows=200, rest=0.6):
    """Two tasks that follow the same feature, and share some of what it does not tell."""
    rng = np.random.default_rng(seed)
    x, common = rng.normal(size=(2, rows, 1))
    noise = np.sqrt(rest) * common + np.sqrt(1 - rest) * rng.normal(size=(rows, 2))
    return 2 * x * [[1.0, 1.0]], 2 * x + noise


def test_they_are_the_correlations_of_rows_that_carry_both():
    predicted, y = made(0)
    known = np.ones(y.shape, bool)
    known[:50, 0] = known[150:, 1] = False
    found = relations_of(number_tasks("ab"), predicted, y, known, np.arange(200) % 40)
    both = known.all(axis=1)
    assert found.rows.tolist() == [[150, 100], [100, 150]]
    assert found.labels[0, 1] == pytest.approx(np.corrcoef(y[both].T)[0, 1])
    assert found.rest[1, 0] == pytest.approx(np.corrcoef((y - predicted)[both].T)[0, 1])
    assert found.predictions[0, 1] == pytest.approx(1)
    assert np.allclose(found.labels, found.labels.T)


def test_intervals_hold_the_truth_as_often_as_they_say():
    held = []
    for seed in range(80):
        predicted, y = made(seed, rows=60)
        found = relations_of(number_tasks("ab"), predicted, y, y == y, np.arange(60))
        held.append(found.rest_low[0, 1] <= 0.6 <= found.rest_high[0, 1])
    assert np.mean(held) >= 0.9


def test_rows_of_one_block_are_one_witness():
    predicted, y = made(1, rows=40)
    copies = [np.repeat(one, 5, axis=0) for one in (predicted, y)]
    known = np.ones(copies[1].shape, bool)
    block = np.arange(200) // 5
    blocked, alone = (
        relations_of(number_tasks("ab"), *copies, known, one) for one in (block, np.arange(200))
    )
    wide, narrow = (one.rest_high[0, 1] - one.rest_low[0, 1] for one in (blocked, alone))
    assert wide > 1.8 * narrow


def test_classes_are_numbers_where_they_have_an_order():
    rng = np.random.default_rng(2)
    p = rng.uniform(size=300)
    y = np.stack([p, p > 0.5, rng.integers(0, 3, 300), np.floor(2.99 * p)], axis=1)
    tasks = (
        Task(name="n"),
        Task(name="two", kind="classes", classes=("no", "yes")),
        Task(name="three", kind="classes", classes=("x", "y", "z")),
        Task(name="level", kind="ordered", classes=("low", "mid", "high")),
    )
    third = np.full((300, 3), 1 / 3)
    outputs = np.concatenate([p[:, None], 1 - p[:, None], p[:, None], third, third], axis=1)
    found = relations_of(tasks, outputs, y, np.ones(y.shape, bool), np.arange(300))
    assert found.places == (0, 1, 3)
    assert found.labels[0, 1] == pytest.approx(np.corrcoef(y[:, 0], y[:, 1])[0, 1])
    assert np.isnan(found.rest[0, 1])  # of what is predicted to the bit nothing is left
    assert found.rest[1, 2] == pytest.approx(np.corrcoef(y[:, 1] - p, y[:, 3])[0, 1])


def test_too_few_rows_and_single_tasks_have_none():
    predicted, y = made(3, rows=FEWEST - 1)
    found = relations_of(number_tasks("ab"), predicted, y, y == y, np.arange(len(y)))
    assert np.isnan(found.labels).all()
    assert np.isnan(found.rest_low).all()
    one = relations_of(number_tasks("a"), predicted[:, :1], y[:, :1], y[:, :1] == 0, np.arange(9))
    assert one is None

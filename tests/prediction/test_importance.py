"""What columns are worth: nothing where they are noise, together where they tell the same."""

import numpy as np
import pytest

from jaxmtl.data import Data, Folds, SplitIndices
from jaxmtl.data.folds import Part
from jaxmtl.methods import Work, find_method
from jaxmtl.prediction.importance import alike_columns, permutation_importance
from jaxmtl.tasks import Task, number_tasks

PARTS = tuple(Part(name, "number", 1) for name in "abcde")
ROWS, FOLDS = 120, 4


def test_columns_of_one_value_in_every_fold_are_worth_what_they_tell():
    x = np.repeat(np.arange(12.0), 3)[:, None]
    y = 2 * x + np.random.default_rng(0).normal(size=(36, 1))
    known, part = np.ones(y.shape, bool), Part("altitude", "number", 1)
    data = Data(x=x, y=y, known=known, tasks=number_tasks(["u"]), parts=(part,))
    rows, none = np.arange(36), np.zeros(0, int)
    parts = tuple(SplitIndices(rows[rows // 3 != k], none, rows[rows // 3 == k]) for k in range(12))
    fitted = find_method("linear").fit(data, Folds(parts=parts), None, Work())
    at = permutation_importance(fitted.models, data, Folds(parts=parts))
    assert at.low[0, 0] > 3


def found(seed, *, twin=False, tasks=None, missing=0):
    """Of a straight line: u = 2 a + b, v = c, d tells nothing, e is a again or tells nothing."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, 5)).astype(np.float32)
    if twin:
        x[:, 4] = x[:, 0] + 0.01 * x[:, 4]
    y = np.stack([2 * x[:, 0] + x[:, 1], x[:, 2]], axis=1) + rng.normal(size=(ROWS, 2))
    tasks = tasks or number_tasks(["u", "v"])
    if tasks[1].has_classes:
        y[:, 1] = y[:, 1] > 0
    known = np.ones((ROWS, 2), bool)
    known[:missing, 1] = False
    data = Data(x=x, y=y, known=known, tasks=tasks, parts=PARTS)
    order = rng.permutation(ROWS)
    parts = [np.sort(order[k::FOLDS]) for k in range(FOLDS)]
    rest = [np.setdiff1d(order, part) for part in parts]
    none = np.zeros(0, int)
    folds = Folds(parts=tuple(SplitIndices(a, none, b) for a, b in zip(rest, parts, strict=True)))
    fitted = find_method("linear").fit(data, folds, None, Work())
    return permutation_importance(fitted.models, data, folds, seed=seed), data


def test_noise_is_worth_nothing_on_nearly_all_tables():
    covered = []
    for seed in range(50):
        at = found(seed)[0]
        covered.append((at.low[3:] <= 0) & (at.high[3:] >= 0))
    assert np.mean(covered, axis=0).min() >= 0.9


def test_what_matters_to_one_task_is_told_from_what_matters_to_the_other():
    at, _ = found(0)
    assert at.groups == tuple((name,) for name in "abcde")
    assert at.added[:, 0].argmax() == 0
    assert at.added[:, 1].argmax() == 2
    assert (at.low[:2, 0] > 0).all()
    # Var(2 a' - 2 a) = 8 beside noise of 1.
    assert at.added[0, 0] == pytest.approx(np.sqrt(9) - 1, rel=0.3)


def test_a_column_and_its_twin_are_one_group():
    at, data = found(1, twin=True)
    assert at.groups[0] == ("a", "e")
    assert at.low[0, 0] > 1
    alone = alike_columns(data.x, data.parts, 1.01)
    assert alone == tuple((name,) for name in "abcde")


def test_classes_and_missing_labels():
    tasks = (Task(name="u"), Task(name="v", kind="classes", classes=("no", "yes")))
    at, _ = found(2, tasks=tasks, missing=60)
    assert at.added[:, 1].argmax() == 2
    assert at.low[2, 1] > 0
    assert at.rows == ROWS


def test_it_is_the_same_when_repeated():
    one, other = (found(3)[0] for _ in range(2))
    assert (one.added == other.added).all()

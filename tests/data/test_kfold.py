"""Folds: every row once, groups and moments whole, rare classes everywhere."""

import numpy as np
import pytest

from jaxmtl.data import (
    Data,
    TableError,
    chronological,
    grouped,
    kfold,
    one_split,
    random_split,
    resplits,
    strata_of,
)
from jaxmtl.tasks import Task


def _held_once(folds, rows):
    """Whether the held-out rows are a partition, and all others train."""
    held = np.concatenate([fold.test for fold in folds])
    assert sorted(held.tolist()) == sorted(np.asarray(rows).tolist())
    for fold in folds:
        assert len(fold.test)
        assert len(fold.train)
        assert not set(fold.train) & set(fold.test)
        assert len(fold.train) + len(fold.test) == len(rows)


@pytest.mark.parametrize("rows", [2, 5, 23, 100])
def test_every_row_is_held_out_once(rows):
    folds = kfold(rows, 5, seed=3)
    _held_once(folds, range(rows))
    sizes = [len(fold.test) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    assert len(folds) == min(rows, 5)
    assert folds.notes == (() if rows >= 5 else ("2 folds instead of 5, as there are only 2 rows",))
    assert folds.exchangeable


def test_folds_lie_in_the_rows_that_are_named():
    rows = np.array([4, 9, 11, 30, 31, 50])
    _held_once(kfold(rows, 3), rows)
    _held_once(grouped(np.array([1, 1, 2, 2, 3, 3]), 3, rows=rows), rows)
    _held_once(chronological(np.arange(6.0), 3, rows=rows), rows)
    assert set(resplits(rows, (0,)).parts[0].test) < set(rows)


def test_rare_strata_are_spread():
    strata = np.zeros(50, int)
    strata[[3, 17, 40]] = 1
    for seed in range(5):
        folds = kfold(50, 3, seed=seed, strata=strata)
        _held_once(folds, range(50))
        assert [int(strata[fold.test].sum()) for fold in folds] == [1, 1, 1]


def test_rows_that_repeat_each_other_stay_together():
    together = np.array([0, 1, 2, 0, 4, 5, 1, 7, 8, 9])
    folds = kfold(10, 4, seed=2, together=together, strata=np.arange(10) % 2)
    _held_once(folds, range(10))
    for fold in folds:
        assert not set(together[fold.train]) & set(together[fold.test])
    few = kfold(10, 4, together=np.arange(10) % 3)
    assert few.notes == ("3 folds instead of 4, as there are only 3 different rows",)
    with pytest.raises(TableError, match="at least 2 different rows to divide, got 1"):
        kfold(10, 4, together=np.zeros(10, int))


def test_strata_are_classes_and_sparse_labels():
    tasks = (Task(name="a", kind="ordered", classes=("x", "y")), Task(name="b"))
    y = np.zeros((40, 2))
    y[:3, 0] = 1
    known = np.ones((40, 2), bool)
    known[4:, 1] = False
    data = Data(x=np.zeros((40, 1)), y=y, known=known, tasks=tasks)
    strata = strata_of(data)
    assert len(np.unique(strata)) == 3
    folds = kfold(40, 3, strata=strata)
    assert all(y[fold.test, 0].sum() == 1 for fold in folds)
    assert all(1 <= known[fold.test, 1].sum() <= 2 for fold in folds)
    assert not strata_of(
        Data(x=data.x, y=y[:, 1:], known=~known[:, 1:] | True, tasks=tasks[1:])
    ).any()


@pytest.mark.parametrize("k", [2, 4, 9])
def test_groups_stay_whole(k):
    groups = np.random.default_rng(0).integers(0, 7, 60)
    folds = grouped(groups, k, seed=1)
    _held_once(folds, range(60))
    for fold in folds:
        assert not set(groups[fold.train]) & set(groups[fold.test])
    assert len(folds) == min(k, 7)
    assert (folds.notes != ()) == (k > 7)
    assert not folds.exchangeable
    assert "group" in folds.why_not


def test_groups_of_one_row_are_rows():
    assert grouped(np.arange(9), 3).exchangeable


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("past_only", [False, True])
def test_moments_stay_whole_and_blocks_follow_each_other(seed, past_only):
    rng = np.random.default_rng(seed)
    order = rng.integers(0, int(rng.integers(4, 30)), 50).astype(float) ** 2
    if seed == 0:
        order[5:] = 7.0  # nearly all rows at one moment
    folds = chronological(order, 3, past_only=past_only)
    last = -np.inf
    for fold in folds:
        assert len(fold.test)
        assert len(fold.train)
        assert order[fold.test].min() > last
        last = order[fold.test].max()
        assert not set(order[fold.train]) & set(order[fold.test])
        if past_only:
            assert order[fold.train].max() < order[fold.test].min()
    if not past_only:
        _held_once(folds, range(50))
    assert not folds.exchangeable
    assert "time" in folds.why_not


def test_blocks_are_of_one_size_where_moments_allow_it():
    assert [len(f.test) for f in chronological(np.arange(100.0), 5)] == [20] * 5
    assert [len(f.test) for f in chronological(np.repeat(np.arange(50.0), 2), 5)] == [20] * 5


def test_splits_are_those_of_their_seeds():
    folds = resplits(30, (4, 5), test=0.3, validation=0.2)
    for seed, fold in zip((4, 5), folds, strict=True):
        alone = random_split(30, seed=seed, test=0.3, validation=0.2)
        assert all(map(np.array_equal, fold, alone))
    assert one_split(alone).parts == (alone,)
    assert one_split(alone, exchangeable=False, why_not="in time").why_not == "in time"


def test_splits_keep_groups_whole():
    groups = np.repeat(np.arange(10), 3)
    for fold in resplits(30, range(4), groups=groups):
        assert not set(groups[fold.train]) & set(groups[fold.test])
        assert len(fold.test) == 6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: kfold(10, 1), "expected at least 2, got 1"),
        (lambda: kfold(1, 2), "expected at least 2 rows to divide, got 1"),
        (lambda: grouped(np.zeros(5, int), 3), "at least 2 groups to divide, got 1"),
        (lambda: chronological(np.zeros(5), 3), "at least 2 moments to divide, got 1"),
        (lambda: chronological(np.array([1.0, np.nan]), 2), "a moment for every row"),
        (lambda: resplits(10, ()), "expected at least one seed"),
    ],
)
def test_what_cannot_be_divided_is_refused(make, message):
    with pytest.raises(TableError, match=message):
        make()

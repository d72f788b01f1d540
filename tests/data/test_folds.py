"""Rows once, and the folds of them."""

import numpy as np
import pytest

from jaxmtl.data import Data, Folds, SplitIndices, Table, data_of, prepare, random_split
from jaxmtl.tasks import number_tasks


def make_sets(missing=False, rows=30):
    rng = np.random.default_rng(0)
    x, y = rng.uniform(size=(rows, 3)), rng.uniform(size=(rows, 2))
    if missing:
        y[::5, 1] = np.nan
    table = Table(
        features=tuple("abc"), targets=("u", "v"), x=x, y=y, rows=np.arange(rows), source="file",
        kept={},
    )  # fmt: skip
    return [
        prepare(table, random_split(rows, seed=s, test=0.3, validation=v), missing_targets="mask")
        for s, v in enumerate((0.2, 0.0))
    ]


def test_the_rows_of_every_fold_are_those_of_its_data_set():
    for missing in (False, True):
        sets = make_sets(missing)
        data, folds = data_of(sets)
        assert data.complete is not missing
        assert len(folds) == 2
        for fold, dataset in zip(folds, sets, strict=True):
            for mine, theirs in zip(data.splits(fold), dataset.splits, strict=True):
                assert (mine is None) == (theirs is None)
                if mine is None:
                    continue
                np.testing.assert_array_equal(mine.x, theirs.x)
                np.testing.assert_array_equal(mine.y, theirs.y)
                assert mine.x.dtype == theirs.x.dtype
                assert (mine.known is None) is not missing
                if missing and theirs.known is not None:
                    np.testing.assert_array_equal(mine.known, theirs.known)


def test_folds_iterate_in_order():
    parts = tuple(SplitIndices(*(np.array([i]),) * 3) for i in range(3))
    assert [int(fold.train[0]) for fold in Folds(parts=parts)] == [0, 1, 2]


def test_bad_input_is_one_sentence():
    with pytest.raises(ValueError, match="datasets: expected at least one"):
        data_of([])
    with pytest.raises(
        ValueError, match=r"data: expected x .* got \(3, 2\), \(3, 1\) and \(2, 1\)"
    ):
        Data(
            x=np.zeros((3, 2)),
            y=np.zeros((3, 1)),
            known=np.ones((2, 1), bool),
            tasks=number_tasks(["a"]),
        )

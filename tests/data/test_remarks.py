"""What is said of rows before anything is trained on them."""

import numpy as np
import pytest

from jaxmtl.data import SplitIndices, Table, chronological_split, prepare, random_split
from jaxmtl.data.feature_range import FeatureRange, describe_outside
from jaxmtl.data.remarks import one_task_dominates, order_matters, rows_outside, usable_rows

NONE = np.array([], int)


def table_of(x, y) -> Table:
    x, y = np.asarray(x, float), np.asarray(y, float)
    return Table(
        features=tuple("abcdef"[: x.shape[1]]),
        targets=tuple("uvw"[: y.shape[1]]),
        x=x,
        y=y,
        rows=np.arange(len(x)) + 2,
        source="file a.csv",
        kept={"day": np.arange(len(x)).astype(object)},
    )


@pytest.fixture(scope="module")
def table() -> Table:
    rng = np.random.default_rng(0)
    return table_of(rng.uniform(size=(90, 3)), rng.uniform(size=(90, 2)))


@pytest.mark.parametrize(
    ("features", "targets", "rows"),
    [
        ("error", "error", [0, 1, 2, 3]),
        ("mean", "mean", [0, 1, 2, 3]),
        ("error", "mask", [0, 1, 3]),
        ("error", "drop", [0, 3]),
        ("drop", "mask", [1, 3]),
        ("drop", "drop", [3]),
    ],
)
def test_rows_that_no_split_can_use(features, targets, rows):
    nan = np.nan
    table = table_of([[nan], [1], [2], [3]], [[1, 2], [nan, 2], [nan, nan], [5, 6]])
    left, notes = usable_rows(table, features, targets)
    assert left.rows.tolist() == [row + 2 for row in rows]
    assert left.kept["day"].tolist() == rows
    assert len(notes) == (len(rows) < 4)
    assert sorted([*left.rows, *left.left_out]) == [2, 3, 4, 5]


def test_every_seed_has_as_many_rows_once_those_without_labels_are_gone(table):
    y = table.y.copy()
    y[::7] = np.nan
    y[3::5, 1] = np.nan
    gappy, _ = usable_rows(table_of(table.x, y), "error", "mask")
    counts = set()
    for seed in range(5):
        parts = random_split(len(gappy.rows), seed=seed, test=0.3)
        data = prepare(gappy, parts, missing_targets="mask")
        counts.add((len(data.splits.train.x), len(data.splits.test.x)))
    assert len(counts) == 1


def test_rows_far_outside_are_told_by_column():
    trained = FeatureRange(np.array([0.0, 5.0]), np.array([10.0, 5.0]))
    x = np.array([[50.0, 5.0], [-1.0, 6.0], [np.nan, 5.0], [3.0, 5.0]])
    said = describe_outside(trained, ["CO", "T"], x)
    assert said.startswith("2 of 4 rows hold")
    assert "T in 1 row (as far as 6, trained on 5 only)" in said
    assert "CO in 2 rows (as far as 50, trained on 0 to 10)" in said
    assert describe_outside(trained, ["CO", "T"], x[2:]) is None
    many = FeatureRange(np.zeros(5), np.ones(5))
    assert describe_outside(many, list("abcde"), np.full((1, 5), 3.0)).endswith(
        "and 2 columns more"
    )


def test_test_rows_only_just_outside_are_no_news(table):
    assert rows_outside(table, prepare(table, random_split(90, seed=0, test=0.3))) is None
    grown = table_of(np.arange(90.0)[:, None] * [1, 1, 0], table.y)
    with pytest.warns(UserWarning, match="constant"):
        data = prepare(grown, chronological_split(90, test=0.3))
    assert "27 of 27 test rows hold values outside" in rows_outside(grown, data)


def test_order_matters_for_sorted_rows_only(table):
    alone = SplitIndices(np.arange(90), NONE, NONE)
    one = {"batch_size": 1, "shuffle": False}
    assert order_matters(prepare(table, alone), **one) is None
    by_target = table_of(table.x, table.y[np.argsort(table.y[:, 1])])
    assert order_matters(prepare(by_target, alone), **one).startswith(
        "neighbouring rows are alike (v: correlation 0.9"
    )
    by_feature = prepare(table_of(table.x[np.argsort(table.x[:, 2])], table.y), alone)
    assert "(c: correlation" in order_matters(by_feature, **one)
    assert order_matters(by_feature, batch_size=1, shuffle=True) is None
    assert order_matters(by_feature, batch_size=50, shuffle=False) is None
    constant = table_of(table.x, np.ones((90, 1)))
    with pytest.warns(UserWarning, match="constant"):
        data = prepare(constant, alone)
    assert order_matters(data, **one) is None


def test_dominating_task_is_named_with_numbers(table):
    alone = SplitIndices(np.arange(90), NONE, NONE)
    large = table_of(table.x, table.y * [1.0, 1000.0])
    said = one_task_dominates(prepare(large, alone, scaling="none"))
    assert "v makes up 100 % of their summed variance" in said
    assert "--scaling minmax" in said
    assert one_task_dominates(prepare(table, alone, scaling="none")) is None
    assert one_task_dominates(prepare(large, alone)) is None

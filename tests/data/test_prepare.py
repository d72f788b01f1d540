"""Missing values, scaling and splits, put together."""

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmtl.data import (
    Preprocessing,
    SplitIndices,
    Table,
    TableError,
    prepare,
    random_split,
    read_table,
)

NAN = np.nan
X = np.array([[0.0, 5], [NAN, 1], [4, 3], [2, NAN], [8, 9], [6, 2]])
Y = np.array([[1.0, 10], [2, 20], [NAN, 40], [4, 30], [5, NAN], [NAN, NAN]])
NONE = np.array([], dtype=int)


def table_of(x=X, y=Y, targets=("PM2.5", "O3")):
    rows = np.arange(len(x)) + 2
    names = ("CO", "SO2")[: x.shape[1]]
    source = "file a.xlsx, sheet 'S'"
    return Table(features=names, targets=targets, x=x, y=y, rows=rows, source=source, kept={})


def split_of(train, validation=(), test=()):
    return SplitIndices(*(np.array(part, dtype=int) for part in (train, validation, test)))


def test_rows_are_scaled_by_the_training_rows_in_the_order_of_the_file():
    x = np.array([[0.0], [10], [20], [40]])
    data = prepare(table_of(x, x * 2, ("PM2.5",)), split_of([0, 2], [1], [3]))
    assert data.splits.train.x.tolist() == [[0], [1]]
    assert data.splits.validation.x.tolist() == [[0.5]]
    assert data.splits.test.y.tolist() == [[2]]
    assert data.splits.train.known is None
    assert data.splits.train.x.dtype == np.float32
    assert [rows.tolist() for rows in data.rows] == [[2, 4], [3], [5]]
    np.testing.assert_array_equal(data.decode(data.splits.test.y), [[80]])
    assert data.decode(data.splits.test.y).dtype == np.float64


def test_scaling_on_all_rows_of_the_splits():
    x = np.array([[0.0], [10], [20], [40], [1000]])
    split = split_of([0, 2], [1], [3])
    data = prepare(table_of(x, x, ("PM2.5",)), split, scale_on="all", dtype=np.float64)
    assert data.splits.train.x.tolist() == [[0], [0.5]]
    assert data.splits.test.x.tolist() == [[1]]
    assert data.splits.test.x.dtype == np.float64


def test_splits_that_were_not_asked_for_are_none():
    data = prepare(table_of(X[[0, 2]], Y[[0, 3]]), SplitIndices([0, 1], [], []))
    assert data.splits.validation is None
    assert data.splits.test is None


@pytest.mark.parametrize("scaling", ["minmax", "standard", "none"])
def test_mean_of_the_training_rows(scaling):
    data = prepare(
        table_of(),
        split_of([0, 1, 2], [3], [4, 5]),
        missing_features="mean",
        missing_targets="mean",
        scaling=scaling,
        dtype=np.float64,
    )
    np.testing.assert_allclose(data.fill, [2, 3])
    original = data.feature_scaler.inverse(data.splits.train.x)
    np.testing.assert_allclose(original, [[0, 5], [2, 1], [4, 3]])
    np.testing.assert_allclose(data.feature_scaler.inverse(data.splits.validation.x), [[2, 3]])
    np.testing.assert_allclose(data.decode(data.splits.train.y), [[1, 10], [2, 20], [1.5, 40]])
    means = [1.5, 70 / 3]
    np.testing.assert_allclose(data.decode(data.splits.test.y), [[5, means[1]], means])
    # Scales are those of the values that were observed.
    if scaling == "standard":
        np.testing.assert_allclose(data.target_scaler.scale[0], np.std([1, 2]))


def test_drop_removes_rows_from_every_split():
    data = prepare(
        table_of(),
        split_of([0, 1, 3], [], [2, 4]),
        missing_features="drop",
        missing_targets="mask",
        scaling="none",
    )
    assert [rows.tolist() for rows in data.rows] == [[2], [], [4, 6]]
    data = prepare(
        table_of(),
        split_of([0, 1, 2, 3], [], [4, 5]),
        missing_features="mean",
        missing_targets="mask",
        scaling="none",
    )
    assert data.rows.test.tolist() == [6]


def test_mask_marks_what_is_known():
    data = prepare(
        table_of(),
        split_of([0, 1, 2, 5], [3], [4]),
        missing_features="mean",
        missing_targets="mask",
    )
    # The last training row knows no target, so it counts for nothing.
    assert data.rows.train.tolist() == [2, 3, 4]
    assert data.splits.train.known.tolist() == [[True, True], [True, True], [False, True]]
    assert data.splits.validation.known.tolist() == [[True, True]]
    assert data.splits.test.known.tolist() == [[True, False]]
    np.testing.assert_allclose(data.splits.train.y, [[0, 0], [1, 1 / 3], [0, 1]], rtol=1e-6)
    assert data.splits.test.y.tolist() == [[4, 0]]


def test_mask_without_missing_targets_is_none():
    data = prepare(table_of(X[[0, 2]], Y[[0, 3]]), split_of([0, 1]), missing_targets="mask")
    assert data.splits.train.known is None


def test_missing_values_outside_the_splits_do_not_matter():
    assert prepare(table_of(X[:, :1]), split_of([0, 3])).rows.train.tolist() == [2, 5]


@pytest.mark.parametrize(
    ("missing", "train", "start", "options"),
    [
        (
            {},
            [5, 2, 3, 1],
            "column 'CO', row 3: the first of 2 missing among the features",
            "'drop' or 'mean'",
        ),
        (
            {},
            [0, 3],
            "column 'SO2', row 5: the only missing value among the features",
            "'drop' or 'mean'",
        ),
        (
            {"missing_features": "mean"},
            [0, 2, 5],
            "column 'PM2.5', row 4: the first of 3 missing among the targets",
            "'drop', 'mean' or 'mask'",
        ),
    ],
)
def test_missing_values_are_refused_by_default(missing, train, start, options):
    with pytest.raises(TableError) as caught:
        prepare(table_of(), split_of(train), **missing)
    assert str(caught.value).startswith(f"file a.xlsx, sheet 'S', {start}; ")
    assert options in str(caught.value)


@pytest.mark.parametrize(
    ("kwargs", "split", "problem"),
    [
        (
            {"missing_features": "drop", "missing_targets": "drop"},
            split_of([0], [], [4, 5]),
            "one complete row for the test split, got none of 2 rows from row 6 on",
        ),
        ({"missing_targets": "mask"}, split_of([0, 4], [5]), "for the validation split, got none"),
        (
            {"missing_features": "mean", "missing_targets": "mask"},
            split_of([1], [3]),
            "column 'CO': expected a known value in the training rows, got none in 1 rows",
        ),
        ({"missing_targets": "mask"}, split_of([4]), "column 'O3': expected a known value"),
        ({}, split_of([0, 6]), "row numbers from 0 to 5 in the splits, got 0 to 6"),
        ({}, split_of([0], [], [0]), "row 2: in more than one split"),
        ({}, split_of([], [], [0]), "at least one row to train on, got none"),
    ],
)
def test_splits_that_do_not_fit(kwargs, split, problem):
    with pytest.raises(TableError, match=problem) as caught:
        prepare(table_of(), split, **kwargs)
    assert str(caught.value).startswith("file a.xlsx, sheet 'S'")


@pytest.mark.parametrize("option", ["missing_features", "missing_targets", "scaling", "scale_on"])
def test_unknown_options(option):
    with pytest.raises(ValueError, match="expected one of"):
        prepare(table_of(X[[0, 2]], Y[[0, 3]]), split_of([0, 1]), **{option: "guess"})


def test_a_target_is_needed():
    with pytest.raises(TableError, match="at least one target column"):
        prepare(table_of(X, np.zeros((6, 0)), ()), split_of([0]))


@pytest.mark.parametrize("scaling", ["minmax", "standard"])
def test_constant_columns_are_zero_with_a_warning(scaling):
    x = np.array([[7.0, 1], [7, 2], [9, 3]])
    table = table_of(x, x[:, 1:], ("PM2.5",))
    with pytest.warns(
        UserWarning, match="constant, .* in the training rows are 7.0, .* scaled to 0; leave"
    ) as caught:
        data = prepare(table, split_of([0, 1], [], [2]), scaling=scaling)
    assert len(caught) == 1
    text = str(caught[0].message)
    assert text.startswith("file a.xlsx, sheet 'S', column 'CO': ")
    assert caught[0].filename == __file__
    assert data.splits.train.x[:, 0].tolist() == [0, 0]
    assert data.splits.test.x[:, 0].tolist() == [0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepare(table, split_of([0, 1], [], [2]), scaling=scaling, scale_on="all")


def test_values_that_do_not_fit_the_dtype():
    x = np.array([[0.0], [1e-30], [1e30]])
    with pytest.raises(TableError, match="column 'CO', row 4: .* fits into float32 once scaled"):
        prepare(table_of(x, X[[0, 2, 4], :1], ("O3",)), split_of([0, 1], [], [2]))
    wide = np.array([[-1e308], [0], [1e308]])
    with pytest.raises(TableError, match="sheet 'S', columns CO: .* apart than float64 reaches"):
        prepare(table_of(wide, X[[0, 2, 4], :1], ("O3",)), split_of([0, 1, 2]))
    for y, said in ([2.0, 1e200, 3.0], "row 3: .* larger unit"), ([1e-310, 0, 0], "smaller unit"):
        with pytest.raises(TableError, match=f"column 'O3', .*{said}"):
            prepare(table_of(X[[0, 2, 4]], np.array(y)[:, None], ("O3",)), split_of([0, 1, 2]))


def test_encode_new_rows():
    data = prepare(
        table_of(), split_of([0, 1, 2, 3]), missing_features="mean", missing_targets="mask"
    )
    new = table_of(np.array([[NAN, 1], [2.0, NAN]]), np.zeros((2, 0)), ())
    expected = data.feature_scaler.transform(np.array([[2.0, 1], [2, 3]]))
    np.testing.assert_allclose(data.encode(new), expected, rtol=1e-6)
    np.testing.assert_array_equal(data.encode(new.x), data.encode(new))
    assert data.encode(new).dtype == np.float32


def test_encode_refuses_what_it_was_not_fitted_for():
    data = prepare(table_of(X[[0, 2]], Y[[0, 3]]), split_of([0, 1]))
    new = table_of(np.array([[1.0, 1], [2.0, NAN]]), np.zeros((2, 0)), ())
    with pytest.raises(TableError, match="column 'SO2', row 3: the first of 1 missing values"):
        data.encode(new)
    with pytest.raises(TableError, match="features, column 'SO2', row 1 from 0"):
        data.encode(new.x)
    with pytest.raises(TableError, match="expected the features CO, SO2, got CO"):
        data.encode(table_of(X[:, :1]))
    with pytest.raises(TableError, match=r"shape \(rows, 2\), got \(3,\)"):
        data.encode(np.zeros(3))
    with pytest.raises(TableError, match="row 1 from 0: expected a value that fits into float32"):
        data.encode(np.array([[1.0, 1], [np.inf, 0]]))


@pytest.mark.parametrize("missing", ["drop", "mean"])
def test_preprocessing_survives_json(missing):
    data = prepare(
        table_of(), split_of([0, 2, 3, 4]), missing_features=missing, missing_targets="mask"
    )
    again = Preprocessing.from_dict(json.loads(json.dumps(data.to_dict())))
    assert again.features == data.features
    assert again.targets == data.targets
    x = np.random.default_rng(0).normal(size=(5, 2))
    np.testing.assert_array_equal(again.encode(x), data.encode(x))
    np.testing.assert_array_equal(again.decode(x), data.decode(x))
    assert (again.fill is None) == (missing == "drop")


@settings(derandomize=True, max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["drop", "mean", "mask"]))
def test_known_values_come_back(seed, missing_targets):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(40, 2)) * 100, rng.normal(size=(40, 2)) * 100
    x[rng.random(x.shape) < 0.1], y[rng.random(y.shape) < 0.1] = NAN, NAN
    table = table_of(x, y)
    data = prepare(
        table,
        random_split(40, seed=seed, test=0.2, validation=0.2),
        missing_features="mean",
        missing_targets=missing_targets,
        dtype=np.float64,
    )
    for rows, numbers in zip(data.splits, data.rows, strict=True):
        assert (np.diff(numbers) > 0).all()
        for scaled, scaler, true in (
            (rows.x, data.feature_scaler, x),
            (rows.y, data.target_scaler, y),
        ):
            true = true[numbers - 2]
            seen = ~np.isnan(true)
            np.testing.assert_allclose(scaler.inverse(scaled)[seen], true[seen], atol=1e-9)
        assert np.isfinite(rows.x).all()
        assert np.isfinite(rows.y).all()
        if missing_targets == "mask":
            np.testing.assert_array_equal(rows.known, ~np.isnan(y[numbers - 2]))


def test_tianjin_with_zeros_dropped(shared_data):
    table = read_table(
        shared_data / "tianjin_2014_2022.xlsx",
        features=["SO2", "CO", "NO2", "PM10"],
        targets=["PM2.5", "O3_8h"],
        missing_values=[0],
    )
    data = prepare(
        table,
        random_split(len(table.rows), seed=0),
        missing_features="drop",
        missing_targets="drop",
    )
    missing = np.isnan(np.hstack([table.x, table.y])).any(axis=1).sum()
    assert len(data.rows.train) + len(data.rows.test) == 3073 - missing
    assert data.splits.train.x.min() == 0
    assert data.splits.train.x.max() == 1

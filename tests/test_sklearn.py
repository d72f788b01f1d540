"""The estimators of scikit-learn: its own checks, pipelines, searches, frames, gaps, pickles."""

import pickle

import numpy as np
import pandas as pd
import pytest
from refused import check_refused
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from jaxmtl.methods import TABLE_FAMILIES
from jaxmtl.methods.extra_trees import ExtraTrees
from jaxmtl.sklearn import MultiTaskClassifier, MultiTaskEstimator, MultiTaskRegressor

QUICK = {"families": ("mean", "linear"), "folds": 3, "random_state": 0}


def checked(estimator, check):
    if check.func.__name__ == "check_array_api_input":
        pytest.skip("takes SCIPY_ARRAY_API in the environment")
    check(estimator)


@parametrize_with_checks([MultiTaskRegressor(**QUICK)])
def test_scikit_learns_checks_pass(estimator, check):
    checked(estimator, check)


@pytest.mark.slow
@parametrize_with_checks([MultiTaskClassifier(**QUICK)])
def test_scikit_learns_checks_of_classes_pass(estimator, check):
    checked(estimator, check)


def numbers(rows=80, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3))
    return x, x[:, :2] + 0.3 * rng.normal(size=(rows, 2))


def test_it_goes_into_pipelines_and_searches():
    x, y = numbers()
    line = make_pipeline(StandardScaler(), MultiTaskRegressor(**QUICK))
    assert cross_val_score(line, x, y, cv=3).min() > 0.7
    search = GridSearchCV(MultiTaskRegressor(**QUICK), {"families": [("mean",), ("linear",)]}, cv=2)
    assert search.fit(x, y).best_params_ == {"families": ("linear",)}


def test_missing_labels_are_no_hindrance():
    x, y = numbers()
    y[:30, 1] = np.nan
    model = MultiTaskRegressor(**QUICK).fit(x, y)
    assert model.score(x, y) > 0.8
    assert model.coverage_.tasks["y1"].all.rows == 50


def test_intervals_hold_new_rows():
    x, y = numbers(400)
    model = MultiTaskRegressor(**QUICK).fit(x[:200], y[:200])
    points, ends = model.predict_interval(x[200:], confidence_level=0.8)
    assert (points == model.predict(x[200:])).all()
    inside = (ends[:, 0] <= y[200:]) & (y[200:] <= ends[:, 1])
    assert 0.7 < inside.mean() < 0.9
    _, wider = model.predict_interval(x[200:], confidence_level=0.8, joint=True)
    assert (wider[:, 0] < ends[:, 0]).all()
    single = clone(model).fit(x, y[:, 0])
    assert single.predict_interval(x[:5])[1].shape == (5, 2)


def test_pickles_and_clones_predict_the_same(monkeypatch):
    monkeypatch.setitem(TABLE_FAMILIES, "extra_trees", ExtraTrees(trees=20))
    x, y = numbers()
    model = MultiTaskRegressor(families=("linear", "extra_trees"), folds=3, random_state=1)
    model.fit(x, y)
    again = pickle.loads(pickle.dumps(model))
    assert (again.predict(x) == model.predict(x)).all()
    assert (clone(model).fit(x, y).predict(x) == model.predict(x)).all()


def test_several_classes_of_any_type_and_unknown_ones():
    x, y = numbers(120)
    labels = np.full(y.shape, None, object)
    labels[:, 0] = np.where(y[:, 0] > 0, 7, 3)
    labels[:, 1] = np.where(y[:, 1] > 0.5, "high", "low")
    labels[:20, 1] = None
    model = MultiTaskClassifier(**QUICK).fit(x, labels)
    assert [classes.tolist() for classes in model.classes_] == [[3, 7], ["high", "low"]]
    assert model.score(x, labels) > 0.8
    sets = model.predict_set(x, confidence_level=0.95)
    right = [sets[0][i, 0 if one == 3 else 1] for i, one in enumerate(labels[:, 0])]
    assert np.mean(right) > 0.9
    shares = model.predict_proba(x)
    assert [part.shape for part in shares] == [(120, 2), (120, 2)]


def test_frames_of_mixed_kinds():
    x, y = numbers(120)
    frame = pd.DataFrame(x, columns=list("abc")).assign(city=["A", "B", "C"] * 40)
    frame.loc[3, "city"] = None
    targets = pd.DataFrame({"O3": y[:, 0], "level": np.where(y[:, 1] > 0, "high", "low")})
    targets.loc[:9, "level"] = None
    model = MultiTaskEstimator(**QUICK).fit(frame, targets)
    assert model.score(frame, targets) > 0.7
    assert list(model.predict(frame[:2]).columns) == ["O3", "level"]
    regressor = MultiTaskRegressor(**QUICK).fit(frame, targets[["O3"]])
    assert regressor.feature_names_in_.tolist() == ["a", "b", "c", "city"]
    with pytest.raises(ValueError, match="feature names"):
        regressor.predict(frame.rename(columns={"city": "town"}))


def test_intervals_and_sets_of_mixed_kinds():
    x, y = numbers(200)
    frame = pd.DataFrame(x, index=np.arange(200) + 7)
    targets = pd.DataFrame({"O3": y[:, 0], "high": y[:, 1] > 0}, index=frame.index)
    model = MultiTaskEstimator(**QUICK).fit(frame, targets)
    points, ends = model.predict_interval(frame, 0.8)
    assert points.equals(model.predict(frame))
    assert ends.index.equals(frame.index)
    assert list(ends) == [("O3", "lower"), ("O3", "upper"), ("high", False), ("high", True)]
    inside = (ends["O3", "lower"] <= targets["O3"]) & (targets["O3"] <= ends["O3", "upper"])
    assert 0.7 < inside.mean() < 0.9
    right = np.where(targets["high"], ends["high", True], ends["high", False])
    assert right.mean() > 0.75
    joint = model.predict_interval(frame, 0.8, joint=True)[1]
    assert (joint["O3", "lower"] <= ends["O3", "lower"]).all()
    with pytest.raises(ValueError, match="such as 0.9, got '90 %'"):
        model.predict_interval(frame, "90 %")


def test_kinds_are_spoken_of_as_the_argument_that_they_are():
    x, y = numbers(40)
    for kinds, sentence in (
        ({"x0": "numbre"}, r"kinds: expected a kind of 'x0' .* \(did you mean 'number'\?\)"),
        ({"x9": "number"}, "kinds: expected .*'x9'"),
        ({"x0": 3}, r"kinds: expected None or kinds by the name of the column, .* got \{'x0': 3\}"),
        ("x0=number", "kinds: expected None or kinds by the name of the column"),
    ):
        with pytest.raises(ValueError, match=sentence) as raised:
            MultiTaskRegressor(**QUICK, kinds=kinds).fit(x, y)
        assert "--" not in str(raised.value)
    two = np.stack([y[:, 0], y[:, 1] > 0], axis=1)
    targets = pd.DataFrame(two, columns=["u", "v w"]).assign(size=["S", "M", "L", "S"] * 10)
    model = MultiTaskEstimator(**QUICK).fit(x, targets)
    (note,) = [one for one in model.notes_ if "predicted as a number" in one]
    assert "kinds={'v w': 'class'} predicts which of them" in note
    (note,) = [one for one in model.notes_ if "without an order" in one]
    assert "if they have one, kinds={'size': 'low<mid<high'} says it" in note


def test_labels_come_back_as_they_were_under_their_own_names():
    x, y = numbers(60)
    frame = pd.DataFrame(x, index=np.arange(60) + 7)
    targets = pd.DataFrame({0: y[:, 0], "high": y[:, 1] > 0}, index=frame.index)
    model = MultiTaskEstimator(**QUICK).fit(frame, targets)
    predicted = model.predict(frame)
    assert predicted.columns.tolist() == [0, "high"]
    assert predicted["high"].dtype == bool
    assert predicted.index.equals(frame.index)
    assert model.score(frame, targets) > 0.7


def test_labels_that_pandas_calls_missing_and_targets_without_any():
    x, y = numbers(60)
    words = pd.DataFrame({"level": pd.array(["low", None, "high"] * 20, dtype="string")})
    model = MultiTaskClassifier(**QUICK).fit(x, words)
    assert model.classes_[0].tolist() == ["high", "low"]
    regressor = MultiTaskRegressor(**QUICK).fit(x, y)
    one = y * [1, np.nan]
    assert 0.7 < regressor.score(x, one) < 1
    with pytest.raises(ValueError, match="expected a target with known labels"):
        regressor.score(x, y * np.nan)


def test_columns_without_names_are_told_by_their_numbers():
    x, y = numbers(60)
    frame = pd.DataFrame(x).assign(city=["A", "B"] * 30)
    frame.columns = range(4)
    assert MultiTaskRegressor(**QUICK).fit(frame, y).predict(frame).shape == (60, 2)
    named = MultiTaskRegressor(**QUICK).fit(pd.DataFrame(x, columns=list("abc")), y)
    with pytest.warns(UserWarning, match="valid feature names"):
        assert named.predict(x).shape == (60, 2)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"families": "linear"}, "families: expected a list of some of mean, linear"),
        ({"families": ["lines"]}, "families: expected"),
        ({"folds": 2.5}, "folds: expected None or 2 or more, got 2.5"),
        ({"time_limit": -1}, "time_limit: expected None or seconds above 0, got -1"),
    ],
)
def test_parameters_are_checked(changed, sentence):
    with pytest.raises(ValueError, match=sentence):
        MultiTaskRegressor(**QUICK | changed).fit(*numbers())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda x, y: (x[:3], y[:3]), "expected 4 rows or more, got n_samples=3"),
        (lambda x, y: (x, y[:-1]), "inconsistent numbers of samples"),
        (lambda x, y: (x, np.full_like(y, np.inf)), "infinity"),
        (lambda x, y: (pd.DataFrame(x, columns=list("aba")), y), "X: .* got 'a' twice"),
        (lambda x, y: (x, pd.DataFrame(y, columns=["O3", "O3"])), "y: .* got 'O3' twice"),
    ],
)
def test_wrong_use_is_said(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        MultiTaskRegressor(**QUICK).fit(*change(*numbers()))


FRAME = pd.DataFrame({"a": np.arange(8.0), "b": np.arange(8.0) ** 2})
REFUSED = {
    "no numbers to learn": lambda: MultiTaskRegressor(**QUICK).fit(FRAME, None),
    "no classes to learn": lambda: MultiTaskClassifier(**QUICK).fit(FRAME, None),
    "one class": lambda: MultiTaskClassifier(**QUICK).fit(FRAME, ["A"] * 8),
    "no frame": lambda: MultiTaskEstimator(**QUICK).fit(FRAME, np.ones(8)),
    "a name in both": lambda: MultiTaskRegressor(**QUICK).fit(FRAME, FRAME[["b"]]),
    "too few rows": lambda: MultiTaskRegressor(**QUICK).fit(FRAME[:2], np.ones(2)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    check_refused(REFUSED[case])

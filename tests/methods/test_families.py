"""Families that predict tables: exact to the libraries that they stand on, saved, bounded."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from made_tables import CITIES, TASKS, kfold, mixed_data
from sklearn.ensemble import (
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.linear_model import LogisticRegression, RidgeCV
from some_cases import some
from threadpoolctl import threadpool_limits

from jaxmtl.data.folds import Data, Folds, Part
from jaxmtl.methods import TABLE_FAMILIES, Work, find_method, held_out
from jaxmtl.methods.extra_trees import FLOOR, ExtraTrees
from jaxmtl.methods.links import floors
from jaxmtl.methods.logistic import SHARES, fit_logistic
from jaxmtl.methods.models import model_of
from jaxmtl.methods.of_each_task import rows_drawn
from jaxmtl.methods.saved import described
from jaxmtl.methods.straight_line import StraightLine
from jaxmtl.plain.models import outputs_of_model, saved_model
from jaxmtl.statistics.selection import choose_from_others
from jaxmtl.tasks import number_tasks, output_slices

FEW_TREES = ExtraTrees(trees=20)
SOON = {
    name: dataclasses.replace(TABLE_FAMILIES[name], epochs=40, hidden=(32,))
    for name in ("network", "residual", "separate")
}
FAMILIES = TABLE_FAMILIES | {"extra_trees": FEW_TREES} | SOON
COLUMNS = output_slices(TASKS)
OUTPUTS = COLUMNS[-1].stop


@functools.cache
def fitted(name):
    data = mixed_data()
    folds = kfold(len(data.x))
    keys = jax.random.split(jax.random.key(0), len(folds))
    return data, folds, FAMILIES[name].fit(data, folds, keys, Work())


def known_rows(data, fold, task):
    rows = fold.train[data.known[fold.train, task]]
    return data.x[rows], data.y[rows, task]


def numbers_data(rows=60, features=4, targets=2, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, features))
    y = x[:, :1] * np.arange(1, targets + 1) + rng.normal(size=(rows, targets))
    known = np.ones(y.shape, bool)
    return Data(x=x, y=y, known=known, tasks=number_tasks([f"t{k}" for k in range(targets)]))


# A network a task is the shared one, as often as there are tasks.
other_than_separate = pytest.mark.parametrize(
    "name", some(FAMILIES, *(name for name in FAMILIES if name != "separate"))
)


@other_than_separate
def test_every_kind_of_task_is_predicted_better_than_by_the_mean(name):
    data, folds, found = fitted(name)
    assert found.scores.shape == (3, 4)
    for fold, outputs in zip(folds, held_out(found, data, folds), strict=True):
        assert outputs.shape == (len(fold.test), OUTPUTS)
        for columns in COLUMNS[1:3]:
            np.testing.assert_allclose(outputs[:, columns].sum(axis=1), 1, rtol=1e-12)
            assert (outputs[:, columns] >= 0).all()
    if name != "mean":
        # Eighty rows are too few for a network of four rare classes alone.
        most = np.where([name == "separate" and task.width == 4 for task in TASKS], 1.1, 0.9)
        assert (found.scores.mean(axis=0) < most * fitted("mean")[2].scores.mean(axis=0)).all()
        # A class that no row has is unlikely, not impossible.
        assert 0 < found.models[0].predict(data.x)[:, COLUMNS[2]][:, 3].max() < 0.02


@other_than_separate
def test_a_saved_model_predicts_the_same_and_a_row_hangs_on_no_other(name):
    data, _, found = fitted(name)
    model = found.models[0]
    given = {"features": 5, "outputs": OUTPUTS}
    again = model_of(model.kind, model.spec(), model.arrays(), **given)
    expected = model.predict(data.x)
    np.testing.assert_array_equal(again.predict(data.x), expected)
    without_jax = outputs_of_model(saved_model(described(model), model.arrays()), data.x)
    off = np.abs(without_jax - expected).max(axis=0)
    assert (off <= 1e-5 * np.maximum(expected.std(axis=0), 1e-3)).all()
    alone = np.concatenate([again.predict(data.x[i : i + 1]) for i in range(40)])
    np.testing.assert_array_equal(alone, expected[:40])
    with pytest.raises(ValueError, match="expected"):
        model_of(model.kind, model.spec(), model.arrays(), features=5, outputs=OUTPUTS + 1)


@other_than_separate
def test_a_level_that_was_not_met_is_predicted(name):
    data, _, found = fitted(name)
    x = data.x[:4].copy()
    x[:, 4] = [CITIES - 1, CITIES + 3, -1, np.nan]
    outputs = found.models[0].predict(x)
    x[:, 4] = CITIES - 1
    np.testing.assert_array_equal(outputs, found.models[0].predict(x))


def test_extra_trees_are_scikit_learns():
    data, folds, found = fitted("extra_trees")
    fold, model = folds.parts[0], found.models[0]
    assert [forest.outputs for forest in model.forests] == [(0,), (7,), (1, 2), (3, 4, 5, 6)]
    x = without_codes(data.x, data, fold)
    for task, column in ((0, 0), (3, 7)):
        rows = fold.train[data.known[fold.train, task]]
        leaf = found.chosen[0]["rows_of_a_leaf"][task]
        theirs = ExtraTreesRegressor(20, max_features=1.0, min_samples_leaf=leaf, random_state=0)
        mean, spread = data.y[rows, task].mean(), data.y[rows, task].std()
        theirs.fit(x[rows], (data.y[rows, task] - mean) / spread)
        expected = theirs.predict(x) * spread + mean
        np.testing.assert_allclose(model.predict(data.x)[:, column], expected, rtol=1e-4, atol=1e-4)
    rows = fold.train[data.known[fold.train, 2]]
    leaf = found.chosen[0]["rows_of_a_leaf"][2]
    theirs = ExtraTreesRegressor(20, max_features=3, min_samples_leaf=leaf, random_state=0)
    theirs.fit(x[rows], np.eye(4)[data.y[rows, 2].astype(int)])
    floor = floors(data.tasks, data.y[fold.train], data.known[fold.train], FLOOR)[COLUMNS[2]]
    expected = (theirs.predict(x) + floor) / (1 + FLOOR)
    np.testing.assert_allclose(model.predict(data.x)[:, COLUMNS[2]], expected, rtol=1e-5)


def test_leaves_of_a_fold_are_chosen_by_the_others():
    data, folds = numbers_data(rows=80), kfold(80)
    data.y[:, 0] = data.x[:, 0]  # without noise small leaves are better
    found = FEW_TREES.fit(data, folds, None, Work())
    losses = np.zeros((2, len(folds), 2))
    for size, leaf in enumerate((1, 3)):
        for k, fold in enumerate(folds):
            x = data.x.astype(np.float32)
            for t in range(2):
                y = data.y[:, t] - data.y[fold.train, t].mean()
                y = y / y[fold.train].std()
                theirs = ExtraTreesRegressor(20, min_samples_leaf=leaf, random_state=0)
                off = theirs.fit(x[fold.train], y[fold.train]).predict(x[fold.test]) - y[fold.test]
                losses[size, k, t] = (off**2).mean() / y[fold.test].var()
    expected = np.array([choose_from_others(losses[:, :, t]) for t in range(2)]).T
    chosen = [own["rows_of_a_leaf"] for own in found.chosen]
    assert chosen == np.array([1, 3])[expected].tolist()
    assert len(set(np.ravel(chosen))) == 2  # else nothing was chosen


def test_folds_about_the_most_rows_to_choose_have_leaves_of_the_same_sizes(monkeypatch):
    monkeypatch.setattr("jaxmtl.methods.extra_trees.MOST_ROWS_TO_CHOOSE", 53)
    data, folds = numbers_data(rows=80), kfold(80)
    assert {len(fold.train) for fold in folds} == {53, 54}
    found = FEW_TREES.fit(data, folds, None, Work())
    assert [own["rows_of_a_leaf"] for own in found.chosen] == [[1, 1]] * 3


def without_codes(x, data, fold):
    """Levels by their frequency, and a column for each."""
    levels, counts = np.unique(data.x[fold.train, 4], return_counts=True)
    ranked = levels[np.argsort(-counts, kind="stable")]
    place = np.array([list(ranked).index(level) for level in x[:, 4]])
    indicators = place[:, None] == np.arange(len(ranked))
    return np.hstack([x[:, :4], place[:, None], indicators]).astype(np.float32)


def test_boosted_trees_are_scikit_learns_with_levels_classes_and_gaps():
    data = mixed_data(missing=0.3)
    data.x[::7, 0] = np.nan
    folds = kfold(len(data.x))
    found = FAMILIES["boosted"].fit(data, folds, None, Work())
    model, fold = found.models[0], folds.parts[0]
    outputs = model.predict(data.x)
    given = {"learning_rate": 0.1, "early_stopping": False, "random_state": 0}
    given["categorical_features"] = [4]
    floor = floors(data.tasks, data.y[fold.train], data.known[fold.train])
    for task, rounds in enumerate(found.chosen[0]["rounds"]):
        assert rounds > 0
        x, y = known_rows(data, fold, task)
        kind = (
            HistGradientBoostingClassifier
            if TASKS[task].width > 1
            else (HistGradientBoostingRegressor)
        )
        theirs = kind(max_iter=rounds, min_samples_leaf=max(len(y) // 20, 3), **given)
        with threadpool_limits(1, "openmp"):
            theirs.fit(x.astype(float), y)
        if TASKS[task].width == 1:
            expected = theirs.predict(data.x.astype(float))[:, None]
        else:
            shares = np.zeros((len(data.x), TASKS[task].width))
            shares[:, theirs.classes_.astype(int)] = theirs.predict_proba(data.x.astype(float))
            added = floor[COLUMNS[task]]
            expected = (shares + added) / (1 + added.sum())
        np.testing.assert_allclose(outputs[:, COLUMNS[task]], expected, rtol=1e-4, atol=1e-6)


def test_rounds_of_a_fold_are_chosen_by_the_others():
    data = numbers_data(rows=90, targets=1)
    folds = kfold(90)
    found = FAMILIES["boosted"].fit(data, folds, None, Work())
    curves = []
    for fold in folds:
        trees = HistGradientBoostingRegressor(
            max_iter=75, random_state=0, early_stopping=False, min_samples_leaf=3
        )
        with threadpool_limits(1, "openmp"):
            trees.fit(data.x[fold.train].astype(np.float32), data.y[fold.train, 0])
        stages = trees.staged_predict(data.x[fold.test].astype(np.float32))
        own = [((stage - data.y[fold.test, 0]) ** 2).mean() for stage in stages]
        constant = ((data.y[fold.train, 0].mean() - data.y[fold.test, 0]) ** 2).mean()
        curves.append([constant, *own])
    curves = np.array(curves)
    for k, chosen in enumerate(found.chosen):
        expected = int(np.argmin(np.delete(curves, k, axis=0).mean(axis=0)))
        assert chosen["rounds"] == [expected]


def test_a_fold_without_labels_of_its_own_has_the_rounds_that_others_chose():
    data = numbers_data(rows=90, targets=1)
    folds = kfold(90)
    data.known[folds.parts[1].test] = False
    found = FAMILIES["boosted"].fit(data, folds, None, Work())
    assert np.isnan(found.scores[1, 0])
    assert found.chosen[1]["rounds"][0] > 0
    assert np.ptp(found.models[1].predict(data.x)) > 0.5


@pytest.mark.parametrize("features", [4, 90])  # fewer and more than rows
def test_the_line_of_a_number_is_that_of_ridge_left_one_out(features):
    data = numbers_data(features=features)
    folds = kfold(60)
    found = FAMILIES["linear"].fit(data, folds, None, Work())
    for model, choice, fold in zip(found.models, found.chosen, folds, strict=True):
        x = data.x / data.x[fold.train].std(axis=0)
        for task, penalty in enumerate(choice["penalty"]):
            centred = x[fold.train] - x[fold.train].mean(axis=0)
            top = np.linalg.norm(centred, 2) ** 2
            theirs = RidgeCV(top * np.logspace(-8, 2, 21)).fit(
                x[fold.train], data.y[fold.train, task]
            )
            assert penalty == pytest.approx(theirs.alpha_)
            np.testing.assert_allclose(
                model.predict(data.x)[:, task], theirs.predict(x), rtol=1e-6, atol=1e-9
            )


def test_the_line_of_classes_is_logistic_regression():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 4))
    z = np.linalg.qr(z - z.mean(axis=0))[0] * np.sqrt(200)
    labels = np.digitize(z[:, 0] + rng.normal(0, 0.5, 200), [-0.5, 0.7])
    slopes, intercept, share = fit_logistic(z, labels, 3, np.ones(4), None)
    assert share in SHARES[2:-2]
    theirs = LogisticRegression(C=1 / (share * 200), tol=1e-8, max_iter=1000).fit(z, labels)
    centred = slopes - slopes.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(centred, theirs.coef_.T, atol=2e-3)
    apart = intercept - intercept.mean() - theirs.intercept_ + theirs.intercept_.mean()
    np.testing.assert_allclose(apart, 0, atol=2e-3)


def test_levels_have_slopes_as_columns_of_their_own_would():
    data, folds, found = fitted("linear")
    fold = folds.parts[0]
    levels = np.arange(CITIES - 1)
    x = np.hstack([data.x[:, :4], data.x[:, 4:] == levels]).astype(float)
    parts = (*data.parts[:4], *(Part("City", "level") for _ in levels))
    apart = Data(x=x, y=data.y, known=data.known, tasks=data.tasks, parts=parts)
    other = StraightLine().fit(apart, Folds(parts=(fold,)), None, Work())
    np.testing.assert_allclose(
        found.models[0].predict(data.x), other.models[0].predict(x), rtol=1e-5, atol=1e-7
    )


def test_columns_that_are_constant_or_alike_do_no_harm():
    data = numbers_data(rows=50)
    x = np.hstack([data.x, data.x[:, :1], np.full((50, 1), 7e5), data.x[:, 1:2] * 1e6])
    data = dataclasses.replace(data, x=x)
    found = FAMILIES["linear"].fit(data, kfold(50), None, Work())
    expected = FAMILIES["linear"].fit(numbers_data(rows=50), kfold(50), None, Work())
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0.05)


@pytest.mark.parametrize("name", ["linear", "extra_trees", "boosted"])
@pytest.mark.parametrize("rows", [6, 20])
def test_few_rows_and_targets_that_do_not_vary(name, rows):
    data = mixed_data(rows=rows, missing=0.0)
    data.y[:, :] = data.y[:1]
    found = FAMILIES[name].fit(data, kfold(rows, folds=2), None, Work())
    outputs = found.models[0].predict(data.x)
    np.testing.assert_allclose(outputs[:, [0, 7]], data.y[:, [0, 3]], rtol=1e-6)
    assert (outputs[:, COLUMNS[1]].argmax(axis=1) == data.y[0, 1]).all()


@pytest.mark.parametrize("name", list(TABLE_FAMILIES))
def test_names_are_found_and_described(name):
    assert find_method(name) is TABLE_FAMILIES[name]
    assert TABLE_FAMILIES[name].name == name
    assert TABLE_FAMILIES[name].description


def test_of_too_many_rows_a_part_is_drawn_with_the_rows_of_rare_labels():
    rng = np.random.default_rng(0)
    known = np.ones((500, 2), bool)
    known[:, 1] = rng.uniform(size=500) < 0.01
    data = Data(
        x=np.arange(500.0)[:, None],
        y=np.zeros((500, 2)),
        known=known,
        tasks=number_tasks(["a", "b"]),
    )
    drawn = rows_drawn(data, 100)
    assert 100 <= len(drawn.x) <= 110
    assert drawn.known[:, 1].sum() == known[:, 1].sum()

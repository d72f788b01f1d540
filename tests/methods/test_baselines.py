"""Methods without gradient steps, against scikit-learn."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge as TheirRidge
from sklearn.linear_model import RidgeCV

from jaxmtl.data import Data, Folds, SplitIndices
from jaxmtl.methods import BASELINES, Work, held_out
from jaxmtl.methods.linear import PENALTIES
from jaxmtl.methods.trees import trees_model_of
from jaxmtl.tasks import Task, number_tasks

ROWS, FEATURES = 120, 5
NONE = np.array([], int)
WORK = Work()


def make_data(missing=0.0, features=FEATURES):
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(ROWS, features))
    y = np.stack([x @ rng.normal(size=features), x[:, 0] * x[:, 1] > 0.3], axis=1)
    y += rng.normal(0, 0.1, y.shape)
    known = rng.uniform(size=y.shape) >= missing
    return Data(x=x, y=np.where(known, y, 0), known=known, tasks=number_tasks(["a", "b"]))


def make_folds(validation=True):
    rng = np.random.default_rng(1)
    parts = []
    for train in (60, 70):  # folds need not be of one size
        order = rng.permutation(ROWS)
        rows = [np.sort(part) for part in np.split(order, [train, 90])]
        parts.append(SplitIndices(rows[0], rows[1] if validation else NONE, rows[2]))
    return Folds(parts=tuple(parts))


def of_task(data, rows, task):
    rows = rows[data.known[rows, task]]
    return data.x[rows], data.y[rows, task]


def by_hand(model_of, data, folds):
    """Test errors of scikit-learn's models: ``model_of(train, validation)``, a task at a time."""
    scores = []
    for fold in folds:
        row = []
        for task in range(2):
            train, validation, test = (of_task(data, part, task) for part in fold)
            row.append(((model_of(train, validation)(test[0]) - test[1]) ** 2).mean())
        scores.append(row)
    return np.array(scores)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_ridge_chooses_on_validation_rows(missing):
    def theirs(train, validation):
        fits = [TheirRidge(alpha).fit(*train) for alpha in PENALTIES]
        errors = [((fit.predict(validation[0]) - validation[1]) ** 2).mean() for fit in fits]
        return fits[int(np.argmin(errors))].predict

    data, folds = make_data(missing), make_folds()
    found = BASELINES["ridge"].fit(data, folds, None, WORK)
    np.testing.assert_allclose(found.scores, by_hand(theirs, data, folds), rtol=1e-9)


@pytest.mark.parametrize("features", [FEATURES, 90])  # fewer and more than rows
def test_ridge_leaves_one_out_where_there_are_no_validation_rows(features):
    data, folds = make_data(features=features), make_folds(validation=False)
    found = BASELINES["ridge"].fit(data, folds, None, WORK)
    expected = by_hand(lambda train, _: RidgeCV(PENALTIES).fit(*train).predict, data, folds)
    np.testing.assert_allclose(found.scores, expected, rtol=1e-6)
    for choice, fold in zip(found.chosen, folds, strict=True):
        cv = [RidgeCV(PENALTIES).fit(data.x[fold.train], data.y[fold.train, t]) for t in range(2)]
        assert choice["penalty"] == pytest.approx([fit.alpha_ for fit in cv])


def test_trees_are_scikit_learns_to_the_bit():
    data, folds = make_data(), make_folds(validation=False)
    found = BASELINES["boosted_trees"].fit(data, folds, None, WORK)
    assert found.chosen == ({"trees": [200, 200]},) * 2
    for model, fold in zip(found.models, folds, strict=True):
        for task in range(2):
            trees = HistGradientBoostingRegressor(
                max_iter=200, random_state=0, early_stopping=False
            )
            trees.fit(data.x[fold.train], data.y[fold.train, task])
            np.testing.assert_array_equal(model.predict(data.x)[:, task], trees.predict(data.x))


def test_a_missing_feature_goes_where_the_trees_learned_it_to_go():
    data, folds = make_data(), make_folds(validation=False)
    holes = data.x.copy()
    holes[::3, 0] = np.nan
    data = Data(x=holes, y=data.y, known=data.known, tasks=data.tasks)
    model = BASELINES["boosted_trees"].fit(data, folds, None, WORK).models[0]
    trees = HistGradientBoostingRegressor(max_iter=200, random_state=0, early_stopping=False)
    trees.fit(data.x[folds.parts[0].train], data.y[folds.parts[0].train, 0])
    np.testing.assert_array_equal(model.predict(holes)[:, 0], trees.predict(holes))
    sizes = {"features": holes.shape[1], "outputs": 2}
    read = trees_model_of({}, model.arrays(), **sizes)
    np.testing.assert_array_equal(read.predict(holes), model.predict(holes))
    fewer = {name: model.arrays()[name][1:] for name in ("roots", "output_of_tree")}
    with pytest.raises(ValueError, match="one way to every node"):
        trees_model_of({}, model.arrays() | fewer, **sizes)


def test_the_number_of_trees_is_chosen_on_validation_rows():
    data, folds = make_data(), make_folds()
    found = BASELINES["boosted_trees"].fit(data, folds, None, WORK)
    fold, (first, _) = folds.parts[0], found.chosen[0]["trees"]
    trees = HistGradientBoostingRegressor(max_iter=first, random_state=0, early_stopping=False)
    trees.fit(data.x[fold.train], data.y[fold.train, 0])
    np.testing.assert_allclose(found.models[0].predict(data.x)[:, 0], trees.predict(data.x))
    longer = HistGradientBoostingRegressor(max_iter=200, random_state=0, early_stopping=False)
    longer.fit(data.x[fold.train], data.y[fold.train, 0])
    stages = longer.staged_predict(data.x[fold.validation])
    errors = [((stage - data.y[fold.validation, 0]) ** 2).mean() for stage in stages]
    assert first == int(np.argmin(errors)) + 1


def test_the_mean_of_numbers_and_the_frequencies_of_classes():
    data = make_data(missing=0.3)
    levels = (data.x[:, 0] * 3).astype(int)
    task = Task(name="level", kind="classes", classes=("low", "mid", "high"))
    data = Data(
        x=data.x,
        y=np.column_stack([data.y[:, 0], levels]),
        known=data.known,
        tasks=(data.tasks[0], task),
    )
    folds = make_folds()
    found = BASELINES["mean"].fit(data, folds, None, WORK)
    for model, held, fold, scores in zip(
        found.models, held_out(found, data, folds), folds, found.scores, strict=True
    ):
        _, y = of_task(data, fold.train, 0)
        _, level = of_task(data, fold.train, 1)
        shares = [(level == c).mean() for c in range(3)]
        np.testing.assert_allclose(model.outputs, [y.mean(), *shares])
        assert held.shape == (len(fold.test), 4)
        _, test = of_task(data, fold.test, 1)
        expected = -np.mean([np.log(shares[int(c)]) for c in test])
        assert scores[1] == pytest.approx(expected)


@pytest.mark.parametrize("name", ["ridge", "boosted_trees"])
def test_classes_are_refused_by_methods_for_numbers(name):
    data = make_data()
    tasks = (data.tasks[0], Task(name="level", kind="classes", classes=(0, 1)))
    data = Data(x=data.x, y=data.y, known=data.known, tasks=tasks)
    with pytest.raises(ValueError, match=f"{name}: expected tasks that are numbers.*'level'"):
        BASELINES[name].fit(data, make_folds(), None, WORK)


@pytest.mark.parametrize("name", list(BASELINES))
def test_a_task_without_labels_is_refused_by_name(name):
    data = make_data()
    data.known[:, 1] = False
    with pytest.raises(ValueError, match=f"{name}: expected a known target of 'b'"):
        BASELINES[name].fit(data, make_folds(), None, WORK)


@pytest.mark.parametrize("name", list(BASELINES))
def test_a_rows_prediction_hangs_on_no_other_row(name):
    data, folds = make_data(), make_folds()
    model = BASELINES[name].fit(data, folds, None, WORK).models[0]
    alone = np.concatenate([model.predict(data.x[i : i + 1]) for i in range(ROWS)])
    np.testing.assert_array_equal(model.predict(data.x), alone)

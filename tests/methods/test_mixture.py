"""Mixtures of models, and what readers of saved families refuse."""

import copy
import functools

import numpy as np
import pytest
from made_tables import TASKS, kfold, mixed_data

from jaxmtl.methods import (
    TABLE_FAMILIES,
    ConstantModel,
    MixtureModel,
    Work,
    mixed,
)
from jaxmtl.methods.extra_trees import ExtraTrees
from jaxmtl.methods.models import model_of
from jaxmtl.tasks import number_tasks, output_slices

COLUMNS = output_slices(TASKS)
GIVEN = {"features": 5, "outputs": COLUMNS[-1].stop}
METHODS = [TABLE_FAMILIES["mean"], TABLE_FAMILIES["linear"], ExtraTrees(trees=3)]


@functools.cache
def members():
    data = mixed_data(missing=0.0)
    folds = kfold(len(data.x))
    return data, [method.fit(data, folds, None, Work()).models[0] for method in METHODS]


def read(model, spec=None, arrays=None, **given):
    spec = model.spec() if spec is None else spec
    return model_of(model.kind, spec, arrays or model.arrays(), **GIVEN | given)


def test_it_predicts_weighted_means_a_task_each_and_is_read_again():
    data, models = members()
    weights = np.array([[1.0, 0, 0, 0], [3, 1, 0, 0], [0, 1, 5, 1]])
    mixture = mixed(models, weights, TASKS)
    assert isinstance(mixture, MixtureModel)
    found = mixture.predict(data.x)
    for t, columns in enumerate(COLUMNS):
        shares = weights[:, t] / weights[:, t].sum()
        expected = sum(
            w * m.predict(data.x)[:, columns] for w, m in zip(shares, models, strict=True)
        )
        np.testing.assert_allclose(found[:, columns], expected, rtol=1e-12)
    np.testing.assert_array_equal(read(mixture).predict(data.x), found)


def test_members_without_weight_are_dropped_and_mixtures_flattened():
    data, models = members()
    first = mixed(models, np.array([[1.0] * 4, [1.0] * 4, [0.0] * 4]), TASKS)
    assert isinstance(first, MixtureModel)
    assert len(first.models) == 2
    second = mixed([first, models[2]], np.array([[1.0] * 4, [3.0] * 4]), TASKS)
    assert isinstance(second, MixtureModel)
    assert [model.kind for model in second.models] == ["constant", "linear", "forest"]
    np.testing.assert_allclose(second.weights[:, 0], [1 / 8, 1 / 8, 3 / 4])
    assert mixed(models, np.array([[0.0] * 4, [2.0] * 4, [0.0] * 4]), TASKS) is models[1]


def test_what_a_member_without_weight_predicts_is_left_alone():
    broken = ConstantModel(outputs=np.array([np.nan, 1.0]))
    good = ConstantModel(outputs=np.array([3.0, 2.0]))
    mixture = mixed([broken, good], np.array([[0.0, 1.0], [1.0, 1.0]]), number_tasks(["a", "b"]))
    assert mixture.predict(np.zeros((1, 1))).tolist() == [[3.0, 1.5]]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones((2, 4)), "weights: expected"),
        (-np.ones((3, 4)), "0 or more, got -1"),
        (np.full((3, 4), np.nan), "0 or more"),
        (np.array([[1.0, 1, 0, 1]] * 3), "a model for 'level'"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        mixed(members()[1], weights, TASKS)


def changed(tree, path, value):
    tree = copy.deepcopy(tree)
    *way, last = path
    inner = functools.reduce(lambda at, step: at[step], way, tree)
    inner[last] = value
    return tree


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["widths"], [1, 2, 4, 2], "widths of 8"),
        (["widths"], 8, "widths of 8"),
        (["models"], [], "1 to 1000 models"),
        (["models", 0, "kind"], "mixture", "a mixture in it"),
        (["models", 0, "kind"], "oracle", "model 0: model: expected one of the kinds"),
        (["models", 1], {"kind": "linear"}, "model 1: expected the fields"),
        (["models", 1, "spec", "codes"], [[9, 7]], "places of codes below 5"),
        (["models", 1, "spec", "codes"], [[4, 10**12]], "array 'levels'"),
        (["models", 1, "spec", "links"], [["same", 1]], "links of 8 outputs"),
        (["models", 1, "spec", "links", 0], ["softmax", 1], "a width that goes with it"),
        (["models", 1, "spec", "links", 0], ["power", 1], "expected one of same"),
        (["models", 2, "spec", "outputs", 0], [0, 8], "lists of outputs below 8"),
        (["models", 2, "spec", "outputs", 0], [0, 0], "lists of outputs below 8"),
        (["models", 2, "spec", "codes"], [5], "places of codes below 5"),
    ],
)
def test_a_damaged_spec_is_refused(path, value, message):
    mixture = mixed(members()[1], np.ones((3, 4)), TASKS)
    with pytest.raises(ValueError, match=message):
        read(mixture, changed(mixture.spec(), path, value))


def at_first(value):
    def change(array):
        array = array.copy()
        array.flat[0] = value
        return array

    return change


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("weights", lambda w: w * 2, "sum 1"),
        ("weights", lambda w: w[:2], "array 'weights'"),
        ("1/floor", at_first(-1.0), "'floor'.*0 or more"),
        ("1/levels", lambda levels: levels[1:], "array 'levels'"),
        ("2/0/roots", at_first(10**6), "'roots': expected numbers"),
        ("2/0/feature", at_first(99), "'feature': expected numbers"),
        ("2/0/left", at_first(0), "children behind their parents"),
        ("2/0/right", at_first(-(10**6)), "'right': expected numbers"),
        ("2/0/roots", lambda roots: roots[:-1], "one way to every node and leaf"),
        ("2/0/roots", lambda roots: np.r_[roots, roots[:1]], "one way to every node and leaf"),
        ("2/0/threshold", at_first(np.nan), "finite"),
        ("2/0/value", lambda value: value[:, :0], "array 'value'"),
        ("2/0/set_column", at_first(0), "places of codes"),
        ("2/0/sets", lambda sets: sets[:, :3], "array 'sets'"),
        ("2/buckets/4", lambda buckets: buckets[:0], "a bucket for every level"),
        ("2/buckets/4", lambda buckets: buckets.astype(int), "array 'buckets/4'"),
        ("7/x", lambda _: np.zeros(3), "expected no such array"),
        ("2/9/feature", lambda _: np.zeros(3), "expected no such array"),
    ],
)
def test_damaged_arrays_are_refused(name, change, message):
    mixture = mixed(members()[1], np.ones((3, 4)), TASKS)
    arrays = mixture.arrays()
    arrays[name] = change(arrays.get(name))
    with pytest.raises(ValueError, match=message):
        read(mixture, arrays=arrays)

"""Choices on rows held out, against a slow literal twin, and on tables of pure noise."""

import itertools

import numpy as np
import pytest
from some_cases import some

from jaxmtl.statistics import choose_from_others, greedy
from jaxmtl.statistics.selection import ALIKE, CAUTION, GAIN, NEAR, ROUNDS, ROWS_FOR_MIXTURES
from jaxmtl.tasks import Task, number_tasks, output_slices

CLASSES = Task(name="level", kind="classes", classes=("low", "mid", "high"))
MIXED = (Task(name="CO"), CLASSES, Task(name="O3"))


def by_hand(scores):
    """The rule of ``choose_from_others``, fold by fold and choice by choice."""
    chosen = []
    for k in range(scores.shape[1]):
        others = [j for j in range(scores.shape[1]) if j != k] or [0]
        others = [j for j in others if np.isfinite(scores[:, j]).any()]
        means = []
        for row in scores:
            own = [row[j] for j in others]
            means.append(np.mean(own) if own and np.isfinite(own).all() else np.inf)
        best = min(means)
        chosen.append(means.index(best))
    return chosen


@pytest.mark.parametrize("folds", [1, 2, 5])
@pytest.mark.parametrize("missing", [0.0, 0.2, 0.6, 1.0])
def test_choices_are_those_of_the_literal_rule(folds, missing):
    rng = np.random.default_rng(0)
    for _ in range(30):
        scores = rng.integers(0, 4, (4, folds)).astype(float)  # with ties
        scores[rng.uniform(size=scores.shape) < missing] = np.nan
        assert choose_from_others(scores).tolist() == by_hand(scores)


def test_a_fold_has_no_say_for_itself():
    scores = np.array([[0.0, 2.0, 2.0], [9.0, 1.0, 1.0]])
    assert choose_from_others(scores)[0] == 1
    scores[1, 0] = -1e9
    assert choose_from_others(scores)[0] == 1


@pytest.mark.parametrize("scores", [np.zeros(3), np.zeros((0, 3)), np.zeros((3, 0))])
def test_scores_of_other_shapes_are_refused(scores):
    with pytest.raises(ValueError, match="scores: expected"):
        choose_from_others(scores)


def made(rows=200, seed=0, families=4, missing=0.1):
    """Families that err by themselves and together; the first is the constant."""
    rng = np.random.default_rng(seed)
    y = np.stack([rng.normal(size=rows), rng.integers(0, 3, rows), rng.normal(5, 2, rows)], axis=1)
    every = []
    for family in range(families):
        p = np.zeros((rows, 5))
        noise = 0.4 + 0.2 * rng.uniform()
        p[:, 0] = y[:, 0] + rng.normal(0, noise, rows) if family else y[:, 0].mean()
        p[:, 4] = y[:, 2] + rng.normal(0, 3 * noise, rows) if family else y[:, 2].mean()
        logits = rng.normal(0, 1, (rows, 3)) + (family > 0) * 2 * np.eye(3)[y[:, 1].astype(int)]
        p[:, 1:4] = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) if family else 1 / 3
        every.append(p)
    known = rng.uniform(size=y.shape) >= missing
    return every, np.where(known, y, np.nan), known, np.arange(rows) % 4


def loss_of(task, outputs, y):
    if task.width == 1:
        return (outputs[:, 0] - y) ** 2
    return np.array([-np.log(row[int(c)]) for row, c in zip(outputs, y, strict=True)])


def literal(every, y, task, rows):
    """Weights of one task from some rows, all means and losses worked out anew."""
    own = [loss_of(task, p[rows], y[rows]) for p in every]
    able = [
        f
        for f, loss in enumerate(own)
        if (own[0] - loss).mean() > CAUTION * (own[0] - loss).std() / np.sqrt(len(rows))
    ]
    if not able:
        return np.eye(len(every))[0]
    added = [min(able, key=lambda f: own[f].mean())]
    losses = [own[added[0]].mean()]
    while len(added) < ROUNDS:
        tried = []
        for f in range(len(every)):
            mean = np.mean([every[g][rows] for g in [*added, f]], axis=0)
            tried.append(loss_of(task, mean, y[rows]).mean())
        added.append(int(np.argmin(tried)))
        losses.append(min(tried))
    length = next(k for k, loss in enumerate(losses) if loss <= min(losses) * (1 + GAIN)) + 1
    weights = np.bincount(added[:length], minlength=len(every)) / length
    behind = [loss - own[added[0]] for loss in own]
    alike = [
        f
        for f, b in enumerate(behind)
        if b.mean() <= ALIKE * b.std() / np.sqrt(len(rows)) or b.max() == 0
        if own[f].mean() <= NEAR * own[added[0]].mean()
    ]
    if len(alike) == 1:
        return weights
    return weights / 2 + np.bincount(alike, minlength=len(every)) / len(alike) / 2


@pytest.mark.parametrize("seed", some(range(3), 0))
def test_weights_and_honest_errors_are_those_of_the_literal_rule(seed):
    every, y, known, fold = made(seed=seed)
    found = greedy(every, y, known, MIXED, fold)
    assert not found.single.any()
    assert not found.notes
    for t, (task, columns) in enumerate(zip(MIXED, output_slices(MIXED), strict=True)):
        rows = np.flatnonzero(known[:, t])
        own = [p[:, columns] for p in every]
        expected = literal(own, y[:, t], task, rows)
        np.testing.assert_allclose(found.weights[:, t], expected, atol=1e-12)
        assert np.count_nonzero(expected) > 1
        losses = []
        for k in range(4):
            weights = literal(own, y[:, t], task, rows[fold[rows] != k])
            np.testing.assert_allclose(found.of_folds[k, :, t], weights, atol=1e-12)
            here = rows[fold[rows] == k]
            mean = np.tensordot(weights, [p[here] for p in own], axes=1)
            np.testing.assert_allclose(found.predictions[here, columns], mean)
            losses.append(loss_of(task, mean, y[here, t]))
        assert found.losses[t] == pytest.approx(np.concatenate(losses).mean())


def test_families_that_can_hardly_be_told_apart_share_a_half():
    rng = np.random.default_rng(0)
    y, fold = rng.normal(size=(120, 1)), np.arange(120) % 4
    off = rng.normal(0, 0.3, (120, 1))
    # The third is the second but for a row in which it is worse, as chance has it.
    third = off + np.where(np.arange(120) == 7, 0.2, 0.0)[:, None] * np.sign(off)
    families = [5 + 0 * y, y + off, y + third, y + 2 * off]
    found = greedy(families, y, np.ones((120, 1), bool), number_tasks(["a"]), fold)
    assert found.weights.ravel().tolist() == [0, 0.75, 0.25, 0]  # without that the third has none
    far = [5 + 0 * y, y + off[0], y + 1.5 * off[0]]
    found = greedy(far, y, np.ones((120, 1), bool), number_tasks(["a"]), fold)
    assert found.weights.ravel().tolist() == [0, 1, 0]


@pytest.mark.parametrize("classes", [False, True])
def test_a_family_with_one_wild_prediction_is_not_alike(classes):
    """Its standard error is as large as its error: only because of that it cannot be told apart."""
    rng = np.random.default_rng(0)
    y, fold = rng.normal(size=(120, 1)), np.arange(120) % 4
    good, tasks = y + rng.normal(0, 0.3, (120, 1)), number_tasks(["a"])
    wild, constant = good.copy(), 0 * y
    wild[7] = 50.0
    if classes:
        y, tasks = rng.integers(0, 3, (120, 1)).astype(float), (CLASSES,)
        good = 0.1 + 0.7 * np.eye(3)[y[:, 0].astype(int)]
        wild, constant = good.copy(), np.full((120, 3), 1 / 3)
        wild[7] = 1e-15 + np.eye(3)[(int(y[7, 0]) + 1) % 3]
    behind = loss_of(tasks[0], wild, y[:, 0]) - loss_of(tasks[0], good, y[:, 0])
    assert behind.mean() < ALIKE * behind.std() / np.sqrt(120)
    found = greedy([constant, good, wild], y, np.ones((120, 1), bool), tasks, fold)
    assert found.weights[2, 0] == 0
    assert found.weights[1, 0] > 0.9


def test_few_rows_take_the_single_best_and_ties_the_simplest():
    every, y, known, fold = made(rows=ROWS_FOR_MIXTURES - 1, missing=0.0)
    every.append(every[-1].copy())
    found = greedy(every, y, known, MIXED, fold)
    assert found.single.all()
    assert ((found.weights == 0) | (found.weights == 1)).all()
    assert (found.weights[-1] == 0).all()
    np.testing.assert_array_equal(found.weights[:, 0].argmax(), np.argmin(found.alone[:-1, 0]))


def test_what_is_not_finite_or_not_known_has_no_weight():
    every, y, known, fold = made(missing=0.0)
    every[1][7, 0] = np.nan
    known[:, 2] = False
    found = greedy(every, y, known, MIXED, fold)
    assert found.weights[1, 0] == 0
    assert found.weights[:, 2].tolist() == [1, 0, 0, 0]
    assert np.isnan(found.losses[2])
    assert np.isfinite(found.losses[:2]).all()


def test_one_fold_is_told_to_flatter():
    every, y, known, fold = made()
    found = greedy(every, y, known, MIXED, 0 * fold)
    np.testing.assert_array_equal(found.of_folds[0], found.weights)
    assert "one fold" in found.notes[0]


def test_of_pure_noise_nothing_is_lost_against_the_mean_and_no_error_flatters():
    """Many families, each better than the mean on the rows at hand by chance only."""
    rng = np.random.default_rng(0)
    sizes = np.geomspace(0.03, 1, 12)
    shown, true = [], []
    for rows, _ in itertools.product((40, 300), range(40)):
        y, fold = rng.normal(size=(rows, 1)), np.arange(rows) % 5
        constant = np.zeros((rows, 1))
        for k in range(5):
            constant[fold == k] = y[fold != k].mean()
        others = [constant + rng.normal(0, size, (rows, 1)) for size in sizes]
        found = greedy([constant, *others], y, np.ones((rows, 1), bool), number_tasks(["a"]), fold)
        shown.append(np.sqrt(found.losses[0] / found.alone[0, 0]))
        # On new rows the squared error grows by the variance of what is added to the mean.
        true.append(np.sqrt(1 + ((found.weights[1:, 0] * sizes) ** 2).sum()))
    assert np.mean(shown) > 0.99
    assert np.mean(true) < 1.02
    assert np.mean(shown) > np.mean(true) - 0.01


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"predictions": []}, "predictions: expected at least one"),
        ({"predictions": [np.zeros((200, 4))]}, r"predictions\[0\]: expected shape"),
        ({"y": np.zeros((200, 2))}, "y: expected"),
        ({"fold": np.zeros(200)}, "fold: expected"),
        ({"fold": np.full(200, -1)}, "fold: expected"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    every, y, known, fold = made()
    given = {"predictions": every, "y": y, "known": known, "tasks": MIXED, "fold": fold} | change
    with pytest.raises(ValueError, match=message):
        greedy(**given)

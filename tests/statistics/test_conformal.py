"""Order statistics over folds, against their definition."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose

from jaxmtl.plain.spread import BY_PREDICTION
from jaxmtl.statistics.conformal import (
    class_sets,
    conformal_rank,
    cv_plus,
    joint_rank,
    rows_needed,
)
from jaxmtl.statistics.spread import fit_spread


@pytest.mark.parametrize("seed", range(20))
def test_ends_are_order_statistics_of_all_shifted_scores(seed):
    rng = np.random.default_rng(seed)
    folds = int(rng.integers(1, 6))
    rows = int(rng.integers(folds, 40))
    fold = np.arange(rows) % folds
    scores = np.abs(rng.normal(size=rows)).round(rng.integers(0, 6))  # ties among them
    centres = rng.normal(size=(folds, 5)) * rng.choice([0, 0.1, 100])
    spreads = np.exp(rng.normal(size=(folds, 5)))
    rank = int(rng.integers(1, rows + 1))
    upper = np.sort([centres[f] + spreads[f] * s for f, s in zip(fold, scores, strict=True)], 0)
    lower = np.sort([centres[f] - spreads[f] * s for f, s in zip(fold, scores, strict=True)], 0)
    found = cv_plus(centres, scores, fold, rank, spreads)
    least, most = (np.minimum, lower[rows - rank]), (np.maximum, upper[rank - 1])
    for own, (of, end) in zip(found.T, (least, most), strict=True):
        assert_allclose(own, of(end, centres.mean(axis=0)), rtol=1e-6, atol=1e-5)


def test_the_prediction_is_within_where_folds_disagree_more_than_they_err():
    found = cv_plus(np.array([[0.0], [10.0]]), np.array([0.1, 0.1, 0.2]), np.array([0, 0, 1]), 1)
    assert found[0, 0] <= 5 <= found[0, 1]


@pytest.mark.parametrize("seed", range(5))
def test_a_class_is_out_where_too_many_true_ones_were_likelier(seed):
    rng = np.random.default_rng(seed)
    folds, rows = 3, 24
    fold, scores = np.arange(rows) % folds, rng.uniform(size=rows)
    p = rng.dirichlet(np.ones(4), size=(folds, 6))
    rank = conformal_rank(rows, 0.8)
    found = class_sets(p, scores, fold, rank)
    for row, each in enumerate(found):
        for c, inside in enumerate(each):
            less = sum(s < 1 - p[f, row, c] for f, s in zip(fold, scores, strict=True))
            best = p[:, row].mean(axis=0).argmax() == c
            assert inside == (less < rank or best)


def test_ranks_are_those_of_the_definition():
    assert [conformal_rank(n, 0.9) for n in (8, 9, 18, 19, 99)] == [9, 9, 18, 18, 90]


@pytest.mark.parametrize("level", [0, 1, 90, -0.1, float("nan"), float("inf"), True, "0.9", None])
def test_what_is_no_level_is_told_what_one_is(level):
    sentence = f"confidence_level: expected a number between 0 and 1, such as 0.9, got {level!r}"
    with pytest.raises(ValueError, match=re.escape(sentence)):
        conformal_rank(10, level)


def test_a_level_needs_as_many_rows_as_its_rank_does():
    for level in (0.5, 0.8, 0.9, 0.95, 0.99, 0.9999):
        least = rows_needed(level)
        assert conformal_rank(least, level) == least
        assert conformal_rank(least - 1, level) == least
        alike = np.arange(2.0 * rows_needed(level, joint=True)).reshape(-1, 2)
        assert joint_rank(alike, level) <= len(alike)
        assert joint_rank(alike[1:], level) > len(alike) - 1


def test_closed_ends_hold_what_is_equal_to_them_but_for_rounding():
    """Zeros around which models are constant: m - s (m / s) is 0 or next to it."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        centres = rng.uniform(0.01, 0.2, (5, 1))
        spreads = rng.uniform(0.01, 0.4, (5, 1))
        fold = np.arange(100) % 5
        labels = np.where(np.arange(100) < 95, 0.0, 3.7)
        scores = np.abs(labels - centres[fold, 0]) / spreads[fold, 0]
        lower, upper = cv_plus(centres, scores, fold, 95, spreads)[0]
        assert lower == 0
        assert upper < 0.5
        assert cv_plus(centres, scores, fold, 100, spreads)[0, 1] >= 3.7


@pytest.mark.parametrize("rows", [19, 50])
def test_joint_ranks_hold_all_tasks_at_the_level(rows):
    rng = np.random.default_rng(rows)
    held = []
    for _ in range(1500):
        scores = np.abs(rng.normal(size=(rows + 1, 3)) + rng.normal(size=(rows + 1, 1)))
        rank = joint_rank(scores[:-1], 0.9)
        bounds = np.inf if rank > rows else np.sort(scores[:-1], axis=0)[rank - 1]
        held.append((scores[-1] <= bounds).all())
    assert np.mean(held) >= 0.9 - 2 * 0.0078  # two standard errors


def test_errors_that_grow_are_found_and_those_that_do_not_are_not():
    rng = np.random.default_rng(0)
    rows, none = 400, np.zeros(400)
    predicted, fold = rng.normal(size=rows), np.arange(rows) % 5
    noise = np.abs(rng.normal(size=rows))
    same = fit_spread(predicted, none, noise, fold, 5)
    grows = fit_spread(predicted, none, noise * np.exp(predicted), fold, 5)
    grid, nothing = np.linspace(-2, 2, 9), np.zeros(9)
    assert np.ptp(np.log(same[0](grid, nothing))) < 0.3
    assert {model.terms for model in grows} == {BY_PREDICTION}
    ratio = grows[0](np.array([1.0]), np.zeros(1)) / grows[0](np.array([-1.0]), np.zeros(1))
    assert 5 < ratio[0] < 11  # exp(2) = 7.4
    beyond = grows[0](np.array([1e9, 10.0]), np.zeros(2))
    assert beyond[0] == beyond[1]

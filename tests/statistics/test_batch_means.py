"""Intervals of means hold where neighbours are alike, and all of them together."""

import numpy as np

from jaxmtl.statistics.batch_means import Batches

PARTS, ROWS = 10, 120


def alike(rng, likeness):
    """Numbers of mean 0, each like the one before."""
    x = rng.normal(size=(PARTS, ROWS))
    for i in range(1, ROWS):
        x[:, i] = likeness * x[:, i - 1] + np.sqrt(1 - likeness**2) * x[:, i]
    return x.ravel()


def held(likeness, tables=300):
    part = np.repeat(np.arange(PARTS), ROWS)
    rng, inside, singly = np.random.default_rng(0), 0, 0
    for _ in range(tables):
        x = alike(rng, likeness)
        low, high = Batches(part, PARTS).means(x).ends(PARTS)
        inside += bool(((low < 0) & (high > 0)).all())
        error = x.reshape(PARTS, ROWS).std(axis=1) / np.sqrt(ROWS)
        singly += bool((np.abs(x.reshape(PARTS, ROWS).mean(axis=1)) < 2.81 * error).all())
    return inside / tables, singly / tables


def test_all_intervals_together_hold_their_level():
    assert 0.92 <= held(0.0)[0] <= 0.98


def test_neighbours_that_are_alike_make_them_wider():
    batches, singly = held(0.6)
    assert singly < 0.6
    assert batches > singly + 0.15


def test_means_are_those_of_the_parts_in_whatever_order():
    rng = np.random.default_rng(1)
    part = rng.integers(-1, 3, 500)
    part[part == 1] = 2  # so that 1 has no row
    x = rng.normal(size=500)
    found = Batches(part, 3).means(x)
    for one in (0, 2):
        assert np.isclose(found.mean[one], x[part == one].mean())
    assert np.isnan(found.mean[1])
    assert np.isnan(found.ends(3)[0][1])


def test_squares_have_ends_above_zero():
    x = np.random.default_rng(2).normal(size=12) ** 2
    low, high = Batches(np.zeros(12, int), 1).means(x).ends(20, positive=True)
    assert 0 < low[0] < x.mean() < high[0]
    none = Batches(np.zeros(12, int), 1).means(np.zeros(12)).ends(1, positive=True)
    assert [end.tolist() for end in none] == [[0.0], [0.0]]

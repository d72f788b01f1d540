"""From what was seen to a structure."""

import itertools

import numpy as np
import pytest

from jaxmtl.structure import (
    at_random,
    bank,
    by_conflict,
    by_streak,
    check_tree,
    everything,
    grouped,
    groups_by,
    grow,
    merge_alike,
    separate,
    shared,
    split_layer,
)

SIX = tuple("abcdef")


def related(groups, size, rng, noise=0.05):
    """Absolute correlations of tasks in groups of equal size, shuffled."""
    labels = rng.permutation(np.repeat(np.arange(groups), size))
    relation = (labels[:, None] == labels[None]) * 0.9 + noise * rng.random((len(labels),) * 2)
    return labels, relation


def same_groups(groups, tasks, labels):
    found = {frozenset(group) for group in groups}
    return found == {
        frozenset(task for task, own in zip(tasks, labels, strict=True) if own == label)
        for label in set(labels.tolist())
    }


@pytest.mark.parametrize(("groups", "size"), [(2, 3), (3, 2), (2, 8), (6, 23)])
def test_groups_are_found_again(groups, size):
    rng = np.random.default_rng(groups * size)
    labels, relation = related(groups, size, rng)
    tasks = tuple(f"t{number}" for number in range(len(labels)))
    assert same_groups(groups_by(relation, tasks, groups), tasks, labels)


def test_two_groups_are_the_best_of_all():
    relation = np.abs(np.corrcoef(np.random.default_rng(3).normal(size=(6, 9))))

    def value(labels):
        pairs = [(a, b) for a, b in itertools.combinations(range(6), 2)]
        parts = [[], []]
        for a, b in pairs:
            parts[int(labels[a] == labels[b])].append(relation[a, b])
        return np.mean(parts[1]) - np.mean(parts[0])

    every = [np.array((0, *rest)) for rest in itertools.product((0, 1), repeat=5) if any(rest)]
    best = max(every, key=value)
    assert same_groups(groups_by(relation, SIX, 2), SIX, best)


def test_names_and_their_order_decide_nothing():
    labels, relation = related(3, 4, np.random.default_rng(1))
    order = np.random.default_rng(2).permutation(12)
    tasks = tuple(f"t{number}" for number in range(12))
    one = groups_by(relation, tasks, 3)
    turned = groups_by(relation[np.ix_(order, order)], tuple(tasks[i] for i in order), 3)
    assert {frozenset(group) for group in one} == {frozenset(group) for group in turned}


def test_a_pair_of_which_nothing_is_known_counts_as_far_apart():
    relation = np.array([[1, np.nan, 0.9], [np.nan, 1, 0.2], [0.9, 0.2, 1]])
    assert groups_by(relation, tuple("abc"), 2) == (("a", "c"), ("b",))
    assert groups_by(np.full((3, 3), np.nan), tuple("abc"), 1) == (("a", "b", "c"),)


def test_more_groups_than_tasks_are_refused():
    with pytest.raises(ValueError, match="at most 3 groups"):
        groups_by(np.eye(3), tuple("abc"), 4)
    with pytest.raises(ValueError, match=r"expected shape \(2, 2\)"):
        groups_by(np.eye(3), tuple("ab"), 2)


def test_what_is_split_grown_and_joined():
    start = shared(SIX, (8, 4))
    assert everything(start) == separate(SIX, (8, 4))
    assert bank(start) == split_layer(start, 1)
    assert split_layer(start, 0, ["abc", "def"]).columns == (16, 4)
    assert grow(bank(start), 3).columns == (24, 6 * 12)
    with pytest.raises(ValueError, match="layer: expected a number from 0 to 1, got 2"):
        split_layer(start, 2)
    near = np.zeros((6, 6))
    assert merge_alike(everything(start), [near, near + 1], 0.5).columns == (8, 24)


def test_conflict_parts_the_layer_and_all_above_it():
    scores = np.zeros((3, 6, 6))
    scores[1, :3, 3:] = scores[1, 3:, :3] = 0.7
    found = by_conflict(shared(SIX, (8, 6, 4)), scores)
    assert [len(layer.groups) for layer in found.layers] == [1, 2, 2]
    assert found.layers[1].groups == (("a", "b", "c"), ("d", "e", "f"))
    check_tree(found)
    nothing = np.full((3, 6, 6), np.nan)
    assert by_conflict(shared(SIX, (8, 6, 4)), nothing) == shared(SIX, (8, 6, 4))
    # A layer that is parted already stays so, within the new parts.
    again = by_conflict(grouped(SIX, (8, 6, 4), ["ad", "bcef"]), scores)
    assert again.layers[2].groups == (("a",), ("b", "c"), ("d",), ("e", "f"))


def test_a_streak_parts_one_node_and_then_its_copies():
    moving = np.zeros((6, 4), bool)
    moving[:2, 3] = True
    once = by_streak(shared(SIX, (8, 4)), np.array([1, 2, 7, 8]), moving, 8)
    assert once.layers[1].nodes == ((3, (("a", "b"), ("c", "d", "e", "f"))),)
    moving[:, 3] = [True, False, False, False, False, True]
    twice = by_streak(once, np.array([0, 0, 0, 9]), moving, 8)
    assert [len(groups) for _, groups in twice.layers[1].nodes] == [4]
    assert twice.columns == (8, 7)
    assert by_streak(once, np.array([0, 0, 0, 7]), moving, 8) == once
    assert by_streak(once, np.array([9, 0, 0, 0]), np.ones((6, 4), bool), 8) == once


def test_chance_changes_who_but_not_how_many():
    start = grouped(SIX, (8, 4), ["abc", "de", "f"])
    found = {at_random(start, np.random.default_rng(seed)) for seed in range(8)}
    assert len(found) > 3
    for one in found:
        assert one.columns == start.columns
        assert sorted(map(len, one.layers[0].groups)) == [1, 2, 3]

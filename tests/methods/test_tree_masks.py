"""Leaves found by words of bits are those that rows reach level by level, and one by one."""

import numpy as np
import pytest

from jaxmtl.plain import trees
from jaxmtl.plain.tree_masks import FEWEST_ROWS, MOST_LEAVES, leaves_by_masks, masks_of

FEATURES, CODES = 5, (1, 4)  # columns that hold buckets


def a_forest(rng: np.random.Generator, sizes: list[int]) -> dict[str, np.ndarray]:
    """Random trees with so many leaves each; some nodes ask whether a bucket is in a set."""
    nodes: list[list[float]] = []
    roots, sets, set_column, leaves = [], [], [], 0

    def grow(size: int) -> int:
        nonlocal leaves
        if size == 1:
            leaves += 1
            return ~(leaves - 1)
        at, feature = len(nodes), int(rng.integers(FEATURES))
        threshold = rng.choice([-0.5, 0.0, 0.25, np.inf, float(rng.normal())])
        if feature in CODES and rng.random() < 0.8:
            sets.append(rng.integers(256, size=32))
            set_column.append(feature)
            feature = FEATURES + len(sets) - 1
        elif feature in CODES:
            threshold = float(rng.integers(256))
        nodes.append([])
        on_left = int(rng.integers(1, size))
        left, right = grow(on_left), grow(size - on_left)
        nodes[at] = [feature, threshold, left, right, rng.random() < 0.5]
        return at

    roots = [grow(size) for size in sizes]
    feature, threshold, left, right, missing = np.reshape(np.array(nodes, float), (-1, 5)).T
    return {
        "baseline": np.array([0.5]),
        "roots": np.array(roots, np.int32),
        "feature": feature.astype(np.int32),
        "threshold": threshold.astype(np.float32),
        "left": left.astype(np.int32),
        "right": right.astype(np.int32),
        "missing_left": missing.astype(bool),
        "value": rng.normal(size=(leaves, 1)).astype(np.float32),
        "set_column": np.array(set_column, np.int32),
        "sets": np.reshape(np.array(sets, np.uint8), (-1, 32)),
    }


def some_rows(rng: np.random.Generator, rows: int) -> np.ndarray:
    x = rng.normal(size=(rows, FEATURES)).astype(np.float32)
    x[::7] = rng.choice([-0.5, 0.0, 0.25, np.inf, -np.inf], size=x[::7].shape)
    x[rng.random(x.shape) < 0.1] = np.nan
    x[:, CODES] = rng.integers(256, size=(rows, len(CODES)))
    return x


def one_by_one(forest: dict[str, np.ndarray], row: np.ndarray, node: int) -> int:
    while node >= 0:
        asked = forest["feature"][node]
        number = asked - FEATURES
        value = row[asked if number < 0 else forest["set_column"][number]]
        if np.isnan(value):
            left = forest["missing_left"][node]
        elif number < 0:
            left = value <= forest["threshold"][node]
        else:
            left = forest["sets"][number][int(value) // 8] >> (int(value) % 8) & 1
        node = int(forest["left" if left else "right"][node])
    return ~node


@pytest.mark.parametrize("seed", range(6))
def test_leaves_are_those_that_rows_reach_level_by_level(seed: int) -> None:
    rng = np.random.default_rng(seed)
    forest = a_forest(rng, [1, 2, MOST_LEAVES, *rng.integers(1, 40, size=9).tolist(), 1])
    x = some_rows(rng, 300)
    masks = masks_of(forest, FEATURES)
    assert masks is not None
    found = np.stack([leaf for _, leaf in leaves_by_masks(masks, x)], axis=1)
    np.testing.assert_array_equal(found, trees.walked(forest, x))
    literal = [[one_by_one(forest, row, root) for root in forest["roots"]] for row in x[:40]]
    np.testing.assert_array_equal(found[:40], literal)


@pytest.mark.parametrize("sizes", [[], [1, 1], [3], [MOST_LEAVES + 1, 2]])
def test_sums_are_the_same_to_the_bit_for_many_rows_and_few(sizes: list[int]) -> None:
    """Of many rows tables are made, where trees are small enough."""
    rng = np.random.default_rng(9)
    forest, x = a_forest(rng, sizes), some_rows(rng, FEWEST_ROWS)
    assert (masks_of(forest, FEATURES) is None) == (max(sizes, default=0) > MOST_LEAVES)
    few = [trees.forest_sums(forest, part) for part in np.split(x, 2)]
    np.testing.assert_array_equal(trees.forest_sums(forest, x), np.concatenate(few))


def test_rows_go_through_tables_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    forest, x = a_forest(rng, [5, 9]), some_rows(rng, FEWEST_ROWS)
    whole = trees.forest_sums(forest, x)
    monkeypatch.setattr("jaxmtl.plain.tree_masks._ROWS", 100)
    np.testing.assert_array_equal(trees.forest_sums(forest, x), whole)


def test_tables_that_were_too_large_are_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    forest = a_forest(np.random.default_rng(2), [9])
    assert masks_of(forest, FEATURES) is not None
    monkeypatch.setattr("jaxmtl.plain.tree_masks._MOST_WORDS", 10)
    assert masks_of(forest, FEATURES) is None

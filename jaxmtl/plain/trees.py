"""Trees as arrays: which way rows go down, and what leaves add up to."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .tree_masks import FEWEST_ROWS, leaves_by_masks, masks_of

_WALKERS = 1 << 20  # rows times trees that go down at once


def forest_sums(forest: Mapping[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Baseline and what the trees of a forest add.

    Args:
        forest: the arrays of ``jaxmtl.methods.forest.Forest``.
        x: (rows, features) in float32, with buckets in place of levels.

    Returns:
        (rows, outputs of the forest).

    Example:
        >>> one = np.zeros(1, np.int32)
        >>> forest = {
        ...     "baseline": np.zeros(1), "roots": one, "feature": one, "left": one - 1,
        ...     "right": one - 2, "threshold": np.array([0.5]), "missing_left": one == 0,
        ...     "value": np.array([[1.0], [2.0]])}
        >>> forest_sums(forest, np.array([[0.5], [0.6]], np.float32)).ravel().tolist()
        [1.0, 2.0]
    """
    value = forest["value"]
    found = np.repeat(forest["baseline"][None].astype(float), len(x), axis=0)
    # Tree after tree, so that the sum of a row hangs on no other row.
    for part, leaf in _leaves(forest, x):
        found[part] += value[leaf]
    return found


def _leaves(forest: Mapping[str, np.ndarray], x: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Leaf of rows in each tree, for some rows after others."""
    masks = masks_of(forest, x.shape[1]) if len(x) >= FEWEST_ROWS else None
    if masks is not None:
        yield from leaves_by_masks(masks, x)
        return
    step = max(_WALKERS // max(len(forest["roots"]), 1), 1)
    for at in range(0, len(x), step):
        part = slice(at, at + step)
        for leaf in walked(forest, np.ascontiguousarray(x[part])).T:
            yield part, leaf


def walked(forest: Mapping[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Leaves that rows reach, level by level: (rows, trees)."""
    roots, threshold = forest["roots"], forest["threshold"]
    rows, features = x.shape
    cells = x.ravel()
    reached = np.repeat(roots[None], rows, axis=0).ravel()
    place = np.flatnonzero(reached >= 0)
    node, start = reached[place], place // max(len(roots), 1) * features
    while len(place):
        asked = forest["feature"][node]
        is_set = asked >= features
        if is_set.any():
            number = np.where(is_set, asked - features, 0)
            value = cells[start + np.where(is_set, forest["set_column"][number], asked)]
            bucket = np.where(is_set, value, 0).astype(np.int64)
            member = forest["sets"][number, bucket >> 3] >> (bucket & 7) & 1
            left = np.where(is_set, member == 1, value <= threshold[node])
        else:
            value = cells[start + asked]
            left = value <= threshold[node]
        unknown = np.isnan(value)
        if unknown.any():
            left = np.where(unknown, forest["missing_left"][node], left)
        node = np.where(left, forest["left"][node], forest["right"][node])
        going = node >= 0
        reached[place[~going]] = node[~going]
        place, node, start = place[going], node[going], start[going]
    return ~reached.reshape(rows, len(roots))


def tree_sums(trees: Mapping[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Baseline and what trees add, each to one output.

    Args:
        trees: the arrays of ``jaxmtl.methods.trees.TreesModel``.
        x: (rows, features).

    Returns:
        (rows, outputs).

    Example:
        >>> leaf = np.array([0, 1, 2])
        >>> trees = {
        ...     "baseline": np.array([10.0]), "roots": np.array([0]),
        ...     "output_of_tree": np.array([0]), "feature": leaf * 0, "missing_left": leaf > 9,
        ...     "threshold": np.array([0.5, 0, 0]), "left": np.array([1, 1, 2]),
        ...     "right": np.array([2, 1, 2]), "value": np.array([0.0, 1.0, 2.0])}
        >>> tree_sums(trees, np.array([[0.5], [0.6]])).tolist()
        [[11.0], [12.0]]
    """
    x, rows = np.asarray(x, float), np.arange(len(x))
    found = np.repeat(trees["baseline"][None].astype(float), len(x), axis=0)
    for root, output in zip(trees["roots"], trees["output_of_tree"], strict=True):
        node = np.full(len(x), root)
        while True:
            asked = x[rows, trees["feature"][node]]
            left = np.where(
                np.isnan(asked), trees["missing_left"][node], asked <= trees["threshold"][node]
            )
            following = np.where(left, trees["left"][node], trees["right"][node])
            if (following == node).all():
                break
            node = following
        found[:, output] += trees["value"][node]
    return found


def check_ways(trees: Mapping[str, Any], *, own_leaves: bool) -> None:
    """Raises unless children stand behind their parents: every way down then has an end.

    Args:
        trees: with "left" and "right".
        own_leaves: whether a leaf is a node that leads to itself; otherwise it is a number below 0.

    Raises:
        ValueError: they do not.

    Example:
        >>> check_ways({"left": np.array([0]), "right": np.array([-1])}, own_leaves=False)
        Traceback (most recent call last):
            ...
        ValueError: array 'left': expected children behind their parents, got others
    """
    for name in ("left", "right"):
        to = trees[name]
        here = np.arange(len(to))
        wrong = to < here if own_leaves else (to >= 0) & (to <= here)
        if wrong.any():
            raise ValueError(f"array {name!r}: expected children behind their parents, got others")

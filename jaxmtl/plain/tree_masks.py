"""Which leaf rows reach in small trees, found without going down them: a word of bits a row.

Each leaf of a tree is a bit of a word. What a row has in one feature leaves some leaves open, and
one is left by all features that the tree asks for. A look into a table a feature takes the place of
a dozen operations a level, and no row waits for those that go deeper.

Lucchese et al. (2015), QuickScorer, SIGIR, who combine words node by node; here a value is ranked
once among the thresholds of all trees.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

FEWEST_ROWS = 512  # for which tables are worth it
MOST_LEAVES = 64  # bits of a word
_MOST_WORDS = 1 << 22  # of all tables: 32 MiB
_ROWS = 1 << 13  # at once, whose words stay in the cache
_BUCKETS = np.arange(256)
_ALL = np.iinfo(np.uint64).max


class Masks(NamedTuple):
    """Tables of a forest.

    Attributes:
        thresholds: of each feature that is asked for, ascending. The place of a value is how many
            of them are below it, and that of a missing one the last place of a table.
        feature: that each table is about, tree after tree.
        starts: first table of each tree, and the end.
        leaves: all those of each tree, as a word.
        left_open: (tables, places), a word each.
        leaf_of_bit: (trees, bits of a word).
    """

    thresholds: dict[int, np.ndarray]
    feature: np.ndarray
    starts: np.ndarray
    leaves: np.ndarray
    left_open: np.ndarray
    leaf_of_bit: np.ndarray


def masks_of(forest: Mapping[str, np.ndarray], features: int) -> Masks | None:
    """Tables of the trees; None where a tree has more leaves than bits, or they were too large.

    Args:
        forest: the arrays of ``jaxmtl.methods.forest.Forest``.
        features: of a row.

    Example:
        >>> one = np.zeros(1, np.int32)
        >>> masks = masks_of({
        ...     "roots": one, "feature": one, "left": one - 1, "right": one - 2,
        ...     "threshold": np.array([0.5]), "missing_left": one == 0, "value": np.zeros((2, 1)),
        ...     "set_column": one[:0], "sets": np.zeros((0, 32), np.uint8)}, 1)
        >>> (masks.left_open & masks.leaves).tolist()  # at most 0.5, above it, missing
        [[1, 2, 1]]
    """
    tree, tree_of_leaf, levels = _trees_of(forest)
    trees, (asked, is_set) = len(forest["roots"]), _asked(forest, features)
    leaves_of = np.bincount(tree_of_leaf, minlength=trees)
    pairs, table = np.unique(tree * features + asked, return_inverse=True)
    thresholds, rank = _ranked(asked, is_set, forest["threshold"])
    places = max(map(len, thresholds.values()), default=0) + 2
    if leaves_of.max(initial=0) > MOST_LEAVES or len(pairs) * places > _MOST_WORDS:
        return None
    order = np.argsort(tree_of_leaf, kind="stable")
    bit = np.empty(len(order), np.int64)
    bit[order] = np.arange(len(order)) - np.repeat(np.cumsum(leaves_of) - leaves_of, leaves_of)
    leaf_of_bit = np.zeros((trees, MOST_LEAVES), np.int64)
    leaf_of_bit[tree_of_leaf, bit] = np.arange(len(bit))
    below = _leaves_below(forest, np.uint64(1) << bit.astype(np.uint64), levels)
    not_left, not_right = ~below[forest["left"]], ~below[forest["right"]]
    # What is above a threshold does not go left there, nor at any that is lower.
    above = np.full((len(pairs), places), _ALL)
    np.bitwise_and.at(above, (table[~is_set], rank[~is_set] + 1), not_left[~is_set])
    at_most = np.full((len(pairs), places), _ALL)
    np.bitwise_and.at(at_most, (table[~is_set], rank[~is_set]), not_right[~is_set])
    np.bitwise_and.accumulate(above, axis=1, out=above)
    at_most = np.bitwise_and.accumulate(at_most[:, ::-1], axis=1)[:, ::-1]
    left_open = above & at_most
    left_open[:, -1] = _ALL
    without = np.where(forest["missing_left"], not_right, not_left)
    np.bitwise_and.at(left_open[:, -1], table, without)
    for node in np.flatnonzero(is_set):
        members = np.unpackbits(
            forest["sets"][forest["feature"][node] - features], bitorder="little"
        )
        at = np.searchsorted(thresholds[int(asked[node])], _BUCKETS)
        left_open[table[node], at] &= np.where(members, not_right[node], not_left[node])
    return Masks(
        thresholds=thresholds,
        feature=pairs % features,
        starts=np.searchsorted(pairs // features, np.arange(trees + 1)),
        leaves=below[forest["roots"]],
        left_open=left_open,
        leaf_of_bit=leaf_of_bit,
    )


def leaves_by_masks(masks: Masks, x: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Leaves that rows reach, tree after tree, for some rows after others.

    Args:
        masks: of the forest.
        x: (rows, features) in float32, with buckets in place of levels.

    Yields:
        Which rows, and the leaf of each of them in the next tree.
    """
    for at in range(0, len(x), _ROWS):
        part = slice(at, at + _ROWS)
        places = {}
        for feature, thresholds in masks.thresholds.items():
            value = np.ascontiguousarray(x[part, feature])
            place = np.searchsorted(thresholds, value)
            place[np.isnan(value)] = masks.left_open.shape[1] - 1
            places[feature] = place
        word = np.empty(len(x[part]), np.uint64)
        one = word.copy()
        for tree, leaves in enumerate(masks.leaves):
            word.fill(leaves)
            for table in range(masks.starts[tree], masks.starts[tree + 1]):
                place = places[int(masks.feature[table])]
                word &= masks.left_open[table].take(place, out=one, mode="clip")
            # The one bit of a word is the exponent of it as a double.
            bit = (word.astype(np.float64).view(np.int64) >> 52) - 1023
            yield part, masks.leaf_of_bit[tree, bit]


def _trees_of(
    forest: Mapping[str, np.ndarray],
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Tree of each node and of each leaf, and the nodes level by level."""
    tree = np.zeros(len(forest["feature"]), np.int64)
    tree_of_leaf = np.zeros(len(forest["value"]), np.int64)
    to, its, levels = forest["roots"], np.arange(len(forest["roots"])), []
    while len(to):
        tree_of_leaf[~to[to < 0]] = its[to < 0]
        node, its = to[to >= 0], its[to >= 0]
        tree[node] = its
        levels.append(node)
        to = np.concatenate([forest["left"][node], forest["right"][node]])
        its = np.tile(its, 2)
    return tree, tree_of_leaf, levels


def _asked(forest: Mapping[str, np.ndarray], features: int) -> tuple[np.ndarray, np.ndarray]:
    """Feature that each node asks for, and whether it asks if that is in a set."""
    asked = forest["feature"].astype(np.int64)
    is_set = asked >= features
    asked[is_set] = forest["set_column"][asked[is_set] - features]
    return asked, is_set


def _ranked(
    asked: np.ndarray, is_set: np.ndarray, threshold: np.ndarray
) -> tuple[dict[int, np.ndarray], np.ndarray]:
    """Thresholds of each feature, ascending, and the place of that of each node among them."""
    rank = np.zeros(len(asked), np.int64)
    thresholds = {}
    order = np.argsort(asked, kind="stable")
    found, first = np.unique(asked[order], return_index=True)
    for feature, nodes in zip(found.tolist(), np.split(order, first)[1:], strict=True):
        plain = nodes[~is_set[nodes]]
        # Buckets are their own thresholds.
        buckets = [] if len(plain) == len(nodes) else [_BUCKETS.astype(threshold.dtype)]
        thresholds[feature] = np.unique(np.concatenate([threshold[plain], *buckets]))
        rank[plain] = np.searchsorted(thresholds[feature], threshold[plain])
    return thresholds, rank


def _leaves_below(
    forest: Mapping[str, np.ndarray], bits: np.ndarray, levels: list[np.ndarray]
) -> np.ndarray:
    """Word of each node; of leaves, from the end, so that ``~leaf`` is the place of a leaf."""
    below = np.zeros(len(forest["feature"]) + len(bits), np.uint64)
    below[~np.arange(len(bits))] = bits
    for node in reversed(levels):
        below[node] = below[forest["left"][node]] | below[forest["right"][node]]
    return below

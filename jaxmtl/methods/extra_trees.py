"""Extremely randomised trees: grown by scikit-learn, several outputs at once, kept as arrays."""

import dataclasses
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from jaxtyping import Array, Float32, Key

from jaxmtl.data.folds import Data, Folds
from jaxmtl.methods.forest import ForestModel, as_learned
from jaxmtl.methods.grown import Gathering
from jaxmtl.methods.levels import buckets_of, code_columns
from jaxmtl.methods.links import Link, floors
from jaxmtl.methods.method import Fitted, Work
from jaxmtl.methods.of_each_task import (
    fit_each_fold,
    note_of_part,
    rows_drawn,
    tasks_known_together,
)
from jaxmtl.tasks import output_slices

MOST_BYTES = 64_000_000  # of the trees of a fold
FEWEST_TREES = 60
ROWS_FOR_ALL = 1500  # up to which all trees are grown
_BYTES_OF_A_NODE, _BYTES_OF_A_VALUE = 17, 4
_SHOWN = 31  # levels of a column that have a column of their own
_MOST_SHOWN = 248  # such columns together
_WORK = 3e10  # rows times features times trees times depth that are looked at
FLOOR = 0.02  # share of the frequencies in the probabilities


@dataclasses.dataclass(frozen=True)
class ExtraTrees:
    """Means of many trees that split at random thresholds.

    Tasks whose targets are known in the same rows are learned at once, numbers divided by their
    standard deviation, and classes as a number from 0 to 1 each. Of more than 100 000 rows, as many
    are drawn at random. Leaves become larger, and trees fewer, where they would take more than 64
    MB a fold.

    Attributes:
        trees: at most.

    References:
        Geurts, Ernst, Wehenkel (2006), Extremely Randomized Trees, Machine Learning 63; as
        scikit-learn's ``ExtraTreesRegressor`` has it.
    """

    name: str = "extra_trees"
    description: str = "the mean of many random trees (scikit-learn's extra trees)"
    trees: int = 300

    def fit(
        self, data: Data, folds: Folds, keys: Key[Array, " folds"] | None, work: Work
    ) -> Fitted:
        """One model a fold; neither keys nor work are needed."""
        del keys, work
        found = fit_each_fold(self.name, data, folds, self._fit)
        return dataclasses.replace(found, notes=note_of_part(self.name, folds))

    def _fit(self, train: Data, validation: Data) -> tuple[ForestModel, dict[str, Any]]:
        del validation  # nothing is chosen
        drawn = rows_drawn(train)
        sizes = code_columns(drawn)
        codes = tuple((at, buckets_of(drawn.x[:, at], size)) for at, size in sizes)
        x = as_learned(drawn.x, codes)
        shown = _shown(codes)
        every = _with_indicators(x, shown)
        slices = output_slices(drawn.tasks)
        total = slices[-1].stop
        forests, leaf_rows, trees = [], [0] * len(slices), [0] * len(slices)
        for group in tasks_known_together(drawn):
            for tasks in _by_width(drawn, group):
                rows = drawn.known[:, tasks[0]]
                columns = np.concatenate([np.arange(total)[slices[t]] for t in tasks])
                y, mean, scale = _targets(drawn, rows, tasks)
                plan = _plan(int(rows.sum()), every.shape[1], len(columns), total, self.trees)
                grown = _grow(every[rows], y, plan, classes=drawn.tasks[tasks[0]].width > 1)
                gathering = Gathering(x.shape[1], columns.tolist(), mean)
                for tree in grown:
                    _add(gathering, tree, shown, scale / len(grown))
                forests.append(gathering.forest())
                for t in tasks:
                    leaf_rows[t], trees[t] = plan.leaf_rows, plan.trees
        model = ForestModel(
            forests=tuple(forests),
            codes=codes,
            links=tuple(
                Link("shares" if task.width > 1 else "same", task.width) for task in train.tasks
            ),
            floor=floors(train.tasks, train.y, train.known, FLOOR),
        )
        return model, {"trees": trees, "rows_of_a_leaf": leaf_rows}


@dataclasses.dataclass(frozen=True)
class _Plan:
    trees: int
    leaf_rows: int
    share: float  # of the features that every node looks at


def _plan(rows: int, features: int, width: int, outputs: int, most: int) -> _Plan:
    """How many trees of which leaves fit into the memory, and into the time."""
    leaf = _BYTES_OF_A_NODE + _BYTES_OF_A_VALUE * width
    leaves = MOST_BYTES * width / outputs / leaf
    # Of many rows, fewer trees are as good: each of them averages more.
    wanted = max(most * min(math.sqrt(ROWS_FOR_ALL / rows), 1.0), min(FEWEST_TREES, most))
    trees = int(min(max(leaves / rows, min(FEWEST_TREES, most)), wanted))
    leaf_rows = max(math.ceil(trees * rows / leaves), 1)
    looked = rows * features * trees * max(math.log2(rows / leaf_rows + 1), 1.0)
    share = min(max(_WORK / looked, 1 / math.sqrt(features)), 1.0)
    return _Plan(trees, leaf_rows, share)


def _grow(x: np.ndarray, y: np.ndarray, plan: _Plan, *, classes: bool) -> list[Any]:
    """The trees of ``ExtraTreesRegressor`` with the random state 0, two at a time.

    Its own threads would change the filters of warnings, which all threads have in common.
    """
    from sklearn.tree import ExtraTreeRegressor

    features = x.shape[1]
    # As is usual: all features for numbers, few for classes.
    share = min(plan.share, 1 / math.sqrt(features)) if classes else plan.share
    y = np.ascontiguousarray(y if y.shape[1] > 1 else y[:, 0])
    # The numbers that the forest draws for its trees, by NumPy's old generator as it does.
    draws = np.random.RandomState(0)
    seeds = [draws.randint(np.iinfo(np.int32).max) for _ in range(plan.trees)]

    def grow(seed: int) -> Any:
        tree = ExtraTreeRegressor(
            min_samples_leaf=plan.leaf_rows,
            max_features=max(round(share * features), 1),
            random_state=seed,
        )
        return tree.fit(x, y).tree_

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(grow, seeds))


def _by_width(data: Data, group: list[int]) -> list[list[int]]:
    """Numbers and classes apart: they look at different numbers of features."""
    parts = [
        [t for t in group if (data.tasks[t].width > 1) == classes] for classes in (False, True)
    ]
    return [part for part in parts if part]


def _targets(
    data: Data, rows: np.ndarray, tasks: list[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the trees learn, and the mean and scale that lead back."""
    parts, means, scales = [], [], []
    for t in tasks:
        y, width = data.y[rows, t].astype(float), data.tasks[t].width
        if width > 1:
            parts.append((y[:, None] == np.arange(width)).astype(float))
            means.append(np.zeros(width))
            scales.append(np.ones(width))
            continue
        mean, spread = y.mean(), y.std()
        scale = spread if spread > 1e-12 * np.abs(y).max() else 1.0
        parts.append(((y - mean) / scale)[:, None])
        means.append(np.array([mean]))
        scales.append(np.array([scale]))
    return np.concatenate(parts, axis=1), np.concatenate(means), np.concatenate(scales)


def _shown(codes: tuple[tuple[int, np.ndarray], ...]) -> list[tuple[int, int]]:
    """Column and bucket of each level that has a column of its own."""
    most = min(_SHOWN, _MOST_SHOWN // max(len(codes), 1))
    return [
        (column, bucket)
        for column, buckets in codes
        for bucket in range(min(most, int(buckets.max())))
    ]


def _with_indicators(
    x: Float32[np.ndarray, "rows features"], shown: list[tuple[int, int]]
) -> Float32[np.ndarray, "rows columns"]:
    columns = [(x[:, column] == bucket).astype(np.float32)[:, None] for column, bucket in shown]
    return np.concatenate([x, *columns], axis=1) if shown else x


def _add(gathering: Gathering, tree: Any, shown: list[tuple[int, int]], scale: np.ndarray) -> None:
    features = gathering.features
    leaf = tree.children_left < 0
    feature = np.where(leaf, 0, tree.feature)
    left, right = tree.children_left, tree.children_right
    asks = feature >= features
    if asks.any():
        # Smaller than 1 means: not of this level. Those of the level go right.
        numbers = [gathering.set_number(column, [bucket]) for column, bucket in shown]
        feature = np.where(asks, np.append(np.zeros(features, int), numbers)[feature], feature)
        left, right = np.where(asks, right, left), np.where(asks, left, right)
    missing = getattr(tree, "missing_go_to_left", np.zeros(len(leaf), np.uint8))
    gathering.add_tree(
        is_leaf=leaf,
        feature=feature,
        threshold=np.where(leaf, 0.0, tree.threshold),
        left=np.where(leaf, 0, left),
        right=np.where(leaf, 0, right),
        missing_left=missing.astype(bool),
        value=tree.value[:, :, 0] * scale,
    )

"""Extremely randomised trees: grown by scikit-learn, several outputs at once, kept as arrays."""

import dataclasses
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Array, Float, Float32, Key

from jaxmtl.data.folds import Data, Folds
from jaxmtl.data.splits import SplitIndices
from jaxmtl.methods.forest import Forest, ForestModel, as_learned
from jaxmtl.methods.grown import Gathering
from jaxmtl.methods.levels import buckets_of, code_columns
from jaxmtl.methods.links import Link, floors
from jaxmtl.methods.method import Fitted, Work
from jaxmtl.methods.of_each_task import (
    MOST_ROWS_OF_TREES,
    check_known,
    mean_losses,
    measured,
    note_of_part,
    rows_drawn,
    some_rows,
    tasks_known_together,
)
from jaxmtl.statistics.selection import choose_from_others
from jaxmtl.tasks import output_slices

MOST_BYTES = 64_000_000  # of the trees of a fold
FEWEST_TREES = 60
ROWS_FOR_ALL = 1500  # up to which all trees are grown
_BYTES_OF_A_NODE, _BYTES_OF_A_VALUE = 17, 4
_SHOWN = 31  # levels of a column that have a column of their own
_MOST_SHOWN = 248  # such columns together
_WORK = 3e10  # rows times features times trees times depth that are looked at
_WORK_APART = 1e8  # the same, up to which every number has trees of its own
FEWEST_APART = 75  # trees of such a number
LEAVES = (1, 3)  # rows that a leaf holds at least
MOST_ROWS_TO_CHOOSE = 20_000  # above, leaves of one size only are grown
FLOOR = 0.02  # share of the frequencies in the probabilities


@dataclasses.dataclass(frozen=True)
class ExtraTrees:
    """Means of many trees that split at random thresholds.

    Every number has trees of its own where that takes little time; else numbers that are known in
    the same rows are learned at once, divided by their standard deviation. The probabilities of
    classes are numbers from 0 to 1. Leaves hold one row at least, or three: of a fold, what was
    better on its validation rows or, without any, on the rows that the *other* folds hold out. Of
    more than 100 000 rows, as many are drawn at random. Leaves become larger, and trees fewer,
    where they would take more than 64 MB a fold.

    Attributes:
        trees: at most, of all tasks together; a task with trees of its own has 75 at least, or 60
            where rows are many.

    References:
        Geurts, Ernst, Wehenkel (2006), Extremely Randomized Trees, Machine Learning 63; as
        scikit-learn's ``ExtraTreesRegressor`` has it.
    """

    name: str = "extra_trees"
    description: str = "extra trees: the mean of many with random splits (scikit-learn)"
    trees: int = 240

    def fit(
        self, data: Data, folds: Folds, keys: Key[Array, " folds"] | None, work: Work
    ) -> Fitted:
        """One model a fold; neither keys nor work are needed."""
        del keys, work
        check_known(self.name, data, folds)
        units = _units(data, folds)
        # The same sizes in all folds, which choose for each other.
        most = max(len(fold.train) for fold in folds)
        leaves = LEAVES if most <= MOST_ROWS_TO_CHOOSE else LEAVES[:1]
        grown = [self._grow_fold(data, fold, units, leaves) for fold in folds]
        losses = np.array([own.losses for own in grown])  # (folds, leaves, units)
        models, chosen = [], []
        for k, own in enumerate(grown):
            sizes = [_chosen(losses[:, :, u].T, k, own.judged) for u in range(len(units))]
            model = dataclasses.replace(
                own.model, forests=tuple(own.forests[u][size] for u, size in enumerate(sizes))
            )
            models.append(model)
            rows: list[int] = [0] * len(data.tasks)
            for unit, size, least in zip(units, sizes, own.leaf_rows, strict=True):
                for t in unit:
                    rows[t] = least[size]
            chosen.append({"rows_of_a_leaf": rows})
        found = measured(data, folds, models, chosen)
        return dataclasses.replace(found, notes=note_of_part(self.name, folds))

    def _grow_fold(
        self, data: Data, fold: SplitIndices, units: list[list[int]], leaves: tuple[int, ...]
    ) -> "_GrownFold":
        """The forests of a fold for every size of leaves, and what each is worth."""
        train = some_rows(data, fold.train)
        drawn = rows_drawn(train)
        sizes = code_columns(drawn)
        codes = tuple((at, buckets_of(drawn.x[:, at], size)) for at, size in sizes)
        x = as_learned(drawn.x, codes)
        shown = _shown(codes)
        every = _with_indicators(x, shown)
        slices = output_slices(drawn.tasks)
        total = slices[-1].stop
        forests: list[list[Forest]] = []
        leaf_rows: list[list[int]] = []
        for unit in units:
            rows = drawn.known[:, unit[0]]
            columns = np.concatenate([np.arange(total)[slices[t]] for t in unit])
            y, mean, scale = _targets(drawn, rows, unit)
            most = _most_trees(self.trees, unit, units)
            number, width = int(rows.sum()), len(columns)
            plan = _plan(number, every.shape[1], width, total, most)
            forests.append([])
            leaf_rows.append([max(plan.leaf_rows, leaf) for leaf in leaves])
            for least in leaf_rows[-1]:
                own = dataclasses.replace(plan, leaf_rows=least)
                classes = drawn.tasks[unit[0]].width > 1
                trees = _grow(every[rows], y, own, classes=classes)
                gathering = Gathering(x.shape[1], columns.tolist(), mean)
                for tree in trees:
                    _add(gathering, tree, shown, scale / own.trees)
                forests[-1].append(gathering.forest())
        links = (Link("shares" if t.width > 1 else "same", t.width) for t in train.tasks)
        model = ForestModel(
            forests=tuple(own[0] for own in forests),
            codes=codes,
            links=tuple(links),
            floor=floors(train.tasks, train.y, train.known, FLOOR),
        )
        judged = "validation" if len(fold.validation) else "test"
        held = some_rows(data, fold.validation if len(fold.validation) else fold.test)
        return _GrownFold(model, forests, leaf_rows, _judged(model, forests, units, held), judged)


def work_of(data: Data, folds: Folds, *, trees: int = ExtraTrees.trees) -> float:
    """What growing the trees costs, in numbers looked at: rows times features times depth.

    Args:
        data: to learn from.
        folds: of it.
        trees: see ``ExtraTrees``.

    Returns:
        Of all folds together, about.

    Example:
        >>> from jaxmtl.tasks import number_tasks
        >>> data = Data(x=np.zeros((60, 2)), y=np.zeros((60, 1)), known=np.ones((60, 1), bool),
        ...             tasks=number_tasks(["CO"]))
        >>> none = np.zeros(0, int)
        >>> fold = SplitIndices(np.arange(40), none, np.arange(40, 60))
        >>> round(work_of(data, Folds(parts=(fold,))) / 240 / 40 / 2, 1)  # of leaves of 1 and 3
        9.2
    """
    units, outputs = _units(data, folds), sum(task.width for task in data.tasks)
    most = max(len(fold.train) for fold in folds)
    leaves = LEAVES if most <= MOST_ROWS_TO_CHOOSE else LEAVES[:1]
    rows, features = max(min(most, MOST_ROWS_OF_TREES), 1), data.x.shape[1]
    work = 0.0
    for unit in units:
        width = sum(data.tasks[t].width for t in unit)
        plan = _plan(rows, features, width, outputs, _most_trees(trees, unit, units))
        for leaf in leaves:
            depth = math.log2(rows / max(plan.leaf_rows, leaf) + 1)
            work += rows * features * plan.share * plan.trees * depth
    return work * len(folds)


def _most_trees(trees: int, unit: list[int], units: list[list[int]]) -> int:
    """How many trees a unit of tasks has at most."""
    if len(unit) == 1 and len(units) > 1:
        return min(trees, max(FEWEST_APART, trees // len(units)))
    return trees


class _GrownFold(NamedTuple):
    """All that was grown for a fold.

    Attributes:
        model: with the smallest leaves.
        forests: of every unit of tasks, one a size of leaves.
        leaf_rows: these sizes, of every unit.
        losses: (leaves, units) on the rows that judge.
        judged: which these are.
    """

    model: ForestModel
    forests: list[list[Forest]]
    leaf_rows: list[list[int]]
    losses: Float[np.ndarray, "leaves units"]
    judged: Literal["validation", "test"]


def _units(data: Data, folds: Folds) -> list[list[int]]:
    """Tasks that have trees together: numbers apart where there is little work, each class."""
    rows = max(len(fold.train) for fold in folds)
    units = []
    for group in tasks_known_together(data):
        for tasks in _by_width(data, group):
            trees = FEWEST_APART * len(tasks)
            work = rows * data.x.shape[1] * trees * math.log2(rows + 1)
            apart = work <= _WORK_APART and data.tasks[tasks[0]].width == 1
            units += [[t] for t in tasks] if apart else [tasks]
    return units


def _chosen(losses: Float[np.ndarray, "leaves folds"], k: int, judged: str) -> int:
    """Number of the size of leaves for a fold; the smallest where nothing else can judge."""
    if judged == "validation":
        own = losses[:, k]
        return 0 if np.isnan(own).any() else int(np.argmin(own))
    return int(choose_from_others(losses)[k]) if losses.shape[1] > 1 else 0


def _judged(
    model: ForestModel, forests: list[list[Forest]], units: list[list[int]], held: Data
) -> Float[np.ndarray, "leaves units"]:
    """Losses of every size of leaves, in units of the spread; NaN where no row is known."""
    losses = np.full((len(forests[0]), len(units)), np.nan)
    if len(losses) == 1 or not len(held.x):
        return losses
    for size in range(len(losses)):
        one = dataclasses.replace(model, forests=tuple(own[size] for own in forests))
        found = mean_losses(one.predict(held.x), held)
        for u, unit in enumerate(units):
            spread = [
                1.0 if held.tasks[t].has_classes else max(held.y[held.known[:, t], t].var(), 1e-300)
                for t in unit
                if held.known[:, t].any()
            ]
            own = [found[t] for t in unit if held.known[:, t].any()]
            if own:
                losses[size, u] = np.mean(np.array(own) / spread)
    return losses


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


def _grow(x: np.ndarray, y: np.ndarray, plan: _Plan, *, classes: bool) -> Iterator[Any]:
    """The trees of ``ExtraTreesRegressor`` with the random state 0, two at a time.

    Each is given as soon as it is grown: all together are several times as large as what is kept.

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
        yield from pool.map(grow, seeds)


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

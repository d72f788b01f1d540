"""Gradient-boosted trees: grown by scikit-learn, kept as plain arrays."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from jaxmtl.data.folds import Data, Folds
from jaxmtl.methods.method import Fitted, Work
from jaxmtl.methods.of_each_task import check_numbers, fit_each_fold
from jaxmtl.methods.saved import check_arrays, check_below, check_fields
from jaxmtl.plain.trees import check_ways, tree_sums

MOST_TREES = 200


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TreesModel:
    """Sums of regression trees, one sum an output.

    A row goes left where its feature is at most the threshold; a missing feature goes where
    ``missing_left`` says. The nodes of all trees stand one after the other.

    Attributes:
        baseline: what the trees of every output are added to.
        roots: node at which each tree begins, in the order in which they are added.
        output_of_tree: number of the output that each tree adds to.
        feature: of every node, that it asks for; of a leaf, anything.
        threshold: of every node.
        left: number of the node for smaller values; of a leaf, its own.
        right: number of the node for larger values; of a leaf, its own.
        missing_left: whether a missing value goes left.
        value: of every leaf, that it adds.

    Example:
        >>> leaf = np.array([0, 1, 2])
        >>> model = TreesModel(
        ...     baseline=np.array([10.0]), roots=np.array([0]), output_of_tree=np.array([0]),
        ...     feature=np.zeros(3, int), threshold=np.array([0.5, 0.0, 0.0]),
        ...     left=np.array([1, 1, 2]), right=np.array([2, 1, 2]),
        ...     missing_left=np.array([True, False, False]), value=np.array([0.0, 1.0, 2.0]))
        >>> model.predict(np.array([[0.5], [0.6], [np.nan]])).tolist()
        [[11.0], [12.0], [11.0]]
    """

    kind: ClassVar[str] = "trees"

    baseline: Float[np.ndarray, " outputs"]
    roots: Int[np.ndarray, " trees"]
    output_of_tree: Int[np.ndarray, " trees"]
    feature: Int[np.ndarray, " nodes"]
    threshold: Float[np.ndarray, " nodes"]
    left: Int[np.ndarray, " nodes"]
    right: Int[np.ndarray, " nodes"]
    missing_left: Bool[np.ndarray, " nodes"]
    value: Float[np.ndarray, " nodes"]

    def predict(self, x: Float[np.ndarray, "rows features"]) -> Float[np.ndarray, "rows outputs"]:
        """Outputs for coded features."""
        return tree_sums(self.arrays(), x)

    def spec(self) -> dict[str, Any]:
        """Nothing but the arrays."""
        return {}

    def arrays(self) -> dict[str, np.ndarray]:
        """All fields."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


NUMBERS, PLACES, MARKS = np.dtype(float), np.dtype(np.int64), np.dtype(bool)
OF_NODES = {
    "feature": PLACES,
    "threshold": NUMBERS,
    "left": PLACES,
    "right": PLACES,
    "missing_left": MARKS,
    "value": NUMBERS,
}


def trees_model_of(
    spec: Mapping[str, Any], arrays: Mapping[str, np.ndarray], *, features: int, outputs: int
) -> TreesModel:
    """Reads what ``spec`` and ``arrays`` gave; a ``Reader``."""
    check_fields("model of kind trees", spec, set())
    sizes = {name: np.size(arrays.get(name, ())) for name in ("roots", "value")}
    trees, nodes = (sizes["roots"],), (sizes["value"],)
    expected = {name: (nodes, dtype) for name, dtype in OF_NODES.items()}
    expected |= {"roots": (trees, PLACES), "output_of_tree": (trees, PLACES)}
    check_arrays(arrays, expected | {"baseline": ((outputs,), NUMBERS)})
    below = {"roots": nodes[0], "output_of_tree": outputs, "feature": features}
    for name, most in below.items():
        check_below(name, arrays[name], most)
    for name in ("left", "right"):
        check_below(name, arrays[name], nodes[0])
    check_ways(arrays, own_leaves=True)
    here = np.arange(nodes[0])
    inner = [arrays[name][arrays[name] != here] for name in ("left", "right")]
    if not np.array_equal(np.sort(np.concatenate([arrays["roots"], *inner])), here):
        raise ValueError("array 'roots': expected one way to every node, got others")
    return TreesModel(**arrays)


@dataclasses.dataclass(frozen=True)
class BoostedTrees:
    """Histogram gradient boosting with squared error, a task at a time.

    The number of trees is chosen on the validation rows; without any, all are kept.

    References:
        Friedman (2001), Greedy Function Approximation: A Gradient Boosting Machine, Annals of
        Statistics 29(5); as scikit-learn's ``HistGradientBoostingRegressor`` has it.
    """

    name: str = "boosted_trees"
    description: str = "gradient-boosted trees, a target at a time (scikit-learn)"

    def fit(
        self, data: Data, folds: Folds, keys: Key[Array, " folds"] | None, work: Work
    ) -> Fitted:
        """One model a fold; neither keys nor work are needed."""
        del keys, work
        check_numbers(self.name, data.tasks)
        found = fit_each_fold(self.name, data, folds, _fit)
        single = [
            len(model.arrays()["value"]) == len(model.arrays()["roots"]) for model in found.models
        ]
        if not any(single):
            return found
        note = (
            f"{self.name}: no tree has a split, so that it predicts the mean, in {sum(single)} of "
            f"{len(single)} folds; it takes 40 training rows or more to split them"
        )
        return dataclasses.replace(found, notes=(note,))


def _fit(train: Data, validation: Data) -> tuple[TreesModel, dict[str, Any]]:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    grown, numbers = [], []
    # Few rows: threads would wait for each other longer than they work.
    with threadpool_limits(1, "openmp"):
        for task in range(len(train.tasks)):
            rows, others = train.known[:, task], validation.known[:, task]
            trees = HistGradientBoostingRegressor(max_iter=MOST_TREES, random_state=0)
            trees.set_params(early_stopping=False)
            trees.fit(train.x[rows].astype(float), train.y[rows, task].astype(float))
            number = MOST_TREES
            if others.any():
                y = validation.y[others, task].astype(float)
                stages = trees.staged_predict(validation.x[others].astype(float))
                number = int(np.argmin([((stage - y) ** 2).mean() for stage in stages])) + 1
            grown.append(trees)
            numbers.append(number)
    return _as_arrays(grown, numbers), {"trees": numbers}


def _as_arrays(grown: list[Any], numbers: list[int]) -> TreesModel:
    """The first trees of each output; scikit-learn has no public way to their nodes."""
    tables, roots, outputs, at = [], [], [], 0
    for output, (trees, number) in enumerate(zip(grown, numbers, strict=True)):
        for (tree,) in trees._predictors[:number]:
            nodes = tree.nodes
            here, leaf = np.arange(len(nodes)) + at, nodes["is_leaf"].astype(bool)
            tables.append(
                {
                    "feature": np.where(leaf, 0, nodes["feature_idx"]).astype(np.int64),
                    "threshold": np.where(leaf, 0.0, nodes["num_threshold"]),
                    "left": np.where(leaf, here, nodes["left"].astype(np.int64) + at),
                    "right": np.where(leaf, here, nodes["right"].astype(np.int64) + at),
                    "missing_left": nodes["missing_go_to_left"].astype(bool),
                    "value": nodes["value"].astype(float),
                }
            )
            roots.append(at)
            outputs.append(output)
            at += len(nodes)
    columns = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    return TreesModel(
        baseline=np.array([np.ravel(trees._baseline_prediction)[0] for trees in grown], float),
        roots=np.array(roots, np.int64),
        output_of_tree=np.array(outputs, np.int64),
        **columns,
    )

"""Trees that scikit-learn's histogram gradient boosting grew, as compact arrays."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxmtl.methods.forest import Forest
from jaxmtl.methods.grown import Gathering
from jaxmtl.methods.links import Link

# Logit of a class that no row has, far below those of all others.
_IMPOSSIBLE = -80.0


class Grown(NamedTuple):
    """What was grown for one task.

    Attributes:
        model: of scikit-learn; None for no trees.
        rounds: that are kept.
        link: of the task.
        constant: what no round predicts: the mean, or frequencies of classes.
        seen: buckets that were learned from, of each of the first columns.
    """

    model: Any
    rounds: int
    link: Link
    constant: Float[np.ndarray, " width"]
    seen: tuple[Int[np.ndarray, " buckets"], ...]


def forests_of(grown: Grown, order: Int[np.ndarray, " features"], start: int) -> list[Forest]:
    """One forest for each output of the task.

    Args:
        grown: of the task.
        order: feature that each column of the model is.
        start: first output of the task.

    Returns:
        The forests; scikit-learn has no public way to their nodes.
    """
    link, model = grown.link, grown.model
    baseline = grown.constant.copy()
    if link.kind == "softmax":
        baseline = np.log(baseline, out=np.full(link.width, _IMPOSSIBLE), where=baseline > 0)
    elif link.kind == "exp":
        # Where all counts are 0, so small a rate that it is one.
        baseline = np.log(np.maximum(baseline, np.exp(_IMPOSSIBLE)))
    trees: dict[int, list[Any]] = {k: [] for k in range(link.width)}
    if model is not None:
        places = model.classes_.astype(int) if link.kind == "softmax" else np.zeros(1, int)
        if len(places) == 2:  # the model has the logit of the second class alone
            baseline[places] = 0.0
            places = places[1:]
        baseline[places] = np.ravel(model._baseline_prediction)
        for of_round in model._predictors[: grown.rounds]:
            for k, tree in zip(places, of_round, strict=True):
                trees[int(k)].append(tree)
    found = []
    for k, own in trees.items():
        gathering = Gathering(len(order), (start + k,), baseline[[k]])
        for tree in own:
            _add(gathering, tree, order, grown.seen)
        found.append(gathering.forest())
    return found


def _add(gathering: Gathering, tree: Any, order: np.ndarray, seen: tuple[np.ndarray, ...]) -> None:
    nodes = tree.nodes
    leaf = nodes["is_leaf"].astype(bool)
    missing = nodes["missing_go_to_left"].astype(bool)
    feature = order[np.where(leaf, 0, nodes["feature_idx"])]
    for at in np.flatnonzero(nodes["is_categorical"].astype(bool) & ~leaf):
        column = int(nodes["feature_idx"][at])
        words = np.ascontiguousarray(tree.raw_left_cat_bitsets[nodes["bitset_idx"][at]])
        bits = np.unpackbits(words.view(np.uint8), bitorder="little").astype(bool)
        # A level that was not learned from goes where missing ones do.
        members = np.full(256, missing[at])
        members[seen[column]] = bits[: len(seen[column])]
        feature[at] = gathering.set_number(int(order[column]), np.flatnonzero(members))
    gathering.add_tree(
        is_leaf=leaf,
        feature=feature,
        threshold=np.where(leaf, 0.0, nodes["num_threshold"]),
        left=np.where(leaf, 0, nodes["left"]),
        right=np.where(leaf, 0, nodes["right"]),
        missing_left=missing,
        value=nodes["value"][:, None],
    )

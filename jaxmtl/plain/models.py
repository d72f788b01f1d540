"""Models of every kind, as a file holds them: what they predict of coded features."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .linear import linear_sums
from .links import bucketed, linked
from .mixture import disagreement, weighted_mean
from .network import NETWORKS, needs_jax
from .trees import check_ways, forest_sums, tree_sums

_CHUNK = 1024  # rows that go through a network at once

Arrays = Mapping[str, np.ndarray]


class SavedModel(NamedTuple):
    """A model as a file holds it.

    Attributes:
        kind: "network", "forest" and so on.
        spec: all but the arrays.
        arrays: by name, those of members under their numbers.

    Example:
        >>> model = SavedModel("constant", {}, {"outputs": np.array([2.0])})
        >>> outputs_of_model(model, np.zeros((1, 3))).tolist()
        [[2.0]]
    """

    kind: str
    spec: Mapping[str, Any]
    arrays: Arrays

    @property
    def members(self) -> list["SavedModel"]:
        """The models of a mixture."""
        return [
            saved_model(one, below(self.arrays, f"{number}/"))
            for number, one in enumerate(self.spec["models"])
        ]


def saved_model(saved: Mapping[str, Any], arrays: Arrays) -> SavedModel:
    """A model whose trees, if it has any, have an end.

    Args:
        saved: its kind and spec.
        arrays: its own.

    Raises:
        ValueError: a kind that there is not, or trees without an end.

    Example:
        >>> saved_model({"kind": "oracle", "spec": {}}, {})
        ... # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        ValueError: model: expected one of the kinds network, ..., got 'oracle'
    """
    kind, spec = saved["kind"], saved["spec"]
    if kind not in KINDS:
        raise ValueError(f"model: expected one of the kinds {', '.join(KINDS)}, got {kind!r}")
    if kind == "trees":
        check_ways(arrays, own_leaves=True)
    if kind == "forest":
        for number in range(len(spec["outputs"])):
            check_ways(below(arrays, f"{number}/"), own_leaves=False)
    return SavedModel(kind, spec, arrays)


def outputs_of_model(model: SavedModel, x: np.ndarray) -> np.ndarray:
    """What a model predicts.

    Args:
        model: of any kind that needs no JAX.
        x: (rows, features), coded.

    Returns:
        (rows, outputs): numbers, and probabilities of classes.

    Example:
        >>> line = {"slopes": np.array([[2.0]]), "intercept": np.array([1.0])}
        >>> outputs_of_model(SavedModel("linear", {}, line), np.array([[3.0]])).tolist()
        [[7.0]]
    """
    return KINDS[model.kind](model.spec, model.arrays, x)


def outputs_and_disagreement(
    model: SavedModel, x: np.ndarray, tasks: int
) -> tuple[np.ndarray, np.ndarray]:
    """What a model predicts, and how far the parts of a mixture are apart.

    Args:
        model: of any kind that needs no JAX.
        x: (rows, features), coded.
        tasks: how many there are.

    Returns:
        (rows, outputs), and (rows, tasks), which is 0 for what is no mixture.

    Example:
        >>> one = {"kind": "constant", "spec": {}}
        >>> arrays = {"0/outputs": np.array([1.0]), "1/outputs": np.array([3.0]),
        ...           "weights": np.array([[0.5], [0.5]])}
        >>> mixture = SavedModel("mixture", {"models": [one, one], "widths": [1]}, arrays)
        >>> outputs_and_disagreement(mixture, np.zeros((1, 2)), 1)
        (array([[2.]]), array([[1.]]))
    """
    if model.kind != "mixture":
        return np.asarray(outputs_of_model(model, x), float), np.zeros((len(x), tasks))
    each = [outputs_of_model(member, x) for member in model.members]
    weights, widths = model.arrays["weights"], model.spec["widths"]
    mean = weighted_mean(each, weights, widths, len(x))
    return mean, disagreement(each, weights, mean, widths)


def network_that_needs_jax(models: Sequence[Mapping[str, Any]]) -> str | None:
    """The name of the first network that can be computed by JAX alone; None without any.

    Args:
        models: kind and spec of each.

    Example:
        >>> network_that_needs_jax([{"kind": "linear", "spec": {}}])
    """
    for model in models:
        kind, spec = model["kind"], model["spec"]
        found = None
        if kind == "network":
            found = needs_jax(spec)
        elif kind in ("table network", "views"):
            found = needs_jax(spec["network"])
        elif kind == "mixture":
            found = network_that_needs_jax(spec["models"])
        if found is not None:
            return found
    return None


def below(arrays: Arrays, prefix: str) -> dict[str, np.ndarray]:
    """The arrays below a prefix, without it.

    Example:
        >>> list(below({"a/b": np.zeros(1), "c": np.zeros(1)}, "a/"))
        ['b']
    """
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def _network(spec: Mapping[str, Any], arrays: Arrays, x: np.ndarray) -> np.ndarray:
    compute = NETWORKS[spec["network"]]
    parts = [
        compute(spec["fields"], arrays, x[at : at + _CHUNK])
        for at in range(0, max(len(x), 1), _CHUNK)
    ]
    return np.concatenate(parts)


def _table_network(spec: Mapping[str, Any], arrays: Arrays, x: np.ndarray) -> np.ndarray:
    inner = below(arrays, "network/")
    sums = _network(spec["network"], inner, np.asarray(x, np.float32)).astype(float)
    scale = arrays["scale"]
    found = linked(spec["links"], sums * scale + arrays["offset"], np.zeros(len(scale)))
    return np.clip(found, arrays["low"], arrays["high"])


def _views(spec: Mapping[str, Any], arrays: Arrays, x: np.ndarray) -> np.ndarray:
    pointers, columns = below(arrays, "pointers/"), []
    for task in range(len(spec["network"]["fields"]["outputs"])):
        own = {}
        for name, leaf in arrays.items():
            layer = name.removeprefix("params/").partition("/")[0]
            own[name] = leaf[pointers[layer][task]] if layer in pointers else leaf
        columns.append(_network(spec["network"], own, x)[:, task])
    return np.stack(columns, axis=1)


def _constant(spec: Mapping[str, Any], arrays: Arrays, x: np.ndarray) -> np.ndarray:
    del spec
    return np.repeat(arrays["outputs"][None], len(x), axis=0)


def _linear(spec: Mapping[str, Any], arrays: Arrays, x: np.ndarray) -> np.ndarray:
    codes = spec.get("codes", ())
    sums = linear_sums(x, arrays["slopes"], arrays["intercept"], codes, arrays.get("levels"))
    return linked(spec["links"], sums, arrays["floor"]) if "links" in spec else sums


def _trees(spec: Mapping[str, Any], arrays: Arrays, x: np.ndarray) -> np.ndarray:
    del spec
    return tree_sums(arrays, x)


def _forest(spec: Mapping[str, Any], arrays: Arrays, x: np.ndarray) -> np.ndarray:
    codes = [(column, arrays[f"buckets/{column}"]) for column in spec["codes"]]
    x = bucketed(np.asarray(x, np.float32), codes)
    sums = np.zeros((len(x), len(arrays["floor"])))
    for number, outputs in enumerate(spec["outputs"]):
        sums[:, outputs] += forest_sums(below(arrays, f"{number}/"), x)
    return linked(spec["links"], sums, arrays["floor"])


def _mixture(spec: Mapping[str, Any], arrays: Arrays, x: np.ndarray) -> np.ndarray:
    return outputs_and_disagreement(SavedModel("mixture", spec, arrays), x, len(spec["widths"]))[0]


KINDS: dict[str, Callable[[Mapping[str, Any], Arrays, np.ndarray], np.ndarray]] = {
    "network": _network,
    "table network": _table_network,
    "views": _views,
    "constant": _constant,
    "linear": _linear,
    "trees": _trees,
    "forest": _forest,
    "mixture": _mixture,
}

"""Many trees as compact arrays, whoever grew them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, UInt8

from jaxmtl._words import short
from jaxmtl.methods.links import Link, check_floor, links_from_json, links_to_json, outputs_of
from jaxmtl.methods.saved import check_arrays, check_below, check_fields, with_prefix
from jaxmtl.plain.links import bucketed
from jaxmtl.plain.trees import check_ways, forest_sums

BYTES_OF_A_SET = 32  # 256 buckets


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Forest:
    """Trees that add to the same outputs.

    A row goes left where its feature, in float32, is at most the threshold; a missing feature goes
    where ``missing_left`` says. A node may instead ask whether the bucket of a level is in a set.
    Where a way leads is the number of a node, or ``~leaf``, which is below 0.

    Attributes:
        outputs: that all trees add to.
        baseline: of these outputs, what the trees are added to.
        roots: where each tree begins.
        feature: that a node asks for; from the number of features on, it is that plus the number
            of a set.
        threshold: of every node; without meaning where it asks for a set.
        left: where a row goes that is at most the threshold, or in the set.
        right: where others go.
        missing_left: whether a missing value goes left.
        value: what a leaf adds to each of the outputs.
        set_column: feature that each set is about.
        sets: buckets in the set, a bit each, the lowest first.

    Example:
        >>> forest = Forest(
        ...     outputs=(0,), baseline=np.zeros(1), roots=np.array([0], np.int32),
        ...     feature=np.zeros(1, np.int32), threshold=np.array([0.5], np.float32),
        ...     left=np.array([~0], np.int32), right=np.array([~1], np.int32),
        ...     missing_left=np.array([True]), value=np.array([[1.0], [2.0]], np.float32),
        ...     set_column=np.zeros(0, np.int32), sets=np.zeros((0, 32), np.uint8))
        >>> forest.add_up(np.array([[0.5], [0.6], [np.nan]], np.float32)).ravel().tolist()
        [1.0, 2.0, 1.0]
    """

    outputs: tuple[int, ...]
    baseline: Float[np.ndarray, " own"]
    roots: Int32[np.ndarray, " trees"]
    feature: Int32[np.ndarray, " nodes"]
    threshold: Float32[np.ndarray, " nodes"]
    left: Int32[np.ndarray, " nodes"]
    right: Int32[np.ndarray, " nodes"]
    missing_left: Bool[np.ndarray, " nodes"]
    value: Float32[np.ndarray, "leaves own"]
    set_column: Int32[np.ndarray, " sets"]
    sets: UInt8[np.ndarray, "sets 32"]

    def add_up(self, x: Float32[np.ndarray, "rows features"]) -> Float[np.ndarray, "rows own"]:
        """Baseline and what the trees add, for features with buckets in place of levels."""
        return forest_sums(self.arrays(), x)

    def arrays(self) -> dict[str, np.ndarray]:
        """All fields but ``outputs``."""
        return {name: getattr(self, name) for name in ARRAYS}


PLACES, MARKS = np.dtype(np.int32), np.dtype(bool)
ARRAYS = tuple(field.name for field in dataclasses.fields(Forest) if field.name != "outputs")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ForestModel:
    """Forests side by side, each with outputs of its own.

    Attributes:
        forests: that add to the outputs.
        codes: place of each feature that holds the number of a level, and the bucket of every
            level.
        links: how the sums become the outputs, a task each.
        floor: added to the probabilities of classes.
    """

    kind: ClassVar[str] = "forest"

    forests: tuple[Forest, ...]
    codes: tuple[tuple[int, UInt8[np.ndarray, " levels"]], ...]
    links: tuple[Link, ...]
    floor: Float[np.ndarray, " outputs"]

    def predict(self, x: Float[np.ndarray, "rows features"]) -> Float[np.ndarray, "rows outputs"]:
        """Outputs for coded features; that of a row hangs on no other row."""
        x = as_learned(x, self.codes)
        sums = np.zeros((len(x), len(self.floor)))
        for forest in self.forests:
            sums[:, forest.outputs] += forest.add_up(x)
        return outputs_of(self.links, sums, self.floor)

    def spec(self) -> dict[str, Any]:
        """What the arrays do not say."""
        return {
            "outputs": [list(forest.outputs) for forest in self.forests],
            "codes": [column for column, _ in self.codes],
            "links": links_to_json(self.links),
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of every forest under its number, the buckets of every code, the floor."""
        found = {"floor": self.floor}
        for number, forest in enumerate(self.forests):
            found |= {f"{number}/{name}": array for name, array in forest.arrays().items()}
        return found | {f"buckets/{column}": buckets for column, buckets in self.codes}


def as_learned(
    x: Float[np.ndarray, "rows features"], codes: Sequence[tuple[int, np.ndarray]]
) -> Float32[np.ndarray, "rows features"]:
    """The features as trees see them: buckets in place of levels, in float32.

    What is rounded before a tree is grown is rounded alike when it is asked.
    """
    x = np.asarray(x, np.float32)
    return bucketed(x, codes)


def forest_model_of(
    spec: Mapping[str, Any], arrays: Mapping[str, np.ndarray], *, features: int, outputs: int
) -> ForestModel:
    """Reads what ``spec`` and ``arrays`` gave; a ``Reader``."""
    what = "model of kind forest"
    check_fields(what, spec, {"outputs", "codes", "links"})
    links = links_from_json(what, spec["links"], outputs)
    places = spec["codes"]
    if not _distinct(places, features):
        raise ValueError(
            f"{what}: expected places of codes below {features}, each once, got {short(places)}"
        )
    every = spec["outputs"]
    if not isinstance(every, list) or not all(_distinct(own, outputs) for own in every):
        raise ValueError(
            f"{what}: expected lists of outputs below {outputs}, each once, got {short(every)}"
        )
    rest = dict(arrays)
    forests = []
    for number, own in enumerate(every):
        given = with_prefix(arrays, f"{number}/")
        rest = {name: a for name, a in rest.items() if not name.startswith(f"{number}/")}
        try:
            _check_forest(given, features, len(own), set(places))
        except ValueError as error:
            raise ValueError(f"forest {number}: {error}") from error
        forests.append(Forest(outputs=tuple(own), **given))
    names = [f"buckets/{column}" for column in places]
    expected = {name: ((np.size(rest.get(name, ())),), np.dtype(np.uint8)) for name in names}
    check_arrays(rest, expected | {"floor": ((outputs,), np.dtype(float))})
    for name in names:
        if not len(rest[name]):
            raise ValueError(f"array {name!r}: expected a bucket for every level, got none")
    check_floor(rest["floor"])
    codes = tuple((column, rest[f"buckets/{column}"]) for column in places)
    return ForestModel(forests=tuple(forests), codes=codes, links=links, floor=rest["floor"])


def _distinct(saved: Any, below: int) -> bool:
    whole = isinstance(saved, list) and all(type(n) is int and 0 <= n < below for n in saved)
    return whole and len(set(saved)) == len(saved)


def _check_forest(
    arrays: Mapping[str, np.ndarray], features: int, own: int, codes: set[int]
) -> None:
    def size(name: str) -> int:
        return len(arrays[name]) if name in arrays and np.ndim(arrays[name]) else 0

    nodes, trees, sets, leaves = (size(n) for n in ("feature", "roots", "set_column", "value"))
    single, half = np.dtype(np.float32), ((nodes,), PLACES)
    check_arrays(
        arrays,
        {
            "baseline": ((own,), np.dtype(float)),
            "roots": ((trees,), PLACES),
            "feature": half,
            "threshold": ((nodes,), single),
            "left": half,
            "right": half,
            "missing_left": ((nodes,), MARKS),
            "value": ((leaves, own), single),
            "set_column": ((sets,), PLACES),
            "sets": ((sets, BYTES_OF_A_SET), np.dtype(np.uint8)),
        },
    )
    check_below("feature", arrays["feature"], features + sets)
    if not set(arrays["set_column"].tolist()) <= codes:
        raise ValueError("array 'set_column': expected places of codes, got others")
    for name in ("roots", "left", "right"):
        check_below(name, arrays[name], nodes, least=-leaves)
    check_ways(arrays, own_leaves=False)
    led_to = np.sort(np.concatenate([arrays[name] for name in ("roots", "left", "right")]))
    if not np.array_equal(led_to, np.arange(-leaves, nodes)):
        raise ValueError("array 'roots': expected one way to every node and leaf, got others")

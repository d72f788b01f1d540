"""What scikit-learn grew, as compact arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxmtl.methods.forest import BYTES_OF_A_SET, Forest


class Gathering:
    """Trees that are added one after the other.

    Args:
        features: of the rows.
        outputs: that the trees add to.
        baseline: that they are added to.

    Example:
        >>> gathering = Gathering(2, (0,), np.zeros(1))
        >>> gathering.add_leaf(np.array([3.0]))
        >>> gathering.forest().add_up(np.zeros((1, 2), np.float32)).tolist()
        [[3.0]]
    """

    def __init__(self, features: int, outputs: Sequence[int], baseline: Float[Any, " own"]) -> None:
        """No trees yet."""
        self.features = features
        self.outputs = tuple(outputs)
        self.baseline = np.asarray(baseline, float)
        self._columns: dict[str, list[np.ndarray]] = {
            name: [] for name in ("feature", "threshold", "left", "right", "missing_left", "value")
        }
        self._roots: list[int] = []
        self._sets: dict[tuple[int, bytes], int] = {}
        self._nodes = self._leaves = 0

    def set_number(self, column: int, members: Sequence[int] | np.ndarray) -> int:
        """What a node asks for that asks whether the bucket in a column is one of these."""
        bits = np.zeros(8 * BYTES_OF_A_SET, bool)
        bits[members] = True
        key = (column, np.packbits(bits, bitorder="little").tobytes())
        return self.features + self._sets.setdefault(key, len(self._sets))

    def add_leaf(self, value: Float[np.ndarray, " own"]) -> None:
        """A tree that is one leaf."""
        self._roots.append(~self._leaves)
        self._columns["value"].append(np.asarray(value, np.float32)[None])
        self._leaves += 1

    def add_tree(
        self,
        *,
        is_leaf: np.ndarray,
        feature: np.ndarray,
        threshold: np.ndarray,
        left: np.ndarray,
        right: np.ndarray,
        missing_left: np.ndarray,
        value: Float[np.ndarray, "nodes own"],
    ) -> None:
        """A tree by its nodes, the root first and children behind their parents.

        Args:
            is_leaf: of every node, as all others.
            feature: that it asks for, or from ``set_number``.
            threshold: of a value that goes left.
            left: number of the node for smaller values.
            right: number of the node for others.
            missing_left: whether a missing value goes left.
            value: that a leaf adds.
        """
        if is_leaf[0]:
            self.add_leaf(value[0])
            return
        inner = ~is_leaf
        # Where each node of the tree stands among all nodes or, below 0, among all leaves.
        place = np.where(
            inner,
            np.cumsum(inner) - 1 + self._nodes,
            ~(np.cumsum(is_leaf) - 1 + self._leaves),
        )
        columns = self._columns
        columns["feature"].append(feature[inner].astype(np.int32))
        columns["threshold"].append(rounded_down(threshold[inner]))
        columns["left"].append(place[left[inner]].astype(np.int32))
        columns["right"].append(place[right[inner]].astype(np.int32))
        columns["missing_left"].append(missing_left[inner].astype(bool))
        columns["value"].append(value[is_leaf].astype(np.float32))
        self._roots.append(self._nodes)
        self._nodes += int(inner.sum())
        self._leaves += int(is_leaf.sum())

    def forest(self) -> Forest:
        """All trees that were added."""
        types = {"threshold": np.float32, "missing_left": bool}
        joined: dict[str, Any] = {
            name: np.concatenate([np.zeros(0, types.get(name, np.int32)), *parts])
            for name, parts in self._columns.items()
            if name != "value"
        }
        none = np.zeros((0, len(self.outputs)), np.float32)
        sets = np.frombuffer(b"".join(bits for _, bits in self._sets), np.uint8)
        return Forest(
            outputs=self.outputs,
            baseline=self.baseline,
            roots=np.array(self._roots, np.int32),
            value=np.concatenate([none, *self._columns["value"]]),
            set_column=np.array([column for column, _ in self._sets], np.int32),
            sets=sets.reshape(len(self._sets), BYTES_OF_A_SET),
            **joined,
        )


def rounded_down(threshold: Float[np.ndarray, " nodes"]) -> np.ndarray:
    """Largest numbers of float32 that are no larger: the same features are at most as large.

    Example:
        >>> down = rounded_down(np.array([0.1, -0.1, 0.5]))
        >>> [bool(a <= b) for a, b in zip(down.astype(float), [0.1, -0.1, 0.5])]
        [True, True, True]
    """
    with np.errstate(over="ignore"):
        single = threshold.astype(np.float32)
    down = np.nextafter(single, np.float32(-np.inf))
    found = np.where(single.astype(float) > threshold, down, single)
    # A file keeps finite numbers only; no feature of float32 lies beyond.
    limits = np.finfo(np.float32)
    return np.clip(found, limits.min, limits.max)

"""A trained network whose tasks read views of their own, as a model."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PyTree

from jaxmtl._paths import leaf_path
from jaxmtl._words import short
from jaxmtl.methods.network_model import INDEX, flat_arrays, has_bank, network_model_of
from jaxmtl.methods.network_spec import build_network, describe_network
from jaxmtl.methods.saved import check_arrays, check_below, check_fields, with_prefix
from jaxmtl.sharing import Pointers, compact
from jaxmtl.training.in_chunks import predictor
from jaxmtl.training.kinds.views import ViewNetwork, view_network

POINTERS = "pointers/"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ViewsModel:
    """Banks of whole layers, and which of its copies each task reads.

    It is saved without the copies that no task reads.

    Attributes:
        network: static; its groups are layers, one unit each, by their own names.
        params: banks.
        pointers: of every task.

    Example:
        >>> from jaxmtl.models import HardSharing
        >>> from jaxmtl.sharing import duplicate
        >>> one = HardSharing(capacity=3)
        >>> network = view_layers(one, ["shared_0", "bank"], features=4)
        >>> params, _ = network.init(jax.random.key(0), jnp.zeros((1, 4)))
        >>> params, pointers = duplicate(params, network.start(), "bank", 0, [1])
        >>> model = ViewsModel(network=network, params=params, pointers=pointers)
        >>> model.predict(np.zeros((3, 4), np.float32)).shape
        (3, 2)
        >>> {name: rows.tolist() for name, rows in model.arrays().items() if "pointers" in name}
        {'pointers/shared_0': [0, 0], 'pointers/bank': [0, 1]}
    """

    kind: ClassVar[str] = "views"

    network: ViewNetwork
    params: PyTree
    pointers: Pointers

    def predict(self, x: Float[np.ndarray, "rows features"]) -> Float[np.ndarray, "rows outputs"]:
        """Outputs for coded features, in the precision of the network."""
        pointers: Any = self.pointers
        return predictor(self.network, self.params, pointers)(np.asarray(x))

    def spec(self) -> dict[str, Any]:
        """The network of one task, and the names of the layers.

        Raises:
            ValueError: a network that no file can hold.
        """
        return {
            "network": describe_network(self.network.network.source),
            "layers": [group.name for group in self.network.groups],
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """The banks by their paths, and the copy that each task reads of each layer."""
        params, pointers = compact(self.params, self.pointers)
        found = {f"params/{path}": leaf for path, leaf in flat_arrays(params).items()}
        rows = {f"{POINTERS}{name}": np.asarray(c)[:, 0] for name, c in pointers.columns.items()}
        one = self.network.network.source
        # No node of the last shared layer has a copy of its own: layers have.
        index = {INDEX: np.asarray(one.initial_head_index())} if has_bank(one) else {}
        return found | rows | index


def view_layers(
    model: Any, layers: list[str], *, features: int, capacity: Mapping[str, int] | None = None
) -> ViewNetwork:
    """A network of which every task may have layers of its own.

    Args:
        model: a network of ``jaxmtl.models`` with the outputs of all tasks.
        layers: names of entries of its parameters.
        features: inputs.
        capacity: copies that there is room for; None for one a task.

    Returns:
        The network.

    Raises:
        ValueError: see ``view_network``.

    Example:
        >>> from jaxmtl.models import HardSharing
        >>> [g.capacity for g in view_layers(HardSharing(), ["shared_0"], features=4).groups]
        [2]
    """
    groups = {layer: [layer] for layer in layers}
    x = jax.ShapeDtypeStruct((1, features), jnp.float32)
    return view_network(model, groups, x, capacity=capacity)


def views_model_of(
    spec: Mapping[str, Any], arrays: Mapping[str, np.ndarray], *, features: int, outputs: int
) -> ViewsModel:
    """The model whose ``spec`` and ``arrays`` these are.

    Args:
        spec: from a file.
        arrays: from a file.
        features: inputs that the network must take.
        outputs: that it must have.

    Returns:
        The model.

    Raises:
        ValueError: they do not go together.

    Example:
        >>> views_model_of({"layers": []}, {}, features=1, outputs=1)
        Traceback (most recent call last):
            ...
        ValueError: model of kind views: expected the fields layers, network, got layers
    """
    check_fields("model of kind views", spec, {"layers", "network"})
    layers = spec["layers"]
    named = isinstance(layers, list) and all(isinstance(name, str) for name in layers)
    if not named or not layers or len(set(layers)) < len(layers):
        raise ValueError(f"layers: expected different names, got {short(layers)}")
    one: Any = build_network(spec["network"], most=sum(a.size for a in arrays.values()))
    rows = with_prefix(arrays, POINTERS)
    check_arrays(rows, {name: ((outputs,), np.dtype(np.int32)) for name in layers})
    copies = {name: len(np.unique(row)) for name, row in rows.items()}
    for name, row in rows.items():
        check_below(f"{POINTERS}{name}", row, copies[name])
    banks = {name: leaf for name, leaf in arrays.items() if not name.startswith(POINTERS)}
    of_one = [
        network_model_of(
            spec["network"],
            _read_by(task, banks, rows, copies),
            features=features,
            outputs=outputs,
        )
        for task in range(outputs)  # every copy is read by some task, and so is looked at
    ]

    def bank(path: tuple[Any, ...], leaf: Any) -> Any:
        return jnp.asarray(banks[f"params/{leaf_path(path)}"], leaf.dtype)

    network = view_layers(one, layers, features=features, capacity=copies)
    columns = {name: jnp.asarray(rows[name])[:, None] for name in layers}
    return ViewsModel(
        network=network,
        params=jax.tree_util.tree_map_with_path(bank, of_one[0].params),
        pointers=Pointers(columns, network.groups),
    )


def _read_by(
    task: int,
    banks: Mapping[str, np.ndarray],
    rows: Mapping[str, np.ndarray],
    copies: Mapping[str, int],
) -> dict[str, np.ndarray]:
    """The arrays of the network of one task."""
    found = {}
    for name, leaf in banks.items():
        layer = name.removeprefix("params/").partition("/")[0]
        if layer in rows:
            if leaf.shape[:1] != (copies[layer],):
                raise ValueError(
                    f"array {name!r}: expected {copies[layer]} copies of the layer along its first "
                    f"axis, as its pointers have, got shape {leaf.shape}"
                )
            leaf = leaf[rows[layer][task]]
        found[name] = leaf
    return found

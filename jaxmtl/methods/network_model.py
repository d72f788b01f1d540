"""A trained network as a model."""

import dataclasses
import functools
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PyTree

from jaxmtl._typing import NetworkLike
from jaxmtl.duplication import HeadIndex, bank_capacity, check_head_index, compact
from jaxmtl.methods.network_spec import build_network, describe_network
from jaxmtl.methods.saved import check_arrays, with_prefix
from jaxmtl.training import as_network
from jaxmtl.training.in_chunks import predictor

INDEX = "head_index"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class NetworkModel:
    """A network with its parameters.

    It is saved without the spare columns of its bank, if it has one.

    Attributes:
        network: static.
        params: of ``network``.
        head_index: None for networks without a bank.
        state: of the network, such as running statistics; None for most, and for all that can be
            saved.

    Example:
        >>> from jaxmtl.models import HardSharing
        >>> network = HardSharing()
        >>> params = network.init(jax.random.key(0), jnp.zeros((1, 4)))["params"]
        >>> model = NetworkModel(network=network, params=params)
        >>> model.predict(np.zeros((3, 4))).shape
        (3, 2)
        >>> model.spec()["fields"]["capacity"], model.arrays()["params/bank/kernel"].shape
        (3, (4, 3))
    """

    kind: ClassVar[str] = "network"

    network: NetworkLike
    params: PyTree
    head_index: HeadIndex | None = None
    state: PyTree = None

    def predict(self, x: Float[np.ndarray, "rows features"]) -> Float[np.ndarray, "rows outputs"]:
        """Outputs for coded features, in the precision of the network."""
        return predictor(self.network, self.params, self.head_index, self.state)(np.asarray(x))

    def compacted(self) -> "NetworkModel":
        """The same network without the columns that no task reads; itself without a bank."""
        if not has_bank(self.network):
            return self
        network: Any = self.network
        index = network.initial_head_index() if self.head_index is None else self.head_index
        params, index = compact(self.params, index)
        network = network.clone(capacity=bank_capacity(params))
        return NetworkModel(network=network, params=params, head_index=index)

    def spec(self) -> dict[str, Any]:
        """Its name and fields.

        Raises:
            ValueError: a network or a field that no file can hold.
        """
        described = describe_network(self.network)
        if has_bank(self.network):
            described["fields"]["capacity"] = bank_capacity(self.compacted().params)
        return described

    def arrays(self) -> dict[str, np.ndarray]:
        """The parameters by their paths, and the head index."""
        model = self.compacted()
        arrays = {INDEX: np.asarray(model.head_index)} if model.head_index is not None else {}
        return arrays | {f"params/{name}": leaf for name, leaf in flat_arrays(model.params).items()}


def network_model_of(
    spec: Mapping[str, Any], arrays: Mapping[str, np.ndarray], *, features: int, outputs: int
) -> NetworkModel:
    """The network whose ``spec`` and ``arrays`` these are.

    Args:
        spec: from a file.
        arrays: from a file.
        features: inputs that the network must take.
        outputs: that it must have.

    Returns:
        The network.

    Raises:
        ValueError: they do not go together.

    Example:
        >>> from jaxmtl.models import MMoE
        >>> network = MMoE()
        >>> params = network.init(jax.random.key(0), jnp.zeros((1, 4)))["params"]
        >>> saved = NetworkModel(network=network, params=params)
        >>> model = network_model_of(saved.spec(), saved.arrays(), features=4, outputs=2)
        >>> bool((model.predict(np.ones((3, 4))) == saved.predict(np.ones((3, 4)))).all())
        True
    """
    network: Any = build_network(spec, most=sum(array.size for array in arrays.values()))
    shapes, width = _shapes(network, features)
    if width != outputs:
        raise ValueError(
            f"network {type(network).__name__}: expected {outputs} outputs, got {width}"
        )
    expected = {f"params/{name}": (leaf.shape, _stored(leaf)) for name, leaf in shapes.items()}
    index = None
    if has_bank(network):
        expected[INDEX] = ((network.num_tasks, network.nodes), np.dtype(np.int32))
    check_arrays(arrays, expected)
    if INDEX in expected:
        index = jnp.asarray(arrays[INDEX])
        check_head_index(index, network.num_columns)
    params: dict[str, Any] = {}
    for name, array in with_prefix(arrays, "params/").items():
        *path, last = name.split("/")
        place = params
        for part in path:
            place = place.setdefault(part, {})
        place[last] = jnp.asarray(array, dtype=shapes[name].dtype)
    return NetworkModel(network=network, params=params, head_index=index)


def has_bank(network: NetworkLike) -> bool:
    """Whether a network has nodes that can be duplicated."""
    return as_network(network).bank is not None


@functools.lru_cache(maxsize=64)
def _shapes(network: Any, features: int) -> tuple[dict[str, Any], int]:
    """Shapes of the parameters by their paths, and the number of outputs."""
    x = jax.ShapeDtypeStruct((1, features), jnp.float32)
    try:
        with warnings.catch_warnings():
            # Parameters of 64 bits are those of 32 where JAX knows no others.
            warnings.simplefilter("ignore")
            y, variables = jax.eval_shape(network.init_with_output, jax.random.key(0), x)
    except Exception as error:  # whatever layers raise for sizes and names that are not theirs
        text = " ".join(str(error).split())[:300]
        raise ValueError(f"network {type(network).__name__}: {text}") from error
    return flat_arrays(variables["params"]), y.shape[-1]


def flat_arrays(params: PyTree) -> dict[str, Any]:
    """Leaves by the keys to them, as NumPy arrays unless they are shapes only."""
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        name = "/".join(str(getattr(key, "key", key)) for key in path)
        if not isinstance(leaf, jax.ShapeDtypeStruct):
            leaf = np.asarray(leaf)
            leaf = leaf.astype(_stored(leaf))
        found[name] = leaf
    return found


def _stored(leaf: Any) -> np.dtype:
    """NumPy's file format does not know bfloat16 and its like; float32 holds them exactly."""
    dtype = np.dtype(leaf.dtype)
    return np.dtype(np.float32) if dtype.kind == "V" else dtype

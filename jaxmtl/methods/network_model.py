"""A trained network as a model."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, PyTree

from jaxmtl._typing import NetworkLike
from jaxmtl.duplication import HeadIndex
from jaxmtl.training.in_chunks import predictor


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class NetworkModel:
    """A network with its parameters.

    Attributes:
        network: static.
        params: of ``network``.
        head_index: None for networks without a bank.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmtl.models import HardSharing
        >>> network = HardSharing()
        >>> params = network.init(jax.random.key(0), jnp.zeros((1, 4)))["params"]
        >>> NetworkModel(network=network, params=params).predict(np.zeros((3, 4))).shape
        (3, 2)
    """

    kind: ClassVar[str] = "network"

    network: NetworkLike
    params: PyTree
    head_index: HeadIndex | None = None

    def predict(self, x: Float[np.ndarray, "rows features"]) -> Float[np.ndarray, "rows outputs"]:
        """Outputs for coded features, in the precision of the network."""
        return predictor(self.network, self.params, self.head_index)(np.asarray(x))

    def spec(self) -> dict[str, Any]:
        """All but the arrays, as JSON keeps it."""
        raise ValueError("network: cannot be saved yet")

    def arrays(self) -> dict[str, np.ndarray]:
        """The parameters by their paths, and the head index."""
        raise ValueError("network: cannot be saved yet")

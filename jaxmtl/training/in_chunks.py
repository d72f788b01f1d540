"""A network applied to any number of rows, in pieces of one size."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxmtl._typing import NetworkLike
from jaxmtl.duplication import HeadIndex
from jaxmtl.training.as_network import as_network
from jaxmtl.training.network import Network

CHUNK = 1024  # rows of one compiled call

Predict = Callable[[np.ndarray], np.ndarray]


def predictor(
    model: NetworkLike,
    params: PyTree,
    head_index: HeadIndex | None = None,
    state: PyTree = None,
) -> Predict:
    """A function from scaled features to scaled predictions.

    Rows are taken in chunks of one size, the last filled up, so that the prediction of a row does
    not depend on the rows around it, not even in its last bit.

    Args:
        model: see ``as_network``. Static.
        params: trained parameters.
        head_index: or the pointers of a ``view_network``; None for networks without a bank.
        state: of the network, such as running statistics; None for most.

    Returns:
        ``predict(x)`` for NumPy arrays (rows, features), giving (rows, outputs).

    Example:
        >>> from jaxmtl.models import HardSharing
        >>> model = HardSharing()
        >>> params = model.init(jax.random.key(0), jnp.zeros((1, 4)))["params"]
        >>> predictor(model, params, model.initial_head_index())(np.zeros((2000, 4))).shape
        (2000, 2)
    """
    network = as_network(model)
    index = jax.tree.map(jnp.asarray, head_index)

    def predict(x: np.ndarray) -> np.ndarray:
        missing = -len(x) % CHUNK if len(x) else CHUNK
        padded = np.concatenate([x, np.zeros((missing, x.shape[1]), x.dtype)])
        parts = [
            np.asarray(_outputs(network, params, state, padded[i : i + CHUNK], index))
            for i in range(0, len(padded), CHUNK)
        ]
        return np.concatenate(parts)[: len(x)]

    return predict


@functools.partial(jax.jit, static_argnames="network")
def _outputs(
    network: Network, params: PyTree, state: PyTree, x: np.ndarray, index: HeadIndex | None
) -> jax.Array:
    return network.apply(params, state, jnp.asarray(x), pointers=index).outputs

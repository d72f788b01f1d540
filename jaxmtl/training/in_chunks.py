"""A network applied to any number of rows, in pieces of one size."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxmtl._typing import Network
from jaxmtl.duplication import HeadIndex

CHUNK = 1024  # rows of one compiled call

Predict = Callable[[np.ndarray], np.ndarray]


def predictor(model: Network, params: PyTree, head_index: HeadIndex | None = None) -> Predict:
    """A function from scaled features to scaled predictions.

    Rows are taken in chunks of one size, the last filled up, so that the prediction of a row does
    not depend on the rows around it, not even in its last bit.

    Args:
        model: static.
        params: trained parameters.
        head_index: None for networks without a bank.

    Returns:
        ``predict(x)`` for NumPy arrays (rows, features), giving (rows, outputs).

    Example:
        >>> from jaxmtl.models import HardSharing
        >>> model = HardSharing()
        >>> params = model.init(jax.random.key(0), jnp.zeros((1, 4)))["params"]
        >>> predictor(model, params, model.initial_head_index())(np.zeros((2000, 4))).shape
        (2000, 2)
    """
    index = () if head_index is None else (jnp.asarray(head_index),)

    def predict(x: np.ndarray) -> np.ndarray:
        missing = -len(x) % CHUNK if len(x) else CHUNK
        padded = np.concatenate([x, np.zeros((missing, x.shape[1]), x.dtype)])
        parts = [
            np.asarray(_apply(model, params, padded[i : i + CHUNK], *index))
            for i in range(0, len(padded), CHUNK)
        ]
        return np.concatenate(parts)[: len(x)]

    return predict


@functools.partial(jax.jit, static_argnames="model")
def _apply(model: Network, params: PyTree, x: np.ndarray, *index: HeadIndex) -> jax.Array:
    return model.apply({"params": params}, x, *index)

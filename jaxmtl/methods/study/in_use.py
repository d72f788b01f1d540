"""What of a trained network some task reads."""

from typing import Any

import numpy as np
from jaxtyping import PyTree

from jaxmtl import sharing
from jaxmtl.duplication import count_parameters
from jaxmtl.sharing import Pointers


def in_use(params: PyTree, index: Any, nodes: int) -> tuple[int, int]:
    """Numbers of parameters and of copies that some task reads.

    Args:
        params: of one run.
        index: which copies tasks read, of a bank or of views; None for other networks.
        nodes: of the bank at the start.

    Returns:
        Both numbers.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmtl.models import HardSharing
        >>> params = HardSharing().init(jax.random.key(0), jnp.zeros((1, 4)))["params"]
        >>> in_use(params, jnp.array([[3, 1, 2], [0, 1, 2]]), 3)
        (48, 1)
    """
    if isinstance(index, Pointers):
        copies = sum(len(np.unique(rows)) - rows.shape[1] for rows in index.columns.values())
        return sharing.count_parameters(params, index), copies
    copies = 0 if index is None else len(np.unique(index)) - nodes
    return count_parameters(params, index), copies

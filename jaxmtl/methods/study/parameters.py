"""How large the networks of the study are."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxmtl._typing import NetworkLike
from jaxmtl.duplication import HeadIndex, count_parameters
from jaxmtl.models import HardSharing, IndependentNetworks


def parameter_counts(
    model: HardSharing, num_features: int, params: PyTree, head_index: HeadIndex
) -> dict[str, int]:
    """Numbers of parameters in use: of this network, without duplications, and without sharing.

    Args:
        model: a network with a bank, static.
        num_features: inputs of the network.
        params: trained parameters.
        head_index: after the run.

    Returns:
        Counts by the names "adaptive", "hard_sharing" and "independent_networks".

    Example:
        >>> model = HardSharing()
        >>> params = model.init(jax.random.key(0), jnp.zeros((1, 4)))["params"]
        >>> parameter_counts(model, 4, params, jnp.array([[3, 1, 2], [0, 1, 2]]))
        {'adaptive': 48, 'hard_sharing': 43, 'independent_networks': 78}
    """
    fields: dict[str, Any] = {
        name: getattr(model, name)
        for name in ("shared", "nodes", "towers", "outputs", "activation", "output_activation")
    } | {"initializer": model.initializer}

    alone: Any = IndependentNetworks(**fields)
    together: Any = HardSharing(capacity=model.nodes, **fields)
    return {
        "adaptive": count_parameters(params, head_index),
        "hard_sharing": _count(together, num_features),
        "independent_networks": _count(alone, num_features),
    }


@functools.cache
def _count(network: NetworkLike, num_features: int) -> int:
    x = jax.ShapeDtypeStruct((1, num_features), jnp.float32)
    shapes = jax.eval_shape(lambda x: network.init(jax.random.key(0), x)["params"], x)
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes))

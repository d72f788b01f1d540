"""Which parameters of a network several tasks reach."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PyTree

Names = tuple[str, ...]
Mark = bool | np.ndarray | Bool[Array, "..."]


def mark_shared(params: PyTree, num_tasks: int, is_shared: Callable[[Names], Mark]) -> PyTree:
    """Marks parameters whose value the losses of two tasks or more depend on.

    Args:
        params: nested dictionaries, of which only names and shapes are read.
        num_tasks: with one task, nothing is shared. Static.
        is_shared: from the names on the way to a leaf to one mark, or to marks that broadcast to
            the leaf. Static.

    Returns:
        Booleans in the structure and the shapes of the parameters.

    Example:
        >>> params = {"trunk": {"bias": jnp.ones(2)}, "head": {"bias": jnp.ones(1)}}
        >>> marks = mark_shared(params, 2, lambda names: names[0] == "trunk")
        >>> marks["trunk"]["bias"].tolist(), marks["head"]["bias"].tolist()
        ([True, True], [False])
    """

    def marked(path: Any, leaf: Any) -> Array:
        names = tuple(str(key.key) for key in path)
        return jnp.broadcast_to(num_tasks > 1 and is_shared(names), jnp.shape(leaf))

    return jax.tree_util.tree_map_with_path(marked, params)


def along_first(marks: np.ndarray, names: Names) -> np.ndarray:
    """Marks of the first axis of a stack of dense layers, in a shape that broadcasts to the leaf.

    Args:
        marks: one a layer of the stack.
        names: on the way to the leaf, the last of which is ``"kernel"`` or ``"bias"``.

    Returns:
        (stack, 1, 1) for kernels, (stack, 1) for biases.

    Example:
        >>> along_first(np.array([True, False]), ("experts", "layer_0", "bias")).shape
        (2, 1)
    """
    return marks.reshape(-1, *(1,) * (1 if names[-1].endswith("bias") else 2))

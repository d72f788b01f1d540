"""Which numbers an optimizer keeps for a column of the bank, and which for something else."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

Path = tuple[Any, ...]


def has_columns(path: Path, shape: tuple[int, ...], banks: dict[Path, tuple[int, ...]]) -> bool:
    """Whether the last axis of a leaf of an optimizer's state is that of the bank's columns.

    A moment has the shape of its parameter, maybe behind further axes (a history, one a task).
    Factored moments lack an axis: of Adafactor's row and column sums and of SM3's sums along every
    axis, some have a number a column, others one an input, which says nothing of a column.

    Args:
        path: of the leaf in the state.
        shape: of the leaf.
        banks: shapes of the bank's parameters by their paths.

    Returns:
        Whether a duplication writes into it.

    Raises:
        ValueError: the leaf belongs to a parameter of the bank, but to which of its axes cannot be
            told.

    Example:
        >>> from jax.tree_util import DictKey, GetAttrKey
        >>> banks = {(DictKey("bank"),): (5, 6)}
        >>> [has_columns((GetAttrKey(name), DictKey("bank")), shape, banks)
        ...  for name, shape in (("mu", (5, 6)), ("v_row", (5,)), ("v_col", (6,)))]
        [True, False, True]
    """
    if math.prod(shape) <= 1:  # scalars, and what stands for nothing
        return False
    found = _parameter(path, banks)
    if found is None:
        return True
    parameter, behind = found
    if shape[max(len(shape) - len(parameter), 0) :] == parameter:
        return True
    last = len(parameter) - 1
    if len(behind) == 1 and hasattr(behind[0], "idx"):  # one sum an axis
        axis = behind[0].idx
        if axis <= last and shape == (parameter[axis],):
            return axis == last
    lacking = [axis for axis in range(last + 1) if np.delete(parameter, axis).tolist() == [*shape]]
    if len(lacking) > 1:
        lacking = [axis for axis in lacking if axis == _summed(path, parameter)]
    if {axis == last for axis in lacking} == {True}:
        return False
    if {axis == last for axis in lacking} == {False}:
        return True
    raise ValueError(
        f'transplant: expected moments with one number a parameter for mode "copy", got '
        f"{jax.tree_util.keystr(path)} of shape {shape} for a parameter of shape {parameter}, in "
        'which the columns cannot be told: use mode "fresh", or another optimizer'
    )


def bank_shapes(params: PyTree, banked: Any) -> dict[Path, tuple[int, ...]]:
    """Shapes of the parameters of the bank, by their paths.

    Args:
        params: any pytree.
        banked: whether a path lies in the bank.

    Returns:
        The shapes.

    Example:
        >>> import jax.numpy as jnp
        >>> [*bank_shapes({"bank": jnp.ones((2, 3)), "head": jnp.ones(3)}, lambda p: True).values()]
        [(2, 3), (3,)]
    """
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {path: jnp.shape(leaf) for path, leaf in leaves if banked(path)}


def _parameter(
    path: Path, banks: dict[Path, tuple[int, ...]]
) -> tuple[tuple[int, ...], Path] | None:
    """Shape of the parameter whose path is part of this one, and what stands behind that part."""
    for start in range(len(path)):
        for length in range(len(path) - start, 0, -1):
            shape = banks.get(path[start : start + length])
            if shape is not None:
                return shape, path[start + length :]
    return None


def _summed(path: Path, parameter: tuple[int, ...]) -> int | None:
    """The axis over which optax's factored second moments were summed, by their names."""
    names = [getattr(entry, "name", None) for entry in path]
    largest = np.argsort(parameter)
    if "v_row" in names:
        return int(largest[-1])
    return int(largest[-2]) if "v_col" in names else None

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
    found = parameter_of(path, banks)
    if found is None:
        return True
    parameter = banks[found[0]]
    return axis_in_moment(path, shape, parameter, found[1], len(parameter) - 1) is not None


def axis_in_moment(
    path: Path, shape: tuple[int, ...], parameter: tuple[int, ...], behind: Path, axis: int
) -> int | None:
    """Where an axis of a parameter is in a leaf of an optimizer's state.

    Args:
        path: of the leaf in the state.
        shape: of the leaf, of more than one number.
        parameter: shape of the parameter that the leaf belongs to.
        behind: what of the path stands behind that of the parameter.
        axis: of the parameter, from 0.

    Returns:
        The axis of the leaf; None if the leaf was summed over it.

    Raises:
        ValueError: it cannot be told.

    Example:
        >>> axis_in_moment((), (3, 5, 6), (5, 6), (), 1), axis_in_moment((), (5,), (5, 6), (), 1)
        (2, None)
    """
    further = len(shape) - len(parameter)
    if shape[max(further, 0) :] == parameter:
        return further + axis
    if len(behind) == 1 and hasattr(behind[0], "idx"):  # one sum an axis
        kept = behind[0].idx
        if kept < len(parameter) and shape == (parameter[kept],):
            return 0 if kept == axis else None
    lacking = [i for i in range(len(parameter)) if np.delete(parameter, i).tolist() == [*shape]]
    if len(lacking) > 1:
        lacking = [i for i in lacking if i == _summed(path, parameter)]
    places = {None if i == axis else axis - (i < axis) for i in lacking}
    if len(places) == 1:
        return places.pop()
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


def parameter_of(path: Path, banks: dict[Path, tuple[int, ...]]) -> tuple[Path, Path] | None:
    """The parameter whose path is part of this one.

    Args:
        path: of a leaf in an optimizer's state.
        banks: shapes of parameters by their paths.

    Returns:
        Its path, and what stands behind it; None if there is none.

    Example:
        >>> from jax.tree_util import DictKey, GetAttrKey, SequenceKey
        >>> bank = (DictKey("bank"),)
        >>> parameter_of((GetAttrKey("mu"), *bank, SequenceKey(0)), {bank: (5, 6)})
        ((DictKey(key='bank'),), (SequenceKey(idx=0),))
    """
    for start in range(len(path)):
        for length in range(len(path) - start, 0, -1):
            found = path[start : start + length]
            if found in banks:
                return found, path[start + length :]
    return None


def _summed(path: Path, parameter: tuple[int, ...]) -> int | None:
    """The axis over which optax's factored second moments were summed, by their names."""
    names = [getattr(entry, "name", None) for entry in path]
    largest = np.argsort(parameter)
    if "v_row" in names:
        return int(largest[-1])
    return int(largest[-2]) if "v_col" in names else None

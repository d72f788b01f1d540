"""The columns of the bank in any pytree: found by name, node axis last."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike, Int, PyTree

BankPath = str | Callable[[tuple[Any, ...]], bool]


def bank_capacity(params: PyTree, *, bank: BankPath = "bank") -> int:
    """Number of columns of the bank in a pytree of parameters.

    Args:
        params: any pytree.
        bank: name in the path of the bank's leaves, or a function of the path. Static.

    Returns:
        The common length of the last axis of the bank's leaves.

    Raises:
        ValueError: no leaf is found, or the leaves differ in their last axis.

    Example:
        >>> import jax.numpy as jnp
        >>> bank_capacity({"bank": {"kernel": jnp.zeros((4, 6)), "bias": jnp.zeros(6)}})
        6
    """
    leaves = jax.tree_util.tree_leaves_with_path(params)
    widths = {
        jax.tree_util.keystr(path): leaf.shape[-1] for path, leaf in leaves if in_bank(path, bank)
    }
    if not widths:
        listed = ", ".join(jax.tree_util.keystr(path) for path, _ in leaves[:8])
        raise ValueError(f"params: expected leaves with {bank!r} in their path, got {listed}")
    if len(set(widths.values())) > 1:
        raise ValueError(f"params: expected bank leaves with one common last axis, got {widths}")
    return next(iter(widths.values()))


def copy_column(
    tree: PyTree, node: Int[ArrayLike, ""], copy: Int[ArrayLike, ""], *, bank: BankPath = "bank"
) -> PyTree:
    """Copies one column of every bank leaf of a pytree into another column.

    Args:
        tree: parameters, gradients or optimizer state; leaves outside the bank are returned as they
            are, and so are scalars. Traced.
        node: column to copy, traced.
        copy: column to write, traced.
        bank: see ``bank_capacity``, static.

    Returns:
        The new pytree.

    Example:
        >>> import jax.numpy as jnp
        >>> copy_column({"bank": jnp.array([1.0, 2.0, 0.0])}, 1, 2)["bank"].tolist()
        [1.0, 2.0, 2.0]
    """

    def copied(path: tuple[Any, ...], leaf: Any) -> Any:
        if not in_bank(path, bank) or jnp.ndim(leaf) == 0:
            return leaf
        written = jnp.arange(leaf.shape[-1]) == copy
        return jnp.where(written, jnp.take(leaf, jnp.asarray(node), axis=-1)[..., None], leaf)

    return jax.tree_util.tree_map_with_path(copied, tree)


def in_bank(path: tuple[Any, ...], bank: BankPath) -> bool:
    """Whether the path of a leaf lies in the bank."""
    if callable(bank):
        return bank(path)
    for entry in path:
        for attribute in ("key", "name"):  # DictKey, FlattenedIndexKey; GetAttrKey
            if getattr(entry, attribute, None) == bank:
                return True
    return False

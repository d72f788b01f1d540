"""The columns of the bank in any pytree: found by name, node axis last."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, Float, Int, PyTree

from jaxmtl.duplication.moments import bank_shapes, has_columns

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

    return map_bank(column_copier(node, copy), tree, bank=bank)


def column_copier(
    node: Int[ArrayLike, ""], copy: Int[ArrayLike, ""]
) -> Callable[[Float[Array, "*inputs capacity"]], Float[Array, "*inputs capacity"]]:
    """A function that copies one column of a leaf into another.

    Args:
        node: column to copy, traced.
        copy: column to write, traced.

    Returns:
        What ``map_bank`` takes.

    Example:
        >>> import jax.numpy as jnp
        >>> column_copier(1, 2)(jnp.array([1.0, 2.0, 0.0])).tolist()
        [1.0, 2.0, 2.0]
    """

    def copied(leaf: Array) -> Array:
        written = jnp.arange(leaf.shape[-1]) == copy
        return jnp.where(written, jnp.take(leaf, jnp.asarray(node), axis=-1)[..., None], leaf)

    return copied


def map_bank(change: Callable[[Array], Array], tree: PyTree, *, bank: BankPath = "bank") -> PyTree:
    """Changes every leaf of the bank that has an axis of nodes.

    Args:
        change: of one leaf, node axis last; static.
        tree: parameters, gradients or moments of an optimizer; other leaves are returned as they
            are. Traced.
        bank: see ``bank_capacity``, static.

    Returns:
        The new pytree.

    Example:
        >>> import jax.numpy as jnp
        >>> map_bank(jnp.flip, {"bank": jnp.array([1.0, 2.0]), "head": jnp.array([3.0, 4.0])})
        {'bank': Array([2., 1.], dtype=float32), 'head': Array([3., 4.], dtype=float32)}
    """

    def changed(path: tuple[Any, ...], leaf: Any) -> Any:
        return change(leaf) if in_bank(path, bank) and jnp.ndim(leaf) else leaf

    return jax.tree_util.tree_map_with_path(changed, tree)


def map_bank_of_state(
    change: Callable[[Array], Array], opt_state: PyTree, params: PyTree, *, bank: BankPath = "bank"
) -> PyTree:
    """Changes what an optimizer keeps for the bank.

    Args:
        change: of one leaf, node axis last; static.
        opt_state: any optax state; moments are found by the bank's name in their path, and in
            vectors as long as all parameters by their place. Traced.
        params: parameters, for their shapes and their places in such vectors, traced.
        bank: see ``bank_capacity``, static.

    Returns:
        The new state. Numbers that belong to inputs of the bank, as in factored moments, stay.

    Raises:
        ValueError: see ``has_columns``.

    Example:
        >>> import jax.numpy as jnp
        >>> params = {"bank": jnp.zeros(2), "head": jnp.zeros(2)}
        >>> map_bank_of_state(jnp.flip, (jnp.arange(4.0),), params)[0].tolist()
        [1.0, 0.0, 2.0, 3.0]
    """
    flat, unravel = ravel_pytree(params)

    def changed(path: tuple[Any, ...], leaf: Any) -> Any:
        if jnp.shape(leaf) != flat.shape or in_bank(path, bank):
            return leaf
        tree = map_bank(change, unravel(leaf.astype(flat.dtype)), bank=bank)
        return ravel_pytree(tree)[0].astype(leaf.dtype)

    banks = bank_shapes(params, lambda path: in_bank(path, bank))

    def changed_in_place(path: tuple[Any, ...], leaf: Any) -> Any:
        if not in_bank(path, bank) or not has_columns(path, jnp.shape(leaf), banks):
            return leaf
        return change(leaf)

    state = jax.tree_util.tree_map_with_path(changed, opt_state)
    return jax.tree_util.tree_map_with_path(changed_in_place, state)


def in_bank(path: tuple[Any, ...], bank: BankPath) -> bool:
    """Whether the path of a leaf lies in the bank."""
    if callable(bank):
        return bank(path)
    for entry in path:
        for attribute in ("key", "name"):  # DictKey, FlattenedIndexKey; GetAttrKey
            if getattr(entry, attribute, None) == bank:
                return True
    return False

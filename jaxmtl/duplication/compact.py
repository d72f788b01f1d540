"""The network without its spare columns, for saving and counting."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, PyTree

from jaxmtl._validate import is_concrete
from jaxmtl.duplication.columns import BankPath, bank_capacity, in_bank
from jaxmtl.duplication.head_index import HeadIndex, check_head_index


def compact(
    params: PyTree, head_index: HeadIndex, *, bank: BankPath = "bank"
) -> tuple[PyTree, HeadIndex]:
    """Drops the columns that no head reads, for saving and counting. Not for use under ``jit``.

    Args:
        params: any pytree with a bank, concrete.
        head_index: concrete.
        bank: see ``bank_capacity``.

    Returns:
        Parameters whose bank has only the columns in use, in their old order, and the head index
        renumbered to match. Predictions do not change.

    Raises:
        ValueError: the index does not fit the bank, or is traced.

    Example:
        >>> import jax.numpy as jnp
        >>> params, index = compact({"bank": jnp.arange(4.0)}, jnp.array([[3, 1], [0, 1]]))
        >>> params["bank"].tolist(), index.tolist()
        ([0.0, 1.0, 3.0], [[2, 1], [0, 1]])
    """
    used, columns = _columns_in_use(params, head_index, bank)

    def kept(path: tuple[Any, ...], leaf: Any) -> Any:
        return leaf[..., used] if in_bank(path, bank) and len(used) < columns else leaf

    renumbered = np.searchsorted(used, np.asarray(head_index)).astype(np.int32)
    return jax.tree_util.tree_map_with_path(kept, params), jnp.asarray(renumbered)


def count_parameters(
    params: PyTree, head_index: HeadIndex | None = None, *, bank: BankPath = "bank"
) -> int:
    """Number of parameters in use: columns that no head reads do not count.

    Args:
        params: any pytree.
        head_index: concrete; None for a network without a bank.
        bank: see ``bank_capacity``.

    Returns:
        The number of scalars.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmtl.duplication import initial_head_index
        >>> params = {"bank": jnp.zeros((2, 6)), "out": jnp.zeros(3)}
        >>> count_parameters(params, initial_head_index(2, 3))
        9
    """
    used, columns = (), 1
    if head_index is not None:
        used, columns = _columns_in_use(params, head_index, bank)
    found = 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        size = int(np.prod(jnp.shape(leaf)))
        in_use = head_index is not None and in_bank(path, bank)
        found += size // columns * len(used) if in_use else size
    return found


def _columns_in_use(
    params: PyTree, head_index: HeadIndex, bank: BankPath
) -> tuple[Int[np.ndarray, " used"], int]:
    """The columns that a head reads, and the number of all."""
    if not is_concrete(head_index):
        raise ValueError(
            "compact: expected a concrete head_index, got a traced one; call it outside jit"
        )
    columns = bank_capacity(params, bank=bank)
    check_head_index(head_index, columns)
    return np.unique(np.asarray(head_index)), columns

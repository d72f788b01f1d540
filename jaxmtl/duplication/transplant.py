"""Optimizer state across a duplication."""

from collections.abc import Callable
from typing import Literal

from jaxtyping import ArrayLike, Int, PyTree

from jaxmtl._validate import check_choice
from jaxmtl.duplication.columns import BankPath, column_copier, map_bank_of_state

Transplant = Literal["fresh", "copy"]


def transplant(
    opt_state: PyTree,
    params: PyTree,
    node: Int[ArrayLike, ""],
    copy: Int[ArrayLike, ""],
    mode: Transplant,
    *,
    init: Callable[[PyTree], PyTree] | None = None,
    bank: BankPath = "bank",
) -> PyTree:
    """Optimizer state after a duplication.

    ``"fresh"`` (the study) starts the optimizer anew. ``"copy"`` gives the copy its original's
    moments, so both go on as the one node did; what an optimizer keeps for an input of the bank
    (factored moments, as of Adafactor and SM3) stays. Padding the copy's moments with zeros under a
    global step count is not offered: Adam's bias correction is spent, and its first step on the
    copy would be 3.2 times the learning rate.

    Args:
        opt_state: any optax state; moments are found by the bank's name in their path, and in
            states of ``optax.flatten`` (vectors as long as all parameters) by their place. Traced.
        params: parameters, for the places in flat states, traced.
        node: the duplicated column, traced.
        copy: the column of its copy, traced.
        mode: ``"fresh"`` or ``"copy"``, static.
        init: ``optimizer.init``, needed for ``"fresh"`` only.
        bank: see ``bank_capacity``, static.

    Returns:
        A state of the same structure.

    Raises:
        ValueError: an unknown mode, ``"fresh"`` without ``init``, or ``"copy"`` of a state in which
            columns cannot be told, such as the projections of GaLore.

    Example:
        >>> import jax.numpy as jnp
        >>> import optax
        >>> params = {"bank": jnp.array([1.0, 2.0, 0.0])}
        >>> state = optax.TraceState(trace={"bank": jnp.array([3.0, 4.0, 0.0])})
        >>> transplant(state, params, 0, 2, "copy").trace["bank"].tolist()
        [3.0, 4.0, 3.0]
    """
    check_choice("mode", mode, ("fresh", "copy"))
    if mode == "fresh":
        if init is None:
            raise ValueError('transplant: expected init=optimizer.init for mode "fresh", got None')
        return init(params)
    return map_bank_of_state(column_copier(node, copy), opt_state, params, bank=bank)

"""The key of a step, for its loss and its method."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from jaxmtl.gradients.features import SplitLoss, key_parameters
from jaxmtl.gradients.loss import LossFn, parameters_of


class StepKeys(NamedTuple):
    """Who draws from what.

    Attributes:
        loss: keyword arguments of the loss: its key, or none.
        method: the key of the method; None without.
    """

    loss: dict[str, Key[Array, ""]]
    method: Key[Array, ""] | None


def step_keys(
    loss_fn: LossFn, args: Sequence[Any], state: Any, key: Key[Array, ""] | None
) -> StepKeys:
    """The keys of one step: that given, or one folded from the state's, split if the loss has one.

    Args:
        loss_fn: gets a key if it, or a part of a ``SplitLoss``, has a parameter ``key``.
        args: of the loss, after parameters and batch.
        state: with ``key`` and ``number``.
        key: for this step; None for the state's.

    Returns:
        Both keys; a method that draws is refused if there is none.

    Raises:
        ValueError: the loss cannot do without a key and there is none.

    Example:
        >>> import types
        >>> state = types.SimpleNamespace(key=None, number=0)
        >>> keys = step_keys(lambda params, batch: 0.0, (), state, jax.random.key(0))
        >>> keys.loss, keys.method == jax.random.key(0)
        ({}, Array(True, dtype=bool))
    """
    if key is None and state.key is not None:
        key = jax.random.fold_in(state.key, state.number)
    wanted = key_parameters(loss_fn, args)
    if not wanted:
        return StepKeys({}, key)
    if key is None:
        if any(parameter.default is parameter.empty for parameter in wanted):
            raise ValueError(
                "loss_fn: expected a jax.random.key for its argument key, got None: pass "
                "step(..., key=...), or init(params, batch, key=...) once for all steps"
            )
        return StepKeys({}, None)
    of_loss, of_method = jax.random.split(key)
    return StepKeys({"key": of_loss}, of_method)


def another_pass(keys: StepKeys, number: int) -> dict[str, Key[Array, ""]]:
    """The loss's keyword arguments for a further batch: another key.

    Example:
        >>> another_pass(StepKeys({}, None), 1)
        {}
    """
    return {name: jax.random.fold_in(key, number) for name, key in keys.loss.items()}


def for_shapes(
    loss_fn: LossFn, args: Sequence[Any], key: Key[Array, ""] | None
) -> dict[str, Key[Array, ""]]:
    """Keyword arguments of a loss whose shapes alone are asked for: nothing is drawn.

    Example:
        >>> list(for_shapes(lambda params, batch, key: 0.0, (), None))
        ['key']
        >>> list(for_shapes(lambda params, batch, key=None: 0.0, (), None))
        []
    """
    wanted = key_parameters(loss_fn, args)
    needed = any(parameter.default is parameter.empty for parameter in wanted)
    return {"key": jax.random.key(0)} if needed or (wanted and key is not None) else {}


def key_apart(
    loss_fn: LossFn, args: tuple[Any, ...], key: Key[Array, ""] | None
) -> tuple[tuple[Any, ...], Key[Array, ""] | None]:
    """Arguments and key of ``init(params, batch, key)``, where the loss takes no third argument.

    Example:
        >>> key_apart(lambda params, batch: 0.0, (jax.random.key(0),), None)[0]
        ()
        >>> len(key_apart(lambda params, batch, stats: 0.0, (jax.random.key(0),), None)[0])
        1
    """
    if key is not None or len(args) != 1 or not _is_key(args[0]):
        return args, key
    called = loss_fn.trunk if isinstance(loss_fn, SplitLoss) else loss_fn
    by_position = [
        name
        for name, parameter in parameters_of(called).items()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        or parameter.kind is parameter.VAR_POSITIONAL
    ]
    return ((), args[0]) if by_position[2:3] in ([], ["key"]) else (args, key)


def _is_key(value: Any) -> bool:
    dtype = getattr(value, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key) and not value.shape

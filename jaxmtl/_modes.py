"""What has to be done so that JAX's stricter modes can be switched on around this package."""

import functools
import re
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
import optax
from jaxtyping import PyTree

P = ParamSpec("P")
T = TypeVar("T")


def own_transfers(function: Callable[P, T]) -> Callable[P, T]:
    """The function, free to move numbers between host and device.

    For what stands before or around compiled programs: a start's constants, rows, progress. Under
    ``jax.transfer_guard("disallow")`` every number of Python that an operation outside of ``jit``
    takes would be refused; the guard is meant for transfers that nobody intended.

    Args:
        function: of anything.

    Returns:
        The same function.

    Example:
        >>> import jax.numpy as jnp
        >>> with jax.transfer_guard("disallow"):
        ...     own_transfers(jnp.zeros)(2).shape
        (2,)
    """

    @functools.wraps(function)
    def free(*args: P.args, **kwargs: P.kwargs) -> T:
        with jax.transfer_guard("allow"):
            return function(*args, **kwargs)

    return free


def take_step(
    optimizer: optax.GradientTransformation, grads: PyTree, state: Any, params: PyTree
) -> tuple[PyTree, Any]:
    """Parameters and state after an optimizer's update.

    optax multiplies integers by floating-point numbers, so that its updates are traced under the
    standard type promotion whatever the mode.

    Args:
        optimizer: static.
        grads: traced.
        state: of the optimizer, traced.
        params: traced.

    Returns:
        The new parameters, the new state.

    Raises:
        ValueError: an optimizer that asks for more than gradients and parameters.

    Example:
        >>> optimizer = optax.sgd(0.5)
        >>> float(take_step(optimizer, 1.0, optimizer.init(2.0), 2.0)[0])
        1.5
        >>> plateau = optax.contrib.reduce_on_plateau()
        >>> take_step(plateau, 1.0, plateau.init(2.0), 2.0)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        ValueError: optimizer: expected one that takes gradients and parameters alone, ...
    """
    with jax.numpy_dtype_promotion("standard"):
        try:
            updates, following = optimizer.update(grads, state, params)
        except TypeError as error:
            if "required keyword-only argument" not in str(error):
                raise
            needs = ", ".join(re.findall(r"'(\w+)'", str(error)))
            raise ValueError(
                "optimizer: expected one that takes gradients and parameters alone, got one that "
                f"also needs {needs}: take its updates in a loop of your own"
            ) from error
        return optax.apply_updates(params, updates), following

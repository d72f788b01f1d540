"""What has to be done so that JAX's stricter modes can be switched on around this package."""

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
import optax
from jaxtyping import Array, Float, PyTree

from jaxmtl._words import not_called

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


def check_optimizer(optimizer: Any, name: str = "optimizer") -> None:
    """Refuses what is no optimizer of optax.

    Raises:
        ValueError: it is none.

    Example:
        >>> check_optimizer(optax.sgd(0.1))
        >>> check_optimizer(optax.adam)
        Traceback (most recent call last):
            ...
        ValueError: optimizer: expected one of optax, got the function adam: call it, adam(...)
    """
    if callable(getattr(optimizer, "init", None)) and callable(getattr(optimizer, "update", None)):
        return
    called = not_called(optimizer, "...")
    if called is not None:
        raise ValueError(f"{name}: expected one of optax, got {called[0]}: {called[1]}")
    raise ValueError(
        f"{name}: expected one of optax, a pair init and update, got {type(optimizer).__name__}: "
        "pass optax.adam(1e-3), say"
    )


def check_factory(optimizer: Any, name: str = "optimizer") -> None:
    """Refuses what makes no optimizer of a learning rate.

    Raises:
        ValueError: it does not.

    Example:
        >>> check_factory(optax.adam)
        >>> check_factory(optax.adam(0.1))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        ValueError: optimizer: expected a function of the learning rate, such as optax.adam, got ...
    """
    if not callable(optimizer):
        made = callable(getattr(optimizer, "init", None))
        raise ValueError(
            f"{name}: expected a function of the learning rate, such as optax.adam, got "
            f"{'an optimizer' if made else type(optimizer).__name__}: pass lambda rate: ..., or "
            "optax.adam itself and its rate beside it"
        )
    check_optimizer(optimizer(0.1), name)


def take_step(
    optimizer: optax.GradientTransformation,
    grads: PyTree,
    state: Any,
    params: PyTree,
    *,
    value: Float[Array, ""] | None = None,
    value_fn: Callable[[PyTree], Float[Array, ""]] | None = None,
    no_function: str | None = None,
) -> tuple[PyTree, Any]:
    """Parameters and state after an optimizer's update.

    optax multiplies integers by floating-point numbers, so that its updates are traced under the
    standard type promotion whatever the mode. What optimizers may want beside gradients they are
    given by the names that optax has for it: ``value``, ``grad``, ``value_fn``, and the ``grad_fn``
    of ``optax.contrib.sam``.

    Args:
        optimizer: static.
        grads: traced.
        state: of the optimizer, traced.
        params: traced.
        value: the loss that belongs to the gradients, traced; None where there is none.
        value_fn: the loss as a function of the parameters, of which ``grads`` is the gradient; None
            where the direction is the gradient of no function.
        no_function: what is said of an optimizer that needs one where there is none, with ``{}``
            for what it needs; None for the words of a step by an aggregator.

    Returns:
        The new parameters, the new state.

    Raises:
        ValueError: an optimizer that asks for more than there is, or is none.

    Example:
        >>> optimizer = optax.sgd(0.5)
        >>> float(take_step(optimizer, 1.0, optimizer.init(2.0), 2.0)[0])
        1.5
        >>> polyak = optax.polyak_sgd()  # a step of value / |grad|^2
        >>> float(take_step(polyak, 2.0, polyak.init(2.0), 2.0, value=3.0)[0])
        0.5
        >>> take_step(polyak, 1.0, polyak.init(2.0), 2.0)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        ValueError: optimizer: expected one that takes gradients and parameters alone, ...
    """
    check_optimizer(optimizer)
    no_function = no_function or _NO_FUNCTION
    extra: dict[str, Any] = {}
    if _climbs(state):  # what it does not take it refuses
        if value_fn is not None:
            gradient = jax.grad(value_fn)
            extra = {"grad_fn": lambda params, number: gradient(params)}
        elif value is not None:
            raise ValueError(no_function.format("gradients elsewhere"))
    else:
        given = {"value": value, "grad": None if value is None else grads, "value_fn": value_fn}
        extra = {name: what for name, what in given.items() if what is not None}
    with jax.numpy_dtype_promotion("standard"):
        try:
            updates, following = optimizer.update(grads, state, params, **_wanted(optimizer, extra))
        except TypeError as error:
            missing = re.search(r"missing \d+ required .* arguments?: (.*)", str(error))
            if missing is None:
                raise
            needs = re.findall(r"'(\w+)'", missing[1])
            if value is not None and needs == ["value_fn"]:
                raise ValueError(no_function.format(", ".join(needs))) from error
            raise ValueError(
                "optimizer: expected one that takes gradients and parameters alone, got one that "
                f"also needs {', '.join(needs)}: take its updates in a loop of your own"
            ) from error
        return optax.apply_updates(params, updates), following


_NO_FUNCTION = (
    "optimizer: expected one that goes along the direction it is given, got one that also needs "
    "{}: combined task gradients are the gradient of no function that could be looked at elsewhere "
    "(a line search, sam); take a loss method, for steps scalarized_step, or an optimizer without, "
    "as optax.lbfgs(linesearch=None)"
)


def _climbs(state: Any) -> bool:
    """Whether it is a state of SAM, whose gradients are taken where a loss is larger."""
    sam = optax.contrib.SAMState
    leaves = jax.tree.leaves(state, is_leaf=lambda part: isinstance(part, sam))
    return any(isinstance(leaf, sam) for leaf in leaves)


def _wanted(optimizer: optax.GradientTransformation, extra: dict[str, Any]) -> dict[str, Any]:
    """Of what may be passed on, what the optimizer takes."""
    if not isinstance(optimizer, optax.GradientTransformationExtraArgs):
        return {}
    parameters = inspect.signature(optimizer.update).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return extra
    return {name: value for name, value in extra.items() if name in parameters}

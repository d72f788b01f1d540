"""Settings of methods: numbers that may be traced, and which of a factory's arguments they are."""

import inspect
import typing
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

Real = float | Float[Array, ""]
"""A number of Python, or one that JAX traces: it may be mapped over and differentiated."""

Reals = Float[Array, " tasks"] | Sequence[float]
"""One number a task, which may be traced."""


def in_type(value: Any, dtype: Any) -> Any:
    """A setting in the type of the numbers that it meets.

    Args:
        value: a number of Python, which takes any type by itself and stays as it is, or an array.
        dtype: of those numbers.

    Returns:
        The setting; arrays in that type, so that a state keeps its own.

    Example:
        >>> in_type(0.5, jnp.float32), in_type(jnp.ones((), jnp.bfloat16), jnp.float32).dtype
        (0.5, dtype('float32'))
    """
    return value if type(value) in (int, float) else jnp.asarray(value, dtype)


def real_settings(factory: Callable[..., Any]) -> tuple[str, ...]:
    """The settings of a method that are real numbers, one or one a task, and so may be traced.

    Args:
        factory: of an aggregator or loss method.

    Returns:
        Names of arguments.

    Example:
        >>> import jaxmtl.aggregation as ag
        >>> real_settings(ag.cagrad), real_settings(ag.krum)
        (('c', 'preferences'), ())
    """
    parameters = inspect.signature(factory).parameters.values()
    return tuple(parameter.name for parameter in parameters if _has_float(parameter.annotation))


def _has_float(annotation: Any) -> bool:
    return annotation is float or any(map(_has_float, typing.get_args(annotation)))

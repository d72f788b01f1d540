"""Checks of arguments that fail at once, in one sentence."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.core
import numpy as np


def check_choice(name: str, value: Any, choices: Sequence[Any]) -> None:
    """Raises ValueError unless ``value`` is one of ``choices``; choices are static."""
    check_static(name, value)
    if not isinstance(value, str | bool | int | float | None) or value not in choices:
        listed = ", ".join(repr(c) for c in choices)
        raise ValueError(f"{name}: expected one of {listed}, got {value!r}")


def check_positive(name: str, value: Any, *, zero: bool = False) -> None:
    """Raises ValueError unless ``value`` is traced or > 0 (with ``zero``: >= 0)."""
    wanted = f"a number {'>= 0' if zero else '> 0'}"
    _check_numbers(name, value, wanted, lambda number: number >= 0 if zero else number > 0)


def check_within(name: str, value: Any, low: float, high: float, *, open_end: bool = False) -> None:
    """Raises ValueError unless low <= value <= high (< with ``open_end``), or it is traced."""
    wanted = f"a number in [{low:g}, {high:g}{')' if open_end else ']'}"
    _check_numbers(
        name,
        value,
        wanted,
        lambda number: (low <= number) & (number < high if open_end else number <= high),
    )


def check_count(name: str, value: Any, *, zero: bool = False) -> None:
    """Raises ValueError unless ``value`` is a whole number above 0 (or 0), known now."""
    check_static(name, value)
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"{name}: expected a whole number, got {value!r}")
    check_positive(name, value, zero=zero)


def check_static(name: str, value: Any) -> None:
    """Raises ValueError for a traced value where the program itself depends on it."""
    if not is_concrete(value):
        raise ValueError(
            f"{name}: expected a value that is known when the program is made, got a traced one: "
            "it is static and cannot be mapped over, differentiated or an argument of jit"
        )


def is_concrete(*values: Any) -> bool:
    """Whether every value is known now, so that Python may look at it."""
    return not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values))


def _check_numbers(name: str, value: Any, wanted: str, good: Callable[[Any], Any]) -> None:
    if not is_concrete(value):
        return
    # In NumPy: inside of jit, even the comparison of a known JAX array would be traced.
    number = value if isinstance(value, int | float) else np.asarray(value)
    if np.asarray(number).dtype.kind not in "biuf" or not np.all(good(number)):
        raise ValueError(f"{name}: expected {wanted}, got {value!r}")

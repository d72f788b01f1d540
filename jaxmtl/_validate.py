"""Checks of arguments that fail at once, in one sentence."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.core


def check_choice(name: str, value: Any, choices: Sequence[Any]) -> None:
    """Raises ValueError unless ``value`` is one of ``choices``."""
    if value not in choices:
        listed = ", ".join(repr(c) for c in choices)
        raise ValueError(f"{name}: expected one of {listed}, got {value!r}")


def check_positive(name: str, value: float, *, zero: bool = False) -> None:
    """Raises ValueError unless ``value`` is above 0 (or, with ``zero``, not below it)."""
    if not (value >= 0 if zero else value > 0):
        raise ValueError(f"{name}: expected a number {'>= 0' if zero else '> 0'}, got {value!r}")


def is_concrete(*values: Any) -> bool:
    """Whether every value is known now, so that Python may look at it."""
    return not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values))

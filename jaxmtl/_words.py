"""Ends of sentences about what was given and is not there."""

import difflib
import inspect
from collections.abc import Collection
from typing import Any

LONGEST = 80  # characters of a wrong value that an error repeats


def did_you_mean(name: str, known: Collection[str]) -> str:
    """The end of a sentence about a name that there is not.

    Args:
        name: as it was given.
        known: those that there are.

    Returns:
        The nearest name in brackets; empty if none is near.

    Example:
        >>> did_you_mean("nodse", ["nodes", "towers"])
        " (did you mean 'nodes'?)"
    """
    near = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def short(value: Any) -> str:
    """A value as Python writes it, shortened to a length that a sentence bears.

    Args:
        value: that was given.

    Returns:
        Its beginning.

    Example:
        >>> short("a" * 1000)[-5:]
        'aa...'
    """
    text = repr(value)
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."


def not_called(value: Any, arguments: str = "") -> tuple[str, str] | None:
    """What is said of a function or class that was given in place of what it returns.

    Args:
        value: that was given.
        arguments: as they stand between the brackets of a call.

    Returns:
        What it is, and what to write; None of what is neither.

    Example:
        >>> not_called(about, "...")
        ('the function about', 'call it, about(...)')
        >>> not_called(3) is None
        True
    """
    if not (inspect.isroutine(value) or inspect.isclass(value)):
        return None
    kind = "class" if inspect.isclass(value) else "function"
    name = getattr(value, "__name__", "f")
    return f"the {kind} {name}", f"call it, {name}({arguments})"


def kind_of(value: Any) -> str:
    """What a value is, without the names that libraries give to arrays and functions within.

    Args:
        value: that was given.

    Returns:
        A few words.

    Example:
        >>> import numpy as np
        >>> kind_of(about), kind_of(np.ones(2)), kind_of(3)
        ('the function about', 'an array of shape (2,)', 'int')
    """
    if inspect.isclass(value):
        return f"the class {value.__name__}"
    if callable(value) and hasattr(value, "__name__"):
        return f"the function {value.__name__}"
    shape: Any = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"an array of shape {tuple(shape)}"


def about(seconds: float) -> str:
    """A time without more digits than an estimate has.

    Args:
        seconds: of any length.

    Returns:
        In seconds, minutes or hours.

    Example:
        >>> about(40), about(700), about(6000)
        ('40 s', '12 min', '1 h 40 min')
    """
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    tens = round(minutes / 10) * 10
    return f"{tens // 60} h" + (f" {tens % 60} min" if tens % 60 else "")

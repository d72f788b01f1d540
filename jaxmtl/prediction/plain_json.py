"""JSON from anywhere: numbers that are finite, and not too deep."""

import json
import math
from typing import Any

DEEPEST = 50


def parse_json(text: str | bytes) -> Any:
    """Reads JSON.

    Args:
        text: of a file.

    Returns:
        What it says.

    Raises:
        ValueError: it is no JSON, has a number that is not finite, or is nested too deeply.

    Example:
        >>> parse_json('{"a": NaN}')
        Traceback (most recent call last):
            ...
        ValueError: expected finite numbers, got NaN
    """
    try:
        found = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError(f"expected at most {DEEPEST} levels, got more") from None
    _check(found)
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"expected finite numbers, got {constant}")


def _check(value: Any) -> None:
    """Level by level, so that depth costs no stack."""
    level, depth = [value], 0
    while level:
        if depth > DEEPEST:
            raise ValueError(f"expected at most {DEEPEST} levels, got more")
        for item in level:
            if isinstance(item, float) and not math.isfinite(item):
                raise ValueError(f"expected finite numbers, got {item}")
        level = [
            part
            for item in level
            if isinstance(item, dict | list)
            for part in (item.values() if isinstance(item, dict) else item)
        ]
        depth += 1

"""What a coding must look like to be applied, however it was edited."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxmtl._words import short

FORM = 2  # of the codings that this version writes and reads; 1 bent its numbers
_DATE_PARTS = ("year", "season", "weekday", "hour")
_FIELDS = {
    "number": ("missing", "low", "high", "center", "scale", "grid"),
    "category": ("missing", "levels", "coded"),
    "date": ("missing", "low", "high", "center", "scale", "parts", "order"),
}
_ORDERS = ("ymd", "dmy", "mdy")


def check_coding(coding: Any) -> None:
    """Raises ValueError, in one sentence, unless ``encode`` can work with a coding.

    Example:
        >>> check_coding({"form": 2, "columns": [], "tasks": []})
        Traceback (most recent call last):
            ...
        ValueError: coding: expected at least one column and one task, got [] and []
    """
    if not isinstance(coding, Mapping) or set(coding) != {"form", "columns", "tasks"}:
        raise ValueError(f"coding: expected the fields form, columns, tasks, got {short(coding)}")
    if coding["form"] != FORM or isinstance(coding["form"], bool):
        raise ValueError(f"coding: expected form {FORM}, got {short(coding['form'])}")
    columns, tasks = coding["columns"], coding["tasks"]
    if not all(isinstance(one, list) and one for one in (columns, tasks)):
        raise ValueError(
            f"coding: expected at least one column and one task, got {short(columns)} and "
            f"{short(tasks)}"
        )
    for column in columns:
        _check_column(column)
    names = [column["name"] for column in columns]
    if len(set(names)) < len(names):
        raise ValueError(f"coding: expected each column once, got {short(names)}")


def _check_column(column: Any) -> None:
    if not isinstance(column, Mapping):
        raise ValueError(f"coding: expected the fields of a column, got {short(column)}")
    name, kind = column.get("name"), column.get("kind")
    if not isinstance(name, str) or not name:
        raise ValueError(f"coding: expected a text as the name of a column, got {short(name)}")
    where = f"coding, column {name!r}"
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise ValueError(f"{where}: expected a kind of {', '.join(_FIELDS)}, got {short(kind)}")
    for field in column:
        if field not in ("name", "kind", *_FIELDS[kind]):
            raise ValueError(f"{where}: expected no field {short(field)}, got one")
    for field in _FIELDS[kind]:
        if field not in column:
            raise ValueError(f"{where}: expected a field {field!r}, got none")
        expected, fits = _RULES[field]
        if not fits(column[field]):
            raise ValueError(
                f"{where}: expected {expected} for {field}, got {short(column[field])}"
            )


def _are_texts(value: Any) -> bool:
    texts = isinstance(value, list) and all(isinstance(one, str) and one for one in value)
    return texts and len(set(value)) == len(value)


def _are_parts(value: Any) -> bool:
    listed = isinstance(value, list) and all(
        isinstance(part, str) and part in _DATE_PARTS for part in value
    )
    return listed and len(set(value)) == len(value)


def _is_grid(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, list) or [isinstance(one, list) for one in value] != [True, True]:
        return False
    numbers = all(_is_finite(number) for one in value for number in one)
    return numbers and len(value[0]) == len(value[1]) > 0 and bool((np.diff(value[0]) > 0).all())


def _is_finite(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


# What stands in a field, and whether it does.
_RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "missing": ("true or false", lambda value: isinstance(value, bool)),
    "levels": ("texts, each once,", _are_texts),
    "coded": (
        "levels, ranks or code",
        lambda value: value in ("levels", "ranks", "code"),
    ),
    "parts": (f"some of {', '.join(_DATE_PARTS)}, each once,", _are_parts),
    "order": (f"one of {', '.join(map(str, _ORDERS))}", lambda value: value in _ORDERS),
    "grid": ("null or two lists of numbers, the first of rising ones,", _is_grid),
    **dict.fromkeys(("low", "high", "center", "scale"), ("a finite number", _is_finite)),
}

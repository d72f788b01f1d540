"""What a coding must look like to be applied, however it was edited."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

FORM = 2  # of the codings that this version writes and reads; 1 bent its numbers
_DATE_PARTS = ("year", "season", "weekday", "hour")
_FIELDS = {
    "number": {"missing", "low", "high", "center", "scale", "grid"},
    "category": {"missing", "levels", "coded"},
    "date": {"missing", "low", "high", "center", "scale", "parts", "order"},
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
        raise ValueError(f"coding: expected the fields form, columns, tasks, got {_short(coding)}")
    if coding["form"] != FORM or isinstance(coding["form"], bool):
        raise ValueError(f"coding: expected form {FORM}, got {_short(coding['form'])}")
    columns, tasks = coding["columns"], coding["tasks"]
    if not all(isinstance(one, list) and one for one in (columns, tasks)):
        raise ValueError(
            f"coding: expected at least one column and one task, got {_short(columns)} and "
            f"{_short(tasks)}"
        )
    for column in columns:
        if not isinstance(column, Mapping) or not _is_column(column):
            raise ValueError(f"coding: expected a coded column, got {_short(column)}")
    names = [column["name"] for column in columns]
    if len(set(names)) < len(names):
        raise ValueError(f"coding: expected each column once, got {_short(names)}")


def _is_column(column: Mapping[str, Any]) -> bool:
    name, kind = column.get("name"), column.get("kind")
    fields = _FIELDS.get(kind) if isinstance(kind, str) else None
    if not isinstance(name, str) or not name or fields is None:
        return False
    if set(column) != {"name", "kind", *fields} or not isinstance(column["missing"], bool):
        return False
    if kind == "category":
        levels = column["levels"]
        texts = isinstance(levels, list) and all(isinstance(one, str) and one for one in levels)
        return texts and len(set(levels)) == len(levels) and column["coded"] in ("levels", "code")
    if not all(_is_finite(column[name]) for name in ("low", "high", "center", "scale")):
        return False
    if kind == "date":
        parts = column["parts"]
        listed = isinstance(parts, list) and all(part in _DATE_PARTS for part in parts)
        return listed and len(set(parts)) == len(parts) and column["order"] in _ORDERS
    grid = column["grid"]
    if grid is None:
        return True
    if not isinstance(grid, list) or [isinstance(one, list) for one in grid] != [True, True]:
        return False
    numbers = all(_is_finite(value) for one in grid for value in one)
    return numbers and len(grid[0]) == len(grid[1]) > 0 and bool((np.diff(grid[0]) > 0).all())


def _is_finite(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

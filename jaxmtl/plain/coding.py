"""From columns of a table to coded features, and from outputs to predictions."""

import datetime
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

_DAY = 86400.0
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_NUMBER = re.compile(r"[+-]?(0|[1-9]\d*)(\.\d+)?", re.ASCII)
_LARGEST = 1e15  # of a scaled number: its square is one in float32, too
_LONGEST = 30  # digits of a number that is a level
_CLASSES = ("classes", "ordered")


class CodedPart(NamedTuple):
    """One column of coded features.

    Attributes:
        column: of the table from which it was made.
        role: "number"; "level" for 0 or 1; "code" for the number of a level.
        size: levels of a code, that of levels not met before among them; 1 for others.
        label: of the coded feature.

    Example:
        >>> CodedPart("city", "level", 1, "city = A").label
        'city = A'
    """

    column: str
    role: str
    size: int
    label: str


class Coded(NamedTuple):
    """Coded features, and what was odd about their rows.

    Attributes:
        x: (rows, features) in float32.
        missing: (rows, columns) where nothing is known.
        unknown: (rows, columns) where a category holds a level that was not met before.
        outside: (rows, columns) where a number or a date lies beyond all that were met before.

    Example:
        >>> Coded._fields
        ('x', 'missing', 'unknown', 'outside')
    """

    x: np.ndarray
    missing: np.ndarray
    unknown: np.ndarray
    outside: np.ndarray


def level_text(cell: Any) -> str | None:
    """The level that a cell of a category means, however it is stored; None where it is missing.

    Args:
        cell: a text, a number, a truth value, or None.

    Returns:
        2015 for 2015, 2015.0 and "2015"; TRUE and FALSE for truth values.

    Example:
        >>> level_text(3.0), level_text(" True "), level_text("007"), level_text(float("nan"))
        ('3', 'TRUE', '007', None)
    """
    if cell is None:
        return None
    if isinstance(cell, bool | np.bool_):
        return str(bool(cell)).upper()
    if isinstance(cell, str):
        text = " ".join(cell.split())
        if text.casefold() in ("true", "false"):
            return text.upper()
        if len(text) > _LONGEST or not _NUMBER.fullmatch(text):
            return text or None
        cell = float(text) if "." in text else int(text)
    if isinstance(cell, int | float | np.integer | np.floating):
        if not math.isfinite(cell):
            return None
        return str(int(cell)) if cell == int(cell) else repr(float(cell))
    return str(cell)


def parts_of(coding: Mapping[str, Any]) -> list[CodedPart]:
    """What the columns of the coded features are.

    Args:
        coding: as it is saved.

    Example:
        >>> column = {"name": "city", "kind": "category", "levels": ["A", "B"], "missing": True,
        ...           "coded": "levels"}
        >>> [part.label for part in parts_of({"columns": [column]})]
        ['city = A', 'city = B', 'city missing']
    """
    parts = []
    for column in coding["columns"]:
        name, kind = column["name"], column["kind"]
        if kind == "number":
            parts.append(CodedPart(name, "number", 1, name))
        elif kind == "date":
            for part in column["parts"]:
                parts += _date_labels(name, part)
        elif column["coded"] == "code":
            parts.append(CodedPart(name, "code", len(column["levels"]) + 2, name))
            continue
        else:
            if column["coded"] == "ranks":
                parts.append(CodedPart(name, "number", 1, name))
            parts += [
                CodedPart(name, "level", 1, f"{name} = {level}") for level in column["levels"]
            ]
        if column["missing"]:
            parts.append(CodedPart(name, "level", 1, f"{name} missing"))
    return parts


def _date_labels(name: str, part: str) -> list[CodedPart]:
    if part == "year":
        return [CodedPart(name, "number", 1, f"{name} year")]
    if part == "weekday":
        return [CodedPart(name, "level", 1, f"{name} {day}") for day in _WEEKDAYS]
    return [CodedPart(name, "number", 1, f"{name} {part} {wave}") for wave in ("sine", "cosine")]


def encode(coding: Mapping[str, Any], columns: Mapping[str, Sequence[Any]]) -> Coded:
    """From columns of values to coded features.

    Args:
        coding: as it is saved.
        columns: by name, of equal length: numbers; texts, whole numbers or truth values; dates as
            ``datetime``, ISO texts or seconds since 1970. None and NaN where missing.

    Returns:
        The features, and what was odd about their rows.

    Raises:
        ValueError: a column is not there, or a value is none of its kind.

    Example:
        >>> column = {"name": "CO", "kind": "number", "missing": False, "low": 0.0, "high": 2.0,
        ...           "center": 1.0, "scale": 1.0, "grid": None}
        >>> coded = encode({"columns": [column]}, {"CO": [1.0, 9.0]})
        >>> [f"{value:.3f}" for value in coded.x[:, 0]], coded.outside.tolist()
        (['0.000', '8.000'], [[False], [True]])
    """
    blocks, marks = [], []
    for column in coding["columns"]:
        name = column["name"]
        if name not in columns:
            raise ValueError(f"columns: expected {name!r} among them, got {', '.join(columns)}")
        block, *odd = _CODERS[column["kind"]](column, columns[name])
        blocks.append(block)
        marks.append(odd)
    x = np.concatenate(blocks, axis=1, dtype=np.float32)
    return Coded(x, *(np.stack(one, axis=1) for one in zip(*marks, strict=True)))


def _code_number(column: Mapping[str, Any], values: Any) -> tuple[np.ndarray, ...]:
    x = _floats(column["name"], values)
    gap = np.isnan(x)
    coded = np.where(gap, 0, scaled(x, column))[:, None]
    return _flagged(column, coded, gap), gap, np.zeros_like(gap), _beyond(column, x)


def _code_date(column: Mapping[str, Any], values: Any) -> tuple[np.ndarray, ...]:
    seconds = _seconds(column["name"], values)
    gap = np.isnan(seconds)
    found = date_features(np.where(gap, 0.0, seconds))
    blocks = [
        scaled(found["year"], column) if part == "year" else found[part] for part in column["parts"]
    ]
    coded = np.concatenate([*blocks, np.zeros((len(gap), 0))], axis=1)
    coded[gap] = 0
    return _flagged(column, coded, gap), gap, np.zeros_like(gap), _beyond(column, seconds)


def _code_category(column: Mapping[str, Any], values: Any) -> tuple[np.ndarray, ...]:
    place = {level: i for i, level in enumerate(column["levels"])}
    number = len(place)
    place[None] = number  # the missing level
    known = {value: place.get(level_text(value), number + 1) for value in set(_plain(values))}
    at = np.array([known[value] for value in _plain(values)], int).reshape(-1)
    gap, unknown = at == number, at == number + 1
    if column["coded"] == "code":
        coded = np.where(gap & (not column["missing"]), number + 1, at)[:, None]
    else:
        width = number + bool(column["missing"])
        coded = np.zeros((len(at), width + 2), np.float32)
        coded[np.arange(len(at)), at] = 1
        coded = coded[:, :width]
    if column["coded"] == "ranks":  # from -1 to 1; a level that is not known is in the middle
        ranks = np.append(np.linspace(-1, 1, number), (0, 0)).astype(np.float32)
        coded = np.concatenate([ranks[at][:, None], coded], axis=1)
    return coded, gap, unknown, np.zeros_like(gap)


def _plain(values: Any) -> list[Any]:
    """Values that can be counted: NaN is not itself, and True is 1."""
    listed = values.tolist() if isinstance(values, np.ndarray) else values
    return [
        value if isinstance(value, str) or value is None else level_text(value) for value in listed
    ]


_CODERS = {"number": _code_number, "category": _code_category, "date": _code_date}


def _flagged(column: Mapping[str, Any], coded: np.ndarray, gap: np.ndarray) -> np.ndarray:
    return np.concatenate([coded, gap[:, None]], axis=1) if column["missing"] else coded


def _beyond(column: Mapping[str, Any], x: np.ndarray) -> np.ndarray:
    return (x < column["low"]) | (x > column["high"])


def scaled(x: np.ndarray, column: Mapping[str, Any]) -> np.ndarray:
    """Numbers on a scale of their own: half of them in a range of length 1 about 0.

    Args:
        x: in original units.
        column: "center" and "scale", by which differences from it are multiplied, or "grid": values
            and what they are scaled to.

    Example:
        >>> scaled(np.array([3.0, 5.0]), {"center": 3.0, "scale": 0.0}).tolist()
        [0.0, 0.0]
    """
    if column.get("grid") is not None:
        return np.interp(x, *column["grid"])
    with np.errstate(over="ignore"):
        return np.clip((x - column["center"]) * column["scale"], -_LARGEST, _LARGEST)


def date_features(seconds: np.ndarray) -> dict[str, np.ndarray]:
    """What dates are to a model: year with its fraction, season, weekday, hour.

    Args:
        seconds: since 1970, or since midnight.

    Returns:
        Columns by the name of the part.

    Example:
        >>> found = date_features(np.array([1.5 * 86400]))
        >>> found["year"].round(4).item(), found["weekday"].argmax().item()
        (1970.0041, 4)
    """
    days = np.floor(seconds / _DAY)
    date = days.astype("datetime64[D]")
    year = date.astype("datetime64[Y]")
    first = year.astype("datetime64[D]").astype(float)
    length = (year + np.timedelta64(1, "Y")).astype("datetime64[D]").astype(float) - first
    of_year = (seconds / _DAY - first) / length
    return {
        "year": (year.astype(float) + 1970 + of_year)[:, None],
        "season": _waves(of_year),
        "weekday": np.eye(7)[((days + 3) % 7).astype(int)],
        "hour": _waves(seconds / _DAY - days),
    }


def _waves(turns: np.ndarray) -> np.ndarray:
    return np.stack([np.sin(2 * np.pi * turns), np.cos(2 * np.pi * turns)], axis=1)


def _floats(name: str, values: Any) -> np.ndarray:
    try:
        x = np.array(
            [math.nan if v is None else v for v in values] if _odd(values) else values, float
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"column {name!r}: expected numbers, or None, got {error}") from None
    if np.isinf(x).any():
        raise ValueError(f"column {name!r}: expected finite numbers, got an infinite one")
    return x


def _seconds(name: str, values: Any) -> np.ndarray:
    if not _odd(values):
        return _floats(name, values)
    found = np.full(len(values), math.nan)
    for i, value in enumerate(values):
        if isinstance(value, str):
            try:
                value = datetime.datetime.fromisoformat(value.strip())
            except ValueError as error:
                raise ValueError(f"column {name!r}: expected dates, got {error}") from None
        if isinstance(value, datetime.datetime):
            found[i] = value.replace(tzinfo=datetime.UTC).timestamp()
        elif isinstance(value, datetime.date):
            found[i] = (value - datetime.date(1970, 1, 1)).days * _DAY
        elif value is not None:
            found[i] = value
    return found


def _odd(values: Any) -> bool:
    return not isinstance(values, np.ndarray) or values.dtype == object


def decode(tasks: Sequence[Mapping[str, Any]], outputs: np.ndarray) -> list[np.ndarray]:
    """What outputs predict: numbers, counts of at least 0, and classes.

    Args:
        tasks: as they are saved.
        outputs: (rows, outputs): numbers in original units, probabilities of classes.

    Returns:
        One array a task; of classes the most probable one, of ordered ones the one in the middle,
        which has as much probability below it as above it.

    Example:
        >>> task = {"name": "level", "kind": "ordered", "classes": ["good", "fair", "poor"]}
        >>> decode([task], np.array([[0.4, 0.2, 0.4]]))[0].tolist()
        ['fair']
    """
    found, at = [], 0
    for task in tasks:
        width = len(task["classes"]) or 1
        part, at = outputs[:, at : at + width], at + width
        if task["kind"] not in _CLASSES:
            found.append(np.maximum(part[:, 0], 0) if task["kind"] == "count" else part[:, 0])
            continue
        found.append(np.array(task["classes"], object)[class_numbers(task["kind"], part)])
    return found


def class_numbers(kind: str, probabilities: np.ndarray) -> np.ndarray:
    """Numbers of the predicted classes.

    Args:
        kind: "classes", or "ordered".
        probabilities: (rows, classes).

    Example:
        >>> p = np.array([[0.4, 0.25, 0.35]])
        >>> class_numbers("classes", p).tolist(), class_numbers("ordered", p).tolist()
        ([0], [1])
    """
    if kind == "classes":
        return probabilities.argmax(axis=1)
    total = probabilities.sum(axis=1, keepdims=True)
    # Half, but for the rounding of sums that are half.
    return (probabilities.cumsum(axis=1) >= total * (0.5 - 1e-6)).argmax(axis=1)

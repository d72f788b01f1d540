"""How columns are coded, as a file of a predictor keeps it: names in JSON, numbers as arrays."""

import math
from collections.abc import Collection, Mapping
from typing import Any, get_args

import numpy as np

from jaxmtl._words import short
from jaxmtl.data import Coding, Preprocessing, Scaler
from jaxmtl.data.feature_range import FeatureRange
from jaxmtl.data.reading.grid import LAST_ROW
from jaxmtl.data.reading.tables import Decimal, Thousands
from jaxmtl.methods.saved import check_arrays, check_fields
from jaxmtl.prediction.predictor import Reading
from jaxmtl.tasks import Task

MISSING = ("error", "drop", "mean")
FLOATS = ("float16", "float32", "float64")
LATER = {name: Reading._field_defaults[name] for name in Reading._fields[2:]}
ENDS = ("feature_low", "feature_high")
SCALES = ("feature_offset", "feature_scale", "target_offset", "target_scale")


def describe_coding(coding: Preprocessing | Coding, reading: Reading) -> dict[str, Any]:
    """All but the arrays.

    Args:
        coding: of columns of numbers, or of any kind.
        reading: how tables are read.

    Returns:
        JSON values.

    Example:
        >>> scaler = Scaler(np.zeros(1), np.ones(1))
        >>> coding = Preprocessing(features=("a",), targets=("b",), feature_scaler=scaler,
        ...                        target_scaler=scaler)
        >>> describe_coding(coding, Reading())["dtype"]
        'float32'
    """
    if isinstance(coding, Coding):
        return {"table": coding.to_json(), "reading": _described(reading)}
    return {
        "features": list(coding.features),
        "targets": list(coding.targets),
        "dtype": coding.dtype.name,
        "fill": coding.fill is not None,
        # Older files do not have it.
        **({} if coding.feature_range is None else {"range": True}),
        "reading": _described(reading),
    }


def _described(reading: Reading) -> dict[str, Any]:
    return {
        "missing_features": reading.missing_features,
        "missing_values": list(reading.missing_values),
        # Those of older files have no others.
        **{
            name: getattr(reading, name)
            for name, default in LATER.items()
            if getattr(reading, name) != default
        },
    }


def coding_arrays(coding: Preprocessing | Coding) -> dict[str, np.ndarray]:
    """The numbers of a coding by name; that of a table keeps its own in the description."""
    if isinstance(coding, Coding):
        return {}
    arrays = {
        "feature_offset": coding.feature_scaler.offset,
        "feature_scale": coding.feature_scaler.scale,
        "target_offset": coding.target_scaler.offset,
        "target_scale": coding.target_scaler.scale,
    }
    if coding.fill is not None:
        arrays["fill"] = coding.fill
    if coding.feature_range is not None:
        arrays |= dict(zip(ENDS, coding.feature_range, strict=True))
    return {name: np.asarray(array, np.float64) for name, array in arrays.items()}


def coding_of(
    spec: Any, arrays: Mapping[str, np.ndarray]
) -> tuple[Preprocessing | Coding, Reading]:
    """The coding whose description and arrays these are.

    Args:
        spec: from a file.
        arrays: from a file.

    Returns:
        The coding, and how tables are read.

    Raises:
        ValueError: they do not go together.

    Example:
        >>> coding_of({"features": ["a"]}, {})
        ... # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        ValueError: coding: expected the fields dtype, ..., got features
    """
    if isinstance(spec, Mapping) and "table" in spec:
        check_fields("coding", spec, {"table", "reading"})
        check_arrays(arrays, {})
        return Coding.from_json(spec["table"]), _reading(spec["reading"])
    ranged = {"range"} & set(spec) if isinstance(spec, Mapping) else set()
    check_fields("coding", spec, {"features", "targets", "dtype", "fill", "reading", *ranged})
    features, targets = (_names(name, spec[name]) for name in ("features", "targets"))
    if spec["dtype"] not in FLOATS:
        raise ValueError(
            f"coding: expected a dtype of {', '.join(FLOATS)}, got {short(spec['dtype'])}"
        )
    if not isinstance(spec["fill"], bool):
        raise ValueError(f"coding: expected true or false for fill, got {short(spec['fill'])}")
    sizes = {name: len(features if "feature" in name else targets) for name in SCALES}
    if spec["fill"]:
        sizes["fill"] = len(features)
    if spec.get("range", True) is not True:
        raise ValueError(f"coding: expected true for range, got {short(spec['range'])}")
    if ranged:
        sizes |= dict.fromkeys(ENDS, len(features))
    check_arrays(arrays, {name: ((n,), np.dtype(np.float64)) for name, n in sizes.items()})
    coding = Preprocessing(
        features=features,
        targets=targets,
        feature_scaler=Scaler(arrays["feature_offset"], arrays["feature_scale"]),
        target_scaler=Scaler(arrays["target_offset"], arrays["target_scale"]),
        fill=arrays["fill"] if spec["fill"] else None,
        dtype=np.dtype(spec["dtype"]),
        feature_range=_range(*(arrays[name] for name in ENDS)) if ranged else None,
    )
    return coding, _reading(spec["reading"])


def tasks_of(saved: Any, targets: tuple[str, ...]) -> tuple[Task, ...]:
    """The tasks of a file.

    Args:
        saved: from a file.
        targets: of the coding; their names.

    Returns:
        One a target.

    Raises:
        ValueError: other tasks, or none at all.

    Example:
        >>> tasks_of([{"name": "CO"}], ("CO",))[0].kind
        'number'
    """
    if not isinstance(saved, list):
        raise ValueError(f"tasks: expected a list, got {type(saved).__name__}")
    for task in saved:
        texts = ("name", "kind", "unit")
        if isinstance(task, Mapping) and not all(
            isinstance(task.get(name, ""), str) for name in texts
        ):
            raise ValueError(f"task: expected texts for {', '.join(texts)}, got {task!r:.200}")
        classes = task.get("classes", []) if isinstance(task, Mapping) else []
        if not isinstance(classes, list) or not all(isinstance(c, str | int) for c in classes):
            raise ValueError(f"task: expected a list of texts or numbers, got {short(classes)}")
    tasks = tuple(Task.from_json(task) for task in saved)
    names = tuple(task.name for task in tasks)
    if names != targets:
        raise ValueError(
            f"tasks: expected the targets {', '.join(targets)}, got {', '.join(names) or 'none'}"
        )
    return tasks


def _range(low: np.ndarray, high: np.ndarray) -> FeatureRange:
    if (low > high).any():
        raise ValueError("coding: expected ranges from a low to a high end, got one upside down")
    return FeatureRange(low, high)


def _names(what: str, saved: Any) -> tuple[str, ...]:
    texts = isinstance(saved, list) and all(isinstance(name, str) and name for name in saved)
    if not texts or not saved or len(set(saved)) < len(saved):
        raise ValueError(f"coding: expected names, each once, for {what}, got {short(saved)}")
    return tuple(saved)


def _reading(saved: Any) -> Reading:
    later = set(LATER) & set(saved) if isinstance(saved, Mapping) else set()
    check_fields("reading", saved, {"missing_features", "missing_values", *later})
    how, values = saved["missing_features"], saved["missing_values"]
    if how not in MISSING:
        raise ValueError(
            f"reading: expected one of {', '.join(MISSING)} for missing features, got {short(how)}"
        )
    if not isinstance(values, list) or not all(map(_is_value, values)):
        raise ValueError(
            "reading: expected numbers and texts that stand for a missing value, got "
            f"{short(values)}"
        )
    allowed = {
        "decimal": get_args(Decimal),
        "thousands": get_args(Thousands),
        "visible_rows": (True, False),
        "header_row": range(1, LAST_ROW + 1),
    }
    for name in later:
        got = saved[name]
        if isinstance(got, bool) != (name == "visible_rows") or not _is_among(got, allowed[name]):
            values = [] if name == "header_row" else [repr(one).lower() for one in allowed[name]]
            wanted = " or ".join(values) or f"a number from 1 to {LAST_ROW}"
            raise ValueError(f"reading: expected {wanted} for {name}, got {short(got)}")
    return Reading(how, tuple(values), **{name: saved[name] for name in later})


def _is_among(got: Any, values: Collection[Any]) -> bool:
    return isinstance(got, str | int) and got in values


def _is_value(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, str) or (isinstance(value, int | float) and math.isfinite(value))

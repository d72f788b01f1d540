"""Files of the version before, which knew one network only: they are read as if written today."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxmtl.methods.saved import check_fields, with_prefix
from jaxmtl.prediction.records import HARD

FIELDS = {"format", "network", "features", "targets", "dtype", "reading"}


def from_format_1(
    spec: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A file of format 1 as one of format 2.

    Args:
        spec: of the file.
        arrays: of the file, without the spec.

    Returns:
        Spec and arrays of format 2.

    Raises:
        ValueError: it is none of format 1.

    Example:
        >>> from_format_1({"format": 1}, {})
        ... # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        ValueError: spec: expected the fields ..., got format
    """
    check_fields("spec", spec, FIELDS)
    networks = {"models/0/": "", f"baselines/{HARD}/": "hard/"}
    if "hard/head_index" not in arrays:
        del networks[f"baselines/{HARD}/"]
    renamed: dict[str, np.ndarray] = {}
    models = []
    for new, old in networks.items():
        own = {
            name: array
            for name, array in with_prefix(arrays, old).items()
            if name == "head_index" or name.startswith("params/")
        }
        models.append({"kind": "network", "spec": _network(spec["network"], own)})
        renamed |= {new + name: array for name, array in own.items()}
    rest = {name: array for name, array in arrays.items() if "/" not in name}
    rest.pop("head_index", None)
    renamed |= {f"coding/{name}": array for name, array in rest.items()}
    named = {prefix + name for prefix in networks.values() for name in ("head_index", "params/")}
    for name in arrays:
        if "/" in name and not name.startswith(tuple(named)):
            raise ValueError(f"array {name!r}: expected no such array, got one")
    targets = spec["targets"]
    return {
        "format": 2,
        "method": "study",
        "coding": {
            "features": spec["features"],
            "targets": targets,
            "dtype": spec["dtype"],
            "fill": "fill" in arrays,
            "reading": spec["reading"],
        },
        "tasks": [{"name": name} for name in targets] if isinstance(targets, list) else [],
        "models": models[:1],
        "baselines": {HARD: models[1]} if len(models) > 1 else {},
    }, renamed


def _network(fields: Any, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Hard sharing with as many columns as its bank has."""
    if not isinstance(fields, Mapping):
        raise ValueError(f"network: expected fields, got {type(fields).__name__}")
    kernel = arrays.get("params/bank/kernel")
    columns = kernel.shape[-1] if kernel is not None and kernel.ndim else None
    return {"network": "HardSharing", "fields": {**fields, "capacity": columns}}

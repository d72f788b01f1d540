"""Which targets share a network, as ``metrics.json`` has it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct

from jaxmtl.prediction.run_json import ByTask
from jaxmtl.prediction.structures import Decision
from jaxmtl.structure import from_json, to_json


class TriedRecord(Struct):
    """A way of sharing, as ``metrics.json`` has it."""

    name: str
    groups: list[list[str]]
    relative: ByTask
    parameters: int
    seconds: float


class OverRecord(Struct):
    """How much smaller the losses of the best way are than those of another, in %."""

    over: str
    percent: ByTask
    low: ByTask
    high: ByTask
    overall: tuple[float | None, float | None, float | None]


class StructureRecord(Struct):
    """Which targets share a network, as ``metrics.json`` has it."""

    asked: str
    kept: str
    structure: dict[str, Any]
    tried: list[TriedRecord]
    over: list[OverRecord]


def decision_record(found: Decision | None, targets: Sequence[str]) -> dict[str, Any] | None:
    """JSON values of a decision.

    Args:
        found: a decision, or None.
        targets: names, in the order of the tasks.

    Returns:
        What ``StructureRecord`` reads; None for none.
    """
    if found is None:
        return None

    def by_task(values: np.ndarray) -> ByTask:
        return {name: _finite(value) for name, value in zip(targets, values, strict=True)}

    return {
        "asked": found.asked,
        "kept": found.kept,
        "structure": to_json(found.structure),
        "tried": [
            {
                "name": one.name,
                "groups": [list(group) for group in one.groups],
                "relative": by_task(one.relative),
                "parameters": one.parameters,
                "seconds": round(one.seconds, 3),
            }
            for one in found.tried
        ],
        "over": [
            {
                "over": gain.over,
                "percent": by_task(gain.percent),
                "low": by_task(gain.low),
                "high": by_task(gain.high),
                "overall": [_finite(part[0]) for part in (all_.percent, all_.low, all_.high)],
            }
            for gain, all_ in zip(found.gains, found.overall, strict=True)
        ],
    }


def check_record(record: StructureRecord, targets: list[str]) -> None:
    """Raises ValueError unless a record is of these targets."""
    for one in (*record.tried, *record.over):
        parts = [one.relative] if isinstance(one, TriedRecord) else [one.percent, one.low, one.high]
        if any(list(part) != targets for part in parts):
            raise ValueError("metrics.json: structure: expected the targets of the run")
    if sorted(from_json(record.structure).tasks) != sorted(targets):
        raise ValueError("metrics.json: structure: expected the targets of the run as its tasks")
    if record.kept not in {one.name for one in record.tried}:
        raise ValueError(f"metrics.json: structure: expected {record.kept[:40]!r} among the tried")


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None

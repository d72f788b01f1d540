"""What a checkpoint is of, as JSON values: a difference in any of them gives other numbers."""

import dataclasses
import functools
import hashlib
import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import PyTree

from jaxmtl.aggregation import Aggregator, AutoLambda, Scalarizer
from jaxmtl.training.driver.store import digest

FLAX_FIELDS = ("parent", "name")


def identity(
    described: Mapping[str, Any], states: PyTree, data: PyTree, chunk: int, mesh: Mesh
) -> dict[str, Any]:
    """What a checkpoint is of.

    Args:
        described: of what is computed, JSON values by names that an error message can use.
        states: of all members, before the first epoch.
        data: of all members.
        chunk: members at once.
        mesh: of the devices.

    Returns:
        Values by such names.
    """
    from importlib.metadata import version

    from jaxmtl._version import __version__

    return {
        "data": digest(data),
        **described,
        "start": digest(states),
        "members": len(states.status),
        "chunk": chunk,
        "devices": f"{mesh.size} x {mesh.devices.flat[0].device_kind}",
        "processes": jax.process_count(),
        "float64": jax.config.jax_enable_x64,  # pyright: ignore[reportAttributeAccessIssue]
        "jaxmtl": __version__,
        "jax": version("jax"),
        "jaxlib": version("jaxlib"),
    }


def describe(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON values that tell functions, optimizers and methods from their likes, in any process.

    Example:
        >>> describe({"rate": 0.1, "of": len})
        {'rate': 0.1, 'of': 'builtins.len'}
    """
    return {name: _named(value) for name, value in values.items()}


def describe_model(model: Any) -> dict[str, Any]:
    """The attributes of a flax network; one of another kind says what it is by ``repr``."""
    kind = {"model": type(model).__qualname__}
    if not dataclasses.is_dataclass(model):
        return kind | {"model as written": " ".join(repr(model).split())}
    names = [field.name for field in dataclasses.fields(model)]
    return kind | describe(
        {f"model {name}": getattr(model, name) for name in names if name not in FLAX_FIELDS}
    )


def _named(value: Any) -> Any:
    """A text that is the same in every process; JSON has numbers, texts and lists of its own."""
    if isinstance(value, Aggregator | Scalarizer | AutoLambda):
        text = str([_named(part) for part in vars(value).values()])
        return f"{type(value).__name__} {hashlib.sha256(text.encode()).hexdigest()[:12]}"
    if isinstance(value, functools.partial):
        values = [*value.args, *sorted(value.keywords.items())]
        return f"{_named(value.func)} with {values}"
    if isinstance(value, jax.Array | np.ndarray):
        return _named(np.asarray(value).tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)  # such as a bound that binds nothing: JSON has no number for it
    if isinstance(value, tuple | list):
        return [_named(part) for part in value]
    if callable(value):
        name = f"{value.__module__}.{getattr(value, '__qualname__', type(value).__name__)}"
        # What a function closes over, or a callable object holds, tells it from its likes.
        cells = [cell.cell_contents for cell in getattr(value, "__closure__", None) or ()]
        if dataclasses.is_dataclass(value):
            cells = [getattr(value, field.name) for field in dataclasses.fields(value)]
        inner = [str(_named(part)) for part in cells if part is not value]
        return f"{name}({', '.join(inner)})" if inner else name
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return describe({f.name: getattr(value, f.name) for f in dataclasses.fields(value)})
    return value

"""The networks of ``jaxmtl.models`` as JSON keeps them: their name and their fields."""

import dataclasses
import math
import numbers
from typing import Any

import jax.numpy as jnp

from jaxmtl._typing import NetworkLike
from jaxmtl._words import kind_of, short
from jaxmtl.methods.saved import check_fields

# Their fields are other networks, sets and functions, which no JSON keeps.
NOT_SAVED = ("Constrained", "ConvTrunk")
DTYPES = ("dtype", "param_dtype")


def network_classes() -> dict[str, Any]:
    """Networks that can be saved, by name.

    Example:
        >>> "MMoE" in network_classes(), "Constrained" in network_classes()
        (True, False)
    """
    from flax import linen as nn

    from jaxmtl import models

    return {
        name: value
        for name, value in vars(models).items()
        if isinstance(value, type) and issubclass(value, nn.Module) and name not in NOT_SAVED
    }


def describe_network(network: NetworkLike) -> dict[str, Any]:
    """The name of a network in ``jaxmtl.models``, and its fields.

    Args:
        network: activations and initializers by name.

    Returns:
        ``{"network": name, "fields": {...}}`` of JSON values.

    Raises:
        ValueError: another network, or a field that no file can hold.

    Example:
        >>> from jaxmtl.models import HardSharing
        >>> describe_network(HardSharing())["fields"]["activation"]
        'sigmoid'
    """
    name = type(network).__name__
    if network_classes().get(name) is not type(network):
        listed = ", ".join(sorted(network_classes()))
        raise ValueError(
            f"network: expected one that can be saved ({listed}), got {name}; keep its parameters "
            "with jaxmtl.transfer.save_parameters instead"
        )
    return {
        "network": name,
        "fields": {
            field: _to_json(field, getattr(network, field)) for field in _fields(type(network))
        },
    }


def build_network(saved: Any, *, most: int) -> NetworkLike:
    """The network that ``describe_network`` was called on.

    Args:
        saved: perhaps by way of a file.
        most: no size of a layer and no number of layers can be above this.

    Returns:
        The network.

    Raises:
        ValueError: a network that there is not, or fields that are no ones of it.

    Example:
        >>> from jaxmtl.models import MMoE
        >>> build_network(describe_network(MMoE(num_experts=3)), most=100).num_experts
        3
    """
    check_fields("network", saved, {"network", "fields"})
    classes = network_classes()
    name = saved["network"]
    if not isinstance(name, str) or name not in classes:
        raise ValueError(f"network: expected one of {', '.join(sorted(classes))}, got {name!r}")
    defaults = _fields(classes[name])
    check_fields(f"network {name}", saved["fields"], set(defaults))
    values = {
        field: _from_json(f"network {name}, field {field}", value, defaults[field], most)
        for field, value in saved["fields"].items()
    }
    for field in DTYPES:
        if values.get(field) is not None:
            values[field] = jnp.dtype(values[field])
    try:
        return classes[name](**values)
    except (ValueError, TypeError) as error:
        raise ValueError(f"network {name}: {error}") from error


def _fields(cls: Any) -> dict[str, Any]:
    """Default of each field but those that every module has."""
    return {
        field.name: field.default
        for field in dataclasses.fields(cls)
        if field.name not in ("parent", "name")
    }


def _to_json(name: str, value: Any) -> Any:
    if name in DTYPES:
        return None if value is None else jnp.dtype(value).name
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real) and math.isfinite(value):
        return float(value)
    if isinstance(value, tuple | list):
        return [_to_json(name, item) for item in value]
    if callable(getattr(value, "apply", None)):
        raise ValueError(
            f"{name}: expected sizes of layers, which can be saved, got the network "
            f"{type(value).__name__}; keep its parameters with jaxmtl.transfer.save_parameters "
            "instead"
        )
    got = kind_of(value) if callable(value) else short(value)
    raise ValueError(
        f"{name}: expected a name, which can be saved, got {got}; build the model with "
        "a name that jaxmtl.models knows"
    )


def _from_json(what: str, value: Any, default: Any, most: int) -> Any:
    """A value of the kind that the default of the field is of."""
    if what.endswith(DTYPES):
        return _dtype(what, value)
    if isinstance(default, bool):
        fits, kind = isinstance(value, bool), "true or false"
    elif isinstance(default, int):
        fits, kind = _is_size(value, most), f"a whole number up to {most}"
    elif isinstance(default, float):
        values = value if isinstance(value, list) else [value]
        fits, kind = all(map(_is_number, values)), "a number"
    elif isinstance(default, tuple | list):
        fits, kind = _are_sizes(value, most), f"a list of whole numbers up to {most}"
    elif what.endswith("sharing") and isinstance(value, list):  # the group of every task
        fits, kind = _are_sizes(value, most), f"a list of whole numbers up to {most}"
    else:
        fits = value is None or isinstance(value, str) or _is_size(value, most)
        kind = "a name, a whole number or null"
    if not fits:
        raise ValueError(f"{what}: expected {kind}, got {short(value)}")
    return _frozen(value)


def _dtype(what: str, value: Any) -> str | None:
    try:
        known = value is None or jnp.issubdtype(jnp.dtype(value), jnp.floating)
    except TypeError:
        known = False
    if not known or not isinstance(value, str | None) or (value is None and "param" in what):
        raise ValueError(f"{what}: expected a floating type, got {short(value)}")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_size(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _are_sizes(value: Any, most: int) -> bool:
    """Whole numbers, or rows of them, not too many in all."""
    if not isinstance(value, list):
        return False
    rows = [row if isinstance(row, list) else [row] for row in value]
    many = sum(map(len, rows)) <= most
    return many and all(_is_size(size, most) for row in rows for size in row)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value

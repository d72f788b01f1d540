"""Dataclasses as pytrees."""

import dataclasses
from collections.abc import Iterable
from typing import Any, TypeVar

import jax
from jax.tree_util import GetAttrKey

Class = TypeVar("Class", bound=type)


def register_dataclass(cls: Class) -> Class:
    """``jax.tree_util.register_dataclass``, with structures that differ from class to class.

    Up to JAX 0.12 at least, the structures of two classes registered by JAX's own function compare
    equal when their fields do. Wherever their hashes then meet in the cache of a jitted function,
    which depends on the process, a call with one class runs the program compiled for the other:
    a half-space is projected onto as a hyperplane.

    Args:
        cls: a dataclass; fields with ``metadata={"static": True}`` are part of the structure.

    Returns:
        The class itself, registered.

    Example:
        >>> @register_dataclass
        ... @dataclasses.dataclass
        ... class Point:
        ...     x: float
        >>> jax.tree.map(lambda v: 2 * v, Point(3.0))
        Point(x=6.0)
    """
    fields = {f.name: f.metadata.get("static", False) for f in dataclasses.fields(cls)}
    data = tuple(name for name, static in fields.items() if not static)
    meta = tuple(name for name, static in fields.items() if static)
    keys = tuple(GetAttrKey(name) for name in data)

    def flatten(value: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return tuple(getattr(value, f) for f in data), tuple(getattr(value, f) for f in meta)

    def flatten_with_keys(value: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        children, static = flatten(value)
        return tuple(zip(keys, children, strict=True)), static

    def unflatten(static: tuple[Any, ...], children: Iterable[Any]) -> Any:
        # Checks are left out: JAX builds structures of placeholders too.
        value = object.__new__(cls)
        for name, part in (*zip(data, children, strict=True), *zip(meta, static, strict=True)):
            object.__setattr__(value, name, part)
        return value

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    return cls

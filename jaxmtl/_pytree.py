"""Dataclasses as pytrees, and parts of a pytree by name."""

import dataclasses
from collections.abc import Iterable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.tree_util import GetAttrKey
from jaxtyping import PyTree

Class = TypeVar("Class", bound=type)

Prefix = int | PyTree | None


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


def cloned_keys(tree: PyTree) -> PyTree:
    """The same tree with keys that may be used once more, where the same numbers are wanted twice.

    Example:
        >>> with jax.debug_key_reuse(True):
        ...     key = jax.random.key(0)
        ...     again = cloned_keys({"key": key})["key"]
        ...     bool(jax.random.bits(key) == jax.random.bits(again))
        True
    """

    def cloned(leaf: Any) -> Any:
        dtype = getattr(leaf, "dtype", None)
        is_key = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
        return jax.random.clone(leaf) if is_key else leaf

    return jax.tree.map(cloned, tree)


def leaf_groups(tree: PyTree, prefix: Prefix = None) -> dict[Any, tuple[int, ...]]:
    """Which leaves of a pytree make up which group.

    Args:
        tree: a pytree of arrays or shapes.
        prefix: None: every leaf is a group. A number d: leaves whose paths agree in the first d
            keys, so that 1 is one group a layer in the usual dictionary of layers. Else a pytree
            that is a prefix of the tree and whose leaves are labels: equal labels, one group.

    Returns:
        From the label of each group (the path, if the prefix is None or a number) to the positions
        of its leaves in ``jax.tree.leaves(tree)``.

    Raises:
        ValueError: the prefix does not fit the tree.

    Example:
        >>> tree = {"bank": {"bias": 0.0, "kernel": 0.0}, "output": {"kernel": 0.0}}
        >>> leaf_groups(tree, 1)
        {"['bank']": (0, 1), "['output']": (2,)}
        >>> leaf_groups(tree, {"bank": {"bias": "b", "kernel": "k"}, "output": "k"})
        {'b': (0,), 'k': (1, 2)}
    """
    if prefix is None or isinstance(prefix, int):
        paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
        labels = [jax.tree_util.keystr(path[:prefix]) for path in paths]
    else:
        labels = jax.tree.leaves(broadcast_prefix("prefix", prefix, tree))
    groups: dict[Any, list[int]] = {}
    for position, label in enumerate(labels):
        groups.setdefault(label, []).append(position)
    return {label: tuple(positions) for label, positions in groups.items()}


def broadcast_prefix(name: str, prefix: PyTree, tree: PyTree) -> PyTree:
    """Repeats each leaf of a prefix over the subtree that it stands for.

    Raises:
        ValueError: the prefix does not fit.
    """
    try:
        return jax.tree.map(lambda leaf, below: jax.tree.map(lambda _: leaf, below), prefix, tree)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{name}: expected a prefix of the pytree {jax.tree.structure(tree)}, "
            f"got {jax.tree.structure(prefix)}"
        ) from error

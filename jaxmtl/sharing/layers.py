"""What a layer is, by the names and shapes of its leaves, or by the class of its Equinox module."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
from jaxtyping import PyTree

from jaxmtl._paths import leaf_path
from jaxmtl.sharing.groups import Part

Shape = tuple[int, ...]
ATTENTION = {"query", "key", "value", "out"}
EQUINOX_ATTENTION = {"query_proj", "key_proj", "value_proj", "output_proj"}
NORM = {"scale", "bias", "mean", "var"}
UNKNOWN = "a leaf of an unknown kind: write its group by hand"
STACKED = (
    "layers stacked for scan or vmap, as it seems: give their axis, such as "
    "stacked={{{scope!r}: 0}}"
)


class Layer(NamedTuple):
    """A layer whose units are known.

    Attributes:
        parts: its leaves, with the axis of units.
        units: their number.
        kind: ``"norm"`` or something that a norm may stand behind.
        apart: leaves that belong to no unit, with the reason.
    """

    parts: tuple[Part, ...]
    units: int
    kind: str
    apart: dict[str, str]


def scopes_of(paths: Mapping[str, Shape]) -> dict[str, dict[str, Shape]]:
    """Leaves by the path of their layer; what attention consists of is one layer.

    Example:
        >>> scopes_of({"a/kernel": (2, 3), "a/bias": (3,), "w": (2,)})
        {'a': {'a/kernel': (2, 3), 'a/bias': (3,)}, '': {'w': (2,)}}
    """
    found: dict[str, dict[str, Shape]] = {}
    for path, shape in paths.items():
        found.setdefault(_scope(path), {})[path] = shape
    children: dict[str, set[str]] = {}
    for scope in found:
        parent, _, own = scope.rpartition("/")
        children.setdefault(parent, set()).add(own)
    joined: dict[str, dict[str, Shape]] = {}
    for scope, members in found.items():
        parent, _, own = scope.rpartition("/")
        whole = any(own in kind <= children[parent] for kind in (ATTENTION, EQUINOX_ATTENTION))
        joined.setdefault(parent if whole else scope, {}).update(members)
    return joined


def layer_of(
    members: Mapping[str, Shape], owners: Mapping[str, Any], stacked: int | None
) -> Layer | str:
    """The layer of some leaves.

    Args:
        members: shapes by path.
        owners: by path, the Equinox module that holds the leaf, or what holds that.
        stacked: axis of the layers; None for one layer.

    Returns:
        The layer; in words, why its units cannot be told.

    Example:
        >>> layer_of({"a/kernel": (2, 3), "a/bias": (3,)}, {}, None).units
        3
        >>> layer_of({"w": (3,)}, {}, None)
        'a leaf of an unknown kind: write its group by hand'
    """
    scope = _scope(next(iter(members)))
    if stacked is not None:
        if not all(-len(shape) <= stacked < len(shape) for shape in members.values()):
            return f"it has no axis {stacked} of stacked layers"
        members = {path: _without(shape, stacked) for path, shape in members.items()}
    found = _one_layer(members, owners, scope)
    if stacked is None or isinstance(found, str):
        return found
    parts = []
    for part in found.parts:
        ndim = len(members[part.path]) + 1
        axis, sliced = part.axis or 0, stacked % ndim
        parts.append(part._replace(axis=axis + (sliced <= axis)))
    return found._replace(parts=tuple(parts))


def owners_of(tree: PyTree) -> dict[str, tuple[Any, ...]]:
    """By path of a leaf, the two objects that it lies in, the nearer first; () where unknown."""
    found = {}
    for path, _ in jax.tree_util.tree_leaves_with_path(tree):
        holders, here = [], tree
        for entry in path:
            holders.append(here)
            if hasattr(entry, "name"):
                here = getattr(here, entry.name)
            elif isinstance(here, list | tuple | dict):
                here = here[entry.idx if hasattr(entry, "idx") else entry.key]
            else:
                holders = []
                break
        found[leaf_path(path)] = tuple(holders[:-3:-1])
    return found


def _one_layer(members: Mapping[str, Shape], owners: Mapping[str, Any], scope: str) -> Layer | str:
    names = {_name(path): path for path in members}
    if any(_scope(path) != scope for path in members):
        return _attention(members, owners)
    owner = next(iter(owners.get(next(iter(members)), ())), None)
    if owner is not None and type(owner).__module__.startswith("equinox."):
        return _equinox(owner, members, scope)
    if "kernel" in names and names.keys() <= {"kernel", "bias"}:
        kernel = members[names["kernel"]]
        bias = members.get(names.get("bias", ""), (0,))
        is_conv = "conv" in scope.lower() or "bias" in names
        if len(bias) != 1 or (len(kernel) == 3 and not is_conv):
            return STACKED.format(scope=scope)
        return _along_last(members, "layer") if len(kernel) > 1 else UNKNOWN
    if names.keys() == {"embedding"}:
        ndim = len(next(iter(members.values())))
        return _along_last(members, "embedding") if ndim == 2 else STACKED.format(scope=scope)
    if names.keys() <= NORM:
        return _norm(members, scope)
    return UNKNOWN


def _equinox(module: Any, members: Mapping[str, Shape], scope: str) -> Layer | str:
    kind = type(module).__name__
    if kind.endswith("Norm"):
        return _norm(members, scope)
    if kind not in ("Linear", "Embedding") and not kind.startswith("Conv"):
        return UNKNOWN
    axes = 2 + getattr(module, "num_spatial_dims", 0)
    if max(len(shape) for shape in members.values()) != axes:
        return STACKED.format(scope=scope)
    if kind == "Embedding":
        return _along_last(members, "embedding")
    return _layer([Part(path, 0) for path in members], members, "layer", {})


def _norm(members: Mapping[str, Shape], scope: str) -> Layer | str:
    if any(len(shape) != 1 for shape in members.values()):
        return "a norm over several axes, or " + STACKED.format(scope=scope)
    return _along_last(members, "norm")


def _attention(members: Mapping[str, Shape], owners: Mapping[str, Any]) -> Layer | str:
    """Heads: their columns of query, key and value, and their rows of the output."""
    parts, apart = [], {}
    for path, shape in members.items():
        own = _scope(path).rpartition("/")[2]
        held = owners.get(path, ())
        module = held[1] if len(held) > 1 else None
        is_out, is_bias = own in ("out", "output_proj"), _name(path) == "bias"
        if is_out and is_bias:
            apart[path] = "the output of all heads together: a layer as one unit has it"
        elif own in EQUINOX_ATTENTION:
            heads = getattr(module, "num_heads", None)
            axis = 1 if is_out else 0
            if heads is None or shape[axis] % heads:
                return UNKNOWN
            parts.append(Part(path, axis, width=shape[axis] // heads))
        elif len(shape) == (2 if is_bias else 3):
            parts.append(Part(path, 0 if is_out or is_bias else 1))
        else:
            return STACKED.format(scope=_scope(path).rpartition("/")[0])
    return _layer(parts, members, "attention", apart)


def _along_last(members: Mapping[str, Shape], kind: str) -> Layer | str:
    parts = [Part(path, len(shape) - 1) for path, shape in members.items()]
    return _layer(parts, members, kind, {})


def _layer(
    parts: list[Part], members: Mapping[str, Shape], kind: str, apart: dict[str, str]
) -> Layer | str:
    sizes = {members[part.path][part.axis or 0] // part.width for part in parts}
    if len(sizes) > 1:
        return f"leaves of {sorted(sizes)} units in one layer: write its group by hand"
    return Layer(tuple(parts), sizes.pop(), kind, apart)


def _without(shape: Shape, axis: int) -> Shape:
    axis %= len(shape)
    return shape[:axis] + shape[axis + 1 :]


def _plain(path: str) -> str:
    """Without the box of a flax.nnx variable."""
    return path.removesuffix("/value")


def _scope(path: str) -> str:
    return _plain(path).rpartition("/")[0]


def _name(path: str) -> str:
    return _plain(path).rpartition("/")[2]

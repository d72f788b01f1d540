"""Groups of units proposed from the names and shapes of a network's leaves."""

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import PyTree

from jaxmtl._paths import Select, check_matched, matches, named_leaves, patterns_of
from jaxmtl._validate import check_choice
from jaxmtl.sharing.groups import Part, tied_leaves
from jaxmtl.sharing.layers import Layer, layer_of, owners_of, scopes_of


class Found(NamedTuple):
    """Groups for ``open_banks``, and what no group could be made of.

    Attributes:
        groups: by name of the layer, parts of its units.
        left_out: by path, why, in words. Such leaves are shared by all tasks.

    Example:
        >>> Found({"conv": (Part("conv", -1),)}, {}).groups["conv"][0].axis
        -1
    """

    groups: dict[str, tuple[Part, ...]]
    left_out: dict[str, str]


def find_units(
    params: PyTree,
    stats: PyTree = None,
    *,
    unit: Literal["node", "layer"] = "node",
    select: Select = "*",
    stacked: Mapping[str, int] | None = None,
) -> Found:
    """Proposes groups of units, by names and shapes alone.

    Known are the parameters of flax.linen (dicts) and flax.nnx (``State``): ``kernel`` and ``bias``
    of Dense and Conv, depthwise, too, ``scale`` and ``bias`` of norms, ``embedding``, and
    ``query``, ``key``, ``value``, ``out`` of attention; and Equinox modules of the same kinds, told
    by their class. Units are output columns, channels, features or heads; a head has its columns of
    query, key and value and its rows of the output. A norm is one group with the layer before it:
    the one of the same number (``Conv_0``, ``BatchNorm_0``), the one before it in a sequence
    (``layers_0``, ``layers_1``), or the only one of its size beside it; else a group of its own.
    Where a guess is wrong, no output is: only what counts as one unit.

    Args:
        params: of one network; of an Equinox model its arrays, ``eqx.filter(model, ...)``.
        stats: running statistics under the names of their layers, such as ``batch_stats``.
        unit: ``"node"`` for the smallest units; ``"layer"`` for whole layers, one unit each.
        select: paths of the leaves that may be in a group.
        stacked: axis of the layers that ``nn.scan`` or ``vmap`` has stacked, by path, such as
            ``{"blocks": 0}``: each of its slices becomes a group, ``"blocks/Dense_0[2]"``.

    Returns:
        Groups and what was left out, in words: leaves of unknown kinds, stacked layers whose axis
        was not given, one array at two places, a norm of the wrong size.

    Raises:
        ValueError: an unknown unit, or a pattern that matches nothing.

    Example:
        >>> import jax.numpy as jnp
        >>> params = {"Conv_0": {"kernel": jnp.ones((3, 3, 1, 4)), "bias": jnp.ones(4)},
        ...           "BatchNorm_0": {"scale": jnp.ones(4), "bias": jnp.ones(4)},
        ...           "temperature": jnp.ones(())}
        >>> stats = {"BatchNorm_0": {"mean": jnp.ones(4), "var": jnp.ones(4)}}
        >>> groups, left_out = find_units(params, stats)
        >>> [f"{part.path} {part.axis}" for part in groups["Conv_0"] if "bias" not in part.path]
        ['Conv_0/kernel 3', 'BatchNorm_0/scale 0', 'BatchNorm_0/mean 0', 'BatchNorm_0/var 0']
        >>> left_out
        {'temperature': 'a leaf of an unknown kind: write its group by hand'}
    """
    check_choice("unit", unit, ("node", "layer"))
    leaves = {**named_leaves(params), **named_leaves(stats)}
    patterns, axes = patterns_of(select), dict(stacked or {})
    check_matched([*patterns, *axes], [*leaves], "the network")
    tied = [pair for one in tied_leaves(leaves) for pair in (one, one[::-1])]
    why = {path: f"one array with {o!r}: make them one leaf, or two arrays" for path, o in tied}
    chosen = [path for path in leaves if any(matches(path, pattern) for pattern in patterns)]
    left_out = {path: why[path] for path in chosen if path in why}
    kept = {path: np.shape(leaves[path]) for path in chosen if path not in why}
    owners = {**owners_of(params), **owners_of(stats)}
    layers: dict[str, Layer] = {}
    slices: dict[str, tuple[int, int] | None] = {}
    for scope, members in scopes_of(kept).items():
        axis = next((axis for pattern, axis in axes.items() if matches(scope, pattern)), None)
        found = layer_of(members, owners, axis)
        # Of leaves of unknown kinds, those of one scope may be a layer; at the top, they are many.
        if unit == "layer" and (isinstance(found, Layer) or (scope and axis is None)):
            found = _whole(found, members)
        if isinstance(found, str):
            left_out |= dict.fromkeys(members, found)
            continue
        name = scope or "network"
        first = next(iter(members.values()))
        layers[name] = found
        slices[name] = None if axis is None else (axis, first[axis])
        left_out |= found.apart
    groups: dict[str, tuple[Part, ...]] = {}
    for name, joined in _with_norms(layers, slices).items():
        parts = [part for layer in joined for part in layer.parts]
        if unit == "layer":
            parts = [Part(part.path) for part in parts]
        sliced = slices[name]
        if sliced is None:
            groups[name] = tuple(parts)
            continue
        for number in range(sliced[1]):
            own = [part._replace(at=(sliced[0], number)) for part in parts]
            groups[f"{name}[{number}]"] = tuple(own)
    return Found(groups, left_out)


def _whole(found: Layer | str, members: Mapping[str, Any]) -> Layer:
    """The same as one unit, which needs no axis."""
    if isinstance(found, str):
        return Layer(tuple(map(Part, members)), 0, "unknown", {})
    return found._replace(parts=tuple(map(Part, members)), apart={})


def _with_norms(layers: Mapping[str, Layer], slices: Mapping[str, Any]) -> dict[str, list[Layer]]:
    """Layers, each with the norms behind it."""
    groups = {name: [layer] for name, layer in layers.items() if layer.kind != "norm"}
    for name, norm in layers.items():
        if norm.kind == "norm":
            like = {
                other: layer
                for other, layer in layers.items()
                if _split(other)[0] == _split(name)[0] and slices[other] == slices[name]
            }
            before = _before(name, norm, like)
            groups.setdefault(before or name, []).append(norm)
    return groups


def _before(name: str, norm: Layer, beside: Mapping[str, Layer]) -> str | None:
    """The layer that a norm stands behind, among those beside it; None if none can be told."""
    stem, number = _numbered(name)
    fitting = [
        o for o, layer in beside.items() if layer.kind == "layer" and layer.units == norm.units
    ]
    if number is not None:
        sequence = {_numbered(other)[1]: other for other in beside if _numbered(other)[0] == stem}
        if any(beside[other].kind != "norm" for other in sequence.values()):
            earlier = [n for n in sequence if n is not None and n < number]
            before = sequence[max(earlier)] if earlier else None
            return before if before in fitting else None
        same = [other for other in fitting if _numbered(other)[1] == number]
        if len(same) == 1:
            return same[0]
    norms = [o for o, layer in beside.items() if (layer.kind, layer.units) == ("norm", norm.units)]
    return fitting[0] if len(fitting) == len(norms) == 1 else None


def _split(name: str) -> tuple[str, str]:
    scope, _, own = name.rpartition("/")
    return scope, own


def _numbered(own: str) -> tuple[str, int | None]:
    found = re.fullmatch(r"(.*?)_?(\d+)", own)
    return (own, None) if found is None else (found[1], int(found[2]))

"""Members of one program: structures within a seed, and seeds over the devices."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from jaxmtl._typing import Device
from jaxmtl.data.rows import Rows, Splits
from jaxmtl.training.driver.placement import member_mesh, over_members, pad_members, spread


def check_splits(data: Splits, stacked: bool, keys: Key[Array, " seeds"]) -> Splits:
    """The rows as arrays, with what a decision needs.

    Args:
        data: to learn from and held out.
        stacked: whether every seed has rows of its own.
        keys: one a seed.

    Returns:
        The same rows; the labels of unknown targets are 0.

    Raises:
        ValueError: no rows are held out, or another number of seeds.
    """
    if keys.ndim != 1:
        raise ValueError(
            "keys: expected a row of keys, such as jax.random.split(jax.random.key(0), 20), got "
            f"shape {keys.shape}"
        )
    if data.validation is None or not data.validation.x.shape[-2]:
        raise ValueError(
            "data: expected validation rows, on which structures are weighed, got none"
        )
    if stacked and len(data.train.x) != len(keys):
        raise ValueError(
            f"data: expected rows of {len(keys)} seeds, one a key, got {len(data.train.x)}"
        )
    test = None if data.test is None else _cleared(data.test)
    return Splits(_cleared(data.train), _cleared(data.validation), test)


def over_seeds(
    function: Callable[..., PyTree],
    mapped: Sequence[bool],
    given: Sequence[PyTree],
    devices: Sequence[Device] | None,
) -> PyTree:
    """Runs a function for every seed, in one program, spread over devices.

    Args:
        function: of one seed; hashable, static.
        mapped: which arguments have an axis of seeds.
        given: the arguments.
        devices: None for the first alone.

    Returns:
        What it gives, with an axis of seeds.
    """
    mesh = member_mesh(jax.local_devices()[:1] if devices is None else devices)
    seeds = next(
        len(jax.tree.leaves(own)[0])
        for own, own_axis in zip(given, mapped, strict=True)
        if own_axis
    )
    size = -(-seeds // mesh.size) * mesh.size
    placed = [
        spread(pad_members(own, size), mesh) if own_axis else spread(own, mesh, replicated=True)
        for own, own_axis in zip(given, mapped, strict=True)
    ]
    found = compiled(function, tuple(mapped), mesh)(*placed)
    return jax.tree.map(lambda leaf: leaf[:seeds], found) if size != seeds else found


@functools.lru_cache(maxsize=256)
def compiled(function: Callable[..., PyTree], mapped: tuple[bool, ...], mesh: Any) -> Any:
    """The jitted program of a function of one seed, the same for the same function."""
    every = jax.vmap(function, tuple(0 if own else None for own in mapped))
    return jax.jit(over_members(every, mesh, mapped))


def _cleared(rows: Rows) -> Rows:
    x, y = jnp.asarray(rows.x), jnp.asarray(rows.y)
    if rows.known is None:
        return Rows(x, y)
    known = jnp.asarray(rows.known)
    return Rows(x, jnp.where(known, y, 0) if known.shape == y.shape else y, known)

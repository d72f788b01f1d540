"""What runs where: members of a sweep, or samples of a batch, over devices and processes."""

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from jaxmtl._typing import Device

MEMBERS, BATCH = "members", "batch"
SHARE_OF_MEMORY = 0.25
UNKNOWN_MEMORY = 2**31

T = TypeVar("T")


def member_mesh(devices: Sequence[Device] | None) -> Mesh:
    """A mesh of one axis, over which the members of a sweep are spread.

    Args:
        devices: None for all of this process.

    Returns:
        The mesh.

    Example:
        >>> member_mesh(None).axis_names
        ('members',)
    """
    return _mesh(jax.local_devices() if devices is None else devices, MEMBERS)


def batch_mesh(devices: Sequence[Device] | None, batch_size: int) -> Mesh | None:
    """A mesh of one axis, over which the samples of a batch are spread.

    Args:
        devices: None for no mesh, with all on the default device.
        batch_size: samples of a batch.

    Returns:
        The mesh.

    Raises:
        ValueError: no devices, or samples that do not divide evenly among them.

    Example:
        >>> batch_mesh(None, 7) is None, batch_mesh(jax.local_devices()[:1], 7).axis_names
        (True, ('batch',))
    """
    if devices is None:
        return None
    if devices and batch_size % len(devices):
        raise ValueError(
            f"batch_size: expected a multiple of the number of devices, {len(devices)}, over which "
            f"a batch is spread, got {batch_size}"
        )
    return _mesh(devices, BATCH)


def _mesh(devices: Sequence[Device], axis: str) -> Mesh:
    if not devices:
        raise ValueError("devices: expected at least one, got none")
    return jax.make_mesh((len(devices),), (axis,), (AxisType.Auto,), devices=list(devices))


def spread(tree: PyTree, mesh: Mesh, *, replicated: bool = False) -> PyTree:
    """Puts leaves onto the devices of a mesh.

    Args:
        tree: with a leading axis of members, a multiple of the devices, unless ``replicated``.
        mesh: of ``member_mesh``.
        replicated: every device gets a copy.

    Returns:
        The same values.

    Example:
        >>> spread(jnp.arange(4), member_mesh(None)).tolist()
        [0, 1, 2, 3]
    """
    sharding = NamedSharding(mesh, PartitionSpec() if replicated else PartitionSpec(MEMBERS))
    return jax.tree.map(lambda leaf: jax.device_put(leaf, sharding), tree)


def over_members(
    function: Callable[..., T], mesh: Mesh, mapped: Sequence[bool]
) -> Callable[..., T]:
    """Runs a function on every device for the members there; devices never wait for each other.

    Args:
        function: of pytrees, to pytrees with a leading axis of members; static.
        mesh: of ``member_mesh``, static.
        mapped: which arguments have that axis, static.

    Returns:
        The same function of all members.

    Example:
        >>> double = over_members(lambda x: 2 * x, member_mesh(None), [True])
        >>> double(jnp.arange(4)).tolist()
        [0, 2, 4, 6]
    """
    if mesh.size == 1:
        return function
    specs = tuple(PartitionSpec(MEMBERS) if is_mapped else PartitionSpec() for is_mapped in mapped)
    return jax.shard_map(
        function, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(MEMBERS), check_vma=False
    )


def pad_members(tree: PyTree, size: int) -> PyTree:
    """Repeats the last member until there are ``size``.

    Args:
        tree: with a leading axis of members.
        size: not below their number.

    Returns:
        The longer tree.

    Example:
        >>> pad_members(np.array([1, 2]), 4).tolist()
        [1, 2, 2, 2]
    """

    def padded(leaf: Any) -> Any:
        index = np.minimum(np.arange(size), leaf.shape[0] - 1)
        return leaf[index] if size != leaf.shape[0] else leaf

    return jax.tree.map(padded, tree)


def own_members(number: int) -> range:
    """The members of this process, where several share a sweep; all of equal number, save the end.

    Args:
        number: of all members.

    Returns:
        Places of those of this process.

    Example:
        >>> own_members(5)
        range(0, 5)
    """
    share = -(-number // jax.process_count())
    first = min(number, jax.process_index() * share)
    return range(first, min(number, first + share))


def chunk_size(number: int, bytes_a_member: int, devices: int) -> int:
    """How many members to run at once, so that they fit the memory.

    Args:
        number: of members.
        bytes_a_member: memory that one takes.
        devices: that share them.

    Returns:
        All of them, or as many as fit into a quarter of it, in chunks of about equal size.

    Example:
        >>> chunk_size(100, 10**3, 1)
        100
    """
    fits = max(1, int(SHARE_OF_MEMORY * total_memory() / max(1, bytes_a_member)))
    chunks = -(-number // max(devices, fits))
    return -(-number // chunks)


def total_memory() -> int:
    """Bytes of memory where the computation runs: of the devices, or of the whole machine.

    Returns:
        An estimate; 2 GiB where nothing is known.

    Example:
        >>> total_memory() > 0
        True
    """
    device = jax.local_devices()[0]
    if device.platform != "cpu":
        limit = (device.memory_stats() or {}).get("bytes_limit", UNKNOWN_MEMORY)
        return limit * jax.local_device_count()
    try:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return UNKNOWN_MEMORY
    return min([there, *_limits_of_the_container()])


def _limits_of_the_container() -> list[int]:
    """Bytes that the process may take where it is given less than the machine has."""
    found = []
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            found.append(int(Path("/sys/fs/cgroup", name).read_text()))
    return [limit for limit in found if limit > 0]


def size_of(tree: PyTree) -> int:
    """Bytes of all leaves.

    Args:
        tree: of arrays or of their shapes.

    Returns:
        Their sum.

    Example:
        >>> size_of({"a": np.zeros(3, np.float32)})
        12
    """

    def size(leaf: Any) -> int:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return 16 * int(np.prod(leaf.shape))
        return int(np.prod(leaf.shape)) * leaf.dtype.itemsize

    return sum(size(leaf) for leaf in jax.tree.leaves(tree))

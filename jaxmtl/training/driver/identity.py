"""What a checkpoint is of, as JSON values: a difference in any of them gives other numbers."""

from collections.abc import Mapping
from typing import Any

import jax
from jax.sharding import Mesh
from jaxtyping import PyTree

from jaxmtl.training.driver.store import digest


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
    return {
        "data": digest(data),
        **described,
        "start": digest(states),
        "members": len(states.status),
        "chunk": chunk,
        **circumstances(mesh),
    }


def circumstances(mesh: Mesh) -> dict[str, Any]:
    """What the last bit of a number hangs on, beside what is computed.

    Args:
        mesh: of the devices.

    Returns:
        Values by names that an error message can use.
    """
    from importlib.metadata import version

    from jaxmtl._version import __version__

    return {
        "devices": f"{mesh.size} x {mesh.devices.flat[0].device_kind}",
        "processes": jax.process_count(),
        "float64": jax.config.jax_enable_x64,  # pyright: ignore[reportAttributeAccessIssue]
        "jaxmtl": __version__,
        "jax": version("jax"),
        "jaxlib": version("jaxlib"),
    }

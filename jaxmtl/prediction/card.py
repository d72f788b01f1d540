"""What a run was made with: versions, machine, schedule."""

import dataclasses
import hashlib
import importlib.metadata
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from jaxmtl._version import __version__
from jaxmtl.training import Phase

PACKAGES = (
    *("jax", "jaxlib", "flax", "optax", "numpy", "scikit-learn"),
    *("pandas", "openpyxl", "matplotlib"),
)


def versions() -> dict[str, str]:
    """Versions of Python, of this library, and of what it computes with.

    Returns:
        Version by name; a package that is not installed is left out.

    Example:
        >>> sorted(set(versions()) & {"python", "jaxmtl", "jax"})
        ['jax', 'jaxmtl', 'python']
    """
    found = {"python": platform.python_version(), "jaxmtl": __version__}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Where the run was computed: results are repeatable to the last bit on the same machine only.

    Returns:
        System, processor, and the device and precision that JAX uses.

    Example:
        >>> machine()["x64"] in (False, True)
        True
    """
    device = jax.devices()[0]
    return {
        "system": platform.platform(),
        "processor": platform.machine(),
        "byte_order": sys.byteorder,
        "device": device.platform,
        "device_kind": device.device_kind,
        "x64": bool(jax.config.read("jax_enable_x64")),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


def fingerprint(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, by which a repetition knows whether the table is still the same.

    Args:
        path: of the file.

    Returns:
        Hexadecimal digits.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "a.csv")
        ...     _ = path.write_bytes(b"")
        ...     fingerprint(path)[:8]
        'e3b0c442'
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_phases(phases: Sequence[Phase]) -> list[dict[str, Any]]:
    """A schedule as JSON keeps it.

    Args:
        phases: the schedule.

    Returns:
        Arguments of each ``Phase``.

    Example:
        >>> describe_phases([Phase(epochs=3)])
        [{'epochs': 3, 'warmup': 0, 'threshold': None, 'learning_rate': 0.005}]
    """
    return [dataclasses.asdict(phase) for phase in phases]

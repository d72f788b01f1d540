"""The shell: ``jaxmtl fit``, ``jaxmtl predict``, ``jaxmtl compare``, ``jaxmtl inspect``."""

from typing import Any

from jaxmtl.cli.entry import main as main


def __getattr__(name: str) -> Any:
    # The process listens to signals before it loads what it runs.
    if name in ("app", "run"):
        from jaxmtl.cli import commands

        return getattr(commands, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

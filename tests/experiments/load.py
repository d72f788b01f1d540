"""Experiments are scripts, not a package: the tests import them by path."""

import functools
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).resolve().parents[2] / "experiments"
# Where a script that is run finds what it shares with others.
sys.path += [str(FOLDER), str(FOLDER / "recipes")]


@functools.cache
def load(name: str) -> ModuleType:
    """The script ``experiments/<name>.py`` as a module, without running it."""
    spec = importlib.util.spec_from_file_location(f"experiments_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module

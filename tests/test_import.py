import doctest
import functools
import importlib
import inspect
import json
import os
import pkgutil
import subprocess
import sys

import pytest

import jaxmtl

HEAVY = ("pandas", "matplotlib", "openpyxl", "typer", "rich", "scipy.stats", "orbax")


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=200,
    ).stdout


IMPORTS = f"""
import sys, json, jaxmtl
found = {{"before": "jax" in sys.modules}}
import jaxmtl.data, jaxmtl.training
found["heavy"] = [name for name in {HEAVY!r} if name in sys.modules]
found["networks"] = [jaxmtl.HardSharing().num_tasks, jaxmtl.models.__name__]
import jaxmtl.cli.predict, jaxmtl.report.words.summary
found["drawing"] = "matplotlib" in sys.modules
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def imported():
    """What a process of its own says of one import after the other."""
    # With a platform that does not exist, the first touch of a device would fail.
    return json.loads(run_python(IMPORTS, JAX_PLATFORMS="no_such_platform"))


def test_import_loads_nothing_heavy_and_touches_no_device(imported):
    assert not imported["before"]
    assert imported["heavy"] == []


def test_predicting_draws_nothing(imported):
    assert not imported["drawing"]


def test_networks_are_imported_when_asked_for(imported):
    assert imported["networks"] == [2, "jaxmtl.models"]
    with pytest.raises(AttributeError, match="nonsense"):
        _ = jaxmtl.nonsense


def test_what_is_handed_on_is_listed():
    assert {"fit", "models", "__version__"} <= set(dir(jaxmtl)) == set(jaxmtl.__all__)
    for name in jaxmtl.__all__:
        assert getattr(jaxmtl, name) is not None


@functools.cache
def public_objects():
    packages = ["jaxmtl"] + [
        f"jaxmtl.{m.name}" for m in pkgutil.iter_modules(jaxmtl.__path__) if m.name[0] != "_"
    ]
    seen = {}
    for name in packages:
        module = importlib.import_module(name)
        for attribute, value in inspect.getmembers(module):
            documented = inspect.isfunction(value) or inspect.isclass(value)
            if documented and not attribute.startswith("_"):
                home = getattr(value, "__module__", "")
                if home.startswith("jaxmtl") and "._" not in home:
                    seen[f"{home}.{value.__qualname__}"] = value
    return seen


# Results and states that are explained by the functions which return them.
WITHOUT_EXAMPLE = {
    "AugmentedLagrangianState",
    "Best",
    "ConstrainedHistory",
    "ConstrainedRun",
    "CrossValidated",
    "Cycle",
    "Divergence",
    "Event",
    "Events",
    "Evidence",
    "Fitted",
    "ForestModel",
    "Halved",
    "History",
    "LevelGates",
    "Looked",
    "Mixture",
    "Progress",
    "Run",
    "Trace",
    "Trained",
    "Violation",
}


@pytest.mark.parametrize("name", sorted(public_objects()))
def test_public_names_have_a_docstring_with_an_example(name):
    value = public_objects()[name]
    text = inspect.getdoc(value)
    assert text, f"{name} has no docstring"
    if issubclass(value, Exception) if inspect.isclass(value) else False:
        return
    if value.__name__ in WITHOUT_EXAMPLE:
        return
    assert doctest.DocTestParser().get_examples(text), f"{name} has no example"

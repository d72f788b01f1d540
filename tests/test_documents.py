"""Every .md file: examples run, pictures and links lead somewhere, tables are those of the code."""

import re
from pathlib import Path

import pytest

from jaxmtl.aggregation import LOSS_METHODS, REGISTRY
from jaxmtl.methods.study.arms import ARMS, ARMS_AT

ROOT = Path(__file__).parents[1]
FILES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("jaxmtl/*/README.md")),
    *ROOT.glob("experiments/*.md"),
]
TEXTS = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in FILES}
README = TEXTS["README.md"]
BLOCKS = [
    pytest.param(block, id=f"{path}-{place}")
    for path, text in TEXTS.items()
    for place, block in enumerate(re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL))
]


def test_the_front_page_has_the_two_commands_an_example_and_is_short():
    assert "&& .venv/bin/pip install -e . && .venv/bin/jaxmtl fit" in README
    assert "&& .venv/bin/pip install -e '.[test]' && .venv/bin/pytest" in README
    assert "```python" in README
    assert len(README.splitlines()) <= 200


@pytest.mark.parametrize("path", TEXTS)
def test_every_link_leads_somewhere(path):
    for link in re.findall(r"\]\(([^)]+)\)", TEXTS[path]):
        if link.startswith("https://"):
            continue
        file, _, heading = link.partition("#")
        found = (ROOT / path).parent / file if file else ROOT / path
        assert found.exists(), link
        if heading:
            assert heading in headings(found), link


def headings(path):
    found = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", text).lower().replace(" ", "-") for text in found]


@pytest.mark.few_optimizations
@pytest.mark.parametrize("block", BLOCKS)
def test_the_examples_run(block):
    names = {}
    exec("import jax, jax.numpy as jnp", names)
    exec(compile(block, "example", "exec"), names)
    assert "jaxmtl" in block


@pytest.mark.parametrize("name", [*REGISTRY, *LOSS_METHODS])
def test_every_method_has_its_row(name):
    method = (REGISTRY | LOSS_METHODS)[name]
    table = TEXTS["jaxmtl/aggregation/README.md"]
    (row,) = re.findall(rf"^\| `{name}` \|.*$", table, flags=re.MULTILINE)
    for text in (*method.needs, method.cost, *method.properties, method.paper):
        assert text in row


def test_every_arm_that_decides_or_has_a_number_in_its_name_is_explained():
    text = TEXTS["jaxmtl/comparison/README.md"]
    names = [f"{name}@{what}" for name, (what, _, _) in ARMS_AT.items()]
    for name in ("lookahead", "halving", "linear@tuned", *names):
        assert name in ARMS or "@" in name
        assert f"`{name}`" in text


def test_the_front_page_counts_the_methods():
    counted = re.search(r"(\d+) gradient aggregators, (\d+) loss methods", README)
    assert counted is not None
    assert tuple(map(int, counted.groups())) == (len(REGISTRY), len(LOSS_METHODS))


def test_every_package_with_a_page_shows_it():
    for path in ROOT.glob("jaxmtl/*/README.md"):
        if path.parent.name != "cli":  # whose docstrings are the commands' help
            assert ".. include:: README.md" in (path.parent / "__init__.py").read_text()


def test_every_network_has_its_row():
    from flax import linen

    from jaxmtl import models

    named = re.findall(r"`(\w+)`", TEXTS["jaxmtl/models/README.md"])
    networks = [
        name
        for name, kind in vars(models).items()
        if isinstance(kind, type) and issubclass(kind, linen.Module)
    ]
    assert set(networks) - {"Constrained", "LevelGates"} <= set(named)

import re
from pathlib import Path

import pytest

from jaxmtl.aggregation import LOSS_METHODS, REGISTRY

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_there_are_examples_and_the_two_commands():
    assert len(BLOCKS) >= 2
    assert "&& .venv/bin/pip install -e . && .venv/bin/jaxmtl fit" in README
    assert "&& .venv/bin/pip install -e '.[test]' && .venv/bin/pytest" in README


def test_every_picture_is_there():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert pictures
    for path in pictures:
        assert (Path(__file__).parents[1] / path).exists(), path


@pytest.mark.few_optimizations
@pytest.mark.parametrize("place", range(len(BLOCKS)))
def test_the_examples_run(place):
    names = {}
    exec("import jax, jax.numpy as jnp", names)
    exec(compile(BLOCKS[place], f"README example {place}", "exec"), names)
    assert "jaxmtl" in BLOCKS[place]


@pytest.mark.parametrize("name", [*REGISTRY, *LOSS_METHODS])
def test_every_method_has_its_row(name):
    method = (REGISTRY | LOSS_METHODS)[name]
    (row,) = re.findall(rf"^\| `{name}` \|.*$", README, flags=re.MULTILINE)
    for text in (*method.needs, method.cost, *method.properties, method.paper):
        assert text in row

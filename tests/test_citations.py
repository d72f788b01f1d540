"""What is cited: every method has its paper, and a run names those of its parts."""

import re

import pytest

import jaxmtl
from jaxmtl.aggregation import LOSS_METHODS, REGISTRY
from jaxmtl.methods import BASELINES, TABLE_FAMILIES
from jaxmtl.methods.study.arms import ARMS


@pytest.mark.parametrize("name", [*REGISTRY, *LOSS_METHODS])
def test_the_paper_is_that_of_the_table(name):
    paper = (REGISTRY | LOSS_METHODS)[name].paper
    found = jaxmtl.cite(name)
    assert bool(found) == (paper != "-")
    if found:
        author, year = re.split(r"[ ,]", paper)[0], re.findall(r"\b[12]\d{3}\b", paper)[0]
        assert author in found
        assert f"year = {{{year}}}" in found


NO_PAPER = {"mean", "linear", "independent", "ridge", "lookahead"}


@pytest.mark.parametrize("name", [*TABLE_FAMILIES, *ARMS, *BASELINES])
def test_every_arm_and_family_is_known(name):
    assert bool(jaxmtl.cite(name)) == (name not in NO_PAPER)


def test_each_paper_once_and_settings_do_not_matter():
    assert jaxmtl.cite("uncertainty+upgrad", "upgrad").count("@") == 2
    assert jaxmtl.cite("cagrad(c=0.4)") == jaxmtl.cite("cagrad")
    assert jaxmtl.cite("recon@2") == jaxmtl.cite("recon")
    assert jaxmtl.cite("ensemble@4:mmoe+upgrad") == jaxmtl.cite("ensemble", "mmoe", "upgrad")
    assert jaxmtl.cite("groups@2") == "" != jaxmtl.cite("grow@2")
    assert jaxmtl.cite("every(8, cagrad(c=0.4))") == jaxmtl.cite("every", "cagrad")
    assert jaxmtl.cite("conflict_map").count("@") == 2
    assert "Adaptive Hard Parameter Sharing" in jaxmtl.cite()


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"got 'upgard' \(did you mean 'upgrad'\?\)"):
        jaxmtl.cite("upgard")
    with pytest.raises(ValueError, match="expected names, as in 'every' and 'cagrad', got a float"):
        jaxmtl.cite(0.5)

"""Structures that cannot be, and numbers of other shapes, are refused in words."""

import types

import jax
import numpy as np
import pytest
from refused import check_refused

from jaxmtl.structure import (
    Layer,
    Structure,
    by_conflict,
    by_streak,
    cross_validated,
    merge_alike,
    place,
    shared,
)
from jaxmtl.structure.files import from_json
from jaxmtl.structure.members import make_members

AB = ("a", "b")
APART = (("a",), ("b",))
WHOLE = shared(AB, (4, 3))
LAYER = {"width": 2, "groups": [["a", "b"]]}
ROWS = types.SimpleNamespace(x=np.ones((6, 2)), y=np.ones((6, 2)), known=None)


def saved(**layer):
    from_json({"tasks": ["a", "b"], "layers": [LAYER | layer]})


CALLS = {
    "no tasks": lambda: Structure((), (Layer(2, ((),)),)),
    "a node twice": lambda: Structure(AB, (Layer(2, (AB,), ((1, APART), (1, APART))),)),
    "a layer that is a number": lambda: from_json({"tasks": ["a"], "layers": [3]}),
    "a field that is not known": lambda: saved(widht=3),
    "nodes in a list": lambda: saved(nodes=[1]),
    "a node in words": lambda: saved(nodes={"first": [["a"], ["b"]]}),
    "groups that are a text": lambda: saved(groups="ab"),
    "conflict of other layers": lambda: by_conflict(WHOLE, np.zeros((1, 2, 2))),
    "streaks of other nodes": lambda: by_streak(WHOLE, np.zeros(2), np.zeros((2, 3)), 1),
    "distances of other layers": lambda: merge_alike(WHOLE, [np.zeros((2, 2))], 0.1),
    "no structures": lambda: place([], 3),
    "outputs of other tasks": lambda: place([WHOLE], 3, (1, 1, 1)),
    "a single key": lambda: make_members(
        None, None, None, jax.random.key(0), stacked=False, devices=None
    ),
    "one fold": lambda: cross_validated(
        [WHOLE, WHOLE], ROWS, [np.arange(3)], key=jax.random.key(0)
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_what_is_refused(case):
    check_refused(CALLS[case])

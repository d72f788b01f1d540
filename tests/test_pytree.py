"""Classes of equal fields are told apart by every cache of JAX."""

import dataclasses
import itertools
import pickle

import jax
import numpy as np
import pytest

from jaxmtl import constraints
from jaxmtl._pytree import register_dataclass


def siblings(number):
    classes = [type(f"Class{i}", (), {"__annotations__": {"x": float}}) for i in range(number)]
    for i, cls in enumerate(classes):
        cls.shift = i
    return [register_dataclass(dataclasses.dataclass(cls)) for cls in classes]


@pytest.mark.few_optimizations
def test_a_jitted_function_runs_each_class_by_its_own_program():
    shifted = jax.jit(lambda value: value.x + value.shift)
    classes = siblings(60)
    assert [float(shifted(cls(0.5))) for cls in classes] == [0.5 + i for i in range(60)]


def test_sets_of_equal_fields_have_different_structures():
    sets = [
        constraints.Simplex(1.0),
        constraints.L1Ball(1.0),
        constraints.L2Ball(1.0),
        constraints.LInfBall(1.0),
    ]
    planes = [constraints.Hyperplane((1.0,), 1.0), constraints.HalfSpace((1.0,), 1.0)]
    for group in (sets, planes):
        for one, other in itertools.combinations(group, 2):
            assert jax.tree.structure(one) != jax.tree.structure(other)


@register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Named:
    weight: float
    name: str = dataclasses.field(metadata={"static": True})
    bias: float = 0.0


def test_static_fields_belong_to_the_structure_and_paths_name_the_others():
    value = Named(weight=1.0, bias=2.0, name="a")
    doubled = jax.tree.map(lambda v: 2 * v, value)
    assert doubled == Named(weight=2.0, bias=4.0, name="a")
    assert jax.tree.structure(value) != jax.tree.structure(dataclasses.replace(value, name="b"))
    assert jax.tree.structure(value) == jax.tree.structure(dataclasses.replace(value, weight=3.0))
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(value)]
    assert paths == [".weight", ".bias"]
    assert pickle.loads(pickle.dumps(value)) == value


def test_a_structure_of_placeholders_is_not_checked():
    plane = constraints.HalfSpace((1.0, 2.0), 0.0)
    holes = jax.tree.unflatten(jax.tree.structure(plane), [object(), object(), None])
    assert isinstance(holes, constraints.HalfSpace)
    with pytest.raises(ValueError, match="not 0"):
        constraints.HalfSpace(np.zeros(2).tolist())

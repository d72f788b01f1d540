"""Groups written by hand: whole blocks, slices, heads; and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmtl.sharing import (
    Part,
    compact,
    count_parameters,
    duplicate,
    open_banks,
    readers,
    task_view,
    unit_gradients,
)

PARAMS = {
    "blocks": {"kernel": jnp.arange(24.0).reshape(3, 2, 4), "bias": jnp.arange(12.0).reshape(3, 4)},
    "heads": {"weight": jnp.arange(12.0).reshape(6, 2)},
    "top": {"kernel": jnp.arange(6.0).reshape(2, 3), "bias": jnp.arange(3.0), "gain": jnp.ones(())},
}
GROUPS = {
    "first": [("blocks/kernel", -1, (0, 0)), ("blocks/bias", -1, (0, 0))],
    "last": [Part("blocks", axis=-1, at=(0, 2))],
    "heads": [Part("heads/weight", axis=0, width=3)],
    "top": ["top"],
}


def test_slices_wide_units_and_whole_layers_part_and_stay_what_they_are():
    banks, pointers = open_banks(PARAMS, GROUPS, num_tasks=2)
    shapes = jax.tree.map(jnp.shape, banks)
    assert shapes["blocks"] == {"kernel": (3, 2, 8), "bias": (3, 8)}
    assert shapes["heads"]["weight"] == (12, 2)
    assert shapes["top"] == {"kernel": (2, 2, 3), "bias": (2, 3), "gain": (2,)}

    @jax.jit
    def parted(banks, pointers):
        for group, column in (("first", 3), ("last", 0), ("last", 3), ("heads", 1), ("top", 0)):
            banks, pointers = duplicate(banks, pointers, group, column, [1])
        return banks, pointers

    view = jax.jit(task_view)
    banks, pointers = parted(banks, pointers)
    for task in range(2):
        jax.tree.map(np.testing.assert_array_equal, view(banks, pointers, task), PARAMS)
    assert pointers["last"].tolist() == [[0, 1, 2, 3], [4, 1, 2, 5]]
    assert readers(pointers, "top").tolist() == [[True, False], [False, True]]
    # Two and one numbers of a column of blocks, three times two of a head, ten of the top.
    assert count_parameters(banks, pointers) == 24 + 12 + 12 + 10 + 3 * 3 + 6 + 10
    # Each copy is where it should be, and the other slices have none.
    np.testing.assert_array_equal(banks["blocks"]["bias"][:, 4:6], [[3, 0], [0, 0], [8, 11]])
    np.testing.assert_array_equal(banks["heads"]["weight"][6:9], PARAMS["heads"]["weight"][3:])
    small, numbered = compact(banks, pointers)
    assert small["blocks"]["kernel"].shape == (3, 2, 6)
    jax.tree.map(np.testing.assert_array_equal, view(small, numbered, 1), PARAMS)
    moved = {**banks, "heads": {"weight": banks["heads"]["weight"].at[6:9].add(1.0)}}
    ours, theirs = (view(moved, pointers, t)["heads"]["weight"] for t in (1, 0))
    np.testing.assert_array_equal(theirs, PARAMS["heads"]["weight"])
    np.testing.assert_array_equal(ours[3:], PARAMS["heads"]["weight"][3:] + 1)


@pytest.mark.parametrize(
    ("groups", "options", "words"),
    [
        ({"g": [("tops/kernel", 0)]}, {}, "expected 'tops/kernel' to name .* in group 'g'"),
        ({"g": [("top/kernel", 2)]}, {}, "group 'g', leaf 'top/kernel' of shape .* -2 .. 1"),
        ({"g": [("top/gain", 0)]}, {}, "leaf 'top/gain' of shape .*: expected axis None, got 0"),
        ({"g": [("top/bias", 0), ("blocks/bias", 1)]}, {}, "'blocks/bias', as 'top/bias' has"),
        ({"g": [("top", None)], "h": [("top/bias", 0)]}, {}, "'top/bias' in 'g' and 'h'"),
        ({"g": [("top/bias", 0)]}, {"capacity": 2}, "3 units, along axis 0 of 'top/bias'"),
        ({"g": [("top/bias", 0)]}, {"capacity": {"h": 4}}, "names of groups, 'g', got 'h'"),
        ({"g": [("blocks/bias", 1, (0, 3))]}, {}, "a slice 0 .. 2 along axis 0, got 3"),
        ({"g": [("blocks/bias", 1, (1, 0))]}, {}, "along another axis than that of its units"),
        ({"g": [Part("heads/weight", 0, width=4)]}, {}, "units of 4 entries, got 6"),
        ({"g": [("top/kernel",)], "h": [Part("tied")]}, {}, "'tied' and 'top/kernel', which"),
        ({"g": "top"}, {}, "group 'g': expected a list of parts"),
        ({}, {}, "at least one group"),
        ({"g": [("top/bias", 0)]}, {"num_tasks": 0}, "num_tasks: expected a number > 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(groups, options, words):
    params = PARAMS | {"tied": PARAMS["top"]["kernel"]}
    with pytest.raises(ValueError, match=words):
        open_banks(params, groups, **({"num_tasks": 2} | options))


def test_gradients_of_units_are_slices_over_all_leaves_of_their_group():
    pointers = open_banks(PARAMS, GROUPS, num_tasks=2)[1]
    grads = jax.tree.map(lambda p: np.stack([p, -p]), PARAMS)
    last = unit_gradients(grads, pointers, "last")
    assert last.shape == (2, 4, 3)
    assert sorted(last[1, 1].tolist()) == [-21, -17, -9]  # kernel[2, :, 1] and bias[2, 1]
    heads = unit_gradients(grads, pointers, "heads")
    np.testing.assert_array_equal(heads[0, 1], PARAMS["heads"]["weight"][3:].reshape(-1))
    assert unit_gradients(grads, pointers, "top").shape == (2, 1, 10)
    with pytest.raises(ValueError, match="group 'heads', such as 'heads/weight', got 'top'"):
        unit_gradients({"top": jnp.ones(2)}, pointers, "heads")


def test_other_trees_and_other_numbers_are_refused():
    banks, pointers = open_banks(PARAMS, GROUPS, num_tasks=2)
    with pytest.raises(ValueError, match="'blocks/bias' with 8 entries along axis 1"):
        task_view(PARAMS, pointers, 0)
    with pytest.raises(ValueError, match="such as 'blocks/kernel', got 'params/blocks/bias'"):
        task_view({"params": banks}, pointers, 0)
    with pytest.raises(ValueError, match="task: expected 0 .. 1, got 2"):
        task_view(banks, pointers, 2)
    with pytest.raises(ValueError, match="group: expected one of 'first', .* got 'second'"):
        duplicate(banks, pointers, "second", 0, [0])
    with pytest.raises(ValueError, match="group 'top': expected some readers of node 0 in tasks"):
        duplicate(banks, pointers, "top", 0, [0, 1])
    full = open_banks(PARAMS, GROUPS, num_tasks=2, capacity={"top": 1})
    with pytest.raises(ValueError, match="group 'top': expected a free column"):
        duplicate(*full, "top", 0, [0])
    with pytest.raises(ValueError, match="others: expected leaves of other names.*'top/bias'"):
        open_banks(PARAMS, GROUPS, 2, others=[{"top": {"bias": jnp.ones(3)}}])

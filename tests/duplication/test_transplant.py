import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree
from some_cases import some

from jaxmtl import transplant

PARAMS = {
    "bank": {"kernel": jnp.arange(8.0).reshape(2, 4), "bias": jnp.arange(4.0)},
    "output": jnp.ones(3),
}


def trained(optimizer):
    grads = jax.tree.map(lambda leaf: leaf + 1.0, PARAMS)
    state = optimizer.init(PARAMS)
    for _ in range(3):
        _, state = optimizer.update(grads, state, PARAMS)
    return state


@pytest.mark.few_optimizations
@pytest.mark.parametrize(
    "optimizer",
    [optax.adam(0.1), optax.sgd(0.1, momentum=0.9), optax.adamw(0.1), optax.lamb(0.1)],
    ids=["adam", "momentum", "adamw", "lamb"],
)
def test_the_copy_gets_its_originals_moments_and_nothing_else_changes(optimizer):
    state = trained(optimizer)
    moved = jax.jit(lambda s: transplant(s, PARAMS, 1, 3, "copy"))(state)
    old, new = jax.tree.leaves(state), jax.tree.leaves(moved)
    assert jax.tree.structure(state) == jax.tree.structure(moved)
    columns = 0
    for a, b in zip(old, new, strict=True):
        if a.shape and a.shape[-1] == 4:
            columns += 1
            np.testing.assert_array_equal(b[..., 3], a[..., 1])
            np.testing.assert_array_equal(b[..., :3], a[..., :3])
        else:
            np.testing.assert_array_equal(a, b)
    assert columns


def test_flat_states_are_transplanted_in_place():
    plain, flat = optax.adam(0.1), optax.flatten(optax.adam(0.1))
    expected = transplant(trained(plain), PARAMS, 1, 3, "copy")
    found = transplant(trained(flat), PARAMS, 1, 3, "copy")
    np.testing.assert_array_equal(found[0].mu, ravel_pytree(expected[0].mu)[0])
    np.testing.assert_array_equal(found[0].nu, ravel_pytree(expected[0].nu)[0])


def test_tied_updates_after_a_copy_reproduce_the_node():
    """Copy and original with the same gradients go the way the one node would have gone."""
    optimizer = optax.adam(0.1)
    state, params = trained(optimizer), PARAMS
    node, copy = 1, 3
    params = {
        **params,
        "bank": jax.tree.map(lambda v: v.at[..., copy].set(v[..., node]), params["bank"]),
    }
    state = transplant(state, params, node, copy, "copy")
    for step in range(5):
        grads = jax.tree.map(lambda leaf, s=step: jnp.sin(leaf + s), params)
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        for leaf in jax.tree.leaves(params["bank"]):
            np.testing.assert_array_equal(leaf[..., node], leaf[..., copy])


def test_fresh_starts_anew_and_unknown_modes_are_refused():
    optimizer = optax.adam(0.1)
    state = transplant(trained(optimizer), PARAMS, 1, 3, "fresh", init=optimizer.init)
    assert state[0].count == 0
    assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(state[0].mu))
    with pytest.raises(ValueError, match="mode: expected one of 'fresh', 'copy', got 'zero'"):
        transplant(state, PARAMS, 1, 3, "zero")
    with pytest.raises(ValueError, match="expected init=optimizer.init"):
        transplant(state, PARAMS, 1, 3, "fresh")


FACTORED = list(
    itertools.product(["adafactor", "sm3", "lbfgs"], [(3, 7), (7, 3), (4, 4), (4, 3, 4)])
)


@pytest.mark.few_optimizations
@pytest.mark.parametrize("case", some(FACTORED, ("adafactor", (4, 4)), ("sm3", (4, 3, 4))))
def test_numbers_of_an_input_stay_and_those_of_a_column_are_copied(case):
    name, shape = case
    optimizer = {
        "adafactor": lambda: optax.adafactor(0.1, min_dim_size_to_factor=2),
        "sm3": lambda: optax.sm3(0.1),
        "lbfgs": lambda: optax.scale_by_lbfgs(3),
    }[name]()
    kernel = jnp.arange(1.0, 1 + np.prod(shape)).reshape(shape) ** 1.5
    params = {"bank": {"kernel": kernel, "bias": kernel.reshape(-1, shape[-1])[0]}, "out": kernel}
    # Tied columns have tied moments, whatever is summed: a copy of a column of one changes nothing.
    tied = jax.tree.map(lambda leaf: leaf.at[..., 2].set(leaf[..., 0]), params)

    @jax.jit
    def state_of(params):
        state = optimizer.init(params)
        for _ in range(2):
            _, state = optimizer.update(params, state, params)
        return state

    same = jax.jit(lambda s: transplant(s, tied, 0, 2, "copy"))(state_of(tied))
    for a, b in zip(jax.tree.leaves(same), jax.tree.leaves(state_of(tied)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    before = state_of(params)
    after = jax.jit(lambda s: transplant(s, params, 0, 2, "copy"))(before)
    copied = 0
    for (path, a), b in zip(
        jax.tree_util.tree_leaves_with_path(before), jax.tree.leaves(after), strict=True
    ):
        if not np.array_equal(a, b):
            copied += 1
            assert "bank" in jax.tree_util.keystr(path)
            np.testing.assert_array_equal(b[..., 2], a[..., 0])
    assert copied >= 2


def test_states_in_which_columns_cannot_be_told_are_refused():
    projected = optax.contrib.galore(0.1, rank=2)
    params = {"bank": jnp.ones((5, 6))}
    state = projected.init(params)
    with pytest.raises(ValueError, match='one number a parameter .* use mode "fresh"'):
        transplant(state, params, 0, 2, "copy")
    square = {"v": {"bank": jnp.ones(6)}}
    with pytest.raises(ValueError, match=r"\['v'\]\['bank'\] of shape \(6,\) for a parameter"):
        transplant(square, {"bank": jnp.ones((6, 6))}, 0, 2, "copy")

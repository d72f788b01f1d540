"""Splits and merges in optimizer state and statistics, and under vmap."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from jaxmtl.sharing import (
    Part,
    duplicate,
    merge,
    open_banks,
    output_change,
    pool_stats,
    split,
    task_view,
    transplant,
)

# The output axis is not the last of one kernel, and one holds slices.
PARAMS = {
    "out_first": {"weight": jnp.arange(1.0, 16.0).reshape(3, 5) / 7, "bias": jnp.arange(3.0)},
    "stacked": jnp.arange(1.0, 31.0).reshape(2, 3, 5) / 7,
    "block": {"stacked": jnp.arange(1.0, 5.0).reshape(2, 2)},
}
GROUPS = {
    "rows": [("out_first", 0)],
    "second": [Part("stacked", 2, at=(0, 1))],
    "block": ["block"],
}
BANKS, POINTERS = open_banks(PARAMS, GROUPS, num_tasks=2)
COPIES = (("rows", 1, 3), ("second", 0, 5), ("block", 0, 1))
SECOND = np.array([False, True])


def state_of(optimizer, banks):
    @jax.jit
    def trained(banks):
        state = optimizer.init(banks)
        for scale in (1.0, 0.3):
            grads = jax.tree.map(lambda p, scale=scale: jnp.sin(scale * p), banks)
            _, state = optimizer.update(grads, state, banks)
        return state

    return trained(banks)


OPTIMIZERS = {
    "adam": optax.adam(0.1),
    "adafactor": optax.adafactor(0.1, min_dim_size_to_factor=2),
    "sm3": optax.sm3(0.1),
    "flat": optax.flatten(optax.adam(0.1)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_copy_of_a_tied_column_changes_no_moment(name):
    """Equal columns have equal moments, whatever is summed."""
    # SM3 keeps one number for the columns of all slices, which are tied in one slice only.
    copies = COPIES if name != "sm3" else (COPIES[0], COPIES[2])
    tied = BANKS
    for group, column, _ in copies:
        tied, _ = duplicate(tied, POINTERS, group, column, [1])
    state = state_of(OPTIMIZERS[name], tied)

    @jax.jit
    def moved(state):
        for group, column, copy in copies:
            state = transplant(state, tied, POINTERS, group, column, copy, "copy")
        return state

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), moved(state), state)


def test_moments_follow_their_column_and_nothing_else_moves():
    optimizer = optax.adam(0.1)
    state = state_of(optimizer, BANKS)

    @jax.jit
    def parted(state):
        banks, pointers = BANKS, POINTERS
        for group, column, _ in COPIES:
            changed = split(banks, pointers, group, column, SECOND, opt_state=state)
            banks, pointers, _, state = changed
        return state

    moved, flat = parted(state)[0].mu, state_of(OPTIMIZERS["flat"], BANKS)
    expected = jax.tree.map(np.array, state[0].mu)
    expected["out_first"]["weight"][3] = expected["out_first"]["weight"][1]
    expected["out_first"]["bias"][3] = expected["out_first"]["bias"][1]
    expected["stacked"][1, :, 5] = expected["stacked"][1, :, 0]
    expected["block"]["stacked"][1] = expected["block"]["stacked"][0]
    jax.tree.map(np.testing.assert_array_equal, moved, expected)
    assert expected["stacked"][0, :, 5].tolist() == [0, 0, 0]
    np.testing.assert_array_equal(jax.jit(parted)(flat)[0].mu, ravel_pytree(expected)[0])
    fresh = split(
        BANKS, POINTERS, "rows", 1, SECOND, opt_state=state, mode="fresh", init=optimizer.init
    )
    assert fresh.opt_state[0].count == 0
    with pytest.raises(ValueError, match="expected init=optimizer.init"):
        transplant(state, BANKS, POINTERS, "rows", 1, 3, "fresh")
    galore = (optax.EmptyState(), {"out_first": {"weight": jnp.ones((4, 4))}})
    with pytest.raises(ValueError, match=r"'out_first'\]\['weight'\] of shape \(4, 4\)"):
        transplant(galore, BANKS, POINTERS, "rows", 1, 3, "copy")


def test_a_merge_undoes_a_split_and_says_what_it_changes():
    optimizer, stats = optax.adam(0.1), {"seen": jnp.arange(6.0)}
    groups = {"rows": [*GROUPS["rows"], ("seen", 0)]}
    pointers = open_banks(PARAMS, groups, 3, others=[{"seen": jnp.arange(3.0)}], capacity=6)[1]
    banks = open_banks(PARAMS, groups, 3, others=[{"seen": jnp.arange(3.0)}], capacity=6)[0]
    state = state_of(optimizer, banks)
    joined = jax.jit(merge, static_argnums=2)
    apart = jax.jit(split, static_argnums=2)(
        banks, pointers, "rows", 1, np.array([True, False, True]), stats=stats, opt_state=state
    )
    back = joined(*apart[:2], "rows", 1, 3, stats=apart.stats, opt_state=apart.opt_state)
    jax.tree.map(np.testing.assert_array_equal, back.pointers, pointers)
    jax.tree.map(np.testing.assert_array_equal, back.banks, banks)
    jax.tree.map(np.testing.assert_array_equal, back.opt_state, state)
    assert back.stats["seen"].tolist() == [0, 1, 2, 0, 4, 5]
    moved = {**apart.banks, "out_first": {**apart.banks["out_first"]}}
    moved["out_first"]["bias"] = moved["out_first"]["bias"].at[3].add(3.0)
    merged = joined(moved, apart.pointers, "rows", 1, 3)
    np.testing.assert_allclose(merged.banks["out_first"]["bias"][:4], [0, 3, 2, 0])  # two of three
    change = output_change(
        lambda view: view["out_first"]["bias"].sum(), (moved, apart.pointers), merged[:2]
    )
    np.testing.assert_allclose(change, 2.0)
    same = joined(moved, apart.pointers, "rows", 0, 3)  # another slot: no copy
    jax.tree.map(np.testing.assert_array_equal, same[:2], (moved, apart.pointers))
    with pytest.raises(ValueError, match="'rows': expected two columns that are copies of one"):
        merge(moved, apart.pointers, "rows", 0, 3)


def test_seeds_that_split_different_columns_in_one_vmap():
    params = jax.tree.map(lambda p: jnp.stack([p, p + 1, 2 * p]), BANKS)
    tables = jax.tree.map(lambda p: jnp.stack([p] * 3), POINTERS)
    columns = jnp.array([0, 2, 1])
    moving = jnp.array([[True, False], [False, True], [False, False]])  # the last has nothing

    @jax.jit
    @jax.vmap
    def both(banks, pointers, column, moving):
        banks, pointers = duplicate(banks, pointers, "rows", column, moving)
        return pointers, [task_view(banks, pointers, t) for t in range(2)]

    after, views = both(params, tables, columns, moving)
    assert after["rows"].tolist() == [
        [[3, 1, 2], [0, 1, 2]], [[0, 1, 2], [0, 1, 3]], [[0, 1, 2], [0, 1, 2]]
    ]  # fmt: skip
    wanted = jax.tree.map(lambda p: np.stack([p, p + 1, 2 * p]), PARAMS)
    for view in views:
        jax.tree.map(np.testing.assert_array_equal, view, wanted)


def test_statistics_of_a_column_are_the_mean_over_its_readers():
    stats = {"mean": jnp.zeros(4), "all": jnp.zeros(2), "steps": jnp.int32(3)}
    params = {"scale": jnp.ones(3)}
    one = {"mean": jnp.zeros(3), "all": jnp.zeros(2), "steps": jnp.int32(3)}
    groups = {"norm": [("scale", 0), ("mean", 0)]}
    banks, pointers = open_banks(params, groups, num_tasks=3, others=[one], capacity=4)
    _, pointers = duplicate(banks, pointers, "norm", 1, [0, 2])
    updated = [
        {"mean": jnp.array([0.1, t, 7.0]), "all": jnp.array([0.3, t]), "steps": jnp.int32(4)}
        for t in (1.0, 2.0, 6.0)
    ]
    pooled = jax.jit(pool_stats)(stats, pointers, updated)
    np.testing.assert_array_equal(pooled["mean"], np.float32([0.1, 2, 7, 3.5]))
    np.testing.assert_array_equal(pooled["all"], np.float32([0.3, 3]))
    assert pooled["steps"] == 4
    assert pooled["steps"].dtype == jnp.int32
    with pytest.raises(ValueError, match="statistics of 3 views, got 2"):
        pool_stats(stats, pointers, updated[:2])
    with pytest.raises(ValueError, match="statistics of 3 leaves"):
        pool_stats(stats, pointers, [{"mean": jnp.ones(3)}] * 3)

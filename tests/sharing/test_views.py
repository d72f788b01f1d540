"""No split anywhere in a network changes any output, to the bit."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sharing.networks import IMAGES, NETS
from some_cases import some

from jaxmtl.sharing import (
    compact,
    count_parameters,
    enlarge,
    open_banks,
    pool_stats,
    split,
    task_view,
)

CASES = [(library, tasks) for library in NETS for tasks in range(2, 7)]


def opened(net, tasks, **options):
    others = () if net.stats is None else [net.stats]
    banks, pointers = open_banks(net.params, net.groups, tasks, others=others, **options)
    return banks, net.stats and enlarge(net.stats, pointers), pointers


@functools.partial(jax.jit, static_argnums=(0, 4))
def outputs(apply, banks, stats, pointers, train):
    """Of every task's own view, and the statistics after it."""
    key = jax.random.key(3) if train else None
    found, after = [], []
    for task in range(pointers.num_tasks):
        views = [tree and task_view(tree, pointers, task) for tree in (banks, stats)]
        y, updated = apply(*views, IMAGES, key)
        found.append(y[:, task])
        after.append(updated)
    return jnp.stack(found, axis=1), stats and pool_stats(stats, pointers, after)


def random_split(rng, pointers):
    """A group, a column with several readers, and some but not all of them; None if all part."""
    choices = []
    for name, table in pointers.columns.items():
        for column in np.unique(table):
            who = np.flatnonzero((np.asarray(table) == column).any(axis=1))
            choices += [(name, column, who)] if len(who) > 1 else []
    if not choices:
        return None
    name, column, who = choices[rng.integers(len(choices))]
    moving = np.zeros(pointers.num_tasks, bool)
    moving[rng.choice(who, rng.integers(1, len(who)), replace=False)] = True
    return name, column, moving


def same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize("case", some(CASES, ("linen", 3)))
def test_any_splits_keep_every_bit_of_every_output(case):
    library, tasks = case
    net = NETS[library](tasks)
    first = state = opened(net, tasks)
    modes = (False,) if net.stats is None else (False, True)
    before = [outputs(net.apply, *state, train) for train in modes]
    fresh = jax.jit(net.apply)(net.params, net.stats, IMAGES, None)[0]
    np.testing.assert_allclose(before[0][0], fresh, rtol=1e-5, atol=1e-6)
    rng, parting, groups = np.random.default_rng(tasks), jax.jit(split, static_argnums=2), set()
    for _ in range(12):
        chosen = random_split(rng, state[2])
        if chosen is None:
            break
        banks, stats, pointers = state
        changed = parting(banks, pointers, *chosen, stats=stats)
        state = changed.banks, changed.stats, changed.pointers
        groups.add(chosen[0])
        assert not np.array_equal(changed.pointers[chosen[0]], pointers[chosen[0]])
    assert len(groups) > 2
    for train in modes:
        y, pooled = outputs(net.apply, *state, train)
        np.testing.assert_array_equal(y, before[train][0])
        if train:  # all are trained on the same rows so far
            for task in range(tasks):
                old, new = before[1][1], pooled
                same(task_view(old, first[2], task), task_view(new, state[2], task))


def test_without_its_free_columns_it_is_the_same_network_and_as_large():
    net = NETS["linen"](3)
    banks, stats, pointers = opened(net, 3, capacity={"Conv_0": 9, "Dense_0": 4})
    assert count_parameters(banks, pointers) == sum(p.size for p in jax.tree.leaves(net.params))
    parting = jax.jit(split, static_argnums=2)
    for group, column, tasks in (("Conv_0", 2, [0, 2]), ("Conv_1", 4, [1]), ("Conv_0", 0, [1])):
        moving = np.isin(np.arange(3), tasks)
        banks, pointers, stats, _ = parting(banks, pointers, group, column, moving, stats=stats)
    more = 2 * (9 * 2 + 3) + (9 + 3)
    assert count_parameters(banks, pointers) == more + sum(
        p.size for p in jax.tree.leaves(net.params)
    )
    small, numbered = compact(banks, pointers)
    assert [g.capacity for g in numbered.groups] == [9, 15, 3]
    assert small["Conv_0"]["kernel"].shape == (3, 3, 2, 9)
    assert count_parameters(small, numbered) == sum(p.size for p in jax.tree.leaves(small))
    for task in range(3):
        same(task_view(banks, pointers, task), task_view(small, numbered, task))
        views = [
            task_view(tree, p, task)
            for tree, p in ((stats, pointers), (compact(stats, pointers)[0], numbered))
        ]
        same(*views)

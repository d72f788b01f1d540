"""The numbering of columns within an epoch: another way to write down the same network."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from drawn import drawn_parameters
from same_runs import assert_same_run
from some_cases import some

from jaxmtl import HardSharing, Phase, Rows, Splits, fit_adaptive, initial_head_index
from jaxmtl.duplication import (
    align,
    can_align,
    duplicate_node,
    inverse_order,
    readers,
    select_columns,
    slots_to_columns,
    split_all,
)
from jaxmtl.training.phased import checks

pytestmark = pytest.mark.few_optimizations


@functools.cache
def reachable(tasks, nodes):
    """All head indices that duplications lead to, found one after the other."""
    start = tuple(map(tuple, np.tile(np.arange(nodes), (tasks, 1)).tolist()))
    found, waiting = {start}, [start]
    while waiting:
        table = np.array(waiting.pop())
        spare = [c for c in range(tasks * nodes) if c not in table]
        for node in np.unique(table):
            reading = np.flatnonzero((table == node).any(axis=1))
            for size in range(1, len(reading)):
                for moving in itertools.combinations(reading, size):
                    new = table.copy()
                    for task in moving:
                        new[task][new[task] == node] = spare[0]
                    key = tuple(map(tuple, new.tolist()))
                    if key not in found:
                        found.add(key)
                        waiting.append(key)
    return np.array(sorted(found), np.int32)


@pytest.mark.parametrize(("tasks", "nodes"), [(2, 3), (3, 2)])
def test_the_same_network_under_the_new_numbers(tasks, nodes):
    tables = reachable(tasks, nodes)
    assert len(tables) > 15
    assert all(can_align(table, tasks * nodes) for table in tables)
    rng = np.random.default_rng(0)
    capacity = tasks * nodes
    leaf = rng.normal(size=(len(tables), 4, capacity)).astype(np.float32)
    slots = rng.normal(size=(len(tables), 2, tasks, nodes)).astype(np.float32)
    cotangent = rng.normal(size=(len(tables), 4, tasks, nodes)).astype(np.float32)

    @jax.jit
    @jax.vmap
    def both(table, leaf, slots, cotangent):
        index, order = align(table)
        back = inverse_order(order)
        old, pull_old = jax.vjp(lambda leaf: select_columns(leaf, table), leaf)
        new, pull_new = jax.vjp(lambda leaf: select_columns(leaf[:, order], index), leaf)
        return order, [
            (old, new),
            (pull_old(cotangent), pull_new(cotangent)),
            (readers(table, capacity), readers(index, capacity)[:, back]),
            (
                slots_to_columns(slots, table, capacity),
                slots_to_columns(slots, index, capacity)[..., back],
            ),
        ]

    order, pairs = both(tables, leaf, slots, cotangent)
    np.testing.assert_array_equal(np.sort(order, axis=1), np.tile(range(capacity), (len(order), 1)))
    for place, (old, new) in enumerate(pairs):
        if place == 1:  # sums of up to three readers, in another order
            jax.tree.map(
                lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), old, new
            )
        else:
            np.testing.assert_array_equal(old, new)


def test_what_cannot_be_aligned():
    assert not can_align(initial_head_index(2, 3), 5)
    assert not can_align(jnp.array([[1, 0], [0, 1]]), 4)
    assert can_align(jnp.array([[0, 3, 2], [0, 1, 2]]), 6)


rng = np.random.default_rng(1)
X = rng.uniform(size=(24, 4)).astype(np.float32)
Y = rng.uniform(size=(24, 3)).astype(np.float32)
KNOWN = rng.uniform(size=(24, 3)) < 0.8
PHASES = (Phase(4, 1, 3), Phase(3, 1, 3), Phase(3, 2, 2), Phase(2))

RUNS = {
    "study": (2, {}, {}),
    "three tasks": (3, {}, {"zeros": "hold"}),
    "weights": (2, {"activation": "relu", "output_activation": None}, {"optimizer": optax.sgd}),
    "three tasks by weights": (3, {"activation": "tanh"}, {"transplant": "copy"}),
    "unknown labels": (3, {}, {"rule": "strict"}),
    "batches": (2, {"towers": (3,)}, {"batch_size": 5, "transplant": "copy"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_runs_are_the_same(name, monkeypatch):
    tasks, fields, options = RUNS[name]
    known = KNOWN if name == "unknown labels" else None
    data = Splits(Rows(X, Y[:, :tasks], known), test=Rows(X[:7], Y[:7, :tasks]))
    model = HardSharing(outputs=(1,) * tasks, **fields)
    params = drawn_parameters(model, X[:1])["params"]
    train = functools.partial(fit_adaptive, model, data, params=params, phases=PHASES, **options)
    can_align, answers = checks._can_align, []
    monkeypatch.setattr(
        checks, "_can_align", lambda *a: answers.append(can_align(*a)) or answers[-1]
    )
    aligned = train()
    assert answers == [True]
    monkeypatch.setattr(checks, "_can_align", lambda *_: False)
    plain = train()
    assert len(plain.events) >= 2
    assert_same_run(aligned, plain)


@pytest.mark.parametrize("tasks", some([2, 3], 3))
def test_a_full_split_keeps_every_bit_of_every_prediction(tasks):
    model = HardSharing(outputs=(1,) * tasks)
    params = drawn_parameters(model, X[:1])["params"]
    first, index = duplicate_node(params, model.initial_head_index(), 1, [0])
    apart, own = split_all(first, index)
    predict = jax.jit(lambda p, i: model.apply({"params": p}, X, i))
    np.testing.assert_array_equal(predict(first, index), predict(apart, own))
    assert own.tolist() == np.arange(tasks * 3).reshape(tasks, 3).tolist()
    with pytest.raises(ValueError, match="split_all: expected a bank of at least"):
        split_all({"bank": jnp.zeros(4)}, initial_head_index(2, 3))

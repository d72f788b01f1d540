import dataclasses
import functools
import itertools

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn import drawn_parameters
from some_cases import some

from jaxmtl import (
    HardSharing,
    bank_capacity,
    check_head_index,
    compact,
    copy_column,
    count_parameters,
    duplicate_node,
    free_column,
    initial_head_index,
    readers,
    sample_task_gradients,
    select_columns,
    slots_to_columns,
)
from jaxmtl.duplication import moving_readers

X = np.random.default_rng(0).uniform(-1, 2, (17, 4)).astype(np.float32)


def network(tasks, nodes=3, **fields):
    model = HardSharing(nodes=nodes, outputs=(1,) * tasks, towers=(4,), **fields)
    return model, drawn_parameters(model, X, seed=tasks)["params"]


def random_split(rng, head_index, tasks):
    """A node with several readers, and some but not all of them; None if all are parted."""
    table = np.asarray(head_index)
    shared = [
        (k, who)
        for k in np.unique(table)
        if len(who := np.flatnonzero((table == k).any(axis=1))) > 1
    ]
    if not shared:
        return None
    node, who = shared[rng.integers(len(shared))]
    moving = np.zeros(tasks, bool)
    moving[rng.choice(who, rng.integers(1, len(who)), replace=False)] = True
    return int(node), moving


split = jax.jit(duplicate_node)


@functools.partial(jax.jit, static_argnums=0)
def predict(model, params, head_index, x):
    return model.apply({"params": params}, x, head_index)


@pytest.mark.parametrize("tasks", some([2, 3, 4, 5], 3))
@hypothesis.settings(derandomize=True, deadline=None, max_examples=3)
@hypothesis.given(seed=st.integers(0, 10**6))
def test_any_sequence_of_duplications_keeps_every_bit_of_every_prediction(tasks, seed):
    model, params = network(tasks, activation="sigmoid" if tasks % 2 else "relu")
    head_index = initial_head_index(tasks, 3)
    before, before_row = (predict(model, params, head_index, x) for x in (X, X[:1]))
    rng, count = np.random.default_rng(seed), 0
    while (choice := random_split(rng, head_index, tasks)) is not None:
        params, head_index = split(params, head_index, *choice)
        count += 1
        np.testing.assert_array_equal(predict(model, params, head_index, X), before)
        np.testing.assert_array_equal(predict(model, params, head_index, X[:1]), before_row)
        assert (np.bincount(np.asarray(head_index).ravel()).sum()) == tasks * 3
    # Every slot of every task ends with a column of its own, and never more than the capacity.
    assert count == (tasks - 1) * 3
    assert len(np.unique(head_index)) == tasks * 3
    small, small_index = compact(params, head_index)
    after = predict(model.clone(capacity=bank_capacity(small)), small, small_index, X)
    np.testing.assert_array_equal(after, before)


@pytest.mark.few_optimizations
def test_three_duplications_in_one_trace_and_seeds_that_split_different_nodes_in_one_vmap():
    model = HardSharing()
    traces = []

    @jax.jit
    def split_first(params, head_index, node):
        traces.append(None)
        return duplicate_node(params, head_index, node, jnp.array([True, False]))

    draws = [drawn_parameters(model, X, seed)["params"] for seed in range(3)]
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *draws)
    index = jnp.tile(initial_head_index(2, 3)[None], (3, 1, 1))
    nodes = jnp.array([[0, 1, 2], [2, 0, 1], [1, 2, 0]])
    together = (params, index)
    side_by_side = jax.jit(jax.vmap(duplicate_node, in_axes=(0, 0, 0, None)))
    for j in range(3):
        together = side_by_side(*together, nodes[:, j], jnp.array([True, False]))
    for s in range(3):
        alone = jax.tree.map(lambda leaf, s=s: leaf[s], (params, index))
        for j in range(3):
            alone = split_first(*alone, nodes[s, j])
        for a, b in zip(
            jax.tree.leaves(alone),
            jax.tree.leaves(jax.tree.map(lambda leaf, s=s: leaf[s], together)),
            strict=True,
        ):
            np.testing.assert_array_equal(a, b)
    assert len(traces) == 1


def test_gradients_of_copy_and_original_add_up_and_tasks_are_isolated():
    model, params = network(2)
    targets = jnp.asarray(np.random.default_rng(1).uniform(size=(17, 2)), jnp.float32)

    @jax.jit
    def gradients(params, index):
        def loss_fn(p, batch):
            return ((model.apply({"params": p}, batch[0], index) - batch[1]) ** 2).mean(axis=0)

        return sample_task_gradients(loss_fn)(params, (jnp.asarray(X), targets))["bank"]["kernel"]

    index = initial_head_index(2, 3)
    old = gradients(params, index)
    split_params, split_index = duplicate_node(params, index, 1, [0])
    new = gradients(split_params, split_index)
    np.testing.assert_allclose(new[:, 0, :, 3], old[:, 0, :, 1], rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(new[:, 1, :, 1], old[:, 1, :, 1], rtol=1e-5, atol=1e-8)
    assert not np.asarray(new[:, 0, :, 1]).any()  # task 0 no longer reads the original
    assert not np.asarray(new[:, 1, :, 3]).any()  # and task 1 never reads the copy
    assert not np.asarray(new[..., 4:]).any()  # spare columns have no gradient at all


def test_a_full_split_is_independent_bank_and_heads():
    """With every node parted, the losses are those of one hand-built head a task."""
    model, params = network(2)
    index = initial_head_index(2, 3)
    for node in range(3):
        params, index = duplicate_node(params, index, node, [0])
    params = jax.tree.map(lambda leaf: leaf * 1.01, params)  # move off the common start
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    a = sigmoid(X @ p["shared_0"]["kernel"] + p["shared_0"]["bias"])
    expected = []
    for t in range(2):
        columns = np.asarray(index[t])
        h = sigmoid(a @ p["bank"]["kernel"][:, columns] + p["bank"]["bias"][columns])
        h = sigmoid(h @ p["tower_0"]["kernel"][t] + p["tower_0"]["bias"][t])
        expected.append(sigmoid(h @ p["output"]["kernel"][t] + p["output"]["bias"][t])[:, 0])
    found = predict(model, params, index, X)
    np.testing.assert_allclose(found, np.stack(expected, axis=1), rtol=1e-5)


@pytest.mark.few_optimizations
def test_readers_slots_and_free_columns_agree_with_enumeration():
    index = jnp.array([[5, 1, 2], [0, 1, 4]])
    expected = [[k in row for k in range(7)] for row in index.tolist()]
    assert readers(index, 7).tolist() == expected
    assert free_column(index, 7) == 3
    assert free_column(initial_head_index(2, 3), 3) == -1
    values = jnp.arange(6.0).reshape(1, 2, 3)
    moved = slots_to_columns(values, index, 7)
    for t, j in itertools.product(range(2), range(3)):
        assert moved[0, t, index[t, j]] == values[0, t, j]
    assert moved.sum() == values.sum()


@pytest.mark.few_optimizations
def test_the_gradient_of_the_gather_is_the_scatter_it_stands_for():
    leaf = jax.random.normal(jax.random.key(0), (4, 7))
    index = jnp.array([[5, 1, 2], [0, 1, 2], [6, 1, 0]])
    weights = jax.random.normal(jax.random.key(1), (4, 3, 3))
    mine = jax.grad(lambda k: (select_columns(k, index) * weights).sum())(leaf)
    literal = np.zeros((4, 7))
    for t, j in itertools.product(range(3), range(3)):
        literal[:, index[t, j]] += weights[:, t, j]
    np.testing.assert_allclose(mine, literal, rtol=1e-6, atol=1e-7)


@pytest.mark.few_optimizations
def test_any_pytree_with_a_bank_is_served():
    @jax.tree_util.register_dataclass
    @dataclasses.dataclass
    class Layer:
        kernel: jax.Array

    @jax.tree_util.register_dataclass
    @dataclasses.dataclass
    class Net:
        bank: Layer
        head: jax.Array

    net = Net(bank=Layer(kernel=jnp.arange(4.0)), head=jnp.ones(2))
    split, index = duplicate_node(net, initial_head_index(2, 2), 0, [1])
    assert split.bank.kernel.tolist() == [0.0, 1.0, 0.0, 3.0]
    assert index.tolist() == [[0, 1], [2, 1]]
    layers = [jnp.zeros(3), jnp.arange(4.0)]
    second = lambda path: path[0] == jax.tree_util.SequenceKey(1)  # noqa: E731
    split, _ = duplicate_node(layers, initial_head_index(2, 2), 1, [0], bank=second)
    assert split[1].tolist() == [0.0, 1.0, 1.0, 3.0]
    channels = {"bank": {"kernel": jnp.arange(8.0).reshape(2, 1, 1, 4)}}
    copied = copy_column(channels, 1, 3)["bank"]["kernel"]
    np.testing.assert_array_equal(copied[..., 3], copied[..., 1])


@pytest.mark.few_optimizations
def test_nothing_to_part_is_a_sentence_if_known_and_no_change_if_traced():
    params, index = {"bank": jnp.arange(4.0)}, initial_head_index(2, 2)
    for tasks, mask in (([], [False, False]), ([0, 1], [True, True])):
        with pytest.raises(ValueError, match="expected some readers of node 1 in tasks and some"):
            duplicate_node(params, index, 1, tasks)
        same, same_index = jax.jit(duplicate_node)(params, index, 1, jnp.array(mask))
        np.testing.assert_array_equal(same["bank"], params["bank"])
        np.testing.assert_array_equal(same_index, index)
    full = {"bank": jnp.arange(2.0)}
    with pytest.raises(ValueError, match="whose 2 columns are all read; give the model a larger"):
        duplicate_node(full, index, 1, [0])
    _, unchanged = jax.jit(duplicate_node)(full, index, 1, jnp.array([True, False]))
    np.testing.assert_array_equal(unchanged, index)


@pytest.mark.few_optimizations
def test_bad_input_is_one_sentence():
    params, index = {"bank": jnp.arange(4.0)}, initial_head_index(2, 2)
    with pytest.raises(ValueError, match=r"tasks: expected numbers 0 .. 1, got 5"):
        duplicate_node(params, index, 0, [5])
    with pytest.raises(ValueError, match=r"tasks: expected a mask of shape \(2,\), got \(3,\)"):
        duplicate_node(params, index, 0, jnp.ones(3, bool))
    with pytest.raises(ValueError, match="params: expected leaves with 'bank' in their path, got"):
        duplicate_node({"layer": jnp.ones(3)}, index, 0, [0])
    with pytest.raises(ValueError, match="bank leaves with one common last axis"):
        bank_capacity({"bank": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(2)}})
    with pytest.raises(ValueError, match="different columns at the slots of a task, got"):
        check_head_index(jnp.array([[0, 0]]), 4)
    with pytest.raises(ValueError, match=r"got 7 at task 0, slot 1"):
        HardSharing(outputs=(1,), nodes=2).init(
            jax.random.key(0), jnp.ones((1, 2)), jnp.array([[0, 7]])
        )
    with pytest.raises(ValueError, match="integers of shape"):
        check_head_index(jnp.ones((2, 2)), 4)
    with pytest.raises(ValueError, match="concrete head_index, got a traced one"):
        jax.jit(lambda i: compact(params, i))(index)


@pytest.mark.few_optimizations
def test_spare_columns_do_not_count():
    model, params = network(2)
    index = model.initial_head_index()
    start = count_parameters(params, index)
    split, split_index = duplicate_node(params, index, 0, [0])
    assert count_parameters(split, split_index) == start + 5  # four weights and a bias
    assert count_parameters(params) == start + 3 * 5


def test_readers_part_by_sign_and_the_unknown_stay():
    part = jax.jit(moving_readers)
    every = np.array([True, True, True, True])
    for gradients, reads, known, expected in (
        ([-1.0, 2.0, -3.0, 0.0], every, every, [0, 2]),
        ([0.0, -2.0, 3.0, -1.0], every, every, [0, 2]),  # 0 counts as positive
        ([1.0, 2.0, 3.0, 4.0], every, every, [0]),  # all of one sign: one goes alone
        ([-1.0, 2.0, 3.0, -4.0], ~np.eye(4, dtype=bool)[0], every, [1, 2]),
        ([-1.0, np.nan, 3.0, -4.0], every, ~np.eye(4, dtype=bool)[0], [2]),
        ([np.nan, np.nan, 3.0, -4.0], ~np.eye(4, dtype=bool)[3], every, [0]),  # nothing is told
    ):
        moving = part(np.float32(gradients), reads, known)
        assert np.flatnonzero(moving).tolist() == expected

import itertools

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from some_cases import some

from jaxmtl import (
    Evidence,
    count_conflicts,
    node_conflict,
    sign_conflict,
    update_streak,
    weight_conflict,
)

VALUES = (-2.0, -0.0, 0.0, 1.5)
derandomized = hypothesis.settings(derandomize=True, deadline=None, max_examples=60)


def pair_conflict(a, b, rule):
    return (a >= 0) != (b >= 0) if rule == "nonnegative" else a * b < 0


def literal_conflict(gradients, reads, rule):
    """Any pair of readers, by enumeration."""
    readers = [g for g, r in zip(gradients, reads, strict=True) if r]
    return any(pair_conflict(a, b, rule) for a, b in itertools.combinations(readers, 2))


@pytest.mark.parametrize("rule", ["nonnegative", "strict"])
@pytest.mark.parametrize("tasks", some([2, 3, 4], 3))
def test_sign_conflict_equals_enumeration_of_pairs(tasks, rule):
    gradients = np.array(list(itertools.product(VALUES, repeat=tasks)), np.float32)
    for reads in itertools.product([True, False], repeat=tasks):
        expected = [literal_conflict(row, reads, rule) for row in gradients]
        mask = jnp.array(reads)[:, None]
        found = sign_conflict(jnp.asarray(gradients)[:, :, None], mask[None], rule=rule)
        assert found[:, 0].tolist() == expected


def test_many_tasks_take_the_reduction_and_agree_with_the_chain():
    gradients = jax.random.normal(jax.random.key(0), (50, 12, 3))
    few = sign_conflict(gradients[:, :8], task_axis=1)
    repeated = jnp.concatenate([gradients[:, :8]] + [gradients[:, :1]] * 4, axis=1)
    many = sign_conflict(repeated, task_axis=-2)
    np.testing.assert_array_equal(few, many)


def test_a_task_that_does_not_read_makes_no_conflict():
    gradients = jnp.array([[-1.0], [0.0]])  # the second task's head does not use the node
    reads = jnp.array([[True], [False]])
    assert sign_conflict(gradients).item()
    assert not sign_conflict(gradients, reads).item()


def test_permutation_of_tasks_and_positive_scaling_change_nothing():
    gradients = jax.random.normal(jax.random.key(1), (40, 4, 5))
    reads = jax.random.bernoulli(jax.random.key(2), 0.7, (4, 5))
    order = jnp.array([2, 0, 3, 1])
    scale = jnp.array([0.1, 3.0, 20.0, 1.0])[None, :, None]
    base = sign_conflict(gradients, reads)
    np.testing.assert_array_equal(base, sign_conflict(gradients[:, order], reads[order]))
    np.testing.assert_array_equal(base, sign_conflict(gradients * scale, reads))


@pytest.mark.parametrize("rule", ["nonnegative", "strict"])
def test_factorised_conflict_equals_the_products(rule):
    """Every combination of activation and deltas, zeros and signs of zero included."""
    rows = np.array(list(itertools.product(VALUES, repeat=3)), np.float32)
    a, deltas = rows[:, :1], rows[:, 1:, None]
    products = a[:, None, :, None] * deltas[:, :, None, :]  # (batch, tasks, inputs, nodes)
    reads = jnp.ones((2, 1), bool)
    literal = sign_conflict(jnp.asarray(products).swapaxes(1, 2), reads[None], rule=rule)
    found = weight_conflict(jnp.asarray(a), jnp.asarray(deltas), reads, rule=rule)
    np.testing.assert_array_equal(found.conflict, literal)
    np.testing.assert_array_equal(found.zero, (products == 0).all(axis=1))
    positive = rows[:, 0] > 0
    node = node_conflict(jnp.asarray(deltas), reads, rule=rule)
    np.testing.assert_array_equal(node.conflict[positive], literal[positive][:, 0])


def literal_streak(streak, evidence, zeros):
    rows = []
    for conflict, zero, comparable in zip(*map(np.asarray, evidence), strict=True):
        if conflict:
            streak += 1
        elif comparable and not (zeros == "hold" and zero):
            streak = 0
        rows.append(streak)
    return rows


MARKS = st.sampled_from(["conflict", "none", "zero", "alone"])
LENGTHS = st.sampled_from([1, 2, 12])  # each is compiled
marks = LENGTHS.flatmap(lambda size: st.lists(MARKS, min_size=size, max_size=size))


runs_of = jax.jit(update_streak, static_argnames="zeros")


def evidence_of(kinds):
    kinds = np.array(kinds)
    return Evidence(conflict=kinds == "conflict", zero=kinds == "zero", comparable=kinds != "alone")


@derandomized
@hypothesis.given(marks, st.integers(0, 9), st.sampled_from(["reset", "hold"]))
def test_run_lengths_equal_a_loop(kinds, streak, zeros):
    evidence = evidence_of(kinds)
    found = runs_of(np.int32(streak), evidence, zeros=zeros)
    assert found.tolist() == literal_streak(streak, evidence, zeros)


@derandomized
@hypothesis.given(
    st.lists(MARKS, min_size=12, max_size=12),
    st.sampled_from([1, 10, 11]),
    st.sampled_from(["reset", "hold"]),
)
def test_streaks_run_on_across_batches(kinds, cut, zeros):
    whole = runs_of(np.int32(0), evidence_of(kinds), zeros=zeros)
    head = runs_of(np.int32(0), evidence_of(kinds[:cut]), zeros=zeros)
    rest = runs_of(np.asarray(head)[-1], evidence_of(kinds[cut:]), zeros=zeros)
    assert head.tolist() + rest.tolist() == whole.tolist()


def test_a_threshold_of_two_is_reached_across_batches_of_one():
    streak = jnp.int32(0)
    for _ in range(2):
        streak = update_streak(streak, evidence_of(["conflict"]))[-1]
    assert streak == 2


def test_saturation_in_float32_resets_or_holds_by_policy():
    """The derivative of the sigmoid is exactly 0 beyond about 17: nothing that the data say."""
    slope = jax.grad(jax.nn.sigmoid)
    assert slope(jnp.float32(18.0)) == 0
    deltas = jnp.array([1.0, -1.0])[None, :, None] * slope(jnp.float32(18.0))
    evidence = node_conflict(deltas, jnp.ones((2, 1), bool))
    before = jnp.array([5])
    assert update_streak(before, evidence).tolist() == [[0]]
    assert update_streak(before, evidence, zeros="hold").tolist() == [[5]]


def test_unknown_labels_leave_the_streak_under_both_policies():
    deltas = jnp.array([[[1.0], [0.0]]])
    known = jnp.array([[[True], [False]]])
    for zeros in ("reset", "hold"):
        evidence = node_conflict(deltas, known)
        assert update_streak(jnp.array([4]), evidence, zeros=zeros).tolist() == [[4]]


def test_counting_is_jitted_vmapped_and_traced_once():
    traces = []

    @jax.jit
    def count(gradients, reads):
        traces.append(None)
        return count_conflicts(sign_conflict(gradients, reads))

    gradients = jax.random.normal(jax.random.key(0), (6, 30, 3, 4))
    reads = jnp.ones((3, 4), bool)
    loop = [count_conflicts(sign_conflict(g, reads)) for g in gradients]
    for g, expected in zip(gradients, loop, strict=True):
        np.testing.assert_array_equal(count(g, reads), expected)
    assert len(traces) == 1
    np.testing.assert_array_equal(jax.vmap(count, in_axes=(0, None))(gradients, reads), loop)
    half = count_conflicts(sign_conflict(gradients[0], reads), jnp.arange(30)[:, None] < 15)
    np.testing.assert_array_equal(half, count(gradients[0, :15], reads))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_works_in_every_precision(dtype):
    gradients = jnp.array([[1.0, -1.0, 0.0], [2.0, 3.0, -1.0]], dtype)
    assert sign_conflict(gradients).tolist() == [False, True, True]


def test_bad_input_is_one_sentence():
    with pytest.raises(ValueError, match="rule: expected one of 'nonnegative', 'strict', got 'x'"):
        sign_conflict(jnp.ones((2, 2)), rule="x")
    with pytest.raises(ValueError, match="expected axes .* got shape"):
        sign_conflict(jnp.ones(2))
    with pytest.raises(ValueError, match=r"shape \(2, 5, 4\): pass task_axis=0 for what task_grad"):
        sign_conflict(jnp.ones((2, 5, 4)))
    for readers in ((2, 4), (5, 3), (5,)):
        with pytest.raises(ValueError, match="readers: expected axes .* got shape"):
            sign_conflict(jnp.ones((2, 5, 4)), jnp.ones(readers, bool))
    with pytest.raises(ValueError, match="zeros: expected one of 'reset', 'hold', got 'skip'"):
        update_streak(jnp.int32(0), evidence_of(["zero"]), zeros="skip")


def test_the_gradients_of_a_kernel_are_read_by_tasks():
    kernels = jax.random.normal(jax.random.key(4), (2, 5, 4))
    expected = (kernels[0] >= 0) != (kernels[1] >= 0)
    np.testing.assert_array_equal(sign_conflict(kernels, task_axis=0), expected)
    bias = sign_conflict(kernels[:, 0])
    np.testing.assert_array_equal(bias, expected[0])


@pytest.mark.parametrize("rule", ["nonnegative", "strict"])
def test_a_gradient_that_is_not_a_number_is_no_evidence(rule):
    nan = jnp.nan
    deltas = jnp.array([[1, -1, 2], [1, nan, 1], [nan, 1, -1], [nan, nan, nan], [1, 1, 1]])[
        ..., None
    ]
    reads = jnp.ones((3, 1), bool)
    found = node_conflict(deltas, reads, rule=rule)
    assert found.conflict[:, 0].tolist() == [True, False, True, False, False]
    assert found.comparable[:, 0].tolist() == [True, False, True, False, True]
    for zeros in ("reset", "hold"):
        runs = update_streak(jnp.zeros(1, jnp.int32), found, zeros=zeros)
        assert runs[:, 0].tolist() == [1, 1, 2, 2, 0]
    # Who does not read, need not be a number.
    two = node_conflict(deltas, reads.at[1].set(False), rule=rule)
    assert two.comparable[:, 0].tolist() == [True, True, False, False, True]
    by_weight = weight_conflict(jnp.ones((5, 2)).at[4, 1].set(nan), deltas, reads, rule=rule)
    for i, last in enumerate((True, False)):
        assert by_weight.comparable[:, i, 0].tolist() == [True, False, True, False, last]

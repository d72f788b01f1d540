"""Every method against the table of values and the oracles, in float64."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from aggregation import oracles, reference
from hypothesis import given, settings
from hypothesis import strategies as st
from some_cases import some

import jaxmtl.aggregation as ag
from jaxmtl.aggregation.graddrop import drop_signs

J2, J3 = np.array(reference.J2), np.array(reference.J3)
TINY = settings(derandomize=True, deadline=None, max_examples=40, database=None)


def combine(aggregator, j, **given):
    update = jax.jit(lambda j, given: aggregator.update(j, aggregator.init(j), **given))
    return update(j, {"key": jax.random.key(0)} | given)


def first_update(name, arguments):
    """Compiled once for each shape; the radius of CAGrad is traced, as one may sweep it."""
    if name == "cagrad":
        return lambda j: CAGRAD(arguments[0], j)
    aggregator = ag.REGISTRY[name].factory(*arguments)
    return jax.jit(lambda j: aggregator.update(j, aggregator.init(j), key=jax.random.key(0)))


@jax.jit
def CAGRAD(c, j):
    return ag.cagrad(c).update(j, ())


# Matrices of three tasks and of two, each a program of its own.
TABLE = {
    (*case, len(j)): (j, weights)
    for case, both in reference.WEIGHTS.items()
    for j, weights in zip((J3, J2), reversed(both), strict=True)
    if weights is not None
}
# One case of each method; others are tested in other ways below, and some compile for long.
FIRST = {case[0]: case for case in reversed(TABLE)}
ELSEWHERE = (
    *("upgrad", "dualproj", "gradvac", "excess_mtl", "sdmgrad", "modo", "fairgrad", "pcd"),
    *("mgda", "imtl_g", "aligned_mtl", "nash_mtl"),
)
KEPT_OF_THE_TABLE = [case for name, case in FIRST.items() if name not in ELSEWHERE]


@pytest.mark.parametrize("case", some(TABLE, *KEPT_OF_THE_TABLE), ids=str)
def test_weights_of_the_table(case):
    name, arguments, _ = case
    j, expected = TABLE[case]
    grads, _, info = first_update(name, arguments)(j)
    np.testing.assert_allclose(info.weights, expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(grads, np.asarray(info.weights) @ j, rtol=1e-12, atol=1e-12)
    assert info.converged


@pytest.mark.slow
def test_results_of_the_table():
    for j, expected in ((J2, reference.CONFIG_J2), (J3, reference.CONFIG_J3)):
        result = combine(ag.config(), j)[0]
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-6)
    result = combine(ag.trimmed_mean(1), J3)[0]
    np.testing.assert_allclose(result, reference.TRIMMED_MEAN_J3, rtol=0, atol=1e-12)


def all_orders(tasks):
    rows = [
        [[task, *visits] for visits in itertools.permutations(set(range(tasks)) - {task})]
        for task in range(tasks)
    ]
    return [np.array(choice) for choice in itertools.product(*rows)]


def test_pcgrad_has_the_two_outcomes_of_the_table_over_all_orders():
    update = jax.jit(lambda order: ag.pcgrad().update(jnp.asarray(J3), (), order=order))
    for order in all_orders(3):
        grads, _, info = update(order)
        first = bool(np.argmax(order[0] == 1) < np.argmax(order[0] == 2))
        np.testing.assert_allclose(info.weights, reference.PCGRAD_J3[first], rtol=0, atol=1e-6)
        np.testing.assert_allclose(grads, oracles.pcgrad(J3, order), rtol=1e-10)


@pytest.mark.slow
def test_pcgrad_of_four_tasks_over_all_orders_equals_the_loops():
    j = np.random.default_rng(5).normal(size=(4, 3))
    aggregator = ag.pcgrad()
    update = jax.jit(jax.vmap(lambda o: aggregator.update(jnp.asarray(j), (), order=o)[0]))
    orders = np.stack(all_orders(4)[::9])
    expected = [oracles.pcgrad(j, order) for order in orders]
    np.testing.assert_allclose(update(orders), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_two_tasks_pcgrad_is_upgrad_with_preferences_one():
    both = jax.jit(lambda j: (ag.pcgrad().update(j, ())[0], ag.upgrad([1.0, 1.0]).update(j, ())[0]))
    np.testing.assert_allclose(*both(J2), rtol=1e-9)


def test_gradvac_follows_its_recurrence():
    rng = np.random.default_rng(1)
    aggregator = ag.gradvac()
    update = jax.jit(lambda j, state, order: aggregator.update(j, state, order=order))
    state, target = aggregator.init(jnp.asarray(J3)), np.zeros((3, 3))
    for step in range(5):
        j = rng.normal(size=(3, 5)) + 0.3
        order = np.stack([rng.permutation(3) for _ in range(3)])
        grads, state, _ = update(j, state, order)
        expected, target = oracles.gradvac(j, order, target)
        np.testing.assert_allclose(grads, expected, rtol=1e-9, err_msg=f"step {step}")
        np.testing.assert_allclose(state.target, target, rtol=1e-9)


def test_graddrop_keeps_one_sign_and_its_expectation_is_the_sum():
    table = {name: np.array(values) for name, values in reference.GRADDROP_J3.items()}
    found = oracles.graddrop_outcomes(J3)
    for name, values in zip(("probability", "positive", "negative"), found, strict=True):
        np.testing.assert_allclose(values, table[name], rtol=0, atol=1e-6)
    probability, positive, negative = found
    none = jnp.zeros(3)
    dropped = jax.jit(drop_signs)
    below = dropped(jnp.asarray(J3), jnp.asarray(probability - 1e-9), none)
    above = dropped(jnp.asarray(J3), jnp.asarray(probability + 1e-9), none)
    np.testing.assert_allclose(below, positive, rtol=1e-12)
    np.testing.assert_allclose(above, negative, rtol=1e-12)
    expectation = probability * below + (1 - probability) * above
    np.testing.assert_allclose(expectation, J3.sum(axis=0), rtol=1e-12)
    # And the draw has that probability: 4000 keys, within five standard errors.
    draw = jax.jit(jax.vmap(lambda key: ag.graddrop().update(jnp.asarray(J3), (), key=key)[0]))
    drawn = np.asarray(draw(jax.random.split(jax.random.key(7), 4000)))
    error = np.sqrt(probability * (1 - probability) / 4000) * (positive - negative)
    assert (np.abs(drawn.mean(axis=0) - J3.sum(axis=0)) <= 5 * error + 1e-12).all()
    assert np.isin(drawn[:, 0].round(9), [1.5, -1.5]).all()


LITERAL = {
    "upgrad": (ag.upgrad(), oracles.upgrad),
    "dualproj": (ag.dualproj(), oracles.dualproj),
    "mgda": (ag.mgda(), oracles.mgda),
    "cagrad": (ag.cagrad(0.7), lambda j: oracles.cagrad(j, 0.7)),
    "imtl_g": (ag.imtl_g(), oracles.imtl_g),
    "aligned_mtl_min": (ag.aligned_mtl("min"), lambda j: oracles.aligned_mtl(j, "min")),
    "aligned_mtl_median": (ag.aligned_mtl("median"), lambda j: oracles.aligned_mtl(j, "median")),
    "aligned_mtl_rmse": (ag.aligned_mtl("rmse"), lambda j: oracles.aligned_mtl(j, "rmse")),
    "config": (ag.config(), oracles.config),
    "pcd": (ag.pcd(0.1), lambda j: oracles.pcd(j, 0.1)),
    "trimmed_mean": (ag.trimmed_mean(1), lambda j: oracles.trimmed_mean(j, 1)),
    "and_mask": (ag.and_mask(0.5), lambda j: oracles.and_mask(j, 0.5)),
    "sand_mask": (ag.sand_mask(0.2), lambda j: oracles.sand_mask(j, 0.2)),
}


# MGDA is below, on matrices that are harder.
KEPT = ("imtl_g", "aligned_mtl_min", "config", "trimmed_mean", "and_mask")


@pytest.mark.parametrize("name", some(LITERAL, *KEPT))
def test_equals_the_oracle_on_random_matrices(name):
    aggregator, oracle = LITERAL[name]
    rng = np.random.default_rng(0)
    update = jax.jit(jax.vmap(lambda j: aggregator.update(j, aggregator.init(j))[::2]))
    for tasks in (6,) if aggregator.rule else (5,):
        # As many columns as it takes for independent rows; conflicts of all kinds among them.
        matrices = rng.normal(size=(25, tasks, tasks + 1)) - 0.2
        found, info = update(matrices)
        expected = np.stack([oracle(j) for j in matrices])
        scale = np.abs(expected).max(axis=1, keepdims=True) + 1e-3
        np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=1e-6)
        assert info.converged.all()


@pytest.mark.slow
@pytest.mark.parametrize("shape", some([(5, 2), (8, 3), (12, 14)], (8, 3)))
@pytest.mark.parametrize("name", some(["upgrad", "dualproj"], "dualproj"))
def test_projections_of_dependent_or_many_rows_equal_enumeration(name, shape):
    tasks, columns = shape
    aggregator, oracle = LITERAL[name]
    update = jax.jit(lambda j: aggregator.update(j, ())[::2])
    for seed in range({5: 12, 8: 5, 12: 2}[tasks]):
        j = np.random.default_rng(seed).normal(size=(tasks, columns)) - 0.3
        found, info = update(j)
        assert info.converged
        assert (j @ found >= -1e-8).all()
        if tasks <= 8 or name == "dualproj":
            np.testing.assert_allclose(found, oracle(j), rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("shape", some([(16, 8), (24, 4), (40, 20)], (16, 8)))
@pytest.mark.parametrize("name", some(["upgrad", "dualproj"], "dualproj"))
def test_projections_of_many_dependent_rows_equal_an_active_set_method(name, shape):
    tasks, rank = shape
    aggregator = ag.make(name)
    update = jax.jit(lambda j: aggregator.update(j, ())[::2])
    for seed in range(2):
        rng = np.random.default_rng(seed)
        j = rng.normal(size=(tasks, rank)) @ rng.normal(size=(rank, 50))
        found, info = update(j)
        assert info.converged

        def projected(u, j=j):
            excess, _ = scipy.optimize.nnls(j.T, -j.T @ u, maxiter=10_000)
            return j.T @ (u + excess)

        mean = np.full(tasks, 1 / tasks)
        rows = np.diag(mean) if name == "upgrad" else mean[None]
        expected = sum(projected(row) for row in rows)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("alpha", some([0.5, 1.0, 2.0, 5.0], 2.0))
def test_fair_weights_solve_their_equation(alpha):
    aggregator = ag.fairgrad(alpha)
    update = jax.jit(lambda j: aggregator.update(j, ())[::2])
    for seed in range(6):
        rng = np.random.default_rng(seed)
        j = (rng.normal(size=(4, 6)) + 0.1) * 10.0 ** rng.uniform(-3, 3, size=(4, 1))
        _, info = update(j)
        assert info.converged
        assert oracles.fair_residual(j, np.asarray(info.weights), alpha) < 1e-8


def test_krum_of_five_equals_the_loops():
    rng = np.random.default_rng(2)
    for power, squared in ((1, False), (2, True)):
        for selected in (1, 4):
            aggregator = ag.krum(1, selected, squared=squared)
            j = rng.normal(size=(5, 3))
            expected = oracles.krum(j, 1, selected, power)
            np.testing.assert_allclose(combine(aggregator, j)[0], expected, rtol=1e-9)


STEPS = [np.random.default_rng(seed).normal(size=(3, 5)) + 0.2 for seed in range(4)]
LOSSES = [np.random.default_rng(seed).uniform(0.5, 2, size=3) for seed in range(10, 14)]


def run(aggregator, **extra):
    state, grads, weights = aggregator.init(jnp.asarray(STEPS[0])), [], []
    update = jax.jit(lambda j, s, losses: aggregator.update(j, s, losses=losses, **extra))
    for j, losses in zip(STEPS, LOSSES, strict=True):
        found, state, info = update(j, state, losses)
        grads.append(found)
        weights.append(info.weights)
    return grads, weights, state


def test_stateful_methods_follow_their_recurrences():
    _, weights, _ = run(ag.excess_mtl(0.3))
    np.testing.assert_allclose(weights, oracles.excess_mtl(STEPS, 0.3), rtol=1e-9)
    for normalize in (True, False):
        grads, _, _ = run(ag.moco(normalize=normalize))
        expected = oracles.moco(STEPS, LOSSES, normalize=normalize)
        np.testing.assert_allclose(grads[-1], expected, rtol=1e-8)
    grads, _, _ = run(ag.db_mtl())
    np.testing.assert_allclose(grads[-1], oracles.db_mtl(STEPS, LOSSES), rtol=1e-9)
    grads, _, _ = run(ag.gradnorm())
    np.testing.assert_allclose(grads, oracles.gradnorm(STEPS, LOSSES), rtol=1e-9)


def test_two_batch_methods_use_the_product_of_the_two_batches():
    first, second, third = STEPS[:3]
    extra = (jnp.asarray(first), jnp.asarray(second))
    for aggregator, expected in (
        (ag.sdmgrad(), oracles.sdmgrad(first @ second.T, np.full(3, 1 / 3))[0]),
        (ag.modo(), oracles.modo(first @ second.T, np.full(3, 1 / 3))),
    ):
        grads, state, info = combine(aggregator, third, extra_task_grads=extra)
        np.testing.assert_allclose(info.weights, expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(grads, expected @ third, rtol=1e-9, atol=1e-12)
        assert np.isclose(state.weights.sum(), 1)


# UPGrad projects a row a task by the solver that projects DualProj's one.
@pytest.mark.parametrize("name", some(["upgrad", "dualproj", "mgda"], "mgda"))
@TINY
@given(
    st.lists(
        st.lists(st.integers(-3, 3), min_size=3, max_size=3).map(np.array), min_size=3, max_size=3
    ),
    st.lists(st.integers(-4, 4), min_size=3, max_size=3),
)
def test_small_integers_dependent_and_zero_rows(name, rows, powers):
    j = np.array(rows, float) * 10.0 ** np.array(powers, float)[:, None]
    found, info = JITTED[name](j)
    assert info.converged
    expected = LITERAL[name][1](j)
    size = np.abs(j).max() + 1e-12
    np.testing.assert_allclose(found / size, expected / size, rtol=0, atol=1e-6)
    if name == "mgda":  # relative to the answer itself, as far as the data allow
        assert np.linalg.norm(found) <= np.linalg.norm(expected) * (1 + 1e-6) + 1e-7 * size


JITTED = {
    name: jax.jit(lambda j, a=LITERAL[name][0]: a.update(j, ())[::2])
    for name in ("upgrad", "dualproj", "mgda")
}

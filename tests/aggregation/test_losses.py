"""What every loss method of the registry must hold, in float32."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from some_cases import some

import jaxmtl.aggregation as ag
from jaxmtl.aggregation.losses.registry import MONOTONE, SYMMETRIC

TASKS = 4
NAMES = sorted(ag.LOSS_METHODS)
# One of each way: fixed weights, a product, a recurrence, learned weights, a draw.
KINDS = ("linear", "gls", "famo", "uncertainty", "rlw")
each_kind = pytest.mark.parametrize("name", some(NAMES, *KINDS[:3]))


def example(name, keep=slice(None)):
    if name == "linear":
        return ag.linear(np.array([0.5, 1.0, 2.0, 1.5])[keep])
    if name in ("dwa", "igb"):
        return ag.make_scalarizer(name, period=2)
    return ag.make_scalarizer(name)


def random_losses(seed):
    return jnp.asarray(np.random.default_rng(seed).uniform(0.2, 3, TASKS), jnp.float32)


class Compiled:
    """One turn of a method, jitted, and how often it was traced."""

    def __init__(self, name, keep=slice(None)):
        self.method, self.traces = example(name, keep), 0
        self.jitted = jax.jit(self.turn)

    def turn(self, losses, after, state, key, present):
        self.traces += 1
        loss, state, weights = self.method.scalarize(losses, state, key=key, present=present)
        if self.method.observe is not None:
            state = self.method.observe(after, state, present=present)
        return loss, state, weights

    def __call__(self, losses, state, key=None, present=None, after=None):
        key = jax.random.key(3) if key is None else key
        present = jnp.ones(losses.shape, bool) if present is None else present
        return self.jitted(losses, losses * 0.9 if after is None else after, state, key, present)


@pytest.fixture(scope="module")
def compiled():
    made = {}
    return lambda name: made.setdefault(name, Compiled(name))


def same_types(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert (x.shape, x.dtype, x.weak_type) == (y.shape, y.dtype, y.weak_type)


def close(a, b, rtol=1e-5):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-6)


@pytest.mark.parametrize("name", some(NAMES, "linear", "gls"))
def test_eager_equals_jit_traced_once_with_a_stable_state(name, compiled):
    method = compiled(name)
    start = state = method.method.init(TASKS)
    before = method.traces
    for seed in range(5):
        losses, eager_state = random_losses(seed), state
        loss, state, weights = method(losses, state)
        same_types(state, start)
        assert loss.shape == ()
        assert weights.shape == (TASKS,)
    assert method.traces <= before + 1
    given = (losses * 0.9, eager_state, jax.random.key(3), jnp.ones(TASKS, bool))
    with jax.debug_nans(True):
        eager = method.turn(losses, *given)
    close(eager, (loss, state, weights))


@pytest.mark.parametrize("name", NAMES)
def test_works_in_the_stricter_modes_of_jax(name, compiled):
    method, losses = compiled(name), random_losses(3)
    someone, everyone = jnp.asarray([True, False, True, True]), jnp.ones(TASKS, bool)
    after, keys = losses * 0.9, [jax.random.key(n) for n in range(3)]
    # One mode after the other: to look for NaN moves values to the host.
    with jax.transfer_guard("disallow"):
        state = method.method.init(TASKS)
        _, state, _ = method.jitted(losses, after, state, keys[0], everyone)
    with jax.debug_nans(True):
        loss, state, _ = method.jitted(losses, after, state, keys[1], someone)
    assert np.isfinite(loss)
    with jax.numpy_dtype_promotion("strict"):  # types are promoted while it is traced
        jax.eval_shape(method.turn, losses, after, state, keys[2], someone)


@each_kind
def test_vmap_over_seeds_equals_the_loop_and_slopes_are_those_of_the_loss(name, compiled):
    method = compiled(name)
    losses = jnp.stack([random_losses(seed) for seed in range(3)])
    state = method(losses[0], method.method.init(TASKS))[1]

    def turn(losses):
        def scalarized(losses):
            found = method.method.scalarize(losses, state, key=jax.random.key(3))
            return found[0], found[1]

        return jax.value_and_grad(scalarized, has_aux=True)(losses)

    (loss, states), slopes = jax.jit(jax.vmap(turn))(losses)
    for seed in range(3):
        expected = method.method.scalarize(losses[seed], state, key=jax.random.key(3))
        close((loss[seed], slopes[seed]), (expected[0], expected[2]))
        close(jax.tree.map(lambda leaf, s=seed: leaf[s], states), expected[1])


@pytest.mark.parametrize("name", some(sorted(set(NAMES) - {"rlw"}), *KINDS[:-1], "dwa"))
def test_absent_tasks_count_as_never_given(name, compiled):
    method, keep = compiled(name), np.array([0, 1, 3])
    present = jnp.asarray([True, True, False, True])
    small = Compiled(name, keep)
    start = state = method.method.init(TASKS)
    small_state = small.method.init(3)
    for seed in range(5):
        losses = random_losses(seed)
        holes = jnp.where(present, losses, jnp.nan)
        loss, state, weights = method(holes, state, present=present)
        small_loss, small_state, small_weights = small(losses[keep], small_state)
        np.testing.assert_allclose(loss, small_loss, rtol=1e-5)
        np.testing.assert_allclose(weights[keep], small_weights, rtol=1e-5)
        assert weights[2] == 0
    for leaf, first in zip(jax.tree.leaves(state), jax.tree.leaves(start), strict=True):
        assert np.isfinite(leaf).all()
        if leaf.shape == (TASKS,):
            assert leaf[2] == first[2]
    nobody = method(losses * jnp.nan, state, present=jnp.zeros(TASKS, bool))
    close(nobody, (0.0, state, jnp.zeros(TASKS)))


HARD = {
    "zero": np.zeros(TASKS),
    "one zero": np.array([1.0, 0.0, 2.0, 3.0]),
    "equal": np.ones(TASKS),
    "tiny": np.array([1e-30, 2e-30, 1e-12, 1e-30]),
    "huge": np.array([1e30, 2e30, 1e28, 1e30]),
    "wild": np.array([1e-20, 1.0, 1e20, 1e5]),
}


@pytest.mark.parametrize("name", NAMES)
def test_hard_losses_stay_finite_and_nan_is_not_swallowed(name, compiled):
    method = compiled(name)
    for case, losses in HARD.items():
        state = method.method.init(TASKS)
        for _ in range(3):
            found = method(jnp.asarray(losses, jnp.float32), state)
            state = found[1]
            for leaf in jax.tree.leaves(found):
                assert np.isfinite(leaf).all(), (case, found)
    loss, after, _ = method(jnp.array([1.0, jnp.nan, 2.0, 3.0]), state)
    assert np.isnan(loss)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after) if leaf.ndim == 0)
    assert np.isfinite(method(random_losses(0), after)[0])


@pytest.mark.parametrize("name", NAMES)
def test_properties_of_the_table(name, compiled):
    method, row = compiled(name), ag.LOSS_METHODS[name]
    losses, state = random_losses(7), method.method.init(TASKS)
    loss, _, weights = method(losses, state)
    if MONOTONE in row.properties:
        assert (weights >= 0).all()
    if SYMMETRIC in row.properties:
        order = np.array([2, 0, 3, 1])
        moved, _, moved_weights = method(losses[order], state)
        np.testing.assert_allclose(moved, loss, rtol=1e-5)
        np.testing.assert_allclose(moved_weights, weights[order], rtol=1e-5, atol=1e-7)
    if row.degree is not None:
        np.testing.assert_allclose(method(2 * losses, state)[0], 2 * loss, rtol=1e-5)
    assert ("losses after the update" in row.needs) == (method.method.observe is not None)
    assert ("key" in row.needs) == (name == "rlw")
    assert bool(row.state) == bool(jax.tree.leaves(state))


def loss_fn(params, x):
    first = ((params["w"] - x) ** 2).mean() + 0.1
    return jnp.stack([first, ((params["w"] + 2 * x) ** 2).mean() + 0.2])


def trained(made, steps, x):
    init, step = made
    params = {"w": jnp.array([1.0, 0.5])}

    def body(carry, _):
        params, state, info = step(*carry, x)
        return (params, state), info.losses

    start = (params, init(params, x, jax.random.key(1)))
    return jax.jit(lambda start: jax.lax.scan(body, start, length=steps))(start)


@pytest.mark.parametrize("name", some(["uncertainty", "dwa", "rlw", "famo"], "uncertainty", "rlw"))
def test_one_weighted_backward_pass_equals_weighing_task_gradients(name):
    x, optimizer = jnp.array([1.0, -1.0]), optax.adam(0.05)
    method = ag.dwa(period=3) if name == "dwa" else ag.make_scalarizer(name)
    one_pass = trained(ag.scalarized_step(loss_fn, method, optimizer, second_forward=False), 12, x)
    by_rows = trained(ag.aggregated_step(loss_fn, ag.from_losses(method), optimizer), 12, x)
    close(one_pass[0][0], by_rows[0][0], rtol=1e-4)
    close(one_pass[0][1].aggregator, by_rows[0][1].aggregator, rtol=1e-4)
    close(one_pass[1], by_rows[1], rtol=1e-4)
    if name == "famo":  # one batch throughout: the next losses are those after the update
        two = trained(ag.scalarized_step(loss_fn, method, optimizer), 12, x)
        close(two[0][0], one_pass[0][0], rtol=1e-4)


def test_bfloat16_losses_and_a_step_on_them():
    params = {"w": jnp.ones(2, jnp.bfloat16)}
    init, step = ag.scalarized_step(loss_fn, ag.uncertainty(), optax.sgd(0.1))
    x = jnp.ones(2, jnp.bfloat16)
    after, state, info = jax.jit(step)(params, init(params, x), x)
    assert after["w"].dtype == jnp.bfloat16
    assert info.loss.dtype == info.weights.dtype == state.aggregator.values.dtype == jnp.float32


@pytest.mark.slow
def test_every_loss_method_is_an_aggregator_and_hyperparameters_may_be_swept():
    grads = jnp.asarray(np.random.default_rng(0).normal(size=(TASKS, 3)), jnp.float32)
    losses = random_losses(0)
    for name in NAMES:
        aggregator = ag.make(name, TASKS)
        found, _, info = aggregator.update(
            grads, aggregator.init(grads), losses=losses, key=jax.random.key(0)
        )
        np.testing.assert_allclose(found, info.weights @ grads, rtol=1e-4, atol=1e-5)
    swept = jax.vmap(lambda mu: ag.stch(mu).scalarize(losses, ())[0])(jnp.array([0.01, 1.0]))
    np.testing.assert_allclose(swept[0], losses.max() / TASKS, rtol=0.05)
    fronts = jax.vmap(lambda p: ag.pbi(1.0, p).scalarize(losses, ())[0])
    assert np.isfinite(fronts(jnp.asarray(ag.simplex_grid(TASKS, 2), jnp.float32))).all()


def test_the_registry_has_one_file_a_method_with_a_complete_docstring():
    for name, row in ag.LOSS_METHODS.items():
        assert inspect.getmodule(row.factory).__name__ == f"jaxmtl.aggregation.losses.{name}"
        assert "losses" in row.needs
        text = inspect.getdoc(row.factory)
        assert "Returns:" in text, name
        assert "Example:" in text, name
        assert row.paper == "-" or "References:" in text, name
        assert ("Args:" in text) == bool(inspect.signature(row.factory).parameters), name
    assert not set(ag.LOSS_METHODS) & set(ag.REGISTRY)


def test_bad_input_is_told_in_one_sentence():
    with pytest.raises(ValueError, match="expected one of equal, .* got 'nonsense'"):
        ag.make_scalarizer("nonsense")
    with pytest.raises(ValueError, match="losses: expected a floating vector"):
        ag.gls().scalarize(jnp.ones((2, 2)), ())
    with pytest.raises(ValueError, match="losses: expected a floating vector"):
        ag.gls().scalarize(jnp.ones(2, int), ())
    with pytest.raises(ValueError, match=r"present: expected shape \(2,\)"):
        ag.gls().scalarize(jnp.ones(2), (), present=jnp.ones(3, bool))
    with pytest.raises(ValueError, match="linear: expected preferences of shape"):
        ag.linear([1.0]).scalarize(jnp.ones(2), ())
    with pytest.raises(ValueError, match="stch: expected a reference of shape"):
        ag.stch(reference=[1.0]).scalarize(jnp.ones(2), ())
    with pytest.raises(ValueError, match="rlw: expected a jax.random.key"):
        ag.rlw().scalarize(jnp.ones(2), ())
    with pytest.raises(ValueError, match="from_losses: expected losses"):
        ag.make("gls").update(jnp.ones((2, 3)), ())
    with pytest.raises(ValueError, match="num_tasks: expected at least 1"):
        ag.gls().init(0)
    with pytest.raises(ValueError, match="divisions: expected at least 1"):
        ag.simplex_grid(2, 0)
    with pytest.raises(ValueError, match="loss_fn: expected a vector"):
        ag.scalarized_step(lambda p, b: p.sum(), ag.gls(), optax.sgd(1.0)).init(jnp.ones(2), None)
    with pytest.raises(ValueError, match=r"primary: expected tasks in 0 .. 1, got 2"):
        ag.auto_lambda_step(loss_fn, optax.sgd(0.1), look_ahead=0.1, primary=[2]).init(
            {"w": jnp.ones(2)}, jnp.ones(2)
        )
    for wrong in (
        lambda: ag.stch(0.0),
        lambda: ag.dwa(temperature=0.0),
        lambda: ag.dwa(period=0),
        lambda: ag.famo(learning_rate=-1.0),
        lambda: ag.uncertainty(learning_rate=0.0),
        lambda: ag.cosmos(-1.0),
        lambda: ag.pbi(-1.0),
        lambda: ag.rlw("dirichlet", 0.0),
        lambda: ag.auto_lambda_step(loss_fn, optax.sgd(0.1), look_ahead=0.0),
    ):
        with pytest.raises(ValueError, match="expected a number"):
            wrong()


@pytest.mark.parametrize("name", ["cosmos", "pbi"])
def test_lengths_have_a_slope_however_the_compiler_rounds_them(name):
    method, losses = ag.make_scalarizer(name), 30 * np.random.default_rng(0).uniform(size=(400, 2))
    slopes = jax.jit(lambda one: method.scalarize(one, method.init(2))[2])
    assert all(np.isfinite(slopes(one)).all() for one in losses.astype(np.float32))

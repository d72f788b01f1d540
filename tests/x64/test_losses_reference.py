"""Loss methods against the table of values, recurrences in NumPy and finite differences."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmtl.aggregation as ag

LOSSES = np.array([0.5, 2.0, 4.0])
P = (0.2, 0.3, 0.5)

# Value and slopes on LOSSES at the first call, from other libraries; None where not known.
TABLE = {
    "equal": (ag.equal(), 6.5, (1, 1, 1)),
    "mean": (ag.equal("mean"), 6.5 / 3, (1 / 3, 1 / 3, 1 / 3)),
    "linear": (ag.linear(P), 2.7, P),
    "gls": (ag.gls(), 1.58740105, (1.05826737, 0.26456684, 0.13228342)),
    "uncertainty": (ag.uncertainty(), 3.25, (0.5, 0.5, 0.5)),
    "imtl_l": (ag.imtl_l(), 6.5, (1, 1, 1)),
    "stch": (ag.stch(), 1.93481487, (0.0568829, 0.09378405, 0.18266638)),
    "stch 0.1": (ag.stch(0.1), 1.33346137, None),
    "cosmos": (ag.cosmos(1.0, P), 1.72667147, None),
    "pbi": (ag.pbi(5.0, P), 9.54183238, None),
    "famo": (ag.famo(), 0.50410706, (0.72727272, 0.18181818, 0.09090909)),
    "dwa": (ag.dwa(), 6.5, (1, 1, 1)),
    "igb": (ag.igb(), np.log(LOSSES).sum(), 1 / LOSSES),
    # A third of each, and 0.05 of the gaps (0.5, 3.5 / 3, 2 / 3).
    "ldc": (ag.ldc(0.075), 6.5 / 3 + 0.05 * 7 / 3, (0.9 / 3, 1 / 3, 1.1 / 3)),
}


@pytest.mark.parametrize("name", TABLE)
def test_values_of_the_table_and_slopes_by_finite_differences(name):
    method, expected, slopes = TABLE[name]
    state = method.init(3)
    value = jax.jit(lambda losses: method.scalarize(losses, state)[::2])
    loss, weights = value(LOSSES)
    np.testing.assert_allclose(loss, expected, rtol=0, atol=1e-6)
    if slopes is not None:
        np.testing.assert_allclose(weights, slopes, rtol=0, atol=1e-6)
    if name != "famo":  # its normaliser is held constant
        steps = 1e-5 * np.eye(3)
        found = [(value(LOSSES + e)[0] - value(LOSSES - e)[0]) / 2e-5 for e in steps]
        np.testing.assert_allclose(weights, found, rtol=1e-7, atol=1e-9)


def test_famo_and_dwa_of_the_table_after_an_update():
    method = ag.famo()
    scalarize = jax.jit(method.scalarize)
    _, state, _ = scalarize(LOSSES, method.init(3))
    state = jax.jit(method.observe)(np.array([0.4, 1.9, 4.0]), state)
    np.testing.assert_allclose(state.logits, (-0.025, 0.025, 0.025), rtol=0, atol=1e-6)
    loss, _, _ = scalarize(LOSSES, state)
    np.testing.assert_allclose(loss, 0.53538986, rtol=0, atol=1e-6)

    method = ag.dwa(period=1)
    scalarize, state = jax.jit(method.scalarize), method.init(3)
    for means in ((1.0, 2.0, 4.0), (0.5, 1.8, 3.9)):
        _, state, weights = scalarize(np.array(means), state)
        np.testing.assert_allclose(weights, 1, rtol=1e-12)
    _, _, weights = scalarize(LOSSES, state)
    np.testing.assert_allclose(weights, (0.8597275, 1.05007354, 1.09019895), rtol=0, atol=1e-6)


STEPS = [np.random.default_rng(seed).uniform(0.3, 3, 3) for seed in range(7)]


class Adam:
    def __init__(self, rate):
        self.rate, self.mu, self.nu, self.steps = rate, 0.0, 0.0, 0

    def __call__(self, slopes):
        self.steps += 1
        self.mu = 0.9 * self.mu + 0.1 * slopes
        self.nu = 0.999 * self.nu + 0.001 * slopes**2
        root = np.sqrt(self.nu / (1 - 0.999**self.steps)) + 1e-8
        return -self.rate * self.mu / (1 - 0.9**self.steps) / root


def softmax(v):
    e = np.exp(v - v.max())
    return e / e.sum()


@pytest.mark.parametrize("name", ["uncertainty", "imtl_l"])
def test_learned_parameters_follow_adam(name):
    method, adam, s = ag.make_scalarizer(name, learning_rate=0.1), Adam(0.1), np.zeros(3)
    state, turn = method.init(3), jax.jit(method.scalarize)
    for losses in STEPS:
        loss, state, weights = turn(losses, state)
        if name == "uncertainty":
            expected, by = (losses * np.exp(-s) / 2 + s / 2).sum(), np.exp(-s) / 2
            slopes = -losses * np.exp(-s) / 2 + 0.5
        else:
            expected, by = (losses * np.exp(s) - s).sum(), np.exp(s)
            slopes = losses * np.exp(s) - 1
        np.testing.assert_allclose(loss, expected, rtol=1e-10)
        np.testing.assert_allclose(weights, by, rtol=1e-10)
        s = s + adam(slopes)
        np.testing.assert_allclose(state.values, s, rtol=1e-9, atol=1e-12)


def test_igb_weighs_by_what_is_left_of_the_first_epoch():
    method = ag.igb(period=2)
    state, turn = method.init(3), jax.jit(method.scalarize)
    for losses in STEPS[:2]:
        loss, state, weights = turn(losses, state)
        np.testing.assert_allclose(loss, np.log(losses).sum(), rtol=1e-10)
        np.testing.assert_allclose(weights, 1 / losses, rtol=1e-10)
    for losses in STEPS[2:4]:
        loss, state, weights = turn(losses, state)
        w = 3 * softmax(losses / np.mean(STEPS[:2], axis=0))
        np.testing.assert_allclose(loss, (w * np.log(losses)).sum(), rtol=1e-10)
        np.testing.assert_allclose(weights, w / losses, rtol=1e-10)


def test_ldc_learns_its_logits_down_the_same_loss():
    method, adam, b = ag.ldc(0.3, learning_rate=0.1), Adam(0.1), np.zeros(3)
    state, turn = method.init(3), jax.jit(method.scalarize)

    def value(b, losses):
        parts = softmax(b) * losses
        gaps = [abs(parts[s] - parts[t]) for s, t in itertools.combinations(range(3), 2)]
        return parts.sum() + 0.3 * 2 * np.mean(gaps)

    for losses in STEPS:
        loss, state, _ = turn(losses, state)
        np.testing.assert_allclose(loss, value(b, losses), rtol=1e-10)
        steps = 1e-6 * np.eye(3)
        slopes = [(value(b + e, losses) - value(b - e, losses)) / 2e-6 for e in steps]
        b = b + adam(np.array(slopes))
        np.testing.assert_allclose(state.values, b, rtol=1e-6, atol=1e-7)


def test_famo_follows_its_recurrence():
    method, adam, xi, b = ag.famo(0.1, 0.01, minima=0.1), Adam(0.1), np.zeros(3), 0.1
    state = method.init(3)
    scalarize, observe = jax.jit(method.scalarize), jax.jit(method.observe)
    for before, after in itertools.pairwise(STEPS):
        loss, state, weights = scalarize(before, state)
        z, d = softmax(xi), before - b + 1e-8
        c = 1 / (z / d).sum()
        np.testing.assert_allclose(loss, c * (z * np.log(d)).sum(), rtol=1e-10)
        np.testing.assert_allclose(weights, c * z / d, rtol=1e-10)
        state = observe(after, state)
        fall = np.log(d) - np.log(after - b + 1e-8)
        xi = xi + adam(z * (fall - (z * fall).sum()) + 0.01 * xi)
        np.testing.assert_allclose(state.logits, xi, rtol=1e-9, atol=1e-12)


def test_dwa_takes_means_over_the_calls_of_an_epoch_in_which_a_task_was_there():
    method = ag.dwa(temperature=0.7, period=3)
    state, turn, means = method.init(2), jax.jit(method.scalarize), []
    rng, epoch = np.random.default_rng(1), []
    for call in range(12):
        losses, present = rng.uniform(0.5, 2, 2), np.array([True, call % 3 != 1])
        ratio = means[-1] / means[-2] if len(means) > 1 else np.ones(2)
        _, state, weights = turn(np.where(present, losses, np.nan), state, present=present)
        if present.all():
            np.testing.assert_allclose(weights, 2 * softmax(ratio / 0.7), rtol=1e-10)
        epoch.append(np.where(present, losses, np.nan))
        if len(epoch) == 3:
            means.append(np.nanmean(epoch, axis=0))
            epoch = []


@pytest.mark.slow
def test_random_weights_have_their_distribution():
    for distribution, variance in (("normal", None), ("dirichlet", 1 / 18)):
        method = ag.rlw(distribution)
        draw = jax.jit(jax.vmap(lambda key, m=method: m.scalarize(LOSSES, (), key=key)[::2]))
        keys = jax.random.split(jax.random.key(5), 4000)
        loss, weights = (np.asarray(found) for found in draw(keys))
        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-12)
        np.testing.assert_allclose(loss, weights @ LOSSES, rtol=1e-12)
        error = weights.std(axis=0) / np.sqrt(4000)
        assert (np.abs(weights.mean(axis=0) - 1 / 3) < 5 * error).all()
        if variance is not None:
            np.testing.assert_allclose(weights.var(axis=0), variance, rtol=0.1)


@pytest.mark.parametrize(("tasks", "divisions"), [(1, 3), (2, 5), (3, 4), (4, 2)])
def test_the_grid_is_all_multiples_that_sum_to_one(tasks, divisions):
    steps = itertools.product(range(divisions + 1), repeat=tasks)
    expected = np.array([s for s in steps if sum(s) == divisions]) / divisions
    np.testing.assert_array_equal(ag.simplex_grid(tasks, divisions), expected)


def network_losses(params, batch):
    x, y = batch
    h = jnp.tanh(x @ params["w"])
    return ((h @ params["v"] - y) ** 2).mean(axis=0)


def problem():
    rng = np.random.default_rng(0)
    params = {"w": rng.normal(size=(3, 5)), "v": rng.normal(size=(5, 3))}
    batches = [(rng.normal(size=(6, 3)), rng.normal(size=(6, 3))) for _ in range(2)]
    return jax.tree.map(jnp.asarray, params), batches


def test_look_ahead_slopes_equal_finite_differences_and_differentiating_the_step():
    params, (batch, validation) = problem()
    weights, primary = jnp.array([0.4, 1.0, 0.7]), jnp.array([1.0, 0.0, 1.0])
    optimizer = optax.sgd(0.3, momentum=0.9)
    warm = jax.tree.map(jnp.ones_like, params)
    state = optimizer.update(warm, optimizer.init(params), params)[1]

    def plain(params, gradient):
        return jax.tree.map(lambda p, g: p - 0.3 * g, params, gradient)

    def with_momentum(params, gradient):
        return optax.apply_updates(params, optimizer.update(gradient, state, params)[0])

    def curved(params, gradient):  # a step that is not linear in the gradient
        return jax.tree.map(lambda p, g: p - 0.3 * jnp.arcsinh(g), params, gradient)

    def as_long_as_the_loss(params, gradient, value):
        return jax.tree.map(lambda p, g: p - 0.3 * value * g, params, gradient)

    for step_fn in (plain, with_momentum, curved, as_long_as_the_loss):
        takes_value = step_fn is as_long_as_the_loss

        @jax.jit
        def after(weights, step_fn=step_fn, takes_value=takes_value):
            both = jax.value_and_grad(lambda p: weights @ network_losses(p, batch))(params)
            given = both[::-1] if takes_value else both[1:]
            return primary @ network_losses(step_fn(params, *given), validation)

        slopes, validated = jax.jit(
            lambda w, f=step_fn, more=takes_value: ag.look_ahead_slopes(
                network_losses, params, w, batch, validation, f, primary, takes_value=more
            )
        )(weights)
        np.testing.assert_allclose(slopes, jax.jit(jax.grad(after))(weights), rtol=1e-10)
        found = [(after(weights + e) - after(weights - e)) / 2e-5 for e in 1e-5 * np.eye(3)]
        np.testing.assert_allclose(slopes, found, rtol=1e-7)
        np.testing.assert_allclose(primary @ validated, after(weights), rtol=1e-12)


@pytest.mark.parametrize("look_ahead", [0.2, None])
def test_an_auto_lambda_step_moves_the_weights_and_then_the_parameters(look_ahead):
    params, (batch, validation) = problem()
    init, step = ag.auto_lambda_step(
        network_losses,
        optax.sgd(0.2),
        look_ahead=look_ahead,
        primary=[1],
        weight_optimizer=optax.sgd(0.5),
    )
    state = init(params, batch)
    step = jax.jit(step)
    after, state, info = step(params, state, batch, validation)
    np.testing.assert_allclose(state.weights, 0.1 - 0.5 * info.slopes, rtol=1e-12)
    gradient = jax.grad(lambda p: info.weights @ network_losses(p, batch))(params)
    for name in params:
        np.testing.assert_allclose(after[name], params[name] - 0.2 * gradient[name], rtol=1e-10)
    step(after, state, batch, validation)
    assert step._cache_size() == 1
    broken = jax.tree.map(lambda leaf: leaf * np.nan, validation)
    _, kept, info = step(after, state, batch, broken)
    assert np.isnan(info.slopes).all()
    np.testing.assert_array_equal(kept.weights, state.weights)

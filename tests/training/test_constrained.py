"""Training under constraints: against the plain loop, against known optima, under vmap."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from drawn import drawn_parameters
from flax import linen as nn
from some_cases import some

from jaxmtl import HardSharing, Rows, Splits, fit
from jaxmtl.constraints import (
    AugmentedLagrangian,
    EpsilonConstraint,
    OutputBound,
    QuadraticPenalty,
    SoftBound,
)
from jaxmtl.models.constrained import Constrained
from jaxmtl.training.constrained import fit_constrained

pytestmark = pytest.mark.few_optimizations

MODEL = HardSharing(shared=(), nodes=8, activation="relu", output_activation=None)
BOUND = OutputBound(1, lower=0.85)


class Linear(nn.Module):
    """A convex problem: y = x w, one column a task."""

    outputs = (1, 1)

    @nn.compact
    def __call__(self, x):
        return nn.Dense(2, use_bias=False, name="dense")(x)


def data_of(rows=32, seed=0, test=0):
    rng = np.random.default_rng(seed)
    x = jnp.asarray(rng.normal(size=(rows + test, 10)), jnp.float32)
    y = jnp.asarray(rng.uniform(size=(rows + test, 2)), jnp.float32)
    return Splits(Rows(x[:rows], y[:rows]), test=Rows(x[rows:], y[rows:]) if test else None)


@pytest.mark.parametrize("batch_size", some([32, 12], 12))
def test_quadratic_penalty_equals_the_constrained_network_in_the_plain_loop(batch_size):
    data = data_of()
    start = drawn_parameters(MODEL, data.train.x)["params"]
    options = {"params": start, "epochs": 20, "learning_rate": 1e-3, "batch_size": batch_size}
    soft = Constrained(MODEL, soft=(None, SoftBound(lower=0.85, strength=10.0)))
    run = fit_constrained(MODEL, data, BOUND, method=QuadraticPenalty(strength=10.0), **options)
    if batch_size == 32:
        plain = fit(soft, data, **options)
        np.testing.assert_allclose(run.history.train, plain.history.train, rtol=1e-5)
    else:
        # The last batch holds 8 rows; a literal loop over them.
        params, optimizer = start, optax.adam(1e-3)
        state = optimizer.init(params)

        def objective(params, x, y):
            out = MODEL.apply({"params": params}, x)
            return ((out - y) ** 2).mean(axis=0).sum() + 10 * (
                jnp.maximum(0.85 - out[:, 1], 0) ** 2
            ).mean()

        @jax.jit
        def step(params, state, x, y):
            updates, state = optimizer.update(jax.grad(objective)(params, x, y), state, params)
            return optax.apply_updates(params, updates), state

        for _ in range(20):
            for low in (0, 12, 24):
                x, y = data.train.x[low : low + 12], data.train.y[low : low + 12]
                params, state = step(params, state, x, y)
        for a, b in zip(jax.tree.leaves(run.params), jax.tree.leaves(params), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_records_errors_and_violation_of_every_epoch():
    data = data_of(test=9)
    start = drawn_parameters(MODEL, data.train.x)
    run = fit_constrained(MODEL, data, BOUND, params=start, epochs=7, batch_size=10)
    history = run.history
    assert history.train.shape == history.test.shape == (7, 2)
    assert history.validation is None
    assert history.validation_violation is None
    assert history.multiplier.shape == history.penalty.shape == (7, 1)
    for rows, errors, violation in (
        (data.train, history.train, history.violation),
        (data.test, history.test, history.test_violation),
    ):
        y = np.asarray(MODEL.apply({"params": run.params}, rows.x), np.float64)
        short = np.maximum(0.85 - y[:, 1], 0)
        np.testing.assert_allclose(errors[-1], ((y - rows.y) ** 2).mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(violation.rate[-1, 0], (short > 0).mean(), rtol=1e-6)
        np.testing.assert_allclose(violation.size[-1, 0], short.mean(), rtol=1e-5)
        np.testing.assert_allclose(violation.worst[-1, 0], short.max(), rtol=1e-5)
    assert run.state.multiplier.shape == (32, 1)
    assert not run.diverged


def constrained_least_squares(x, y, bound):
    """min mean (x w - y)^2 subject to x w >= bound at every row: the one set of active rows whose
    linear Kuhn-Tucker system gives a feasible point and multipliers >= 0; float64."""
    rows, width = x.shape
    curvature, pull = 2 * x.T @ x / rows, 2 * x.T @ y / rows
    for active in itertools.chain.from_iterable(
        itertools.combinations(range(rows), size) for size in range(width + 1)
    ):
        a = x[list(active)]
        system = np.block([[curvature, -a.T], [a, np.zeros((len(a), len(a)))]])
        answer = np.linalg.solve(system, np.concatenate([pull, np.full(len(a), bound)]))
        w, dual = answer[:width], np.zeros(rows)
        dual[list(active)] = answer[width:]
        if (x @ w >= bound - 1e-9).all() and (dual >= 0).all():
            return w, dual
    raise AssertionError("no set of active rows fits")


def test_augmented_lagrangian_finds_the_constrained_least_squares_fit_and_its_multipliers():
    rng = np.random.default_rng(3)
    x = np.concatenate([np.ones((12, 1)), rng.normal(size=(12, 2))], axis=1)
    y = rng.uniform(0.5, 1.5, size=(12, 2))
    want, dual = constrained_least_squares(x, y[:, 1], 0.85)
    assert 1 <= (dual > 1e-6).sum() <= 3
    free = np.linalg.lstsq(x, y[:, 0])[0]
    x, y = jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32)
    run = fit_constrained(
        Linear(),
        Splits(Rows(x, y)),
        BOUND,
        method=AugmentedLagrangian(penalty=2.0, growth=1.5, max_penalty=20.0),
        params={"dense": {"kernel": jnp.zeros((3, 2))}},
        epochs=6000,
        update_every=40,
        learning_rate=0.03,
        optimizer=optax.sgd,
    )
    got = run.params["dense"]["kernel"]
    np.testing.assert_allclose(got[:, 1], want, atol=1e-4)
    # Terms are averaged over rows, so multipliers are the analytic ones times their number.
    np.testing.assert_allclose(run.state.multiplier[:, 0] / 12, dual, atol=1e-4)
    np.testing.assert_allclose(got[:, 0], free, atol=1e-4)
    assert run.history.violation.worst[-1, 0] < 1e-4


class Shared(nn.Module):
    """Both tasks are predicted by the same number."""

    outputs = (1, 1)

    @nn.compact
    def __call__(self, x):
        w = self.param("w", nn.initializers.zeros_init(), (1, 1))
        return jnp.broadcast_to(w, (x.shape[0], 2))


def test_epsilon_constraint_trades_one_task_for_the_other():
    # Labels 0 and 1, one shared output w: L1 = w^2, L2 = (w - 1)^2 <= b: w = 1 - sqrt(b).
    data = Splits(Rows(jnp.zeros((4, 1)), jnp.tile(jnp.array([[0.0, 1.0]]), (4, 1))))

    @jax.jit
    @jax.vmap
    def front(bound):
        epsilon = EpsilonConstraint((None, bound))
        return fit_constrained(
            Shared(),
            data,
            epsilon,
            method=AugmentedLagrangian(penalty=2.0, growth=1.5, max_penalty=8.0),
            task_weights=epsilon.task_weights,
            params={"w": jnp.zeros((1, 1))},
            epochs=1500,
            update_every=30,
            optimizer=optax.sgd,
            learning_rate=0.02,
        )

    bounds = np.array([0.04, 0.25, 0.64])
    run = front(jnp.asarray(bounds, jnp.float32))
    w = 1 - np.sqrt(bounds)
    np.testing.assert_allclose(run.history.train[:, -1, 0], w**2, atol=1e-3)
    np.testing.assert_allclose(run.history.train[:, -1, 1], bounds, atol=1e-3)
    np.testing.assert_allclose(run.history.multiplier[:, -1, 0], w / (1 - w), rtol=1e-2)


@pytest.mark.slow
def test_mapped_over_keys_and_strengths_equals_a_loop():
    data = data_of(rows=16)
    start = drawn_parameters(MODEL, data.train.x)

    @jax.jit
    def train(key, strength):
        return fit_constrained(
            MODEL,
            data,
            BOUND,
            method=QuadraticPenalty(strength=strength),
            key=key,
            params=start,
            epochs=3,
            batch_size=5,
            shuffle=True,
        )

    keys, strengths = jax.random.split(jax.random.key(0), 2), jnp.array([0.0, 5.0])
    loop = [train(keys[i], strengths[i]) for i in range(2)]
    mapped = jax.vmap(train)(jax.random.split(jax.random.key(0), 2), strengths)
    for i, one in enumerate(loop):
        for got, want in zip(jax.tree.leaves(mapped), jax.tree.leaves(one), strict=True):
            np.testing.assert_allclose(got[i], want, rtol=1e-4, atol=1e-6)


def test_other_numbers_compile_nothing_anew():
    traced = []

    def watched(outputs, targets):
        traced.append(1)
        return (outputs - targets) ** 2

    data = data_of(rows=8)
    start = drawn_parameters(MODEL, data.train.x)
    for low, strength, rate in ((0.5, 1.0, 1e-3), (0.7, 3.0, 1e-2)):
        before = len(traced)
        fit_constrained(
            MODEL,
            data,
            OutputBound(1, lower=low),
            method=QuadraticPenalty(strength=strength),
            params=start,
            epochs=2,
            learning_rate=rate,
            loss=watched,
        )
        spent = len(traced) - before
    assert before > 1
    assert spent <= 1  # the check of shapes may look again


def test_unknown_labels_and_rows_that_fill_the_last_batch_have_no_influence():
    data = data_of(rows=10)
    known = jnp.ones((10, 2), bool).at[3, 1].set(False)
    start = drawn_parameters(MODEL, data.train.x)
    options = {"params": start, "epochs": 4, "batch_size": 4}
    runs = [
        fit_constrained(
            MODEL,
            Splits(Rows(data.train.x, data.train.y.at[3, 1].set(label), known)),
            BOUND,
            **options,
        )
        for label in (0.0, 99.0)
    ]
    for a, b in zip(jax.tree.leaves(runs[0]), jax.tree.leaves(runs[1]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_divergence_is_flagged():
    data = data_of(rows=8)
    run = fit_constrained(
        MODEL,
        data,
        BOUND,
        params=drawn_parameters(MODEL, data.train.x),
        epochs=20,
        learning_rate=1e6,
        optimizer=optax.sgd,
    )
    assert run.diverged


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs: expected a number > 0"),
        ({"update_every": 0}, "update_every"),
        ({"batch_size": 0}, "batch_size"),
        ({"key": None}, "key: expected"),
        ({"task_weights": (1.0,)}, r"task_weights: expected one a task, 2, got shape \(1,\)"),
        ({"constraint": lambda y, losses: y[:3]}, r"constraint: expected values"),
        ({"constraint": lambda y, losses: losses.sum()}, r"got shape \(\)"),
    ],
)
def test_bad_input(change, message):
    data = data_of(rows=8)
    start = None if "key" in change else drawn_parameters(MODEL, data.train.x)
    options = {"params": start, "epochs": 1, "constraint": BOUND} | change
    constraint = options.pop("constraint")
    with pytest.raises(ValueError, match=message):
        fit_constrained(MODEL, data, constraint, **options)

"""Whole runs by optimizers that want more than gradients: each is optax, written by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from some_cases import some

import jaxmtl
import jaxmtl.aggregation as ag
from jaxmtl import Phase, Rows, Splits
from jaxmtl.constraints import EpsilonConstraint, QuadraticPenalty
from jaxmtl.models import SharedBottom
from jaxmtl.training.constrained import fit_constrained

pytestmark = pytest.mark.few_optimizations
RNG = np.random.default_rng(0)
X, Y = (jnp.asarray(RNG.normal(size=(8, size)), jnp.float32) for size in (3, 2))
DATA = Splits(train=Rows(X, Y))
START = {"w": jnp.asarray(RNG.normal(size=(3, 2)), jnp.float32), "b": jnp.ones(2)}


def outputs(params, x):
    return jnp.tanh(x) @ params["w"] + params["b"][None]


MODEL = (lambda key, x: START, outputs)


def losses_of(params, x, y):
    return ((outputs(params, x) - y) ** 2).mean(axis=0)


contrib = optax.contrib
OPTIMIZERS = {
    "reduce_on_plateau": lambda rate: optax.chain(
        optax.adam(rate), contrib.reduce_on_plateau(patience=1, rtol=0.5, accumulation_size=2)
    ),
    "polyak_sgd": optax.polyak_sgd,
    "lbfgs": lambda rate: optax.lbfgs(),
    "sam": lambda rate: contrib.sam(optax.sgd(rate), optax.sgd(0.05)),
    "opaque sam": lambda rate: contrib.sam(optax.sgd(rate), optax.sgd(0.05), opaque_mode=True),
}
# What each goes down, as a function of the losses.
METHODS = {
    "sum": (None, lambda losses: losses.sum()),
    "a loss method": ("gls", lambda losses: jnp.exp(jnp.log(losses).mean())),
    "an aggregator": (ag.constant([0.5, 2.0]), lambda losses: losses[0] / 2 + 2 * losses[1]),
}


def by_hand(optimizer, loss_fn, *, epochs=2, size=4):
    @jax.jit
    def step(params, state, x, y):
        def value_fn(params):
            return loss_fn(params, x, y)

        value, grads = jax.value_and_grad(value_fn)(params)
        given = {"value": value, "grad": grads, "value_fn": value_fn}
        if isinstance(state, contrib.SAMState):
            given = {"grad_fn": lambda p, _: jax.grad(value_fn)(p)}
        updates, state = optimizer.update(grads, state, params, **given)
        return optax.apply_updates(params, updates), state

    optimizer = optax.with_extra_args_support(optimizer)
    params, state = START, optimizer.init(START)
    for _ in range(epochs):
        for at in range(0, len(X), size):
            params, state = step(params, state, X[at : at + size], Y[at : at + size])
    return params


def close(found, expected):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


CASES = [
    (optimizer, method)
    for optimizer in OPTIMIZERS
    for method in METHODS
    if method != "an aggregator" or optimizer in ("reduce_on_plateau", "polyak_sgd")
]
KEPT = [("polyak_sgd", "an aggregator"), ("opaque sam", "a loss method"), ("opaque sam", "sum")]


@pytest.mark.parametrize("case", some(CASES, *KEPT), ids=" and ".join)
def test_a_run_is_that_of_optax(case):
    optimizer, (method, loss_of) = OPTIMIZERS[case[0]], METHODS[case[1]]
    run = jaxmtl.fit(
        MODEL,
        DATA,
        params=START,
        epochs=2,
        batch_size=4,
        learning_rate=0.1,
        optimizer=optimizer,
        aggregator=method,
    )
    expected = by_hand(optimizer(0.1), lambda params, x, y: loss_of(losses_of(params, x, y)))
    close(run.params, expected)


@pytest.mark.parametrize("name", some(["lbfgs", "opaque sam"], "opaque sam"))
def test_a_run_under_constraints_is_that_of_optax(name):
    optimizer = OPTIMIZERS[name]
    run = fit_constrained(
        MODEL,
        DATA,
        EpsilonConstraint([None, 0.2]),
        method=QuadraticPenalty(strength=3.0),
        params=START,
        task_weights=[1.0, 0.0],
        epochs=2,
        batch_size=4,
        learning_rate=0.1,
        optimizer=optimizer,
    )

    def loss_fn(params, x, y):
        one, two = losses_of(params, x, y)
        return one + 3 * jnp.maximum(two - 0.2, 0) ** 2

    close(run.params, by_hand(optimizer(0.1), loss_fn))


@pytest.mark.slow
def test_runs_that_differ_in_their_loss_method_look_each_at_its_own():
    optimizer = OPTIMIZERS["opaque sam"]
    given = {"phases": [Phase(2, learning_rate=0.1)], "batch_size": 4, "optimizer": optimizer}
    starts = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), START)
    given |= {"params": starts}

    def swept(*methods):
        keys = jax.random.split(jax.random.key(0))
        return jaxmtl.sweep(MODEL, DATA, keys=keys, aggregator=methods, **given)

    runs = swept("gls", "equal")
    for run, method in zip(runs, ("a loss method", "sum"), strict=True):
        loss_of = METHODS[method][1]
        expected = by_hand(optimizer(0.1), lambda p, x, y, of=loss_of: of(losses_of(p, x, y)))
        close(run.params, expected)
    with pytest.raises(ValueError, match="grad.*: combined task gradients .* a loss method"):
        swept("mgda", "equal")


def telling(rate):
    """Adds what it is told to every parameter."""

    def update(updates, state, params=None, *, value, **others):
        return jax.tree.map(lambda leaf: jnp.full_like(leaf, value), updates), state

    return optax.GradientTransformationExtraArgs(lambda params: (), update)


@pytest.mark.slow
def test_the_value_is_that_of_the_direction():
    known = np.ones((8, 2), bool)
    known[:, 1] = False
    masked = Splits(train=Rows(X, Y, known))
    trunk = SharedBottom(trunk=[2], towers=[], outputs=[1, 1])
    start = jax.jit(trunk.init)(jax.random.key(0), X)["params"]
    of_trunk = ((trunk.apply({"params": start}, X) - Y) ** 2).mean(axis=0)
    losses = losses_of(START, X, Y)
    for model, params, data, method, expected in (
        (MODEL, START, masked, ag.trimmed_mean(0), losses[0]),  # no weighted sum
        (trunk, start, DATA, ag.constant([0.5, 2.0]), of_trunk.mean()),  # heads go along their own
    ):
        run = jaxmtl.fit(
            *(model, data), params=params, epochs=1, batch_size=8, optimizer=telling,
            aggregator=method,
        )  # fmt: skip
        close(run.params, jax.tree.map(lambda leaf, more=expected: leaf + more, params))


def test_what_is_infinite_from_the_start_is_not_to_blame():
    """The least loss so far is infinite until one was accumulated; the third batch is too much."""

    def loss(outputs, targets):
        return jnp.where(targets > 50, jnp.inf, (outputs - targets) ** 2)

    run = jaxmtl.fit(
        MODEL,
        Splits(train=Rows(X, Y.at[5, 1].set(99.0))),
        params=START,
        epochs=1,
        batch_size=2,
        loss=loss,
        optimizer=lambda rate: optax.chain(
            optax.adam(rate), contrib.reduce_on_plateau(accumulation_size=8)
        ),
    )
    assert (run.divergence.sample, run.divergence.task) == (4, 1)


def test_what_makes_no_optimizer_is_told_in_a_sentence():
    for optimizer, text in (
        (optax.adam(0.1), "expected a function of the learning rate, .* got an optimizer: pass"),
        (3, "expected a function of the learning rate, .* got int: pass"),
        (lambda rate: optax.adam, r"expected one of optax, got the function adam: call it"),
    ):
        with pytest.raises(ValueError, match=f"optimizer: {text}"):
            jaxmtl.fit(MODEL, DATA, params=START, optimizer=optimizer)
    with pytest.raises(ValueError, match=r"the function mgda: call it, mgda\(\)"):
        jaxmtl.fit(MODEL, DATA, params=START, aggregator=ag.mgda)
    with pytest.raises(ValueError, match="expected one that goes along the direction it is given"):
        jaxmtl.fit(
            MODEL, DATA, params=START, optimizer=OPTIMIZERS["sam"], aggregator="mgda", epochs=1
        )

"""Whole runs, counting and duplication in the stricter modes of JAX, with labels missing."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmtl
from jaxmtl import HardSharing, Phase, Rows, Splits

pytestmark = pytest.mark.few_optimizations

RNG = np.random.default_rng(0)
X = RNG.uniform(size=(40, 4)).astype(np.float32)
KNOWN = np.arange(80).reshape(40, 2) % 3 > 0
Y = np.where(KNOWN, np.stack([X[:, 0], 1 - X[:, 0]], axis=1), np.nan).astype(np.float32)
NOBODY = KNOWN & [True, False]
DATA = Splits(Rows(X, Y, KNOWN), Rows(X, np.where(NOBODY, Y, np.nan), NOBODY))
PHASES = (Phase(3, warmup=2, threshold=2), Phase(1))


def strictly(make):
    """What ``make`` gives where nothing goes to the host unasked, and again where NaN is an error.

    One after the other, since to look for NaN moves values to the host; compiled once.
    """
    with jax.numpy_dtype_promotion("strict"):
        with jax.transfer_guard("disallow"):
            make()
        with jax.debug_nans(True):
            return make()


@pytest.mark.slow  # of what a run is made is tested below
@pytest.mark.parametrize("several", [False, True])
def test_runs_that_split(several):
    key, keys = jax.random.key(0), jax.random.split(jax.random.key(3), 2)
    options = {"phases": PHASES, "keep_best": True}

    def make():
        if several:
            return jaxmtl.sweep(HardSharing(), DATA, keys=jax.random.clone(keys), **options)
        return [jaxmtl.fit_adaptive(HardSharing(), DATA, key=jax.random.clone(key), **options)]

    for run in strictly(make):
        assert len(run.events) == 1
        assert run.divergence is None
        assert np.isfinite(run.history.train).all()
        # No error where there is no label, in the history and beside the best.
        for errors in (*run.history.validation, run.best.errors):
            assert np.isnan(errors).tolist() == [False, True]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["graddrop", "dwa"])
def test_runs_with_a_method(method):
    options = {"epochs": 1, "shuffle": True, "aggregator": method, "batch_size": 8}
    key = jax.random.key(1)
    run = strictly(lambda: jaxmtl.fit(HardSharing(), DATA, key=jax.random.clone(key), **options))
    found = run.history.combination
    # Graddrop has no weights, and losses alone show no conflict.
    assert np.isnan(found.weights).all() == (method == "graddrop")
    assert np.isnan(found.conflict_rate).all() == (method == "dwa")


def test_counting_and_duplication():
    model = HardSharing()
    params = model.init(jax.random.key(0), jnp.zeros((1, 4)))["params"]
    index, adam = model.initial_head_index(), optax.adam(0.1)
    state, deltas = adam.init(params), jnp.asarray(RNG.normal(size=(5, 2, 6)), jnp.float32)
    inputs, reads = jnp.ones((5, 4)), jnp.ones((2, 6), bool)

    # Arrays are arguments: those of a closure are read back to be written into the program.
    @jax.jit
    def counted(deltas, inputs, streak, reads):
        found = jaxmtl.weight_conflict(inputs, deltas, reads)
        streak = jaxmtl.update_streak(streak, found)
        return jaxmtl.count_conflicts(found.conflict), streak[-1]

    @jax.jit
    def parted(params, state, index, moving):
        after = jaxmtl.duplicate_node(params, index, jnp.int32(1), moving)
        return after, jaxmtl.transplant(state, params, 1, 3, "copy")

    streak, moving = jnp.zeros((4, 6), jnp.int32), jnp.asarray([True, False])
    (count, _), ((_, after), _) = strictly(
        lambda: (counted(deltas, inputs, streak, reads), parted(params, state, index, moving))
    )
    assert count.max() > 0
    assert after[0, 1] == 3


def test_a_nan_that_is_marked_known_is_refused_before_training():
    model = HardSharing()
    params = model.init(jax.random.key(0), X[:1])["params"]
    for other, name in ((False, "train"), (True, "validation")):  # is the other label known?
        row = int(np.flatnonzero(KNOWN[:, 1] & (KNOWN[:, 0] == other))[2])
        y = Y.copy()
        y[row, 1] = np.nan
        data = DATA._replace(**{name: Rows(X, y, KNOWN)})
        data = data if other else jax.tree.map(jnp.asarray, data)
        text = rf"data\.{name}: .* NaN at row {row}, task 1: mark it as unknown"
        with pytest.raises(ValueError, match=text):
            jaxmtl.fit(model, data, params=params)
    each = jax.tree.map(lambda *leaves: np.stack(leaves), DATA, data)
    both = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), params)
    keys = jax.random.split(jax.random.key(0))
    with pytest.raises(ValueError, match=rf"NaN at member 1, row {row}, task 1"):
        jaxmtl.sweep(model, each, keys=keys, params=both, stacked=True)


def test_the_loss_says_which_task_sees_a_nan():
    def loss(outputs, targets):  # of one task with two targets, and of one with the last
        errors = (outputs - targets) ** 2
        return jnp.stack([errors[:, :2].sum(axis=1), errors[:, 2]], axis=1)

    known = np.ones((4, 2), bool)
    known[1], known[2, 0] = [True, False], False
    targets = np.ones((4, 3), np.float32)
    targets[1, 2] = targets[2, 0] = np.nan  # both unknown
    model = (lambda key, x: jnp.ones((2, 3)), lambda params, x: x @ params)
    x, given = np.ones((4, 2), np.float32), {"params": jnp.ones((2, 3)), "epochs": 1, "loss": loss}
    run = jaxmtl.fit(model, Splits(Rows(x, targets, known)), **given)
    assert run.divergence is None
    for place, row, task in (((1, 0), 1, 0), ((2, 2), 2, 1), ((3, 1), 3, 0)):
        bad = targets.copy()
        bad[place] = np.nan
        with pytest.raises(ValueError, match=f"row {row}, task {task}"):
            jaxmtl.fit(model, Splits(Rows(x, bad, known)), **given)


def test_what_cannot_be_trained_is_refused_in_a_sentence():
    model, data = HardSharing(), Splits(Rows(X, X[:, :2]))
    keys = jax.random.split(jax.random.key(0))
    params = model.init(jax.random.key(1), X[:1])["params"] | {"act": jnp.tanh}
    text = r"params\['act'\]: expected an array, got \w+: keep what is not trained apart"
    for train in (
        lambda: jaxmtl.fit(model, data, params=params),
        lambda: jaxmtl.sweep(model, data, keys=keys, params=params),
        lambda: jaxmtl.task_gradients(lambda p, x: x)(params, X),
        lambda: jaxmtl.sample_task_gradients(lambda p, x: x)(params, X),
    ):
        with pytest.raises(ValueError, match=text):
            train()
    losses = {
        "()": lambda outputs, targets: ((outputs - targets) ** 2).mean(),
        "a tuple": lambda outputs, targets: (outputs[:, 0], outputs[:, 1]),
        "a dict": lambda outputs, targets: {"a": outputs[:, 0]},
    }
    for got, loss in losses.items():
        text = rf"loss: expected losses of shape \(batch, tasks\) .* got {re.escape(got)} from"
        with pytest.raises(ValueError, match=text):
            jaxmtl.fit(model, data, key=jax.random.key(2), loss=loss)

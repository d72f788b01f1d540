"""Members of a sweep that combine gradients by methods of their own, against runs of one method."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from some_cases import some

import jaxmtl.aggregation as ag
from jaxmtl import Phase, Rows, Splits, sweep
from jaxmtl.models import SharedBottom
from jaxmtl.training.phased.choice import choice_of

pytestmark = pytest.mark.few_optimizations
MODEL = SharedBottom(trunk=[4], towers=[], outputs=[1, 1])
# Methods start anew with the second phase.
PHASES = (Phase(2, learning_rate=0.05), Phase(1, learning_rate=0.05))
OPTIONS = {"phases": PHASES, "shuffle": True, "batch_size": 3}
# Two settings of one method, by a key; a loss method that looks twice; one with a state.
METHODS = ["graddrop(leak=0.2)", "famo", "graddrop(leak=0.9)", ag.gradnorm()]


@pytest.fixture(scope="module")
def data():
    x = jax.random.uniform(jax.random.key(1), (30, 4))
    y = jnp.stack([x[:, 0] * x[:, 1], 1 - x[:, 0] ** 2], axis=1)
    return Splits(train=Rows(x, y), test=Rows(x, y))


def close(ours, theirs, atol):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=atol), ours, theirs)


@pytest.fixture(scope="module")
def runs(data):
    keys = jax.vmap(jax.random.key)(np.arange(4))
    return sweep(MODEL, data, keys=keys, aggregator=METHODS, **OPTIONS)


@pytest.mark.parametrize("member", some(range(4), 2))
def test_members_have_methods_of_their_own(data, runs, member):
    key, method = jax.vmap(jax.random.key)(np.arange(member, member + 1)), METHODS[member]
    run = sweep(MODEL, data, keys=key, aggregator=method, **OPTIONS)[0]
    close(runs[member].params, run.params, atol=1e-5)
    # What one method tells and another does not is told of its own members.
    close(runs[member].history.combination, run.history.combination, atol=1e-4)


def test_what_a_method_does_not_tell_is_missing_for_its_members_alone(runs):
    weights = runs.records.combination.weights
    np.testing.assert_array_equal(np.isnan(weights).all(axis=(1, 2)), [True, False, True, False])
    assert np.isnan(runs[1].history.combination.conflict_rate).all()
    assert np.isfinite(runs[3].history.combination.conflict_rate).all()


def test_one_method_a_member_or_one_for_all(data):
    keys = jax.vmap(jax.random.key)(np.arange(4))
    with pytest.raises(ValueError, match="a list of 4, one a key, got a list of 1"):
        sweep(MODEL, data, keys=keys, aggregator=["famo"], **OPTIONS)
    with pytest.raises(ValueError, match="no method 'fame' .did you mean 'famo'"):
        sweep(MODEL, data, keys=keys, aggregator=["famo", "fame"] * 2, **OPTIONS)


def test_methods_are_told_apart_by_what_is_static():
    assert choice_of(["mgda", "mgda()"]) == "mgda"
    names = ["krum(num_byzantine=0)", "krum", "cagrad(c=1)", "cagrad", "cagrad(c=0.2)", "famo"]
    choice, chosen = choice_of(names)
    assert choice.methods == ("krum(num_byzantine=0)", "krum", "cagrad", "cagrad", "famo")
    assert choice.traced == ((), (), ("c",), (), ())
    assert chosen.which.tolist() == [0, 1, 2, 3, 2, 4]
    np.testing.assert_allclose(chosen.settings[2]["c"], [1, 1, 1, 1, 0.2, 1])

"""Members of a sweep that combine gradients by methods of their own, against runs of one method."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmtl.aggregation as ag
from jaxmtl import HardSharing, Phase, Rows, Splits, fit_adaptive, sweep
from jaxmtl.training.phased.choice import choice_of

pytestmark = pytest.mark.few_optimizations
PHASES = (Phase(3, warmup=2, threshold=3, learning_rate=0.05), Phase(2, learning_rate=0.05))
# Two settings of one method, by a key; a loss method that looks twice; one with a state.
METHODS = ["graddrop(leak=0.2)", "famo", "graddrop(leak=0.9)", ag.gradnorm()]


@pytest.fixture(scope="module")
def data():
    x = jax.random.uniform(jax.random.key(1), (30, 4))
    y = jnp.stack([x[:, 0] * x[:, 1], 1 - x[:, 0] ** 2], axis=1)
    return Splits(train=Rows(x, y), test=Rows(x, y))


def close(ours, theirs, atol):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=atol), ours, theirs)


def test_members_have_methods_of_their_own(data):
    keys = jax.vmap(jax.random.key)(np.arange(4))
    options = {"phases": PHASES, "shuffle": True, "batch_size": 3}
    runs = sweep(HardSharing(), data, keys=keys, aggregator=METHODS, **options)
    for member in (1, 2):
        key, method = jax.random.key(member), METHODS[member]
        run = fit_adaptive(HardSharing(), data, key=key, aggregator=method, **options)
        assert tuple(runs[member].events) == tuple(run.events)
        close(runs[member].params, run.params, atol=1e-5)
        # What one method tells and another does not is told of its own members.
        close(runs[member].history.combination, run.history.combination, atol=1e-4)
    weights = runs.records.combination.weights
    assert np.isnan(weights[2]).all()
    assert np.isfinite(weights[3]).all()


def test_one_method_a_member_or_one_for_all(data):
    keys = jax.vmap(jax.random.key)(np.arange(4))
    with pytest.raises(ValueError, match="a list of 4, one a key, got a list of 1"):
        sweep(HardSharing(), data, keys=keys, aggregator=["famo"])
    with pytest.raises(ValueError, match="no method 'fame' .did you mean 'famo'"):
        sweep(HardSharing(), data, keys=jax.random.clone(keys), aggregator=["famo", "fame"] * 2)


def test_methods_are_told_apart_by_what_is_static():
    assert choice_of(["mgda", "mgda()"]) == "mgda"
    names = ["krum(num_byzantine=0)", "krum", "cagrad(c=1)", "cagrad", "cagrad(c=0.2)", "famo"]
    choice, chosen = choice_of(names)
    assert choice.methods == ("krum(num_byzantine=0)", "krum", "cagrad", "cagrad", "famo")
    assert choice.traced == ((), (), ("c",), (), ())
    assert chosen.which.tolist() == [0, 1, 2, 3, 2, 4]
    np.testing.assert_allclose(chosen.settings[2]["c"], [1, 1, 1, 1, 0.2, 1])

"""Members of a sweep of any network have values, statistics and scores of their own."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from same_runs import assert_close
from some_cases import some

from jaxmtl import HardSharing, Phase, fit, fit_adaptive, sweep
from jaxmtl.aggregation import recon
from jaxmtl.training import as_network
from jaxmtl.training.in_chunks import predictor

from . import test_network as networks
from .test_network import BATCH, DATA, KEY, MODELS, NNX, RATE, X, Y

pytestmark = pytest.mark.few_optimizations

RECON = recon()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["linen", "functions"])
def test_members_of_a_sweep_carry_their_own_state(name):
    keys = jax.random.split(jax.random.key(1), 3)
    options = {"batch_size": BATCH, "shuffle": True}
    phases = [Phase(2, learning_rate=RATE)]
    runs = sweep(MODELS[name], DATA, keys=jax.random.clone(keys), phases=phases, **options)
    for run, key in zip(runs, keys, strict=True):
        single = fit(MODELS[name], DATA, key=key, epochs=2, learning_rate=RATE, **options)
        assert_close((run.params, run.state), (single.params, single.state), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_models_that_bring_values_are_swept_over_stacked_ones():
    keys = jax.random.split(jax.random.key(1), 2)
    models = [NNX(nnx.Rngs(seed)) for seed in range(2)]
    with pytest.raises(ValueError, match="params: expected initial values with a leading axis"):
        sweep(models[0], DATA, keys=jax.random.clone(keys), phases=[Phase(2)])
    starts = [nnx.state(model, nnx.Param) for model in models]
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts)
    options = {"batch_size": BATCH}
    runs = sweep(
        *(models[0], DATA), keys=jax.random.clone(keys), params=params, phases=[Phase(2)], **options
    )
    for run, model, key in zip(runs, models, keys, strict=True):
        single = fit(model, DATA, key=key, epochs=2, **options)
        assert_close((run.params, run.state), (single.params, single.state))


MADE = {
    "linen": networks.Linen(),
    "nnx": lambda key: NNX(nnx.Rngs(key)),
    "equinox": lambda key: eqx.nn.make_with_state(networks.Equinox)(key),
    "functions": (networks.draw, networks.forward),
}


@pytest.mark.parametrize("name", some(MADE, "functions"))
def test_members_hand_on_the_state_of_their_aggregator_and_of_the_best_epoch(name):
    keys = jax.random.split(jax.random.key(1), 2)
    options = {"batch_size": BATCH, "keep_best": True, "aggregator": RECON}
    phases = [Phase(2, learning_rate=RATE), Phase(2, learning_rate=RATE)]
    runs = sweep(MADE[name], DATA, keys=jax.random.clone(keys), phases=phases, **options)
    starts = [as_network(MADE[name]).init(key, X[:1])[0] for key in keys]
    assert not all(map(np.array_equal, *map(jax.tree.leaves, starts)))
    for run in runs:
        predict = predictor(MADE[name], run.best.params, state=run.best.state)
        errors = ((predict(X[20:]) - Y[20:]) ** 2).mean(axis=0)
        place = int(run.best.epoch) - 1
        np.testing.assert_allclose(errors, run.history.validation[place], rtol=1e-5)
        # Every phase starts anew: a pair of tasks can be in conflict in all updates of the last.
        scores = run.aggregator_state.scores
        assert scores.max() <= 2 * 20 // BATCH
        rates = run.history.combination.conflict_rate
        assert np.isfinite(rates).all()
    assert runs.aggregator_state.scores.sum() > 0
    single = fit(MADE[name], DATA, key=keys[1], epochs=1, learning_rate=RATE, **options)
    assert single.aggregator_state.scores.shape == runs[1].aggregator_state.scores.shape
    assert fit(MADE[name], DATA, key=jax.random.clone(KEY), epochs=1).aggregator_state is None


class Normalized(HardSharing):
    """A bank above features that are normalized over the batch, and of which some are dropped."""

    def setup(self):
        super().setup()
        self.norm = nn.BatchNorm(momentum=0.9)
        self.drop = nn.Dropout(0.2)

    def trunk(self, x, train: bool = False):
        x = self.norm(super().trunk(x), use_running_average=not train)
        return nn.sigmoid(self.drop(x, deterministic=not train))

    def __call__(self, x, head_index=None, train: bool = False):
        return self.heads(self.trunk(x, train), head_index)


@pytest.mark.slow
def test_a_bank_above_running_statistics_is_duplicated():
    model = Normalized(shared=(5,), nodes=2, outputs=(1, 1))
    phases = [Phase(4, warmup=1, threshold=3), Phase(2, learning_rate=1e-3)]
    run = fit_adaptive(
        model, DATA, key=jax.random.clone(KEY), phases=phases, batch_size=BATCH, keep_best=True
    )
    assert len(run.events) == 1
    assert np.abs(run.state["batch_stats"]["norm"]["mean"]).max() > 0
    predict = predictor(model, run.params, run.head_index, run.state)
    errors = ((predict(X[:20]) - Y[:20]) ** 2).mean(axis=0)
    np.testing.assert_allclose(errors, run.history.train[-1], rtol=1e-5)
    best = run.best
    predict = predictor(model, best.params, best.head_index, best.state)
    errors = ((predict(X[20:]) - Y[20:]) ** 2).mean(axis=0)
    np.testing.assert_allclose(errors, run.history.validation[int(best.epoch) - 1], rtol=1e-5)
    # A copy of a node changes no prediction: the phase after it begins where this one ended.
    apart = fit_adaptive(
        *(model, DATA),
        key=jax.random.clone(KEY),
        phases=[phases[0], Phase(1, learning_rate=1e-30)],
        batch_size=BATCH,
    )
    before = apart.history.train[apart.history.phase == 1][-1]
    np.testing.assert_allclose(before, run.history.train[run.history.phase == 1][-1], rtol=1e-6)

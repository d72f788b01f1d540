"""Networks of any library, with running statistics and dropout, train through the same loop."""

import dataclasses
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import nnx
from same_runs import assert_close, assert_identical
from some_cases import some

from jaxmtl import HardSharing, Rows, Splits, fit, fit_constrained
from jaxmtl.constraints import OutputBound
from jaxmtl.models import AITM, Constrained, MMoE
from jaxmtl.training import Applied, Network, as_network
from jaxmtl.training.fit import advance
from jaxmtl.training.in_chunks import predictor
from jaxmtl.training.phased.phases import NEVER

pytestmark = pytest.mark.few_optimizations

rng = np.random.default_rng(0)
X = rng.uniform(size=(28, 4)).astype(np.float32)
Y = np.stack([X[:, 0] * X[:, 1], X[:, 2] - X[:, 3]], axis=1).astype(np.float32)
DATA = Splits(Rows(X[:20], Y[:20]), validation=Rows(X[20:], Y[20:]))
BATCH, EPOCHS, RATE = 5, 3, 1e-2
WIDTH, DROPPED, MOMENTUM, EPSILON = 8, 0.25, 0.9, 1e-5


# A bias before the normalization has a gradient of rounding errors, which Adam would blow up.
class Linen(nn.Module):
    @nn.compact
    def __call__(self, x, train: bool = False):
        z = nn.Dense(WIDTH, use_bias=False, name="first")(x)
        norm = nn.BatchNorm(momentum=MOMENTUM, epsilon=EPSILON, use_running_average=not train)
        z = nn.Dropout(DROPPED, deterministic=not train)(nn.tanh(norm(z)))
        return nn.Dense(2, name="last")(z)


class NNX(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(4, WIDTH, use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(WIDTH, momentum=MOMENTUM, epsilon=EPSILON, rngs=rngs)
        self.drop = nnx.Dropout(DROPPED, rngs=rngs)
        self.last = nnx.Linear(WIDTH, 2, rngs=rngs)

    def __call__(self, x):
        return self.last(self.drop(nnx.tanh(self.norm(self.first(x)))))


class Equinox(eqx.Module):
    first: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    drop: eqx.nn.Dropout
    last: eqx.nn.Linear
    order: jax.Array  # whole numbers are not trained

    def __init__(self, key):
        keys = jax.random.split(key)
        self.first = eqx.nn.Linear(4, WIDTH, key=keys[0])
        self.norm = eqx.nn.BatchNorm(WIDTH, axis_name="batch", mode="ema")
        self.drop = eqx.nn.Dropout(DROPPED)
        self.last = eqx.nn.Linear(WIDTH, 2, key=keys[1])
        self.order = jnp.arange(WIDTH)[::-1]

    def __call__(self, x, state, *, key=None):
        z, state = self.norm(self.first(x)[self.order], state)
        return self.last(self.drop(jnp.tanh(z), key=key)), state


def draw(key, x):
    first, last = jax.random.split(key)
    params = {
        "first": 0.5 * jax.random.normal(first, (x.shape[1], WIDTH)),
        "last": 0.5 * jax.random.normal(last, (WIDTH, 2)),
    }
    return params, jnp.zeros(WIDTH)


def forward(params, state, x, *, key, train):
    z = x @ params["first"]
    mean = z.mean(axis=0) if train else state
    state = MOMENTUM * state + (1 - MOMENTUM) * jax.lax.stop_gradient(mean)
    h = jnp.tanh(z - mean[None])
    if train:
        h = jnp.where(jax.random.bernoulli(key, 1 - DROPPED, h.shape), h / (1 - DROPPED), 0)
    return h @ params["last"], state


MODELS = {
    "linen": Linen(),
    "nnx": NNX(nnx.Rngs(0)),
    "equinox": eqx.nn.make_with_state(Equinox)(jax.random.key(0)),
    "functions": (draw, forward),
}


def by_hand_linen(params, state, x, key):
    variables = {"params": params, **state}
    rngs = {"dropout": key}
    outputs, changed = Linen().apply(variables, x, True, rngs=rngs, mutable=["batch_stats"])
    return outputs, dict(changed)


def by_hand_nnx(params, state, x, key):
    graph, _, streams, _ = nnx.split(MODELS["nnx"], nnx.Param, nnx.RngState, ...)
    parts = jax.tree.map(lambda leaf: leaf, (params, streams, state))  # made in this trace
    parts[1]["drop"]["rngs"]["key"].set_value(jax.random.fold_in(key, 1))
    model = nnx.merge(graph, *parts)
    outputs = model(x)
    return outputs, nnx.split(model, nnx.Param, nnx.RngState, ...)[3]


def by_hand_equinox(params, state, x, key):
    model = eqx.combine(params, MODELS["equinox"][0])
    keys = jax.random.split(key, len(x))

    def one(row, key, inner):
        return model(row, inner, key=key)

    outputs, inner = jax.vmap(one, (0, 0, None), (0, None), axis_name="batch")(x, keys, state.inner)
    return outputs, state._replace(inner=inner)


def by_hand_functions(params, state, x, key):
    return forward(params, state, x, key=key, train=True)


def by_hand(name, key):
    """The loop that one would write without the library."""
    init_key, order_key = jax.random.split(key)
    params, state = as_network(MODELS[name]).init(init_key, X[:1])
    optimizer = optax.adam(RATE)
    opt_state = optimizer.init(params)

    def loss(params, state, x, y, key):
        outputs, state = globals()[f"by_hand_{name}"](params, state, x, key)
        return ((outputs - y) ** 2).mean(axis=0).sum(), state

    @jax.jit
    def step(params, state, opt_state, x, y, key):
        grads, state = jax.grad(loss, has_aux=True)(params, state, x, y, key)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), state, opt_state

    for epoch in range(EPOCHS):
        epoch_key = jax.random.fold_in(jax.random.fold_in(order_key, NEVER // 4), epoch)
        for number in range(20 // BATCH):
            rows = slice(BATCH * number, BATCH * (number + 1))
            params, state, opt_state = step(
                *(params, state, opt_state, X[:20][rows], Y[:20][rows]),
                jax.random.fold_in(epoch_key, number),
            )
    return params, state


KEY = jax.random.key(7)


def trained(name, **options):
    options = {"epochs": EPOCHS, "learning_rate": RATE, "batch_size": BATCH} | options
    return fit(MODELS[name], DATA, key=jax.random.clone(KEY), **options)


@pytest.mark.parametrize("name", some(MODELS, "linen"))
def test_a_run_equals_the_loop_written_by_hand(name):
    before = advance._cache_size()
    run = trained(name, keep_best=True)
    assert advance._cache_size() == before + 1
    params, state = by_hand(name, jax.random.clone(KEY))
    assert_close((run.params, run.state), (params, state), rtol=1e-6, atol=1e-6)
    # The statistics moved, and the errors are those of evaluation.
    _, start = as_network(MODELS[name]).init(jax.random.key(0), X[:1])
    moved = zip(jax.tree.leaves(start), jax.tree.leaves(run.state), strict=True)
    assert any(not np.array_equal(old, new) for old, new in moved)
    predict = predictor(MODELS[name], run.params, state=run.state)
    errors = ((predict(X[:20]) - Y[:20]) ** 2).mean(axis=0)
    np.testing.assert_allclose(errors, run.history.train[-1], rtol=1e-5)
    np.testing.assert_array_equal(predict(X[:3]), predict(X)[:3])
    place = int(run.best.epoch) - 1
    assert place == np.argmin(run.history.validation.mean(axis=1))
    predict = predictor(MODELS[name], run.best.params, state=run.best.state)
    errors = ((predict(X[20:]) - Y[20:]) ** 2).mean(axis=0)
    np.testing.assert_allclose(errors, run.history.validation[place], rtol=1e-5)


def test_another_model_of_equal_structure_brings_its_own_values_and_compiles_nothing():
    first, other = trained("nnx", epochs=1), NNX(nnx.Rngs(5))
    before = advance._cache_size()
    options = {"epochs": 1, "learning_rate": RATE, "batch_size": BATCH}
    run = fit(other, DATA, key=jax.random.clone(KEY), **options)
    assert advance._cache_size() == before
    kernel, start = run.params["first"]["kernel"].get_value(), other.first.kernel.get_value()
    assert 0 < np.abs(kernel - start).max() < 0.1
    assert np.abs(kernel - first.params["first"]["kernel"].get_value()).max() > 0.1


@pytest.mark.parametrize("method", some(["upgrad", "famo", "auto_lambda"], "famo"))
def test_methods_train_networks_with_state(method):
    run = trained("functions", epochs=1, aggregator=method)
    assert np.isfinite(run.history.train).all()
    assert np.abs(run.state).max() > 0


@pytest.mark.slow
def test_a_run_of_a_network_that_draws_may_diverge():
    y = Y.copy()
    y[13, 1] = np.inf
    data = Splits(Rows(X[:20], y[:20]))
    options = {"epochs": 2, "batch_size": BATCH, "learning_rate": RATE}
    run = fit(MODELS["functions"], data, key=jax.random.clone(KEY), **options)
    assert run.divergence == (1, 1, 10, 1)
    assert np.isfinite(run.state).all()


@pytest.mark.slow
def test_variables_of_linen_are_taken_whole_or_without_their_state():
    variables = Linen().init(jax.random.key(3), X[:1])
    moved = jax.tree.map(lambda leaf: leaf + 1, variables["batch_stats"])
    options = {"epochs": 1, "batch_size": BATCH}

    def run(params):
        return fit(Linen(), DATA, key=jax.random.clone(KEY), params=params, **options)

    whole = run({"params": variables["params"], "batch_stats": moved})
    alone = run(variables["params"])
    assert_identical(alone.params, run(variables).params)
    assert_identical(alone.state, run(variables).state)
    assert np.abs(whole.state["batch_stats"]["BatchNorm_0"]["mean"]).max() > 0.5
    assert np.abs(alone.state["batch_stats"]["BatchNorm_0"]["mean"]).max() < 0.5


def test_what_a_network_can_do_is_asked_once():
    bank = as_network(HardSharing()).bank
    assert (bank.num_tasks, bank.num_columns, bank.reads_aligned) == (2, 6, True)
    assert as_network(MMoE()).bank is None
    assert as_network(HardSharing(outputs=(2, 1))).widths == (2, 1)
    assert as_network(Linen()).widths is None
    assert as_network(AITM(calibration=0.5)).has_penalties
    inner = HardSharing()
    wrapped = as_network(Constrained(inner, soft=(None, None)))
    params, state = wrapped.init(jax.random.key(0), X[:1])
    assert state is None
    assert not all(leaf.all() for leaf in jax.tree.leaves(wrapped.shared(params, None)))
    network = as_network(inner)
    assert as_network(network) is network
    assert network == as_network(HardSharing())
    assert hash(network) == hash(as_network(HardSharing()))


def test_a_network_of_ones_own():
    @dataclasses.dataclass(frozen=True)
    class Linear(Network):
        def init(self, key, x):
            return jax.random.normal(key, (x.shape[1], 2)), None

        def apply(self, params, state, x, **options):
            return Applied(x @ params)

    run = fit(Linear(), DATA, key=jax.random.clone(KEY), epochs=2)
    assert run.history.train[1].sum() < run.history.train[0].sum()


class Sowing(nn.Module):
    @nn.compact
    def __call__(self, x):
        self.sow("penalties", "size", (x**2).sum())
        return nn.Dense(2)(x)


@dataclasses.dataclass
class Listed:
    sizes: list

    def init(self, key, x):
        raise AssertionError

    apply = init
    __hash__ = None


def halves(key, x):
    return {"w": jnp.zeros((4, 2))}


class Several(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(x), nn.Dense(1)(x)


def alone(params, state, x):
    return x @ params["w"]


def grown(params, state, x):
    return x @ params["w"], state + x[:, 0]


BAD = {
    "class": (
        HardSharing,
        "model: expected a flax.linen, .* got the class HardSharing; write",
    ),
    "number": (3, r"got int; write init\(key, x\) -> params and apply\(params, x\) -> outputs"),
    "unhashable": (Listed([1]), "model: expected one that can be hashed, got Listed"),
    "penalties": (Sowing(), "model: Sowing sows 'penalties', which would be lost; write has_pena"),
    "no pair": ((halves, forward), r"model: expected init\(key, x\) to return \(params, state\)"),
    "tuple": (Several(), r"got a tuple; join the outputs of the tasks with jnp.concatenate\(out"),
    "dict": ((halves, lambda params, x: {"a": x}), "got a dict; return the outputs"),
    "no pair of outputs": (
        (lambda key, x: (halves(key, x), jnp.zeros(())), alone),
        r"to return \(outputs, state\), got an array",
    ),
    "another state": (
        (lambda key, x: (halves(key, x), jnp.zeros(())), grown),
        r"like that before, float32\[\], got float32\[20",
    ),
    "made of no values": (
        lambda key: Linen(),
        "expected a function from a key to a flax.nnx or Equinox model, got one that makes Linen",
    ),
    "no state": ((MODELS["equinox"][0], 3), r"expected the pair \(model, state\) of equinox.nn"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_trained_is_refused_in_one_sentence(case):
    model, message = BAD[case]
    with pytest.raises(ValueError, match=message) as caught:
        fit(model, DATA, key=jax.random.clone(KEY), epochs=1)
    assert "\n" not in str(caught.value)


def test_dropout_without_a_key_and_constraints_on_state_are_refused():
    params = draw(jax.random.key(0), X[:1])[0]

    def apply(params, x, key):
        return forward(params, jnp.zeros(WIDTH), x, key=key, train=True)[0]

    model = (lambda key, x: params, apply)
    with pytest.raises(ValueError, match="key: expected a jax.random.key for a network that draws"):
        fit(model, DATA, params=params, epochs=1)
    with pytest.raises(ValueError, match="model: expected a network without running statistics"):
        fit_constrained(Linen(), DATA, OutputBound(1, lower=0.0), key=jax.random.clone(KEY))


def test_a_model_that_brings_its_values_and_draws_nothing_needs_no_key():
    model = nnx.Linear(4, 2, rngs=nnx.Rngs(0))
    run = fit(model, DATA, epochs=1, learning_rate=1e-30)
    assert np.array_equal(run.params["kernel"][...], model.kernel[...])
    with pytest.raises(ValueError, match="expected a jax.random.key for shuffle=True, got None"):
        fit(model, DATA, epochs=1, shuffle=True)


def test_classes_by_their_numbers_under_the_squared_error_are_pointed_to_their_loss():
    model, widths = HardSharing(outputs=(1, 3)), r"\(1, 3\)"
    with pytest.raises(ValueError, match=f"loss: expected 4 target columns .* {widths}, .*loss_of"):
        fit(model, DATA, key=jax.random.clone(KEY), epochs=1)


@pytest.mark.slow
def test_importing_the_package_loads_no_library_of_networks():
    loaded = "print([m for m in ('flax', 'equinox') if m in sys.modules]);"
    code = f"import sys, jaxmtl, jaxmtl.training as n;{loaded}n.as_network((max, min));{loaded}"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=200
    )
    assert printed.stdout.split("\n")[:2] == ["[]", "[]"], printed.stderr

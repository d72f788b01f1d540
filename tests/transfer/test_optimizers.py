"""What learns, how fast and from when on."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmtl
from jaxmtl import Rows, Splits
from jaxmtl.transfer import (
    Part,
    PartOptimizer,
    discriminative,
    fine_tune,
    freeze,
    gradual_unfreezing,
    linear_probe,
)

LAYERS = ("trunk/conv_0", "trunk/conv_1", "head")
RATE = 0.25


def make_params():
    rng = np.random.default_rng(0)
    shapes = {"trunk": {"conv_0": (3, 2), "conv_1": (2, 2)}, "head": (2, 4)}
    return jax.tree.map(
        lambda shape: jnp.asarray(rng.normal(size=shape), jnp.float32),
        shapes,
        is_leaf=lambda x: isinstance(x, tuple),
    )


def run(factory, updates, rate=RATE):
    """Parameters before and after each of a number of updates with a constant gradient."""
    params = make_params()
    grads = jax.tree.map(lambda leaf: jnp.full_like(leaf, 0.5), params)
    tx = factory(rate)
    state = tx.init(params)
    path = [params]

    @jax.jit
    def step(params, state):
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    for _ in range(updates):
        params, state = step(params, state)
        path.append(params)
    return path


def leaf(params, name):
    for part in name.split("/"):
        params = params[part]
    return np.asarray(params)


def moved(path, name):
    """Which updates changed a leaf."""
    return [
        not np.array_equal(leaf(a, name), leaf(b, name))
        for a, b in zip(path, path[1:], strict=False)
    ]


@pytest.mark.parametrize("optimizer", [optax.adam, optax.adamw, optax.sgd])
@pytest.mark.parametrize("make", [freeze, linear_probe])
def test_frozen_leaves_are_bit_identical_and_the_rest_moves(make, optimizer):
    factory = make("trunk" if make is freeze else "head", optimizer=optimizer)
    path = run(factory, 5)
    for name in LAYERS[:2]:
        assert leaf(path[0], name).tobytes() == leaf(path[-1], name).tobytes()
    assert moved(path, "head") == [True] * 5
    plain = run(optimizer, 5)
    np.testing.assert_allclose(leaf(path[-1], "head"), leaf(plain[-1], "head"), rtol=2e-6)


@pytest.mark.parametrize(
    ("factory", "rates"),
    [
        (fine_tune("trunk", scale=0.125, optimizer=optax.sgd), (0.125, 0.125, 1)),
        (discriminative(*LAYERS[:2], decay=0.5, optimizer=optax.sgd), (0.25, 0.5, 1)),
        (discriminative(LAYERS[:2], decay=0.5, optimizer=optax.sgd), (0.5, 0.5, 1)),
        (discriminative(*LAYERS, decay=0.5, optimizer=optax.sgd), (0.125, 0.25, 0.5)),
        (
            PartOptimizer((Part("trunk/*_1", rate=2.0), Part("trunk", rate=0.5)), optax.sgd),
            (0.5, 2, 1),
        ),
    ],
)
def test_rates_are_exact_with_plain_gradient_descent(factory, rates):
    before, after = run(factory, 1)
    for name, rate in zip(LAYERS, rates, strict=True):
        expected = leaf(before, name) - np.float32(RATE * rate) * np.float32(0.5)
        np.testing.assert_array_equal(leaf(after, name), expected)


def test_a_schedule_is_scaled_as_a_number_is():
    factory = fine_tune("trunk", scale=0.5, optimizer=optax.sgd)
    scheduled = run(factory, 3, lambda step: RATE / (step + 1))
    expected = leaf(make_params(), LAYERS[0]) - 0.5 * 0.5 * RATE * (1 + 1 / 2 + 1 / 3)
    np.testing.assert_allclose(leaf(scheduled[-1], LAYERS[0]), expected, rtol=1e-6)


def test_gradual_unfreezing_starts_layers_on_time_with_fresh_moments():
    factory = gradual_unfreezing(*LAYERS[:2], every=2)
    path = run(factory, 6)
    assert moved(path, "head") == [True] * 6
    assert moved(path, LAYERS[1]) == [False] * 2 + [True] * 4
    assert moved(path, LAYERS[0]) == [False] * 4 + [True] * 2
    # The first step of a layer is Adam's first step, whenever it comes: the rate times the sign.
    np.testing.assert_allclose(leaf(path[4], LAYERS[0]) - leaf(path[5], LAYERS[0]), RATE, rtol=1e-5)
    plain = run(optax.adam, 2)
    np.testing.assert_allclose(leaf(path[6], LAYERS[0]), leaf(plain[2], LAYERS[0]), rtol=1e-6)


def test_unfreezing_with_falling_rates_is_exact_too():
    factory = gradual_unfreezing(*LAYERS[:2], every=1, decay=0.5, optimizer=optax.sgd)
    path = run(factory, 3)
    for name, steps, rate in zip(LAYERS, (1, 2, 3), (0.25, 0.5, 1), strict=True):
        total = leaf(path[0], name) - leaf(path[-1], name)
        np.testing.assert_allclose(total, steps * rate * RATE * 0.5, rtol=1e-5)


@pytest.mark.parametrize("factory", [freeze("trunk"), gradual_unfreezing("trunk", every=2)])
def test_vmap_over_rates_is_a_loop(factory):
    rates = jnp.array([0.1, 0.2])
    params = make_params()

    def train(rate):
        tx = factory(rate)

        def step(_, carry):
            params, state = carry
            updates, state = tx.update(params, state, params)
            return optax.apply_updates(params, updates), state

        return jax.lax.fori_loop(0, 4, step, (params, tx.init(params)))[0]

    together = jax.jit(jax.vmap(train))(rates)
    for i, rate in enumerate(rates):
        for a, b in zip(
            jax.tree.leaves(together), jax.tree.leaves(jax.jit(train)(rate)), strict=True
        ):
            np.testing.assert_allclose(a[i], b, rtol=1e-6)


def test_fit_takes_a_factory_and_its_like_without_compiling_again():
    from jaxmtl.training.fit import advance

    x = jax.random.uniform(jax.random.key(1), (12, 4))
    data = Splits(Rows(x, x[:, :2]))
    model = jaxmtl.HardSharing()
    params = model.init(jax.random.key(0), x)["params"]
    sizes, runs = [], []
    for _ in range(2):
        factory = freeze("shared_*", "bank/bias")
        runs.append(jaxmtl.fit(model, data, params=params, epochs=3, optimizer=factory))
        sizes.append(advance._cache_size())
    assert sizes[0] == sizes[1]
    after = runs[0].params
    np.testing.assert_array_equal(after["bank"]["bias"], params["bank"]["bias"])
    np.testing.assert_array_equal(after["shared_0"]["kernel"], params["shared_0"]["kernel"])
    assert not np.array_equal(after["bank"]["kernel"], params["bank"]["kernel"])
    assert not np.array_equal(after["output"]["kernel"], params["output"]["kernel"])


def test_equal_factories_are_equal_and_hashable():
    assert freeze("a", "b") == freeze("a", "b")
    assert hash(discriminative(["a", "b"], "c")) == hash(discriminative(("a", "b"), "c"))
    assert freeze("a") != freeze("a", optimizer=optax.sgd)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: freeze("trunc")(0.1).init(make_params()), r"'trunc' to name .*'trunk/conv_0'"),
        (lambda: freeze("conv_0")(0.1).init(make_params()), "'conv_0' to name parameters"),
        (lambda: freeze("trunk/conv")(0.1).init(make_params()), "'trunk/conv' to name parameters"),
        (lambda: freeze(), "select: expected at least one path"),
        (lambda: discriminative(), "layers: expected at least one"),
        (lambda: discriminative("a", decay=0), "decay: expected a number > 0"),
        (lambda: fine_tune("a", scale=-1), "scale: expected a number > 0"),
        (lambda: gradual_unfreezing("a", every=0), "every: expected a number > 0"),
        (lambda: gradual_unfreezing("a", every=1.5), "start: expected a whole number of updates"),
        (lambda: Part("a", rate=-0.1), "rate: expected a number >= 0"),
    ],
)
def test_bad_input_is_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()

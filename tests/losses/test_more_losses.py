"""Losses of numbers and classes against NumPy in float64, with labels missing, in training."""

import functools
import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmtl
from jaxmtl import Rows, Splits
from jaxmtl.losses import (
    absolute_error,
    binary_cross_entropy,
    configured,
    huber_error,
    mean_over_known,
    sliced,
    softmax_cross_entropy,
    squared_error,
)

WEIGHTS = (0.5, 2.0, 1.0)


def oracle_huber(z, y, delta):
    e = np.abs(z - y)
    return np.where(e <= delta, e**2 / 2, delta * (e - delta / 2))


def oracle_binary(z, y, weight=1.0):
    return weight * y * np.logaddexp(0, -z) + (1 - y) * np.logaddexp(0, z)


def oracle_softmax(z, y, weights=(1, 1, 1)):
    y = y.reshape(-1).astype(int)
    shifted = z - z.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -np.asarray(weights)[y] * log_p[np.arange(len(y)), y]


METHODS = {
    "squared": (squared_error, lambda z, y: (z - y) ** 2, "numbers"),
    "absolute": (absolute_error, lambda z, y: np.abs(z - y), "numbers"),
    "huber": (huber_error, lambda z, y: oracle_huber(z, y, 1.0), "numbers"),
    "huber 0.3": (
        configured(huber_error, delta=0.3),
        lambda z, y: oracle_huber(z, y, 0.3),
        "numbers",
    ),
    "binary": (binary_cross_entropy, oracle_binary, "binary"),
    "binary weighted": (
        configured(binary_cross_entropy, positive_weight=WEIGHTS),
        lambda z, y: oracle_binary(z, y, np.array(WEIGHTS)),
        "binary",
    ),
    "softmax": (softmax_cross_entropy, oracle_softmax, "classes"),
    "softmax weighted": (
        configured(softmax_cross_entropy, class_weights=WEIGHTS),
        lambda z, y: oracle_softmax(z, y, WEIGHTS),
        "classes",
    ),
}


def draw(kind, rows=12):
    rng = np.random.default_rng(0)
    z = 3 * rng.normal(size=(rows, 3))
    y = {
        "numbers": rng.normal(size=(rows, 3)),
        "binary": rng.integers(0, 2, (rows, 3)).astype(float),
        "classes": rng.integers(0, 3, (rows, 1)).astype(float),
    }[kind]
    return z.astype(np.float32), y.astype(np.float32)


@pytest.mark.parametrize("name", METHODS)
def test_equals_the_formula_eager_jitted_and_vmapped(name):
    loss, oracle, kind = METHODS[name]
    z, y = draw(kind)
    expected = oracle(z.astype(float), y.astype(float))
    np.testing.assert_allclose(loss(z, y), expected, rtol=2e-6, atol=1e-7)
    np.testing.assert_allclose(jax.jit(loss)(z, y), expected, rtol=2e-6, atol=1e-7)
    rows = jax.jit(jax.vmap(lambda z, y: loss(z[None], y[None])[0]))(z, y)
    np.testing.assert_allclose(rows, expected, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("name", METHODS)
def test_gradient_equals_finite_differences_of_the_formula(name):
    loss, oracle, kind = METHODS[name]
    z, y = draw(kind, rows=4)
    slope = np.asarray(jax.jit(jax.grad(lambda z: loss(z, y).sum()))(z))
    step = 1e-5
    for i, k in np.ndindex(z.shape):
        ends = [z.astype(float) for _ in range(2)]
        for end, sign in zip(ends, (1, -1), strict=True):
            end[i, k] += sign * step
        up, down = (oracle(end, y.astype(float)).sum() for end in ends)
        np.testing.assert_allclose(slope[i, k], (up - down) / (2 * step), rtol=1e-3, atol=1e-4)


# The squared error leaves this to ``fit``, which clears unknown targets beforehand.
@pytest.mark.parametrize("name", [name for name in METHODS if name != "squared"])
def test_a_missing_target_shows_in_the_value_and_never_in_a_masked_gradient(name):
    loss, _, kind = METHODS[name]
    z, y = draw(kind)
    missing = np.zeros(y.shape, bool)
    missing[::3, 0] = True
    holes = np.where(missing, np.nan, y).astype(np.float32)
    task_loss = loss if kind != "classes" else sliced(loss, (3,), (1,))
    assert np.isnan(task_loss(z, holes)[missing]).all()

    def mean(z, y):
        return mean_over_known(task_loss(z, y), ~missing).sum()

    slope = jax.jit(jax.value_and_grad(mean))
    whole, masked = (slope(z, target) for target in (y, holes))
    np.testing.assert_array_equal(masked[0], whole[0])
    np.testing.assert_array_equal(masked[1], whole[1])
    assert np.isfinite(masked[1]).all()
    assert (np.asarray(masked[1])[::3, 0] == 0).all()


def test_cross_entropies_of_huge_logits_are_finite_and_a_wrong_class_number_is_not():
    z, y = jnp.array([[1e4, -1e4]]), jnp.array([[0.0, 1.0]])
    np.testing.assert_array_equal(binary_cross_entropy(z, y), [[1e4, 1e4]])
    assert float(softmax_cross_entropy(z, jnp.array([1]))[0]) == 2e4
    for wrong in (-1, 2):
        assert np.isnan(softmax_cross_entropy(z, jnp.array([[wrong]]))).all()


def test_half_precision_stays_half_precision():
    z = jnp.ones((2, 3), jnp.bfloat16)
    for loss, _, kind in METHODS.values():
        y = jnp.zeros((2, 1 if kind == "classes" else 3), jnp.bfloat16)
        assert jax.eval_shape(loss, z, y).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda z: absolute_error(z, z[0]), r"targets: expected the shape .*\(2, 3\), got \(3,\)"),
        (lambda z: huber_error(z, z, delta=0.0), "delta: expected a number > 0, got 0.0"),
        (
            lambda z: binary_cross_entropy(z, z, positive_weight=(1.0, 2.0)),
            "positive_weight: expected 3 numbers >= 0",
        ),
        (
            lambda z: softmax_cross_entropy(z, z[:, :1], class_weights=(1, -1, 1)),
            "class_weights: expected 3 numbers >= 0",
        ),
        (lambda z: softmax_cross_entropy(z, z), "expected one class number a row"),
        (
            lambda z: configured(huber_error, delta=np.ones(2)),
            "expected a number or a tuple for delta, got ndarray",
        ),
    ],
)
def test_bad_input_is_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call(jnp.zeros((2, 3)))


def test_losses_made_of_the_same_parts_are_equal_so_nothing_compiles_again():
    def build(delta):
        parts = (softmax_cross_entropy, configured(huber_error, delta=delta))
        return sliced(parts, outputs=[3, 1], targets=[1, 1])

    assert build(0.5) == build(0.5)
    assert hash(build(0.5)) == hash(build(0.5))
    assert build(0.5) != build(0.25)
    traces = []

    @functools.partial(jax.jit, static_argnames="loss")
    def run(z, y, loss):
        traces.append(None)
        return loss(z, y)

    z, y = jnp.zeros((2, 4)), jnp.zeros((2, 2))
    assert run(z, y, build(0.5)).shape == run(z, y, build(0.5)).shape == (2, 2)
    assert len(traces) == 1


@pytest.mark.slow
def test_tasks_of_three_kinds_train_together_with_labels_missing():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(64, 4)).astype(np.float32)
    numbers = [x[:, :3].argmax(axis=1), x[:, 0] > 0, x[:, 1]]
    y = np.stack(numbers, axis=1).astype(np.float32)
    known = rng.random((64, 3)) < 0.8
    loss = sliced((softmax_cross_entropy, binary_cross_entropy, huber_error), (3, 1, 1), (1, 1, 1))
    model = jaxmtl.HardSharing(shared=(8,), nodes=6, outputs=(3, 1, 1), output_activation=None)
    runs = [
        jaxmtl.fit(
            model,
            Splits(Rows(x, np.where(known, y, filler).astype(np.float32), known)),
            key=jax.random.key(0),
            epochs=60,
            learning_rate=2e-2,
            batch_size=16,
            loss=loss,
        )
        for filler in (0, np.nan)
    ]
    first, last = runs[0].history.train[0], runs[0].history.train[-1]
    assert (last < 0.8 * first).all()
    assert runs[1].divergence is None
    same = jax.tree.map(np.array_equal, runs[0].params, runs[1].params)
    assert jax.tree.reduce(operator.and_, same)

"""``lanes`` is ``vmap`` along the last axis, whatever a function is made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxmtl import HardSharing, Phase, Rows, Splits, sweep
from jaxmtl.training.driver.lanes import LONGEST_CHAIN, lanes
from jaxmtl.training.phased import side_by_side

pytestmark = pytest.mark.few_optimizations

WIDTH = 5
rng = np.random.default_rng(0)


def normal(*shape):
    return jnp.asarray(rng.normal(size=(*shape, WIDTH)), jnp.float32)


A, B, V, S = normal(3, 4), normal(3, 4), normal(4), normal()
LONG = normal(LONGEST_CHAIN + 3, 2)
PLACES = jnp.asarray(rng.integers(0, 2, size=WIDTH), jnp.int32)
FLAGS = jnp.asarray(rng.uniform(size=WIDTH) < 0.5)
MASK = jnp.asarray(rng.uniform(size=(3, 4, WIDTH)) < 0.5)
CONSTANT = jnp.asarray(rng.normal(size=(3, 4)), jnp.float32)


@jax.custom_jvp
def cube(x):
    return x**3


@cube.defjvp
def _(primals, tangents):
    return cube(primals[0]), 3 * primals[0] ** 2 * tangents[0]


@jax.custom_vjp
def halved(x):
    return x / 2


halved.defvjp(lambda x: (halved(x), None), lambda _, g: (g / 2,))


def newton(x):
    body = lambda pair: (0.5 * (pair[0] + x**2 / pair[0]), pair[1] + 1)  # noqa: E731
    return lax.while_loop(lambda pair: jnp.abs(pair[0] ** 2 - x**2) > 1e-3, body, (1 + x**2, 0))


def scanned(a):
    return lax.scan(lambda total, row: (total + row, total * row), a[0], a)


FUNCTIONS = {
    "elementwise": (lambda a, b: jnp.tanh(a) * b + 2.0 - lax.integer_pow(b, 3), (A, B)),
    "scalars with anything": (lambda a, s: a * s + s, (A, S)),
    "an operand common to all": (lambda a: CONSTANT * a - CONSTANT, (A,)),
    "clamped by a number a lane": (lambda a, s: lax.clamp(-jnp.abs(s), a, jnp.abs(s)), (A, S)),
    "power": (lambda a, b: jnp.abs(a) ** b, (A, B)),
    "types": (lambda a: (a > 0).astype(jnp.int32) + a.astype(jnp.bfloat16).astype(int), (A,)),
    "broadcast": (lambda v, s: (v[None] + jnp.zeros((3, 4)), jnp.full((2, 2), s)), (V, S)),
    "short sums": (lambda a: (a.sum(axis=1), a.sum(), a.max(axis=0), a.min()), (A,)),
    "long sums": (lambda a: (a.sum(axis=0), a.max(), a.min(axis=0), a.prod()), (LONG,)),
    "sums of nothing": (lambda a: (a[:0].sum(axis=0), a[:0].sum()), (A,)),
    "any and all": (lambda m: (m.any(axis=0), m.all(), m.sum()), (MASK,)),
    "any and all of many": (lambda a: ((a > 0).any(axis=0), (a > -9).all()), (LONG,)),
    "largest": (lambda a: (jnp.argmax(a, axis=1), jnp.argmin(a), jnp.argmax(a)), (A,)),
    "cumulated": (lambda a: (jnp.cumsum(a, axis=0), lax.cummax(a, axis=1, reverse=True)), (A,)),
    "reshaped": (lambda a: (a.reshape(2, 6), a.reshape(-1)[3:7], a[None, :, None]), (A,)),
    "transposed": (lambda a: (a.T, jnp.expand_dims(a, 1).transpose(2, 0, 1)), (A,)),
    "sliced": (lambda a: (a[1:, ::2], a[::-1], jnp.split(a, 2, axis=1)), (A,)),
    "concatenated": (lambda a, s: jnp.concatenate([a, CONSTANT, a[:1] * s], axis=0), (A, S)),
    "padded": (lambda a: jnp.pad(a, ((1, 0), (0, 2))), (A,)),
    "dynamic slice": (lambda a: lax.dynamic_slice(a, (jnp.int32(1), 0), (2, 3)), (A,)),
    "dynamic slice a lane": (lambda a, i: lax.dynamic_slice(a, (i, 0), (2, 3)), (A, PLACES)),
    "dynamic update": (lambda a, i: a.at[i].set(7.0), (A, PLACES)),
    "chosen": (lambda m, a, b: jnp.where(m, a, b), (MASK, A, B)),
    "chosen by one flag": (lambda f, a, b: lax.select(f, a, b), (FLAGS, A, B)),
    "branches": (lambda f, a: lax.cond(f, lambda a: a + 1, lambda a: a * 2, a), (FLAGS, A)),
    "jit inside": (lambda a, b: jax.jit(lambda a, b: jnp.dot(a, b.T) + a.sum())(a, b), (A, B)),
    "custom_jvp inside": (lambda a: cube(jax.nn.relu(a)) + jax.nn.silu(a), (A,)),
    "gradient of custom_jvp": (jax.grad(lambda a: cube(jax.nn.relu(a)).sum()), (A,)),
    "custom_vjp inside": (lambda a: halved(a), (A,)),
    "gradient of custom_vjp": (jax.grad(lambda a: halved(a).sum()), (A,)),
    "remat": (jax.grad(jax.checkpoint(lambda a: jnp.sin(a).sum())), (A,)),
    "gather": (lambda a, i: (a[i], jnp.take(a, jnp.array([2, 0]), axis=0)), (A, PLACES)),
    "products of matrices": (lambda a, b, v: (a @ v, a @ b.T, CONSTANT @ v), (A, B, V)),
    "sorted": (lambda a: jnp.argsort(a, axis=1, stable=True), (A,)),
    "while_loop": (newton, (S,)),
    "scan": (scanned, (A,)),
    "the same in all lanes": (lambda a: (a, CONSTANT, jnp.float32(3), jnp.arange(2)), (A,)),
    "nested": (lambda tree: {"sum": tree["a"] + tree["b"][0]}, ({"a": A, "b": (B,)},)),
}


def assert_equal(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_equals_vmap(name):
    function, args = FUNCTIONS[name]
    mapped = jax.vmap(function, in_axes=-1, out_axes=-1)
    assert_equal(*jax.jit(lambda *args: (lanes(function)(*args), mapped(*args)))(*args))


@pytest.mark.parametrize(
    "name", ["elementwise", "short sums", "gradient of custom_jvp", "branches"]
)
def test_eager_equals_compiled(name):
    function, args = FUNCTIONS[name]
    assert_equal(lanes(function)(*args), jax.jit(lanes(function))(*args))


def test_arguments_common_to_all_lanes():
    def function(a, common, v):
        return a * common, common.sum(), (v[None] + a).sum(axis=0) * common[0, 0]

    args, axes = (A, CONSTANT, V[:, 0]), (-1, None, None)
    assert_equal(lanes(function, axes)(*args), jax.vmap(function, axes, -1)(*args))


def test_keys_are_carried_and_drawn_from():
    keys = jax.random.split(jax.random.key(0), WIDTH)

    def function(key, a):
        def body(pair):
            i, key = pair
            return i + 1, jax.random.fold_in(key, i)

        _, late = lax.while_loop(lambda pair: pair[0] < 3, body, (0, key))
        chosen = jnp.where(a[0, 0] > 0, key, late)
        return jax.random.uniform(jax.random.fold_in(chosen, 1), (2,)), jax.random.key_data(late)

    # The keys are drawn from twice on purpose, once in each way.
    with jax.debug_key_reuse(False):
        expected = jax.vmap(function, -1, -1)(keys, A)
        assert_equal(jax.jit(lanes(function))(keys, A), expected)


def test_gradients_pass_through_it():
    def loss(of):
        return lambda a: (of(lambda a: jnp.tanh(a).sum(axis=0))(a) ** 2).sum()

    expected = jax.grad(loss(lambda f: jax.vmap(f, -1, -1)))(A)
    np.testing.assert_allclose(jax.grad(loss(lanes))(A), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("batch_size", "shared", "used"),
    [
        (1, (4,), True),
        pytest.param(2, (4,), False, marks=pytest.mark.slow),
        pytest.param(1, (999,), False, marks=pytest.mark.slow),
    ],
)
def test_small_networks_trained_sample_by_sample_use_it(monkeypatch, batch_size, shared, used):
    calls = []
    monkeypatch.setattr(side_by_side, "lanes", lambda *args: calls.append(args) or lanes(*args))
    x = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    # A loss of its own, so that no other test has compiled this.
    sweep(
        HardSharing(shared=shared),
        Splits(Rows(x, x[:, :2])),
        keys=jax.random.split(jax.random.key(0), 2),
        phases=[Phase(1)],
        batch_size=batch_size,
        loss=lambda y, to: jnp.abs(y - to),
    )
    assert bool(calls) == used

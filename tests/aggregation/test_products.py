"""Steps on products with the Gram matrix, and sharpness, against their formulas from all rows."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from some_cases import some

import jaxmtl
import jaxmtl.aggregation as ag

TASKS, STEPS, RATE = 3, 4, 0.1
RNG = np.random.default_rng(0)
PARAMS = {
    "heads": jnp.asarray(RNG.normal(size=(4, TASKS)), jnp.float32),
    "trunk": jnp.asarray(RNG.normal(size=(2, 4)), jnp.float32),
}
X = jnp.asarray(RNG.normal(size=(STEPS, 5, 2)), jnp.float32)
Y = jnp.asarray(RNG.normal(size=(STEPS, 5, TASKS)), jnp.float32)
PRESENT = np.ones((STEPS, TASKS), bool)
PRESENT[2, 1] = False


def loss_fn(params, batch, mean):
    z = batch[0] @ params["trunk"]
    mean = 0.9 * mean + 0.1 * z.mean(axis=0)
    out = jnp.tanh(z - mean[None]) @ params["heads"]
    return dict(zip("abc", ((out - batch[1]) ** 2).mean(axis=0), strict=True)), mean


def trained(made, key=None):
    batch, mean = (X[0], Y[0]), jnp.zeros(4)
    keyed = {} if key is None else {"key": key}
    params, state, found = PARAMS, made.init(PARAMS, batch, mean, **keyed), []
    step = jax.jit(made.step)
    for number in range(STEPS):
        batch, present = (X[number], Y[number]), jnp.asarray(PRESENT[number])
        params, state, info = step(params, state, batch, mean, present=present)
        mean = info.aux
        found.append(info.aggregation.weights)
    assert info.names == ("a", "b", "c")
    assert step._cache_size() == 1
    return params, np.stack(found)


@jax.jit
def rows_of(params, batch, mean):
    (_, mean), rows = jaxmtl.task_gradients(loss_fn, has_aux=True)(params, batch, mean)
    rows = [rows[name].reshape(TASKS, -1) for name in sorted(rows)]
    return jnp.concatenate(rows, axis=1), mean


def moved(params, direction):
    leaves, at = {}, 0
    for name in sorted(params):
        size = params[name].size
        part = np.asarray(direction[at : at + size]).reshape(params[name].shape)
        leaves[name], at = params[name] - RATE * part, at + size
    return leaves


def on_simplex(v):
    """The nearest point of the simplex, by sorting."""
    u = np.sort(v)[::-1]
    total = np.cumsum(u) - 1
    k = np.nonzero(u * np.arange(1, len(v) + 1) > total)[0][-1]
    return np.maximum(v - total[k] / (k + 1), 0)


def by_hand(kind, rate, rho, strength):
    params, mean, w, weights = PARAMS, jnp.zeros(4), np.full(TASKS, 1 / TASKS), []
    for number in range(STEPS):
        rows, mean = rows_of(params, (X[number], Y[number]), mean)
        there = PRESENT[number]
        j, mine = np.asarray(rows, np.float64)[there], w[there] / w[there].sum()
        equal = np.full(there.sum(), 1 / there.sum())
        if kind == "cagrad":
            g0, gw = equal @ j, mine @ j
            used = equal + strength * np.linalg.norm(g0) / np.linalg.norm(gw) * mine
        else:
            pull = strength if kind == "towards_mean" else 0
            used = (mine + pull * equal) / (1 + pull)
        slope = j @ (used @ j)
        slope = slope / np.abs(slope).max() + rho * mine
        mass = w[there].sum()
        w = w.copy()
        w[there] = mass * on_simplex(mine - rate * slope)
        params = moved(params, used @ j)
        weights.append(np.zeros(TASKS))
        weights[-1][there] = used
    return params, np.stack(weights)


@pytest.mark.parametrize(
    "kind", some(["min_norm", "towards_mean", "cagrad"], "towards_mean", "cagrad")
)
def test_products_move_weights_as_all_rows_would(kind):
    method = ag.ProductMethod(kind, rate=0.3, rho=0.2, strength=0.5)
    made = ag.gram_product_step(loss_fn, method, optax.sgd(RATE), has_aux=True)
    (params, weights), (expected, used) = trained(made), by_hand(kind, 0.3, 0.2, 0.5)
    np.testing.assert_allclose(weights, used, rtol=2e-4, atol=1e-5)
    for name, leaf in params.items():
        np.testing.assert_allclose(leaf, expected[name], rtol=2e-4, atol=2e-5)


def test_a_step_has_one_pass_back_and_one_forth_whatever_the_number_of_tasks():
    """Products of matrices in the program, in those of a step on the summed loss."""

    def of(tasks):
        x, head = jnp.ones((16, 32)), jnp.ones((32, tasks))

        def loss_fn(params, _):
            return (jnp.tanh(jnp.tanh(x @ params["a"]) @ params["b"]) @ head).mean(axis=0) ** 2

        params = {"a": jnp.ones((32, 32)), "b": jnp.ones((32, 32))}
        made = ag.gram_product_step(loss_fn, ag.ProductMethod(), optax.sgd(RATE))
        ours = jax.make_jaxpr(made.step)(params, made.init(params, None), None)
        plain = jax.make_jaxpr(jax.grad(lambda p: loss_fn(p, None).sum()))(params)
        return str(ours).count("dot_general"), str(plain).count("dot_general")

    few, many = of(2), of(64)
    assert few[0] == many[0]
    assert few[0] <= 2 * few[1]


def test_sharpness_is_the_gradient_at_the_moved_parameters():
    rho, beta = 0.3, 0.4
    made = ag.sharpness_step(loss_fn, ag.sum(), optax.sgd(RATE), rho=rho, beta=beta, has_aux=True)
    params, mean, key = PARAMS, jnp.zeros(4), jax.random.key(4)
    state = made.init(params, (X[0], Y[0]), mean, key=key)
    found, _, info = jax.jit(made.step)(params, state, (X[0], Y[0]), mean)
    of_z = jax.random.split(jax.random.fold_in(key, 0))[0]
    keys = jax.random.split(of_z, 2)
    z = {
        name: np.asarray(jax.random.normal(k, params[name].shape))
        for k, name in zip(keys, sorted(params), strict=True)
    }
    gradients = jax.jit(jaxmtl.task_gradients(loss_fn, has_aux=True))
    _, rows = gradients(params, (X[0], Y[0]), mean)
    g0 = {name: np.asarray(rows[name]).mean(axis=0) for name in rows}
    total = {name: 0.0 for name in rows}
    for task in range(TASKS):
        slope = sum((np.asarray(rows[name][task]) * z[name]).sum() for name in z)
        own = {name: slope * z[name] for name in z}
        e = {
            name: (1 - beta) * g0[name]
            + beta * np.linalg.norm(g0[name]) * own[name] / np.linalg.norm(own[name])
            for name in z
        }
        length = np.sqrt(sum((part**2).sum() for part in e.values()))
        there = {name: params[name] + rho * e[name] / length for name in z}
        _, at = gradients(there, (X[0], Y[0]), mean)
        total = {name: total[name] + np.asarray(at[name][task]) for name in z}
    for name in params:
        np.testing.assert_allclose(
            found[name], params[name] - RATE * total[name], rtol=1e-4, atol=1e-5
        )
    assert info.names == ("a", "b", "c")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (functools.partial(ag.ProductMethod, "mgda"), "kind: expected one of"),
        (functools.partial(ag.ProductMethod, rate=0.0), "rate: expected"),
        (
            functools.partial(ag.gram_product_step, loss_fn, ag.mgda(), optax.sgd(0.1)),
            "method: expected a ProductMethod, got Aggregator",
        ),
        (
            functools.partial(ag.sharpness_step, loss_fn, "mgda", optax.sgd(0.1), beta=2.0),
            r"beta: expected a number in \[0, 1\]",
        ),
    ],
)
def test_what_makes_no_sense_is_one_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_sharpness_wants_a_key():
    made = ag.sharpness_step(loss_fn, ag.sum(), optax.sgd(RATE), has_aux=True)
    batch, mean = (X[0], Y[0]), jnp.zeros(4)
    with pytest.raises(ValueError, match=r"sharpness_step: expected a jax.random.key"):
        made.step(PARAMS, made.init(PARAMS, batch, mean), batch, mean)

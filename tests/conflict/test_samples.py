"""Conflict of single samples against the gradients of all samples, and an unbiased product."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxmtl
from jaxmtl import conflict
from jaxmtl.losses import mean_over_known

KEYS = jax.random.split(jax.random.key(0), 4)
PARAMS = {"top": jax.random.normal(KEYS[0], (4, 2)), "trunk": jax.random.normal(KEYS[1], (3, 4))}
X = jax.random.normal(KEYS[2], (6, 3))
Y = jax.random.normal(KEYS[3], (6, 2)).at[0, 1].set(jnp.nan).at[4, 0].set(jnp.nan)
KNOWN = ~jnp.isnan(Y)


def loss_fn(params, batch):
    x, y = batch
    known = ~jnp.isnan(y)
    errors = jnp.tanh(x @ params["trunk"]) @ params["top"] - jnp.where(known, y, 0)
    return mean_over_known(jnp.where(known, errors, 0) ** 2, known)


def test_samples_are_those_whose_gradients_are_all_formed():
    found = jax.jit(conflict.sample_conflict(loss_fn))(PARAMS, (X, Y), known=KNOWN)
    grads = jax.jit(jaxmtl.sample_task_gradients(loss_fn))(PARAMS, (X, Y))
    known = np.asarray(KNOWN)
    assert found.both.tolist() == [[5, 4], [4, 5]]
    for at, layer in enumerate(("top", "trunk")):
        g = np.asarray(grads[layer], np.float64).reshape(6, 2, -1)
        both = [n for n in range(6) if known[n].all()]
        rate = np.mean([g[n, 0] @ g[n, 1] < 0 for n in both])
        shares = []
        for n in both:
            product = g[n, 0] * g[n, 1]
            shares.append((product < 0).sum() / max((product != 0).sum(), 1))
        between = [
            g[i, 0] @ g[j, 1]
            for i in range(6)
            for j in range(6)
            if i != j and known[i, 0] and known[j, 1]
        ]
        np.testing.assert_allclose(found.rate[at, 0, 1], rate, rtol=1e-5)
        np.testing.assert_allclose(found.opposite[at, 0, 1], np.mean(shares), rtol=1e-5)
        np.testing.assert_allclose(found.products[at, 0, 1], np.mean(between), rtol=1e-4, atol=1e-5)


def test_the_noise_that_labels_share_is_left_out():
    """Labels that are one noise and no signal: gradients of a sample agree, expected ones are 0."""

    def loss(w, batch):
        return ((batch[0] @ w)[:, None] * batch[1]).mean(axis=0)

    def estimate(key):
        x, noise = jax.random.normal(key, (2, 8, 1))
        w = jnp.zeros(1)
        found = conflict.sample_conflict(loss, None)(w, (x, jnp.tile(noise, 2)))
        return found.products[0, 0, 1], found.rate[0, 0, 1]

    products, rates = jax.jit(jax.vmap(estimate))(jax.random.split(jax.random.key(1), 2000))
    assert rates.max() == 0  # the two tasks are the same
    assert abs(products.mean()) < 4 * products.std() / 2000**0.5  # and have nothing to learn


def test_units_and_one_sample_alone():
    by_layer = jax.jit(conflict.sample_conflict(loss_fn))
    by_unit = jax.jit(conflict.sample_conflict(loss_fn, axes={"trunk": 1}))(
        PARAMS, (X, Y), known=KNOWN
    )
    assert by_unit.layers == ("0", "1", "2", "3")
    layers = by_layer(PARAMS, (X, Y), known=KNOWN)
    units = np.asarray(by_unit.products)
    np.testing.assert_allclose(units.sum(0), layers.products[1], rtol=1e-4, atol=1e-5)
    alone = by_layer(PARAMS, (X[1:2], Y[1:2]))
    assert np.isnan(alone.products).all()
    assert np.isfinite(alone.rate).all()


def test_gradients_of_all_tasks_are_in_memory_once():
    tasks, width = 4, 256
    params = {f"layer {i}": jnp.ones((width, width)) for i in range(4)} | {
        "heads": jnp.ones((width, tasks))
    }

    def loss_fn(params, batch):
        h = batch[0]
        for i in range(4):
            h = jnp.tanh(h @ params[f"layer {i}"])
        return ((h @ params["heads"] - batch[1]) ** 2).mean(axis=0)

    def of_gradients(params, batch):
        return conflict.conflict_map(jaxmtl.task_gradients(loss_fn)(params, batch)[1])

    once = tasks * sum(leaf.nbytes for leaf in params.values())
    batch = jnp.ones((32, width)), jnp.ones((32, tasks))
    for measure in (of_gradients, conflict.sample_conflict(loss_fn)):
        used = jax.jit(measure).lower(params, batch).compile().memory_analysis()
        assert used.temp_size_in_bytes < 1.4 * once

"""Steps of losses that take and give more than the plain one: statistics, a key."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from some_cases import some

import jaxmtl
import jaxmtl.aggregation as ag
from jaxmtl.aggregation.data_parallel import local_step
from jaxmtl.gradients import task_gramian

TASKS, ROWS, STEPS = 3, 12, 20
RNG = np.random.default_rng(0)
PARAMS = (
    {
        "kernel": jnp.asarray(RNG.normal(size=(4, 5)), jnp.float32),
        "scale": jnp.ones(5),
    },
    jnp.asarray(RNG.normal(size=(TASKS, 5)), jnp.float32),
)
STATS = {"mean": jnp.zeros(5), "var": jnp.ones(5), "seen": jnp.int32(0)}
BATCHES = (
    jnp.asarray(RNG.normal(size=(STEPS, ROWS, 4)), jnp.float32),
    jnp.asarray(RNG.normal(size=(STEPS, ROWS, TASKS)), jnp.float32),
)
FIRST = jax.tree.map(lambda leaf: leaf[0], BATCHES)
OPTIMIZER = optax.sgd(0.05, momentum=0.9)


def trunk(params, batch, stats, *, key):
    """A layer, normalised by statistics that run on, with dropout."""
    z = batch[0] @ params["kernel"]
    moved = {
        "mean": 0.9 * stats["mean"] + 0.1 * z.mean(axis=0),
        "var": 0.9 * stats["var"] + 0.1 * z.var(axis=0),
        "seen": stats["seen"] + 1,
    }
    z = (z - moved["mean"][None]) * (params["scale"] * jax.lax.rsqrt(moved["var"] + 0.01))[None]
    kept = jax.random.bernoulli(key, 0.8, z.shape)
    return jnp.where(kept, jnp.tanh(z), 0), moved


def heads(params, z, batch):
    return ((z @ params.T - batch[1]) ** 2).mean(axis=0)


def loss_fn(params, batch, stats, key):
    z, moved = trunk(params[0], batch, stats, key=key)
    return heads(params[1], z, batch), moved


SPLIT = ag.SplitLoss(trunk, heads, has_aux=True)
ENGINES = {
    "rows": (ag.graddrop(), lambda m: ag.aggregated_step(loss_fn, m, OPTIMIZER, has_aux=True)),
    "gram": (ag.random(), lambda m: ag.gramian_step(loss_fn, m, OPTIMIZER, has_aux=True)),
    "features": (ag.graddrop(), lambda m: ag.feature_step(SPLIT, m, OPTIMIZER, "plain")),
    "losses": (ag.famo(), lambda m: ag.scalarized_step(loss_fn, m, OPTIMIZER, has_aux=True)),
}


def rows_of(function, params, *given):
    losses, pullback, moved = jax.vjp(lambda p: function(p, *given), params, has_aux=True)
    return losses, jax.vmap(lambda row: pullback(row)[0])(jnp.eye(TASKS)), moved


def by_hand(engine, method, params, state, batch, stats, keys):
    """Gradient, state of the method, losses and statistics of one step, without the library."""
    if engine == "losses":
        losses, pullback, moved = jax.vjp(
            lambda p: loss_fn(p, batch, stats, keys[0]), params, has_aux=True
        )
        _, state, weights = method.scalarize(losses, state)
        return pullback(weights)[0], state, losses, moved
    if engine != "features":
        losses, rows, moved = rows_of(loss_fn, params, batch, stats, keys[0])
        grads, state, _ = method.update(rows, state, losses=losses, key=keys[1])
        return grads, state, losses, moved
    key = jax.random.fold_in(keys[0], 0)
    z, pullback, moved = jax.vjp(lambda p: trunk(p, batch, stats, key=key), params[0], has_aux=True)
    losses, rows, _ = rows_of(lambda z: (heads(params[1], z, batch), ()), z)
    combined, state, _ = method.update(rows, state, losses=losses, key=keys[1])
    own = jax.grad(lambda p: heads(p, z, batch).sum())(params[1])
    return (pullback(combined)[0], own), state, losses, moved


@pytest.mark.parametrize("engine", some(ENGINES, "losses"))
def test_statistics_and_dropout_as_in_a_loop_written_by_hand(engine):
    method, make = ENGINES[engine]
    made = make(method)

    def ours(key):
        def body(carry, batch):
            params, state, stats = carry
            params, state, info = made.step(params, state, batch, stats)
            return (params, state, info.aux), info.losses

        start = PARAMS, made.init(PARAMS, FIRST, STATS, key=key), STATS
        (params, _, stats), losses = jax.lax.scan(body, start, BATCHES)
        return params, stats, losses

    def literal(key):
        first = {
            "losses": TASKS,
            "features": jnp.zeros((TASKS, ROWS, 5)),
        }.get(engine, jax.tree.map(lambda p: jnp.stack([p] * TASKS), PARAMS))

        def body(carry, batch):
            params, inner, state, stats, number = carry
            keys = tuple(jax.random.split(jax.random.fold_in(key, number)))
            grads, inner, losses, moved = by_hand(engine, method, params, inner, batch, stats, keys)
            updates, state = OPTIMIZER.update(grads, state)
            params = optax.apply_updates(params, updates)
            if engine == "losses":
                key_again = jax.random.clone(keys[0])
                inner = method.observe(loss_fn(params, batch, stats, key_again)[0], inner)
            return (params, inner, state, moved, number + 1), losses

        start = PARAMS, method.init(first), OPTIMIZER.init(PARAMS), STATS, 0
        (params, _, _, stats, _), losses = jax.lax.scan(body, start, BATCHES)
        return params, stats, losses

    keys = jax.random.split(jax.random.key(3))
    found, expected = jax.jit(jax.vmap(lambda key: (ours(key), literal(key))))(keys)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=2e-6)
    assert found[1]["seen"].tolist() == [STEPS, STEPS]
    assert (found[2][0] != found[2][1]).any()  # each key has its own masks


def test_a_key_of_ones_own_for_every_step_and_one_compilation():
    made = ag.gramian_step(loss_fn, ag.random(), OPTIMIZER, has_aux=True)
    key = jax.random.key(1)
    carried, given = made.init(PARAMS, FIRST, STATS, key=key), made.init(PARAMS, FIRST, STATS)
    step = jax.jit(made.step)
    after, following, info = step(PARAMS, carried, FIRST, STATS)
    own = step(PARAMS, given, FIRST, STATS, key=jax.random.fold_in(key, 0))
    for a, b in zip(jax.tree.leaves((after, info)), jax.tree.leaves(own[::2]), strict=True):
        np.testing.assert_array_equal(a, b)
    step(after, following, FIRST, info.aux)
    assert step._cache_size() == 2  # with and without a key in the state
    with pytest.raises(ValueError, match=r"expected a jax.random.key .* pass step\(..., key="):
        made.step(PARAMS, given, FIRST, STATS)


def test_a_loss_without_a_key_leaves_it_to_the_method():
    def plain(params, batch):
        return heads(params, batch[0], batch)

    def may(params, batch, key=None):
        assert key is None
        return plain(params, batch)

    params, batch = jnp.ones((TASKS, 4)), FIRST
    key = jax.random.key(2)
    init, step = ag.aggregated_step(plain, ag.random(), OPTIMIZER)
    step, folded = jax.jit(step), jax.random.fold_in(key, 0)
    expected = ag.random().weights(jnp.eye(TASKS), key=folded)
    for state in (init(params, batch, key), init(params, batch, key=key)):
        np.testing.assert_array_equal(step(params, state, batch)[2].weights, expected)
    assert step._cache_size() == 1
    init, step = ag.aggregated_step(may, ag.sum(), OPTIMIZER)
    jax.eval_shape(step, params, init(params, batch), batch)


@pytest.mark.parametrize("crossing", some(["columns", "rows"], "rows"))
def test_over_devices_masks_differ_and_statistics_are_averaged(crossing):
    """Lanes of a vmap stand for devices."""
    devices, key = 2, jax.random.key(4)
    method = ag.gradnorm()
    made = local_step(loss_fn, method, OPTIMIZER, "devices", crossing, has_aux=True)
    spread = jax.tree.map(lambda leaf: leaf.reshape(devices, -1, *leaf.shape[1:]), FIRST)

    @jax.jit
    def both(spread):
        state = made.init(PARAMS, FIRST, STATS)
        step = jax.vmap(
            lambda batch: made.step(PARAMS, state, batch, STATS, key=key), axis_name="devices"
        )
        after, _, info = step(spread)
        loss_key = jax.random.split(jax.random.clone(key))[0]
        keys = jax.vmap(jax.random.fold_in, (None, 0))(loss_key, jnp.arange(devices))
        parts = jax.vmap(lambda batch, key: rows_of(loss_fn, PARAMS, batch, STATS, key))
        losses, rows, moved = jax.tree.map(
            lambda leaf: leaf.mean(axis=0).astype(leaf.dtype), parts(spread, keys)
        )
        grads, _, _ = method.update(rows, method.init(rows), losses=losses)
        expected = jax.tree.map(lambda p, g: p - 0.05 * g, PARAMS, grads)
        return (after, info.losses, info.aux), (expected, losses, moved)

    found, expected = both(spread)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a[0], b, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(a[0], a[1])


def test_rows_of_samples_and_of_the_gram_matrix_take_arguments_and_give_aux():
    key, w = jax.random.key(5), jnp.arange(1.0, TASKS + 1)
    rows_fn = jaxmtl.task_gradients(loss_fn, has_aux=True)
    each_fn = jaxmtl.sample_task_gradients(loss_fn, has_aux=True)
    gram_fn = task_gramian(loss_fn, has_aux=True, engine="rank_one")

    @jax.jit
    def found(params, batch):
        one = jax.tree.map(lambda leaf: leaf[3:4], batch)
        again = jax.random.clone
        (_, moved), alone = rows_fn(params, one, STATS, again(key))
        each, seen = jax.tree.map(lambda leaf: leaf[3], each_fn(params, batch, STATS, again(key)))
        (losses, aux), rows = rows_fn(params, batch, STATS, again(key))
        value, gram, backward = gram_fn(params, batch, STATS, key=again(key))
        return (each, seen, value, gram, backward(w)), (
            *(alone, moved, (losses, aux)),
            *(ag.gram_matrix(rows), ag.weighted_sum(w, rows)),
        )

    for a, b in zip(*map(jax.tree.leaves, found(PARAMS, FIRST)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_the_program_of_a_plain_loss_has_nothing_more_in_it():
    def plain(params, batch):
        return heads(params, jnp.tanh(batch[0]), batch)

    def literal(params, batch):
        losses, pullback = jax.vjp(lambda p: plain(p, batch), params)
        return losses, jax.vmap(lambda row: pullback(row)[0])(jnp.eye(TASKS))

    def of_samples(params, batch):
        def of_sample(sample):
            one = jax.tree.map(lambda leaf: leaf[None], sample)
            tasks = jnp.arange(TASKS)
            return jax.vmap(lambda t: jax.grad(lambda p: plain(p, one)[t])(params))(tasks)

        return jax.vmap(of_sample)(batch)

    params = jnp.ones((TASKS, 4))
    for ours, expected in (
        (jaxmtl.task_gradients(plain), literal),
        (jaxmtl.sample_task_gradients(plain), of_samples),
    ):
        found = jax.make_jaxpr(ours)(params, FIRST)
        assert str(found) == str(jax.make_jaxpr(expected)(params, FIRST))

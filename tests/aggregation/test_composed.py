"""All that a step can be given, at once and beside every aggregator, against a plain loop."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from aggregation.cases import TASKS, example
from some_cases import some

import jaxmtl.aggregation as ag
from jaxmtl.aggregation.data_parallel import local_step

DEVICES, ROWS, STEPS, SEEDS = 2, 8, 3, 2
RATE, MOMENTUM = 0.05, 0.9
RNG = np.random.default_rng(0)
NAMES = ("zinc", "air", "salt", "iron")  # of the tasks, in an order that is not the alphabet's
STARTS = {
    "trunk": {
        "bias": jnp.zeros((SEEDS, 5)),
        "kernel": jnp.asarray(RNG.normal(size=(SEEDS, 4, 5)), jnp.float32),
    },
    "heads": jnp.asarray(RNG.normal(size=(SEEDS, TASKS, 5)), jnp.float32),
}
STATS = {"mean": jnp.zeros(5), "seen": jnp.int32(0)}
BATCHES = (
    jnp.asarray(RNG.normal(size=(STEPS, ROWS, 4)), jnp.bfloat16),
    jnp.asarray(RNG.normal(size=(STEPS, ROWS, TASKS)), jnp.bfloat16),
)
PRESENT = jnp.ones((STEPS, TASKS), bool).at[1, 2].set(False)
PREFERENCES = jnp.asarray([1.0, 2.0, 0.5, 1.5])


def vector(params, batch, stats, key):
    """Losses of a layer that is centred by what runs on, with dropout; and what runs on."""
    x, y = (leaf.astype(jnp.float32) for leaf in batch)
    z = x @ params["trunk"]["kernel"] + params["trunk"]["bias"][None]
    moved = {"mean": 0.9 * stats["mean"] + 0.1 * z.mean(axis=0), "seen": stats["seen"] + 1}
    kept = jax.random.bernoulli(key, 0.8, z.shape)
    z = jnp.where(kept, jnp.tanh(z - moved["mean"][None]), 0)
    return ((z @ params["heads"].T - y) ** 2).mean(axis=0), moved


def by_name(params, batch, stats, key):
    losses, moved = vector(params, batch, stats, key)
    return dict(zip(sorted(NAMES), losses, strict=True)), moved


def with_preferences(name):
    """The method, and what by hand the rows are scaled with before it."""
    if "preferences" in inspect.signature(ag.REGISTRY[name].factory).parameters:
        # The authors' step makes the inner iteration chaotic.
        calm = {"learning_rate": 0.2} if name == "sdmgrad" else {}
        return ag.make(name, preferences=PREFERENCES, **calm), jnp.ones(TASKS), None
    return example(name), PREFERENCES, PREFERENCES


def everything(aggregator):
    """Trains all seeds in one program, the rows of a batch spread over devices.

    Where there is one device, lanes of a ``vmap`` stand for two.
    """
    optimizer, step_of = optax.sgd(RATE, momentum=MOMENTUM), None
    if jax.device_count() >= DEVICES:
        mesh = jax.make_mesh((DEVICES,), ("data",), devices=jax.devices()[:DEVICES])
        made = ag.data_parallel_step(
            by_name, aggregator, optimizer, mesh, crossing="rows", has_aux=True
        )
        step_of = made.step
    else:
        made = local_step(by_name, aggregator, optimizer, "data", "rows", has_aux=True)

        def step_of(params, state, batch, stats, present):
            spread = jax.tree.map(lambda leaf: leaf.reshape(DEVICES, -1, *leaf.shape[1:]), batch)
            step = functools.partial(made.step, params, state, present=present)
            found = jax.vmap(lambda batch: step(batch, stats), axis_name="data")(spread)
            return jax.tree.map(lambda leaf: leaf[0], found)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    @jax.vmap
    def train(params, state):
        def body(carry, given):
            (params, state, stats), (batch, present) = carry, given
            params, state, info = step_of(params, state, batch, stats, present=present)
            return (params, state, info.aux), (info.losses, info.scalars()["loss/salt"])

        return jax.lax.scan(body, (params, state, STATS), (BATCHES, PRESENT))

    params, keys = jax.tree.map(jnp.copy, STARTS), jax.random.split(jax.random.key(3), SEEDS)
    first = jax.tree.map(lambda leaf: leaf[0], BATCHES)
    init = jax.jit(jax.vmap(lambda params, key: made.init(params, first, STATS, key=key)))
    state = init(params, keys)
    (after, _, stats), (losses, salt) = train(params, state)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(params))
    np.testing.assert_array_equal(salt, losses[..., sorted(NAMES).index("salt")])
    return after, stats, losses


def by_hand(method, factors):
    """The same with nothing but JAX, the update of the method, and Python's loops."""

    def group_state(params):
        rows = jax.tree.map(lambda leaf: jnp.stack([leaf] * TASKS), params)
        return {name: method.init(rows[name]) for name in rows}

    def step(params, states, velocity, stats, batch, present, key):
        of_loss, of_method = jax.random.split(key)
        parts = []
        for device in range(DEVICES):
            part = slice(device * ROWS // DEVICES, (device + 1) * ROWS // DEVICES)
            rows = jax.tree.map(lambda leaf, part=part: leaf[part], batch)
            of_device = jax.random.fold_in(of_loss, device)
            losses, pullback, moved = jax.vjp(
                lambda p, rows=rows, key=of_device: vector(p, rows, stats, jax.random.clone(key)),
                params,
                has_aux=True,
            )
            parts.append((losses, jax.vmap(pullback)(jnp.eye(TASKS))[0], moved))
        losses, rows, moved = jax.tree.map(lambda a, b: ((a + b) / 2).astype(a.dtype), *parts)
        scaled = jax.tree.map(lambda leaf: jnp.einsum("t,t...->t...", factors, leaf), rows)
        keys, grads, after = jax.random.split(of_method, len(params)), {}, {}
        for key, name in zip(keys, sorted(params), strict=True):
            grads[name], after[name], _ = method.update(
                scaled[name], states[name], losses=losses, key=key, present=present
            )
        velocity = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocity, grads)
        params = jax.tree.map(lambda p, v: p - RATE * v, params, velocity)
        return params, after, velocity, moved, losses

    step, found = jax.jit(step), []
    for seed, key in enumerate(jax.random.split(jax.random.key(3), SEEDS)):
        params = jax.tree.map(lambda leaf, seed=seed: leaf[seed], STARTS)
        states, velocity = group_state(params), jax.tree.map(jnp.zeros_like, params)
        stats, all_losses = STATS, []
        for number in range(STEPS):
            batch = jax.tree.map(lambda leaf, number=number: leaf[number], BATCHES)
            own = jax.random.fold_in(jax.random.clone(key), number)
            params, states, velocity, stats, losses = step(
                params, states, velocity, stats, batch, PRESENT[number], own
            )
            all_losses.append(losses)
        found.append((params, stats, jnp.stack(all_losses)))
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *found)


@pytest.mark.parametrize("name", some(sorted(ag.REGISTRY), "gradnorm"))
def test_all_at_once_is_the_loop_written_by_hand(name):
    method, factors, given = with_preferences(name)
    preferred = method if given is None else ag.preferred(method, given)
    found, expected = everything(ag.grouped(preferred, 1)), by_hand(method, factors)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)
    assert found[1]["seen"].tolist() == [STEPS] * SEEDS

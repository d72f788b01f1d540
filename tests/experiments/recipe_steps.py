"""Fifty steps of a recipe's network against a loop written by hand, in float64, on two devices.

A process of its own, whose environment says how many devices and digits there are:
``JAX_ENABLE_X64=1 JAX_NUM_CPU_DEVICES=2 python recipe_steps.py RECIPE ENGINE...``.
"""

import functools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
from load import load

import jaxmtl.aggregation as ag

pieces = load("recipes/pieces")
STEPS, ROWS = 50, 16
KEY = jax.random.key(7)
MESH = jax.make_mesh((2,), ("data",))


def wide(tree):
    def widened(leaf):
        return leaf.astype(float) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(widened, tree)


def linen(axis_name=None):
    recipe = load("recipes/linen_loop")
    model = recipe.Network(jnp.float64, axis_name)
    params, stats = recipe.start(jax.random.key(0), model)

    def trunk(params, batch, stats, key):
        values, rngs = {"params": params, "batch_stats": stats["trunk"]}, {"dropout": key}
        made = recipe.Trunk(jnp.float64)
        z, moved = made.apply(values, batch[0], train=True, rngs=rngs, mutable=["batch_stats"])
        return z, {"trunk": moved["batch_stats"]}

    def heads(params, z, batch):
        return pieces.task_losses(model.apply({"params": params}, z, method="heads"), batch[1])

    split = params["trunk"], {name: params[name] for name in pieces.TASKS}
    return recipe.make_loss(model), params, stats, (trunk, heads, split)


def nnx(axis_name=None):
    from flax import nnx

    recipe = load("recipes/nnx_loop")
    model = recipe.Network(nnx.Rngs(0), jnp.float64, axis_name)
    structure, params, stats = nnx.split(model, nnx.Param, nnx.BatchStat)
    of_trunk, trunk_params, _ = nnx.split(model.trunk, nnx.Param, nnx.BatchStat)
    of_heads, head_params = zip(*(nnx.split(getattr(model, t)) for t in pieces.TASKS), strict=True)

    def trunk(params, batch, stats, key):
        made = nnx.merge(of_trunk, params, stats["trunk"], copy=True)
        z = made(batch[0], key)
        moved = jax.tree.leaves(nnx.state(made, nnx.BatchStat))
        return z, jax.tree.unflatten(jax.tree.structure(stats), moved)

    def heads(params, z, batch):
        made = [nnx.merge(*parts, copy=True) for parts in zip(of_heads, params, strict=True)]
        return pieces.task_losses(jnp.concatenate([head(z) for head in made], 1), batch[1])

    return recipe.make_loss(structure), params, stats, (trunk, heads, (trunk_params, head_params))


def equinox(axis_name=None):
    import equinox as eqx

    recipe = load("recipes/equinox_loop")
    axes = "batch" if axis_name is None else ("batch", axis_name)
    model, stats = eqx.nn.make_with_state(recipe.Network)(jax.random.key(0), axes)
    params, rest = eqx.partition(model, eqx.is_inexact_array)

    def trunk(params, batch, stats, key):
        made, keys = eqx.combine(params, rest.trunk), jax.random.split(key, len(batch[0]))
        return recipe.over_rows(made)(batch[0], stats, keys)

    def heads(params, z, batch):
        made = [eqx.combine(*parts) for parts in zip(params, (rest.place, rest.shape), strict=True)]
        outputs = [jax.vmap(head)(z) for head in made]
        return pieces.task_losses(jnp.concatenate(outputs, 1), batch[1])

    split = params.trunk, (params.place, params.shape)
    return recipe.make_loss(rest, jnp.float64), params, stats, (trunk, heads, split)


def vector(losses):
    return jnp.stack([losses[name] for name in pieces.TASKS])


def rows_of(function, params):
    losses, pullback, aux = jax.vjp(function, params, has_aux=True)
    return losses, jax.vmap(lambda row: pullback(row)[0])(jnp.eye(2)), aux


def by_rows(loss_fn, method):
    """Every task passed back by itself; the trunk's rows are combined, the heads' added up."""

    def gradient(params, inner, batch, stats, key, present):
        def of(params):
            losses, aux = loss_fn(params, batch, stats, key)
            return vector(losses), aux

        losses, rows, moved = rows_of(of, params)
        leaves, structure = jax.tree.flatten(rows)
        ours = [part == "trunk" for part in jax.tree.leaves(pieces.parts(params))]
        trunk = [leaf for leaf, our in zip(leaves, ours, strict=True) if our]
        combined, inner, _ = method.update(trunk, inner, present=present)
        combined = iter(combined)
        grads = [
            next(combined) if our else leaf.sum(axis=0)
            for leaf, our in zip(leaves, ours, strict=True)
        ]
        return jax.tree.unflatten(structure, grads), inner, losses, moved, None

    return gradient


def by_features(trunk, heads, method):
    def gradient(params, inner, batch, stats, key, present):
        key = jax.random.fold_in(key, 0)
        z, pullback, moved = jax.vjp(lambda p: trunk(p, batch, stats, key), params[0], has_aux=True)
        losses, rows, _ = rows_of(lambda z: (vector(heads(params[1], z, batch)), ()), z)
        combined, inner, _ = method.update(rows, inner, present=present)
        own = jax.grad(lambda p: vector(heads(p, z, batch)).sum())(params[1])
        return (pullback(combined)[0], own), inner, losses, moved, None

    return gradient


def by_losses(loss_fn, method):
    def gradient(params, inner, batch, stats, key, present):
        def of(params):
            losses, aux = loss_fn(params, batch, jax.tree.map(lambda s: s, stats), key)
            return vector(losses), aux

        losses, pullback, moved = jax.vjp(of, params, has_aux=True)
        _, inner, weights = method.scalarize(losses, inner, present=present)

        def observe(after, inner):
            return method.observe(of(after)[0], inner, present=present)

        return pullback(weights)[0], inner, losses, moved, observe

    return gradient


def on_halves(loss_fn):
    """The loss of a batch whose halves are mapped over, one a device, with a key of its own."""

    def whole(params, batch, stats, key):
        keys = jnp.stack([jax.random.fold_in(key, device) for device in range(2)])
        halves = jax.tree.map(lambda leaf: leaf.reshape(2, -1, *leaf.shape[1:]), batch)
        losses, moved = jax.vmap(
            lambda half, key: loss_fn(params, half, stats, key), axis_name="data"
        )(halves, keys)
        known = (~jnp.isnan(halves[1])).sum(axis=1)
        shares = known / jnp.maximum(known.sum(axis=0, keepdims=True), 1)
        total = (jax.vmap(vector)(losses) * shares).sum(axis=0)
        return dict(zip(pieces.TASKS, total, strict=True)), jax.tree.map(lambda s: s[0], moved)

    return whole


def run_by_hand(gradient, inner, optimizer, params, stats, batches):
    def body(carry, batch):
        params, inner, state, stats, number = carry
        key, _ = jax.random.split(jax.random.fold_in(KEY, number))
        present = pieces.labelled(batch)
        grads, inner, losses, moved, observe = gradient(params, inner, batch, stats, key, present)
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        inner = inner if observe is None else observe(params, inner)
        return (params, inner, state, moved, number + 1), losses

    start = params, inner, optimizer.init(params), stats, 0
    (params, _, _, stats, _), losses = jax.lax.scan(body, start, batches)
    return jax.tree.leaves((params, stats, losses))


def run_made(made, params, stats, batches):
    def body(carry, batch):
        params, state, stats = carry
        present = pieces.labelled(batch)
        params, state, info = made.step(params, state, batch, stats, present=present)
        return (params, state, info.aux), info.losses

    first = jax.tree.map(lambda leaf: leaf[0], batches)
    start = params, made.init(params, first, stats, key=KEY), stats
    (params, _, stats), losses = jax.lax.scan(body, start, batches)
    return jax.tree.leaves((params, stats, losses))


def engine_case(engine, library):
    """The step of an engine, what it starts from, its optimizer, and the gradient by hand."""
    optimizer, upgrad, famo = pieces.make_optimizer(STEPS), ag.upgrad(), ag.famo()
    method = ag.with_heads(upgrad, pieces.shared, "plain")
    mapped = engine == "devices"
    loss_fn, params, stats, (trunk, heads, split) = library("data" if mapped else None)
    if engine == "features":
        parted = {"0": optax.adam(1e-2), "1": optax.sgd(1e-2)}
        optimizer = optax.multi_transform(parted, pieces.parts)
        loss_fn = ag.SplitLoss(trunk, heads, has_aux=True)
        made = ag.feature_step(loss_fn, upgrad, optimizer, "plain")
        return made, (split, stats), optimizer, by_features(trunk, heads, upgrad), ()
    if engine == "losses":
        made = ag.scalarized_step(loss_fn, famo, optimizer, has_aux=True)
        return made, (params, stats), optimizer, by_losses(loss_fn, famo), famo.init(2, float)
    if engine == "devices":
        given = {"counts": lambda batch: (~jnp.isnan(batch[1])).sum(axis=0), "has_aux": True}
        made = ag.data_parallel_step(loss_fn, method, optimizer, MESH, **given)
        loss_fn = on_halves(loss_fn)
    else:
        make = {"rows": ag.aggregated_step, "gram": ag.gramian_step}[engine]
        made = make(loss_fn, method, optimizer, has_aux=True)
    return made, (params, stats), optimizer, by_rows(loss_fn, upgrad), ()


def check(engine, library, batches, by_hand):
    made, start, optimizer, gradient, inner = engine_case(engine, library)
    start = wide(start)
    found = jax.jit(functools.partial(run_made, made))(*start, batches)
    # The loop by hand of two engines is the same.
    loop = "rows" if engine == "gram" else engine
    if loop not in by_hand:
        run = functools.partial(run_by_hand, gradient, inner, optimizer)
        by_hand[loop] = jax.jit(run)(*start, batches)
    for a, b in zip(found, by_hand[loop], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6, err_msg=engine)
    first, last = found[-1][:8].mean(axis=0), found[-1][-8:].mean(axis=0)
    assert (last < first).all(), (engine, first, last)


def check_several_devices():
    main = load("recipes/several_devices").main
    (one, log), (several, others) = (main(devices, 10, jnp.float64) for devices in (1, 2))
    assert len(jax.tree.leaves(several)[0].devices()) == 2
    for a, b in zip(jax.tree.leaves((one, log)), jax.tree.leaves((several, others)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def main(recipe, *engines):
    data = pieces.draw_images(0)
    batches = [pieces.batch_of(data, number, ROWS) for number in range(STEPS)]
    batches[3][1][:, 0] = np.nan  # a task without a label
    batches[5][1][: ROWS // 2, 1] = np.nan  # a task with labels on one device only
    batches = wide(jax.tree.map(lambda *leaves: jnp.stack(leaves), *batches))
    by_hand = {}
    for engine in engines:
        if engine == "several":
            check_several_devices()
        else:
            check(engine, LIBRARIES[recipe], batches, by_hand)
    print(*engines, "as by hand")


LIBRARIES = {"linen": linen, "nnx": nnx, "equinox": equinox}

if __name__ == "__main__":
    main(*sys.argv[1:])

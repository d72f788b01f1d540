"""Every method and every engine's step lowers for GPUs and TPUs, none of which need be here."""

import functools

import jax
import jax.numpy as jnp
import optax
import pytest

import jaxmtl.aggregation as ag
from jaxmtl.aggregation import LOSS_METHODS, REGISTRY

PLATFORMS = ("cuda", "tpu")
# One of each kind of solver by default: none, a quadratic program, eigenvalues, Newton, random
# order, sorting, all gradients kept.
TYPICAL = {"mean", "upgrad", "aligned_mtl", "nash_mtl", "pcgrad", "trimmed_mean", "moco", "famo"}
TASKS = 3


def lower(function, *arguments):
    exported = jax.export.export(jax.jit(function), platforms=PLATFORMS)(*arguments)
    assert exported.platforms == PLATFORMS
    return exported.mlir_module()


def loss_fn(params, batch):
    return ((jnp.tanh(batch @ params["trunk"]) @ params["heads"]) ** 2).mean(axis=0)


PARAMS = {"trunk": jnp.full((4, 5), 0.1), "heads": jnp.full((5, TASKS), 0.2)}
BATCH = jnp.ones((6, 4))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in TYPICAL else pytest.mark.slow)
        for name in [*REGISTRY, *LOSS_METHODS]
    ],
)
def test_every_update_lowers(name):
    given = {"constant": ([1.0] * TASKS,), "krum": (0,), "linear": ([1.0] * TASKS,)}.get(name, ())
    made = (REGISTRY | LOSS_METHODS)[name].factory(*given)
    method = ag.from_losses(made) if name in LOSS_METHODS else made
    grads = jax.tree.map(lambda leaf: jnp.ones((TASKS, *leaf.shape)), PARAMS)
    state = method.init(grads)

    def update(grads, state, losses, key):
        return method.update(grads, state, losses=losses, params=PARAMS, key=key)[:2]

    text = lower(update, grads, state, jnp.ones(TASKS), jax.random.key(0))
    assert "stablehlo" in text


def steps():
    sgd = optax.sgd(0.1)
    split = ag.SplitLoss(
        lambda trunk, batch: jnp.tanh(batch @ trunk),
        [lambda head, z, batch, t=t: ((z @ head[:, t]) ** 2).mean() for t in range(TASKS)],
    )
    parts = PARAMS["trunk"], PARAMS["heads"]
    aggregated = functools.partial(ag.aggregated_step, loss_fn, optimizer=sgd)
    return {
        "aggregated": (aggregated(ag.upgrad()), PARAMS),
        "gramian": (ag.gramian_step(loss_fn, ag.upgrad(), sgd), PARAMS),
        "features": (ag.feature_step(split, ag.upgrad(), sgd, "plain"), parts),
        "scalarized": (ag.scalarized_step(loss_fn, ag.equal(), sgd), PARAMS),
        "every": (aggregated(ag.every(8, ag.mgda())), PARAMS),
        "cyclic": (aggregated(ag.cyclic(ag.config())), PARAMS),
        "colours": (aggregated(ag.colour_schedule()), PARAMS),
        "fixed weights": (aggregated(ag.fixed_weights_from(ag.mgda(), 4)), PARAMS),
        "products": (ag.gram_product_step(loss_fn, ag.ProductMethod("cagrad"), sgd), PARAMS),
        "sharpness": (ag.sharpness_step(loss_fn, ag.mean(), sgd), PARAMS),
    }


@pytest.mark.parametrize("name", steps())
def test_every_step_lowers(name):
    step, params = steps()[name]
    keyed = {"key": jax.random.key(0)} if name == "sharpness" else {}
    state = step.init(params, BATCH, **keyed)
    text = lower(lambda p, s, b: step.step(p, s, b)[:2], params, state, BATCH)
    assert "stablehlo" in text

"""Heads beside what is shared in every engine, and labels that are on some devices only."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from some_cases import some

import jaxmtl.aggregation as ag
from jaxmtl.aggregation.data_parallel import local_step

TASKS, ROWS = 3, 6
RNG = np.random.default_rng(0)
PARAMS = {
    "trunk": {
        "kernel": jnp.asarray(RNG.normal(size=(4, 5)), jnp.float32),
        "bias": jnp.asarray(RNG.normal(size=5), jnp.float32),
    },
    "heads": jnp.asarray(RNG.normal(size=(TASKS, 5)), jnp.float32),
}
SHARED = {"trunk": True, "heads": False}
X = jnp.asarray(RNG.normal(size=(ROWS, 4)), jnp.float32)
Y = jnp.asarray(RNG.normal(size=(ROWS, TASKS)), jnp.float32)
# The second task is labelled on the first of two devices alone, the third on none.
KNOWN = jnp.asarray([[1, 1, 0], [1, 1, 0], [0, 1, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0]], bool)
SGD = optax.sgd(0.1)


def errors(params, x, y):
    h = jnp.tanh(x @ params["trunk"]["kernel"] + params["trunk"]["bias"][None])
    return (h @ params["heads"].T - y) ** 2


def loss_fn(params, batch):
    return errors(params, *batch).mean(axis=0)


def masked(params, batch):
    x, y, known = batch
    return jnp.where(known, errors(params, x, y), 0).sum(axis=0) / known.sum(axis=0)


def one_step(made, batch, devices=1, **given):
    """Parameters and info; lanes of a vmap stand for devices."""
    state = made.init(PARAMS, batch)
    if devices == 1:
        return made.step(PARAMS, state, batch, **given)[::2]
    spread = jax.tree.map(lambda leaf: leaf.reshape(devices, -1, *leaf.shape[1:]), batch)
    step = jax.vmap(lambda part: made.step(PARAMS, state, part, **given)[::2], axis_name="d")
    return jax.tree.map(lambda leaf: leaf[0], step(spread))


def agree(found, expected):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("head_gradients", some(["plain", "weighted"], "plain"))
def test_engines_leave_heads_their_own_gradient(head_gradients):
    method = ag.with_heads(ag.gradnorm(), SHARED, head_gradients)
    made = (
        (ag.gramian_step(loss_fn, method, SGD), 1),
        (ag.gramian_step(loss_fn, method, SGD, engine="rank_one"), 1),
        (local_step(loss_fn, method, SGD, "d", "columns"), 2),
        (local_step(loss_fn, method, SGD, "d", "rows"), 2),
    )

    @jax.jit
    def run(present):
        expected = one_step(ag.aggregated_step(loss_fn, method, SGD), (X, Y), present=present)
        return expected, [one_step(one, (X, Y), d, present=present) for one, d in made]

    for present in ([True, True, True], [True, False, True]):
        expected, found = run(jnp.array(present))
        for one in found:
            agree(one, expected)
    moved = expected[0]["heads"] - PARAMS["heads"]
    assert (moved == 0).all(axis=1).tolist() == [False, True, False]


def test_nash_and_layers_beside_heads():
    batch = X, Y

    @jax.jit
    def run():
        nash = ag.with_heads(ag.nash_mtl(), SHARED, "plain")
        return [
            one_step(make(loss_fn, nash, SGD), batch)
            for make in (ag.aggregated_step, ag.gramian_step)
        ]

    agree(*run())
    layers = {"a": PARAMS["trunk"], "b": PARAMS["trunk"], "heads": PARAMS["heads"]}
    shapes = jax.eval_shape(jax.vmap(lambda _: layers), jnp.zeros(TASKS))
    flags = {"a": True, "b": True, "heads": False}
    by_layer = ag.with_heads(ag.grouped(ag.gradnorm(), 1), flags, "plain")
    assert jax.tree.leaves(jax.eval_shape(by_layer.init, shapes))[0].shape == (2, TASKS)
    assert ag.with_heads(ag.recon(), flags, "plain").init(shapes).scores.shape == (2,)


def test_tasks_are_present_where_a_device_has_a_label_of_theirs():
    batch = X, jnp.where(KNOWN, Y, 0), KNOWN
    made = [
        local_step(
            *(masked, ag.gradnorm(), SGD, "d", crossing),
            counts=lambda batch: batch[2].sum(axis=0),
            present_from_counts=True,
        )
        for crossing in ("columns", "rows")
    ]
    alone = ag.aggregated_step(masked, ag.gradnorm(), SGD)

    @jax.jit
    def run():
        expected = one_step(alone, batch, present=KNOWN.any(axis=0))
        first = jnp.array([True, False, True])
        only_first = one_step(alone, batch, present=first & KNOWN.any(axis=0))
        return (expected, only_first), [
            (one_step(one, batch, 2), one_step(one, batch, 2, present=first)) for one in made
        ]

    expected, found = run()
    for whole, parts in zip(expected, zip(*found, strict=True), strict=True):
        for one in parts:
            agree(one[0], whole[0])
            agree(one[1].weights, whole[1].weights)
            agree(one[1].losses[:2], whole[1].losses[:2])
    assert expected[0][1].weights[2] == 0


def test_what_heads_do_not_go_with_is_told():
    inside = ag.with_heads(ag.mgda(), SHARED, "plain")
    split = ag.SplitLoss(lambda p, batch: batch[0], lambda p, z, batch: z)
    with pytest.raises(ValueError, match="head_gradients: expected None with a method of with_h"):
        ag.gramian_step(split, inside, SGD, head_gradients="plain")
    with pytest.raises(ValueError, match="for the features, got with_heads.* head_gradients='pl"):
        ag.feature_step(split, inside, SGD, "plain")
    rows = ag.with_heads(ag.trimmed_mean(), SHARED, "plain")
    with pytest.raises(ValueError, match="gramian_step: expected a method that needs only"):
        ag.gramian_step(loss_fn, rows, SGD)
    with pytest.raises(ValueError, match="present_from_counts: expected counts"):
        local_step(loss_fn, ag.mgda(), SGD, "d", "rows", present_from_counts=True)
    with pytest.raises(ValueError, match="split: expected a SplitLoss, .* got function"):
        ag.feature_step(loss_fn, ag.mgda(), SGD, "plain")


def test_means_over_devices_within_a_loss_lead_to_the_labels_of_all_devices():
    def centred(over_devices):
        def loss_fn(params, batch):
            x, y, known = batch
            h = jnp.tanh(x @ params["trunk"]["kernel"] + params["trunk"]["bias"][None])
            h = h - over_devices(h.mean(axis=0))[None]
            wrong = jnp.where(known, (h @ params["heads"].T - y) ** 2, 0)
            return wrong.sum(axis=0) / jnp.maximum(known.sum(axis=0), 1)

        return loss_fn

    alone = ag.aggregated_step(centred(lambda mean: mean), ag.sum(), SGD)
    many = local_step(
        centred(lambda mean: jax.lax.pmean(mean, "d")),
        *(ag.sum(), SGD, "d", "rows"),
        counts=lambda batch: batch[2].sum(axis=0),
    )

    @jax.jit
    def run():
        return [one_step(made, (X, Y, KNOWN), devices) for made, devices in ((many, 2), (alone, 1))]

    (found, info), (expected, wanted) = run()
    agree((found, info.losses), (expected, wanted.losses))


def test_booleans_in_a_form_that_can_be_called_are_no_function():
    @jax.tree_util.register_dataclass
    @dataclasses.dataclass
    class Network:
        trunk: object
        head: object

        def __call__(self, tree):
            raise AssertionError

    grads = Network(jnp.ones((2, 3)), jnp.ones((2, 3)))
    method = ag.with_heads(ag.mean(), Network(True, False), "plain")
    combined, _, _ = method.update(grads, method.init(grads))
    assert (combined.trunk.tolist(), combined.head.tolist()) == ([1.0] * 3, [2.0] * 3)

"""Losses of views in the engines, with every kind of loss, and the bank as their special case."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from drawn import drawn_parameters
from some_cases import some

import jaxmtl.aggregation as ag
from jaxmtl import HardSharing, duplicate_node, task_gradients
from jaxmtl.aggregation.losses.registry import LOSSES
from jaxmtl.aggregation.registry import AGGREGATORS
from jaxmtl.duplication import count_parameters as count_bank
from jaxmtl.sharing import (
    count_parameters,
    duplicate,
    enlarge,
    open_banks,
    split,
    staged,
    task_view,
    to_banks,
    view_gradients,
    view_losses,
)

X = np.random.default_rng(0).uniform(size=(9, 4)).astype(np.float32)
Y = np.random.default_rng(1).uniform(size=(9, 3)).astype(np.float32)
SPLITS = (("first", 1, [0]), ("second", 0, [1, 2]), ("second", 2, [2]))


def params_of():
    rng = np.random.default_rng(2)
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
    return {
        "first": {"kernel": draw(4, 3), "bias": draw(3)},
        "second": {"kernel": draw(3, 2), "bias": draw(2)},
        "heads": draw(2, 3),
    }


def layer(params, h):
    return jnp.tanh(h @ params["kernel"] + params["bias"][None])


STAGES = [
    ("first", lambda params, batch: layer(params["first"], batch[0])),
    ("second", lambda params, h: layer(params["second"], h)),
]


def losses_of(params, h, batch):
    return ((h @ params["heads"] - batch[1]) ** 2).mean(axis=0)


def loss_fn(params, batch):
    return losses_of(params, STAGES[1][1](params, STAGES[0][1](params, batch)), batch)


@functools.cache
def parted():
    banks, pointers = open_banks(
        params_of(), {"first": [("first", -1)], "second": [("second", -1)]}, num_tasks=3
    )
    part = jax.jit(duplicate, static_argnums=2)
    for group, column, tasks in SPLITS:
        banks, pointers = part(banks, pointers, group, column, np.isin(np.arange(3), tasks))
    assert pointers["second"].tolist() == [[0, 1], [2, 1], [3, 1]]
    rng = np.random.default_rng(3)  # the copies have moved on
    return jax.tree.map(
        lambda p: p + rng.normal(size=p.shape, scale=0.1).astype(p.dtype), banks
    ), pointers


@pytest.mark.parametrize("name", some(["sum", "upgrad", "pcgrad"], "pcgrad"))
def test_aggregators_and_engines_take_them_as_they_are(name):
    banks, pointers = parted()
    losses = view_losses(loss_fn)
    streams = staged(STAGES, losses_of, pointers)
    steps = [ag.aggregated_step(losses, name, optax.sgd(0.1))]
    if name == "upgrad":
        steps.append(ag.gramian_step(losses, name, optax.sgd(0.1)))
    else:
        steps.append(ag.aggregated_step(streams, name, optax.sgd(0.1)))
    key = jax.random.key(0)
    after = []
    for init, step in steps:
        more = () if step is steps[-1][1] and name != "upgrad" else (pointers,)
        state = init(banks, (X, Y), *more, key=key)
        after.append(jax.jit(step)(banks, state, (X, Y), *more)[0])
    for other in after[1:]:
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), after[0], other
        )
    unread = after[0]["second"]["kernel"][:, 4:]
    np.testing.assert_array_equal(unread, banks["second"]["kernel"][:, 4:])
    assert np.abs(after[0]["first"]["kernel"] - banks["first"]["kernel"])[:, :4].min() > 0


WITH_OPTIONS = {
    "constant": "constant(weights=[1.0, 0.5, 2.0])",
    "linear": "linear(weights=[1, 2, 3])",
    "krum": "krum(num_byzantine=0)",
}
METHODS = [WITH_OPTIONS.get(name, name) for name in (*AGGREGATORS, *LOSSES)]


@pytest.mark.parametrize("name", some(METHODS, "graddrop", "dwa"))
def test_every_method_steps_as_over_losses_written_out(name):
    banks, pointers = parted()

    def written_out(banks, batch):
        views = [task_view(banks, pointers, task) for task in range(3)]
        return jnp.stack([loss_fn(view, batch)[task] for task, view in enumerate(views)])

    after = []
    for losses, more in ((view_losses(loss_fn), (pointers,)), (written_out, ())):
        init, step = ag.aggregated_step(losses, name, optax.sgd(0.1))
        now, state = banks, init(banks, (X, Y), *more, key=jax.random.key(0))
        one = jax.jit(step)
        for _ in range(2):
            now, state, info = one(now, state, (X, Y), *more)
        after.append((now, info.losses))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5), *after)


def test_no_split_compiles_a_step_anew():
    traces = []

    @jax.jit
    def gradients(banks, pointers):
        traces.append(None)
        return task_gradients(view_losses(loss_fn))(banks, (X, Y), pointers)

    banks, pointers = open_banks(params_of(), {"first": [("first", -1)]}, num_tasks=3, capacity=5)
    first, _ = gradients(banks, pointers)
    second, grads = gradients(*duplicate(banks, pointers, "first", 2, [1]))
    np.testing.assert_array_equal(first, second)
    assert len(traces) == 1
    assert not np.asarray(grads["first"]["bias"][0, 3:]).any()
    assert not np.asarray(grads["first"]["bias"][1, 2]).any()


def test_losses_by_name_keys_and_what_comes_along():
    banks, pointers = parted()

    def named(params, batch, factor, *, key):
        found = loss_fn(params, batch)
        drawn = factor * jax.random.uniform(key)
        return {"c": found[0], "a": found[1], "b": found[2]}, drawn

    losses = view_losses(named, has_aux=True)
    init, step = ag.aggregated_step(losses, "sum", optax.sgd(0.1))
    state = init(banks, (X, Y), pointers, 2.0, key=jax.random.key(1))
    after, _, info = jax.jit(step)(banks, state, (X, Y), pointers, 2.0)
    assert info.names == ("a", "b", "c")
    assert info.aux.shape == (3,)
    assert len(np.unique(info.aux)) == 1  # the same key for every view
    one = [loss_fn(task_view(banks, pointers, t), (X, Y)) for t in range(3)]
    expected = [one[0][1], one[1][2], one[2][0]]  # names in the order of their letters
    np.testing.assert_allclose(info.losses, expected, rtol=1e-6)
    assert not np.array_equal(after["heads"], banks["heads"])
    with pytest.raises(ValueError, match="expected losses of 3 tasks, as the pointers have, got 2"):
        view_losses(lambda params, batch: jnp.ones(2))(banks, None, pointers)


def centred(params, batch, stats):
    h = layer(params["first"], batch[0])
    mean = 0.9 * stats["mean"] + 0.1 * h.mean(axis=0)
    return h - mean[None], {"mean": mean}


def test_running_statistics_of_views_and_of_stages_are_pooled():
    groups = {"first": [("first", -1), ("mean", 0)], "second": [("second", -1)]}
    stats = {"mean": jnp.array([0.1, 0.2, 0.3])}
    banks, pointers = open_banks(params_of(), groups, 3, others=[stats], capacity=5)
    changed = split(banks, pointers, "first", 1, [1], stats=enlarge(stats, pointers))
    (banks, stats), pointers = (changed.banks, changed.stats), changed.pointers
    banks["first"]["bias"] += jnp.array([0.0, 0.0, 0.0, 1.0, 0.0])
    banks, pointers = duplicate(banks, pointers, "second", 0, [0])

    def loss_fn(params, batch, stats):
        h, stats = centred(params, batch, stats)
        return losses_of(params, layer(params["second"], h), batch), stats

    stages = [
        (["first", "mean"], centred),
        ("second", lambda params, h, stats: (layer(params["second"], h), stats)),
    ]

    @jax.jit
    def both(banks, stats):
        views = task_gradients(view_losses(loss_fn, has_stats=True))
        streams = task_gradients(staged(stages, losses_of, pointers, has_stats=True))
        return views(banks, (X, Y), pointers, stats), streams(banks, (X, Y), stats)

    ((losses, pooled), grads), others = both(banks, stats)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        ((losses, pooled), grads),
        others,
    )
    kernel, bias = (np.asarray(banks["first"][name]) for name in ("kernel", "bias"))
    mean = 0.9 * np.array([0.1, 0.2, 0.3, 0.2]) + 0.1 * np.tanh(X @ kernel + bias).mean(axis=0)[:4]
    np.testing.assert_allclose(pooled["mean"], [*mean, 0], rtol=1e-5)


def test_the_bank_of_hard_sharing_is_one_group():
    model = HardSharing(nodes=3, outputs=(1, 1, 1))
    plain = HardSharing(nodes=3, outputs=(1, 1, 1), capacity=3)
    params = drawn_parameters(model, X)["params"]
    small = {**params, "bank": jax.tree.map(lambda leaf: leaf[..., :3], params["bank"])}
    banks, pointers = open_banks(small, {"bank": [("bank", -1)]}, num_tasks=3)
    index = model.initial_head_index()
    params = {**params, "bank": jax.tree.map(jnp.asarray, banks["bank"])}
    for column, tasks in ((1, [0, 2]), (0, [2]), (3, [2])):
        params, index = duplicate_node(params, index, column, tasks)
        banks, pointers = duplicate(banks, pointers, "bank", column, tasks)
    np.testing.assert_array_equal(pointers["bank"], index)
    jax.tree.map(np.testing.assert_array_equal, banks, params)
    assert count_parameters(banks, pointers) == count_bank(params, index)

    def loss_of(model):
        def loss_fn(params, batch, *head_index):
            y = model.apply({"params": params}, batch[0], *head_index)
            return ((y - batch[1]) ** 2).mean(axis=0)

        return loss_fn

    ours = jax.jit(task_gradients(view_losses(loss_of(plain))))(banks, (X, Y), pointers)
    theirs = jax.jit(task_gradients(loss_of(model)))(params, (X, Y), index)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), ours, theirs)


def test_gradients_of_slots_are_those_of_columns_and_a_function_around_has_its_own():
    banks, pointers = parted()
    losses = view_losses(loss_fn)
    twice = functools.wraps(losses)(lambda *args: 2 * losses(*args))

    @jax.jit
    def gradients(banks, pointers):
        ways = view_gradients(loss_fn), task_gradients(losses), task_gradients(twice)
        return [way(banks, (X, Y), pointers) for way in ways]

    (value, slots), (_, columns), (double, doubled) = gradients(banks, pointers)
    np.testing.assert_allclose(2 * value, double, rtol=1e-6)
    assert slots["second"]["kernel"].shape == (3, 3, 2)
    moved = to_banks(slots, pointers)
    for factor, found in ((1, columns), (2, doubled)):
        jax.tree.map(
            lambda a, b, c=factor: np.testing.assert_allclose(c * a, b, rtol=1e-5, atol=1e-6),
            moved,
            found,
        )
    own = moved["second"]["bias"][1, np.array([2, 1])]
    np.testing.assert_array_equal(own, slots["second"]["bias"][1])

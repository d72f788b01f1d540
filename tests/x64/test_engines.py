"""Every engine against task gradients that are computed one after the other, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from engine_cases import CASES, ROWS, TASKS, dense, literal, split_network
from some_cases import some

import jaxmtl
import jaxmtl.aggregation as ag
from jaxmtl.aggregation.data_parallel import local_step
from jaxmtl.gradients import (
    SplitLoss,
    feature_gradients,
    sample_gradients,
    task_gramian,
    trunk_gramian,
)


def close(a, b, rtol=1e-10):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert np.shape(x) == np.shape(y)
        np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-12 * (1 + np.abs(y).max()))


@pytest.mark.parametrize("case", some(CASES, "others"))
def test_rows_gram_and_the_way_back(case):
    loss_fn, params, batch, _ = CASES[case](np.float64)
    matrix, stacked = literal(loss_fn, params, batch)
    w = np.random.default_rng(3).normal(size=TASKS)

    @jax.jit
    def engines(params):
        found = {}
        for engine in ("auto", "layers", "rank_one"):
            losses, gram, backward = task_gramian(loss_fn, engine=engine)(params, batch)
            found[engine] = losses, gram, backward(w)
        rows = [jaxmtl.task_gradients(loss_fn, chunk=chunk)(params, batch) for chunk in (None, 2)]
        return found, rows

    found, rows = engines(params)
    plain = jax.jit(loss_fn)(params, batch)
    expected = jax.tree.map(lambda leaf: np.tensordot(w, leaf, 1), stacked)
    for losses, gram, grads in found.values():
        close(losses, plain)
        close(gram, matrix @ matrix.T)
        close(grads, expected)
    for losses, grads in rows:
        close(losses, plain)
        close(grads, stacked)
    if case == "zeros":
        for _, gram, _ in found.values():
            assert not gram[1].any()
            np.testing.assert_allclose(gram[0, 2], 2 * gram[0, 0], rtol=1e-12)


@pytest.mark.parametrize("one_each", some([True, False], True))
def test_heads_are_passed_by_themselves(one_each):
    trunk, heads, params, batch = split_network(np.float64, one_each=one_each)
    split = SplitLoss(trunk, heads)
    matrix, stacked = literal(split, params, batch)
    of_trunk, _ = literal(lambda p, b: split((p, params[1]), b), params[0], batch)
    w, v = np.random.default_rng(3).normal(size=(2, TASKS))

    @jax.jit
    def engines(params):
        found = {}
        for engine in ("auto", "layers", "rank_one"):
            losses, gram, backward = task_gramian(split, engine=engine, chunk=2)(params, batch)
            apart = trunk_gramian(split, engine=engine)(params, batch)
            found[engine] = (losses, gram, backward(w)), (*apart[:2], apart[2](w, v))
        return found

    for whole, apart in engines(params).values():
        for losses, gram, grads, rows, head_weights in (
            (*whole, matrix, w),
            (*apart, of_trunk, v),
        ):
            close(losses, jax.jit(split)(params, batch))
            close(gram, rows @ rows.T)
            close(grads[0], jax.tree.map(lambda leaf: np.tensordot(w, leaf, 1), stacked[0]))
            weighted = jax.tree.map(lambda g, u=head_weights: np.tensordot(u, g, 1), stacked[1])
            close(grads[1], weighted)


@pytest.mark.parametrize("one_each", some([True, False], True))
def test_gradients_at_the_features(one_each):
    trunk, heads, params, batch = split_network(np.float64, one_each=one_each)
    split = SplitLoss(trunk, heads)
    matrix, (of_trunk, of_heads) = literal(split, params, batch)
    features = trunk(params[0], batch)
    w = np.random.default_rng(3).normal(size=TASKS)

    @jax.jit
    def found(params):
        losses, rows, backward = feature_gradients(split)(params, batch)
        combined = jax.tree.map(lambda leaf: jnp.tensordot(w, leaf, 1), rows)
        one = jax.vmap(lambda row: backward(row, w)[0])(rows)
        return losses, rows, backward(combined, w), one

    losses, rows, (trunk_grads, head_grads), one = found(params)
    together = SplitLoss(trunk, split_network(np.float64, one_each=False)[1])
    rows_fn = jax.jacrev(lambda z: together.heads(params[1], z, batch))
    plain, expected = jax.jit(lambda p, z: (split(p, batch), rows_fn(z)))(params, features)
    close(losses, plain)
    close(rows, expected)
    assert rows["last"].shape == (TASKS, ROWS, 3)
    close(one, of_trunk)  # every row passed back is the task's gradient of the trunk
    close(trunk_grads, jax.tree.map(lambda leaf: np.tensordot(w, leaf, 1), of_trunk))
    close(head_grads, jax.tree.map(lambda leaf: np.tensordot(w, leaf, 1), of_heads))
    assert matrix.shape[0] == TASKS


def test_samples_and_tasks_one_by_one():
    loss_fn, params, batch, _ = dense(np.float64)
    each = jax.jit(jaxmtl.sample_task_gradients(loss_fn))(params, batch)
    summed = jax.jit(sample_gradients(loss_fn, chunk=3))(params, batch)
    batch, each, summed = jax.tree.map(np.asarray, (batch, each, summed))
    for n in range(ROWS):
        one = jax.tree.map(lambda leaf, n=n: leaf[n : n + 1], batch)
        _, stacked = literal(loss_fn, params, one)
        close(jax.tree.map(lambda leaf, n=n: leaf[n], each), stacked)
        close(
            jax.tree.map(lambda leaf, n=n: leaf[n], summed),
            jax.tree.map(lambda leaf: leaf.sum(axis=0), stacked),
        )


def one_step(made, params, batch, **given):
    def step(p, b):
        return made.step(p, made.init(p, b, jax.random.key(2)), b, **given)

    return jax.jit(step)(params, batch)


@pytest.mark.slow  # with heads below
@pytest.mark.parametrize("name", ["upgrad", "gradvac"])
def test_a_step_by_the_gramian_is_the_step_by_gradients(name):
    loss_fn, params, batch, _ = dense(np.float64)
    optimizer, aggregator = optax.adam(0.1), ag.make(name)
    present = np.array([True, False, True])
    for given in ({}, {"present": present}):
        expected = one_step(
            ag.aggregated_step(loss_fn, aggregator, optimizer), params, batch, **given
        )
        found = one_step(ag.gramian_step(loss_fn, aggregator, optimizer), params, batch, **given)
        close(found[0], expected[0], rtol=1e-8)
        close(found[1].aggregator, expected[1].aggregator, rtol=1e-8)
        close(found[2], expected[2], rtol=1e-8)


@pytest.mark.parametrize("head_gradients", some([None, "plain", "weighted"], "weighted"))
def test_a_step_by_the_gramian_leaves_the_heads_their_own(head_gradients):
    trunk, heads, params, batch = split_network(np.float64)
    split, optimizer = SplitLoss(trunk, heads), optax.adam(0.1)
    aggregator = literal_twin = ag.mgda()
    if head_gradients is not None:
        literal_twin = ag.with_heads(aggregator, (True, False), head_gradients)
    made = ag.gramian_step(split, aggregator, optimizer, head_gradients=head_gradients)
    literal_step = ag.aggregated_step(split, literal_twin, optimizer)

    @jax.jit
    def both(present):
        return [one_step(way, params, batch, present=present) for way in (made, literal_step)]

    for present in ([True, True, True], [True, False, True]):
        found, expected = both(np.array(present))
        close(found[0], expected[0], rtol=1e-8)
        close(found[2], expected[2], rtol=1e-8)


@pytest.mark.parametrize("head_gradients", some(["plain", "weighted"], "plain"))
def test_a_step_at_the_features_is_the_rule_on_their_gram(head_gradients):
    trunk, heads, params, batch = split_network(np.float64)
    split = SplitLoss(trunk, heads)
    made = ag.feature_step(split, ag.mgda(), optax.sgd(0.1), head_gradients)
    after, _, info = one_step(made, params, batch)
    features = trunk(params[0], batch)
    losses = [lambda z, head=head: head(params[1], z, batch) for head in heads]
    grads = jax.jit(lambda z: [jax.grad(one)(z) for one in losses])(features)
    rows = [np.concatenate([np.ravel(x) for x in jax.tree.leaves(one)]) for one in grads]
    gram = np.stack(rows) @ np.stack(rows).T
    w = np.asarray(jax.jit(ag.mgda().weights)(gram))
    np.testing.assert_allclose(info.aggregation.weights, w, rtol=1e-8)
    _, (of_trunk, of_heads) = literal(split, params, batch)
    own = w if head_gradients == "weighted" else np.ones(TASKS)
    expected = (
        jax.tree.map(lambda p, g: p - 0.1 * np.tensordot(w, g, 1), params[0], of_trunk),
        jax.tree.map(lambda p, g: p - 0.1 * np.tensordot(own, g, 1), params[1], of_heads),
    )
    close(after, expected, rtol=1e-8)
    drop = ag.feature_step(split, ag.graddrop(), optax.sgd(0.1), "plain")
    assert all(
        np.isfinite(leaf).all() for leaf in jax.tree.leaves(one_step(drop, params, batch)[0])
    )


CROSSINGS = [
    *(("columns", "upgrad"), ("columns", "gradvac")),
    *(("rows", "trimmed_mean"), ("gram", "upgrad")),
]


@pytest.mark.parametrize("case", some(CROSSINGS, ("rows", "trimmed_mean")))
def test_a_batch_spread_over_devices(case):
    """Lanes of a vmap stand for devices; the columns, 117, do not divide evenly between them."""
    crossing, name = case
    loss_fn, params, batch, _ = dense(np.float64)
    aggregator, optimizer = ag.make(name), optax.adam(0.1)
    made = local_step(loss_fn, aggregator, optimizer, "devices", crossing)
    batch = jax.tree.map(np.asarray, batch)
    spread = jax.tree.map(lambda leaf: leaf.reshape(2, ROWS // 2, *leaf.shape[1:]), batch)

    @jax.jit
    def on_devices(params, spread):
        state = made.init(params, batch, jax.random.key(2))
        step = jax.vmap(made.step, in_axes=(None, None, 0), axis_name="devices")
        return step(params, state, spread)

    found = jax.tree.map(np.asarray, on_devices(params, spread)[::2])
    for leaf in jax.tree.leaves(found):
        np.testing.assert_array_equal(leaf[0], leaf[1])
    found = jax.tree.map(lambda leaf: leaf[0], found)
    whole = ag.aggregated_step(loss_fn, aggregator, optimizer)
    expected = one_step(whole, params, batch)
    if crossing != "gram":
        close(found, (expected[0], expected[2]), rtol=1e-8)
        return
    close(found[1].losses, expected[2].losses)
    parts = [jax.tree.map(lambda leaf, d=d: leaf[d], spread) for d in range(2)]
    matrices = [literal(loss_fn, params, part)[0] for part in parts]
    gram = sum(j @ j.T for j in matrices) / 2
    w = jax.jit(aggregator.weights)(gram)
    np.testing.assert_allclose(found[1].aggregation.weights, w, rtol=1e-8)
    matrix, stacked = literal(loss_fn, params, batch)
    grads = jax.tree.map(lambda leaf: np.tensordot(w, leaf, 1), stacked)

    @jax.jit
    def updated(params, grads):
        return optax.apply_updates(params, optimizer.update(grads, optimizer.init(params))[0])

    close(found[0], updated(params, grads), rtol=1e-7)
    excess = gram - matrix @ matrix.T
    assert np.linalg.eigvalsh(excess).min() > -1e-12

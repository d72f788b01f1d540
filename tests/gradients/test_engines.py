"""Engines give the numbers of the literal task gradients, in float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine_cases import CASES, ROWS, TASKS, dense, literal, positions, split_network
from some_cases import some

import jaxmtl
from jaxmtl.gradients import (
    SplitLoss,
    feature_gradients,
    sample_gradients,
    task_gramian,
)
from jaxmtl.gradients.dense import tap_dense_layers


def layers_of(case):
    loss_fn, params, batch, kernels = CASES[case]()
    leaves, structure = jax.tree.flatten(params)

    def of_leaves(*leaves):
        return loss_fn(jax.tree.unflatten(structure, leaves), batch)

    names = sorted(params)
    return {names[at]: x for at, x in tap_dense_layers(of_leaves, leaves).layers.items()}, kernels


@pytest.mark.parametrize("case", CASES)
def test_dense_kernels_and_only_they_are_found(case):
    layers, kernels = layers_of(case)
    assert set(layers) == kernels


def test_the_rule_compares_multiplications():
    layer = layers_of("dense")[0]["a"]
    m, r, i, o = 3, ROWS, 5, 6
    few = r * r * (i + m * o) + m * m * r * o < m * r * i * o + m * m * i * o
    assert layer.by_factors(m) == few
    assert (layer.inputs, layer.outputs, layer.output_shape) == (i, o, (r, o))
    left = layers_of("positions")[0]["left"]
    assert (left.inputs, left.outputs, left.output_shape) == (6, 7, (7, ROWS, 2))


@pytest.mark.parametrize("engine", some(["auto", "rank_one"], "auto"))
def test_the_gramian_in_float32_and_through_jit_and_vmap(engine):
    loss_fn, params, batch, _ = dense()
    matrix, stacked = literal(loss_fn, params, batch)
    scale = np.abs(matrix @ matrix.T).max()
    w = jnp.array([1.0, -0.5, 2.0])

    def found(params):
        losses, gram, backward = task_gramian(jax.jit(loss_fn), engine=engine)(params, batch)
        return losses, gram, backward(w)

    losses, gram, grads = jax.jit(found)(params)
    np.testing.assert_allclose(gram, matrix @ matrix.T, rtol=1e-4, atol=1e-5 * scale)
    np.testing.assert_allclose(losses, loss_fn(params, batch), rtol=1e-5)
    for name, leaf in grads.items():
        expected = np.tensordot(w, stacked[name], 1)
        np.testing.assert_allclose(leaf, expected, rtol=1e-3, atol=1e-4)
    many = jax.tree.map(lambda leaf: jnp.stack([leaf, 0.5 * leaf]), params)
    grams = jax.jit(jax.vmap(lambda p: found(p)[1]))(many)
    np.testing.assert_allclose(grams[0], gram, rtol=1e-4, atol=1e-5 * scale)


def test_bfloat16_parameters_have_a_float32_gram():
    loss_fn, params, batch, _ = dense(jnp.bfloat16)
    for engine in ("layers", "rank_one"):
        gramian = task_gramian(loss_fn, engine=engine)
        gram, grads = jax.jit(
            lambda p, g=gramian: (lambda f: (f[1], f[2](jnp.ones(TASKS))))(g(p, batch))
        )(params)
        assert gram.dtype == jnp.float32
        assert {leaf.dtype for leaf in grads.values()} == {jnp.dtype(jnp.bfloat16)}


@pytest.mark.parametrize("chunk", some([1, 2, 5], 2))
def test_chunks_change_nothing(chunk):
    loss_fn, params, batch, _ = positions()
    whole = jax.jit(jaxmtl.task_gradients(loss_fn))(params, batch)
    parts = jax.jit(jaxmtl.task_gradients(loss_fn, chunk=chunk))(params, batch)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    _, gram, _ = jax.jit(lambda p: task_gramian(loss_fn, chunk=chunk)(p, batch)[:2] + (0,))(params)
    matrix, _ = literal(loss_fn, params, batch)
    np.testing.assert_allclose(gram, matrix @ matrix.T, rtol=1e-3, atol=1e-4)


def test_many_gradients_come_one_by_one_and_are_the_same(monkeypatch):
    loss_fn, params, batch, _ = CASES["dense"]()
    at_once = jax.jit(jaxmtl.task_gradients(loss_fn))(params, batch)
    monkeypatch.setattr("jaxmtl.gradients.tasks.CACHE", 0)
    one_by_one = jax.jit(jaxmtl.task_gradients(loss_fn))
    # Only a CPU is better off with a loop.
    for platform in ("cpu", "cuda"):
        lowered = one_by_one.trace(params, batch).lower(lowering_platforms=(platform,))
        assert ("while" in lowered.as_text()) == (platform == "cpu")
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        one_by_one(params, batch),
        at_once,
    )


@pytest.mark.parametrize(("rows", "loops"), [(8, False), (2**16, True)])
def test_what_the_activations_of_many_rows_take_counts_too(rows, loops):
    loss_fn = jaxmtl.task_gradients(lambda w, x: (jnp.tanh(x @ w) ** 2).mean(axis=0))
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((3, 3), (rows, 3))]
    text = jax.jit(loss_fn).trace(*shapes).lower(lowering_platforms=("cpu",)).as_text()
    assert ("while" in text) == loops


def test_samples_in_chunks_sum_over_tasks_and_average_to_the_batch():
    loss_fn, params, batch, _ = dense()
    each = jax.jit(jaxmtl.sample_task_gradients(loss_fn))(params, batch)
    chunked = jax.jit(jaxmtl.sample_task_gradients(loss_fn, chunk=3))(params, batch)
    summed = jax.jit(sample_gradients(loss_fn, chunk=1))(params, batch)
    _, stacked = literal(loss_fn, params, batch)
    for name in params:
        assert each[name].shape == (ROWS, TASKS, *params[name].shape)
        np.testing.assert_allclose(chunked[name], each[name], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(summed[name], each[name].sum(axis=1), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(each[name].mean(axis=0), stacked[name], rtol=1e-3, atol=1e-4)


def test_features_are_one_long_vector_and_conflicts_between_samples_are_seen():
    # Summed over the batch the gradients vanish; sample by sample they are opposite.
    split = SplitLoss(
        trunk=lambda w, x: w * x,
        heads=(lambda v, z, x: (v * z).sum(), lambda v, z, x: (-v * z).sum()),
    )
    params = (jnp.ones(2), jnp.array([1.0, -1.0]))
    _, rows, backward = feature_gradients(split)(params, jnp.ones(2))
    np.testing.assert_allclose(rows, [[1, -1], [-1, 1]])
    of_trunk, of_head = backward(rows[0], jnp.array([1.0, 0.0]))
    np.testing.assert_allclose(of_trunk, [1, -1])
    np.testing.assert_allclose(of_head, [1, 1])


def test_bad_input_is_told_in_one_sentence():
    loss_fn, params, batch, _ = dense()
    with pytest.raises(ValueError, match="engine: expected one of 'auto', 'layers', 'rank_one'"):
        task_gramian(loss_fn, engine="fast")
    for make in (jaxmtl.task_gradients, task_gramian, sample_gradients):
        with pytest.raises(ValueError, match="chunk: expected None or a number >= 1, got 0"):
            make(loss_fn, chunk=0)
    with pytest.raises(ValueError, match="loss_fn: expected a vector"):
        task_gramian(lambda p, b: loss_fn(p, b).sum())(params, batch)
    with pytest.raises(ValueError, match="common leading sample axis"):
        sample_gradients(loss_fn)(params, {**batch, "x": batch["x"][:2]})
    trunk, _, params, batch = split_network()
    with pytest.raises(ValueError, match="loss_fn: expected a vector"):
        feature_gradients(SplitLoss(trunk, lambda p, z, b: z["last"].sum()))(params, batch)

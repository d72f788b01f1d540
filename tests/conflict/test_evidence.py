"""Inner products, affinity and correlations, against NumPy and in whatever parts rows come."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmtl.conflict import (
    conflict_map,
    losses_after,
    start_correlations,
    start_pairs,
    update_affinity,
    update_correlations,
    update_products,
)


def test_products_of_two_batches_hold_no_common_noise():
    """Both tasks see the same noise, which the product of one batch takes for agreement."""
    rng = np.random.default_rng(0)
    expected = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]])
    draws = expected + 2 * rng.normal(size=(2000, 2, 1, 3)).repeat(2, axis=2)
    batches = jnp.asarray(draws, jnp.float32)

    def add(pairs, pair):
        return update_products(pairs, *pair), None

    found, _ = jax.lax.scan(add, start_pairs(2), (batches[:, 0], batches[:, 1]))
    np.testing.assert_allclose(found.score(), expected @ expected.T, atol=0.4)
    own = np.einsum("nti,nsi->nts", draws[:, 0], draws[:, 0]).mean(axis=0)
    assert own[0, 1] > 10  # what one batch would have said
    np.testing.assert_allclose(found.cosine()[0, 1], 0.25 / 1.25, atol=0.25)


def test_a_pair_counts_where_both_labels_are_known():
    pairs = start_pairs(3)
    known = jnp.array([[True, True, False], [True, False, False]])
    grads = jnp.ones((3, 4))
    found = update_products(pairs, grads, grads, known=known)
    assert np.isnan(found.score()[0, 2])
    assert found.score()[0, 1] == 4
    assert found.overlap[0, 1] == 0.5
    assert np.isnan(found.overlap[2, 2])


def test_affinity_to_first_order_is_that_of_a_short_step():
    key = jax.random.key(0)
    x = jax.random.normal(key, (20, 3))
    w = jnp.array([0.3, -0.2, 0.5])
    targets = jnp.stack([x[:, 0], x[:, 0] + x[:, 1], -x[:, 2]])

    def losses(w):
        return (((x @ w)[None] - targets) ** 2).mean(axis=1)

    grads = jax.jacobian(losses)(w)
    before, rate = losses(w), 1e-3
    measured = jnp.stack([losses(w - rate * g) for g in grads])
    predicted = losses_after(conflict_map({"w": grads}), before, rate)
    start = start_pairs(3)
    one = update_affinity(start, before, measured).score()
    other = update_affinity(start_pairs(3, layers=1), before, predicted).score()
    np.testing.assert_allclose(one, other[0], rtol=0.05, atol=1e-4)
    assert np.isnan(update_affinity(start, before.at[1].set(0), measured).score()[0, 1])


@pytest.fixture(scope="module")
def predictions():
    rng = np.random.default_rng(1)
    outputs = 100 + rng.normal(size=(60, 4)) @ rng.normal(size=(4, 4))
    known = rng.random((60, 4)) < 0.7
    return outputs.astype(np.float32), known


def test_correlations_are_those_of_the_rows_with_both_labels(predictions):
    outputs, known = predictions
    found = update_correlations(start_correlations((1,) * 4), outputs, jnp.asarray(known))
    for s in range(4):
        for t in range(4):
            both = known[:, s] & known[:, t]
            expected = np.corrcoef(outputs[both, s], outputs[both, t])[0, 1]
            np.testing.assert_allclose(found.score()[s, t], expected, atol=1e-4)
            either = known[:, s] | known[:, t]
            np.testing.assert_allclose(found.overlap[s, t], both.sum() / either.sum(), rtol=1e-6)


def test_the_parts_in_which_rows_come_make_no_difference(predictions):
    outputs, known = predictions
    whole = update_correlations(start_correlations((1,) * 4), outputs, jnp.asarray(known))
    parts = start_correlations((1,) * 4)
    for rows in np.array_split(np.arange(60), 6):
        parts = update_correlations(parts, outputs[rows], jnp.asarray(known[rows]))
    np.testing.assert_allclose(parts.score(), whole.score(), atol=1e-5)


def test_classes_and_numbers_stand_beside_each_other(predictions):
    outputs, _ = predictions
    wide = np.concatenate(
        [outputs[:, :1], outputs[:, :1], -outputs[:, :1], outputs[:, 1:2]], axis=1
    )
    found = update_correlations(start_correlations((1, 2, 1)), wide).score()
    np.testing.assert_allclose(np.diagonal(found), 1, rtol=1e-4)
    # Logits that are one number and its opposite say of each other what the number says.
    single = np.corrcoef(outputs[:, 0], outputs[:, 1])[0, 1]
    np.testing.assert_allclose(found[0, 1], 1, rtol=1e-4)
    np.testing.assert_allclose(found[1, 2], abs(single), rtol=1e-3)
    np.testing.assert_allclose(found[0, 2], single, rtol=1e-3)


def test_what_does_not_vary_has_no_correlation():
    outputs = jnp.array([[1.0, 5.0], [2.0, 5.0], [4.0, 5.0]])
    found = update_correlations(start_correlations((1, 1)), outputs).score()
    assert np.isnan(found[0, 1])
    with pytest.raises(ValueError, match=r"outputs: expected \(rows, 2\)"):
        update_correlations(start_correlations((1, 1)), jnp.ones((3, 3)))
    with pytest.raises(ValueError, match="known: expected shape"):
        update_correlations(start_correlations((1, 1)), outputs, jnp.ones((3, 1), bool))


def test_evidence_costs_a_small_part_of_the_task_gradients():
    """Operations of XLA's own count, for a dense trunk and a batch of 32 rows."""
    kernels = [(16, 64), (64, 64), (64, 4)]
    params = [jnp.zeros(shape) for shape in kernels]

    def losses(params, x, y):
        for kernel in params[:-1]:
            x = jnp.tanh(x @ kernel)
        return ((x @ params[-1] - y) ** 2).mean(axis=0)

    def rows(grads):
        return jnp.concatenate([leaf.reshape(4, -1) for leaf in grads], axis=1)

    x, y = jnp.zeros((32, 16)), jnp.zeros((32, 4))
    gradients = jax.jit(lambda p: rows(jax.jacrev(losses)(p, x, y))).lower(params).compile()
    size = sum(a * b for a, b in kernels)
    grads = jnp.zeros((4, size))
    evidence = jax.jit(update_products).lower(start_pairs(4), grads, grads).compile()
    cost, whole = (one.cost_analysis()["flops"] for one in (evidence, gradients))
    assert cost <= 0.25 * whole

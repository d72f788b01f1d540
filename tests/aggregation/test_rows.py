"""The Gram matrix of rows of any size, against sums in a wider type."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from jaxmtl.aggregation.rows import scaled_gram

SIZES = [*range(-35, 37, 2), 37]  # smaller numbers have fewer digits, or none


def test_rows_of_any_size_have_their_cosines():
    rng = np.random.default_rng(0)
    unit = {"w": rng.normal(size=(2, 3, 4)), "b": rng.normal(size=(2, 5))}
    pairs = np.array([*itertools.product(SIZES, [0]), *itertools.product(SIZES, SIZES[::6])])
    factors = 10.0**pairs
    rows = {
        name: jnp.asarray(factors.reshape(-1, 2, *[1] * (leaf.ndim - 1)) * leaf, jnp.float32)
        for name, leaf in unit.items()
    }
    gram, scales = jax.jit(jax.vmap(scaled_gram, in_axes=(0, None)))(rows, jnp.ones(2, bool))
    gram, scales = np.asarray(gram, float), np.asarray(scales, float)
    leaves = [np.asarray(leaf, float).reshape(len(pairs), 2, -1) for leaf in rows.values()]
    flat = np.concatenate(leaves, axis=2) / scales[:, :, None]
    np.testing.assert_allclose(gram, np.einsum("bip,bjp->bij", flat, flat), rtol=1e-5)
    assert (np.frexp(scales)[0] == 0.5).all()  # powers of two: nothing is lost
    usual = (np.abs(pairs) <= 10).all(axis=1)
    assert (scales[usual] == 1).all()
    assert not (scales[~usual] == 1).all()


def test_a_row_of_zeros_is_one_beside_rows_of_any_size():
    rows = jnp.array([[0.0, 0.0], [3e-30, 4e-30], [1.0, 0.0]])
    gram, scales = scaled_gram(rows, jnp.ones(3, bool))
    np.testing.assert_allclose(
        np.asarray(scales, float) * np.sqrt(np.diagonal(gram).astype(float)), [0, 5e-30, 1]
    )
    assert (gram[0] == 0).all()

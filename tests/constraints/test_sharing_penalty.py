"""Penalties that tie networks, against pairs in a loop and singular values of NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmtl.constraints import sharing_penalty, tie_penalty, trace_norm

RNG = np.random.default_rng(0)


def network():
    return {
        "low": {"kernel": RNG.normal(size=(3, 2)), "bias": RNG.normal(size=2)},
        "high": {"kernel": RNG.normal(size=(2, 1)), "bias": RNG.normal(size=1)},
    }


NETWORKS = [network() for _ in range(3)]
SINGLE = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), NETWORKS)
STRENGTH = {"low": 0.5, "high": 2.0}


def literal(tie):
    total = 0.0
    for layer, strength in STRENGTH.items():
        flat = [np.concatenate([np.ravel(n[layer][k]) for k in n[layer]]) for n in NETWORKS]
        if tie == "l2":
            cost = sum(((flat[s] - flat[t]) ** 2).sum() for t in range(3) for s in range(t))
        else:
            cost = np.linalg.svd(np.stack(flat))[1].sum()
        total += strength * cost
    return total


@pytest.mark.parametrize("tie", ["l2", "trace_norm"])
def test_strength_by_layer(tie):
    got = sharing_penalty(SINGLE, tie=tie, strength=STRENGTH)
    np.testing.assert_allclose(got, literal(tie), rtol=1e-5)
    jitted = jax.jit(lambda n, s: sharing_penalty(n, tie=tie, strength=s))
    np.testing.assert_allclose(jitted(SINGLE, STRENGTH), got, rtol=1e-5)
    turned = sharing_penalty(SINGLE[::-1], tie=tie, strength=STRENGTH)
    np.testing.assert_allclose(turned, got, rtol=1e-5)


def test_mapped_over_strengths_equals_a_loop():
    strengths = jnp.array([0.0, 1.0, 3.0])
    mapped = jax.vmap(lambda s: sharing_penalty(SINGLE, strength=s))(strengths)
    loop = [sharing_penalty(SINGLE, strength=s) for s in strengths]
    np.testing.assert_allclose(mapped, np.stack(loop), rtol=1e-6)
    # One number makes one layer of the network; for L2 that is the sum over layers.
    by_layer = sharing_penalty(SINGLE, strength={"low": 3.0, "high": 3.0})
    np.testing.assert_allclose(mapped[2], by_layer, rtol=1e-6)


def test_gradient_of_the_trace_norm_against_finite_differences():
    matrix = RNG.normal(size=(2, 5))
    slope = jax.grad(trace_norm)(jnp.asarray(matrix, jnp.float32))
    for place in np.ndindex(2, 5):
        step = np.zeros((2, 5))
        step[place] = 1e-6
        ends = [np.linalg.svd(matrix + s * step)[1].sum() for s in (1, -1)]
        np.testing.assert_allclose(slope[place], (ends[0] - ends[1]) / 2e-6, atol=1e-5)


@pytest.mark.parametrize(
    ("matrix", "want"),
    [
        (np.zeros((2, 3)), np.zeros((2, 3))),  # the subgradient of least norm
        (np.eye(2, 3), np.eye(2, 3)),  # repeated singular values
        (np.ones((2, 2)), np.full((2, 2), 0.5)),  # equal tasks: one singular value is 0
        (np.array([[2.0, 0.0], [-2.0, 0.0]]), np.array([[1, 0], [-1, 0]]) / np.sqrt(2)),
    ],
)
def test_gradient_of_the_trace_norm_where_singular_values_meet_or_vanish(matrix, want):
    slope = jax.jit(jax.grad(trace_norm))(jnp.asarray(matrix, jnp.float32))
    np.testing.assert_allclose(slope, want, atol=1e-6)


def test_forward_and_reverse_mode_agree():
    matrix = jnp.asarray(RNG.normal(size=(3, 4)), jnp.float32)
    np.testing.assert_allclose(
        jax.jit(jax.jacfwd(trace_norm))(matrix),
        jax.jit(jax.grad(trace_norm))(matrix),
        rtol=1e-5,
        atol=1e-6,
    )


def test_equal_networks_cost_nothing_under_l2_and_descend_to_rank_one_under_the_trace_norm():
    same = [SINGLE[0]] * 3
    np.testing.assert_allclose(sharing_penalty(same), 0, atol=1e-10)
    # Proximal view: |W - M|^2 / 2 + c |W|_* is solved by shrinking singular values by c.
    target = jnp.asarray(RNG.normal(size=(2, 6)), jnp.float32)
    u, s, vt = np.linalg.svd(np.asarray(target, np.float64), full_matrices=False)
    shrink = (s[0] + s[1]) / 2
    want = u @ np.diag(np.maximum(s - shrink, 0)) @ vt

    def loss(w):
        return ((w - target) ** 2).sum() / 2 + shrink * tie_penalty(w, "trace_norm")

    step = lambda i, w: w - 0.5 / (1 + i) ** 0.9 * jax.grad(loss)(w)  # noqa: E731
    w = jax.lax.fori_loop(0, 3000, step, target)
    np.testing.assert_allclose(w, want, atol=5e-3)


def test_bad_input():
    with pytest.raises(ValueError, match="at least two, got 1"):
        sharing_penalty(SINGLE[:1])
    with pytest.raises(ValueError, match="tie: expected one of"):
        sharing_penalty(SINGLE, tie="l3")
    with pytest.raises(ValueError, match=r"structure.*for task 1"):
        sharing_penalty([SINGLE[0], {"low": SINGLE[0]["low"]}])
    wide = SINGLE[0] | {"high": {"kernel": jnp.zeros((2, 4)), "bias": jnp.zeros(1)}}
    with pytest.raises(ValueError, match=r"\(2, 1\) at \['high'\]\['kernel'\].*task 2"):
        sharing_penalty([SINGLE[0], SINGLE[1], wide])
    with pytest.raises(ValueError, match="strength: expected a number or a prefix"):
        sharing_penalty(SINGLE, strength={"low": 1.0})

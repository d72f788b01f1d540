"""Convolutions in branches and loops: the same numbers, in the layout that is fast there."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from some_cases import some

import jaxmtl
from jaxmtl.gradients.convolutions import NAME, lay_out

RNG = np.random.default_rng(0)
CASES = {
    "plain": ((2, 7, 6, 3), (3, 3, 3, 4), ("NHWC", "HWIO", "NHWC"), {}),
    "one axis": ((2, 3, 9), (4, 3, 3), ("NCH", "OIH", "NCH"), {}),
    "strides": ((2, 7, 6, 3), (3, 2, 3, 4), ("NHWC", "HWIO", "NHWC"), {"window_strides": (2, 3)}),
    "holes": ((2, 4, 7, 6), (3, 3, 2, 4), ("NCHW", "HWIO", "NHWC"), {"rhs_dilation": (2, 1)}),
    "groups": ((2, 7, 6, 4), (3, 3, 2, 6), ("NHWC", "HWIO", "NHWC"), {"feature_group_count": 2}),
}


def gradients_of(case):
    """The way back from weights of two losses to the gradients at both operands."""
    x, kernel, numbers, given = CASES[case]
    given = {"window_strides": (1,) * (len(x) - 2)} | given
    if case == "holes":
        numbers = ("NCHW", "HWOI", "NHWC")
        kernel = (3, 3, 2, 4)
    x, kernel = (jnp.asarray(RNG.normal(size=shape), jnp.float32) for shape in (x, kernel))

    @jax.jit  # as libraries do, so that the equation is not in the outermost program
    def convolve(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, padding="SAME", dimension_numbers=numbers, **given
        )

    def losses(x, kernel):
        z = jnp.tanh(convolve(x, kernel))
        return jnp.stack([z.sum(), (z**2).sum()])

    pullback = jax.vjp(losses, x, kernel)[1]
    return lambda weights: pullback(weights)


@pytest.mark.parametrize("case", some(CASES, "one axis", "holes"))
def test_gradients_in_a_branch_are_those_outside(case):
    back, weights = gradients_of(case), jnp.array([1.0, 0.5])

    @jax.jit
    def found(weights, mark):
        return jax.lax.cond(mark, lay_out(lambda: back(weights)), lambda: back(0 * weights))

    for a, b in zip(found(weights, True), back(weights), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_what_a_branch_of_the_program_holds_is_in_the_fast_layout():
    back = gradients_of("strides")

    def layouts(change):
        branch = change(lambda: back(jnp.ones(2)))
        lowered = jax.jit(lambda mark: jax.lax.cond(mark, branch, branch)).lower(True)
        return set(re.findall(r"dim_numbers = (.*?\]->\[.*?\])", lowered.as_text()))

    assert layouts(lay_out) == {"[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]"}
    assert len(layouts(lambda fn: fn)) > 1


def test_a_loop_over_tasks_and_no_convolution():
    def losses(params, x):
        numbers = ("NHWC", "HWIO", "NHWC")
        z = jax.lax.conv_general_dilated(x, params, (1, 1), "SAME", dimension_numbers=numbers)
        return jnp.tanh(z).sum(axis=(0, 1, 2))

    x, kernel = (jnp.asarray(RNG.normal(size=s), jnp.float32) for s in ((2, 5, 5, 3), (3, 3, 3, 2)))
    one = jax.jit(jaxmtl.task_gradients(losses, chunk=1))(kernel, x)
    all_ = jax.jit(jaxmtl.task_gradients(losses))(kernel, x)
    np.testing.assert_allclose(one[1], all_[1], rtol=1e-5, atol=1e-5)
    jaxpr = str(jax.make_jaxpr(lay_out(jnp.tanh))(x))
    assert NAME not in jaxpr
    assert jaxpr == str(jax.make_jaxpr(jnp.tanh)(x))

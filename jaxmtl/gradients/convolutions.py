"""Convolutions within loops and conditionals, in the one layout that XLA is fast for on CPU."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend import core
from jaxtyping import Array

from jaxmtl.gradients.dense import INLINED, apply_equation

NAME = "conv_general_dilated"


def lay_out(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with every convolution as NHWC by HWIO to NHWC on CPU, between transpositions.

    XLA's programs for CPU hand convolutions of this layout to a fast routine, and bring others into
    it, but only in the outermost part of a program. The derivatives of a convolution have other
    layouts, and within a loop or a branch of a conditional they are 20 to 30 times as slow (jax
    0.10.2). What is computed is the same. A function without convolutions stays what it is.

    Args:
        fn: of pytrees of arrays; it may close over values that are traced.

    Returns:
        The same function.

    Example:
        >>> import jax.numpy as jnp
        >>> def fn(x, kernel):
        ...     return jax.lax.conv(x, kernel, (1,), "SAME")
        >>> lay_out(fn)(jnp.ones((1, 1, 3)), jnp.ones((1, 1, 3))).tolist()
        [[[2.0, 3.0, 2.0]]]
    """

    def laid_out(*args: Any) -> Any:
        closed, shapes = jax.make_jaxpr(fn, return_shape=True)(*args)
        leaves = jax.tree.leaves(args)
        if _convolves(closed.jaxpr):
            found = _evaluate(closed.jaxpr, closed.consts, leaves)
        else:
            found = core.jaxpr_as_fun(closed)(*leaves)
        return jax.tree.unflatten(jax.tree.structure(shapes), found)

    return laid_out


def _convolves(jaxpr: Any) -> bool:
    """Whether there is a convolution outside of inner loops and branches."""
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == NAME:
            return True
        if eqn.primitive.name in INLINED and _convolves(eqn.params["jaxpr"].jaxpr):
            return True
    return False


def _evaluate(jaxpr: Any, consts: Sequence[Any], args: Sequence[Any]) -> list[Any]:
    env = dict(zip([*jaxpr.invars, *jaxpr.constvars], [*args, *consts], strict=True))

    def read(var: Any) -> Any:
        return var.val if isinstance(var, core.Literal) else env[var]

    for eqn in jaxpr.eqns:
        values = [read(var) for var in eqn.invars]
        if eqn.primitive.name == NAME:
            left, right = values
            results = [_convolution(left, right, eqn.params)]
        elif eqn.primitive.name in INLINED and _convolves(eqn.params["jaxpr"].jaxpr):
            inner = eqn.params["jaxpr"]
            results = _evaluate(inner.jaxpr, inner.consts, values)
        else:
            results = apply_equation(eqn, values)
        env |= dict(zip(eqn.outvars, results, strict=True))
    return [read(var) for var in jaxpr.outvars]


def _convolution(left: Array, right: Array, params: dict[str, Any]) -> Array:
    numbers, axes = params["dimension_numbers"], left.ndim - 2
    rest = {key: value for key, value in params.items() if key != "dimension_numbers"}
    inner = tuple(range(1, axes + 1))
    plain = jax.lax.ConvDimensionNumbers(
        (0, axes + 1, *inner), (axes + 1, axes, *range(axes)), (0, axes + 1, *inner)
    )

    def as_it_is(left: Array, right: Array) -> Array:
        return _convolve(left, right, numbers, rest)

    def in_layout(left: Array, right: Array) -> Array:
        (rows, features, *places) = numbers.lhs_spec
        (outputs, inputs, *window) = numbers.rhs_spec
        found = _convolve(
            left.transpose(rows, *places, features),
            right.transpose(*window, inputs, outputs),
            plain,
            rest,
        )
        (rows, features, *places) = numbers.out_spec
        order = [rows, *places, features]  # where each axis of what was found belongs
        return found.transpose([order.index(axis) for axis in range(found.ndim)])

    if numbers == plain:
        return as_it_is(left, right)
    return jax.lax.platform_dependent(left, right, cpu=in_layout, default=as_it_is)


def _convolve(left: Array, right: Array, numbers: Any, params: dict[str, Any]) -> Array:
    return jax.lax.conv_general_dilated_p.bind(left, right, dimension_numbers=numbers, **params)

"""``vmap`` along the last axis, which stays the last one all the way down.

``jax.vmap`` computes what is asked, but its rules move the mapped axis to the front, wherever it
came in. Where one update of a small network is mapped over many seeds, every array is a handful of
numbers a seed; with the seeds last, a CPU's vector unit takes eight or sixteen of them at once, and
a GPU's threads read neighbouring addresses. ``lanes`` evaluates the jaxpr of a function with one
more axis at the end of everything. Short sums are written out as chains, which fuse. What it has no
rule for goes through ``jax.vmap``, so it is always right and only sometimes faster.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core
from jaxtyping import Array, PyTree

# Primitives that treat every element alike.
ELEMENTWISE = frozenset(
    "abs acos acosh add add_any and asin asinh atan atan2 atanh cbrt ceil clamp "
    "convert_element_type cos cosh digamma div eq erf erf_inv erfc exp exp2 expm1 floor ge gt "
    "integer_pow is_finite le lgamma log log1p logistic lt max min mul ne neg nextafter not or "
    "pow reduce_precision rem round rsqrt select_n shift_left shift_right_arithmetic "
    "shift_right_logical sign sin sinh sqrt "
    "square stop_gradient sub tan tanh xor".split()
)
# One operand, whose axes are named from the front: an axis at the end changes nothing.
NAMED_AXES = frozenset(
    "argmax argmin cumlogsumexp cummax cummin cumprod cumsum reduce_and reduce_max reduce_min "
    "reduce_or reduce_prod reduce_sum reduce_xor rev split squeeze".split()
)
CHAINS: dict[str, Callable[[Array, Array], Array]] = {
    "reduce_sum": lax.add,
    "reduce_max": lax.max,
    "reduce_min": lax.min,
    "reduce_or": lax.bitwise_or,
    "reduce_and": lax.bitwise_and,
}
LONGEST_CHAIN = 16
LARGEST_PRODUCT = 1024  # multiplications of a matrix product that is written out
CALLS = ("jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call", "remat", "checkpoint")


class Value(NamedTuple):
    """A value of the evaluation.

    Attributes:
        array: with one more axis at its end, if it differs from lane to lane.
        mapped: whether it does.
    """

    array: Any
    mapped: bool


def lanes(function: Callable[..., PyTree], in_axes: Sequence[int | None] | int = -1) -> Any:
    """The function, mapped over the last axis of its arguments and results.

    Args:
        function: of arrays, pure; static.
        in_axes: -1 or None for each argument, or one for all: whether all its leaves are mapped, or
            none. Static.

    Returns:
        What ``jax.vmap(function, in_axes, out_axes=-1)`` returns, up to the rounding of sums.

    Example:
        >>> lanes(lambda w, x: (w * x).sum())(jnp.ones((3, 5)), jnp.ones((3, 5))).tolist()
        [3.0, 3.0, 3.0, 3.0, 3.0]
    """

    def mapped(*args: PyTree) -> PyTree:
        axes = [in_axes] * len(args) if isinstance(in_axes, int) else in_axes
        marks = [
            jax.tree.map(lambda leaf, axis=axis: axis is not None, arg)
            for arg, axis in zip(args, axes, strict=True)
        ]
        leaves, tree = jax.tree.flatten(args)
        values = [Value(*pair) for pair in zip(leaves, jax.tree.leaves(marks), strict=True)]
        width = next(jnp.shape(v.array)[-1] for v in values if v.mapped)
        one_lane = [
            jax.ShapeDtypeStruct(v.array.shape[:-1], v.array.dtype) if v.mapped else v.array
            for v in values
        ]
        jaxpr, shapes = jax.make_jaxpr(
            lambda *leaves: function(*tree.unflatten(leaves)), return_shape=True
        )(*one_lane)
        outs = _evaluate(jaxpr, values, width)
        arrays = [
            out.array if out.mapped else _spread(out, jnp.shape(out.array), width) for out in outs
        ]
        return jax.tree.unflatten(jax.tree.structure(shapes), arrays)

    return mapped


def _evaluate(closed: core.ClosedJaxpr, args: Sequence[Value], width: int) -> list[Value]:
    values: dict[Any, Value] = {}

    def read(atom: Any) -> Value:
        return Value(atom.val, False) if isinstance(atom, core.Literal) else values[atom]

    jaxpr = closed.jaxpr
    for var, const in zip(jaxpr.constvars, closed.consts, strict=True):
        values[var] = Value(const, False)
    values |= dict(zip(jaxpr.invars, args, strict=True))
    for equation in jaxpr.eqns:
        outs = _apply(equation, [read(atom) for atom in equation.invars], width)
        values |= dict(zip(equation.outvars, outs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _apply(equation: core.JaxprEqn, args: list[Value], width: int) -> list[Value]:
    name, params = equation.primitive.name, equation.params
    inner = params.get("jaxpr", params.get("call_jaxpr")) if name in CALLS else None
    if isinstance(inner, core.ClosedJaxpr):
        return _evaluate(inner, args, width)
    arrays = [arg.array for arg in args]
    if not any(arg.mapped for arg in args):
        return _outs(equation, equation.primitive.bind(*arrays, **params), mapped=False)
    ruled = _by_rule(equation, args, width)
    if ruled is None:
        axes = [-1 if arg.mapped else None for arg in args]
        bind = functools.partial(equation.primitive.bind, **params)
        ruled = jax.vmap(bind, axes, -1, axis_size=width)(*arrays)
    return _outs(equation, ruled, mapped=True)


def _outs(equation: core.JaxprEqn, result: Any, *, mapped: bool) -> list[Value]:
    results = result if equation.primitive.multiple_results else [result]
    return [Value(out, mapped) for out in results]


def _by_rule(equation: core.JaxprEqn, args: list[Value], width: int) -> Any:
    """The result with lanes last, or None where there is no rule."""
    name, params = equation.primitive.name, equation.params
    array: Array = args[0].array
    if name in ELEMENTWISE:
        shape = equation.outvars[0].aval.shape  # pyright: ignore[reportAttributeAccessIssue]
        return equation.primitive.bind(*(_spread(arg, shape, width) for arg in args), **params)
    if name in CHAINS and 0 < math.prod(array.shape[i] for i in params["axes"]) <= LONGEST_CHAIN:
        return _chain(CHAINS[name], array, params["axes"])
    if name in NAMED_AXES:
        return equation.primitive.bind(array, **params)
    if name == "concatenate":
        whole = [
            _spread(arg, atom.aval.shape, width)  # pyright: ignore[reportAttributeAccessIssue]
            for arg, atom in zip(args, equation.invars, strict=True)
        ]
        return lax.concatenate(whole, params["dimension"])
    if name == "reshape" and params["dimensions"] is None:
        return lax.reshape(array, (*params["new_sizes"], width))
    if name == "transpose":
        return lax.transpose(array, (*params["permutation"], array.ndim - 1))
    if name == "broadcast_in_dim" and len(args) == 1:
        shape = params["shape"]
        dimensions = (*params["broadcast_dimensions"], len(shape))
        return lax.broadcast_in_dim(array, (*shape, width), dimensions)
    if name == "slice":
        strides = params["strides"] or (1,) * (array.ndim - 1)
        starts, limits = params["start_indices"], params["limit_indices"]
        return lax.slice(array, (*starts, 0), (*limits, width), (*strides, 1))
    if name == "pad" and not args[1].mapped:
        return lax.pad(array, args[1].array, (*params["padding_config"], (0, 0, 0)))
    if name == "dot_general":
        return _product(equation, args, width)
    if name == "dynamic_slice" and not any(arg.mapped for arg in args[1:]):
        starts = [*(arg.array for arg in args[1:]), 0]
        return lax.dynamic_slice(array, starts, (*params["slice_sizes"], width))
    return None


def _product(equation: core.JaxprEqn, args: list[Value], width: int) -> Array | None:
    """A small product of matrices, multiplied out and summed."""
    (summed, batch) = equation.params["dimension_numbers"]
    sides = []
    for atom, arg, over, along in zip(equation.invars, args, summed, batch, strict=True):
        shape = atom.aval.shape  # pyright: ignore[reportAttributeAccessIssue]
        free = [i for i in range(len(shape)) if i not in (*over, *along)]
        order = (*along, *free, *over)
        whole = _spread(arg, shape, width).transpose(*order, len(shape))
        sides.append((whole, len(free)))
    (left, lefts), (right, rights) = sides
    batches, sums = len(batch[0]), len(summed[0])
    left = jnp.expand_dims(left, [batches + lefts + i for i in range(rights)])
    right = jnp.expand_dims(right, [batches + i for i in range(lefts)])
    shape = jnp.broadcast_shapes(left.shape, right.shape)
    if math.prod(shape[:-1]) > LARGEST_PRODUCT:
        return None
    products = left * right
    axes = range(products.ndim - 1 - sums, products.ndim - 1)
    short = math.prod(shape[i] for i in axes) <= LONGEST_CHAIN
    total = _chain(lax.add, products, axes) if short else products.sum(axis=tuple(axes))
    kind = equation.outvars[0].aval.dtype  # pyright: ignore[reportAttributeAccessIssue]
    return total.astype(kind)


def _spread(value: Value, shape: tuple[int, ...], width: int) -> Array:
    """The value with the shape of one lane and the axis of lanes; scalars go with anything."""
    array = jnp.asarray(value.array)
    own = array.ndim - value.mapped
    dimensions = tuple(range(len(shape))) if own == len(shape) else ()
    if value.mapped:
        dimensions = (*dimensions, len(shape))
    return lax.broadcast_in_dim(array, (*shape, width), dimensions)


def _chain(combine: Callable[[Array, Array], Array], array: Array, axes: Sequence[int]) -> Array:
    parts = []
    for place in itertools.product(*(range(array.shape[i]) for i in axes)):
        starts, limits = [0] * array.ndim, list(array.shape)
        for axis, start in zip(axes, place, strict=True):
            starts[axis], limits[axis] = start, start + 1
        parts.append(lax.squeeze(lax.slice(array, starts, limits), axes))
    return functools.reduce(combine, parts)

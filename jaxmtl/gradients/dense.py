"""Finds the dense layers in the program of a loss, and opens them for their factors.

The program is the jaxpr of the loss as a function of the leaves of its parameters. It is evaluated
equation by equation; at the product of a dense kernel its input is noted and a tap, an array of
zeros whose gradient is that of the layer's output, is added.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core
from jaxtyping import Array, Float, PyTree

INLINED = ("jit", "pjit")  # the name of jit's primitive, now and in older releases


@dataclasses.dataclass(frozen=True)
class DenseLayer:
    """The product of one kernel.

    Attributes:
        input_axis: axis of the layer's input that is summed over.
        kernel_axis: axis of the kernel that is summed over.
        kernel_first: whether the kernel is the left operand.
        input_shape: shape of the layer's input.
        output_shape: of its output.
        inputs: length of the axis summed over.
        outputs: of the kernel's other axis.
        dtype: of the output.
        kernel_dtype: of the kernel.
        precision: of the product, as the program asks for it.
    """

    input_axis: int
    kernel_axis: int
    kernel_first: bool
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    inputs: int
    outputs: int
    dtype: Any
    kernel_dtype: Any
    precision: Any

    def by_factors(self, tasks: int) -> bool:
        """Whether the factors take fewer multiplications than the gradients."""
        m, r, i, o = tasks, math.prod(self.input_shape) // max(self.inputs, 1), *self.sizes()
        return r * r * (i + m * o) + m * m * r * o < m * r * i * o + m * m * i * o

    def sizes(self) -> tuple[int, int]:
        """Inputs and outputs."""
        return self.inputs, self.outputs

    def no_tap(self) -> Array:
        """The tap that changes nothing."""
        return jnp.zeros(self.output_shape, self.dtype)

    def input_rows(self, x: Array) -> Float[Array, "rows inputs"]:
        """The layer's input as a matrix."""
        return jnp.moveaxis(x, self.input_axis, -1).reshape(-1, self.inputs)

    def output_rows(self, z: Array) -> Float[Array, "rows outputs"]:
        """What has the shape of the layer's output as a matrix."""
        return jnp.moveaxis(z, 0 if self.kernel_first else -1, -1).reshape(-1, self.outputs)

    def kernel_gradient(self, x: Array, delta: Array) -> Float[Array, "..."]:
        """Gradient of the kernel from the layer's input and the gradient at its output."""
        left, right = self.input_rows(x), self.output_rows(delta)
        if self.kernel_axis == 1:
            left, right = right, left
        product = jax.lax.dot_general(
            left,
            right,
            (((0,), (0,)), ((), ())),
            precision=self.precision,
            preferred_element_type=self.dtype,
        )
        return product.astype(self.kernel_dtype)


@dataclasses.dataclass(frozen=True)
class Tapped:
    """A function with open dense layers.

    Attributes:
        closed: its program.
        layers: dense layers by the number of the leaf that is their kernel.
        outputs: shapes of what it returns.
    """

    closed: core.ClosedJaxpr
    layers: dict[int, DenseLayer]
    outputs: PyTree

    def __call__(
        self, leaves: Sequence[Array], taps: dict[int, Array]
    ) -> tuple[PyTree, dict[int, Array]]:
        """What the function returns with taps added, and the inputs of the tapped layers."""
        inputs: dict[int, Array] = {}
        owner = dict(zip(self.closed.jaxpr.invars, range(len(leaves)), strict=True))
        found = _evaluate(self.closed, list(leaves), owner, taps, inputs)
        return jax.tree.unflatten(jax.tree.structure(self.outputs), found), inputs


def tap_dense_layers(fn: Callable[..., PyTree], leaves: Sequence[Array]) -> Tapped:
    """Finds the dense layers of a function of arrays.

    Args:
        fn: ``fn(*leaves)`` gives a pytree of arrays.
        leaves: arguments.

    Returns:
        The function, to be evaluated with taps.

    Example:
        >>> import jax.numpy as jnp
        >>> x, kernel, bias = jnp.ones((4, 2)), jnp.ones((2, 3)), jnp.zeros(3)
        >>> tapped = tap_dense_layers(lambda k, b: (x @ k + b[None]).sum(axis=0), [kernel, bias])
        >>> list(tapped.layers), tapped.layers[0].output_shape
        ([0], (4, 3))
        >>> sums, inputs = tapped([kernel, bias], {0: jnp.ones((4, 3))})
        >>> sums.tolist(), inputs[0].shape
        ([12.0, 12.0, 12.0], (4, 2))
    """
    closed, outputs = jax.make_jaxpr(fn, return_shape=True)(*leaves)
    owner = dict(zip(closed.jaxpr.invars, range(len(leaves)), strict=True))
    uses = list(_uses(closed.jaxpr, owner))
    times = Counter(at for at, _ in uses)
    layers = {at: layer for at, layer in uses if layer is not None and times[at] == 1}
    return Tapped(closed, layers, outputs)


def leaves_read(fn: Callable[..., Any], leaves: Sequence[Array], *others: PyTree) -> list[int]:
    """Numbers of the leaves that the program of ``fn(leaves, *others)`` uses.

    Example:
        >>> import jax.numpy as jnp
        >>> leaves_read(lambda leaves, z: z * leaves[1], [jnp.ones(2), jnp.ones(2)], jnp.ones(2))
        [1]
    """
    jaxpr = jax.make_jaxpr(fn)(leaves, *others).jaxpr
    owner = dict(zip(jaxpr.invars[: len(leaves)], range(len(leaves)), strict=True))
    return sorted({at for at, _ in _uses(jaxpr, owner)})


def _uses(jaxpr: Any, owner: dict[Any, int]) -> Iterator[tuple[int, DenseLayer | None]]:
    """Every use of a leaf: its number, and the layer if the use is that of a dense kernel."""
    for eqn in jaxpr.eqns:
        if eqn.primitive.name in INLINED:
            yield from _uses(eqn.params["jaxpr"].jaxpr, _inner_owner(eqn, owner))
            continue
        for position, var in enumerate(eqn.invars):
            if not isinstance(var, core.Literal) and var in owner:
                yield owner[var], _dense(eqn, position)
    for var in jaxpr.outvars:
        if not isinstance(var, core.Literal) and var in owner:
            yield owner[var], None


def _inner_owner(eqn: Any, owner: dict[Any, int]) -> dict[Any, int]:
    pairs = zip(eqn.params["jaxpr"].jaxpr.invars, eqn.invars, strict=True)
    return {
        inner: owner[outer]
        for inner, outer in pairs
        if not isinstance(outer, core.Literal) and outer in owner
    }


def _dense(eqn: Any, position: int) -> DenseLayer | None:
    if eqn.primitive.name != "dot_general":
        return None
    contracted, batched = eqn.params["dimension_numbers"]
    kernel, x = eqn.invars[position].aval, eqn.invars[1 - position].aval
    if any(batched) or any(len(axes) != 1 for axes in contracted) or kernel.ndim != 2:
        return None
    kernel_axis, input_axis = contracted[position][0], contracted[1 - position][0]
    out = eqn.outvars[0].aval
    return DenseLayer(
        input_axis=input_axis,
        kernel_axis=kernel_axis,
        kernel_first=position == 0,
        input_shape=x.shape,
        output_shape=out.shape,
        inputs=kernel.shape[kernel_axis],
        outputs=kernel.shape[1 - kernel_axis],
        dtype=out.dtype,
        kernel_dtype=kernel.dtype,
        precision=eqn.params["precision"],
    )


def _evaluate(
    closed: core.ClosedJaxpr,
    values: list[Any],
    owner: dict[Any, int],
    taps: dict[int, Array],
    inputs: dict[int, Array],
) -> list[Any]:
    jaxpr: Any = closed.jaxpr
    env = dict(zip(jaxpr.invars, values, strict=True))
    env |= dict(zip(jaxpr.constvars, closed.consts, strict=True))

    def read(var: Any) -> Any:
        return var.val if isinstance(var, core.Literal) else env[var]

    for eqn in jaxpr.eqns:
        arguments = [read(var) for var in eqn.invars]
        if eqn.primitive.name in INLINED:
            inner = _inner_owner(eqn, owner)
            results = _evaluate(eqn.params["jaxpr"], arguments, inner, taps, inputs)
        else:
            results = apply_equation(eqn, arguments)
            for position, var in enumerate(eqn.invars):
                at = None if isinstance(var, core.Literal) else owner.get(var)
                if at in taps:  # a kernel that is used here and nowhere else
                    inputs[at] = arguments[1 - position]
                    results = [results[0] + taps[at]]
        env |= dict(zip(eqn.outvars, results, strict=True))
    return [read(var) for var in jaxpr.outvars]


def apply_equation(eqn: Any, arguments: list[Any]) -> list[Any]:
    """What an equation of a program makes of its arguments.

    Example:
        >>> eqn = jax.make_jaxpr(lambda x: 2 * x)(3.0).jaxpr.eqns[0]
        >>> [float(found) for found in apply_equation(eqn, [2.0, 5.0])]
        [10.0]
    """
    bound = eqn.primitive.get_bind_params(eqn.params)
    # Older releases give the functions inside an equation apart from its other parameters.
    functions, params = bound if isinstance(bound, tuple) else ((), bound)
    with eqn.ctx.manager:
        results = eqn.primitive.bind(*functions, *arguments, **params)
    return list(results) if eqn.primitive.multiple_results else [results]

"""Layers that the networks of this floor are made of."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import promote_dtype
from jaxtyping import Array, Float

from jaxmtl._validate import check_choice
from jaxmtl.duplication import AnyIndex, check_head_index, select_columns
from jaxmtl.models.initializers import Init, dense_initializers

Activation = str | Callable[[Array], Array] | None
ACTIVATIONS = (
    "sigmoid",
    "relu",
    "tanh",
    "softplus",
    "gelu",
    "elu",
    "silu",
    "leaky_relu",
    "identity",
)


def activation_fn(activation: Activation) -> Callable[[Array], Array]:
    """The function an activation names.

    Args:
        activation: a name in ``ACTIVATIONS``, a function, or None for the identity. Static.

    Returns:
        An elementwise function.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> float(activation_fn("relu")(-1.0))
        0.0
    """
    if activation is None or activation == "identity":
        return lambda z: z
    if callable(activation):
        return activation
    check_choice("activation", activation, ACTIVATIONS)
    return getattr(jax.nn, activation)


def contract(
    a: Float[Array, "batch ..."], kernel: Float[Array, "..."], spec: str
) -> Float[Array, "batch ..."]:
    """``jnp.einsum(spec, a, kernel)``, written out as products and a sum for a small single sample.

    In a compiled loop over single samples, a product and a sum fuse with their neighbours where a
    matrix product is a call of its own, with copies to lay out its operands.

    Args:
        a: inputs, traced.
        kernel: weights, traced.
        spec: einsum specification with one contracted index, static.

    Returns:
        The contraction, equal up to rounding.

    Example:
        >>> import jax.numpy as jnp
        >>> contract(jnp.ones((1, 3)), jnp.ones((3, 2)), "bi,io->bo").tolist()
        [[3.0, 3.0]]
    """
    if a.shape[0] != 1 or kernel.size > 256:
        return jnp.einsum(spec, a, kernel)
    (left, right), out = spec.split("->")[0].split(","), spec.split("->")[1]
    (summed,) = set(left + right) - set(out)
    every = out + summed

    def spread(operand: Array, names: str) -> Array:
        order = sorted(names, key=every.index)
        operand = operand.transpose([names.index(n) for n in order])
        return jnp.expand_dims(operand, [i for i, n in enumerate(every) if n not in names])

    return (spread(a, left) * spread(kernel, right)).sum(axis=-1)


class Bank(nn.Module):
    """A dense layer with spare columns, read through a head index.

    Attributes:
        nodes: columns in use at the start.
        capacity: columns in all; the spare ones start at 0 and are read by no head.
        initializer: see ``dense_initializers``; the fan-in and draws are those of a layer of
            ``nodes`` columns, whatever the capacity.
        dtype: of the computation; None: promoted from inputs and parameters.
        param_dtype: of the parameters.
    """

    nodes: int
    capacity: int
    initializer: str | Init = "torch_linear"
    dtype: Any = None
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, a: Float[Array, "batch inputs"], head_index: AnyIndex
    ) -> Float[Array, "batch tasks nodes"]:
        """Pre-activations of the nodes that each task reads, slot by slot."""
        check_head_index(head_index, self.capacity)
        kernel_init, bias_init = dense_initializers(self.initializer, a.shape[-1])
        spare = self.capacity - self.nodes

        def padded(init: Init) -> Init:
            def make(key: Array, shape: tuple[int, ...], dtype: Any) -> Array:
                values = init(key, (*shape[:-1], self.nodes), dtype)
                return jnp.pad(values, [(0, 0)] * (len(shape) - 1) + [(0, spare)])

            return make

        kernel = self.param(
            "kernel", padded(kernel_init), (a.shape[-1], self.capacity), self.param_dtype
        )
        bias = self.param("bias", padded(bias_init), (self.capacity,), self.param_dtype)
        a, kernel, bias = promote_dtype(a, kernel, bias, dtype=self.dtype)
        columns, biases = select_columns(kernel, head_index), select_columns(bias, head_index)
        return contract(a, columns, "bi,itj->btj") + biases[None]


class Dense(nn.Module):
    """A dense layer, or a stack of them of one shape, with a leading axis in every array.

    Attributes:
        features: output width.
        stack: number of layers; None for one without the axis.
        use_bias: whether there is a bias.
        initializer: see ``dense_initializers``; every layer of a stack draws its own.
        dtype: of the computation; None: promoted from inputs and parameters.
        param_dtype: of the parameters.
    """

    features: int
    stack: int | None = None
    use_bias: bool = True
    initializer: str | Init = "torch_linear"
    dtype: Any = None
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "batch *stack inputs"]) -> Float[Array, "batch *stack out"]:
        """(batch, inputs), read by all of a stack, or (batch, stack, inputs), one part each."""
        inits = dense_initializers(self.initializer, x.shape[-1])
        lead = ()
        if self.stack is not None:
            lead, inits = (self.stack,), tuple(stacked(init) for init in inits)
        kernel = self.param(
            "kernel", inits[0], (*lead, x.shape[-1], self.features), self.param_dtype
        )
        bias = None
        if self.use_bias:
            bias = self.param("bias", inits[1], (*lead, self.features), self.param_dtype)
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        if self.stack is None:
            spec = "bi,io->bo"
        else:
            spec = "bi,nio->bno" if x.ndim == 2 else "bni,nio->bno"
        y = contract(x, kernel, spec)
        return y if bias is None else y + bias[None]


def stacked(init: Init) -> Init:
    """An initializer of stacked arrays, each drawn on its own and with its own fan-in."""

    def make(key: Array, shape: tuple[int, ...], dtype: Any) -> Array:
        keys = jax.random.split(key, shape[0])
        return jax.vmap(lambda one: init(one, shape[1:], dtype))(keys)

    return make

"""What the architectures of this floor have in common: sizes, dense layers, experts, heads."""

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, PyTree

from jaxmtl.models.initializers import Init
from jaxmtl.models.layers import Activation, Dense, activation_fn
from jaxmtl.models.sharing import Mark, Names, mark_shared

Sizes = Sequence[int]
Towers = Sequence[int] | Sequence[Sequence[int]]
Trunk = Sequence[int] | nn.Module


def split_outputs(
    outputs: Float[Array, "*batch outputs"], widths: Sequence[int]
) -> tuple[Float[Array, "*batch width"], ...]:
    """The prediction of each task, out of predictions that stand side by side.

    Args:
        outputs: of a network, (batch, sum of widths), or one row of it. Traced.
        widths: output width of each task, as the field ``outputs`` of the network. Static.

    Returns:
        One array a task, (batch, width).

    Raises:
        ValueError: the widths do not add up to the columns.

    Example:
        >>> import jax.numpy as jnp
        >>> first, second = split_outputs(jnp.zeros((1, 5)), widths=(3, 2))
        >>> first.shape, second.shape
        ((1, 3), (1, 2))
    """
    if outputs.shape[-1] != sum(widths):
        raise ValueError(
            f"outputs: expected {sum(widths)} columns for the widths {tuple(widths)}, "
            f"got shape {outputs.shape}"
        )
    return tuple(jnp.split(outputs, np.cumsum(widths)[:-1], axis=-1))


def frozen_sizes(name: str, sizes: Any, *, empty: bool = True) -> tuple[int, ...]:
    """Sizes as a tuple of ints of at least 1, or a ValueError that names the field."""
    try:
        frozen = tuple(operator.index(size) for size in sizes)
    except TypeError:
        frozen = (0,)
    if any(size < 1 for size in frozen) or not (frozen or empty):
        few = "" if empty else "one or more "
        raise ValueError(f"{name}: expected {few}whole sizes of at least 1, got {sizes!r}")
    return frozen


def frozen_rows(name: str, rows: Any) -> tuple[Any, ...]:
    """Sizes, or one row of sizes each for several things; equal rows stay rows."""
    if not isinstance(rows, str) and isinstance(rows, Iterable):
        rows = tuple(rows)
        if rows and all(isinstance(row, Iterable) for row in rows):
            return tuple(frozen_sizes(f"{name}[{i}]", row) for i, row in enumerate(rows))
    return frozen_sizes(name, rows)


def tower_sizes(towers: Towers) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """Sizes that hold for all towers, and rows of sizes a task; one of the two is empty."""
    common = tuple(size for size in towers if isinstance(size, int))
    per_task = tuple(tuple(row) for row in towers if not isinstance(row, int))
    return common, per_task


class Stack(nn.Module):
    """Several networks of one shape side by side: experts, or towers of equal sizes.

    Attributes:
        sizes: of the layers of each network; an activation follows every one.
        stack: number of networks.
        activation: of all layers.
        initializer, dtype, param_dtype: see ``Dense``.
    """

    sizes: Sizes
    stack: int
    activation: Activation = "relu"
    initializer: str | Init = "torch_linear"
    dtype: Any = None
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch *stack inputs"]
    ) -> Float[Array, "batch stack features"]:
        """(batch, inputs), read by all networks, or (batch, stack, inputs), one part each."""
        for i, size in enumerate(self.sizes):
            layer = Dense(
                size,
                self.stack,
                initializer=self.initializer,
                dtype=self.dtype,
                param_dtype=self.param_dtype,
                name=f"layer_{i}",
            )
            x = activation_fn(self.activation)(layer(x))
        return x


class Heads(nn.Module):
    """A tower and an output layer for every task.

    Attributes:
        towers: hidden sizes of every tower, or one row of sizes a task. Towers of one shape are
            stacked in ``tower_{layer}``, others are layers of their own, ``tower_{task}_{layer}``.
        outputs: output width of each task; equal ones are stacked in ``output``, others are
            ``output_{task}``.
        activation: of the towers.
        output_activation: of the outputs.
        initializer, dtype, param_dtype: see ``Dense``.
    """

    towers: Towers
    outputs: Sizes
    activation: Activation = "relu"
    output_activation: Activation = None
    initializer: str | Init = "torch_linear"
    dtype: Any = None
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, h: Float[Array, "batch *tasks inputs"]) -> Float[Array, "batch outputs"]:
        """(batch, inputs), read by all tasks, or (batch, tasks, inputs), one part each."""
        options = {name: getattr(self, name) for name in ("initializer", "dtype", "param_dtype")}
        activation, tasks = activation_fn(self.activation), len(self.outputs)
        sizes, per_task = tower_sizes(self.towers)
        for i, size in enumerate(sizes):
            h = activation(Dense(size, tasks, name=f"tower_{i}", **options)(h))
        if not per_task and len(set(self.outputs)) == 1:
            y = Dense(self.outputs[0], tasks, name="output", **options)(h)
            y = y.reshape(h.shape[0], sum(self.outputs))
        else:
            rows = [h if h.ndim == 2 else h[:, t] for t in range(tasks)]
            for t, row in enumerate(per_task):
                for i, size in enumerate(row):
                    rows[t] = activation(Dense(size, name=f"tower_{t}_{i}", **options)(rows[t]))
            columns = [
                Dense(width, name=f"output_{t}", **options)(rows[t])
                for t, width in enumerate(self.outputs)
            ]
            y = jnp.concatenate(columns, axis=-1)
        return activation_fn(self.output_activation)(y)


class TaskNetwork(nn.Module):
    """Fields, checks and the trunk that every architecture has.

    Attributes: see ``jaxmtl.models.SharedBottom``.
    """

    trunk: Trunk = ()
    towers: Towers = ()
    outputs: Sizes = (1, 1)
    activation: Activation = "relu"
    output_activation: Activation = None
    initializer: str | Init = "torch_linear"
    dtype: Any = None
    param_dtype: Any = jnp.float32

    def __post_init__(self) -> None:
        """Makes the sizes tuples, so that a model is hashable whatever it was given."""
        self.freeze("outputs", frozen_sizes("outputs", self.outputs, empty=False))
        if not isinstance(self.trunk, nn.Module):
            self.freeze("trunk", frozen_sizes("trunk", self.trunk))
        towers = frozen_rows("towers", self.towers)
        _, per_task = tower_sizes(towers)
        if per_task and len(per_task) != self.num_tasks:
            raise ValueError(
                f"towers: expected sizes for all tasks or a row of sizes for each of the "
                f"{self.num_tasks}, got {len(per_task)} rows"
            )
        if per_task and len(set(per_task)) == 1:
            towers = per_task[0]
        self.freeze("towers", towers)
        super().__post_init__()

    def freeze(self, name: str, value: Any) -> None:
        """Replaces a field before the module is complete."""
        object.__setattr__(self, name, value)

    @property
    def num_tasks(self) -> int:
        """Number of tasks."""
        return len(self.outputs)

    @property
    def layer_options(self) -> dict[str, Any]:
        """Arguments of every layer."""
        return {name: getattr(self, name) for name in ("initializer", "dtype", "param_dtype")}

    def shared_parameters(self, params: PyTree, head_index: Any = None) -> PyTree:
        """Which parameters several tasks reach: booleans in their structure and shapes."""
        del head_index
        return mark_shared(params, self.num_tasks, self.is_shared)

    def is_shared(self, names: Names) -> Mark:
        """Whether several tasks reach the parameter of these names; all but heads, unless said."""
        return names[0] != "heads"

    def setup(self) -> None:
        """Declares the dense layers of the trunk; a trunk that is a module declares itself."""
        sizes = () if isinstance(self.trunk, nn.Module) else self.trunk
        self.trunk_layers = [
            Dense(size, name=f"trunk_{i}", **self.layer_options) for i, size in enumerate(sizes)
        ]

    def make_heads(self, towers: Towers) -> Heads:
        """The heads of this network; to be assigned in ``setup``."""
        return Heads(
            towers, self.outputs, self.activation, self.output_activation, **self.layer_options
        )

    def make_stack(self, sizes: Sizes, stack: int, name: str | None = None) -> Stack:
        """Stacked networks with the activation of this one; to be assigned in ``setup``."""
        return Stack(sizes, stack, self.activation, name=name, **self.layer_options)

    def shared(self, x: Float[Array, "batch ..."]) -> Float[Array, "batch features"]:
        """The features that the trunk makes of the inputs; the inputs where there is none."""
        if isinstance(self.trunk, nn.Module):
            return check_features(self.trunk(x))
        check_inputs(x)
        for layer in self.trunk_layers:
            x = activation_fn(self.activation)(layer(x))
        return x


def check_inputs(x: Array) -> None:
    """Raises ValueError unless the inputs are (batch, features)."""
    if x.ndim != 2:
        hint = (
            "x[None] makes a batch of one row" if x.ndim == 1 else "images need a trunk=ConvTrunk()"
        )
        raise ValueError(f"x: expected shape (batch, features), got {x.shape}; {hint}")


def check_features(h: Array) -> Array:
    """Raises ValueError unless a trunk made (batch, features)."""
    if h.ndim != 2:
        raise ValueError(
            f"trunk: expected a module that makes (batch, features) of its inputs, got {h.shape}; "
            "flatten or pool what it makes"
        )
    return h


def softmax_gates(logits: Float[Array, "... experts"]) -> Float[Array, "... experts"]:
    """Softmax over the last axis, in float32 at least, in the dtype of the logits."""
    precise = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return jax.nn.softmax(precise, axis=-1).astype(logits.dtype)


def mix(
    gates: Float[Array, "batch tasks experts"], experts: Float[Array, "batch experts features"]
) -> Float[Array, "batch tasks features"]:
    """Every task's sum of experts, weighted by its gate."""
    return jnp.einsum("bte,bef->btf", gates, experts)

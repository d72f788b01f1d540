"""Hard parameter sharing with a bank of nodes that can be duplicated."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, PyTree

from jaxmtl.duplication import AnyIndex, HeadIndex, initial_head_index, readers
from jaxmtl.models.initializers import Init
from jaxmtl.models.layers import Activation, Bank, Dense, activation_fn
from jaxmtl.models.sharing import Mark, Names, mark_shared

# Activations whose values are above 0 for every finite input, so that conflict is per node.
POSITIVE_ACTIVATIONS = ("sigmoid", "softplus")


class HardSharing(nn.Module):
    """Shared hidden layers, the bank, and one tower a task on the bank nodes that it reads.

    ``x -> [Dense, act]* -> bank: Dense, act -> towers: [Dense, act]* Dense, output act``. The
    study's network for four inputs and two tasks is ``HardSharing()``: 4 -> 4 -> 3, sigmoids, one
    output a task.

    Attributes:
        shared: sizes of the shared hidden layers below the bank; may be empty.
        nodes: nodes of the bank at the start.
        towers: sizes of the hidden layers of every tower; may be empty.
        outputs: output width of each task; its length is the number of tasks.
        activation: of all hidden layers, a name or a function.
        output_activation: of the outputs; None for linear.
        initializer: see ``dense_initializers``.
        capacity: columns of the bank; None for tasks * nodes, which no sequence of duplications
            exceeds.
        dtype: of the computation; None: promoted from inputs and parameters.
        param_dtype: of the parameters.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> model = HardSharing(shared=(4,), nodes=3, outputs=(1, 1))
        >>> variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 4)))
        >>> variables["params"]["bank"]["kernel"].shape
        (4, 6)
        >>> head_index = jnp.array([[0, 3, 2], [0, 1, 2]])  # task 0 reads the copy of node 1
        >>> model.apply(variables, jnp.ones((5, 4)), head_index).shape
        (5, 2)

    References:
        Caruana (1997), Multitask Learning; Wang et al. (2023), Mathematics 11(22), 4639.
    """

    shared: Sequence[int] = (4,)
    nodes: int = 3
    towers: Sequence[int] = ()
    outputs: Sequence[int] = (1, 1)
    activation: Activation = "sigmoid"
    output_activation: Activation = "sigmoid"
    initializer: str | Init = "torch_linear"
    capacity: int | None = None
    dtype: Any = None
    param_dtype: Any = jnp.float32

    def __post_init__(self) -> None:
        """Makes the sizes tuples, so that a model is hashable whatever it was given."""
        _freeze_sizes(self)
        super().__post_init__()

    @property
    def num_tasks(self) -> int:
        """Number of tasks."""
        return len(self.outputs)

    @property
    def num_columns(self) -> int:
        """Columns of the bank, spare ones included."""
        return self.num_tasks * self.nodes if self.capacity is None else self.capacity

    @property
    def reads_aligned(self) -> bool:
        """Whether ``heads`` takes an ``AlignedIndex`` too, with which it trains faster."""
        return True

    @property
    def positive_bank_inputs(self) -> bool:
        """Whether every input of the bank is above 0, so that all weights of a node agree."""
        return bool(self.shared) and self.activation in POSITIVE_ACTIVATIONS

    def initial_head_index(self) -> HeadIndex:
        """The head index of the network before any duplication."""
        return initial_head_index(self.num_tasks, self.nodes)

    def shared_parameters(self, params: PyTree, head_index: HeadIndex | None = None) -> PyTree:
        """Which parameters several tasks reach: booleans in their structure and shapes.

        Layers below the bank, and the columns of the bank that two tasks or more read.
        """
        index = self.initial_head_index() if head_index is None else head_index
        columns = readers(index, self.num_columns).sum(axis=0) > 1

        def is_shared(names: Names) -> Mark:
            return columns if names[0] == "bank" else names[0].startswith("shared_")

        return mark_shared(params, self.num_tasks, is_shared)

    def setup(self) -> None:
        """Declares the layers."""
        if self.num_columns < self.nodes:
            raise ValueError(
                f"capacity: expected at least the {self.nodes} nodes of the start, "
                f"got {self.capacity}"
            )
        options = {
            "initializer": self.initializer,
            "dtype": self.dtype,
            "param_dtype": self.param_dtype,
        }
        self.shared_layers = [
            Dense(size, name=f"shared_{i}", **options) for i, size in enumerate(self.shared)
        ]
        self.bank = Bank(self.nodes, self.num_columns, **options)
        self.tower_layers = [
            Dense(size, self.num_tasks, name=f"tower_{i}", **options)
            for i, size in enumerate(self.towers)
        ]
        if len(set(self.outputs)) == 1:
            self.output_layers = [Dense(self.outputs[0], self.num_tasks, name="output", **options)]
        else:
            self.output_layers = [
                Dense(width, name=f"output_{t}", **options) for t, width in enumerate(self.outputs)
            ]

    def trunk(self, x: Float[Array, "batch features"]) -> Float[Array, "batch inputs"]:
        """The inputs of the bank: what all tasks share whatever is duplicated."""
        for layer in self.shared_layers:
            x = activation_fn(self.activation)(layer(x))
        return x

    def heads(
        self,
        a: Float[Array, "batch inputs"],
        head_index: AnyIndex | None = None,
        taps: Float[Array, "batch tasks nodes"] | None = None,
    ) -> Float[Array, "batch outputs"]:
        """Outputs from the inputs of the bank.

        Args:
            a: inputs of the bank, from ``trunk``.
            head_index: None for the one before any duplication.
            taps: added to the pre-activations of the nodes that each task reads. Slot (t, j) is
            used
                by task t alone, so the gradient of the summed loss at taps of 0 holds every task's
                own delta: all come from the one backward pass that training makes anyway.

        Returns:
            Outputs of all tasks side by side.
        """
        z = self.bank(a, self.initial_head_index() if head_index is None else head_index)
        activation = activation_fn(self.activation)
        h = activation(z if taps is None else z + taps.astype(z.dtype))
        for layer in self.tower_layers:
            h = activation(layer(h))
        if len(self.output_layers) == 1:
            y = self.output_layers[0](h).reshape(h.shape[0], sum(self.outputs))
        else:
            rows = [layer(h[:, t]) for t, layer in enumerate(self.output_layers)]
            y = jnp.concatenate(rows, axis=-1)
        return activation_fn(self.output_activation)(y)

    def __call__(
        self, x: Float[Array, "batch features"], head_index: AnyIndex | None = None
    ) -> Float[Array, "batch outputs"]:
        """Predictions of all tasks side by side, (batch, sum of outputs)."""
        return self.heads(self.trunk(x), head_index)


class IndependentNetworks(nn.Module):
    """One network a task, sharing nothing: the baseline that sharing has to beat.

    Attributes: as of ``HardSharing``; every task has the whole network of one task.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> model = IndependentNetworks(outputs=(1, 1, 1))
        >>> variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 4)))
        >>> model.apply(variables, jnp.ones((5, 4))).shape
        (5, 3)
    """

    shared: Sequence[int] = (4,)
    nodes: int = 3
    towers: Sequence[int] = ()
    outputs: Sequence[int] = (1, 1)
    activation: Activation = "sigmoid"
    output_activation: Activation = "sigmoid"
    initializer: str | Init = "torch_linear"
    dtype: Any = None
    param_dtype: Any = jnp.float32

    def __post_init__(self) -> None:
        """Makes the sizes tuples, so that a model is hashable whatever it was given."""
        _freeze_sizes(self)
        super().__post_init__()

    @property
    def num_tasks(self) -> int:
        """Number of tasks."""
        return len(self.outputs)

    def shared_parameters(self, params: PyTree, head_index: None = None) -> PyTree:
        """None are."""
        del head_index
        return mark_shared(params, self.num_tasks, lambda names: False)

    @nn.compact
    def __call__(self, x: Float[Array, "batch features"]) -> Float[Array, "batch outputs"]:
        """Predictions of all tasks side by side, (batch, sum of outputs)."""
        fields = {
            name: getattr(self, name)
            for name in ("shared", "nodes", "towers", "activation", "output_activation")
        } | {"initializer": self.initializer, "dtype": self.dtype, "param_dtype": self.param_dtype}
        rows = [
            HardSharing(outputs=(width,), name=f"task_{t}", **fields)(x)
            for t, width in enumerate(self.outputs)
        ]
        return jnp.concatenate(rows, axis=-1)


def _freeze_sizes(module: nn.Module) -> None:
    for name in ("shared", "towers", "outputs"):
        sizes = tuple(int(size) for size in getattr(module, name))
        if any(size < 1 for size in sizes) or (name == "outputs" and not sizes):
            raise ValueError(f"{name}: expected sizes of at least 1, got {sizes}")
        object.__setattr__(module, name, sizes)

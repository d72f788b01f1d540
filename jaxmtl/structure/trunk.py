"""A dense network of which every structure is a member: the shapes of the largest, and pointers."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from jaxmtl._pytree import register_dataclass
from jaxmtl._validate import check_choice, check_count
from jaxmtl.sharing import Pointers
from jaxmtl.sharing.groups import point
from jaxmtl.structure.plain import Group, Layer, Structure, group_numbers

Activation = Literal["sigmoid", "tanh", "relu"]
ACTIVATIONS = {"sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "relu": jax.nn.relu}
EXACT = "highest"  # on accelerators, too, that a copy is what it is a copy of


@register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Placed:
    """A structure as a member of a program: nothing of it is part of the program but the shapes.

    Attributes:
        copies: which copy of every layer each task reads, (tasks, slots), or (tasks, 1) where no
            structure of the program parts single nodes.
        used: which slots of every layer there are; the others are read as 0.

    Example:
        >>> from jaxmtl.structure import separate, shared
        >>> _, placed = place([shared("ab", (2,)), separate("ab", (1,))], features=3)
        >>> placed.copies["layer_0"].tolist(), placed.used["layer_0"].astype(int).tolist()
        ([[[0], [0]], [[0], [1]]], [[1, 1], [1, 0]])
    """

    copies: dict[str, Int[Array, "*structures tasks slots"]]
    used: dict[str, Bool[Array, "*structures slots"]]


@dataclasses.dataclass(frozen=True)
class Trunk:
    """Dense layers in copies that tasks point into, and an output layer for each task. Static.

    Every task has activations of its own, so that which copies it reads changes no shape: all
    structures, and all changes from one to another, are one program. Copies are read by a product
    with rows of one 1 each, which is exact and, for small layers, quicker than gathering. Initial
    values are those of PyTorch's Linear for the width that a structure has, and do not depend on
    what other structures are in the program.

    Attributes:
        tasks: their names.
        features: columns of the input.
        outputs: width of each task's output.
        widths: slots of every layer, as many as the widest structure has.
        copies: of every layer, as many as the most parted structure has.
        activation: of the hidden layers.

    Example:
        >>> from jaxmtl.structure import separate, shared
        >>> trunk, placed = place([shared("ab", (4,)), separate("ab", (2,))], features=3)
        >>> member = jax.tree.map(lambda leaf: leaf[1], placed)
        >>> params = trunk.init(jax.random.key(0), member)
        >>> trunk.apply(params, member, jnp.ones((5, 3))).shape
        (5, 2)
    """

    tasks: tuple[str, ...]
    features: int
    outputs: tuple[int, ...]
    widths: tuple[int, ...]
    copies: tuple[int, ...]
    activation: Activation = "sigmoid"

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the hidden layers."""
        return tuple(f"layer_{number}" for number in range(len(self.widths)))

    def init(self, key: Key[Array, ""], placed: Placed) -> PyTree:
        """Initial values.

        Args:
            key: traced.
            placed: a structure, for whose widths they are drawn. Traced.

        Returns:
            The parameters: kernels (copies, inputs, slots) and biases (copies, slots).
        """
        params: dict[str, Any] = {}
        into, number = self.features, jnp.full((), float(self.features))
        *keys, last = jax.random.split(key, len(self.widths) + 1)
        for name, width, copies, own in zip(
            self.layers, self.widths, self.copies, keys, strict=True
        ):
            params[name] = _linear(own, copies, into, width, number)
            into, number = width, placed.used[name].sum().astype(jnp.float32)
        output = _linear(last, 1, into, sum(self.outputs), number)
        return params | {"output": jax.tree.map(lambda leaf: leaf[0], output)}

    def apply(
        self, params: PyTree, placed: Placed, x: Float[Array, "rows features"]
    ) -> Float[Array, "rows outputs"]:
        """Outputs of all tasks side by side.

        Args:
            params: traced.
            placed: a structure, traced.
            x: traced.

        Returns:
            The outputs, each task's of its own nodes.
        """
        h = self.hidden(params, placed, x)
        kernel, bias = params["output"]["kernel"], params["output"]["bias"]
        if set(self.outputs) == {1}:
            return jnp.einsum("tbw,wt->bt", h, kernel) + bias[None]
        owner = np.repeat(np.arange(len(self.outputs)), self.outputs)
        return jnp.einsum("obw,wo->bo", h[owner], kernel) + bias[None]

    def hidden(
        self, params: PyTree, placed: Placed, x: Float[Array, "rows features"]
    ) -> Float[Array, "tasks rows slots"]:
        """What every task's output layer reads."""
        h: Array = x
        for name, copies in zip(self.layers, self.copies, strict=True):
            reads = jax.nn.one_hot(placed.copies[name], copies, dtype=x.dtype)
            kernel, bias = params[name]["kernel"], params[name]["bias"]
            if reads.shape[1] == 1:
                kernel = jnp.einsum("tk,kiw->tiw", reads[:, 0], kernel, precision=EXACT)
                bias = jnp.matmul(reads[:, 0], bias, precision=EXACT)
            else:
                kernel = jnp.einsum("twk,kiw->tiw", reads, kernel, precision=EXACT)
                bias = jnp.einsum("twk,kw->tw", reads, bias, precision=EXACT)
            # The first layer's inputs are the same for all tasks.
            z = jnp.einsum("bi,tiw->tbw" if h.ndim == 2 else "tbi,tiw->tbw", h, kernel)
            h = ACTIVATIONS[self.activation](z + bias[:, None])
            h = jnp.where(placed.used[name][None, None], h, 0)
        return h

    def banks(self, params: PyTree, placed: Placed) -> tuple[PyTree, Pointers]:
        """The network as ``jaxmtl.sharing`` has it: banks of columns, and pointers into them.

        Args:
            params: concrete or traced.
            placed: a structure.

        Returns:
            Banks, the output layer as it is, and pointers; slots that a structure does not have
            point where others do, and are not told apart there.
        """
        shapes, capacity, tree = {}, {}, {"output": params["output"]}
        for name, width, copies in zip(self.layers, self.widths, self.copies, strict=True):
            kernel, bias = params[name]["kernel"], params[name]["bias"]
            into = kernel.shape[1]
            shapes |= {f"{name}/kernel": np.empty((into, width)), f"{name}/bias": np.empty(width)}
            capacity[name] = copies * width
            tree[name] = {
                "kernel": jnp.moveaxis(kernel, 0, 1).reshape(into, -1),
                "bias": bias.reshape(-1),
            }
        groups = {name: [(name, -1)] for name in self.layers}
        pointers = point(groups, shapes, len(self.tasks), capacity)
        for name, width in zip(self.layers, self.widths, strict=True):
            table = placed.copies[name] * width + jnp.arange(width)[None]
            pointers = pointers.replace(name, table.astype(jnp.int32))
        return tree, pointers


def place(
    structures: Sequence[Structure],
    features: int,
    outputs: Sequence[int] | None = None,
    *,
    activation: Activation = "sigmoid",
) -> tuple[Trunk, Placed]:
    """Makes structures members of one program.

    Args:
        structures: of the same tasks in the same order, with equally many layers.
        features: columns of the input.
        outputs: width of each task's output; None for one each.
        activation: of the hidden layers.

    Returns:
        The network, and the structures with a leading axis.

    Raises:
        ValueError: no structure, other tasks or another number of layers than the first has.

    Example:
        >>> from jaxmtl.structure import separate, shared
        >>> trunk, _ = place([shared("ab", (16,)), separate("ab", (12,))], features=3)
        >>> trunk.widths, trunk.copies
        ((16,), (2,))
    """
    check_choice("activation", activation, tuple(ACTIVATIONS))
    check_count("features", features)
    if not structures:
        raise ValueError("structures: expected at least one, got none")
    first = structures[0]
    for number, one in enumerate(structures):
        if one.tasks != first.tasks or len(one.layers) != len(first.layers):
            raise ValueError(
                f"structures: expected tasks and layers as in the first, {first.tasks} and "
                f"{len(first.layers)}, got {one.tasks} and {len(one.layers)} in number {number}"
            )
    widths = (1,) * len(first.tasks) if outputs is None else tuple(outputs)
    if len(widths) != len(first.tasks):
        raise ValueError(
            f"outputs: expected a width for each of {len(first.tasks)} tasks, got {len(widths)}"
        )
    slots = tuple(map(max, zip(*(one.widths for one in structures), strict=True)))
    copies, used = {}, {}
    for number, width in enumerate(slots):
        name = f"layer_{number}"
        layers = [one.layers[number] for one in structures]
        tables = np.stack([copies_of(layer, first.tasks, width) for layer in layers])
        alike = not any(layer.nodes for layer in layers)
        copies[name] = jnp.asarray(tables[..., :1] if alike else tables)
        own = np.array([layer.width for layer in layers])
        used[name] = jnp.asarray(np.arange(width)[None] < own[:, None])
    trunk = Trunk(
        tasks=first.tasks,
        features=features,
        outputs=widths,
        widths=slots,
        copies=tuple(int(table.max()) + 1 for table in copies.values()),
        activation=activation,
    )
    return trunk, Placed(copies, used)


def copies_of(layer: Layer, tasks: Group, slots: int) -> Int[np.ndarray, "tasks slots"]:
    """Which copy every task reads at every slot; slots that there are not, like the whole layer.

    Args:
        layer: of a structure.
        tasks: their names.
        slots: at least its width.

    Returns:
        The copies, counted from 0 at every slot.

    Example:
        >>> copies_of(Layer(1, (("a",), ("b", "c"))), ("a", "b", "c"), 2).tolist()
        [[0, 0], [1, 1], [1, 1]]
    """
    numbers = np.array(list(group_numbers(tasks, layer.groups).values()), np.int32)
    table = np.repeat(numbers[:, None], slots, axis=1)
    for node, groups in layer.nodes:
        taken: set[int] = set()
        for number in range(len(groups)):
            readers = [place for place, task in enumerate(tasks) if task in groups[number]]
            copy = int(numbers[readers[0]])
            if copy in taken:
                # The lowest copy that no group of the layer and no part of this node has.
                copy = max(int(numbers.max()), *taken) + 1
            taken.add(copy)
            table[readers, node] = copy
    return table


def _linear(
    key: Key[Array, ""], copies: int, inputs: int, columns: int, number: Array
) -> dict[str, Array]:
    """Kernels and biases, drawn column by column, the bias first: more of either changes none."""

    def draw(copy: Array, column: Array) -> Array:
        own = jax.random.fold_in(jax.random.fold_in(key, copy), column)
        return jax.random.uniform(own, (inputs + 1,), minval=-1, maxval=1)

    over_columns = jax.vmap(draw, (None, 0))
    drawn = jax.vmap(over_columns, (0, None))(jnp.arange(copies), jnp.arange(columns))
    drawn = drawn / jnp.sqrt(number)
    return {"kernel": drawn[..., 1:].swapaxes(1, 2), "bias": drawn[..., 0]}

"""A network for tables: numbers are embedded, levels looked up, and tasks share as is chosen."""

import itertools
import math
from collections.abc import Sequence
from typing import Any, Literal, cast, get_args

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, PyTree

from jaxmtl._validate import check_choice
from jaxmtl.duplication import AnyIndex, HeadIndex, initial_head_index, readers
from jaxmtl.models import sharing as tasks_share
from jaxmtl.models.layers import Bank
from jaxmtl.models.sharing import Mark, Names, Sharing

Embedding = Literal["periodic", "none"]
Shape = Literal["mish", "selu", "relu"]

FREQUENCIES, WAVES = 16, 3  # of every number, and what is kept of them
LOOKED_UP = 8  # numbers that stand for a level
DRAWN = 5  # rows of which a bias is a mean
FURTHEST = 3.0  # to which numbers are bent
SMALLEST = 1e-6  # spread of a node over the rows, below which it is left as it is


class TableNet(nn.Module):
    """A network on the coded features of a table.

    ``x -> [numbers: bent, embedded; levels; codes: looked up] * scale -> [Dense, activation,
    dropout]* -> an output layer a task``. Numbers are bent so that none is beyond 3: z / sqrt(1 +
    (z / 3)²). Initial values depend on the rows that ``init`` is given: every
    node has a spread of one over them, and is bent somewhere among them. The last layer is 0.

    Attributes:
        outputs: width of each task's outputs.
        numbers: columns of ``x`` that are numbers; all, if no column is named at all.
        levels: columns that are 0 or 1.
        codes: columns that hold the number of a level.
        sizes: levels of each code; the last stands for whatever is no level.
        hidden: sizes of the hidden layers, at least one.
        sharing: ``"shared"``, one trunk for all tasks; ``"separate"``, a network a task; a trunk a
            group of tasks, by the number of the group of each: ``(0, 0, 1)``;
            ``"rank_one"``, one trunk whose inputs and outputs of every hidden layer each task
            multiplies by numbers of its own, 1 at first, and with biases of its own; ``"bank"``,
            one trunk whose last layer is a bank of nodes that can be duplicated.
        embedding: ``"periodic"``: beside each number stand three mixtures of sixteen waves of it,
            of learned frequencies; or ``"none"``.
        activation: of the hidden layers; each node has a learned share of it, but those of a bank.
        dropout: of every hidden layer but a bank, to the next 1/256.
        line: whether a line of the features, not bent, is added to every output. It is 0 at first,
            and ``jaxmtl.training.tabular`` leaves it as it is set: the network learns what it
            leaves over.
        capacity: columns of a bank; None for as many as there can be, tasks times nodes.

    Example:
        >>> x = jax.random.normal(jax.random.key(1), (50, 3))
        >>> model = TableNet(outputs=(1, 2), hidden=(8, 8))
        >>> variables = jax.jit(model.init)(jax.random.key(0), x)
        >>> model.apply(variables, x).shape
        (50, 3)

    References:
        Holzmüller, Grinsztajn, Steinwart (2024), Better by Default: Strong Pre-Tuned MLPs and
        Boosted Trees on Tabular Data, NeurIPS, appendix A: embedding, initial values, and shares of
        the activation; section 3: how numbers are bent. Without its clipping of outputs and its
        schedule of dropout. Numbers of each task's own around a matrix of all: Wen, Tran, Ba
        (2020), BatchEnsemble, ICLR, there for members of an ensemble.
    """

    outputs: Sequence[int] = (1, 1)
    numbers: Sequence[int] = ()
    levels: Sequence[int] = ()
    codes: Sequence[int] = ()
    sizes: Sequence[int] = ()
    hidden: Sequence[int] = (128, 128, 128)
    sharing: Sharing = "shared"
    embedding: Embedding = "periodic"
    activation: Shape = "mish"
    dropout: float = 0.1
    line: bool = False
    capacity: int | None = None

    def __post_init__(self) -> None:
        """Makes the sizes tuples, so that a model is hashable, and checks them."""
        for name, least in (("outputs", 1), ("hidden", 1), ("sizes", 0)):
            sizes = tuple(int(size) for size in getattr(self, name))
            if len(sizes) < least or any(size < 1 for size in sizes):
                raise ValueError(f"{name}: expected {least} sizes >= 1 at least, got {sizes}")
            object.__setattr__(self, name, sizes)
        for name in ("numbers", "levels", "codes"):
            object.__setattr__(self, name, tuple(int(column) for column in getattr(self, name)))
        sharing = tasks_share.checked_sharing(self.sharing, len(self.outputs))
        object.__setattr__(self, "sharing", sharing)
        for name, choices in (("embedding", Embedding), ("activation", Shape)):
            check_choice(name, getattr(self, name), get_args(choices))
        if len(self.codes) != len(self.sizes):
            raise ValueError(
                f"sizes: expected one for each of {len(self.codes)} codes, got {len(self.sizes)}"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: expected at least 0 and below 1, got {self.dropout}")
        super().__post_init__()

    @property
    def num_tasks(self) -> int:
        """Number of tasks."""
        return len(self.outputs)

    @property
    def nodes(self) -> int:
        """Nodes of the bank at the start."""
        return self.hidden[-1]

    @property
    def num_columns(self) -> int:
        """Columns of the bank, spare ones included."""
        return self.num_tasks * self.nodes if self.capacity is None else self.capacity

    def shared_parameters(self, params: PyTree, head_index: HeadIndex | None = None) -> PyTree:
        """Which parameters several tasks reach: booleans in their structure and shapes."""
        index = self.initial_head_index() if head_index is None else head_index

        def is_shared(names: Names) -> Mark:
            if names[0] == "bank":
                return readers(index, self.num_columns).sum(axis=0) > 1
            own = names[0] in ("output", "line") or names[-1] in ("inner", "outer")
            own = own or (self.sharing == "rank_one" and names[-1] == "bias")
            return not own

        marks: Any = tasks_share.mark_shared(params, self.num_tasks, is_shared)
        trunks = tasks_share.trunk_of_each(self.sharing, self.num_tasks)
        return marks if trunks is None else tasks_share.within_groups(marks, "trunk", trunks)

    @property
    def has_bank(self) -> bool:
        """Whether nodes can be duplicated while it trains: a line reads what no bank has seen."""
        return self.sharing == "bank" and not self.line

    @property
    def positive_bank_inputs(self) -> bool:
        """Whether every input of the bank is above 0."""
        return False

    def initial_head_index(self) -> HeadIndex:
        """The head index of a network with a bank, before any duplication."""
        return initial_head_index(self.num_tasks, self.nodes)

    def setup(self) -> None:
        """Declares the parts."""
        tasks, nobody = self.num_tasks, cast(Any, (None, None))
        trunks = tasks_share.trunk_of_each(self.sharing, tasks)
        embedded: Any = _Trunk
        if trunks is not None:
            embedded = nn.vmap(
                _Trunk,
                in_axes=nobody,
                out_axes=1,
                axis_size=len(set(trunks)),
                variable_axes={"params": 0},
                split_rngs={"params": True, "dropout": True},
            )
        named = bool(self.numbers or self.levels or self.codes)
        self.embedded = embedded(
            numbers=self.numbers if named else None,
            levels=self.levels,
            codes=self.codes,
            sizes=self.sizes,
            hidden=self.hidden[:-1] if self.sharing == "bank" else self.hidden,
            embedding=self.embedding,
            activation=self.activation,
            dropout=self.dropout,
            members=tasks if self.sharing == "rank_one" else None,
            name="trunk",
        )
        if self.sharing == "bank":
            self.bank = Bank(self.nodes, self.num_columns, initializer="he_normal")
        self.output = _Heads(self.outputs, tuple(range(tasks)) if trunks is None else trunks)
        if self.line:
            columns = (*self.numbers, *self.levels) if named else None
            self.beside = _Line(columns, self.codes, self.sizes, sum(self.outputs), name="line")

    def trunk(self, x: Float[Array, "batch features"], *, train: bool = False) -> Array:
        """What the bank reads, or else the output layers."""
        named = (*self.numbers, *self.levels, *self.codes)
        if named and not 0 <= min(named) <= max(named) < x.shape[-1]:
            raise ValueError(
                f"x: expected the columns 0 to {max(named)} that are named, got shape {x.shape}"
            )
        return self.embedded(x, train)

    def heads(
        self,
        a: Array,
        head_index: AnyIndex | None = None,
        taps: Float[Array, "batch tasks nodes"] | None = None,
    ) -> Float[Array, "batch outputs"]:
        """Outputs from what ``trunk`` gave; see ``HardSharing.heads``."""
        if self.sharing == "bank":
            z = self.bank(a, self.initial_head_index() if head_index is None else head_index)
            a = _activation(self.activation)(z if taps is None else z + taps.astype(z.dtype))
        return self.output(a)

    def __call__(
        self,
        x: Float[Array, "batch features"],
        head_index: AnyIndex | None = None,
        *,
        train: bool = False,
    ) -> Float[Array, "batch outputs"]:
        """Outputs of all tasks side by side: numbers, and logits of classes."""
        found = self.heads(self.trunk(x, train=train), head_index)
        return found + self.beside(x) if self.line else found


class _Trunk(nn.Module):
    """What tasks share, if they share: embedded columns and hidden layers."""

    numbers: Sequence[int] | None  # None: all columns
    levels: Sequence[int]
    codes: Sequence[int]
    sizes: Sequence[int]
    hidden: Sequence[int]
    embedding: Embedding
    activation: Shape
    dropout: float
    members: int | None  # that multiply inputs and outputs of a layer by numbers of their own

    @nn.compact
    def __call__(self, x: Float[Array, "batch features"], train: bool) -> Array:
        parts = []
        if self.numbers is None or self.numbers:
            values = x if self.numbers is None else x[:, np.array(self.numbers)]
            values = values * jax.lax.rsqrt(1 + (values / FURTHEST) ** 2)
            parts.append(values)
            if self.embedding == "periodic":
                parts.append(_Waves(name="waves")(values))
        if self.levels:
            parts.append(x[:, jnp.array(self.levels)])
        for column, size in zip(self.codes, self.sizes, strict=True):
            table = self.param(
                f"code_{column}", nn.initializers.normal(1.0), (size, LOOKED_UP), jnp.float32
            )
            parts.append(_looked_up(table, x[:, column]))
        h = jnp.concatenate(parts, axis=-1)
        h = h * self.param("scale", nn.initializers.ones, (h.shape[-1],), jnp.float32)[None]
        kept = None
        if train and self.dropout and self.hidden:
            kept = _kept(self.make_rng("dropout"), len(x), self.hidden, self.dropout)
        for number, size in enumerate(self.hidden):
            h = _Layer(size, self.activation, self.members, name=f"layer_{number}")(h)
            if kept is not None:
                h = h * (kept[number] if self.members is None else kept[number][:, None])
        return h


def _kept(key: Array, rows: int, sizes: Sequence[int], rate: float) -> list[Array]:
    """Of every node of every layer what dropout multiplies it by.

    A byte a node decides, four of them to a random number, and one draw for all layers: with a
    number a node, drawing took half of the time of an update, and of its compilation.
    """
    total = sum(sizes)
    words = jax.random.bits(key, (rows, -(-total // 4)))
    shifts = jnp.arange(0, 32, 8, dtype=jnp.uint32)
    drawn = (words[..., None] >> shifts[None, None] & 255).reshape(rows, -1)[:, :total]
    dropped = max(min(round(256 * rate), 255), 1)
    factors = jnp.where(drawn < dropped, 0.0, 256 / (256 - dropped))
    return jnp.split(factors, list(itertools.accumulate(sizes))[:-1], axis=1)


class _Waves(nn.Module):
    """Mixtures of waves of every number."""

    @nn.compact
    def __call__(self, x: Float[Array, "batch numbers"]) -> Float[Array, "batch features"]:
        count = x.shape[-1]

        def uniform(half: float) -> Any:
            return lambda key, shape: jax.random.uniform(key, shape, minval=-half, maxval=half)

        frequency = self.param("frequency", nn.initializers.normal(0.1), (count, FREQUENCIES))
        phase = self.param("phase", uniform(math.pi), (count, FREQUENCIES))
        kernel = self.param("mixture", uniform(FREQUENCIES**-0.5), (count, FREQUENCIES, WAVES))
        offset = self.param("offset", uniform(FREQUENCIES**-0.5), (count, WAVES))
        waves = jnp.cos(2 * math.pi * (x[..., None] * frequency[None]) + phase[None])
        mixed = jnp.einsum("bnf,nfw->bnw", waves, kernel) + offset[None]
        return mixed.reshape(len(x), count * WAVES)


class _Layer(nn.Module):
    """A dense layer of which every node has a learned share of the activation."""

    size: int
    activation: Shape
    members: int | None

    @nn.compact
    def __call__(self, x: Float[Array, "batch *members inputs"]) -> Array:
        inputs, shape = x.shape[-1], (x.shape[-1], self.size)
        some = x if x.ndim == 2 else x[:, 0]  # at first all members are alike

        def spread_one(key: Array, shape: tuple[int, ...]) -> Array:
            kernel = jax.random.normal(key, shape)
            spread = (some @ kernel / math.sqrt(inputs)).std(axis=0)
            return kernel / jnp.where(spread > SMALLEST, spread, 1)[None]

        kernel = self.param("kernel", spread_one, shape)

        def among_rows(key: Array, shape: tuple[int, ...]) -> Array:
            size, members = shape[-1:], shape[:-1]
            z = some @ kernel / math.sqrt(inputs)
            first, second = jax.random.split(key)
            rows = jax.random.randint(first, (DRAWN, *size), 0, len(x))
            # Shares of exponential numbers are uniform among those of sum 1: quicker than gammas.
            weights = jax.random.exponential(second, (DRAWN, *size))
            weights = weights / weights.sum(axis=0)[None]
            bias = -(weights * jnp.take_along_axis(z, rows, axis=0)).sum(axis=0)
            return jnp.broadcast_to(bias, (*members, *size))

        if self.members is None:
            z = x @ kernel / math.sqrt(inputs)
            z = z + self.param("bias", among_rows, (self.size,))[None]
        else:
            ones, every = nn.initializers.ones, self.members
            x = x if x.ndim == 3 else x[:, None]
            z = (x * self.param("inner", ones, (every, inputs))[None]) @ kernel / math.sqrt(inputs)
            z = z * self.param("outer", ones, (every, self.size))[None]
            z = z + self.param("bias", among_rows, (every, self.size))[None]
        share = self.param("share", nn.initializers.ones, (self.size,))
        share = jnp.expand_dims(share, tuple(range(z.ndim - 1)))
        return z + share * (_activation(self.activation)(z) - z)


class _Heads(nn.Module):
    """An output layer a task, of 0 at the start."""

    outputs: Sequence[int]
    reads: Sequence[int]  # of what is there, by task

    @nn.compact
    def __call__(self, h: Array) -> Float[Array, "batch outputs"]:
        zeros, inputs, width = nn.initializers.zeros, h.shape[-1], sum(self.outputs)
        kernel = self.param("kernel", zeros, (inputs, width), jnp.float32)
        bias = self.param("bias", zeros, (width,), jnp.float32)
        if h.ndim == 3:  # (batch, tasks or trunks, nodes): every output reads its own task's
            task = np.repeat(self.reads, self.outputs)
            z = jnp.einsum("bwi,iw->bw", h[:, task], kernel)
        else:
            z = h @ kernel
        return z / math.sqrt(inputs) + bias[None]


class _Line(nn.Module):
    """A line for every output, of 0 at the start."""

    columns: Sequence[int] | None  # None: all
    codes: Sequence[int]
    sizes: Sequence[int]
    width: int

    @nn.compact
    def __call__(self, x: Float[Array, "batch features"]) -> Float[Array, "batch outputs"]:
        zeros = nn.initializers.zeros
        read = x if self.columns is None else x[:, jnp.array(self.columns, int)]
        slopes = self.param("slopes", zeros, (read.shape[-1], self.width), jnp.float32)
        found = read @ slopes
        found = found + self.param("intercept", zeros, (self.width,), jnp.float32)[None]
        for column, size in zip(self.codes, self.sizes, strict=True):
            table = self.param(f"levels_{column}", zeros, (size, self.width), jnp.float32)
            found = found + _looked_up(table, x[:, column])
        return found


def _looked_up(table: Float[Array, "size numbers"], code: Float[Array, " batch"]) -> Array:
    """Rows of a table by their numbers; the last where a code is none, as NaN is."""
    size = len(table)
    met = (code >= 0) & (code < size)
    return table[jnp.where(met, code, size - 1).astype(jnp.int32)]


def _activation(name: str) -> Any:
    return _mish if name == "mish" else getattr(jax.nn, name)


def _mish(x: Array) -> Array:
    """x tanh(log(1 + e^x)) as a fraction: an exponential instead of three functions."""
    grown = jnp.exp(jnp.minimum(x, 20))
    grown = grown * (grown + 2)
    return x * (grown / (grown + 2))

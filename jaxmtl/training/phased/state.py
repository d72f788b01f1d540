"""What a run carries from epoch to epoch, and what is fixed for all of it."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from jaxmtl._pytree import register_dataclass
from jaxmtl._validate import check_choice, check_positive
from jaxmtl.conflict import Rule, Zeros
from jaxmtl.duplication import HeadIndex
from jaxmtl.duplication.transplant import Transplant
from jaxmtl.losses import Loss, squared_error
from jaxmtl.training.driver.program import RUNNING
from jaxmtl.training.network import Bank, Network
from jaxmtl.training.phased.best import Best, first_best
from jaxmtl.training.phased.choice import Choice, Chosen, first_choice
from jaxmtl.training.phased.combining import Combination, Combining, check_combining, first_state
from jaxmtl.training.phased.phases import PhaseTable

Optimizer = Callable[[Any], optax.GradientTransformation]

Split = Literal["streak", "none", "random", "least", "all"]


class Parted(NamedTuple):
    """What a function of one's own may change where a phase ends.

    Attributes:
        params: of the network.
        pointers: which columns each task reads, as the network takes them.
        opt_state: of the optimizer; None where it starts afresh anyway.

    Example:
        >>> Parted._fields
        ('params', 'pointers', 'opt_state')
    """

    params: PyTree
    pointers: Any
    opt_state: PyTree


AtPhaseEnd = Callable[[Parted, PyTree], Parted]
"""From what it may change, and the state of what combines the gradients, to the same changed."""

# Factories whose update treats every scalar alike: on one flat vector they give the same numbers.
ELEMENTWISE = frozenset(
    {optax.adam, optax.adamax, optax.amsgrad, optax.nadam, optax.rmsprop, optax.sgd, optax.adagrad}
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What a user chooses of a run, but for its numbers.

    Attributes:
        optimizer: factory from a learning rate to an optax optimizer, such as ``optax.adam``.
        batch_size: samples of one update.
        shuffle: a new order every epoch, drawn from the run's key; else file order.
        loss: see ``jaxmtl.losses``.
        counts: whether conflict is counted, which needs a network with a bank.
        rule: see ``jaxmtl.sign_conflict``.
        zeros: see ``jaxmtl.update_streak``.
        transplant: see ``jaxmtl.transplant``.
        split: what is duplicated when a phase stops early: the node of the largest ``"streak"``, a
            ``"random"`` one, that of the ``"least"`` conflict in the phase, ``"all"`` nodes for all
            tasks, or ``"none"``. Or a function, which is called where any phase but the last ends.
        aggregator: how the gradients of the tasks are combined, see ``fit``; None for their sum. A
            ``Choice`` for runs that differ in it.
        mesh: over which the samples of a batch are spread; None for one device.
        keep_best: whether the epoch of least validation error is kept; without validation rows
            nothing is.
    """

    optimizer: Optimizer = optax.adam
    batch_size: int = 1
    shuffle: bool = False
    loss: Loss = squared_error
    counts: bool = False
    rule: Rule = "nonnegative"
    zeros: Zeros = "reset"
    transplant: Transplant = "fresh"
    split: Split | AtPhaseEnd = "streak"
    aggregator: Combining | Choice | None = None
    mesh: Mesh | None = None
    keep_best: bool = False

    def __post_init__(self) -> None:
        """Checks what needs no rows."""
        check_positive("batch_size", self.batch_size)
        check_choice("rule", self.rule, ("nonnegative", "strict"))
        check_choice("zeros", self.zeros, ("reset", "hold"))
        check_choice("transplant", self.transplant, ("fresh", "copy"))
        if not callable(self.split):
            check_choice("split", self.split, ("streak", "none", "random", "least", "all"))
        if self.aggregator is not None and not isinstance(self.aggregator, Choice):
            object.__setattr__(self, "aggregator", check_combining(self.aggregator))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Options):
    """Static choices of a run: a change of any of them compiles anew.

    Attributes:
        num_tasks: number of losses.
        aligned: whether the columns of the bank are renumbered within an epoch, for speed.
        draws: whether the network draws random numbers in training, as dropout does.
    """

    num_tasks: int
    aligned: bool = False
    draws: bool = False


class EventLog(NamedTuple):
    """Duplications, one row a phase; -1 where a phase had none.

    Attributes:
        epoch: epoch of the phase, from 1.
        sample: place of the firing sample in the order of that epoch, from 0.
        node: column that was duplicated.
        copy: column of its copy.
        streak: length of the streak that fired.
        tasks: the tasks that read the copy.
    """

    epoch: Int[Array, " phases"]
    sample: Int[Array, " phases"]
    node: Int[Array, " phases"]
    copy: Int[Array, " phases"]
    streak: Int[Array, " phases"]
    tasks: Bool[Array, "phases tasks"]


class Watch(NamedTuple):
    """What a run that counts conflict carries from epoch to epoch.

    Attributes:
        streak: samples in a row in conflict, one a column, or one a weight where inputs of the bank
            may be <= 0.
        conflicts: samples of the phase in conflict at each column, in its epochs that are over.
        events: duplications so far.
    """

    streak: Int[Array, "*weights capacity"]
    conflicts: Int[Array, " capacity"]
    events: EventLog


@register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainState:
    """A run between two epochs. Every field is traced; shapes never change.

    Attributes:
        params: parameters as the model has them.
        opt_state: state of the optimizer, over one flat vector where that is exact.
        head_index: None for networks without a bank.
        watch: None where nothing is counted.
        combining: state of what combines the gradients of the tasks; None for their sum.
        phase: place in the table of phases, from 0.
        epoch: epochs of the phase that are over.
        status: ``RUNNING``, ``FINISHED`` or ``DIVERGED``.
        key: for the order of the samples.
        best: the epoch of least validation error so far; None where it is not kept.
        state: what the network carries that is not trained, such as running statistics; or None.
    """

    params: PyTree
    opt_state: PyTree
    head_index: HeadIndex | None
    watch: Watch | None
    combining: PyTree
    phase: Int[Array, ""]
    epoch: Int[Array, ""]
    status: Int[Array, ""]
    key: Key[Array, ""]
    best: Best | None = None
    state: PyTree = None


class EpochRecord(NamedTuple):
    """One row of the history.

    Attributes:
        ran: whether the run was still going; other rows mean nothing.
        phase: of the epoch, from 1.
        epoch: within the phase, from 1.
        samples: rows used, fewer than all where the phase stopped in mid-epoch.
        train: mean error of each task over all training rows, at the end of the epoch.
        validation: the same over the validation rows, or None.
        test: the same over the test rows, or None.
        conflicts: samples in conflict at each column, or None.
        combination: means over the updates of the epoch; None where gradients are summed.
    """

    ran: Bool[Array, ""]
    phase: Int[Array, ""]
    epoch: Int[Array, ""]
    samples: Int[Array, ""]
    train: Float[Array, " tasks"]
    validation: Float[Array, " tasks"] | None
    test: Float[Array, " tasks"] | None
    conflicts: Int[Array, " capacity"] | None
    combination: Combination | None = None


def pack(optimizer: Optimizer, params: PyTree) -> tuple[PyTree, Callable[[PyTree], PyTree]]:
    """Parameters in the form that the optimizer works on, and the way back.

    Optimizers that treat every scalar alike get one flat vector, which saves a sixth of the time of
    a small network's step; the numbers are the same to the bit.

    Args:
        optimizer: factory of ``Config``.
        params: parameters of one dtype, or of several (then never flattened).

    Returns:
        The packed parameters and the function that unpacks them.
    """
    if packs_flat(optimizer, params):
        return ravel_pytree(params)
    return params, lambda packed: packed


def packs_flat(optimizer: Optimizer, params: PyTree) -> bool:
    """Whether the optimizer gets the parameters as one flat vector."""
    plain = optimizer in ELEMENTWISE
    return plain and len({leaf.dtype for leaf in jax.tree.leaves(params)}) == 1


def init_state(
    network: Network,
    config: Config,
    params: PyTree,
    phases: PhaseTable,
    key: Key[Array, ""],
    head_index: HeadIndex | None = None,
    state: PyTree = None,
    chosen: Chosen | None = None,
) -> TrainState:
    """State of a run before its first epoch.

    Args:
        network: static.
        config: static choices.
        params: start values, traced.
        phases: traced.
        key: for the order of the samples, traced.
        head_index: of the start; None: all tasks read the first nodes. Traced.
        state: of the network at the start, traced; None for networks without.
        chosen: for a ``Choice`` of methods, traced.

    Returns:
        The state.
    """
    watch, bank = None, network.bank
    if head_index is None and bank is not None:
        head_index = bank.initial_pointers()
    if config.counts:
        bank = cast(Bank, bank)
        none = jnp.full(phases.epochs.shape[0], -1, jnp.int32)
        moved = jnp.zeros((len(none), bank.num_tasks), jnp.bool)
        streak = jnp.zeros(streak_shape(bank, params), jnp.int32)
        conflicts = jnp.zeros(bank.num_columns, jnp.int32)
        watch = Watch(streak, conflicts, EventLog(none, none, none, none, none, moved))
    packed, _ = pack(config.optimizer, params)
    zero = jnp.int32(0)
    return TrainState(
        params=params,
        opt_state=config.optimizer(phases.learning_rate[0]).init(packed),
        head_index=head_index,
        watch=watch,
        combining=first_combining(config, params, chosen),
        phase=zero,
        epoch=zero,
        status=jnp.int32(RUNNING),
        key=key,
        best=first_best(params, head_index, state, config.num_tasks) if config.keep_best else None,
        state=state,
    )


def first_combining(config: Config, params: PyTree, chosen: Chosen | None = None) -> PyTree:
    """State of what combines the gradients of the tasks, before its first update."""
    if config.aggregator is None:
        return None
    if isinstance(config.aggregator, Choice):
        assert chosen is not None
        return first_choice(config.aggregator, chosen, config.num_tasks, params)
    return first_state(config.aggregator, config.num_tasks, params)


def streak_shape(bank: Bank, params: PyTree) -> tuple[int, ...]:
    """Shape of the streaks: one a column where bank inputs are positive, else one a weight."""
    if bank.positive_bank_inputs:
        return (bank.num_columns,)
    return params["bank"]["kernel"].shape

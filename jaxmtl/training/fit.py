"""Whole runs: ``fit`` never splits, ``fit_adaptive`` duplicates nodes where tasks disagree."""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int, Key, PyTree

from jaxmtl._modes import own_transfers
from jaxmtl._typing import Device, NetworkLike
from jaxmtl.conflict import Rule, Zeros
from jaxmtl.data.rows import Splits
from jaxmtl.duplication import HeadIndex
from jaxmtl.duplication.transplant import Transplant
from jaxmtl.losses import Loss, squared_error
from jaxmtl.training.as_network import as_network
from jaxmtl.training.driver.placement import batch_mesh, spread
from jaxmtl.training.driver.program import DIVERGED, RUNNING
from jaxmtl.training.network import Network
from jaxmtl.training.phased.checks import (
    check_key,
    check_labels,
    checked_config,
    cleared,
    run_keys,
    start_values,
)
from jaxmtl.training.phased.combining import Combining
from jaxmtl.training.phased.divergence import blame, repeat_carefully
from jaxmtl.training.phased.epoch import epoch
from jaxmtl.training.phased.phases import STUDY_PHASES, Phase, PhaseTable, phase_table
from jaxmtl.training.phased.run import (
    Events,
    Progress,
    Run,
    collect_history,
    joined,
    without_labels,
)
from jaxmtl.training.phased.state import (
    Config,
    EpochRecord,
    Optimizer,
    Options,
    TrainState,
    init_state,
)

CHUNK = 64  # epochs of one compiled call at most; progress is reported between calls
SECONDS_BETWEEN_REPORTS = 0.2

OnProgress = Callable[[Progress], None]


def fit(
    model: NetworkLike,
    data: Splits,
    *,
    key: Key[Array, ""] | None = None,
    params: PyTree | None = None,
    epochs: int = 480,
    learning_rate: float = 5e-3,
    optimizer: Optimizer = optax.adam,
    batch_size: int = 1,
    shuffle: bool = False,
    loss: Loss = squared_error,
    aggregator: Combining | None = None,
    head_index: HeadIndex | None = None,
    keep_best: bool = False,
    devices: Sequence[Device] | None = None,
    on_progress: OnProgress | None = None,
) -> Run:
    """Trains a network as it is: plain hard sharing, independent networks, any architecture.

    The same loop as ``fit_adaptive`` with one phase that never splits.

    Args:
        model: a flax.linen, flax.nnx or Equinox module, or two functions, whose outputs are
            (batch, outputs); see ``jaxmtl.training.as_network``. Running statistics go on from
            update to update, dropout draws from the key. Static.
        data: rows of training, and of validation and test if any.
        key: for the initial values, dropout and, with ``shuffle``, the order; a typed
            ``jax.random.key``. None where nothing is drawn.
        params: initial values instead of those drawn from the key, or that the model brought; for
            flax.linen perhaps with its other variables, ``{"params": ..., "batch_stats": ...}``.
        epochs: passes over the training rows.
        learning_rate: of the optimizer.
        optimizer: factory from a learning rate to an optax optimizer. Those that want more than
            gradients (``optax.polyak_sgd``, ``optax.contrib.reduce_on_plateau``) are told the loss
            of the batch whose gradient is taken, the mean of the losses where an aggregator's
            direction belongs to none. A line search (``lambda rate: optax.lbfgs()``) and
            ``optax.contrib.sam`` go with the sum and with loss methods.
        batch_size: samples of one update.
        shuffle: a new order every epoch; else the order of the rows.
        loss: from outputs and targets to (batch, tasks).
        aggregator: how the gradients of the tasks are combined: a name from
            ``jaxmtl.aggregation.REGISTRY`` or ``LOSS_METHODS``, perhaps with options,
            ``"cagrad(c=0.4)"``, or an aggregator or loss method itself; None for their sum.
            Aggregators see the parameters that several tasks reach, as the model's
            ``shared_parameters`` says (all, if it has none); those of one task get that task's own
            gradient. Costs a backward pass a task; loss methods cost one in all. Static: make it
            once, outside of loops.
        head_index: of the start, for networks with a bank.
        keep_best: whether the run keeps, as ``best``, the parameters of the epoch with the least
            mean validation error besides those of the last one; needs validation rows. Static.
        devices: over which the samples of every batch are spread, each with all parameters; None
            for the default device. Worth it for large batches of a large network only.
        on_progress: called between chunks of epochs.

    Returns:
        The run, with no events. ``jaxmtl.training.as_network(model).apply(run.params, run.state,
        x)`` predicts, whatever library the model is of.

    Raises:
        ValueError: an argument out of range, rows that do not fit the model, or neither a key nor
            parameters.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmtl.data import Rows, Splits
        >>> from jaxmtl.models import HardSharing
        >>> x = jax.random.uniform(jax.random.key(1), (20, 4))
        >>> data = Splits(train=Rows(x, x[:, :2]))
        >>> run = fit(HardSharing(), data, key=jax.random.key(0), epochs=3)
        >>> run.history.train.shape, len(run.events)
        ((3, 2), 0)
    """
    options = Options(
        optimizer=optimizer,
        batch_size=batch_size,
        shuffle=shuffle,
        loss=loss,
        aggregator=aggregator,
        keep_best=keep_best,
    )
    phases = (Phase(epochs=epochs, learning_rate=learning_rate),)
    start = Start(key, params, head_index)
    return _drive(as_network(model), options, data, phases, start, devices, on_progress)


def fit_adaptive(
    model: NetworkLike,
    data: Splits,
    *,
    key: Key[Array, ""] | None = None,
    params: PyTree | None = None,
    phases: Sequence[Phase] = STUDY_PHASES,
    optimizer: Optimizer = optax.adam,
    batch_size: int = 1,
    shuffle: bool = False,
    loss: Loss = squared_error,
    rule: Rule = "nonnegative",
    zeros: Zeros = "reset",
    transplant: Transplant = "fresh",
    aggregator: Combining | None = None,
    head_index: HeadIndex | None = None,
    keep_best: bool = False,
    devices: Sequence[Device] | None = None,
    on_progress: OnProgress | None = None,
) -> Run:
    """Trains a network that duplicates a node once its tasks have disagreed there for long enough.

    For each sample, before the update and at the same parameters, the signs of the task gradients
    of the bank are compared; a streak counts the samples in a row in conflict. Once the epoch
    reaches the warm-up of the phase and a streak its threshold, the phase stops at once, after the
    update: the node is the column of the largest streak, the first in row-major order on ties. It
    is duplicated, which changes no prediction, and the next phase starts at the first sample with
    zero streaks. A phase without a trigger duplicates nothing, and the next one goes on.

    With two tasks, task 0 gets the copy. More readers part by the sign of their gradient at the
    weight and sample that fired; the group of the lowest-numbered reader gets the copy.

    In mini-batches the streak runs on sample by sample within and across batches, all gradients of
    a batch being taken at its parameters; the phase stops after the update of the batch.

    Args:
        model: a network with a bank, such as ``HardSharing``.
        data: rows of training, and of validation and test if any. A row whose label of a task is
            unknown counts for the other tasks only, and leaves streaks as they are where fewer than
            two readers are left.
        key: for the initial values and, with ``shuffle``, the order; a typed ``jax.random.key``.
        params: initial values instead of those drawn from the key.
        phases: the schedule.
        optimizer: factory from a learning rate to an optax optimizer; see ``fit``.
        batch_size: samples of one update.
        shuffle: a new order every epoch; else the order of the rows.
        loss: from outputs and targets to (batch, tasks).
        rule: sign rule, ``"nonnegative"`` (the study) or ``"strict"``; see ``sign_conflict``.
        zeros: what exact zeros do to a streak, ``"reset"`` (the study) or ``"hold"``; see
            ``update_streak``.
        transplant: the optimizer's state across phases: ``"fresh"`` (the study) starts it anew,
            ``"copy"`` keeps it and gives the copy its original's moments; so does that of the
            aggregator.
        aggregator: see ``fit``. Conflict is counted on the gradients before they are combined.
        head_index: of the start; None: all tasks read all nodes.
        keep_best: see ``fit``. Static.
        devices: see ``fit``.
        on_progress: called between chunks of epochs.

    Returns:
        The run.

    Raises:
        ValueError: as ``fit``, or a model without a bank.

    Example:
        >>> import jax
        >>> from jaxmtl.data import Rows, Splits
        >>> from jaxmtl.models import HardSharing
        >>> x = jax.random.uniform(jax.random.key(1), (50, 4))
        >>> data = Splits(train=Rows(x, x[:, :2]))
        >>> phases = (Phase(epochs=4, warmup=2, threshold=3), Phase(epochs=2))
        >>> run = fit_adaptive(HardSharing(), data, key=jax.random.key(0), phases=phases)
        >>> event = run.events[0]
        >>> (event.phase, event.tasks, event.copy, run.head_index.shape)
        (1, (0,), 3, (2, 3))

    References:
        Wang, Jin, Du, Zhang, Hao (2023), Adaptive Hard Parameter Sharing Method Based on Multi-Task
        Deep Learning, Mathematics 11(22), 4639. Departures: duplication never changes a prediction
        (there, from the second one on, it does); a phase without a trigger is no error; counts run
        on across mini-batches.
    """
    network = as_network(model)
    if network.bank is None:
        raise ValueError(
            "model: expected a network with a bank, such as HardSharing, "
            f"got {type(model).__name__}; use fit for networks that never split"
        )
    options = Options(
        optimizer=optimizer,
        batch_size=batch_size,
        shuffle=shuffle,
        loss=loss,
        counts=True,
        rule=rule,
        zeros=zeros,
        transplant=transplant,
        aggregator=aggregator,
        keep_best=keep_best,
    )
    start = Start(key, params, head_index)
    return _drive(network, options, data, phases, start, devices, on_progress)


@functools.partial(jax.jit, static_argnames=("network", "config"))
def advance(
    network: Network,
    config: Config,
    state: TrainState,
    data: Splits,
    phases: PhaseTable,
    limit: Int[Array, ""],
) -> tuple[TrainState, EpochRecord]:
    """Runs up to ``limit`` epochs (``CHUNK`` at most) in one compiled call.

    Args:
        network: static.
        config: static.
        state: traced.
        data: traced.
        phases: traced.
        limit: epochs to run at most, traced, so that no choice of it compiles anew.

    Returns:
        The state and ``CHUNK`` records, of which those that ran are marked.
    """
    blank = jax.tree.map(
        lambda leaf: jnp.zeros((CHUNK, *leaf.shape), leaf.dtype),
        jax.eval_shape(lambda s: epoch(network, config, s, data, phases)[1], state),
    )

    def going(loop: tuple[Any, ...]) -> Array:
        state, _, i = loop
        return (i < jnp.minimum(limit, CHUNK)) & (state.status == RUNNING)

    def body(loop: tuple[Any, ...]) -> tuple[Any, ...]:
        state, records, i = loop
        state, record = epoch(network, config, state, data, phases)
        return state, jax.tree.map(lambda rows, row: rows.at[i].set(row), records, record), i + 1

    state, records, _ = jax.lax.while_loop(going, body, (state, blank, jnp.int32(0)))
    return state, records


class Start(NamedTuple):
    """What a run starts from, as the user gave it."""

    key: Key[Array, ""] | None
    values: PyTree | None
    head_index: HeadIndex | None


@own_transfers
def _drive(
    network: Network,
    options: Options,
    data: Splits,
    phases: Sequence[Phase],
    start: Start,
    devices: Sequence[Device] | None,
    on_progress: OnProgress | None,
) -> Run:
    mesh = batch_mesh(devices, options.batch_size)
    table = phase_table(phases)
    given, data = data, cleared(data)
    drawn = start.values is None and not network.has_values
    init_key, order_key = run_keys(start.key, draws=drawn, shuffle=options.shuffle)
    params, own = start_values(network, init_key, data, start.values)
    options = dataclasses.replace(options, mesh=mesh)
    config = checked_config(network, options, data, params, own, start.head_index)
    check_key(config, start.key)
    check_labels(network, config, params, own, given)
    state = init_state(network, config, params, table, order_key, start.head_index, own)
    if mesh is not None:
        state, data, table = spread((state, data, table), mesh, replicated=True)
    records: list[EpochRecord] = []
    divergence, limit = None, 1
    while int(state.status) == RUNNING:
        began = time.perf_counter()
        state, chunk = advance(network, config, state, data, table, jnp.int32(limit))
        records.append(jax.tree.map(np.array, chunk))
        if int(state.status) == DIVERGED:
            state, again = repeat_carefully(network, config, state, data, table)
            records[-1].ran[np.flatnonzero(records[-1].ran)[-1]] = False
            records.append(jax.tree.map(lambda leaf: np.asarray(leaf)[None], again))
            divergence = blame(network, config, state, data, again)
        if on_progress is not None:
            on_progress(_progress(without_labels(records[-1], None, data)[0], phases))
        spent = time.perf_counter() - began
        # The first call compiles; later ones are made as long as a progress bar can bear.
        if len(records) > 1 or spent < SECONDS_BETWEEN_REPORTS:
            limit = int(np.clip(limit * SECONDS_BETWEEN_REPORTS / max(spent, 1e-6), 1, CHUNK))
    whole, best = without_labels(joined(records), state.best, data)
    log = None if state.watch is None else jax.tree.map(np.asarray, state.watch.events)
    return Run(
        params=state.params,
        head_index=state.head_index,
        history=collect_history(whole),
        events=Events(log=log),
        divergence=divergence,
        best=best,
        state=state.state,
        aggregator_state=state.combining,
    )


def _progress(chunk: EpochRecord, phases: Sequence[Phase]) -> Progress:
    last = int(np.flatnonzero(chunk.ran)[-1])
    phase, number = int(chunk.phase[last]), int(chunk.epoch[last])
    return Progress(
        phase=phase,
        num_phases=len(phases),
        epoch=number,
        num_epochs=phases[phase - 1].epochs,
        done=sum(p.epochs for p in phases[: phase - 1]) + number,
        total=sum(p.epochs for p in phases),
        train=np.asarray(chunk.train)[last],
    )

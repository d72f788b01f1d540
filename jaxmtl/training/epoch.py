"""One compiled epoch, and what happens at its end: duplication, the next phase, or the last."""

import dataclasses
from typing import cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxmtl._typing import BankNetwork, Network
from jaxmtl.data.rows import Rows, Splits
from jaxmtl.duplication import HeadIndex, duplicate_node, free_column, transplant
from jaxmtl.training.counting import Tally, first_tally, what_fired
from jaxmtl.training.phases import NEVER, PhaseTable
from jaxmtl.training.state import (
    DIVERGED,
    FINISHED,
    RUNNING,
    Config,
    EpochRecord,
    EventLog,
    TrainState,
    Watch,
    pack,
)
from jaxmtl.training.step import Carry, Knobs, all_finite, look, make_step


def epoch(
    model: Network,
    config: Config,
    state: TrainState,
    data: Splits,
    phases: PhaseTable,
    *,
    careful: bool = False,
) -> tuple[TrainState, EpochRecord]:
    """Trains for one epoch, duplicates a node if a streak fires, and measures the errors.

    Pure and of static shapes: it jits once for a whole run, whatever is split when, and vmaps over
    states, data and phases. A state that is finished or diverged comes back unchanged. An epoch in
    which anything stops being finite is not kept: the state before it comes back, marked as
    diverged. Run again with ``careful``, it keeps all that was finite and names the update.

    Args:
        model: the network, static.
        config: static choices.
        state: before the epoch, traced.
        data: rows of training, and of validation and test if any, traced.
        phases: traced.
        careful: checks every update, at some cost, and stops before the first that fails. Static.

    Returns:
        The state after the epoch and its row of the history.
    """
    running = state.status == RUNNING
    number = state.epoch + 1
    knobs = Knobs(
        head_index=state.head_index,
        learning_rate=phases.learning_rate[state.phase],
        threshold=_threshold(model, state, phases, number),
    )
    batches = make_batches(config, state, data.train)
    num_updates = batches.x.shape[0]
    packed, unpack = pack(config.optimizer, state.params)
    step = make_step(model, config, unpack, knobs, careful=careful)
    tally = None
    if state.watch is not None:
        bank = cast(BankNetwork, model)
        tally = first_tally(bank, state.params, state.watch.streak, data.train.x)
    # A loop that ends at the trigger; under vmap, members that are through are frozen by JAX.
    carry = jax.lax.while_loop(
        lambda carry: running & carry.going & (carry.updates < num_updates),
        lambda carry: step(carry, jax.tree.map(lambda leaf: leaf[carry.updates], batches)),
        Carry(packed, state.opt_state, tally, jnp.int32(0), jnp.bool(False)),
    )
    params = unpack(carry.packed)
    ended = _end_epoch(model, config, state, carry, params, phases, number)
    if not careful:
        before = dataclasses.replace(state, status=jnp.full_like(state.status, DIVERGED))
        ended = _where(carry.diverged | ~all_finite(params), before, ended)
    after = _where(running, ended, state)
    used = carry.updates * config.batch_size
    record = EpochRecord(
        ran=running,
        phase=state.phase + 1,
        epoch=number,
        samples=jnp.minimum(used, data.train.x.shape[0]).astype(jnp.int32),
        train=_errors(model, config, after, data.train),
        validation=data.validation and _errors(model, config, after, data.validation),
        test=data.test and _errors(model, config, after, data.test),
        conflicts=None if carry.tally is None else carry.tally.conflicts,
    )
    return after, record


def make_batches(config: Config, state: TrainState, rows: Rows) -> Rows:
    """The batches of an epoch, in order, stacked along the first axis.

    The last one is filled up with copies of the first rows whose labels count as unknown.
    """
    num_rows = rows.x.shape[0]
    steps = -(-num_rows // config.batch_size)
    known, missing = rows.known, steps * config.batch_size - num_rows
    order = None
    if config.shuffle:
        key = jax.random.fold_in(jax.random.fold_in(state.key, state.phase), state.epoch)
        order = jax.random.permutation(key, num_rows)
    if missing:
        order = jnp.arange(num_rows) if order is None else order
        order = jnp.concatenate([order, order[:1].repeat(missing)])
        if known is None:
            known = jnp.ones((num_rows, config.num_tasks), jnp.bool)

    def batched(leaf: Array) -> Array:
        leaf = leaf if order is None else leaf[order]
        return leaf.reshape(steps, config.batch_size, *leaf.shape[1:])

    batches = jax.tree.map(batched, Rows(rows.x, rows.y, known))
    if missing:
        counted = jnp.arange(steps * config.batch_size).reshape(steps, -1, 1) < num_rows
        batches = batches._replace(known=batches.known & counted)
    return batches


def _threshold(
    model: Network, state: TrainState, phases: PhaseTable, number: Int[Array, ""]
) -> Int[Array, ""]:
    if state.watch is None or state.head_index is None:
        return jnp.int32(NEVER)
    # Without a free column nothing can be duplicated, and the phase goes on.
    room = free_column(state.head_index, cast(BankNetwork, model).num_columns) >= 0
    may_split = (number >= phases.warmup[state.phase]) & room
    return jnp.where(may_split, phases.threshold[state.phase], NEVER)


def _end_epoch(
    model: Network,
    config: Config,
    state: TrainState,
    carry: Carry,
    params: PyTree,
    phases: PhaseTable,
    number: Int[Array, ""],
) -> TrainState:
    over = carry.fired | (number >= phases.epochs[state.phase])
    last = over & (state.phase == phases.epochs.shape[0] - 1)
    moves_on = over & ~last & ~carry.diverged
    status = jnp.where(carry.diverged, DIVERGED, jnp.where(last, FINISHED, RUNNING))
    ended = TrainState(
        params=params,
        opt_state=carry.opt_state,
        head_index=state.head_index,
        watch=state.watch,
        phase=state.phase + moves_on,
        epoch=jnp.where(moves_on, 0, number),
        status=status.astype(jnp.int32),
        key=state.key,
    )
    if carry.tally is not None:
        bank = cast(BankNetwork, model)
        ended = _duplicated(bank, config, state, ended, carry.tally, carry.updates, number)
        watch = Watch(jnp.where(over, 0, carry.tally.streak), cast(Watch, ended.watch).events)
        ended = dataclasses.replace(ended, watch=watch)
    if config.transplant == "fresh":
        packed, _ = pack(config.optimizer, ended.params)
        fresh = config.optimizer(phases.learning_rate[state.phase]).init(packed)
        opt_state = _where(over, fresh, ended.opt_state)
        ended = dataclasses.replace(ended, opt_state=opt_state)
    return ended


def _duplicated(
    model: BankNetwork,
    config: Config,
    before: TrainState,
    state: TrainState,
    tally: Tally,
    updates: Int[Array, ""],
    number: Int[Array, ""],
) -> TrainState:
    """The state with the node duplicated that fired, if any did, and the event written down."""
    head_index = cast(HeadIndex, state.head_index)
    node, moving = what_fired(model, tally, head_index)
    copy = free_column(head_index, model.num_columns)
    params, index = duplicate_node(state.params, head_index, node, moving)
    opt_state = state.opt_state
    if config.transplant == "copy":
        opt_state = transplant(opt_state, params, node, copy, "copy")
    row = EventLog(
        epoch=number,
        sample=(updates - 1) * config.batch_size + tally.place,
        node=node,
        copy=copy,
        streak=tally.streak.max(),
        tasks=moving,
    )
    log = cast(Watch, state.watch).events
    here = (jnp.arange(log.epoch.shape[0]) == before.phase) & tally.fired
    events = jax.tree.map(
        lambda column, value: jnp.where(
            jnp.expand_dims(here, range(1, column.ndim)), jnp.asarray(value)[None], column
        ),
        log,
        row,
    )
    params, index, opt_state = _where(
        tally.fired,
        (params, index, opt_state),
        (state.params, head_index, state.opt_state),
    )
    watch = Watch(cast(Watch, state.watch).streak, events)
    return dataclasses.replace(
        state, params=params, head_index=index, opt_state=opt_state, watch=watch
    )


def _errors(
    model: Network, config: Config, state: TrainState, rows: Rows
) -> Float[Array, " tasks"]:
    return look(model, config, state.params, state.head_index, rows).errors


def _where(condition: Bool[Array, ""], new: PyTree, old: PyTree) -> PyTree:
    return jax.tree.map(lambda a, b: a if a is b else jnp.where(condition, a, b), new, old)

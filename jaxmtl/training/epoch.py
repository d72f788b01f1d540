"""One compiled epoch, and what happens at its end: duplication, the next phase, or the last."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxmtl._typing import Network
from jaxmtl.data.rows import Rows, Splits
from jaxmtl.duplication import duplicate_node, free_column, readers
from jaxmtl.duplication.transplant import transplant
from jaxmtl.training.phases import NEVER, PhaseTable
from jaxmtl.training.state import (
    DIVERGED,
    FINISHED,
    RUNNING,
    Config,
    EpochRecord,
    EventLog,
    TrainState,
    pack,
)
from jaxmtl.training.step import Batch, Carry, Knobs, all_finite, make_step, task_losses


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
        threshold=_threshold(model, config, state, phases, number),
    )
    batches = make_batches(config, state, data.train)
    packed, unpack = pack(config.optimizer, state.params)
    step = make_step(model, config, unpack, knobs, careful=careful)
    num_updates = batches.x.shape[0]
    first = _first_carry(model, config, state, packed, data.train)
    # A loop that ends at the trigger; under vmap, members that are through are frozen by JAX.
    carry = jax.lax.while_loop(
        lambda carry: running & carry.going & (carry.updates < num_updates),
        lambda carry: step(carry, jax.tree.map(lambda leaf: leaf[carry.updates], batches)),
        first,
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
        validation=None if data.validation is None else _errors(model, config, after, data.validation),
        test=None if data.test is None else _errors(model, config, after, data.test),
        conflicts=carry.conflicts,
    )
    return after, record


def make_batches(config: Config, state: TrainState, rows: Rows) -> Batch:
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
            known = jnp.ones((num_rows, _num_tasks(config, rows)), jnp.bool)

    def batched(leaf: Array) -> Array:
        leaf = leaf if order is None else leaf[order]
        return leaf.reshape(steps, config.batch_size, *leaf.shape[1:])

    batches = jax.tree.map(batched, Batch(rows.x, rows.y, known))
    if missing:
        counted = jnp.arange(steps * config.batch_size).reshape(steps, -1, 1) < num_rows
        batches = batches._replace(known=batches.known & counted)
    return batches


def _num_tasks(config: Config, rows: Rows) -> int:
    y = jax.ShapeDtypeStruct((1, *rows.y.shape[1:]), jnp.float32)
    return jax.eval_shape(config.loss, y, y).shape[1]


def _threshold(
    model: Network, config: Config, state: TrainState, phases: PhaseTable, number: Int[Array, ""]
) -> Int[Array, ""]:
    if not config.counts:
        return jnp.int32(NEVER)
    # Without a free column nothing can be duplicated, and the phase goes on.
    room = free_column(state.head_index, model.num_columns) >= 0
    may_split = (number >= phases.warmup[state.phase]) & room
    return jnp.where(may_split, phases.threshold[state.phase], NEVER)


def _first_carry(model: Network, config: Config, state: TrainState, packed: Any, rows: Rows) -> Carry:
    conflicts = signs = None
    if config.counts:
        conflicts = jnp.zeros(model.num_columns, jnp.int32)
        if model.num_tasks > 2:
            inputs = jax.eval_shape(
                lambda p, x: model.apply({"params": p}, x, method="trunk"), state.params, rows.x[:1]
            )
            signs = (jnp.zeros((model.num_tasks, model.num_columns)), jnp.zeros(inputs.shape[1:]))
    return Carry(
        packed=packed,
        opt_state=state.opt_state,
        streak=state.streak,
        conflicts=conflicts,
        signs=signs,
        updates=jnp.int32(0),
        place=jnp.int32(0),
        fired=jnp.bool(False),
        diverged=jnp.bool(False),
    )


def _end_epoch(
    model: Network,
    config: Config,
    state: TrainState,
    carry: Carry,
    params: Any,
    phases: PhaseTable,
    number: Int[Array, ""],
) -> TrainState:
    over = carry.fired | (number >= phases.epochs[state.phase])
    last = over & (state.phase == phases.epochs.shape[0] - 1)
    head_index, streak, events = state.head_index, carry.streak, state.events
    opt_state = carry.opt_state
    if config.counts:
        node, moving = _what_fired(model, carry, head_index)
        copy = free_column(head_index, model.num_columns)
        split_params, split_index = duplicate_node(params, head_index, node, moving)
        params = _where(carry.fired, split_params, params)
        head_index = jnp.where(carry.fired, split_index, head_index)
        row = EventLog(
            number, (carry.updates - 1) * config.batch_size + carry.place, node, copy, carry.streak.max(), moving
        )
        here = (jnp.arange(phases.epochs.shape[0]) == state.phase) & carry.fired
        events = jax.tree.map(
            lambda log, value: jnp.where(
                jnp.expand_dims(here, range(1, log.ndim)), jnp.asarray(value)[None], log
            ),
            events,
            row,
        )
        streak = jnp.where(over, 0, streak)
        if config.transplant == "copy":
            moved = transplant(opt_state, params, node, copy, "copy", lambda: opt_state)
            opt_state = _where(carry.fired, moved, opt_state)
    if config.transplant == "fresh":
        packed, _ = pack(config.optimizer, params)
        rate = phases.learning_rate[state.phase]
        opt_state = _where(over, config.optimizer(rate).init(packed), opt_state)
    status = jnp.where(carry.diverged, DIVERGED, jnp.where(last, FINISHED, RUNNING))
    moves_on = over & ~last & ~carry.diverged
    return TrainState(
        params=params,
        opt_state=opt_state,
        head_index=head_index,
        streak=streak,
        phase=state.phase + moves_on,
        epoch=jnp.where(moves_on, 0, number),
        status=status.astype(jnp.int32),
        key=state.key,
        events=events,
    )


def _what_fired(
    model: Network, carry: Carry, head_index: Array
) -> tuple[Int[Array, ""], Bool[Array, " tasks"]]:
    """The column of the largest streak, first in row-major order, and the tasks that get its copy."""
    place = jnp.argmax(carry.streak.reshape(-1)).astype(jnp.int32)
    row, node = jnp.divmod(place, model.num_columns)
    reads = readers(head_index, model.num_columns)[:, node]
    if carry.signs is None:
        return node, jnp.arange(model.num_tasks) == 0
    deltas, inputs = carry.signs
    gradients = deltas[:, node]
    if carry.streak.ndim == 2:
        gradients = gradients * jnp.sign(inputs[row])
    positive = gradients >= 0
    return node, reads & (positive == positive[jnp.argmax(reads)])


def _errors(
    model: Network, config: Config, state: TrainState, rows: Rows
) -> Float[Array, " tasks"]:
    return task_losses(model, config, state.params, state.head_index, Batch(*rows))[0]


def _where(condition: Bool[Array, ""], new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)

"""One compiled epoch, and what happens at its end: duplication, the next phase, or the last."""

import dataclasses
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from jaxmtl._typing import BankNetwork, Network
from jaxmtl.data.rows import Rows, Splits
from jaxmtl.duplication import (
    HeadIndex,
    align,
    duplicate_node,
    free_column,
    inverse_order,
    map_bank,
    map_bank_of_state,
    readers,
    split_all,
    transplant,
)
from jaxmtl.training.driver.placement import BATCH
from jaxmtl.training.phased.best import keep_better
from jaxmtl.training.phased.combining import draws, looks_ahead, mean_combination, no_combination
from jaxmtl.training.phased.counting import Tally, choose_node, first_tally, order_columns
from jaxmtl.training.phased.phases import NEVER, PhaseTable
from jaxmtl.training.phased.state import (
    DIVERGED,
    FINISHED,
    RUNNING,
    Config,
    EpochRecord,
    EventLog,
    TrainState,
    Watch,
    first_combining,
    pack,
)
from jaxmtl.training.phased.step import Carry, Knobs, all_finite, look, make_step


class Start(NamedTuple):
    """An epoch before its first update.

    Attributes:
        running: whether the run still goes.
        carry: what goes from update to update.
        knobs: constant within the epoch.
        order: old numbers of the bank's columns, where they are renumbered within the epoch.
    """

    running: Bool[Array, ""]
    carry: Carry
    knobs: Knobs
    order: Int[Array, " capacity"] | None


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
    batches = make_batches(config, state, data.train)
    num_updates = batches.x.shape[0]
    start = begin(model, config, state, data.train, phases)
    _, unpack = pack(config.optimizer, state.params)
    step = make_step(model, config, unpack, careful=careful)
    # A loop that ends at the trigger; under vmap, members that are through are frozen by JAX.
    carry = jax.lax.while_loop(
        lambda carry: start.running & carry.going & (carry.updates < num_updates),
        lambda carry: step(carry, start.knobs, *batch_at(config, batches, carry.updates)),
        start.carry,
    )
    return finish(model, config, state, data, phases, start, carry, careful=careful)


def begin(
    model: Network, config: Config, state: TrainState, train: Rows, phases: PhaseTable
) -> Start:
    """Lays out what the updates of an epoch need."""
    num_updates = -(-train.x.shape[0] // config.batch_size)
    params, opt_state, index, order = state.params, state.opt_state, state.head_index, None
    if config.aligned and index is not None:
        index, order = align(cast(HeadIndex, index))
        params, opt_state = _order_columns(params, opt_state, order)
    tally = None
    if state.watch is not None:
        bank = cast(BankNetwork, model)
        tally = first_tally(bank, params, state.watch.streak, train.x)
        tally = tally if order is None else order_columns(tally, order)
    stop = phases.stop[state.phase]
    done = state.epoch * num_updates
    return Start(
        running=state.status == RUNNING,
        carry=Carry(
            pack(config.optimizer, params)[0],
            opt_state,
            tally,
            state.combining,
            None if config.aggregator is None else no_combination(config.num_tasks),
            updates=jnp.int32(0),
            fired=jnp.bool(False),
            diverged=jnp.bool(False),
        ),
        knobs=Knobs(
            head_index=index,
            learning_rate=phases.learning_rate[state.phase],
            threshold=_threshold(model, state, phases, state.epoch + 1),
            stop=jnp.where(stop == NEVER, NEVER, stop - done),
            key=_key(config, state),
        ),
        order=order,
    )


def finish(
    model: Network,
    config: Config,
    state: TrainState,
    data: Splits,
    phases: PhaseTable,
    start: Start,
    carry: Carry,
    *,
    careful: bool = False,
) -> tuple[TrainState, EpochRecord]:
    """Ends an epoch after its last update: duplication, the next phase, errors."""
    number = state.epoch + 1
    params = pack(config.optimizer, state.params)[1](carry.packed)
    if start.order is not None:
        back = inverse_order(start.order)
        params, opt_state = _order_columns(params, carry.opt_state, back)
        tally = None if carry.tally is None else order_columns(carry.tally, back)
        carry = carry._replace(opt_state=opt_state, tally=tally)
    ended = _end_epoch(model, config, state, carry, params, phases, number)
    if not careful:
        before = dataclasses.replace(state, status=jnp.full_like(state.status, DIVERGED))
        ended = _where(carry.diverged | ~all_finite(params), before, ended)
    after = _where(start.running, ended, state)
    used = carry.updates * config.batch_size
    record = EpochRecord(
        ran=start.running,
        phase=state.phase + 1,
        epoch=number,
        samples=jnp.minimum(used, data.train.x.shape[0]).astype(jnp.int32),
        train=_errors(model, config, after, data.train),
        validation=data.validation and _errors(model, config, after, data.validation),
        test=data.test and _errors(model, config, after, data.test),
        conflicts=None if carry.tally is None else carry.tally.conflicts,
        combination=carry.combination and mean_combination(carry.combination, carry.updates),
    )
    if state.best is not None and record.validation is not None:
        counts = start.running & (after.status != DIVERGED)
        best = keep_better(state.best, after.params, after.head_index, record.validation, counts)
        after = dataclasses.replace(after, best=best)
    return after, record


def _order_columns(
    params: PyTree, opt_state: PyTree, order: Int[Array, " capacity"]
) -> tuple[PyTree, PyTree]:
    def ordered(leaf: Array) -> Array:
        return leaf[..., order]

    return map_bank(ordered, params), map_bank_of_state(ordered, opt_state, params)


def _key(config: Config, state: TrainState) -> Key[Array, ""] | None:
    """Of this epoch's draws, apart from those of the order and of the choice of nodes."""
    if config.aggregator is None or not draws(config.aggregator):
        return None
    key = jax.random.fold_in(state.key, NEVER // 2 - state.phase)
    return jax.random.fold_in(key, state.epoch)


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
    if config.mesh is not None:
        over_devices = NamedSharding(config.mesh, PartitionSpec(None, BATCH))
        batches = jax.lax.with_sharding_constraint(batches, over_devices)
    return batches


def batch_at(config: Config, batches: Rows, number: Int[Array, ""]) -> tuple[Rows, Rows | None]:
    """A batch, and the next one for methods that look ahead; after the last comes the first."""
    batch = jax.tree.map(lambda leaf: leaf[number], batches)
    if not looks_ahead(config.aggregator):
        return batch, None
    following = (number + 1) % batches.x.shape[0]
    return batch, jax.tree.map(lambda leaf: leaf[following], batches)


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
        combining=carry.combining,
        phase=state.phase + moves_on,
        epoch=jnp.where(moves_on, 0, number),
        status=status.astype(jnp.int32),
        key=state.key,
        best=state.best,
    )
    if carry.tally is not None:
        bank = cast(BankNetwork, model)
        if config.split == "all":
            apart = split_all(ended.params, cast(HeadIndex, ended.head_index))
            params, index = _where(carry.fired, apart, (ended.params, ended.head_index))
            ended = dataclasses.replace(ended, params=params, head_index=index)
        elif config.split != "none":
            ended = _duplicated(bank, config, state, ended, carry, number)
        watch = cast(Watch, ended.watch)
        watch = Watch(
            streak=jnp.where(over, 0, carry.tally.streak),
            conflicts=jnp.where(over, 0, watch.conflicts + carry.tally.conflicts),
            events=watch.events,
        )
        ended = dataclasses.replace(ended, watch=watch)
    if config.transplant == "fresh":
        packed, _ = pack(config.optimizer, ended.params)
        fresh = config.optimizer(phases.learning_rate[state.phase]).init(packed)
        opt_state = _where(over, fresh, ended.opt_state)
        combining = _where(over, first_combining(config, ended.params), ended.combining)
        ended = dataclasses.replace(ended, opt_state=opt_state, combining=combining)
    return ended


def _duplicated(
    model: BankNetwork,
    config: Config,
    before: TrainState,
    state: TrainState,
    carry: Carry,
    number: Int[Array, ""],
) -> TrainState:
    """The state with a node duplicated if the phase stopped for it, and the event written down."""
    head_index, tally = cast(HeadIndex, state.head_index), cast(Tally, carry.tally)
    conflicts = cast(Watch, before.watch).conflicts + tally.conflicts
    key = jax.random.fold_in(before.key, NEVER - before.phase)  # apart from those of the orders
    node, moving = choose_node(model, config, tally, head_index, conflicts, key)
    copy = free_column(head_index, model.num_columns)
    # A phase that is told to stop may do so where there is nothing to part.
    shared = readers(head_index, model.num_columns).sum(axis=0)[node] > 1
    fired = carry.fired & shared & (copy >= 0)
    params, index = duplicate_node(state.params, head_index, node, moving)
    opt_state, combining = state.opt_state, state.combining
    if config.transplant == "copy":
        opt_state = transplant(opt_state, params, node, copy, "copy")
        combining = transplant(combining, params, node, copy, "copy")
    row = EventLog(
        epoch=number,
        sample=(carry.updates - 1) * config.batch_size + tally.place,
        node=node,
        copy=copy,
        streak=tally.streak.max(),
        tasks=moving,
    )
    log = cast(Watch, state.watch).events
    here = (jnp.arange(log.epoch.shape[0]) == before.phase) & fired
    events = jax.tree.map(
        lambda column, value: jnp.where(
            jnp.expand_dims(here, range(1, column.ndim)), jnp.asarray(value)[None], column
        ),
        log,
        row,
    )
    params, index, opt_state, combining = _where(
        fired,
        (params, index, opt_state, combining),
        (state.params, head_index, state.opt_state, state.combining),
    )
    watch = cast(Watch, state.watch)._replace(events=events)
    return dataclasses.replace(
        state,
        params=params,
        head_index=index,
        opt_state=opt_state,
        combining=combining,
        watch=watch,
    )


def _errors(
    model: Network, config: Config, state: TrainState, rows: Rows
) -> Float[Array, " tasks"]:
    return look(model, config, state.params, state.head_index, rows).errors


def _where(condition: Bool[Array, ""], new: PyTree, old: PyTree) -> PyTree:
    return jax.tree.map(lambda a, b: a if a is b else jnp.where(condition, a, b), new, old)

"""What an epoch does with the bank of a network: the numbering of its columns, and duplication."""

import dataclasses
from typing import cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PyTree

from jaxmtl.duplication import (
    HeadIndex,
    duplicate_node,
    free_column,
    map_bank,
    map_bank_of_state,
    readers,
    split_all,
    transplant,
)
from jaxmtl.training.network import Bank, Network
from jaxmtl.training.phased.counting import Tally, choose_node
from jaxmtl.training.phased.phases import NEVER, PhaseTable
from jaxmtl.training.phased.state import Config, EventLog, Parted, TrainState, Watch
from jaxmtl.training.phased.step import Carry


def order_bank(
    params: PyTree, opt_state: PyTree, order: Int[Array, " capacity"]
) -> tuple[PyTree, PyTree]:
    """Parameters and optimizer under another numbering of the columns of the bank."""

    def ordered(leaf: Array) -> Array:
        return leaf[..., order]

    return map_bank(ordered, params), map_bank_of_state(ordered, opt_state, params)


def threshold_of(
    network: Network, state: TrainState, phases: PhaseTable, number: Int[Array, ""]
) -> Int[Array, ""]:
    """The streak at which this epoch stops; out of reach where nothing may be duplicated."""
    if state.watch is None or state.head_index is None:
        return jnp.int32(NEVER)
    # Without a free column nothing can be duplicated, and the phase goes on.
    room = free_column(state.head_index, cast(Bank, network.bank).num_columns) >= 0
    may_split = (number >= phases.warmup[state.phase]) & room
    return jnp.where(may_split, phases.threshold[state.phase], NEVER)


def split_bank(
    network: Network,
    config: Config,
    before: TrainState,
    ended: TrainState,
    carry: Carry,
    number: Int[Array, ""],
    over: Bool[Array, ""],
) -> TrainState:
    """Duplicates what ``Config.split`` says if the phase stopped for it, and counts anew.

    Args:
        network: static.
        config: static.
        before: the state before the epoch, traced.
        ended: the state after it, traced.
        carry: after the last update, with a tally.
        number: of the epoch in its phase, from 1.
        over: whether the phase is.

    Returns:
        The state with what was counted in it.
    """
    tally = cast(Tally, carry.tally)
    if config.split == "all":
        apart = split_all(ended.params, cast(HeadIndex, ended.head_index))
        params, index = where(carry.fired, apart, (ended.params, ended.head_index))
        ended = dataclasses.replace(ended, params=params, head_index=index)
    elif config.split != "none":
        ended = _duplicated(cast(Bank, network.bank), config, before, ended, carry, number)
    watch = cast(Watch, ended.watch)
    watch = Watch(
        streak=jnp.where(over, 0, tally.streak),
        conflicts=jnp.where(over, 0, watch.conflicts + tally.conflicts),
        events=watch.events,
    )
    return dataclasses.replace(ended, watch=watch)


def part_at_end(config: Config, ended: TrainState, moves_on: Bool[Array, ""]) -> TrainState:
    """What ``Config.split``, if it is a function, makes of the state where a phase has ended.

    Args:
        config: static.
        ended: the state after the epoch, traced.
        moves_on: whether another phase follows, traced.

    Returns:
        The state, changed if one does.
    """
    if not callable(config.split):
        return ended
    kept = ended.opt_state if config.transplant == "copy" else None
    before = Parted(ended.params, ended.head_index, kept)
    after = where(moves_on, config.split(before, ended.combining), before)
    opt_state = ended.opt_state if kept is None else after.opt_state
    return dataclasses.replace(
        ended, params=after.params, head_index=after.pointers, opt_state=opt_state
    )


def _duplicated(
    bank: Bank,
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
    node, moving, streak = choose_node(bank, config, tally, head_index, conflicts, key)
    copy = free_column(head_index, bank.num_columns)
    # A phase that is told to stop may do so where there is nothing to part.
    shared = readers(head_index, bank.num_columns).sum(axis=0)[node] > 1
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
        streak=streak,
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
    params, index, opt_state, combining = where(
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


def where(condition: Bool[Array, ""], new: PyTree, old: PyTree) -> PyTree:
    """One of two trees; leaves that are the same object in both stay as they are."""
    return jax.tree.map(lambda a, b: a if a is b else jnp.where(condition, a, b), new, old)

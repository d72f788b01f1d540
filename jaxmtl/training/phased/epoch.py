"""One compiled epoch, and what happens at its end: duplication, the next phase, or the last."""

import dataclasses
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxmtl.data.rows import Rows, Splits
from jaxmtl.duplication import HeadIndex, align, inverse_order
from jaxmtl.training.driver.program import DIVERGED, FINISHED, RUNNING
from jaxmtl.training.network import Bank, Network
from jaxmtl.training.phased.batches import batch_at, combining_key, forward_key, make_batches
from jaxmtl.training.phased.best import keep_better
from jaxmtl.training.phased.choice import Choice, ChoiceState, no_choice_made
from jaxmtl.training.phased.combining import Combination, mean_combination, no_combination
from jaxmtl.training.phased.counting import first_tally, order_columns
from jaxmtl.training.phased.phases import NEVER, PhaseTable
from jaxmtl.training.phased.splitting import (
    order_bank,
    part_at_end,
    split_bank,
    threshold_of,
    where,
)
from jaxmtl.training.phased.state import (
    Config,
    EpochRecord,
    TrainState,
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
    network: Network,
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
        network: static.
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
    start = begin(network, config, state, data.train, phases)
    _, unpack = pack(config.optimizer, state.params)
    step = make_step(network, config, unpack, careful=careful)
    # A loop that ends at the trigger; under vmap, members that are through are frozen by JAX.
    carry = jax.lax.while_loop(
        lambda carry: start.running & carry.going & (carry.updates < num_updates),
        lambda carry: step(carry, start.knobs, *batch_at(config, batches, carry.updates)),
        start.carry,
    )
    return finish(network, config, state, data, phases, start, carry, careful=careful)


def begin(
    network: Network, config: Config, state: TrainState, train: Rows, phases: PhaseTable
) -> Start:
    """Lays out what the updates of an epoch need."""
    num_updates = -(-train.x.shape[0] // config.batch_size)
    params, opt_state, index, order = state.params, state.opt_state, state.head_index, None
    if config.aligned and index is not None:
        index, order = align(cast(HeadIndex, index))
        params, opt_state = order_bank(params, opt_state, order)
    tally = None
    if state.watch is not None:
        bank = cast(Bank, network.bank)
        tally = first_tally(bank, params, state.state, state.watch.streak, train.x)
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
            _no_combination(config, params),
            updates=jnp.int32(0),
            fired=jnp.bool(False),
            diverged=jnp.bool(False),
            state=state.state,
        ),
        knobs=Knobs(
            head_index=index,
            learning_rate=phases.learning_rate[state.phase],
            threshold=threshold_of(network, state, phases, state.epoch + 1),
            stop=jnp.where(stop == NEVER, NEVER, stop - done),
            key=combining_key(config, state),
            forward_key=forward_key(config, state),
        ),
        order=order,
    )


def _no_combination(config: Config, params: PyTree) -> Combination | None:
    if config.aggregator is None:
        return None
    if isinstance(config.aggregator, Choice):
        return no_choice_made(config.num_tasks)
    return no_combination(config.aggregator, config.num_tasks, params)


def finish(
    network: Network,
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
        params, opt_state = order_bank(params, carry.opt_state, back)
        tally = None if carry.tally is None else order_columns(carry.tally, back)
        carry = carry._replace(opt_state=opt_state, tally=tally)
    ended = _end_epoch(network, config, state, carry, params, phases, number)
    if not careful:
        before = dataclasses.replace(state, status=jnp.full_like(state.status, DIVERGED))
        ended = where(carry.diverged | ~all_finite(params), before, ended)
    after = where(start.running, ended, state)
    used = carry.updates * config.batch_size
    record = EpochRecord(
        ran=start.running,
        phase=state.phase + 1,
        epoch=number,
        samples=jnp.minimum(used, data.train.x.shape[0]).astype(jnp.int32),
        train=_errors(network, config, after, data.train),
        validation=data.validation and _errors(network, config, after, data.validation),
        test=data.test and _errors(network, config, after, data.test),
        conflicts=None if carry.tally is None else carry.tally.conflicts,
        combination=carry.combination and mean_combination(carry.combination, carry.updates),
    )
    if state.best is not None and record.validation is not None:
        counts = start.running & (after.status != DIVERGED)
        best = keep_better(
            *(state.best, after.params, after.head_index, after.state), record.validation, counts
        )
        after = dataclasses.replace(after, best=best)
    return after, record


def _end_epoch(
    network: Network,
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
        phase=state.phase + moves_on.astype(jnp.int32),
        epoch=jnp.where(moves_on, 0, number),
        status=status.astype(jnp.int32),
        key=state.key,
        best=state.best,
        state=carry.state,
    )
    if carry.tally is not None:
        ended = split_bank(network, config, state, ended, carry, number, over)
    if callable(config.split):
        ended = part_at_end(config, ended, moves_on)
    if config.transplant == "fresh":
        packed, _ = pack(config.optimizer, ended.params)
        fresh = config.optimizer(phases.learning_rate[state.phase]).init(packed)
        opt_state = where(over, fresh, ended.opt_state)
        before = ended.combining
        chosen = before.chosen if isinstance(before, ChoiceState) else None
        # That of the last phase is what the run leaves behind.
        combining = where(over & ~last, first_combining(config, ended.params, chosen), before)
        ended = dataclasses.replace(ended, opt_state=opt_state, combining=combining)
    return ended


def _errors(
    network: Network, config: Config, state: TrainState, rows: Rows
) -> Float[Array, " tasks"]:
    return look(network, config, state.params, state.state, state.head_index, rows).errors

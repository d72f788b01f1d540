"""Conflict inside an epoch: counted batch by batch, until a streak reaches the threshold."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from jaxmtl.conflict import count_conflicts, node_conflict, update_streak, weight_conflict
from jaxmtl.duplication import (
    AnyIndex,
    HeadIndex,
    moving_readers,
    readers,
    slots_to_columns,
)
from jaxmtl.training.network import Bank
from jaxmtl.training.phased.state import Config

NEVER_CHOSEN = -(2**31)  # below minus any number of samples


class Firing(NamedTuple):
    """Gradients at the sample that fired, by which more than two readers are parted."""

    deltas: Float[Array, "tasks capacity"]
    inputs: Float[Array, " inputs"]
    known: Bool[Array, " tasks"]


class Tally(NamedTuple):
    """Conflict counted so far.

    Attributes:
        streak: after the last sample, or at the sample that fired.
        conflicts: samples in conflict at each column in this epoch.
        place: place in its batch of the sample that fired.
        fired: a streak reached the threshold.
        firing: None for two tasks, of which the first always gets the copy.
    """

    streak: Int[Array, "*weights capacity"]
    conflicts: Int[Array, " capacity"]
    place: Int[Array, ""]
    fired: Bool[Array, ""]
    firing: Firing | None


def first_tally(
    bank: Bank, params: PyTree, state: PyTree, streak: Int[Array, "*weights capacity"], x: Array
) -> Tally:
    """The tally at the start of an epoch, with the streaks of the one before."""
    firing = None
    if bank.num_tasks > 2:
        inputs = jax.eval_shape(bank.inputs, params, state, x[:1])
        firing = Firing(
            deltas=jnp.zeros((bank.num_tasks, bank.num_columns)),
            inputs=jnp.zeros(inputs.shape[1:]),
            known=jnp.ones(bank.num_tasks, bool),
        )
    return Tally(
        streak=streak,
        conflicts=jnp.zeros(bank.num_columns, jnp.int32),
        place=jnp.int32(0),
        fired=jnp.bool(False),
        firing=firing,
    )


def count_batch(
    bank: Bank,
    config: Config,
    tally: Tally,
    head_index: AnyIndex,
    threshold: Int[Array, ""],
    inputs: Any,
    slot_deltas: Float[Array, "batch tasks nodes"],
    known: Bool[Array, "batch tasks"] | None,
) -> Tally:
    """Counts the conflict of the samples of one batch, in their order.

    Args:
        bank: static.
        config: static.
        tally: before the batch.
        head_index: which column each task reads at each slot.
        threshold: of the streak.
        inputs: of the bank, (batch, inputs).
        slot_deltas: gradient of each task's loss at the pre-activation of each of its slots.
        known: which labels are known; None for all.

    Returns:
        The tally after the batch.
    """
    deltas = slots_to_columns(slot_deltas, head_index, bank.num_columns)
    reads = readers(head_index, bank.num_columns)
    if known is not None:
        reads = reads[None] & known[:, :, None]
    if bank.positive_bank_inputs:
        # An update that is not finite ends the run: there is nothing to look for here.
        evidence = node_conflict(deltas, reads, rule=config.rule, finite=True)
        found = evidence.conflict
    else:
        evidence = weight_conflict(inputs, deltas, reads, rule=config.rule, finite=True)
        found = evidence.conflict.any(axis=1)
    runs = update_streak(tally.streak, evidence, zeros=config.zeros)
    telling = runs
    if known is not None:  # a sample at which a streak only rests does not fire
        telling = jnp.where(evidence.comparable, runs, 0)
    hits = telling.max(axis=tuple(range(1, runs.ndim))) >= threshold
    fired = hits.any()
    place = jnp.int32(0)
    if runs.shape[0] > 1:
        place = jnp.where(fired, jnp.argmax(hits), runs.shape[0] - 1).astype(jnp.int32)
    firing = tally.firing
    if firing is not None:
        firing = Firing(
            deltas=deltas[place],
            inputs=inputs[place].astype(deltas.dtype),
            known=jnp.ones(bank.num_tasks, bool) if known is None else known[place],
        )
    return Tally(
        streak=runs[place],
        conflicts=tally.conflicts + count_conflicts(found),
        place=place,
        fired=fired,
        firing=firing,
    )


def order_columns(tally: Tally, order: Int[Array, " capacity"]) -> Tally:
    """The tally under another numbering of the columns."""
    firing = tally.firing
    if firing is not None:
        firing = firing._replace(deltas=firing.deltas[:, order])
    return tally._replace(
        streak=tally.streak[..., order], conflicts=tally.conflicts[order], firing=firing
    )


def choose_node(
    bank: Bank,
    config: Config,
    tally: Tally,
    head_index: HeadIndex,
    conflicts: Int[Array, " capacity"],
    key: Key[Array, ""],
) -> tuple[Int[Array, ""], Bool[Array, " tasks"], Int[Array, ""]]:
    """The column to duplicate, as ``Config.split`` says, who gets its copy, and the streak.

    The column of the largest streak is the first in row-major order; only columns with more than
    one reader can be chosen otherwise. With two tasks the first one gets the copy. More readers
    part by the sign of their gradient at the weight and sample that fired, see ``moving_readers``:
    a streak held over zeros allows that all are of one sign. A column is chosen only if two readers
    have a known label at that sample and a gradient that is not NaN.
    """
    reads = all_reads = readers(head_index, bank.num_columns)
    streak, known = tally.streak, reads
    if tally.firing is not None:
        known = tally.firing.known[:, None] & ~jnp.isnan(tally.firing.deltas)
        # A phase that is told to stop may do so where nobody is known.
        told = ((reads & known).sum(axis=0) > 1).any()
        reads = jnp.where(told, reads & known, reads)
        streak = jnp.where(reads.sum(axis=0) > 1, streak, -1)
    shared = reads.sum(axis=0) > 1
    if config.split == "streak":
        largest = jnp.argmax(streak.reshape(-1)).astype(jnp.int32)
        row, node = jnp.divmod(largest, bank.num_columns)
    else:
        if config.split == "random":
            preference = jax.random.uniform(key, shared.shape)
        else:
            preference = -conflicts
        node = jnp.argmax(jnp.where(shared, preference, NEVER_CHOSEN)).astype(jnp.int32)
        row = jnp.argmax(tally.streak.reshape(-1, bank.num_columns)[:, node])
    if tally.firing is None:
        return node, jnp.arange(bank.num_tasks) == 0, streak.max()
    gradients = tally.firing.deltas[:, node]
    if tally.streak.ndim == 2:
        gradients = gradients * jnp.sign(tally.firing.inputs[row])
    moving = moving_readers(gradients, all_reads[:, node], known[:, node])
    return node, moving, streak.max()

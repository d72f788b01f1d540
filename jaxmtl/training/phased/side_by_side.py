"""Many runs at once: their epochs side by side in one program, along a leading axis of members."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Int, PyTree

from jaxmtl.data.rows import Rows, Splits
from jaxmtl.training.driver.lanes import lanes
from jaxmtl.training.driver.placement import over_members
from jaxmtl.training.driver.program import RUNNING
from jaxmtl.training.network import Network
from jaxmtl.training.phased.epoch import Start, batch_at, begin, finish, make_batches
from jaxmtl.training.phased.phases import PhaseTable
from jaxmtl.training.phased.state import Config, EpochRecord, TrainState, pack
from jaxmtl.training.phased.step import Carry, Knobs, make_step

# Up to this many parameters an update is bound by the number of operations, not by their size.
MOST_PARAMETERS = 4096


def epochs(
    network: Network,
    config: Config,
    states: TrainState,
    data: Splits,
    phases: PhaseTable,
    *,
    stacked: bool,
) -> tuple[TrainState, EpochRecord]:
    """What ``jax.vmap(epoch)`` computes, several times as fast for small networks.

    One loop over the batches serves all members, with the members last (``lanes``); a member that
    has stopped keeps what it has until all have.

    Args:
        network: static.
        config: static.
        states: with a leading axis of members, traced.
        data: with a leading axis of members if ``stacked``, else the same rows for all; traced.
        phases: with a leading axis of members, traced.
        stacked: static.

    Returns:
        States and records with a leading axis of members.
    """
    rows = 0 if stacked else None
    _, unpack = pack(config.optimizer, jax.tree.map(lambda leaf: leaf[0], states.params))
    step = make_step(network, config, unpack)
    starts = jax.vmap(functools.partial(begin, network, config), in_axes=(0, rows, 0))(
        states, data.train, phases
    )
    own_batches = stacked or config.shuffle
    if own_batches:
        batches = jax.vmap(functools.partial(make_batches, config), in_axes=(0, rows))(
            states, data.train
        )
        batches = _to_back(batches)
    else:
        batches = make_batches(config, states, data.train)  # in order: no state is looked at
    of_batches = -1 if own_batches else None
    axes = (-1, -1, of_batches, of_batches)
    together = lanes(step, axes) if _is_small(config, states) else jax.vmap(step, axes, -1)
    carries = _loop(config, together, starts, batches)
    end = functools.partial(finish, network, config)
    return jax.vmap(end, in_axes=(0, rows, 0, 0, 0))(states, data, phases, starts, carries)


def _loop(config: Config, step: Any, starts: Start, batches: Rows) -> Carry:
    knobs: Knobs = _to_back(starts.knobs)
    running = starts.running
    num_updates = jax.tree.leaves(batches)[0].shape[0]

    def going(loop: tuple[Carry, Int[Array, ""]]) -> Array:
        carry, i = loop
        return (running & carry.going).any() & (i < num_updates)

    def body(loop: tuple[Carry, Int[Array, ""]]) -> tuple[Carry, Int[Array, ""]]:
        carry, i = loop
        new = step(carry, knobs, *batch_at(config, batches, i))
        active = running & carry.going
        # What a stopped member has in its optimizer is thrown away where phases start afresh.
        fresh = config.transplant == "fresh"
        old = carry._replace(opt_state=new.opt_state) if fresh else carry
        kept = jax.tree.map(
            lambda new, old: new if new is old else jnp.where(_like(active, new), new, old),
            new,
            old,
        )
        return kept, i + 1

    carry, _ = jax.lax.while_loop(going, body, (_to_back(starts.carry), jnp.int32(0)))
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0), carry)


def _like(mask: Array, leaf: Array) -> Array:
    return jnp.expand_dims(mask, range(leaf.ndim - 1))


def _to_back(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, -1), tree)


def _is_small(config: Config, states: TrainState) -> bool:
    size = sum(leaf.size for leaf in jax.tree.leaves(states.params)) // states.status.shape[0]
    return config.batch_size == 1 and size <= MOST_PARAMETERS


@functools.partial(jax.jit, static_argnames=("network", "config", "stacked", "length", "mesh"))
def advance_all(
    network: Network,
    config: Config,
    states: TrainState,
    data: Splits,
    phases: PhaseTable,
    limit: Int[Array, ""],
    *,
    stacked: bool,
    length: int,
    mesh: Mesh,
) -> tuple[TrainState, EpochRecord]:
    """Runs up to ``limit`` epochs (``length`` at most) of all members in one compiled call.

    Args:
        network: static.
        config: static.
        states: with a leading axis of members, a multiple of the devices, traced.
        data: see ``epochs``.
        phases: with a leading axis of members, traced.
        limit: epochs to run at most, traced.
        stacked: static.
        length: rows of the record, static.
        mesh: of ``member_mesh``, static.

    Returns:
        The states, and records with axes (members, length), of which those that ran are marked.
    """

    def here(
        states: TrainState, data: Splits, phases: PhaseTable, limit: Array
    ) -> tuple[TrainState, EpochRecord]:
        one = jax.jit(functools.partial(epochs, network, config, stacked=stacked), inline=True)
        blank = jax.tree.map(
            lambda leaf: jnp.zeros((leaf.shape[0], length, *leaf.shape[1:]), leaf.dtype),
            jax.eval_shape(one, states, data, phases)[1],
        )

        def going(loop: tuple[Any, ...]) -> Array:
            states, _, i = loop
            return (i < jnp.minimum(limit, length)) & (states.status == RUNNING).any()

        def body(loop: tuple[Any, ...]) -> tuple[Any, ...]:
            states, records, i = loop
            states, record = one(states, data, phases)
            records = jax.tree.map(lambda to, row: to.at[:, i].set(row), records, record)
            return states, records, i + 1

        states, records, _ = jax.lax.while_loop(going, body, (states, blank, jnp.int32(0)))
        return states, records

    return over_members(here, mesh, (True, stacked, True, False))(states, data, phases, limit)

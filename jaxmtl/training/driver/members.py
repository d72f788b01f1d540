"""The host's side of a sweep: chunks, progress, checkpoints, and what to do about divergence."""

import contextlib
import dataclasses
import functools
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from jaxtyping import Int, PyTree

from jaxmtl._typing import Device
from jaxmtl.data.rows import Splits
from jaxmtl.files.locked import locked
from jaxmtl.training.driver.identity import identity
from jaxmtl.training.driver.placement import (
    chunk_size,
    member_mesh,
    own_members,
    pad_members,
    size_of,
    spread,
)
from jaxmtl.training.driver.store import Store, StoreError
from jaxmtl.training.network import Network
from jaxmtl.training.phased.checks import cleared
from jaxmtl.training.phased.divergence import blame, repeat_carefully
from jaxmtl.training.phased.epoch import epoch
from jaxmtl.training.phased.phases import PhaseTable
from jaxmtl.training.phased.runs import Divergences, Runs, SweepProgress
from jaxmtl.training.phased.side_by_side import advance_all
from jaxmtl.training.phased.state import DIVERGED, RUNNING, Config, EpochRecord, TrainState

LENGTH = 32  # epochs of one compiled call at most
SECONDS_A_CALL = 0.5
SECONDS_BETWEEN_SAVES = 4.0
SHARE_OF_SAVING = 0.05  # of the time, at most

OnProgress = Callable[[SweepProgress], None]


class Ledger(NamedTuple):
    """All that a process knows of its members, on the host; what a checkpoint holds.

    Attributes:
        states: leaves (members, ...); keys as their data.
        records: leaves (members, epochs, ...).
        divergences: see ``Runs``.
        chunk: number of the chunk that is at work.
        rows: of the records that chunk has written.
    """

    states: TrainState
    records: EpochRecord
    divergences: Divergences
    chunk: Int[np.ndarray, ""]
    rows: Int[np.ndarray, ""]


def run_members(
    network: Network,
    config: Config,
    states: TrainState,
    data: Splits,
    table: PhaseTable,
    *,
    stacked: bool,
    devices: Sequence[Device] | None,
    chunk: int | None,
    checkpoint: str | os.PathLike[str] | None,
    resume: bool,
    on_progress: OnProgress | None,
) -> Runs:
    """Runs the members of a sweep to their ends.

    Args:
        network: static.
        config: static.
        states: of all members before the first epoch.
        data: see ``sweep``.
        table: leaves (members, phases).
        stacked: see ``sweep``.
        devices: see ``sweep``.
        chunk: see ``sweep``.
        checkpoint: see ``sweep``.
        resume: see ``sweep``.
        on_progress: see ``sweep``.

    Returns:
        The runs.

    Raises:
        StoreError: see ``sweep``.
    """
    mesh = member_mesh(devices)
    number = len(states.status)
    epochs = int(np.asarray(table.epochs).sum(axis=1).max())
    own = own_members(number)
    mine = slice(own.start, max(own.stop, own.start + 1) if own.start < number else number)
    if not own:  # more processes than members: the last one is run twice, and dropped
        mine = slice(number - 1, number)
    states, table = jax.tree.map(lambda leaf: leaf[mine], (states, table))
    if stacked:
        data = jax.tree.map(lambda leaf: leaf[mine], data)
    ledger = _open_ledger(network, config, states, data, table, stacked, epochs)
    each = 16 * size_of(states) // len(states.status) + (4 * size_of(data) if stacked else 0)
    size = chunk or chunk_size(len(states.status), each, mesh.size)
    saver = contextlib.nullcontext()
    if checkpoint is not None:
        folder = Path(checkpoint)
        if jax.process_count() > 1:
            folder = folder / f"process_{jax.process_index()}"
        what = identity(network, config, states, data, table, size, mesh)
        saver = _saving(folder, what, resume=resume)
    with saver as store:
        ledger = _work(
            network, config, data, table, ledger, stacked, mesh, size, store, number, on_progress
        )
    runs = Runs(
        params=ledger.states.params,
        head_index=ledger.states.head_index,
        records=_trimmed(ledger.records),
        events=None if ledger.states.watch is None else ledger.states.watch.events,
        divergences=ledger.divergences,
        best=ledger.states.best,
        state=ledger.states.state,
    )
    if jax.process_count() > 1:
        runs = runs if not own else jax.tree.map(lambda leaf: leaf[: len(own)], runs)
        runs = dataclasses.replace(runs, records=ledger.records)
        runs = _gathered(runs, number)
        runs = dataclasses.replace(runs, records=_trimmed(runs.records))
    return runs


@contextlib.contextmanager
def _saving(folder: Path, what: dict[str, Any], *, resume: bool) -> Any:
    with locked(folder, error=StoreError):
        yield Store(folder, what, resume=resume)


def _open_ledger(
    network: Network,
    config: Config,
    states: TrainState,
    data: Splits,
    table: PhaseTable,
    stacked: bool,
    epochs: int,
) -> Ledger:
    """The ledger before the first epoch, with room for the ``epochs`` of the longest schedule."""
    members = len(states.status)
    one = jax.tree.map(lambda leaf: leaf[0], (states, data if stacked else None, table))
    state, rows, phases = one
    row = _record.eval_shape(network, config, state, data if rows is None else rows, phases)
    records = jax.tree.map(lambda leaf: np.zeros((members, epochs, *leaf.shape), leaf.dtype), row)
    nowhere = [np.full(members, -1, np.int32) for _ in Divergences._fields]
    zero = np.zeros((), np.int32)
    return Ledger(_host(states), records, Divergences(*nowhere), zero, zero)


@functools.partial(jax.jit, static_argnames=("network", "config"))
def _record(
    network: Network, config: Config, state: TrainState, data: Splits, phases: PhaseTable
) -> EpochRecord:
    """Of one epoch; for its shapes, which are found once for sweeps that are alike."""
    return epoch(network, config, state, cleared(data), phases)[1]


def _work(
    network: Network,
    config: Config,
    data: Splits,
    table: PhaseTable,
    ledger: Ledger,
    stacked: bool,
    mesh: Mesh,
    size: int,
    store: Store | None,
    number: int,
    on_progress: OnProgress | None,
) -> Ledger:
    if store is not None and (found := store.load(ledger)) is not None:
        ledger = jax.tree.map(np.array, Ledger(*found[1]))
    members = len(ledger.states.status)
    clock = Clock(store, table, members, on_progress)
    shared = None if stacked else spread(cleared(data), mesh, replicated=True)
    for chunk in range(int(ledger.chunk), -(-members // size)):
        own = slice(chunk * size, min(members, (chunk + 1) * size))
        if not int(ledger.rows):
            ledger = ledger._replace(chunk=np.asarray(chunk, np.int32))
        # All chunks of one size: one compilation serves the last one, too.
        padded = -(-min(size, members) // mesh.size) * mesh.size
        states, phases = (
            spread(pad_members(_cut(tree, own), padded), mesh)
            for tree in (_device(ledger.states), table)
        )
        rows = shared
        if rows is None:
            rows = spread(jax.vmap(cleared)(pad_members(_cut(data, own), padded)), mesh)
        limit = 1
        while True:
            began = time.perf_counter()
            if not (np.asarray(ledger.states.status[own]) == RUNNING).any():
                break
            states, records = advance_all(
                *(network, config, states, rows, phases, jnp.int32(limit)),
                stacked=stacked,
                length=LENGTH,
                mesh=mesh,
            )
            ledger = _entered(ledger, states, records, own)
            spent = time.perf_counter() - began
            clock.tick(ledger)
            # The first call compiles; later ones are made as long as a progress bar can bear.
            if limit > 1 or spent < SECONDS_A_CALL:
                limit = int(np.clip(2 * limit * SECONDS_A_CALL / max(spent, 1e-6), 1, 2 * limit))
                limit = min(limit, LENGTH)
            else:
                limit = 2
        ledger = _blamed(network, config, data, table, ledger, stacked, own)
        ledger = ledger._replace(chunk=np.asarray(chunk + 1, np.int32), rows=np.zeros((), np.int32))
        clock.tick(ledger, at_once=own.stop == members)
    return ledger


def _cut(tree: PyTree, own: slice) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[own], tree)


def _entered(ledger: Ledger, states: TrainState, records: EpochRecord, own: slice) -> Ledger:
    """Writes what a call brought into the ledger."""
    width, at = own.stop - own.start, int(ledger.rows)
    records = jax.tree.map(lambda leaf: np.asarray(leaf)[:width], records)
    used = int(records.ran.sum(axis=1).max())

    def enter(to: np.ndarray, leaf: np.ndarray) -> None:
        to[own, at : at + used] = leaf[:, :used]

    jax.tree.map(enter, ledger.records, records)
    now = jax.tree.map(lambda leaf: leaf[:width], _host(states))

    def keep(to: np.ndarray, leaf: np.ndarray) -> None:
        to[own] = leaf

    jax.tree.map(keep, ledger.states, now)
    return ledger._replace(rows=np.asarray(at + used, np.int32))


def _blamed(
    network: Network,
    config: Config,
    data: Splits,
    table: PhaseTable,
    ledger: Ledger,
    stacked: bool,
    own: slice,
) -> Ledger:
    """Repeats the last epoch of members that diverged, to keep what was finite and say where."""
    places = np.arange(own.start, own.stop)
    for i in places[ledger.states.status[own] == DIVERGED]:
        state, phases = jax.tree.map(lambda leaf, i=i: leaf[i], (_device(ledger.states), table))
        rows = jax.tree.map(lambda leaf, i=i: leaf[i], data) if stacked else data
        rows = cleared(rows)
        state, record = repeat_carefully(network, config, state, rows, phases)
        place = blame(network, config, state, rows, record)
        last = int(ledger.records.ran[i].sum()) - 1
        for to, leaf in zip(jax.tree.leaves(ledger.records), jax.tree.leaves(record), strict=True):
            to[i, last] = np.asarray(leaf)
        for to, leaf in zip(
            jax.tree.leaves(ledger.states), jax.tree.leaves(_host(state)), strict=True
        ):
            to[i] = leaf
        for to, value in zip(ledger.divergences, place, strict=True):
            to[i] = value
    return ledger


class Clock:
    """Says how far a sweep is, and saves it now and then."""

    def __init__(
        self,
        store: Store | None,
        table: PhaseTable,
        members: int,
        on_progress: OnProgress | None,
    ) -> None:
        """Starts."""
        self._store = store
        self._epochs = np.asarray(table.epochs)
        self._members = members
        self._on_progress = on_progress
        self._saved = time.perf_counter()
        self._first: tuple[float, int] | None = None
        self._cost = 0.0

    def tick(self, ledger: Ledger, *, at_once: bool = False) -> None:
        """Reports, and saves if it is time to, or ``at_once``."""
        now = time.perf_counter()
        due = max(SECONDS_BETWEEN_SAVES, self._cost / SHARE_OF_SAVING)
        if self._store is not None and (at_once or now - self._saved >= due):
            step = int(ledger.chunk) * 10**6 + int(ledger.rows)
            self._store.save(step, ledger)
            self._saved = time.perf_counter()
            self._cost = self._saved - now
        if self._on_progress is not None:
            self._on_progress(self._progress(ledger, now))

    def _progress(self, ledger: Ledger, now: float) -> SweepProgress:
        done, total = self._done(ledger), int(self._epochs.sum())
        # Until the first report most of the time went into compiling.
        began, before = self._first = self._first or (now, done)
        left = float("nan") if done == before else (total - done) * (now - began) / (done - before)
        finished = int((ledger.states.status != RUNNING).sum())
        return SweepProgress(self._members, finished, done, total, left)

    def _done(self, ledger: Ledger) -> int:
        before = np.cumsum(self._epochs, axis=1) - self._epochs
        places = np.arange(self._members)
        done = before[places, ledger.states.phase] + ledger.states.epoch
        through = ledger.states.status != RUNNING
        return int(np.where(through, self._epochs.sum(axis=1), done).sum())


def _gathered(runs: Runs, number: int) -> Runs:
    """The members of all processes, on each of them."""
    share = -(-number // jax.process_count())
    padded = pad_members(runs, share)
    every = multihost_utils.process_allgather(padded, tiled=True)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:number], every)


def _trimmed(records: EpochRecord) -> EpochRecord:
    """Without the rows that no member reached."""
    longest = int(records.ran.sum(axis=1).max())
    return jax.tree.map(lambda leaf: leaf[:, :longest], records)


def _host(states: TrainState) -> TrainState:
    """States as NumPy arrays that may be written, keys as their data."""
    bare = dataclasses.replace(states, key=jax.random.key_data(states.key))
    return jax.tree.map(np.array, bare)


def _device(states: TrainState) -> TrainState:
    return dataclasses.replace(states, key=jax.random.wrap_key_data(jnp.asarray(states.key)))

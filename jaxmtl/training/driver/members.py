"""The host's side of a sweep: chunks, progress, checkpoints, and what to do about divergence."""

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from jaxtyping import Int, PyTree

from jaxmtl.files.locked import locked
from jaxmtl.training.driver.clock import OnProgress, Pace, Reporting, Saving
from jaxmtl.training.driver.identity import identity
from jaxmtl.training.driver.placement import (
    chunk_size,
    own_members,
    pad_members,
    size_of,
    spread,
)
from jaxmtl.training.driver.program import DIVERGED, RUNNING, Driven, Program
from jaxmtl.training.driver.store import Store, StoreError

LENGTH = 32  # epochs of one compiled call at most
SECONDS_A_CALL = 0.5
SECONDS_BETWEEN_SAVES = 4.0
SHARE_OF_SAVING = 0.05  # of the time, at most


class Ledger(NamedTuple):
    """All that a process knows of its members, on the host; what a checkpoint holds.

    Attributes:
        states: leaves (members, ...); keys as their data.
        records: leaves (members, epochs, ...).
        places: where members diverged.
        chunk: number of the chunk that is at work.
        rows: of the records that chunk has written.
    """

    states: Any
    records: Any
    places: Any
    chunk: Int[np.ndarray, ""]
    rows: Int[np.ndarray, ""]


class Crew(NamedTuple):
    """The members of this process, and what they share.

    Attributes:
        data: with a leading axis of members if ``stacked``.
        hparams: with a leading axis of members.
        stacked: whether every member has rows of its own.
        keys: for every leaf of a state the kind of its keys, or "" if it holds none.
    """

    data: PyTree
    hparams: PyTree
    stacked: bool
    keys: Any

    def of(self, member: int) -> tuple[PyTree, PyTree]:
        """Data and hyperparameters of one member."""
        hparams = jax.tree.map(lambda leaf: leaf[member], self.hparams)
        if not self.stacked:
            return self.data, hparams
        return jax.tree.map(lambda leaf: leaf[member], self.data), hparams


def run_members(
    program: Program,
    states: Any,
    data: PyTree,
    hparams: PyTree,
    *,
    stacked: bool,
    mesh: Mesh,
    chunk: int | None,
    checkpoint: str | os.PathLike[str] | None,
    described: Callable[[], Mapping[str, Any]],
    resume: bool,
    on_progress: OnProgress | None,
) -> Driven:
    """Runs all members to their ends.

    Args:
        program: what an epoch is.
        states: of all members before the first epoch.
        data: with a leading axis of members if ``stacked``.
        hparams: with a leading axis of members.
        stacked: whether every member has rows of its own.
        mesh: of ``member_mesh``.
        chunk: members to run at once; None: as many as fit the memory.
        checkpoint: folder; None for none.
        described: what a checkpoint is of, beside its numbers: JSON values by name.
        resume: go on from the checkpoint there.
        on_progress: called between calls of the program.

    Returns:
        What is left of them.

    Raises:
        StoreError: a checkpoint of other members, or one that another process is writing.
    """
    number = len(states.status)
    epochs = int(program.totals(hparams).max())
    own = own_members(number)
    mine = slice(own.start, max(own.stop, own.start + 1) if own.start < number else number)
    if not own:  # more processes than members: the last one is run twice, and dropped
        mine = slice(number - 1, number)
    states, hparams = jax.tree.map(lambda leaf: leaf[mine], (states, hparams))
    if stacked:
        data = jax.tree.map(lambda leaf: leaf[mine], data)
    crew = Crew(data, hparams, stacked, jax.tree.map(_kind_of_key, states))
    ledger = _open_ledger(program, crew, states, epochs)
    each = 16 * size_of(states) // len(states.status) + (4 * size_of(data) if stacked else 0)
    size = chunk or chunk_size(len(states.status), each, mesh.size)
    saver = contextlib.nullcontext()
    if checkpoint is not None:
        folder = Path(checkpoint)
        if jax.process_count() > 1:
            folder = folder / f"process_{jax.process_index()}"
        what = identity(described(), states, data, size, mesh)
        saver = _saving(folder, what, resume=resume)
    with saver as store:
        ledger = _work(program, crew, ledger, mesh, size, store, on_progress)
    driven = Driven(program.keep(ledger.states), ledger.records, ledger.places)
    if jax.process_count() > 1:
        driven = driven if not own else jax.tree.map(lambda leaf: leaf[: len(own)], driven)
        driven = _gathered(driven, number)
    return driven._replace(records=_trimmed(driven.records))


@contextlib.contextmanager
def _saving(folder: Path, what: dict[str, Any], *, resume: bool) -> Any:
    with locked(folder, error=StoreError):
        yield Store(folder, what, resume=resume)


def _open_ledger(program: Program, crew: Crew, states: Any, epochs: int) -> Ledger:
    """The ledger before the first epoch, with room for the ``epochs`` of the longest member."""
    members = len(states.status)
    # Shapes alone: to cut a leaf is a small program of its own, and states have many.
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), states)
    row = program.record_shape(one, *crew.of(0))
    records = jax.tree.map(lambda leaf: np.zeros((members, epochs, *leaf.shape), leaf.dtype), row)
    places = jax.tree.map(lambda place: np.full(members, place, np.int32), program.nowhere)
    zero = np.zeros((), np.int32)
    return Ledger(_host(states), records, places, zero, zero)


def _work(
    program: Program,
    crew: Crew,
    ledger: Ledger,
    mesh: Mesh,
    size: int,
    store: Store | None,
    on_progress: OnProgress | None,
) -> Ledger:
    if store is not None and (found := store.load(ledger)) is not None:
        ledger = jax.tree.map(np.array, Ledger(*found[1]))
    members = len(ledger.states.status)
    saving = Saving(store, least=SECONDS_BETWEEN_SAVES, share=SHARE_OF_SAVING)
    reporting = Reporting(on_progress, program.totals(crew.hparams))

    def tick(ledger: Ledger, *, at_once: bool = False) -> None:
        step = int(ledger.chunk) * 10**6 + int(ledger.rows)
        saving.tick(step, ledger, at_once=at_once)
        reporting.tick(program.done(ledger.states, crew.hparams), ledger.states.status)

    shared = None if crew.stacked else spread(program.ready(crew.data), mesh, replicated=True)
    for chunk in range(int(ledger.chunk), -(-members // size)):
        own = slice(chunk * size, min(members, (chunk + 1) * size))
        if not int(ledger.rows):
            ledger = ledger._replace(chunk=np.asarray(chunk, np.int32))
        # All chunks of one size: one compilation serves the last one, too.
        padded = -(-min(size, members) // mesh.size) * mesh.size
        states, hparams = (
            spread(pad_members(_cut(tree, own), padded), mesh)
            for tree in (_device(ledger.states, crew.keys), crew.hparams)
        )
        rows = shared
        if rows is None:
            rows = jax.vmap(program.ready)(pad_members(_cut(crew.data, own), padded))
            rows = spread(rows, mesh)
        pace = Pace(program.length, seconds=SECONDS_A_CALL)
        while (np.asarray(ledger.states.status[own]) == RUNNING).any():
            began = time.perf_counter()
            states, records = program.advance(states, rows, hparams, jnp.int32(pace.limit))
            ledger = _entered(ledger, states, records, own)
            spent = time.perf_counter() - began
            tick(ledger)
            pace.next(spent)
        ledger = _blamed(program, crew, ledger, own)
        ledger = ledger._replace(chunk=np.asarray(chunk + 1, np.int32), rows=np.zeros((), np.int32))
        tick(ledger, at_once=own.stop == members)
    return ledger


def _cut(tree: PyTree, own: slice) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[own], tree)


def _entered(ledger: Ledger, states: Any, records: Any, own: slice) -> Ledger:
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


def _blamed(program: Program, crew: Crew, ledger: Ledger, own: slice) -> Ledger:
    """Repeats the last epoch of members that diverged, to keep what was finite and say where."""
    members = np.arange(own.start, own.stop)
    for i in members[ledger.states.status[own] == DIVERGED]:
        state = jax.tree.map(lambda leaf, i=i: leaf[i], _device(ledger.states, crew.keys))
        data, hparams = crew.of(i)
        state, record, place = program.repeat(state, program.ready(data), hparams)
        last = int(ledger.records.ran[i].sum()) - 1
        for to, leaf in zip(jax.tree.leaves(ledger.records), jax.tree.leaves(record), strict=True):
            to[i, last] = np.asarray(leaf)
        found = ((ledger.states, _host(state)), (ledger.places, place))
        for tree, new in found:
            for to, leaf in zip(jax.tree.leaves(tree), jax.tree.leaves(new), strict=True):
                to[i] = leaf
    return ledger


def _gathered(driven: Driven, number: int) -> Driven:
    """The members of all processes, on each of them."""
    share = -(-number // jax.process_count())
    padded = pad_members(driven, share)
    every = multihost_utils.process_allgather(padded, tiled=True)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:number], every)


def _trimmed(records: Any) -> Any:
    """Without the rows that no member reached."""
    longest = int(records.ran.sum(axis=1).max())
    return jax.tree.map(lambda leaf: leaf[:, :longest], records)


def _kind_of_key(leaf: Any) -> Any:
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_impl(leaf) if is_key else ""


def _host(states: Any) -> Any:
    """States as NumPy arrays that may be written, keys as their data."""

    def bare(leaf: Any) -> np.ndarray:
        return np.array(jax.random.key_data(leaf) if _kind_of_key(leaf) else leaf)

    return jax.tree.map(bare, states)


def _device(states: Any, keys: Any) -> Any:
    def dressed(leaf: Any, kind: Any) -> Any:
        return jax.random.wrap_key_data(jnp.asarray(leaf), impl=kind) if kind else leaf

    return jax.tree.map(dressed, states, keys)

"""Networks on folds of a table, all of them in one program."""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from jaxmtl._typing import Device
from jaxmtl.losses import Loss
from jaxmtl.training.driver.describe import describe, describe_model
from jaxmtl.training.driver.members import run_members
from jaxmtl.training.driver.placement import member_mesh
from jaxmtl.training.driver.program import Program, SweepProgress
from jaxmtl.training.driver.store import digest
from jaxmtl.training.network import Network
from jaxmtl.training.tabular.epoch import (
    Member,
    Options,
    Record,
    State,
    TableRows,
    advance_all,
    begin,
)
from jaxmtl.training.tabular.schedule import batch_for, epochs_for, marks_of

LENGTH = 8  # epochs of one compiled call at most
FEWEST = 15  # epochs, with which there are all four moments to keep parameters
ROWS_OF_START = 1024  # by which initial values are set


class Scaling(NamedTuple):
    """How the targets of a fold are scaled before they are learned; a row a fold.

    Attributes:
        offset: taken off.
        scale: divided by.

    Example:
        >>> Scaling(np.zeros((1, 2)), np.ones((1, 2))).scale.shape
        (1, 2)
    """

    offset: Float[np.ndarray, "folds tasks"]
    scale: Float[np.ndarray, "folds tasks"]


class Trained(NamedTuple):
    """What is left of the networks of all folds.

    Attributes:
        params: with leading axes of folds and marks.
        marks: epochs at whose ends they were kept.
        losses: mean of every task in every epoch.
        epochs: that ran, a fold each; fewer than the last mark where training diverged.
    """

    params: PyTree
    marks: tuple[int, ...]
    losses: Float[np.ndarray, "folds epochs tasks"]
    epochs: Int[np.ndarray, " folds"]


def train_table(
    network: Network,
    data: TableRows,
    folds: Sequence[Int[np.ndarray, " rows"]],
    keys: Key[Array, " folds"],
    *,
    loss: Loss,
    scaling: Scaling,
    rate: float = 0.02,
    decay: float = 0.02,
    epochs: int | None = None,
    seconds: float | None = None,
    start: Callable[[PyTree], PyTree] | None = None,
    devices: Sequence[Device] | None = None,
    chunk: int | None = None,
    checkpoint: Any = None,
    resume: bool = False,
    on_progress: Callable[[SweepProgress], None] | None = None,
) -> Trained:
    """Trains a network for each fold, side by side.

    Adam with decoupled decay; the rate falls to 0 four times, in periods that double, and the
    parameters of these moments are kept. Rows are drawn in a new order every epoch; what is left of
    them after the last whole batch waits for the next. Folds of unequal size get equally many
    updates an epoch, as many as the smallest has batches.

    Args:
        network: static.
        data: all rows, NumPy or JAX arrays.
        folds: numbers of the rows that each network learns from.
        keys: one a fold.
        loss: from outputs and scaled targets to (batch, tasks).
        scaling: of the targets, by fold.
        rate: largest learning rate.
        decay: of weights.
        epochs: passes over the rows; None: as many as they are worth.
        seconds: about how long it may take; epochs become fewer, but not less than 15.
        start: from initial values, with a leading axis of folds, to those that are trained.
        devices: see ``jaxmtl.sweep``.
        chunk: see ``jaxmtl.sweep``.
        checkpoint: see ``jaxmtl.sweep``.
        resume: see ``jaxmtl.sweep``.
        on_progress: see ``jaxmtl.sweep``.

    Returns:
        The parameters that were kept.

    Raises:
        ValueError: both ``seconds`` and ``checkpoint``.
    """
    if seconds is not None and checkpoint is not None:
        raise ValueError(
            "seconds: expected no checkpoint beside it, since what is resumed may not hang on the "
            "time; name the epochs"
        )
    began = time.perf_counter()
    counts = np.array([len(fold) for fold in folds])
    least = int(counts.min())
    size = batch_for(least)
    passes = epochs_for(least) if epochs is None else epochs
    options = Options(
        loss=loss, batch_size=size, updates=max(least // size, 1), rate=rate, decay=decay
    )
    rows = np.stack([np.pad(fold, (0, counts.max() - len(fold)), "edge") for fold in folds])

    def members_for(passes: int, marks: Sequence[int]) -> Member:
        return Member(
            rows=rows.astype(np.int32),
            number=counts.astype(np.int32),
            offset=scaling.offset.astype(np.float32),
            scale=scaling.scale.astype(np.float32),
            epochs=np.full(len(folds), passes, np.int32),
            marks=np.tile(np.array(marks, np.int32), (len(folds), 1)),
        )

    data = TableRows(*(jnp.asarray(leaf) for leaf in data))
    params, keys = _start(network, keys, data, rows, counts)
    params = params if start is None else start(params)
    number = len(marks_of(passes))
    states = _begin_all(params, keys, number)
    mesh = member_mesh(devices)

    def advance(states: State, data: TableRows, members: Member, limit: Any) -> Any:
        return advance_all(network, options, states, data, members, limit, length=LENGTH, mesh=mesh)

    program = Program(
        advance=advance,
        length=LENGTH,
        record_shape=lambda state, data, member: Record(
            jax.ShapeDtypeStruct((), bool), jax.ShapeDtypeStruct((data.y.shape[1],), jnp.float32)
        ),
        ready=lambda data: data,
        totals=lambda members: np.asarray(members.epochs),
        done=lambda states, members: np.asarray(states.epoch),
        repeat=lambda state, data, member: (state, _nothing(data), (np.int32(state.epoch),)),
        nowhere=(-1,),
        keep=lambda states: (states.kept, states.epoch),
    )

    def drive(states: State, members: Member, **options: Any) -> Any:
        return run_members(
            program, states, data, members, stacked=False, mesh=mesh, chunk=chunk, **options
        )

    if seconds is not None and passes > FEWEST:
        # The first epoch compiles, and the second shows the pace.
        only = members_for(1, (1,) * number)
        nowhere: dict[str, Any] = {"checkpoint": None, "described": dict, "on_progress": None}
        since = began
        for _ in range(2):
            since = time.perf_counter()
            again = dataclasses.replace(states, key=jax.random.clone(states.key))
            drive(again, only, resume=False, **nowhere)
        now = time.perf_counter()
        passes = min(passes, max(int((seconds - (now - began)) / (now - since)), FEWEST))
    marks = marks_of(passes)
    members = members_for(passes, marks)
    driven = drive(
        states,
        members,
        checkpoint=checkpoint,
        described=lambda: {
            **describe_model(network.source),
            **describe({"options": options}),
            "rows": digest(members),
        },
        resume=resume,
        on_progress=on_progress,
    )
    kept, done = driven.kept
    return Trained(kept, marks, np.asarray(driven.records.train), np.asarray(done))


def _start(
    network: Network, keys: Any, data: TableRows, rows: np.ndarray, counts: np.ndarray
) -> tuple[PyTree, Any]:
    """Initial values by some rows of each fold, and keys of the training."""
    some = np.stack(
        [
            np.resize(np.random.default_rng(0).permutation(fold[:count]), ROWS_OF_START)
            for fold, count in zip(rows, counts, strict=True)
        ]
    )
    both = jax.vmap(jax.random.split)(keys)
    return _initialize(jax.default_backend())(network, both[:, 0], data.x[some]), both[:, 1]


@functools.partial(jax.jit, static_argnames="marks")
def _begin_all(params: PyTree, keys: Any, marks: int) -> State:
    return jax.vmap(lambda own, key: begin(own, key, marks))(params, keys)


@functools.cache
def _initialize(backend: str) -> Callable[..., PyTree]:
    """A program that runs once: on a CPU it is compiled quickly, in a quarter of the time."""
    options = {"xla_backend_optimization_level": 0} if backend == "cpu" else None

    @functools.partial(jax.jit, static_argnames="network", compiler_options=options)
    def initialize(network: Network, keys: Key[Array, " folds"], x: Array) -> PyTree:
        return jax.vmap(lambda key, own: network.init(key, own)[0])(keys, x)

    return initialize


def _nothing(data: TableRows) -> Record:
    return Record(np.zeros((), bool), np.full(data.y.shape[1], np.nan, np.float32))

"""The phased epoch of many members as the driver drives it."""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Int

from jaxmtl.data.rows import Splits
from jaxmtl.training.driver.describe import describe, describe_model
from jaxmtl.training.driver.program import Driven, Program
from jaxmtl.training.driver.store import digest
from jaxmtl.training.network import Network
from jaxmtl.training.phased.checks import cleared
from jaxmtl.training.phased.divergence import blame, repeat_carefully
from jaxmtl.training.phased.epoch import epoch
from jaxmtl.training.phased.phases import PhaseTable
from jaxmtl.training.phased.run import Divergence, without_labels
from jaxmtl.training.phased.runs import Divergences, Runs
from jaxmtl.training.phased.side_by_side import advance_all
from jaxmtl.training.phased.state import Config, EpochRecord, TrainState


def member_program(
    network: Network, config: Config, *, stacked: bool, length: int, mesh: Mesh
) -> Program:
    """What the driver needs to know.

    Args:
        network: static.
        config: static.
        stacked: whether the rows differ from member to member.
        length: epochs of one compiled call at most.
        mesh: of ``member_mesh``.

    Returns:
        The program; its hyperparameters are a ``PhaseTable``.
    """

    def advance(states: TrainState, data: Splits, phases: PhaseTable, limit: Any) -> Any:
        options = {"stacked": stacked, "length": length, "mesh": mesh}
        return advance_all(network, config, states, data, phases, limit, **options)

    def repeat(state: TrainState, data: Splits, phases: PhaseTable) -> Any:
        state, record = repeat_carefully(network, config, state, data, phases)
        return state, record, blame(network, config, state, data, record)

    return Program(
        advance=advance,
        length=length,
        record_shape=functools.partial(_record.eval_shape, network, config),
        ready=cleared,
        totals=_totals,
        done=_done,
        repeat=repeat,
        nowhere=Divergence(-1, -1, -1, -1),
        keep=lambda states: dataclasses.replace(states, opt_state=None, key=None),
    )


def runs_of(driven: Driven, data: Splits) -> Runs:
    """What the driver left as the runs of a sweep."""
    states: TrainState = driven.kept
    records, best = without_labels(driven.records, states.best, data)
    return Runs(
        params=states.params,
        head_index=states.head_index,
        records=records,
        events=None if states.watch is None else states.watch.events,
        divergences=Divergences(*driven.places),
        best=best,
        state=states.state,
        aggregator_state=states.combining,
    )


def described(network: Network, config: Config, table: PhaseTable) -> dict[str, Any]:
    """What a checkpoint is of, beside rows and start."""
    options = {
        f"option {field.name}": getattr(config, field.name) for field in dataclasses.fields(config)
    }
    return {**describe_model(network.source), **describe(options), "phases": digest(table)}


@functools.partial(jax.jit, static_argnames=("network", "config"))
def _record(
    network: Network, config: Config, state: TrainState, data: Splits, phases: PhaseTable
) -> EpochRecord:
    """Of one epoch; for its shapes, which are found once for sweeps that are alike."""
    return epoch(network, config, state, cleared(data), phases)[1]


def _totals(table: PhaseTable) -> Int[np.ndarray, " members"]:
    return np.asarray(table.epochs).sum(axis=1)


def _done(states: TrainState, table: PhaseTable) -> Int[np.ndarray, " members"]:
    epochs = np.asarray(table.epochs)
    before = np.cumsum(epochs, axis=1) - epochs
    return before[np.arange(len(epochs)), states.phase] + states.epoch

"""What a run leaves behind: parameters, head index, history, events."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from jaxmtl._pytree import register_dataclass
from jaxmtl.data.rows import Splits
from jaxmtl.duplication import HeadIndex
from jaxmtl.training.phased.best import Best
from jaxmtl.training.phased.combining import Combination, told
from jaxmtl.training.phased.state import EpochRecord, EventLog


class Event(NamedTuple):
    """One duplication.

    Attributes:
        phase: from 1.
        epoch: of the phase, from 1.
        sample: place of the sample that fired in the order of that epoch, from 0.
        node: column that was duplicated.
        copy: column of its copy.
        streak: length of the streak that fired.
        tasks: numbers of the tasks that moved to the copy, from 0.
    """

    phase: int
    epoch: int
    sample: int
    node: int
    copy: int
    streak: int
    tasks: tuple[int, ...]


class Divergence(NamedTuple):
    """Where a run stopped because a loss or a parameter was no longer finite.

    Attributes:
        phase: from 1.
        epoch: of the phase, from 1.
        sample: place of the first sample of the failing update in that epoch, from 0.
        task: whose loss or gradient was not finite, from 0; -1 if the update itself was not, with
            all losses and gradients finite.
    """

    phase: int
    epoch: int
    sample: int
    task: int

    def __str__(self) -> str:
        """One sentence."""
        who = "the update" if self.task < 0 else f"the loss or gradient of task {self.task}"
        return (
            f"diverged in phase {self.phase}, epoch {self.epoch}, at sample {self.sample}: "
            f"{who} was not finite; the parameters are those before that update"
        )


class Progress(NamedTuple):
    """Where a run stands, for a progress bar.

    Attributes:
        phase: from 1.
        num_phases: in all.
        epoch: of the phase, from 1.
        num_epochs: of the phase, at most.
        done: epochs so far, those skipped by a phase that stopped early included.
        total: epochs of all phases.
        train: mean error of each task on the training rows.
    """

    phase: int
    num_phases: int
    epoch: int
    num_epochs: int
    done: int
    total: int
    train: np.ndarray


@register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class History:
    """One row an epoch that ran; a phase stopped in mid-epoch has a row for that epoch too.

    Attributes:
        phase: from 1.
        epoch: within the phase, from 1.
        samples: training rows used, fewer than all in an epoch that was stopped.
        train: mean error of each task over all training rows, with the parameters at the end of the
            epoch (after the last update, before any duplication, which changes no prediction).
        validation: the same over the validation rows; None if there are none.
        test: the same over the test rows; None if there are none.
        conflicts: samples of the epoch in conflict at each column; None if nothing was counted.
        combination: what combined the gradients of the tasks did in each epoch; None where they
            were summed.
    """

    phase: Int[np.ndarray, " epochs"]
    epoch: Int[np.ndarray, " epochs"]
    samples: Int[np.ndarray, " epochs"]
    train: Float[np.ndarray, "epochs tasks"]
    validation: Float[np.ndarray, "epochs tasks"] | None
    test: Float[np.ndarray, "epochs tasks"] | None
    conflicts: Int[np.ndarray, "epochs capacity"] | None
    combination: Combination | None = None

    def __len__(self) -> int:
        """Number of epochs that ran."""
        return len(self.phase)


@register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Events:
    """The duplications of a run, in order; iterates as ``Event``.

    Attributes:
        log: one row a phase, -1 where the phase had none; None for a run that counted nothing.
    """

    log: EventLog | None

    def __iter__(self) -> Iterator[Event]:
        """The events that happened."""
        if self.log is None:
            return
        for i in np.flatnonzero(np.asarray(self.log.node) >= 0):
            yield Event(
                phase=int(i) + 1,
                epoch=int(self.log.epoch[i]),
                sample=int(self.log.sample[i]),
                node=int(self.log.node[i]),
                copy=int(self.log.copy[i]),
                streak=int(self.log.streak[i]),
                tasks=tuple(int(t) for t in np.flatnonzero(np.asarray(self.log.tasks[i]))),
            )

    def __len__(self) -> int:
        """Number of duplications."""
        return 0 if self.log is None else int((np.asarray(self.log.node) >= 0).sum())

    def __getitem__(self, place: int) -> Event:
        """One event by its place in the order."""
        return tuple(self)[place]


@register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A finished (or diverged) run.

    Attributes:
        params: of the last epoch; ``model.apply({"params": params}, x, head_index)`` predicts for
            a network of ``jaxmtl.models``.
        head_index: None for networks without a bank.
        history: one row an epoch.
        events: the duplications.
        divergence: None for a run that went to its end.
        best: parameters at the end of the epoch of least validation error, if they were kept.
        state: what the network carries that is not trained, such as running statistics, at the
            end of the last epoch; that of the best one is ``best.state``. None for most networks.
        aggregator_state: of what combined the gradients of the tasks, at the end, such as the
            scores of ``jaxmtl.aggregation.recon``; of the last phase, where each starts anew. None
            where they were summed.
    """

    params: PyTree
    head_index: HeadIndex | None
    history: History
    events: Events
    divergence: Divergence | None = dataclasses.field(metadata={"static": True}, default=None)
    best: Best | None = None
    state: PyTree = None
    aggregator_state: PyTree = None


def joined(records: Sequence[EpochRecord]) -> EpochRecord:
    """Chunks of records as one, on the host."""

    def join(*parts: Array) -> np.ndarray:
        return np.concatenate([np.asarray(part) for part in parts])

    return jax.tree.map(join, *records)


def collect_history(whole: EpochRecord) -> History:
    """Drops the rows of epochs that did not run."""
    ran = np.asarray(whole.ran)
    fields: dict[str, Any] = jax.tree.map(lambda leaf: np.asarray(leaf)[ran], whole._asdict())
    del fields["ran"]
    if fields["combination"] is not None:
        fields["combination"] = told(fields["combination"], whole.train.shape[-1])
    return History(**fields)


def without_labels(records: Any, best: Best | None, data: Splits) -> tuple[Any, Best | None]:
    """NaN, on the host, where a split has no label of a task: an error of 0 is the best there is.

    Args:
        records: (..., epochs, tasks) in the fields named as the splits.
        best: of the run; or, with a leading axis of members, of a sweep.
        data: the same.

    Returns:
        Records and best.
    """
    for name, rows in data._asdict().items():
        errors = getattr(records, name)
        if errors is None or rows is None or rows.known is None:
            continue
        some: Any = np.asarray(rows.known).any(axis=-2)
        if some.all():
            continue
        records = records._replace(**{name: np.where(some[..., None, :], errors, np.nan)})
        if name == "validation" and best is not None:
            best = best._replace(errors=np.where(some, best.errors, np.nan))
    return records, best

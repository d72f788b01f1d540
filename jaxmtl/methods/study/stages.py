"""A schedule in stages: what a phase has trained goes on, perhaps changed, in the next one."""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float, Int

from jaxmtl.methods.method import Fitted, Trace, join_folds
from jaxmtl.methods.study.bench import Bench, StudyProtocol
from jaxmtl.training import History, Runs
from jaxmtl.training.phased.phases import PhaseTable


def phases_from(table: PhaseTable, first: int, end: int | None = None) -> PhaseTable:
    """Some of the phases of a table whose leaves are (seeds, phases).

    Args:
        table: with a leading axis of seeds.
        first: number of a phase, from 0.
        end: that of the first one left out; None for none.

    Returns:
        The phases in between.

    Example:
        >>> import jax
        >>> from jaxmtl.training.phased.phases import STUDY_PHASES, phase_table
        >>> table = jax.tree.map(lambda leaf: leaf[None], phase_table(STUDY_PHASES))
        >>> phases_from(table, 1, 3).epochs.tolist()
        [[50, 100]]
    """
    return PhaseTable(*(leaf[:, first:end] for leaf in table))


def one_phase_only(protocol: StudyProtocol) -> str | None:
    """Why a network cannot be changed where a phase ends; None if it can.

    Example:
        >>> one_phase_only(StudyProtocol()) is None
        True
    """
    if len(protocol.phases) > 1:
        return None
    return (
        "expected a schedule of several phases, as it decides where one ends and another follows, "
        "got one; part it (--phases '100;100;100')"
    )


def check_validation(name: str, bench: Bench) -> None:
    """Raises ValueError where there are no rows to decide by."""
    if bench.splits.validation is None:
        raise ValueError(
            f"{name}: expected validation rows to decide by, got none; set some aside "
            "(--validation 0.2)"
        )


def steps_of(runs: Runs, bench: Bench) -> Int[np.ndarray, " seeds"]:
    """Gradient steps of every run."""
    records = runs.records
    steps = -(-np.asarray(records.samples) // bench.protocol.batch_size)
    return (steps * np.asarray(records.ran)).sum(axis=1)


def traces_of(runs: Runs) -> list[Trace]:
    """How every run was trained."""
    every = (runs[place] for place in range(len(runs)))
    return [
        Trace(history=run.history, events=run.events, divergence=run.divergence) for run in every
    ]


def after(stages: Sequence[Sequence[Trace]], fitted: Fitted) -> Fitted:
    """What was fitted, with the stages before it as a part of how it was trained.

    Args:
        stages: of every fold, the earlier ones that it went on from, of one phase each.
        fitted: the last stage.

    Returns:
        The same models. Epochs and phases are counted from the first stage on; a run that diverged
        in one of them has diverged.
    """
    traces, chosen = [], []
    for before, trace, choice in zip(stages, fitted.traces, fitted.chosen, strict=True):
        traces.append(_joined([*before, trace]))
        chosen.append({**choice, "epoch": choice["epoch"] + (traces[-1].ends or (0,))[-1]})
    diverged = np.array([trace.divergence is not None for trace in traces])
    return dataclasses.replace(
        fitted,
        scores=np.where(diverged[:, None], np.nan, fitted.scores),
        chosen=tuple(chosen),
        diverged=diverged,
        traces=tuple(traces),
    )


def _joined(stages: Sequence[Trace]) -> Trace:
    """Stages as one run; the first of them to diverge says where it did."""
    histories, places = [], []
    for number, stage in enumerate(stages):
        history, place = stage.history, stage.divergence
        histories.append(dataclasses.replace(history, phase=history.phase + number))
        if place is not None:
            places.append(place._replace(phase=place.phase + number))
    whole: History = jax.tree.map(lambda *parts: np.concatenate(parts), *histories)
    return Trace(
        history=whole,
        events=stages[-1].events,  # where stages end is known beforehand: no node is duplicated
        divergence=places[0] if places else None,
        ends=tuple(np.cumsum([len(history) for history in histories[:-1]]).tolist()),
    )


def reached(runs: Runs) -> Float[np.ndarray, " seeds"]:
    """The least mean error on the validation rows of every run; infinite where it diverged."""
    errors = np.asarray(runs.records.validation, float).mean(axis=-1)
    errors = np.where(np.asarray(runs.records.ran) & np.isfinite(errors), errors, np.inf)
    return np.where(runs.diverged, np.inf, errors.min(axis=1))


def picked(candidates: Sequence[Fitted], chosen: Int[np.ndarray, " folds"]) -> Fitted:
    """Of every fold what one of several candidates has left behind.

    Args:
        candidates: fitted on the same folds.
        chosen: the number of the candidate of each fold.

    Returns:
        One value for all folds.
    """
    parts = []
    for number, candidate in enumerate(candidates):
        places = np.flatnonzero(chosen == number)
        if len(places):
            parts.append((places, some_folds(candidate, places)))
    return join_folds(parts, len(chosen))


def some_folds(fitted: Fitted, places: Int[np.ndarray, " some"]) -> Fitted:
    """What was fitted on some of the folds only."""

    def taken(value: tuple) -> tuple:
        return tuple(value[place] for place in places) if value else ()

    return Fitted(
        models=taken(fitted.models),
        scores=fitted.scores[places],
        chosen=taken(fitted.chosen),
        parameters=fitted.parameters[places],
        splits=fitted.splits[places],
        steps=fitted.steps[places],
        diverged=fitted.diverged[places],
        traces=taken(fitted.traces),
        notes=fitted.notes,
    )

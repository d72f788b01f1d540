"""What the driver is told of the epochs that it drives; it knows nothing else about them."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Int, PyTree

# Of a member; epochs of members that do not run are not counted.
RUNNING, FINISHED, DIVERGED = 0, 1, 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """An epoch of many members, compiled, and how to read what it gives.

    States have a field ``status`` (members,), one of ``RUNNING``, ``FINISHED``, ``DIVERGED``.
    Records have a field ``ran``, which marks the rows of epochs that ran. Hyperparameters, and data
    if they are ``stacked``, have a leading axis of members, too.

    Attributes:
        advance: ``advance(states, data, hparams, limit) -> states, records`` runs ``limit`` epochs
            at most; records are (members, length, ...).
        length: rows of the records of one call.
        record_shape: from state, data and hyperparameters of one member to the shapes of its row.
        ready: makes the rows of one member, or of all, ready for ``advance``.
        totals: from hyperparameters to the number of epochs of each member at most.
        done: from states and hyperparameters to the epochs that each member has behind it.
        repeat: from state, data and hyperparameters of a member that diverged to the last state
            before that, the row of the epoch up to there, and the place.
        nowhere: a place of whole numbers, as ``repeat`` gives it, for members that did not diverge.
        keep: what is wanted of the states in the end.

    Example:
        >>> def same(*values):
        ...     return values[0]
        >>> def both(*values):
        ...     return values[:2]
        >>> program = Program(
        ...     advance=both, length=4, record_shape=same, ready=same, totals=same, done=same,
        ...     repeat=both, nowhere=(-1,), keep=same,
        ... )
        >>> program.length
        4
    """

    advance: Callable[[Any, PyTree, PyTree, Int[Array, ""]], tuple[Any, Any]]
    length: int
    record_shape: Callable[[Any, PyTree, PyTree], Any]
    ready: Callable[[Any], Any]
    totals: Callable[[Any], Any]
    done: Callable[[Any, Any], Any]
    repeat: Callable[[Any, PyTree, PyTree], tuple[Any, Any, Any]]
    nowhere: Any
    keep: Callable[[Any], Any]


class Driven(NamedTuple):
    """What is left of all members.

    Attributes:
        kept: what ``Program.keep`` takes from their states.
        records: leaves (members, epochs, ...), one row an epoch that ran, from the first on.
        places: where members diverged.

    Example:
        >>> Driven(None, None, (-1,)).places
        (-1,)
    """

    kept: Any
    records: Any
    places: Any


class SweepProgress(NamedTuple):
    """Where a sweep stands.

    Attributes:
        members: in all.
        finished: of them, those that are through.
        done: epochs run, summed over the members; those a stopped phase skipped count as run.
        total: epochs of all phases and members.
        seconds_left: estimate; NaN at the start.

    Example:
        >>> SweepProgress(members=30, finished=2, done=500, total=1000, seconds_left=61.0).finished
        2
    """

    members: int
    finished: int
    done: int
    total: int
    seconds_left: float

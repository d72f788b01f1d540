"""The tables of a run folder: history, events and predictions.

They are in UTF-8 with a byte order mark: without the mark, Excel takes a .csv for one in the code
page of the country and garbles every header that is not ASCII. ``pandas.read_csv`` and
``jaxmtl.data`` skip the mark; Python's ``open`` does with ``encoding="utf-8-sig"``.
"""

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxmtl.duplication import HeadIndex
from jaxmtl.files.errors import RunFolderError
from jaxmtl.methods.method import Trace
from jaxmtl.plain.write import as_text as as_text
from jaxmtl.plain.write import write_rows
from jaxmtl.training import Event, Run

EVENT_COLUMNS = (
    "phase",
    "epoch",
    "epoch_of_run",
    "sample",
    "sheet_row",
    "node",
    "copy",
    "streak",
    "tasks",
)
SPLITS = ("train", "validation", "test")
ADAPTIVE, HARD, MEAN, LINE = "adaptive", "hard sharing", "mean", "straight line"
MOST_BYTES = 64 * 2**20  # of a table that is read


def write_csv(
    path: str | os.PathLike[str], header: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Writes a table; a number that is missing or NaN is an empty cell.

    Args:
        path: of the file.
        header: names of the columns.
        rows: cells; numbers are written with the digits that give them back exactly.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_csv(Path(folder, "a.csv"), ["臭氧", "CO"], [[np.float32(0.1), None]])
        ...     Path(folder, "a.csv").read_bytes().decode("utf-8-sig").split()
        ['臭氧,CO', '0.1,']
    """
    with Path(path).open("w", encoding="utf-8-sig", newline="") as file:
        write_rows(file, header, rows)


def write_history(
    path: str | os.PathLike[str], runs: Mapping[str, Run | Trace], tasks: Sequence[str]
) -> None:
    """Writes one row an epoch: mean squared errors of the scaled values, and conflicts.

    Args:
        path: of the file.
        runs: by name, such as "adaptive".
        tasks: names of the tasks.

    Columns: run, phase, epoch, epoch_of_run, samples, "train PM2.5" and so on for each split and
    task, and "conflicts node 0" and so on. Where task gradients were not just summed, also "weight
    PM2.5" and so on (means over the epoch), "conflict rate" of whole gradients, and "unconverged"
    (updates whose solver missed its tolerance).
    """
    histories = {name: run.history for name, run in runs.items()}
    splits = [s for s in SPLITS if any(getattr(h, s) is not None for h in histories.values())]
    nodes = max(
        (h.conflicts.shape[1] for h in histories.values() if h.conflicts is not None), default=0
    )
    header = ["run", "phase", "epoch", "epoch_of_run", "samples"]
    header += [f"{split} {task}" for split in splits for task in tasks]
    header += [f"conflicts node {node}" for node in range(nodes)]
    combined = any(h.combination is not None for h in histories.values())
    if combined:
        header += [*(f"weight {task}" for task in tasks), "conflict rate", "unconverged"]
    rows = []
    for name, history in histories.items():
        for i in range(len(history)):
            row = [name, history.phase[i], history.epoch[i], i + 1, history.samples[i]]
            for split in splits:
                errors = getattr(history, split)
                row += [None] * len(tasks) if errors is None else list(errors[i])
            row += [None] * nodes if history.conflicts is None else list(history.conflicts[i])
            if (found := history.combination) is not None:
                row += [*found.weights[i], found.conflict_rate[i], found.unconverged[i]]
            elif combined:
                row += [None] * (len(tasks) + 2)
            rows.append(row)
    write_csv(path, header, rows)


def every_run(traces: Mapping[str, Trace]) -> dict[str, Trace]:
    """Traces by name, with those of the other networks of an ensemble beside the first of it.

    Args:
        traces: by name.

    Returns:
        The same; of several networks "NAME, run 1" and so on.
    """
    found = {}
    for name, trace in traces.items():
        runs = (trace, *trace.others)
        named = [name] if len(runs) == 1 else [f"{name}, run {i + 1}" for i in range(len(runs))]
        found |= dict(zip(named, runs, strict=True))
    return found


def write_events(
    path: str | os.PathLike[str],
    run: Run | Trace,
    tasks: Sequence[str],
    sheet_rows: Int[np.ndarray, " train"] | None,
) -> None:
    """Writes one row a duplication.

    Args:
        path: of the file.
        run: an adaptive run.
        tasks: names of the tasks; those that moved are joined by "; ".
        sheet_rows: row of the sheet of each sample, in the order of training; None if it was
            shuffled."""
    rows = [
        (
            event.phase,
            event.epoch,
            epoch_of_run(run, event),
            event.sample,
            None if sheet_rows is None else sheet_rows[event.sample],
            event.node,
            event.copy,
            event.streak,
            "; ".join(tasks[t] for t in event.tasks),
        )
        for event in run.events
    ]
    write_csv(path, EVENT_COLUMNS, rows)


def read_events(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Reads what ``write_events`` wrote; all but the names of the tasks are whole numbers or None.

    Args:
        path: of the file.

    Returns:
        One dictionary a duplication, by the names of the columns.

    Raises:
        RunFolderError: the file does not open, or is another one."""
    path = Path(path)
    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            raise ValueError(f"{size} bytes, more than {MOST_BYTES}")
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = tuple(next(reader, ()))
            if header != EVENT_COLUMNS:
                raise ValueError(f"columns {str(header)[:200]}")
            return [_event_of(row) for row in reader]
    except (OSError, ValueError, csv.Error) as error:
        raise RunFolderError(
            f"file {path}: expected the events of a run, got a damaged or other file ({error}); "
            "copy the run folder again or repeat the run"
        ) from error


def moved_tasks(text: str, tasks: Sequence[str]) -> tuple[int, ...]:
    """The tasks that a cell of ``events.csv`` names, even if "; " is part of a name.

    Args:
        text: of the cell.
        tasks: names of all tasks.

    Returns:
        Numbers of the tasks, ascending; none if the cell names others.

    Example:
        >>> moved_tasks("a; c", ["a", "b", "c"])
        (0, 2)
    """
    starts: dict[str, tuple[int, ...]] = {}
    for number, task in enumerate(tasks):
        longer = {start + "; " + task: (*moved, number) for start, moved in starts.items()}
        longer |= {task: (number,)}
        for start, moved in longer.items():
            if text.startswith(start):
                starts.setdefault(start, moved)
    # Behind an apostrophe stands a name that would be a formula.
    return starts.get(text, ()) or (moved_tasks(text[1:], tasks) if text[:1] == "'" else ())


def _event_of(row: Sequence[str]) -> dict[str, Any]:
    if len(row) != len(EVENT_COLUMNS):
        raise ValueError(f"{len(row)} cells in a row")
    event: dict[str, Any] = {}
    for name, cell in zip(EVENT_COLUMNS, row, strict=True):
        if name == "tasks":
            event[name] = cell
        elif name == "sheet_row" and not cell:
            event[name] = None
        elif cell.isascii() and cell.isdecimal() and len(cell) < 16:
            event[name] = int(cell)
        else:
            raise ValueError(f"{cell[:60]!r} for {name}")
    if not all(event[name] for name in ("phase", "epoch", "epoch_of_run", "streak")):
        raise ValueError("0 where numbers count from 1")
    return event


def write_predictions(
    path: str | os.PathLike[str],
    tasks: Sequence[str],
    sheet_rows: Int[np.ndarray, " rows"],
    observed: Float[np.ndarray, "rows tasks"],
    predicted: Mapping[str, Float[np.ndarray, "rows tasks"]],
) -> None:
    """Writes observed and predicted values, all in original units.

    Args:
        path: of the file.
        tasks: names of the tasks.
        sheet_rows: row of the sheet of each row.
        observed: NaN where not known.
        predicted: by the name of the run.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "a.csv")
        ...     one = np.ones((1, 1))
        ...     write_predictions(path, ["CO"], np.array([7]), one, {"adaptive": 2 * one})
        ...     path.read_text(encoding="utf-8-sig").split()
        ['sheet_row,CO', 'observed,CO', 'adaptive', '7,1.0,2.0']
    """
    columns = {"observed": observed, **predicted}
    header = ["sheet_row", *(f"{task} {name}" for task in tasks for name in columns)]
    rows = [
        [row, *(values[i, t] for t in range(len(tasks)) for values in columns.values())]
        for i, row in enumerate(sheet_rows)
    ]
    write_csv(path, header, rows)


def epoch_of_run(run: Run | Trace, event: Event) -> int:
    """The epoch of an event counted from the start of the run, from 1.

    Args:
        run: an adaptive run.
        event: one of its events.

    Returns:
        Place of its row in the history, from 1."""
    here = (run.history.phase == event.phase) & (run.history.epoch == event.epoch)
    return int(np.flatnonzero(here)[0]) + 1


def head_index_of(run: Run) -> HeadIndex:
    """The head index of a run that has one.

    Args:
        run: of a network with a bank.

    Returns:
        Its head index.

    Raises:
        ValueError: the network has no bank.
    """
    if run.head_index is None:
        raise ValueError("run: expected a run of a network with a bank, got one without")
    return run.head_index

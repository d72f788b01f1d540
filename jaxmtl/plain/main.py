"""``python run/predict.py rows.csv -o out.csv``: what ``jaxmtl predict`` does, by NumPy alone."""

import argparse
import contextlib
import itertools
import os
import sys
from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple

import numpy as np

from .columns import free_name
from .errors import RunError, TableError
from .folder import PlainRun, read_run
from .notes import NOTE
from .predict import coded_rows, predicted
from .table import TextTable, open_table
from .write import write_rows

BAD_INPUT, UNREAD, INTERRUPTED = 2, 1, 130


def main(folder: str, arguments: Sequence[str] | None = None) -> int:
    """Predicts the rows of a text table.

    Args:
        folder: of the run.
        arguments: of the command; None for those that it was called with.

    Returns:
        0, or 2 for bad input, of which one sentence is written to stderr.

    Example:
        >>> main("run", ["new.csv", "--confidence", "90"])
        2
    """
    given = _parser().parse_args(arguments)
    try:
        with np.errstate(all="ignore"):
            _predict(folder, given)
    except (RunError, TableError) as error:
        return _refuse(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD
    except OSError as error:
        return _refuse(f"file {error.filename}: {error.strerror or error}; check the path")
    except MemoryError:
        return _refuse("there is not enough memory; predict fewer rows at once")
    except KeyboardInterrupt:
        _refuse("interrupted; nothing was written")
        return INTERRUPTED
    return 0


def _refuse(sentence: str) -> int:
    print(f"predict.py: {' '.join(sentence.split())}", file=sys.stderr)
    return BAD_INPUT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="predict.py",
        description="Predict every row of a text table, in its order and in original units. "
        "'jaxmtl predict' does the same, reads and writes workbooks too, and leaves out rows that "
        "are totals or remarks.",
    )
    parser.add_argument("table", metavar="TABLE", help="text table in UTF-8: .csv, .tsv or .txt")
    parser.add_argument("-o", "--out", help="file to write; without it, standard output")
    parser.add_argument("--confidence", type=float, help="level of the intervals, such as 0.8")
    parser.add_argument(
        "--joint", action="store_true", help="intervals that hold all targets of a row at once"
    )
    parser.add_argument("--force", action="store_true", help="replace an older file")
    return parser


def _predict(folder: str, given: argparse.Namespace) -> None:
    level = given.confidence
    if level is not None and not 0 < level < 1:
        raise TableError(f"--confidence: expected a number between 0 and 1, got {level:g}")
    if given.out is not None and os.path.exists(given.out):
        if os.path.exists(given.table) and os.path.samefile(given.out, given.table):
            raise TableError(
                f"file {given.out}: it is the table to predict from; choose another name"
            )
        if not given.force:
            raise TableError(
                f"file {given.out}: it exists already; choose another name, or say --force"
            )
    with _told(folder):
        run = read_run(folder)
    if (level is not None or given.joint) and not run.calibration:
        raise TableError(
            f"folder {folder}: expected a run with intervals, got one without; leave --confidence "
            "and --joint out"
        )
    table = open_table(given.table, run.names, run.reading)
    if run.calibration and level is None:
        level = run.level
    with _told(folder):
        # All cells are looked at before anything is written.
        noted = any([any(notes) for notes in _notes(run, table)])
        pieces = _pieces(run, table, level, given.joint)
        first = next(pieces)
        header = [*first.names, free_name(NOTE, first.names)] if noted else first.names
        lines = (
            [*line, note or None] if noted else line
            for piece in itertools.chain([first], pieces)
            for line, note in zip(piece.lines, piece.notes, strict=True)
        )
        with _opened(given.out) as file:
            write_rows(file, header, lines)


@contextlib.contextmanager
def _told(folder: str) -> Iterator[None]:
    """Makes one sentence of whatever a damaged folder leads to."""
    try:
        yield
    except (RunError, TableError, MemoryError):
        raise
    except Exception as error:  # whatever NumPy, zipfile and json raise for what they do not know
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise RunError(
            f"folder {folder}: expected the files of a run, got damaged or other ones "
            f"({type(error).__name__}: {str(error)[:200]}); copy the folder again or repeat the run"
        ) from error


@contextlib.contextmanager
def _opened(out: str | None) -> Iterator[IO[str]]:
    """A file that is there only once it is whole, or standard output."""
    if out is None:
        yield sys.stdout
        return
    draft = f"{out}.unfinished"
    try:
        with open(draft, "w", encoding="utf-8-sig", newline="") as file:
            yield file
        os.replace(draft, out)
    except OSError as error:
        raise TableError(
            f"file {out}: cannot be written ({error.strerror or error}); choose another place"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            os.remove(draft)


class _Predicted(NamedTuple):
    """Lines of a piece of a table, with a note for each, blank lines among them."""

    names: list[str]
    lines: list[list[Any]]
    notes: list[str]


def _notes(run: PlainRun, table: TextTable) -> Iterator[list[str]]:
    """What is to be said of the rows of each piece."""
    for piece in table.pieces():
        coded = coded_rows(run, table, piece)
        # Of numbers, a prediction that is not finite is to be said, too.
        yield coded.notes if run.coding is not None else predicted(run, coded, None, False)[1]


def _pieces(
    run: PlainRun, table: TextTable, level: float | None, joint: bool
) -> Iterator[_Predicted]:
    """Columns of the table, which those of numbers alone do not repeat, and predictions."""
    for piece in table.pieces():
        columns, notes = predicted(run, coded_rows(run, table, piece), level, joint)
        kept = {} if run.coding is None else {n: c.cells for n, c in piece.columns.items()}
        cells: dict[str, Sequence[Any]] = {**kept}
        for name, own in columns.items():
            cells[free_name(name, cells)] = own
        found = _Predicted(list(cells), [], [])
        for blank, note, *line in zip(piece.blank, notes, *cells.values(), strict=True):
            found.lines.extend([None] * len(cells) for _ in range(blank))
            found.notes.extend("" for _ in range(blank))
            found.lines.append(line)
            found.notes.append(note)
        yield found

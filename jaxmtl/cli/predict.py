"""``jaxmtl predict``: new rows through a trained network."""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jaxmtl._options import parse_names
from jaxmtl.cli.errors import in_one_sentence
from jaxmtl.cli.paths import path_of
from jaxmtl.cli.reading import how_to_read
from jaxmtl.cli.signals import undone_when_interrupted, when_interrupted
from jaxmtl.cli.unfinished import older_note
from jaxmtl.cli.workbook import Cell, write_workbook

if TYPE_CHECKING:
    import numpy as np

    from jaxmtl.data import CellTable, Table
    from jaxmtl.prediction.folder import SavedRun
    from jaxmtl.prediction.predictor import Reading

ENDINGS = (".xlsx", ".csv")
NOTE = "note"  # name of the column of notes, which is there if a row has one


@in_one_sentence
def predict(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="Run folder that 'fit' has written.")
    ],
    table: Annotated[str, typer.Argument(help="Workbook or text table with the feature columns.")],
    out: Annotated[str, typer.Option("-o", "--out", help="File to write, .xlsx or .csv.")],
    sheet: Annotated[
        str | None,
        typer.Option(help="Name or number (from 0).", show_default="the first that is not hidden"),
    ] = None,
    header_row: Annotated[
        int | None,
        typer.Option(help="Row of the names of columns, from 1.", show_default="as in the run"),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Columns of TABLE that the file repeats: A,B; with a run of the study none.",
            show_default="all",
        ),
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option(
            help="Level of the intervals of a run of --preset table or quick.",
            show_default="as in the run",
        ),
    ] = None,
    joint: Annotated[
        bool, typer.Option("--joint", help="Intervals that hold all targets of a row at once.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an older file.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Predict every row of TABLE, in its order and in original units, one column a target.

    Rows that are no data, such as blank ones and totals, are blank in the file that is written, so
    that its rows stand beside those of TABLE.
    A row with a missing feature is an error; if the run was made with --missing mean, its gaps are
    filled with the means of the training rows, with --missing drop its prediction is left blank.
    With a run of --preset table or quick, the columns of TABLE come first, and gaps are no error;
    beside every number stand the ends of its interval, beside every class those that it may be.
    Where there is something to say of a row, the last column does: a missing feature, values
    outside those of the training rows, a prediction that is not finite.
    """
    from jaxmtl.cli.console import Console
    from jaxmtl.cli.predict_table import predicted_table
    from jaxmtl.data import Coding, read_table
    from jaxmtl.data.reading.opened import WORKBOOKS
    from jaxmtl.data.reading.sheets import find_sheet
    from jaxmtl.files.atomic import check_file, new_file
    from jaxmtl.plain.names import columns_of_run
    from jaxmtl.prediction.records import write_csv
    from jaxmtl.prediction.row_notes import row_notes
    from jaxmtl.report import load_run

    console = Console(quiet=quiet)
    folder, table, out = (
        path_of(name, text) for name, text in (("DIR", folder), ("TABLE", table), ("--out", out))
    )
    ending = Path(out).suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(
            f"file {out}: expected a name that ends in {' or '.join(ENDINGS)}, got "
            f"{ending or 'no ending'}; choose one of them"
        )
    if confidence is not None and not 0 < confidence < 1:
        raise ValueError(
            f"--confidence: expected a number between 0 and 1, such as 0.9, got {confidence:g}"
        )
    check_file(out, force=force)
    if os.path.exists(out) and os.path.exists(table) and os.path.samefile(out, table):
        raise ValueError(f"file {out}: it is the table to predict from; choose another name")
    run = load_run(folder)
    if (why := older_note(folder)) is not None:
        console.note(why)
    if _is_what_was_learned(run, table):
        console.note(
            f"{table}: the run has learned from rows of this very table, and predicts those better "
            f"than it will new ones; 'jaxmtl inspect {folder}' says how well it predicts rows that "
            "it has not learned from"
        )

    def write(path: Path, names: Sequence[str], rows: Any, *, predicted: Sequence[str]) -> None:
        if ending == ".xlsx":
            texts_only = Path(table).suffix.lower() not in WORKBOOKS
            write_workbook(path, names, rows, rounded=predicted, texts_only=texts_only)
        else:
            write_csv(path, names, rows)

    if isinstance(run.predictor.coding, Coding):
        cells, columns, predicted = predicted_table(
            run,
            table,
            console,
            sheet=sheet,
            header_row=header_row,
            keep=None if keep is None else parse_names(keep),
            confidence=confidence,
            joint=joint,
        )
        lines = list(zip(*columns.values(), strict=True))
        with undone_when_interrupted(), new_file(out, force=force) as path:
            placed = _in_place(cells, lines, len(columns))
            write(path, list(columns), placed, predicted=predicted)
        when_interrupted(lambda: f"the predictions are written to {out}")
        console.say(f"{len(lines)} rows predicted, written to {out}")
        return
    if keep is not None:
        raise ValueError(
            f"--keep: {folder} is a run of the study, which repeats no column; leave it out"
        )
    if confidence is not None or joint:
        flag = "--joint" if confidence is None else "--confidence"
        raise ValueError(
            f"{flag}: {folder} is a run of the study, which has no intervals; leave it out, or "
            "train with 'jaxmtl fit TABLE --targets ...'"
        )
    with columns_of_run(empty=run.predictor.reading.missing_features != "error"):
        rows = read_table(
            table,
            features=run.dataset.features,
            sheet=find_sheet(table, sheet),
            **_as_read(run.reading, run.dataset.targets, header_row),
        )
    for note in rows.notes:
        console.note(note)
    predicted = run.predict(rows)
    notes = row_notes(run.predictor, rows.x, predicted)
    header, cells = list(run.dataset.targets), _cells(rows, predicted)
    if any(notes.by_row):
        header.append(_free(NOTE, header))
        placed = _in_place(rows, [[note or None] for note in notes.by_row], 1)
        cells = [[*line, *note] for line, note in zip(cells, placed, strict=True)]
    with undone_when_interrupted(), new_file(out, force=force) as path:
        write(path, header, cells, predicted=run.dataset.targets)
    when_interrupted(lambda: f"the predictions are written to {out}")
    for note in notes.summary:
        console.note(note)
    console.say(f"{len(predicted)} rows predicted, written to {out}")


def _is_what_was_learned(run: "SavedRun", table: str) -> bool:
    """Whether a table is, byte for byte, the one that a run was fitted to."""
    from jaxmtl.prediction.card import fingerprint

    learned = (run.config.get("settings") or {}).get("table_sha256")
    return learned is not None and os.path.isfile(table) and fingerprint(table) == learned


def _as_read(reading: "Reading", targets: Sequence[str], header_row: int | None) -> dict[str, Any]:
    """Options of ``read_table`` for rows that have no targets."""
    codes = [
        value
        for value in reading.missing_values
        if not (isinstance(value, str) and value.rpartition("=")[0].strip() in targets)
    ]
    return how_to_read(reading, header_row=header_row) | {"missing_values": codes}


def _cells(table: "Table", predicted: "np.ndarray") -> list[list[Cell]]:
    """One row for every row of the table below its header, None where there is no number."""
    import numpy as np

    finite = np.isfinite(predicted)
    rows = [
        [value if known else None for value, known in zip(row, mask, strict=True)]
        for row, mask in zip(predicted.tolist(), finite, strict=True)
    ]
    return _in_place(table, rows, predicted.shape[1])


def _in_place(
    table: "Table | CellTable", rows: Sequence[Sequence[Cell]], width: int
) -> list[list[Cell]]:
    """Rows of the table beside its own, with blank ones where it has no data."""
    import numpy as np

    numbers = np.concatenate([table.rows, table.left_out])
    cells: list[list[Cell]] = [[None] * width for _ in numbers]
    places = np.searchsorted(np.sort(numbers), table.rows)
    for place, row in zip(places.tolist(), rows, strict=True):
        cells[place] = list(row)
    return cells


def _free(name: str, taken: Sequence[str]) -> str:
    """A name that no other column has."""
    numbers = itertools.count(2)
    found = name
    while found in taken:
        found = f"{name} {next(numbers)}"
    return found

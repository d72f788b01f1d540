"""``jaxmtl predict``: new rows through a trained network."""

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jaxmtl.cli.errors import in_one_sentence

if TYPE_CHECKING:
    import numpy as np

ENDINGS = (".xlsx", ".csv")


@in_one_sentence
def predict(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="Run folder that 'fit' has written.")
    ],
    table: Annotated[str, typer.Argument(help="Workbook or text table with the feature columns.")],
    out: Annotated[str, typer.Option("-o", "--out", help="File to write, .xlsx or .csv.")],
    sheet: Annotated[
        str | None, typer.Option(help="Name or number (from 0).", show_default="the first")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an older file.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Predict every row of TABLE, in its order and in original units, one column a target.

    A row with a missing feature is an error; if the run was made with --missing mean, its gaps are
    filled with the means of the training rows, with --missing drop its prediction is left blank.
    """
    from jaxmtl.cli.console import Console
    from jaxmtl.data import read_table
    from jaxmtl.data.reading.sheets import find_sheet
    from jaxmtl.files.atomic import check_file, new_file
    from jaxmtl.report import load_run

    console = Console(quiet=quiet)
    ending = Path(out).suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(
            f"file {out}: expected a name that ends in {' or '.join(ENDINGS)}, got "
            f"{ending or 'no ending'}; choose one of them"
        )
    check_file(out, force=force)
    if os.path.exists(out) and os.path.exists(table) and os.path.samefile(out, table):
        raise ValueError(f"file {out}: it is the table to predict from; choose another name")
    run = load_run(folder)
    rows = read_table(
        table,
        features=run.dataset.features,
        sheet=find_sheet(table, sheet),
        missing_values=run.reading.missing_values,
    )
    predicted = run.predict(rows)
    with new_file(out, force=force) as path:
        write = _write_xlsx if ending == ".xlsx" else _write_csv
        write(path, run.dataset.targets, predicted)
    blank = int((predicted != predicted).any(axis=1).sum())
    if blank:
        console.note(f"{blank} of {len(predicted)} rows have a missing feature and no prediction")
    console.say(f"{len(predicted)} rows predicted, written to {out}")


def _write_csv(path: Path, header: tuple[str, ...], values: "np.ndarray") -> None:
    from jaxmtl.prediction.records import write_csv

    write_csv(path, header, values)


def _write_xlsx(path: Path, header: tuple[str, ...], values: "np.ndarray") -> None:
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet("predictions")
    sheet.append(list(header))
    for row in values.tolist():
        sheet.append([value if math.isfinite(value) else None for value in row])
    book.save(path)

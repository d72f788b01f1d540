"""``jaxmtl predict`` with a run on a table of any kind: the rows as they came, and predictions."""

import datetime
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jaxmtl._words import did_you_mean
from jaxmtl.cli.reading import how_to_read

if TYPE_CHECKING:
    from jaxmtl.cli.console import Console
    from jaxmtl.data import CellTable, Coding
    from jaxmtl.prediction.folder import SavedRun
    from jaxmtl.tasks import Task

NOTE = "note"

Columns = dict[str, Sequence[Any]]


def predicted_table(
    run: "SavedRun",
    path: str,
    console: "Console",
    *,
    sheet: str | None,
    header_row: int | None,
    keep: Sequence[str] | None = None,
    confidence: float | None = None,
    joint: bool = False,
) -> "tuple[CellTable, Columns, list[str]]":
    """Reads a table and predicts its rows.

    Args:
        run: on a table of any kind.
        path: of the table.
        console: for what the user should know.
        sheet: its name or number.
        header_row: of the names; None for that of the run.
        keep: columns of the table that stand before the predictions; None for all.
        confidence: level of the intervals; None for that of the run.
        joint: whether they are to hold all targets of a row at once.

    Returns:
        The table; the columns of the file to write: its own, the predictions, probabilities of
        classes, intervals, and notes where a row has one; and which of them are not its own.

    Raises:
        ValueError: a column to keep that there is not, or intervals of a run that has none.
    """
    from jaxmtl.data import Coding, read_cells
    from jaxmtl.data.reading.sheets import find_sheet
    from jaxmtl.plain.columns import free_name
    from jaxmtl.prediction.drift import distributions_of, drift_note
    from jaxmtl.prediction.predicted_columns import level_of, predicted_columns

    predictor = run.predictor
    coding = predictor.coding
    assert isinstance(coding, Coding)
    table = read_cells(
        path,
        expected=coding.inputs,
        sheet=find_sheet(path, sheet),
        of_run=True,
        **how_to_read(predictor.reading, header_row=header_row),
    )
    coded = coding.encode(table)
    for name in keep or ():
        if name not in table.names:
            raise ValueError(
                f"--keep: expected columns of {table.source}, got {name!r}"
                f"{did_you_mean(name, table.names)}"
            )
    drift = drift_note(distributions_of(run.config), table)
    for note in (*table.notes, *coded.notes, *([] if drift is None else [drift])):
        console.note(note)
    by_fold = predictor.outputs_by_fold(coded.x)
    outputs = by_fold.mean
    kept = table.names if keep is None else keep
    columns: Columns = {name: _plain_column(table.cells(name)) for name in kept}
    bounds = None
    level = level_of(run.metrics) if confidence is None else confidence
    if predictor.calibration is not None or confidence is not None or joint:
        bounds = predictor.bounds(by_fold, confidence_level=level, joint=joint)
        _say_short(run, level, joint, console)
    words = predictor.words(outputs)
    added: Columns = dict(predicted_columns(coding.tasks, words, outputs, bounds, level))
    if any(coded.row_words):
        added[NOTE] = [words or None for words in coded.row_words]
    placed = []
    for name, cells in added.items():
        placed.append(free_name(name, columns))
        columns[placed[-1]] = cells
    _say_scores(coding, table, outputs, console)
    return table, columns, placed


def _say_short(run: "SavedRun", level: float, joint: bool, console: "Console") -> None:
    """That intervals are left empty, and sets hold all classes, for want of rows."""
    from jaxmtl.prediction.shortage import shortage_words

    predictor = run.predictor
    short = predictor.shortages(confidence_level=level, joint=joint)
    said: dict[str, list[str]] = {}
    for task in predictor.tasks:
        if task.name in short:
            words = shortage_words(level, short[task.name], joint=joint, classes=task.has_classes)
            left = "sets hold all classes" if task.has_classes else "intervals are left empty"
            said.setdefault(f"{left}: {words}", []).append(task.name)
    for words, names in said.items():
        console.note(f"{', '.join(names)}: {words}; a lower --confidence takes fewer")


def _say_scores(coding: "Coding", table: "CellTable", outputs: Any, console: "Console") -> None:
    """Errors on those rows that carry a target."""
    from jaxmtl.metrics import score

    y, known = coding.targets(table)
    if not known.any():
        return
    scores = score(coding.tasks, outputs, y, known)
    for task, measured, labels in zip(coding.tasks, scores.by_task, known.T, strict=True):
        if labels.any():
            console.say(
                f"{task.name}, {labels.sum()} rows with a known value: {_measured(task, measured)}"
            )


def _measured(task: "Task", measured: Any) -> str:
    from jaxmtl.metrics.measures import main_measure

    measure = main_measure(task)
    said = f"{measure.title_of(task, '')} {measured[measure.name]:.4g}"
    other = "accuracy" if task.has_classes else "r2"
    value = measured.get(other)
    if value is None or value != value:
        return said
    return f"{said}, {'accuracy' if task.has_classes else 'R²'} {value:.3f}"


def _plain_column(cells: Sequence[Any]) -> list[Any]:
    """Cells as a file takes them; days without an hour where no row has one."""
    if {str, int, float, bool, type(None)}.issuperset(map(type, cells)):
        return list(cells)
    dates = [cell for cell in cells if isinstance(cell, datetime.datetime)]
    if any(date.time() != datetime.time.min for date in dates):
        return list(map(_plain, cells))
    return [cell.date() if isinstance(cell, datetime.datetime) else _plain(cell) for cell in cells]


def _plain(cell: Any) -> Any:
    """A cell as a file takes it; dates stay dates."""
    kept = (str, int, float, datetime.datetime, datetime.date, datetime.time)
    return cell if cell is None or isinstance(cell, kept) else str(cell)

"""From pieces of a table to columns of predictions, as ``jaxmtl predict`` writes them."""

from typing import Any, NamedTuple

import numpy as np

from .bounds import bounds_of
from .coding import decode, encode
from .columns import Columns, columns_of
from .errors import RunError, TableError
from .folder import PlainRun
from .models import outputs_and_disagreement
from .notes import notes_on_numbers, row_words
from .table import Piece, TextTable


class Coded(NamedTuple):
    """Coded rows, and what is to be said of them.

    Attributes:
        x: (rows, features).
        notes: one a row, empty where nothing is to be said; of a table of numbers they come with
            the predictions.
        gaps: (rows, features), what a row without a prediction lacks.
        outside: (rows, features), beyond the training rows.
    """

    x: np.ndarray
    notes: list[str]
    gaps: np.ndarray
    outside: np.ndarray


def coded_rows(run: PlainRun, table: TextTable, piece: Piece) -> Coded:
    """Coded features of a piece of a table.

    Args:
        run: with the coding.
        table: that the piece is of.
        piece: some of its rows.

    Raises:
        TableError: a cell is not of the kind of its column, or a value is missing that must not.
    """
    if run.coding is None:
        return _numbers(run, table, piece)
    values: dict[str, Any] = {}
    dates = []
    for column in run.coding["columns"]:
        name, kind = column["name"], column["kind"]
        if kind == "number":
            values[name] = table.numbers(piece, name)
        elif kind == "category":
            values[name] = table.levels(piece, name)
        else:
            values[name] = table.seconds(piece, name, column["order"])
            dates.append(name)
    found = encode(run.coding, values)
    notes = row_words(run.names, found.missing, found.unknown, found.outside, dates)
    return Coded(found.x, notes, found.missing, found.outside)


def _numbers(run: PlainRun, table: TextTable, piece: Piece) -> Coded:
    """Scaled and filled numbers."""
    coding = run.numbers
    x = np.stack([table.numbers(piece, name) for name in run.names], axis=1)
    gaps, how = np.isnan(x), run.reading["missing_features"]
    if "fill" in coding:
        x = np.where(gaps, coding["fill"], x)
    elif gaps.any() and how != "drop":
        row, column = np.argwhere(gaps)[0]
        raise TableError(
            f"{table.source}, column {run.names[column]!r}, row {piece.rows[row]}: a missing "
            "value; fill such cells, leave their rows out, or train with missing features replaced "
            "by the mean"
        )
    outside = np.zeros(x.shape, bool)
    if "feature_low" in coding:
        outside = (x < coding["feature_low"]) | (x > coding["feature_high"])
    offset, scale = coding["feature_offset"], coding["feature_scale"]
    constant = scale == 0
    scaled = ((x - offset) / (scale + constant) * ~constant).astype(coding["dtype"])
    dropped = gaps & (how == "drop")
    odd = ~np.isfinite(scaled) & ~dropped.any(axis=1, keepdims=True)
    if odd.any():
        row, column = np.argwhere(odd)[0]
        raise TableError(
            f"{table.source}, column {run.names[column]!r}, row {piece.rows[row]}: expected a "
            f"value that fits into {coding['dtype']} once scaled, got {x[row, column]}; correct it"
        )
    return Coded(np.where(np.isfinite(scaled), scaled, 0), [""] * len(x), dropped, outside)


def predicted(
    run: PlainRun, coded: Coded, level: float | None, joint: bool
) -> tuple[Columns, list[str]]:
    """Columns of predictions, and a note for each row.

    Args:
        run: with the models.
        coded: rows.
        level: of the intervals; None for none.
        joint: whether they are to hold all targets of a row at once.

    Raises:
        RunError: numbers of a model that are not finite.
    """
    found = [outputs_and_disagreement(model, coded.x, len(run.tasks)) for model in run.models]
    by_fold = np.stack([np.asarray(outputs, float) for outputs, _ in found])
    # Fold after fold, as the package does.
    outputs = np.mean(list(by_fold), axis=0)
    if run.coding is None:
        return _of_numbers(run, coded, outputs)
    if not np.isfinite(outputs).all():
        raise RunError(
            f"folder {run.folder}: expected finite predictions, got others; copy the folder again "
            "or train anew"
        )
    bounds = None
    if level is not None:
        apart = np.stack([disagreement for _, disagreement in found])
        bounds = bounds_of(run.calibration, run.tasks, by_fold, apart, level=level, joint=joint)
    words = dict(zip(run.targets, decode(run.tasks, outputs), strict=True))
    return columns_of(run.tasks, words, outputs, bounds, level or run.level), coded.notes


def _of_numbers(run: PlainRun, coded: Coded, outputs: np.ndarray) -> tuple[Columns, list[str]]:
    values = outputs * run.numbers["target_scale"] + run.numbers["target_offset"]
    missing = coded.gaps.any(axis=1)
    values[missing] = np.nan
    finite = np.isfinite(values)
    notes = notes_on_numbers(run.names, coded.gaps, ~finite.all(axis=1) & ~missing, coded.outside)
    columns: Columns = {
        name: [value if known else None for value, known in zip(own, there, strict=True)]
        for name, own, there in zip(run.targets, values.T.tolist(), finite.T.tolist(), strict=True)
    }
    return columns, notes

"""The folder of a run on a table of any kind: what is written, and what is read of it."""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Float
from msgspec import Meta, Struct, to_builtins

from jaxmtl.data import CellTable, Column
from jaxmtl.data.infer_tasks import label_columns
from jaxmtl.files import write_json_file
from jaxmtl.metrics.measures import main_measure
from jaxmtl.prediction.card import machine, versions
from jaxmtl.prediction.card_text import write_card
from jaxmtl.prediction.coverage import Coverage
from jaxmtl.prediction.drift import ColumnLearned, NumbersLearned, learned_columns
from jaxmtl.prediction.fit_table import Line, TableFit
from jaxmtl.prediction.gains import Gain, blocks_of
from jaxmtl.prediction.importance import Importance
from jaxmtl.prediction.options import TABLE
from jaxmtl.prediction.predictor import Predictor
from jaxmtl.prediction.records import write_csv
from jaxmtl.prediction.relations import Relations, relations_of
from jaxmtl.prediction.run_json import FORMAT, ByTask
from jaxmtl.prediction.sample import write_sample
from jaxmtl.prediction.save import MODEL, save_predictor
from jaxmtl.prediction.script import write_script
from jaxmtl.prediction.structure_record import StructureRecord, check_record, decision_record
from jaxmtl.prediction.where_wrong import WhereWrong, where_wrong
from jaxmtl.structure import write_structure
from jaxmtl.tasks import output_slices

STRUCTURE = "structure.json"  # which targets share a network, as --structure reads it
OUT_OF_FOLD, TEST = "out of fold", "test"

Share = Annotated[float, Meta(ge=0, le=1 + 1e-9)]


class TableConfig(Struct):
    """What is read of ``config.json`` of such a run: how it was made."""

    preset: Literal["table"]
    method: str
    features: list[str]
    targets: list[str]
    columns: list[Column]
    left_out: list[tuple[str, str]]
    source: str
    settings: dict[str, Any] | None
    versions: dict[str, str]
    machine: dict[str, Any]
    written: str
    notes: list[str]
    distributions: list[ColumnLearned] = []
    labels: list[Column] = []


class BoardLine(Struct):
    """A line of the leaderboard: measures of every task by name, null where there is none."""

    name: str
    description: str
    seconds: float
    measures: dict[str, dict[str, float | None]]
    relative: ByTask


class GainRecord(Struct):
    """How much smaller the losses are than those of a simpler method, in %."""

    over: str
    percent: ByTask
    low: ByTask
    high: ByTask


class Worth(Struct):
    """What columns are worth to a task: in the order of the groups, null where it is not known."""

    added: list[float | None]
    low: list[float | None]
    high: list[float | None]


class ImportanceRecord(Struct):
    """Columns that were shuffled together, and what that added to the error of every task."""

    rows: Annotated[int, Meta(ge=0)]
    groups: list[Annotated[list[str], Meta(min_length=1)]]
    tasks: dict[str, Worth]


Matrix = list[list[Annotated[float, Meta(ge=-1, le=1)] | None]]


class RelationsRecord(Struct):
    """Correlations of pairs of tasks; see ``Relations``."""

    tasks: list[str]
    rows: list[list[Annotated[int, Meta(ge=0)]]]
    labels: Matrix
    labels_low: Matrix
    labels_high: Matrix
    predictions: Matrix
    rest: Matrix
    rest_low: Matrix
    rest_high: Matrix


class TableRows(Struct):
    """Rows that were learned from, and whose errors are shown."""

    learned: Annotated[int, Meta(ge=1)]
    shown: Annotated[int, Meta(ge=1)]
    folds: Annotated[int, Meta(ge=1)]


class TableMetrics(Struct):
    """What is read of ``metrics.json`` of such a run: how well it predicts."""

    shown: Literal["out of fold", "test"]
    rows: TableRows
    leaderboard: Annotated[list[BoardLine], Meta(min_length=1)]
    weights: dict[str, dict[str, Share]]
    gain: GainRecord | None = None
    sharing: GainRecord | None = None
    structure: StructureRecord | None = None
    intervals: Coverage | None = None
    importance: ImportanceRecord | None = None
    relations: RelationsRecord | None = None
    where_wrong: WhereWrong | None = None


def write_table_run(
    folder: Path,
    found: TableFit,
    table: CellTable,
    *,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Writes all files of a run but its pictures.

    Args:
        folder: that exists.
        found: what was learned.
        table: from which.
        settings: whatever repeats the run, for ``config.json``.

    Raises:
        ValueError: a model that cannot be saved.
    """
    columns, predictor = found.columns, found.predictor
    notes = (*table.notes, *columns.notes, *found.notes)
    learned = np.zeros(len(found.rows), bool)
    for fold in found.folds:  # in time, the first rows are left out by none
        learned[fold.train] = learned[fold.test] = True
    labels = label_columns(found.data.tasks, found.data.known, table)
    config = {
        "format": FORMAT,
        "preset": TABLE,
        "method": predictor.method,
        "features": list(columns.features),
        "targets": list(columns.targets),
        "columns": [column.to_json() for column in columns.columns],
        "labels": [label.to_json() for label in labels],
        "left_out": [list(one) for one in columns.left_out],
        "distributions": to_builtins(learned_columns(table, columns, found.rows[learned])),
        "source": table.source,
        "notes": list(dict.fromkeys(notes)),
        "settings": None if settings is None else dict(settings),
        "versions": versions(),
        "machine": machine(),
        "written": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
    }
    seed = int((settings or {}).get("seed") or 0)
    relations = relations_of(
        found.data.tasks,
        found.held,
        found.data.y[found.shown],
        found.data.known[found.shown],
        blocks_of(table, columns, found.rows[found.shown], seed),
    )
    # TableFit holds all that this follows from: who wants no folder does not pay for it.
    wrong = where_wrong(table, columns, found.data, found.rows, found.shown, found.held)
    metrics = _metrics(found) | {
        "relations": _relations(relations, columns.targets),
        "where_wrong": to_builtins(wrong),
    }
    write_json_file(folder / "config.json", config)
    write_json_file(folder / "metrics.json", metrics)
    write_card(folder, predictor, config, metrics)
    write_script(folder)
    save_predictor(folder / MODEL, predictor)
    if found.structure is not None:
        write_structure(folder / STRUCTURE, found.structure.structure)
    write_sample(folder, found.data.x)
    _write_predictions(folder / "predictions.csv", found, table)


def check_table_run(config: TableConfig, metrics: TableMetrics, predictor: Predictor) -> None:
    """Raises unless the files of a run are of the same run, as far as they tell.

    Args:
        config: of ``config.json``.
        metrics: of ``metrics.json``.
        predictor: of ``model.npz``.

    Raises:
        ValueError: what is expected where, and what is there.
    """
    coding = predictor.coding
    same = (
        ("targets", list(coding.target_names), config.targets),
        ("method", predictor.method, config.method),
        ("features", sorted(getattr(coding, "inputs", ())), sorted(config.features)),
        ("columns", config.features, [column.name for column in config.columns]),
        ("labels", config.targets, [o.name for o in config.labels] or config.targets),
        ("distributions", [], [o for o in config.distributions if not _fits(o, config)]),
        ("folds", len(predictor.models), metrics.rows.folds),
        ("last line", predictor.method, metrics.leaderboard[-1].name),
    )
    for what, expected, got in same:
        if expected != got:
            raise ValueError(f"{what}: expected {str(expected)[:80]}, got {str(got)[:80]}")
    for column in config.columns:
        if not column.has_dates:
            raise ValueError(
                f"column {column.name[:40]!r}: expected dates, got {column.low} to {column.high}"
            )
    tables: list[Mapping[str, Any]] = [line.measures for line in metrics.leaderboard]
    tables += [line.relative for line in metrics.leaderboard]
    tables += list(metrics.weights.values())
    tables += [] if metrics.intervals is None else [metrics.intervals.tasks]
    if metrics.importance is not None:
        tables.append(metrics.importance.tasks)
        number = len(metrics.importance.groups)
        for worth in metrics.importance.tasks.values():
            lengths = [len(part) for part in (worth.added, worth.low, worth.high)]
            if lengths != [number] * 3:
                raise ValueError(
                    f"metrics.json: importance: expected {number} groups of columns, got "
                    f"{', '.join(map(str, lengths))} of them"
                )
    if (relations := metrics.relations) is not None:
        number = len(relations.tasks)
        if not set(relations.tasks) <= set(config.targets):
            raise ValueError(
                f"metrics.json: relations: expected targets of the run, got "
                f"{', '.join(relations.tasks)[:80]}"
            )
        for name in Relations._fields[1:]:
            sizes = [len(row) for row in getattr(relations, name)]
            if sizes != [number] * number:
                raise ValueError(
                    f"metrics.json: relations: expected {number} tasks each way in {name!r}, "
                    f"got rows of {', '.join(map(str, sizes))[:80] or 'none'}"
                )
    if metrics.structure is not None:
        check_record(metrics.structure, config.targets)
    if metrics.where_wrong is not None:
        metrics.where_wrong.check(predictor.tasks)
    for gain in (metrics.gain, metrics.sharing):
        tables += [] if gain is None else [gain.percent, gain.low, gain.high]
    for found in tables:
        if list(found) != config.targets:
            raise ValueError(
                f"metrics.json: expected the targets {', '.join(config.targets)}, got "
                f"{', '.join(found)[:80]}"
            )
    for line in metrics.leaderboard:
        for task in predictor.tasks:
            if main_measure(task).name not in line.measures[task.name]:
                raise ValueError(
                    f"metrics.json: expected {main_measure(task).name} of {task.name}, got none"
                )


def _fits(one: ColumnLearned, config: TableConfig) -> bool:
    kind = "number" if isinstance(one, NumbersLearned) else "category"
    return any((c.name, c.kind) == (one.name, kind) for c in config.columns)


def _metrics(found: TableFit) -> dict[str, Any]:
    targets = found.columns.targets
    tested = len(found.shown) < len(found.data.x)
    learned = np.concatenate([fold.test for fold in found.folds])
    names = [line.name for line in found.leaderboard[: len(found.weights)]]
    return {
        "format": FORMAT,
        "shown": TEST if tested else OUT_OF_FOLD,
        "rows": {"learned": len(learned), "shown": len(found.shown), "folds": len(found.folds)},
        "leaderboard": [_line(line, targets) for line in found.leaderboard],
        "weights": {
            name: dict(zip(targets, map(float, weights), strict=True))
            for name, weights in zip(names, found.weights, strict=True)
        },
        "gain": _gain(found.gain, targets),
        "sharing": _gain(found.sharing, targets),
        "structure": decision_record(found.structure, targets),
        "intervals": to_builtins(found.coverage),
        "importance": _importance(found.importance, targets),
    }


def _gain(gain: Gain | None, targets: tuple[str, ...]) -> dict[str, Any] | None:
    if gain is None:
        return None
    parts = ("percent", "low", "high")
    return {"over": gain.over} | {name: _by_task(targets, getattr(gain, name)) for name in parts}


def _importance(found: Importance, targets: tuple[str, ...]) -> dict[str, Any]:
    parts = ("added", "low", "high")
    return {
        "rows": found.rows,
        "groups": [list(group) for group in found.groups],
        "tasks": {
            target: {part: list(map(_finite, getattr(found, part)[:, t])) for part in parts}
            for t, target in enumerate(targets)
        },
    }


def _relations(found: Relations | None, targets: tuple[str, ...]) -> dict[str, Any] | None:
    if found is None:
        return None
    places, rows, *matrices = found
    listed = ([[_finite(round(one, 4)) for one in row] for row in part] for part in matrices)
    return {
        "tasks": [targets[t] for t in places],
        "rows": rows.tolist(),
        **dict(zip(Relations._fields[2:], listed, strict=True)),
    }


def _line(line: Line, targets: tuple[str, ...]) -> dict[str, Any]:
    return {
        "name": line.name,
        "description": line.description,
        "seconds": round(line.seconds, 3),
        "measures": {
            target: {name: _finite(value) for name, value in measured.items()}
            for target, measured in zip(targets, line.scores.by_task, strict=True)
        },
        "relative": _by_task(targets, line.scores.relative),
    }


def _by_task(targets: tuple[str, ...], values: Float[np.ndarray, " tasks"]) -> ByTask:
    return {target: _finite(value) for target, value in zip(targets, values, strict=True)}


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _write_predictions(path: Path, found: TableFit, table: CellTable) -> None:
    """Every row that was predicted unseen: row of the sheet, observed, predicted, probabilities."""
    order = np.argsort(found.rows[found.shown], kind="stable")
    shown, held = found.shown[order], found.held[order]
    rows = table.rows[found.rows[shown]]
    words = found.predictor.words(held)
    header, columns = ["sheet_row"], [rows.tolist()]
    for t, (task, part) in enumerate(
        zip(found.data.tasks, output_slices(found.data.tasks), strict=True)
    ):
        known, y = found.data.known[shown, t], found.data.y[shown, t]
        observed = [
            (task.classes[int(value)] if task.has_classes else float(value)) if there else None
            for value, there in zip(y.tolist(), known.tolist(), strict=True)
        ]
        header += [f"{task.name} observed", f"{task.name} predicted"]
        columns += [observed, words[task.name].tolist()]
        if task.has_classes:
            header += [f"{task.name} probability of {one}" for one in task.classes]
            columns += held[:, part].T.tolist()
    write_csv(path, header, zip(*columns, strict=True))

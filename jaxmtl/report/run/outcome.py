"""The files of a run, written into a folder."""

import dataclasses
import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxmtl.data import Dataset, Rows, Table
from jaxmtl.methods.study.parameters import parameter_counts
from jaxmtl.models import HardSharing
from jaxmtl.prediction.card import describe_phases, machine, versions
from jaxmtl.prediction.records import (
    ADAPTIVE,
    HARD,
    head_index_of,
    write_events,
    write_history,
    write_predictions,
)
from jaxmtl.prediction.save import (
    FORMAT,
    Reading,
    SavedNetwork,
    describe_network,
    save_network,
)
from jaxmtl.report.run.measures import measure
from jaxmtl.training import Phase, Run
from jaxmtl.training.in_chunks import predictor


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """Everything that a run folder is made of; see ``save_run``.

    Attributes:
        run: the adaptive run.
        model: that was trained.
        dataset: that it was trained on.
        baseline: plain hard sharing, or None.
        table: that the data set was prepared from, or None.
        phases: the schedule.
        shuffled: whether rows were shuffled every epoch.
        reading: how tables to predict are to be read.
        settings: whatever repeats the run, or None.
    """

    run: Run
    model: HardSharing
    dataset: Dataset
    baseline: Run | None
    table: Table | None
    phases: Sequence[Phase]
    shuffled: bool
    reading: Reading
    settings: Mapping[str, Any] | None


def write_run(folder: Path, outcome: Outcome) -> None:
    """Writes all files of a run.

    Args:
        folder: that exists.
        outcome: of the training.

    Raises:
        ValueError: a model that cannot be saved, or a task with several outputs.
    """
    _check(outcome)
    run, model, dataset = outcome.run, outcome.model, outcome.dataset
    runs = {ADAPTIVE: run}
    if outcome.baseline is not None:
        runs[HARD] = outcome.baseline
    parts = {name: rows for name, rows in dataset.splits._asdict().items() if rows is not None}
    predicted: dict[str, dict[str, np.ndarray]] = {}
    for name, one in runs.items():
        predict = predictor(model, one.params, one.head_index)
        predicted[name] = {split: predict(np.asarray(rows.x)) for split, rows in parts.items()}
    sheet_rows = None if outcome.shuffled else dataset.rows.train
    metrics = measure(runs, predicted, dataset, sheet_rows)
    metrics["parameters"] = parameter_counts(
        model, len(dataset.features), run.params, head_index_of(run)
    )
    _write_json(folder / "config.json", _configuration(outcome, metrics["status"]))
    _write_json(folder / "metrics.json", metrics)
    save_network(folder / "model.npz", _network(outcome))
    write_history(folder / "history.csv", runs, dataset.targets)
    write_events(folder / "events.csv", run, dataset.targets, sheet_rows)

    # Pictures show the rows that nothing was fitted to, if there are any.
    shown = next(split for split in ("test", "validation", "train") if split in parts)
    observed = _observed(dataset, outcome.table, shown, parts[shown])
    in_units = {name: dataset.decode(splits[shown]) for name, splits in predicted.items()}
    write_predictions(
        folder / "predictions.csv",
        dataset.targets,
        dataset.rows.test,  # without any, the table is empty
        observed,
        in_units,
    )
    from jaxmtl.report.pictures.of_a_run import (
        draw_pictures,  # matplotlib takes half a second to load
    )

    draw_pictures(folder, runs, model, dataset, shown, observed, in_units)


def _check(outcome: Outcome) -> None:
    model, targets = outcome.model, outcome.dataset.targets
    if tuple(model.outputs) != (1,) * len(targets):
        raise ValueError(
            f"model: expected one output for each of the targets {', '.join(targets)}, got outputs "
            f"{tuple(model.outputs)}"
        )


def _configuration(outcome: Outcome, status: str) -> dict[str, Any]:
    dataset = outcome.dataset
    return {
        "format": FORMAT,
        "status": status,
        "features": list(dataset.features),
        "targets": list(dataset.targets),
        "source": dataset.source,
        "network": describe_network(outcome.model),
        "phases": describe_phases(outcome.phases),
        "settings": None if outcome.settings is None else dict(outcome.settings),
        "versions": versions(),
        "machine": machine(),
        "written": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def _network(outcome: Outcome) -> SavedNetwork:
    run, baseline = outcome.run, outcome.baseline
    return SavedNetwork(
        model=outcome.model,
        params=run.params,
        head_index=head_index_of(run),
        coding=outcome.dataset,
        hard=None if baseline is None else (baseline.params, head_index_of(baseline)),
        reading=outcome.reading,
    )


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _observed(
    dataset: Dataset, table: Table | None, split: str, rows: Rows
) -> Float[np.ndarray, "rows tasks"]:
    observed = dataset.decode(rows.y)
    if rows.known is not None:
        observed = np.where(np.asarray(rows.known), observed, np.nan)
    if table is not None:
        exact = table.y[np.searchsorted(table.rows, getattr(dataset.rows, split))]
        observed = np.where(np.isnan(exact), observed, exact)
    return observed

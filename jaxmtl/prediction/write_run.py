"""The files of a run, but its pictures."""

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxmtl.data import Dataset, Rows, Table
from jaxmtl.files import write_json_file
from jaxmtl.methods.method import Fitted
from jaxmtl.methods.network_model import NetworkModel
from jaxmtl.methods.study.parameters import parameter_counts
from jaxmtl.models import HardSharing
from jaxmtl.prediction.belonging import undo_events
from jaxmtl.prediction.card import describe_phases, machine, versions
from jaxmtl.prediction.card_text import write_card
from jaxmtl.prediction.measures import measure, measure_fitted
from jaxmtl.prediction.predictor import Predictor, Reading
from jaxmtl.prediction.records import (
    ADAPTIVE,
    HARD,
    SPLITS,
    every_run,
    head_index_of,
    write_events,
    write_history,
    write_predictions,
)
from jaxmtl.prediction.run_json import FORMAT, STUDY
from jaxmtl.prediction.save import MODEL, save_predictor
from jaxmtl.prediction.script import write_script
from jaxmtl.prediction.yardsticks import yardsticks
from jaxmtl.tasks import number_tasks
from jaxmtl.training import Phase, Run

Predictions = Mapping[str, Mapping[str, Float[np.ndarray, "rows tasks"]]]


class Shown(NamedTuple):
    """What pictures of predictions show: rows that nothing was fitted to, if there are any.

    Attributes:
        split: of the rows.
        observed: in original units, NaN where not known.
        predicted: the same by the name of the run.
        beside: the same by the name of the yardstick.

    Example:
        >>> Shown("test", np.ones((1, 1)), {"ridge": np.ones((1, 1))}, {}).split
        'test'
    """

    split: str
    observed: Float[np.ndarray, "rows tasks"]
    predicted: Mapping[str, Float[np.ndarray, "rows tasks"]]
    beside: Mapping[str, Float[np.ndarray, "rows tasks"]]


def study_predictor(
    model: HardSharing,
    run: Run,
    baseline: Run | None,
    dataset: Dataset,
    reading: Reading,
) -> Predictor:
    """The adaptive network, and hard sharing beside it.

    Args:
        model: that was trained.
        run: the adaptive run.
        baseline: plain hard sharing, or None.
        dataset: that it was trained on, with one output a task.
        reading: how tables to predict are to be read.

    Returns:
        What the study ends in.

    Raises:
        ValueError: a task with several outputs, or a run without a bank.
    """
    targets = dataset.targets
    if tuple(model.outputs) != (1,) * len(targets):
        raise ValueError(
            f"model: expected one output for each of the targets {', '.join(targets)}, got outputs "
            f"{tuple(model.outputs)}"
        )
    one, *others = (
        NetworkModel(network=model, params=ended.params, head_index=head_index_of(ended))
        for ended in (run, baseline)
        if ended is not None
    )
    return Predictor(
        coding=dataset,
        tasks=number_tasks(targets),
        models=(one,),
        method=STUDY,
        reading=reading,
        baselines={HARD: others[0]} if others else {},
    )


def write_study(
    folder: Path,
    predictor: Predictor,
    runs: Mapping[str, Run],
    *,
    dataset: Dataset,
    table: Table | None,
    phases: Sequence[Phase],
    shuffled: bool,
    settings: Mapping[str, Any] | None,
) -> Shown:
    """Writes all files of a run of the study but its pictures.

    Args:
        folder: that exists.
        predictor: of ``study_predictor``.
        runs: by name, "adaptive" first.
        dataset: that they were trained on.
        table: that the data set was prepared from, or None.
        phases: the schedule.
        shuffled: whether rows were shuffled every epoch.
        settings: whatever repeats the run, or None.

    Returns:
        What pictures show.

    Raises:
        ValueError: a model that cannot be saved.
    """
    (model,), run = predictor.models, runs[ADAPTIVE]
    assert isinstance(model, NetworkModel)
    network: Any = model.network
    fields = model.spec()["fields"]
    index: Any = model.compacted().head_index
    start = undo_events(index, [(event.node, event.copy, event.tasks) for event in run.events])
    models = {ADAPTIVE: model, **predictor.baselines}
    parts = _parts(dataset)
    predicted = {
        name: {split: one.predict(np.asarray(rows.x)) for split, rows in parts.items()}
        for name, one in models.items()
    }
    sheet_rows = None if shuffled else dataset.rows.train
    beside = yardsticks(dataset, parts)
    metrics = measure(runs, predicted | beside, dataset, sheet_rows)
    metrics["parameters"] = parameter_counts(
        network, len(dataset.features), model.params, head_index_of(run)
    )
    config = _configuration(dataset, table, metrics["status"], STUDY, settings)
    config["network"] = {name: value for name, value in fields.items() if name != "capacity"}
    config["phases"] = describe_phases(phases)
    config["start"] = start.tolist()
    write_json_file(folder / "config.json", config)
    write_json_file(folder / "metrics.json", metrics)
    write_card(folder, predictor, config, metrics)
    write_script(folder)
    save_predictor(folder / MODEL, predictor)
    write_history(folder / "history.csv", runs, dataset.targets)
    write_events(folder / "events.csv", run, dataset.targets, sheet_rows)
    return _write_predictions(folder, predictor, predicted, beside, dataset, table)


def write_fitted(
    folder: Path,
    fitted: Fitted,
    *,
    method: str,
    dataset: Dataset,
    table: Table | None,
    reading: Reading,
    shuffled: bool,
    settings: Mapping[str, Any] | None,
) -> tuple[Predictor, Shown]:
    """Writes all files of a run of any method but its pictures.

    Args:
        folder: that exists.
        fitted: what the method left behind on the rows of the data set.
        method: its name.
        dataset: that it was trained on.
        table: that the data set was prepared from, or None.
        reading: how tables to predict are to be read.
        shuffled: whether rows were shuffled every epoch.
        settings: whatever repeats the run, or None.

    Returns:
        What predicts, and what pictures show.

    Raises:
        ValueError: a model that cannot be saved.
    """
    predictor = Predictor(
        coding=dataset,
        tasks=number_tasks(dataset.targets),
        models=fitted.models,
        method=method,
        reading=reading,
    )
    parts = _parts(dataset)
    own = {split: predictor.outputs(np.asarray(rows.x)) for split, rows in parts.items()}
    beside = yardsticks(dataset, parts)
    predicted = {method: own} | beside | {method: own}  # which may be the constant itself
    sheet_rows = None if shuffled else dataset.rows.train
    metrics = measure_fitted(method, fitted, predicted, dataset, sheet_rows)
    config = _configuration(dataset, table, metrics["status"], method, settings)
    write_json_file(folder / "config.json", config)
    write_json_file(folder / "metrics.json", metrics)
    write_card(folder, predictor, config, metrics)
    write_script(folder)
    save_predictor(folder / MODEL, predictor)
    if fitted.traces:
        traces = every_run(dict(zip(metrics["runs"], fitted.traces, strict=True)))
        write_history(folder / "history.csv", traces, dataset.targets)
        if len(traces) == 1 and fitted.traces[0].history.conflicts is not None:
            write_events(folder / "events.csv", fitted.traces[0], dataset.targets, sheet_rows)
    return predictor, _write_predictions(folder, predictor, {method: own}, beside, dataset, table)


def _parts(dataset: Dataset) -> dict[str, Rows]:
    return {name: rows for name, rows in dataset.splits._asdict().items() if rows is not None}


def _configuration(
    dataset: Dataset,
    table: Table | None,
    status: str,
    method: str,
    settings: Mapping[str, Any] | None,
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "status": status,
        "method": method,
        "features": list(dataset.features),
        "targets": list(dataset.targets),
        "source": dataset.source,
        "notes": [] if table is None else list(table.notes),
        "network": None,
        "phases": [],
        "settings": None if settings is None else dict(settings),
        "versions": versions(),
        "machine": machine(),
        "written": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def _write_predictions(
    folder: Path,
    predictor: Predictor,
    predicted: Predictions,
    beside: Predictions,
    dataset: Dataset,
    table: Table | None,
) -> Shown:
    shown = next(split for split in reversed(SPLITS) if split in _parts(dataset))
    observed = _observed(dataset, table, shown)
    in_units, yards = (
        {name: predictor.decoded(splits[shown]) for name, splits in some.items()}
        for some in (predicted, beside)
    )
    write_predictions(
        folder / "predictions.csv",
        dataset.targets,
        dataset.rows.test,  # without any, the table is empty
        observed,
        in_units,
    )
    return Shown(shown, observed, in_units, yards)


def _observed(dataset: Dataset, table: Table | None, split: str) -> Float[np.ndarray, "rows tasks"]:
    rows = getattr(dataset.splits, split)
    observed = dataset.decode(rows.y)
    if rows.known is not None:
        observed = np.where(np.asarray(rows.known), observed, np.nan)
    if table is not None:
        exact = table.y[np.searchsorted(table.rows, getattr(dataset.rows, split))]
        observed = np.where(np.isnan(exact), observed, exact)
    return observed

"""Files of a run of the study that do not belong together, or are none, are refused in words."""

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from made_runs import save_without_pictures
from refused import check_refused

import jaxmtl
from jaxmtl.data import Data, SplitIndices, table_of_cells
from jaxmtl.methods import Work, find_method
from jaxmtl.methods.saved import with_prefix
from jaxmtl.prediction.belonging import check_belonging, undo_events
from jaxmtl.prediction.calibration import intervals
from jaxmtl.prediction.coding_spec import coding_of, tasks_of
from jaxmtl.prediction.coverage import Held
from jaxmtl.prediction.dependence import partial_dependence
from jaxmtl.prediction.format_1 import from_format_1
from jaxmtl.prediction.kept import Kept
from jaxmtl.prediction.load import _coding_of
from jaxmtl.prediction.records import (
    EVENT_COLUMNS,
    HARD,
    LINE,
    MEAN,
    head_index_of,
    read_events,
)
from jaxmtl.prediction.run_json import ConfigRecord, Diverged, MetricsRecord, checked, read_json
from jaxmtl.prediction.save import load_predictor
from jaxmtl.report import load_run
from jaxmtl.tasks import number_tasks

DIVERGED = Diverged(phase=99, epoch=1, sample=0, task=None, sentence="it did")
EVENT = ["1", "4", "4", "7", "9", "1", "3", "5", "PM2.5"]


class Run:
    """A run folder, and what is in it."""

    def __init__(self, folder):
        self.folder = folder
        self.config = checked(folder, read_json(folder / "config.json"), ConfigRecord)
        self.metrics = checked(folder, read_json(folder / "metrics.json"), MetricsRecord)
        self.events = read_events(folder / "events.csv")
        self.predictor = load_predictor(folder)
        with np.load(folder / "model.npz", allow_pickle=False) as file:
            self.arrays = {name: file[name] for name in file.files}
        self.spec = json.loads(str(self.arrays.pop("spec")))

    def belong(self, *, events=None, models=None, metrics=None, **config):
        """Checks files of which some are another one's."""
        method = config.get("method", self.predictor.method)
        models = self.predictor.models if models is None else models
        check_belonging(
            msgspec.structs.replace(self.config, **config),
            msgspec.structs.replace(self.metrics, **(metrics or {})),
            self.events if events is None else events,
            dataclasses.replace(self.predictor, method=method, models=models),
        )

    def with_events(self, models):
        """A run of one method that has events."""
        ends = {name: msgspec.structs.replace(end) for name, end in self.metrics.runs.items()}
        runs = dict(list(ends.items())[:1])
        errors = {name: self.metrics.errors[name] for name in (HARD, MEAN, LINE)}
        metrics = {"errors": errors, "runs": runs}
        self.belong(method=HARD, models=models, metrics=metrics)

    def ended(self, **changes):
        """The ends of the runs, all of them changed."""
        ends = self.metrics.runs.items()
        return {"runs": {name: msgspec.structs.replace(end, **changes) for name, end in ends}}

    def of_method(self, errors, **config):
        """A run of one method beside the study's."""
        runs = dict(list(self.metrics.runs.items())[:1])
        self.belong(method=HARD, metrics={"errors": errors, "runs": runs}, **config)

    def coding(self, **changes):
        arrays = with_prefix(self.arrays, "coding/")
        coding_of({**self.spec["coding"], **changes}, arrays)

    def reading(self, **changes):
        self.coding(reading={**self.spec["coding"]["reading"], **changes})

    def model(self, place, arrays=None, **changes):
        """A file of a model with a changed spec."""
        spec = np.array(json.dumps({**self.spec, **changes}))
        np.savez(place / "model.npz", **{"spec": spec, **self.arrays, **(arrays or {})})
        load_predictor(place)


@pytest.fixture(scope="module")
def run(make, tmp_path_factory):
    folder = save_without_pictures(tmp_path_factory.mktemp("whole") / "run", make())
    return Run(Path(folder))


def events_of(place, *rows, header=EVENT_COLUMNS):
    with (place / "events.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    read_events(place / "events.csv")


def event(*changes):
    """A row of events with another cell at some places."""
    row = dict(zip(EVENT_COLUMNS, ["1"] * (len(EVENT_COLUMNS) - 1) + ["PM2.5"], strict=True))
    return list((row | dict(changes)).values())


def upside_down(run):
    ends = {name: np.arange(2.0) for name in ("feature_low", "feature_high")}
    arrays = {**with_prefix(run.arrays, "coding/"), "feature_low": ends["feature_high"] + 1}
    arrays["feature_high"] = ends["feature_high"]
    coding_of({**run.spec["coding"], "range": True}, arrays)


def not_finite(run):
    broken = {name: array + np.nan for name, array in run.predictor.models[0].arrays().items()}

    class Broken:
        def arrays(self):
            return broken

    dataclasses.replace(run.predictor, models=(Broken(),))._check_finite()


def comparison(place):
    (place / "config.json").write_text(
        json.dumps({"format": 1, "settings": {"arms": ["adaptive"]}}), encoding="utf-8"
    )
    load_run(place)


def without_events(run, place):
    folder = shutil.copytree(run.folder, place / "run")
    (folder / "events.csv").unlink()
    load_run(folder)


def kept(place, change):
    """What a fit has learned, damaged."""
    data = Data(
        x=np.zeros((4, 1)), y=np.ones((4, 1)), known=np.ones((4, 1), bool), tasks=number_tasks("y")
    )
    folds = [SplitIndices(np.arange(3), np.arange(0), np.array([3]))]
    store = Kept(place, data, folds, seed=0)
    store.save("mean", find_method("mean").fit(data, folds, None, Work()), 0.0)
    with np.load(store._path("mean"), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    change(arrays)
    np.savez(store._path("mean"), **arrays)
    store.load("mean")


def without_models(arrays):
    spec = json.loads(str(arrays["spec"]))
    arrays["spec"] = np.array(json.dumps(spec | {"models": []}))


def of_no_fold(arrays):
    for name in ("scores", "held"):
        arrays.pop(name, None)


HOW = {
    "errors of another method": lambda run, place: run.of_method({MEAN: {}}),
    "errors without those of a constant": lambda run, place: run.of_method({HARD: {}}),
    "a study without phases": lambda run, place: run.belong(phases=[]),
    "a study of another model": lambda run, place: run.belong(models=(object(),)),
    "other features": lambda run, place: run.belong(features=["SO2"]),
    "a run without its epochs": lambda run, place: run.belong(metrics=run.ended(epochs=None)),
    "two runs without a ratio": lambda run, place: run.belong(metrics={"ratio": None}),
    "a divergence in a phase that there is not": lambda run, place: run.belong(
        metrics={"status": "diverged", **run.ended(status="diverged", divergence=DIVERGED)},
        status="diverged",
    ),
    "a divergence of a run that went well": lambda run, place: run.belong(
        metrics=run.ended(divergence=msgspec.structs.replace(DIVERGED, phase=1))
    ),
    "two events of a phase": lambda run, place: run.belong(events=run.events * 2),
    "an event of other tasks": lambda run, place: run.belong(
        events=[{**run.events[0], "tasks": "NO2"}]
    ),
    "an event after its phase": lambda run, place: run.belong(
        events=[{**run.events[0], "epoch": 10**6}]
    ),
    "an event of another node": lambda run, place: run.belong(
        events=[{**run.events[0], "node": 2}]
    ),
    "events that begin elsewhere": lambda run, place: run.belong(start=[[0, 1, 1], [0, 1, 2]]),
    "events without a bank": lambda run, place: run.with_events((object(),)),
    "a node that there is not": lambda run, place: undo_events(np.array([[0], [0]]), [(5, 6, [0])]),
    "a copy that others read": lambda run, place: undo_events(np.array([[0], [1]]), [(0, 1, [0])]),
    "numbers for features": lambda run, place: run.coding(features=[1, 2]),
    "a type that is none": lambda run, place: run.coding(dtype="int8"),
    "a fill that is a number": lambda run, place: run.coding(fill=1),
    "a range that is none": lambda run, place: run.coding(range=0),
    "a range upside down": lambda run, place: upside_down(run),
    "missing features in another way": lambda run, place: run.reading(missing_features="guess"),
    "missing values that are lists": lambda run, place: run.reading(missing_values=[[1]]),
    "a header before the first row": lambda run, place: run.reading(header_row=0),
    "another decimal sign": lambda run, place: run.reading(decimal=";"),
    "tasks that are a name": lambda run, place: tasks_of("O3", ("O3",)),
    "a task whose unit is a number": lambda run, place: tasks_of([{"name": "O3", "unit": 3}], ()),
    "a task whose classes are a text": lambda run, place: tasks_of(
        [{"name": "O3", "kind": "classes", "classes": "ab"}], ()
    ),
    "tasks of other targets": lambda run, place: tasks_of(
        [task.to_json() for task in number_tasks(["CO"])], ("O3",)
    ),
    "spreads of other rows": lambda run, place: intervals(
        np.ones((1, 2)), np.ones(20), spreads=np.ones((1, 3))
    ),
    "spreads of nothing": lambda run, place: intervals(
        np.ones((1, 2)), np.ones(20), spreads=np.zeros((1, 2))
    ),
    "more rows held than there are": lambda run, place: Held(rows=1, held=2),
    "dependence of columns of numbers": lambda run, place: partial_dependence(
        run.predictor, np.ones((3, 2)), "SO2"
    ),
    "columns of numbers where any kind is asked for": lambda run, place: _coding_of(run.predictor),
    "no folder": lambda run, place: load_run(place / "nothing"),
    "a file for a folder": lambda run, place: load_run(run.folder / "config.json"),
    "the folder of a comparison": lambda run, place: comparison(place),
    "a folder without a file": without_events,
    "an array that format 1 has not": lambda run, place: from_format_1(
        {
            **dict.fromkeys(("format", "features", "targets", "dtype", "reading")),
            "network": {},
        },
        {"other/w": np.ones(1)},
    ),
    "a fit without models": lambda run, place: kept(place, without_models),
    "a fit of no fold": lambda run, place: kept(place, of_no_fold),
    "a frame without a column": lambda run, place: jaxmtl.load(run.folder).predict(
        pandas_frame(SO2=[1.0])
    ),
    "importance that was not measured": lambda run, place: jaxmtl.load(run.folder).importance(),
    "a predictor of other tasks": lambda run, place: dataclasses.replace(
        run.predictor, tasks=number_tasks(["CO"])
    ),
    "a predictor without models": lambda run, place: dataclasses.replace(run.predictor, models=()),
    "cells for numbers": lambda run, place: run.predictor.predict(table_of_cells({"SO2": [1]})),
    "a model of no numbers": lambda run, place: not_finite(run),
    "events of other columns": lambda run, place: events_of(place, header=["phase"]),
    "an event of two cells": lambda run, place: events_of(place, ["1", "2"]),
    "an event in words": lambda run, place: events_of(place, event(("node", "third"))),
    "an event before the first epoch": lambda run, place: events_of(place, event(("epoch", "0"))),
    "too large a table of events": lambda run, place: too_large(place),
    "a run without a bank": lambda run, place: head_index_of(without_bank()),
    "a model without a spec": lambda run, place: run.model(place, {"spec": np.ones(1)}),
    "a spec that is a list": lambda run, place: run.model(place, {"spec": np.array("[]")}),
    "a model of another format": lambda run, place: run.model(place, format=99),
    "a method that is a number": lambda run, place: run.model(place, method=3),
    "no models": lambda run, place: run.model(place, models=[]),
    "baselines that are a list": lambda run, place: run.model(place, baselines=[]),
    "an array too many": lambda run, place: run.model(place, {"other": np.ones(1)}),
}


def pandas_frame(**columns):
    import pandas as pd

    return pd.DataFrame(columns)


def too_large(place):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxmtl.prediction.records.MOST_BYTES", 10)
        events_of(place)


def without_bank():
    return jaxmtl.Run(params={}, head_index=None, history=None, events=None)


@pytest.mark.parametrize("case", HOW)
def test_what_is_refused(case, run, tmp_path):
    check_refused(lambda: HOW[case](run, tmp_path))

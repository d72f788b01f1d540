"""Damages of the folder of a run on a table: each is one sentence, or does no harm."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from damages import damaged, saved
from made_decision import made_decision
from some_cases import some

from jaxmtl.data import infer_columns, table_of_cells
from jaxmtl.files.errors import FileError
from jaxmtl.prediction.fit_table import Plan, fit_table
from jaxmtl.prediction.table_run import write_table_run
from jaxmtl.report import load_run, summarize


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    rng = np.random.default_rng(0)
    made = pd.DataFrame({"CO": rng.normal(size=60), "city": ["A", "B"] * 30})
    made["day"] = [f"2021-{1 + i % 12:02d}-{1 + i % 28:02d}" for i in range(60)]
    made["O3"] = 2 * made["CO"] + rng.normal(size=60)
    made["level"] = np.where(made["CO"] > 0, "high", "low")
    table = table_of_cells({name: made[name] for name in made})
    columns = infer_columns(table, targets=["O3", "level"])
    folder = tmp_path_factory.mktemp("table") / "run"
    folder.mkdir()
    found = fit_table(table, columns, Plan(families=("mean", "linear"), folds=3))
    found = dataclasses.replace(found, structure=made_decision(columns.targets))
    write_table_run(folder, found, table, settings={"preset": "table"})
    return folder


@pytest.fixture
def check(whole, tmp_path) -> Callable[[str, bytes], bool]:
    """Does something to a file of the run; whether that was found, and said in a sentence."""
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    before = {path.name: path.read_bytes() for path in whole.iterdir() if path.is_file()}

    def check(name: str, content: bytes) -> bool:
        (folder / name).write_bytes(content)
        try:
            summarize(load_run(folder))
        except FileError as error:
            text = str(error)
            assert text.startswith(("file ", "folder ")), text
            assert "\n" not in text, text
            assert len(text) < 1500, text
            return True
        finally:
            (folder / name).write_bytes(before[name])
        return False

    return check


@pytest.mark.parametrize("name", some(["config.json", "metrics.json"], "config.json"))
def test_json(check, whole, name, monkeypatch):
    run = load_run(whole)
    monkeypatch.setattr("jaxmtl.prediction.folder.load_predictor", lambda path: run.predictor)
    value = json.loads((whole / name).read_text(encoding="utf-8"))
    found = {what: check(name, json.dumps(v).encode()) for what, v in damaged(value)}
    assert len(found) > 150
    assert sum(found.values()) > len(found) / 2
    for place in ("('columns', 0, 'kind')", "('columns', 2, 'low')", "('notes',)"):
        # A column may hold no number, and then its range is null.
        changed = [what for what in found if what.startswith(place) and not what.endswith(": None")]
        told = [found[what] for what in changed]
        assert name == "metrics.json" or told.count(False) <= 1, place
    # A date beyond the calendar cannot be written.
    if name == "config.json":
        value["columns"][2]["low"] = 1e300
        assert check(name, json.dumps(value).encode())


def test_arrays(check, whole):
    with np.load(whole / "model.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    for name, array in arrays.items():
        bad = [np.array("text"), np.zeros(array.shape, bool), np.zeros((*array.shape, 2))]
        if array.dtype.kind == "f":
            bad += [array + np.inf, array.astype(np.float16)]
            # A task of which no left-out row has a label has no score.
            bad += [] if name == "intervals/scores" else [array * np.nan]
        if array.dtype.kind == "i":
            bad += [array + 1000, array * 1.0]
        for value in bad:
            assert check("model.npz", saved({**arrays, name: value})), (name, value)
        assert check("model.npz", saved({key: arrays[key] for key in arrays if key != name})), name

"""Files of a run on a table, and tables for its script, that cannot be are refused in words."""

import dataclasses
import json
import shutil

import msgspec
import numpy as np
import pandas as pd
import pytest
from damages import saved
from made_runs import save_without_pictures
from refused import check_refused

from jaxmtl.data import infer_columns, table_of_cells
from jaxmtl.plain import main as script
from jaxmtl.plain.folder import read_run
from jaxmtl.plain.links import linked
from jaxmtl.plain.table import open_table
from jaxmtl.prediction.dependence import partial_dependence
from jaxmtl.prediction.fit_table import Plan, fit_table
from jaxmtl.prediction.run_json import checked, read_json
from jaxmtl.prediction.save import load_predictor
from jaxmtl.prediction.table_run import (
    ImportanceRecord,
    RelationsRecord,
    TableConfig,
    TableMetrics,
    Worth,
    check_table_run,
    write_table_run,
)

FRAME = pd.DataFrame({"CO": np.linspace(0, 1, 24), "city": ["A", "B"] * 12})
FRAME["day"] = [f"2021-{1 + i % 12:02d}-{1 + i % 28:02d}" for i in range(24)]
FRAME["O3"] = 2 * FRAME["CO"] + np.tile([0.1, -0.1, 0.0], 8)


def cells(frame):
    return table_of_cells({name: frame[name] for name in frame})


class Run:
    """A run folder on a table, and that of a run of the study."""

    def __init__(self, folder, study):
        self.folder, self.study = folder, study
        self.config = checked(folder, read_json(folder / "config.json"), TableConfig)
        self.metrics = checked(folder, read_json(folder / "metrics.json"), TableMetrics)
        self.predictor = load_predictor(folder)
        with np.load(folder / "model.npz", allow_pickle=False) as file:
            self.arrays = {name: file[name] for name in file.files}

    def belong(self, metrics=None, **config):
        check_table_run(
            msgspec.structs.replace(self.config, **config),
            msgspec.structs.replace(self.metrics, **(metrics or {})),
            self.predictor,
        )

    def line(self, **changes):
        """The leaderboard with another last line."""
        *others, last = self.metrics.leaderboard
        self.belong({"leaderboard": [*others, msgspec.structs.replace(last, **changes)]})

    def relations(self, **changes):
        names = RelationsRecord.__struct_fields__
        none = {"tasks": ["O3"], **dict.fromkeys(names[1:], [[None]])}
        self.belong({"relations": RelationsRecord(**none | changes)})

    def script(self, text, *options, folder=None, name="new.csv", place=None):
        """The script on a table of this text, whose error is not turned into an exit."""
        (place / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        given = script._parser().parse_args([str(place / name), *map(str, options)])
        with np.errstate(all="ignore"):
            script._predict(str(folder or self.folder), given)

    def damaged(self, place, change, text="CO,city,day\n1,A,2021-01-01\n", metrics="{}"):
        """The script of a folder whose model was changed."""
        folder = place / "run"
        shutil.copytree(self.folder, folder)
        spec = json.loads(str(self.arrays["spec"]))
        arrays = dict(self.arrays)
        change(spec, arrays)
        (folder / "model.npz").write_bytes(saved({**arrays, "spec": np.array(json.dumps(spec))}))
        self.script(text, folder=folder, place=place)


@pytest.fixture(scope="module")
def run(make, tmp_path_factory):
    place = tmp_path_factory.mktemp("table")
    (place / "run").mkdir()
    table = cells(FRAME)
    columns = infer_columns(table, targets=["O3"])
    found = fit_table(table, columns, Plan(families=("mean", "linear"), folds=3))
    write_table_run(place / "run", found, table, settings={"preset": "table"})
    study = save_without_pictures(place / "study", make())
    return Run(place / "run", study)


def constant(run):
    x = run.predictor.coding.encode(cells(FRAME.drop(columns="O3"))).x
    partial_dependence(run.predictor, np.repeat(x[:1], 5, axis=0), "CO")


def no_date(run):
    *others, day = run.config.columns
    run.belong(columns=[*others, dataclasses.replace(day, low=1e300)])


def shuffled_groups(run):
    worth = Worth(added=[], low=[], high=[])
    record = ImportanceRecord(rows=3, groups=[["CO"]], tasks={"O3": worth})
    run.belong({"importance": record})


def one_file(run, place):
    (place / "model.npz").write_text("")
    read_run(str(place))


def of_format_99(spec, arrays):
    spec["format"] = 99


def of_jax(spec, arrays):
    network = {"network": "MTAN", "fields": {}}
    spec["models"] = [{"kind": "network", "spec": network}]


def without_scores(spec, arrays):
    arrays.pop("intervals/scores")


def without_intervals(spec, arrays):
    for name in [name for name in arrays if name.startswith("intervals/")]:
        arrays.pop(name)


def not_finite(spec, arrays):
    for name, array in arrays.items():
        if name.startswith("models/") and array.dtype.kind == "f":
            arrays[name] = array + np.inf


ROWS = "CO,city,day\n"
NUMBERS = "SO2,CO\n"
MODEL = {
    "another method": lambda run: run.belong(method="trees"),
    "a date beyond the calendar": no_date,
    "importance of other groups": shuffled_groups,
    "relations of other targets": lambda run: run.relations(tasks=["NO2"]),
    "relations of other sizes": lambda run: run.relations(rest=[]),
    "weights of other targets": lambda run: run.belong({"weights": {"linear": {"NO2": 1.0}}}),
    "a line without the measure": lambda run: run.line(measures={"O3": {}}),
    "dependence on a constant": constant,
    "numbers of a run on a table": lambda run: run.predictor.preprocessing,
    "an array for a table": lambda run: run.predictor.predict(np.ones((2, 3))),
    "a link that there is not": lambda run: linked([["cube", 1]], np.ones((1, 1)), np.ones(1)),
}
SCRIPT = {
    "a folder without a file": one_file,
    "a model of another format": lambda run, place: run.damaged(place, of_format_99),
    "a network that needs JAX": lambda run, place: run.damaged(place, of_jax),
    "intervals without a part": lambda run, place: run.damaged(place, without_scores),
    "a model that is not finite": lambda run, place: run.damaged(place, not_finite),
    "a level beyond 1": lambda run, place: run.script(ROWS, "--confidence", 90, place=place),
    "the table for the result": lambda run, place: run.script(
        ROWS, "-o", place / "new.csv", place=place
    ),
    "an older result": lambda run, place: run.script(
        ROWS, "-o", run.folder / "config.json", place=place
    ),
    "a folder for the result": lambda run, place: run.script(
        ROWS + "1,A,2021-01-01\n", "-o", place, "--force", place=place
    ),
    "intervals of the study": lambda run, place: run.script(
        NUMBERS, "--joint", folder=run.study, place=place
    ),
    "a gap where none may be": lambda run, place: run.script(
        NUMBERS + "1,\n2,3\n", folder=run.study, place=place
    ),
    "a number beyond the largest": lambda run, place: run.script(
        NUMBERS + "1,2\n1e300,3\n", folder=run.study, place=place
    ),
    "a row that is too long": lambda run, place: run.script(
        ROWS + "1,A,2021-01-01,2\n", place=place
    ),
    "a remark": lambda run, place: run.script(ROWS + "# soon\n", place=place),
    "a word for a date": lambda run, place: run.script(ROWS + "1,A,soon\n", place=place),
    "a date in another order": lambda run, place: run.script(
        ROWS + "1,A,01/02/2021\n", place=place
    ),
    "a day that there is not": lambda run, place: run.script(
        ROWS + "1,A,2021-02-31\n", place=place
    ),
    "no table": lambda run, place: open_table(str(place / "none.csv"), [], {}),
    "a folder for a table": lambda run, place: open_table(str(place), [], {}),
    "a workbook": lambda run, place: run.script("", name="new.xlsx", place=place),
    "an empty table": lambda run, place: run.script(" \n", place=place),
    "a header alone": lambda run, place: run.script(ROWS, place=place),
    "another alphabet": lambda run, place: run.script("CO,ü".encode("latin-1"), place=place),
    "bytes that are no text": lambda run, place: run.script(b"CO\0", place=place),
    "an open quotation mark": lambda run, place: run.script(ROWS + '1,"A,2\n', place=place),
    "another alphabet far below": lambda run, place: run.script(
        ROWS.encode() + b"1,A,2021-01-01\n" * 3000 + b"1,\xfc,2021-01-01\n", place=place
    ),
}


@pytest.mark.parametrize("case", MODEL)
def test_what_is_refused(case, run):
    check_refused(lambda: MODEL[case](run))


@pytest.mark.parametrize("case", SCRIPT)
def test_what_the_script_refuses(case, run, tmp_path):
    check_refused(lambda: SCRIPT[case](run, tmp_path))

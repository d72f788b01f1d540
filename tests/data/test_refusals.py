"""Options, codings, workbooks and parts that do not go together are refused in words."""

import errno
import os
import types
import zipfile

import numpy as np
import pytest
from made_workbooks import row, write_workbook
from refused import check_refused

from jaxmtl.data import infer_columns, read_table, table_of_cells
from jaxmtl.data.coding_json import check_coding
from jaxmtl.data.columns import Column
from jaxmtl.data.folds import Data, data_of
from jaxmtl.data.hints import groups_of, time_of
from jaxmtl.data.options import FoldOptions, ReadingOptions
from jaxmtl.data.reading import package
from jaxmtl.plain.values import ErrorText
from jaxmtl.tasks import number_tasks

NUMBER = {
    "name": "CO", "kind": "number", "missing": False,
    "low": 0, "high": 1, "center": 0, "scale": 1, "grid": None,
}  # fmt: skip
CATEGORY = {"name": "city", "kind": "category", "missing": False, "levels": ["A"], "coded": "code"}
DATE = {
    "name": "day", "kind": "date", "missing": False,
    "low": 0, "high": 1, "center": 0, "scale": 1, "parts": ["year"], "order": "ymd",
}  # fmt: skip


def coding(*columns):
    check_coding({"form": 2, "columns": list(columns), "tasks": ["CO"]})


def table(**cells):
    return table_of_cells(cells)


def columns(**named):
    return types.SimpleNamespace(time=None, group=None, columns=(), **named)


def data_set(*names):
    return types.SimpleNamespace(features=names, targets=("y",))


def rewritten(path, without):
    """The workbook without one of its parts."""
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist() if name != without}
    with zipfile.ZipFile(path, "w") as new:
        for name, content in parts.items():
            new.writestr(name, content)
    return path


def workbook(place, *rows):
    return write_workbook(place / "a.xlsx", "".join(rows or [row(1, "a", "b"), row(2, 1, 2)]))


def a_large_part(place):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package, "_MOST_SMALL", 10)
        read_table(workbook(place), features=["a"])


def a_wrong_offset(place):
    def fails(self, *args, **options):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    path = workbook(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "open", fails)
        read_table(path, features=["a"])


def hidden_rows(place):
    rows = [row(1, "a", "b"), row(2, 1, 2, looks=' hidden="1"')]
    read_table(workbook(place, *rows), features=["a"], visible_rows=True)


CALLS = {
    "a coding that is a list": lambda place: check_coding([]),
    "a coding of another form": lambda place: check_coding({"form": 1, "columns": 0, "tasks": 0}),
    "a column that is a name": lambda place: coding("CO"),
    "a column without a name": lambda place: coding(NUMBER | {"name": ""}),
    "a column of no kind": lambda place: coding(NUMBER | {"kind": "colour"}),
    "a column with a field too many": lambda place: coding(NUMBER | {"unit": "ppm"}),
    "a column without a field": lambda place: coding({"name": "CO", "kind": "number"}),
    "a field in words": lambda place: coding(NUMBER | {"missing": "no"}),
    "a level twice": lambda place: coding(CATEGORY | {"levels": ["A", "A"]}),
    "a level that is a number": lambda place: coding(CATEGORY | {"levels": [1]}),
    "levels coded otherwise": lambda place: coding(CATEGORY | {"coded": "hash"}),
    "a scale that is none": lambda place: coding(NUMBER | {"scale": float("nan")}),
    "a part of dates twice": lambda place: coding(DATE | {"parts": ["year", "year"]}),
    "an order of dates": lambda place: coding(DATE | {"order": "ydm"}),
    "a grid that falls": lambda place: coding(NUMBER | {"grid": [[1, 0], [0, 1]]}),
    "a grid of three lists": lambda place: coding(NUMBER | {"grid": [[0], [0], [0]]}),
    "a column twice": lambda place: coding(NUMBER, NUMBER),
    "a column of a file without a kind": lambda place: Column.from_json({"name": "CO"}),
    "another number of parts": lambda place: Data(
        x=np.zeros((3, 2)),
        y=np.zeros((3, 1)),
        known=np.ones((3, 1), bool),
        tasks=number_tasks(["y"]),
        parts=(None,),
    ),
    "data sets of other columns": lambda place: data_of([data_set("a"), data_set("b")]),
    "no column of times": lambda place: time_of(table(a=[1]), columns()),
    "no column of groups": lambda place: groups_of(table(a=[1]), columns()),
    "a target without a label": lambda place: infer_columns(
        table(a=[1, 2, 3], y=["", "", ""]), targets=["y"], kinds={"y": "number"}
    ),
    "an error of a spreadsheet": lambda place: infer_columns(
        table(a=[1, 2, 3], y=["up", "down", ErrorText("#REF!")]), targets=["y"]
    ),
    "one sign for two things": lambda place: ReadingOptions(decimal=".", thousands="point").check(),
    "times of a random split": lambda place: FoldOptions(time="day", split="random").check(),
    "a column that splits, without its name": lambda place: FoldOptions(split="column").check(),
    "a gap in a random split": lambda place: FoldOptions(split="random", gap=3).check(),
    "a large part of a workbook": a_large_part,
    "a wrong offset in a workbook": a_wrong_offset,
    "no book in a workbook": lambda place: read_table(
        rewritten(workbook(place), "xl/workbook.xml"), features=["a"]
    ),
    "no sheet in a workbook": lambda place: read_table(
        rewritten(workbook(place), "xl/worksheets/sheet1.xml"), features=["a"]
    ),
    "hidden rows alone": hidden_rows,
}


@pytest.mark.parametrize("case", CALLS)
def test_what_is_refused(case, tmp_path):
    check_refused(lambda: CALLS[case](tmp_path))

"""Options that go beyond the machine, the run or the command are refused in words."""

import errno
import io
import os
import types
from pathlib import Path

import numpy as np
import pytest
from refused import check_refused

import jaxmtl.cli
from jaxmtl.cli.compare import _check_rows
from jaxmtl.cli.errors import say
from jaxmtl.cli.inspect import _dependence
from jaxmtl.cli.paths import path_of

STUDY = types.SimpleNamespace(
    folder="run", predictor=types.SimpleNamespace(coding=None, tasks=()), config={}
)


class FullDisk(io.StringIO):
    def write(self, text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def say_where_there_is_no_room(patch):
    patch.setattr("sys.stdout", FullDisk())
    say("done")


def no_home(patch):
    patch.setattr("os.path.expanduser", lambda path: path)
    path_of("--out", "~/run")


def rows_of_many_seeds(patch):
    patch.setattr("jaxmtl.training.driver.placement.total_memory", lambda: 2**20)
    _check_rows(types.SimpleNamespace(x=np.ones((10, 2)), y=np.ones((10, 1))), 1000)


CALLS = {
    "a name that there is not": lambda patch: jaxmtl.cli.nothing,
    "no path": lambda patch: path_of("--out", " "),
    "no home folder": no_home,
    "no room for a result": say_where_there_is_no_room,
    "more seeds than rows fit": rows_of_many_seeds,
    "dependence of a run of the study": lambda patch: _dependence(
        STUDY, "SO2", None, None, Path("a.png"), force=False
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_what_is_refused(case, monkeypatch):
    check_refused(lambda: CALLS[case](monkeypatch))


def test_more_seeds_than_there_are(call, table):
    options = ["--seeds", 10, "--seed", 2**32 - 5, "--features", "SO2", "--targets", "O3"]
    assert call("compare", table, *options).code == 2


def test_intervals_of_a_run_of_the_study(call, made_run, table, tmp_path):
    for option in (["--confidence", 0.9], ["--joint"]):
        assert call("predict", made_run, table, "-o", tmp_path / "a.csv", *option).code == 2

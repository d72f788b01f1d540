"""A small table and one small run of it, shared by the tests of the shell."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import openpyxl
import pytest
from made_air import NAMES as TABLE_NAMES
from made_air import write

from jaxmtl.cli import run
from jaxmtl.training import Events, History, Run

COLUMNS = ("SO2", "CO", "PM2.5", "O3")
NAMES = ["--preset", "study", "--features", "SO2,CO", "--targets", "PM2.5,O3"]
# Short, and quick to split; every test has the same shapes, so that they compile once.
SHORT = ["--phases", "4,1,2;2", "--hard-epochs", "3"]


# Compiled once a model; operation by operation, the first start takes longer.
start = jax.jit(lambda model, key, x: model.init(key, x)["params"], static_argnums=0)


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(scope="session", autouse=True)
def no_compiled_programs_kept():
    """The tests of this process leave the cache of whoever runs them alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxmtl.cli.fit.use_cache", lambda **options: None)
        patch.setattr("jaxmtl.cli.compare.use_cache", lambda **options: None)
        yield


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    def call(*args: object) -> Result:
        capsys.readouterr()
        code = run([str(arg) for arg in args])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Result(code, captured.out, captured.err)

    return call


def write_table(path: Path, columns: Sequence[str] = COLUMNS, rows: int = 40) -> Path:
    """Two gases, one target that rises with them and one that falls."""
    rng = np.random.default_rng(0)
    x = rng.uniform([5, 0.2], [50, 2.0], (rows, 2))
    y = np.stack([20 + x @ [1.0, 20.0], 200 - x @ [3.0, 10.0]], axis=1)
    y += rng.normal(0, 2, y.shape)
    book = openpyxl.Workbook()
    book.active.title = "days"
    book.active.append(["day", *columns])
    for i, row in enumerate(np.concatenate([x, y], axis=1).round(2).tolist()):
        book.active.append([f"day {i}", *row])
    book.save(path)
    return path


@pytest.fixture
def make_table(tmp_path: Path) -> Callable[..., Path]:
    def make(columns: Sequence[str] = COLUMNS, rows: int = 40, name: str = "table.xlsx") -> Path:
        return write_table(tmp_path / name, columns, rows)

    return make


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have tests of their own, and take a second a run."""
    monkeypatch.setattr("jaxmtl.report.pictures.of_a_run.draw_pictures", lambda *args: None)


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch, no_pictures: None) -> list[dict[str, Any]]:
    """Makes `fit` skip the training, and the pictures.

    Returns what the two training functions were called with.
    """
    calls: list[dict[str, Any]] = []

    def skip(model, data, *, key, **options):
        calls.append({"model": model, "data": data, "seed": key, **options})
        tasks = data.train.y.shape[1]
        errors = {
            split: None if rows is None else np.full((1, tasks), 0.5, np.float32)
            for split, rows in data._asdict().items()
        }
        one = np.ones(1, int)
        return Run(
            params=start(model, key, data.train.x[:1]),
            head_index=model.initial_head_index(),
            history=History(phase=one, epoch=one, samples=one, conflicts=None, **errors),
            events=Events(log=None),
        )

    monkeypatch.setattr("jaxmtl.methods.study.run_study.fit_adaptive", skip)
    monkeypatch.setattr("jaxmtl.methods.study.run_study.fit", skip)
    return calls


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("table") / "air.xlsx")


@pytest.fixture(scope="session")
def made_run(tmp_path_factory: pytest.TempPathFactory, table: Path) -> Path:
    """Not to be changed by a test."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert run(["fit", str(table), *NAMES, *SHORT, "--out", str(folder), "--quiet"]) == 0
    return folder


@pytest.fixture
def own_run(made_run: Path, tmp_path: Path) -> Path:
    """A copy to be changed at will."""
    return Path(shutil.copytree(made_run, tmp_path / "own"))


@pytest.fixture(scope="session")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text table and a run of it, not to be changed by a test."""
    place = tmp_path_factory.mktemp("table")
    table = write(place / "air.csv", 120)
    assert run(["fit", str(table), *TABLE_NAMES, "--out", str(place / "run"), "--quiet"]) == 0
    return place

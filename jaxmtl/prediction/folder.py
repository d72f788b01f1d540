"""A run as a folder: everything to predict with, to judge it by, and to repeat it."""

import contextlib
import dataclasses
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, PyTree

from jaxmtl.data import Preprocessing, Table
from jaxmtl.duplication import HeadIndex
from jaxmtl.files.errors import FileError, RunFolderError
from jaxmtl.files.json_file import read_json_file
from jaxmtl.methods.network_model import NetworkModel
from jaxmtl.prediction.belonging import check_belonging
from jaxmtl.prediction.kept import UNFINISHED, unfinished_of
from jaxmtl.prediction.predictor import Predictor, Reading
from jaxmtl.prediction.records import HARD, read_events
from jaxmtl.prediction.run_json import (
    STUDY,
    ConfigRecord,
    MetricsRecord,
    checked,
    read_json,
)
from jaxmtl.prediction.save import MODEL, load_predictor
from jaxmtl.prediction.table_run import TABLE, TableConfig, TableMetrics, check_table_run

FILES = ("config.json", "metrics.json", "predictions.csv", MODEL)
STUDY_FILES = ("history.csv", "events.csv")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class SavedRun:
    """A run read from its folder.

    Attributes:
        folder: where it was read.
        predictor: the trained models and the coding of the columns.
        config: contents of ``config.json``.
        metrics: contents of ``metrics.json``.
        events: the duplications, one dictionary each.

    Example:
        >>> sorted(field.name for field in dataclasses.fields(SavedRun))[:4]
        ['config', 'events', 'folder', 'metrics']
    """

    folder: Path
    predictor: Predictor
    config: Mapping[str, Any]
    metrics: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]

    @property
    def method(self) -> str:
        """That trained it: "study" for the adaptive network and hard sharing beside it."""
        return self.predictor.method

    @property
    def dataset(self) -> Preprocessing:
        """Names, scalers and fill values of the columns."""
        return self.predictor.preprocessing

    @property
    def reading(self) -> Reading:
        """How tables to predict are to be read."""
        return self.predictor.reading

    @property
    def model(self) -> Any:
        """The network; the capacity of a bank is the number of columns in use.

        Raises:
            AttributeError: the run trained another kind of model, or one a fold.
        """
        return self._network.network

    @property
    def params(self) -> PyTree:
        """``model.apply({"params": params}, x, head_index)`` predicts scaled values."""
        return self._network.params

    @property
    def head_index(self) -> HeadIndex | None:
        """Which task reads which column; None without a bank."""
        return self._network.head_index

    @property
    def hard(self) -> tuple[PyTree, HeadIndex | None] | None:
        """Parameters and head index of plain hard sharing; None if it was not trained.

        They are for ``model.clone(capacity=None)`` or any other capacity that fits.
        """
        model = self.predictor.baselines.get(HARD)
        return (model.params, model.head_index) if isinstance(model, NetworkModel) else None

    def predict(
        self, x: Table | Float[np.ndarray, "rows features"]
    ) -> Float[np.ndarray, "rows tasks"]:
        """Predictions in original units.

        Args:
            x: features in original units, NaN where missing, or a table with these features.

        Returns:
            One column a target. If the run dropped rows with missing features, NaN for such rows.

        Raises:
            TableError: a feature is missing and the run neither fills nor drops, or the columns are
                other ones.
        """
        return self.predictor.predict(x)

    @property
    def _network(self) -> NetworkModel:
        models = self.predictor.models
        model, kinds = models[0], ", ".join(model.kind for model in models)
        if len(models) > 1 or not isinstance(model, NetworkModel):
            raise AttributeError(
                f"run {self.folder}: expected one network, got {kinds}; use run.predictor.models"
            )
        return model


def load_run(folder: str | os.PathLike[str]) -> SavedRun:
    """Reads a run folder, and checks that its files are whole and belong together.

    Args:
        folder: its path.

    Returns:
        The run; ``predict`` of it takes and gives original units.

    Raises:
        FileError: the folder is not there, is none of a run, or is damaged.

    Example:
        >>> load_run("no such folder")
        Traceback (most recent call last):
            ...
        jaxmtl.files.errors.RunFolderError: folder no such folder: there is no such folder; ...
    """
    folder = Path(folder)
    _refuse_unfinished(folder)
    if not folder.is_dir():
        what = "expected a folder, got a file" if folder.exists() else "there is no such folder"
        raise RunFolderError(f"folder {folder}: {what}; check the path")
    _refuse_comparison(folder)
    _check_files(folder, FILES)
    config, metrics = (read_json(folder / name) for name in ("config.json", "metrics.json"))
    if config.get("preset") == TABLE:
        return _table_run(folder, config, metrics)
    made: ConfigRecord = checked(folder / "config.json", config, ConfigRecord)
    found: MetricsRecord = checked(folder / "metrics.json", metrics, MetricsRecord)
    if made.method == STUDY:
        _check_files(folder, STUDY_FILES)
    file = folder / "events.csv"
    events = read_events(file) if file.exists() else []
    predictor = load_predictor(folder / MODEL)
    with _of_one_run(folder):
        check_belonging(made, found, events, predictor)
    return SavedRun(
        folder=folder, predictor=predictor, config=config, metrics=metrics, events=events
    )


def _table_run(folder: Path, config: dict[str, Any], metrics: dict[str, Any]) -> SavedRun:
    made: TableConfig = checked(folder / "config.json", config, TableConfig)
    found: TableMetrics = checked(folder / "metrics.json", metrics, TableMetrics)
    predictor = load_predictor(folder / MODEL)
    with _of_one_run(folder):
        check_table_run(made, found, predictor)
    return SavedRun(folder=folder, predictor=predictor, config=config, metrics=metrics, events=[])


@contextlib.contextmanager
def _of_one_run(folder: Path) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise RunFolderError(
            f"folder {folder}: its files do not belong together ({error}); copy the folder again "
            "or repeat the run"
        ) from error


def is_run_folder(folder: Path) -> bool:
    """Whether a folder looks like one of a run, so that a newer run may replace it.

    Args:
        folder: that exists.

    Returns:
        Whether the files of a run are in it.

    Example:
        >>> is_run_folder(Path("."))
        False
    """
    return all((folder / name).is_file() for name in ("config.json", "metrics.json", MODEL))


def _refuse_unfinished(folder: Path) -> None:
    """Raises RunFolderError with the way on for a run that is being learned, or was broken off."""
    name = os.path.realpath(folder)
    out = Path(name.removesuffix(UNFINISHED))
    kept = unfinished_of(out)
    if kept.is_dir() and (name.endswith(UNFINISHED) or not folder.exists()):
        raise RunFolderError(
            f"folder {folder}: the run is not finished, and what was learned so far is kept in "
            f"{kept}; wait for 'jaxmtl fit' to end, or give the same command again where it was "
            f"interrupted: it goes on, and writes {out}"
        )


def _refuse_comparison(folder: Path) -> None:
    """Raises RunFolderError with the way on for a folder that ``jaxmtl compare`` has written."""
    config = folder / "config.json"
    if (folder / "metrics.json").exists() or not config.is_file():
        return
    try:
        settings = read_json_file(config).get("settings")
    except FileError:
        return  # whoever reads it says what is wrong
    if not isinstance(settings, dict) or "arms" not in settings:
        return
    place = shlex.quote(os.fspath(folder))
    raise RunFolderError(
        f"folder {folder}: expected the folder of a run, got that of a comparison; see its "
        f"report.html, or train one of its methods with: jaxmtl fit --config {place} --method NAME "
        "--out DIR"
    )


def _check_files(folder: Path, names: Sequence[str]) -> None:
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise RunFolderError(
            f"folder {folder}: expected the folder of a run, got one without {missing[0]}; name a "
            "folder that 'jaxmtl fit' has written"
        )

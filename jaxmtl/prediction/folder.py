"""A run as a folder: everything to predict with, to judge it by, and to repeat it."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, PyTree

from jaxmtl.data import Preprocessing, Table
from jaxmtl.duplication import HeadIndex
from jaxmtl.files.errors import RunFolderError
from jaxmtl.models import HardSharing
from jaxmtl.prediction.records import read_events
from jaxmtl.prediction.save import FORMAT, Reading, load_network
from jaxmtl.training.in_chunks import predictor

FILES = (
    "config.json",
    "metrics.json",
    "history.csv",
    "events.csv",
    "predictions.csv",
    "model.npz",
)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class SavedRun:
    """A run read from its folder.

    Attributes:
        folder: where it was read.
        model: its capacity is the number of columns in use.
        params: ``model.apply({"params": params}, x, head_index)`` predicts scaled values.
        head_index: which task reads which column.
        dataset: names, scalers and fill values of the columns.
        hard: parameters and head index of plain hard sharing, for ``model.clone(capacity=None)`` or
            any other capacity that fits; None if it was not trained.
        reading: how tables to predict are to be read.
        config: contents of ``config.json``.
        metrics: contents of ``metrics.json``.
        events: the duplications, one dictionary each.

    Example:
        >>> sorted(field.name for field in dataclasses.fields(SavedRun))[:4]
        ['config', 'dataset', 'events', 'folder']
    """

    folder: Path
    model: HardSharing
    params: PyTree
    head_index: HeadIndex
    dataset: Preprocessing
    hard: tuple[PyTree, HeadIndex] | None
    reading: Reading
    config: Mapping[str, Any]
    metrics: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]

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
        values = np.asarray(x.x if isinstance(x, Table) else x, dtype=np.float64)
        known = np.ones(len(values), bool)
        if self.reading.missing_features == "drop" and values.ndim == 2:
            known = np.asarray(~np.isnan(values).any(axis=1))
            x = _only(x, known)
        predict = predictor(self.model, self.params, self.head_index)
        predicted = self.dataset.decode(predict(self.dataset.encode(x)))
        whole = np.full((len(known), predicted.shape[1]), np.nan)
        whole[known] = predicted
        return whole


def load_run(folder: str | os.PathLike[str]) -> SavedRun:
    """Reads a run folder.

    Args:
        folder: its path.

    Returns:
        The run; ``predict`` of it takes and gives original units.

    Raises:
        RunFolderError: the folder is not there, is none of a run, or is damaged.

    Example:
        >>> load_run("no such folder")
        Traceback (most recent call last):
            ...
        jaxmtl.files.errors.RunFolderError: folder no such folder: there is no such folder; ...
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "expected a folder, got a file" if folder.exists() else "there is no such folder"
        raise RunFolderError(f"folder {folder}: {what}; check the path")
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise RunFolderError(
            f"folder {folder}: expected the folder of a run, got one without {missing[0]}; name a "
            "folder that 'jaxmtl fit' has written"
        )
    config = read_json(folder / "config.json")
    network = load_network(folder / "model.npz")
    return SavedRun(
        folder=folder,
        model=network.model,
        params=network.params,
        head_index=network.head_index,
        dataset=network.coding,
        hard=network.hard,
        reading=network.reading,
        config=config,
        metrics=read_json(folder / "metrics.json"),
        events=read_events(folder / "events.csv"),
    )


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
    return all((folder / name).is_file() for name in ("config.json", "model.npz", "history.csv"))


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads ``config.json`` or ``metrics.json``.

    Args:
        path: of the file.

    Returns:
        What it holds.

    Raises:
        RunFolderError: the file does not open, is no JSON, or is of another version.

    Example:
        >>> read_json("a.json")
        Traceback (most recent call last):
            ...
        jaxmtl.files.errors.RunFolderError: file a.json: there is no such file; check the path
    """
    path = Path(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunFolderError(f"file {path}: there is no such file; check the path") from error
    except (OSError, ValueError) as error:
        raise RunFolderError(
            f"file {path}: expected JSON written by jaxmtl, got a damaged or other file ({error}); "
            "copy it again or repeat the run"
        ) from error
    got = found.get("format") if isinstance(found, dict) else None
    if got != FORMAT:
        raise RunFolderError(
            f"file {path}: expected JSON written by jaxmtl in format {FORMAT}, got format {got}; "
            "read it with the version of jaxmtl that wrote it"
        )
    return found


def _only(x: Any, known: np.ndarray) -> Any:
    if not isinstance(x, Table):
        return np.asarray(x)[known]
    return dataclasses.replace(x, x=x.x[known], y=x.y[known], rows=x.rows[known], kept={})

"""Families that are through, kept in files until all are: a fit that is broken off goes on."""

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxmtl.data import Data, Folds
from jaxmtl.files import FileError
from jaxmtl.files.arrays import read_arrays, write_arrays
from jaxmtl.files.json_file import json_text, parse_json
from jaxmtl.methods import Fitted
from jaxmtl.methods.models import model_of
from jaxmtl.methods.saved import check_fields, with_prefix
from jaxmtl.prediction.card import versions
from jaxmtl.tasks import output_widths

_ARRAYS = ("scores", "parameters", "splits", "steps", "diverged")
_NAME = re.compile(r"[a-z_]+-[0-9a-f]{16}(\.npz)?")  # of what is kept


class Kept:
    """What families have learned from the same rows, in a folder of its own.

    A name holds a checksum of all that the result hangs on, so that what was learned from other
    rows, with other options or by another version is passed over.

    Example:
        >>> import tempfile
        >>> from jaxmtl.data import SplitIndices
        >>> from jaxmtl.methods import Work, find_method
        >>> from jaxmtl.tasks import number_tasks
        >>> data = Data(x=np.zeros((6, 1)), y=np.ones((6, 1)), known=np.ones((6, 1), bool),
        ...             tasks=number_tasks(["CO"]))
        >>> folds = Folds(parts=(SplitIndices(np.arange(4), np.zeros(0, int), np.arange(4, 6)),))
        >>> with tempfile.TemporaryDirectory() as place:
        ...     kept = Kept(Path(place, "unfinished"), data, folds, seed=0)
        ...     kept.save("mean", find_method("mean").fit(data, folds, None, Work()), 0.1)
        ...     found = Kept(Path(place, "unfinished"), data, folds, seed=0).load("mean")
        >>> found[0].models[0].outputs.tolist(), found[1]
        ([1.0], 0.1)
    """

    def __init__(self, folder: Path, data: Data, folds: Folds, *, seed: int) -> None:
        """Names what is to be kept; writes nothing.

        Args:
            folder: that is made when there is something to keep.
            data: to learn from.
            folds: of it.
            seed: of the methods.
        """
        self.folder = folder
        self._data, self._folds = data, folds
        self._checksum = _checksum(data, folds, seed)

    def load(self, name: str) -> tuple[Fitted, float] | None:
        """What a family had learned, and the seconds it took; None where nothing is kept.

        Args:
            name: of the family.

        Raises:
            FileError: what is kept is damaged.
        """
        path = self._path(name)
        if not path.exists():
            return None
        arrays = read_arrays(path, texts=True, what="what a fit had learned")
        try:
            spec = parse_json(str(arrays.pop("spec", "")))
            return _fitted_of(spec, arrays, self._data, len(self._folds))
        except ValueError as error:
            raise FileError(
                f"file {path}: expected what a fit had learned, got a damaged file ({error}); "
                "remove it, and it is learned anew"
            ) from error

    def save(self, name: str, fitted: Fitted, seconds: float) -> None:
        """Keeps what a family has learned.

        Args:
            name: of the family.
            fitted: what it learned.
            seconds: that it took.

        Raises:
            FileError: nothing can be written there.
        """
        spec = {
            "models": [{"kind": model.kind, "spec": model.spec()} for model in fitted.models],
            "chosen": [dict(chosen) for chosen in fitted.chosen],
            "notes": list(fitted.notes),
            "seconds": seconds,
        }
        arrays: dict[str, Any] = {name: getattr(fitted, name) for name in _ARRAYS}
        for k, model in enumerate(fitted.models):
            arrays |= {f"{k}/{at}": np.asarray(array) for at, array in model.arrays().items()}
        self._made()
        write_arrays(self._path(name), {"spec": np.array(json_text(spec)), **arrays}, texts=True)
        shutil.rmtree(self.checkpoint(name), ignore_errors=True)

    def checkpoint(self, name: str) -> Path:
        """A folder for the checkpoints of a family at work.

        Args:
            name: of the family.
        """
        return self._path(name).with_suffix("")

    def _made(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(
                f"folder {self.folder}: cannot be written ({error.strerror}); check the path and "
                "its permissions"
            ) from error

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}-{self._checksum}.npz"


def names_kept(folder: Path) -> list[str]:
    """Names of what is kept in a folder, of whatever rows.

    Args:
        folder: that may not be there.

    Returns:
        Files and folders of checkpoints.

    Example:
        >>> names_kept(Path("no such folder"))
        []
    """
    if not folder.is_dir():
        return []
    return sorted(name for name in os.listdir(folder) if _NAME.fullmatch(name))


def remove_kept(folder: Path) -> None:
    """Removes what is kept, and the folder unless something else is in it.

    Args:
        folder: that may not be there.
    """
    for name in names_kept(folder):
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _checksum(data: Data, folds: Folds, seed: int) -> str:
    found = hashlib.sha256()
    about = {
        "tasks": [task.to_json() for task in data.tasks],
        "parts": [repr(part) for part in data.parts],
        "versions": versions(),
        "seed": seed,
    }
    found.update(json_text(about).encode())
    arrays = [data.x, data.y, data.known]
    for fold in folds:
        arrays += [fold.train, fold.validation, fold.test]
    for array in arrays:
        found.update(f"{array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def _fitted_of(
    spec: Any, arrays: Mapping[str, np.ndarray], data: Data, folds: int
) -> tuple[Fitted, float]:
    check_fields("spec", spec, {"models", "chosen", "notes", "seconds"})
    if len(spec["models"]) != folds:
        raise ValueError(f"models: expected {folds}, got {len(spec['models'])}")
    outputs = sum(output_widths(data.tasks))
    models = []
    for k, saved in enumerate(spec["models"]):
        check_fields(f"model {k}", saved, {"kind", "spec"})
        own = with_prefix(arrays, f"{k}/")
        features = data.x.shape[1]
        models.append(
            model_of(saved["kind"], saved["spec"], own, features=features, outputs=outputs)
        )
    missing = [name for name in _ARRAYS if name not in arrays or len(arrays[name]) != folds]
    if missing:
        raise ValueError(f"array {missing[0]!r}: expected one of {folds} folds")
    found: dict[str, Any] = {name: arrays[name] for name in _ARRAYS}
    fitted = Fitted(
        models=tuple(models),
        chosen=tuple(spec["chosen"]),
        notes=tuple(spec["notes"]),
        **found,
    )
    return fitted, float(spec["seconds"])

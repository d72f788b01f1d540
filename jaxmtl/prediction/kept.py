"""Families that are through, kept in files until all are: a fit that is broken off goes on."""

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from jaxmtl.data import Data, Folds
from jaxmtl.files import FileError
from jaxmtl.files.arrays import read_arrays, write_arrays
from jaxmtl.files.drafts import remove_left_over
from jaxmtl.files.json_file import json_text, parse_json
from jaxmtl.files.locked import LOCK, locked
from jaxmtl.methods import Fitted
from jaxmtl.methods.models import model_of
from jaxmtl.methods.saved import described, with_prefix
from jaxmtl.prediction.card import machine, versions
from jaxmtl.tasks import output_widths

UNFINISHED = ".unfinished"  # after the name of the folder that is to be written
_ARRAYS = ("scores", "parameters", "splits", "steps", "diverged")
_NAME = re.compile(r"[a-z_]+-[0-9a-f]{16}(\.npz)?")  # of what is kept


class _SavedModel(msgspec.Struct, forbid_unknown_fields=True):
    kind: str
    spec: dict[str, Any]


class _Saved(msgspec.Struct, forbid_unknown_fields=True):
    """All of a ``Fitted`` but its arrays, and the seconds that it took."""

    models: list[_SavedModel]
    notes: list[str]
    seconds: float


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

    def __init__(
        self,
        folder: Path,
        data: Data,
        folds: Folds,
        *,
        seed: int,
        asked: Mapping[str, Any] | None = None,
    ) -> None:
        """Names what is to be kept; writes nothing.

        Args:
            folder: that is made when there is something to keep.
            data: to learn from.
            folds: of it.
            seed: of the methods.
            asked: what else the result hangs on, JSON values by name; None for nothing.
        """
        self.folder = folder
        self._data, self._folds = data, folds
        self._checksum = _checksum(data, folds, seed, asked)

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
        try:
            arrays = read_arrays(path, texts=True, what="what a fit had learned")
            spec = parse_json(str(arrays.pop("spec", "")))
            saved = msgspec.convert(spec, _Saved)
            return _fitted_of(saved, arrays, self._data, len(self._folds)), saved.seconds
        except FileError as error:
            raise FileError(f"{error}, or remove it, and it is learned anew") from error
        except (ValueError, msgspec.ValidationError) as error:
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
            "models": [described(model) for model in fitted.models],
            "notes": list(fitted.notes),
            "seconds": seconds,
        }
        arrays: dict[str, Any] = {name: getattr(fitted, name) for name in _ARRAYS}
        for k, (model, chosen) in enumerate(zip(fitted.models, fitted.chosen, strict=True)):
            arrays |= {f"{k}/{at}": np.asarray(array) for at, array in model.arrays().items()}
            # Not as JSON: a penalty may be infinite.
            arrays |= {f"chosen/{k}/{at}": np.asarray(value) for at, value in chosen.items()}
        write_arrays(self._path(name), {"spec": np.array(json_text(spec)), **arrays}, texts=True)
        shutil.rmtree(self.checkpoint(name), ignore_errors=True)

    def checkpoint(self, name: str) -> Path:
        """A folder for the checkpoints of a family at work.

        Args:
            name: of the family.
        """
        return self._path(name).with_suffix("")

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}-{self._checksum}.npz"


@contextlib.contextmanager
def kept_in(folder: Path) -> Iterator[None]:
    """Keeps other processes from a folder of what is kept, which goes again if nothing is in it.

    Args:
        folder: made if it is not there.

    Raises:
        FileError: another process is writing it, or nothing can be written there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     with kept_in(Path(place, "unfinished")):
        ...         there = Path(place, "unfinished").is_dir()
        ...     there, Path(place, "unfinished").exists()
        (True, False)
    """
    ours = False
    try:
        with locked(folder):
            ours = True
            yield
    finally:
        if ours and not names_kept(folder):
            remove_kept(folder)


def unfinished_of(out: str | os.PathLike[str]) -> Path:
    """Where a fit that is to write a folder keeps what it has learned until then.

    Args:
        out: the folder; of a link, where that leads to.

    Example:
        >>> unfinished_of("run").name
        'run.unfinished'
    """
    return Path(f"{os.path.realpath(out)}{UNFINISHED}")


def names_kept(folder: Path) -> list[str]:
    """Names of what is kept in a folder, of whatever rows.

    Args:
        folder: that may not be there.

    Returns:
        Files, and folders with checkpoints in them.

    Example:
        >>> names_kept(Path("no such folder"))
        []
    """
    paths = [folder / name for name in _own(folder)]
    return [path.name for path in paths if path.is_file() or any(path.rglob("*.npz"))]


def remove_kept(folder: Path) -> None:
    """Removes what is kept, and the folder unless something else is in it.

    Args:
        folder: that may not be there.
    """
    for name in _own(folder):
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    remove_left_over(folder)  # by a process that was killed as it wrote
    (folder / LOCK).unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _own(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(name for name in os.listdir(folder) if _NAME.fullmatch(name))


def _checksum(data: Data, folds: Folds, seed: int, asked: Mapping[str, Any] | None) -> str:
    found = hashlib.sha256()
    about = {
        "tasks": [task.to_json() for task in data.tasks],
        "parts": [repr(part) for part in data.parts],
        "versions": versions(),
        "machine": machine(),
        "seed": seed,
        "asked": asked,
    }
    found.update(json_text(about).encode())
    arrays = [data.x, data.y, data.known]
    for fold in folds:
        arrays += [fold.train, fold.validation, fold.test]
    for array in arrays:
        found.update(f"{array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def _fitted_of(saved: _Saved, arrays: Mapping[str, np.ndarray], data: Data, folds: int) -> Fitted:
    if len(saved.models) != folds:
        raise ValueError(f"models: expected {folds}, got {len(saved.models)}")
    wrong = [name for name in _ARRAYS if name not in arrays or arrays[name].shape[:1] != (folds,)]
    if wrong:
        got = f"shape {arrays[wrong[0]].shape}" if wrong[0] in arrays else "none"
        raise ValueError(
            f"array {wrong[0]!r}: expected an entry for each of {folds} folds, got {got}"
        )
    features, outputs = data.x.shape[1], sum(output_widths(data.tasks))
    models, chosen = [], []
    for k, model in enumerate(saved.models):
        own = with_prefix(arrays, f"{k}/")
        models.append(model_of(model.kind, model.spec, own, features=features, outputs=outputs))
        of_fold = with_prefix(arrays, f"chosen/{k}/")
        chosen.append({name: array.tolist() for name, array in of_fold.items()})
    found: dict[str, Any] = {name: arrays[name] for name in _ARRAYS}
    return Fitted(models=tuple(models), chosen=tuple(chosen), notes=tuple(saved.notes), **found)

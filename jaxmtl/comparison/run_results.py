"""Results of runs of any kind: made one after the other, checked, and kept in a folder."""

import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxmtl._words import short
from jaxmtl.files.errors import FileError
from jaxmtl.files.json_file import read_json_file, write_json_file
from jaxmtl.files.names import folder_name
from jaxmtl.files.working import WorkingFolder
from jaxmtl.methods.method import OnProgress
from jaxmtl.training import SweepProgress

BARE = "result"  # the measure of what a run returns without a name
RESULTS = "results.json"

Measured = Mapping[str, np.ndarray]
"""Of one run and seed: numbers or arrays (tasks,) by the names of the measures."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Results:
    """What all runs came to.

    Attributes:
        values: by measure, then by run: (seeds, tasks).
        scalar: by measure, whether it is one number, not one a task.
        seconds: by run: (seeds,); NaN for results that were given.
    """

    values: Mapping[str, Mapping[str, Float[np.ndarray, "seeds tasks"]]]
    scalar: Mapping[str, bool]
    seconds: Mapping[str, Float[np.ndarray, " seeds"]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Where results are kept.

    Attributes:
        folder: for this comparison alone.
        resume: go on with what is there, if anything is.
        force: what is there may be replaced.
        asked: what the comparison is of, JSON values.
    """

    folder: str | os.PathLike[str]
    resume: bool
    force: bool
    asked: Mapping[str, Any]

    @property
    def working(self) -> WorkingFolder:
        """The folder with its words."""
        return WorkingFolder(
            path=Path(self.folder),
            kind="comparison of runs",
            complete=RESULTS,
            words=("resume=True", "force=True", "checkpoint"),
        )


def run_all(
    runs: Mapping[str, Any],
    seeds: Sequence[int],
    given: Callable[[int], Any],
    place: Place | None,
    on_progress: OnProgress | None,
) -> Results:
    """Calls every run for every seed, but for results that are there already.

    Args:
        runs: functions, or finished results by seed, by their names.
        seeds: their numbers.
        given: from the place of a seed to what a function is called with.
        place: where results are kept; None for nowhere.
        on_progress: called after every run.

    Returns:
        The results.

    Raises:
        ValueError: results of other measures or shapes than those of the first.
        FileError: a folder of something else, or one that another process is writing.
    """
    work = _Work(runs, seeds, given, on_progress)
    if place is None:
        return work.results(None)
    working = place.working
    resume = place.resume and (working.is_begun() or working.is_through())
    if working.is_complete(place.asked, resume=resume):
        return work.read(Path(place.folder, RESULTS))
    with working.opened(place.asked, force=place.force, resume=resume):
        found = work.results(Path(place.folder, working.checkpoint))
        record = {"runs": {name: work.kept[name] for name in runs}}
        write_json_file(Path(place.folder, RESULTS), record, force=True)
    return found


class _Work:
    def __init__(
        self,
        runs: Mapping[str, Any],
        seeds: Sequence[int],
        given: Callable[[int], Any],
        on_progress: OnProgress | None,
    ) -> None:
        self.runs, self.seeds, self.given = runs, seeds, given
        self.on_progress = on_progress
        self.kept: dict[str, list[Any]] = {name: [] for name in runs}
        self._first: tuple[str, Measured] | None = None

    def results(self, folder: Path | None) -> Results:
        """Seed by seed, so that what is broken off can be compared as far as it is."""
        began, total = time.perf_counter(), len(self.runs) * len(self.seeds)
        found: dict[str, list[Measured]] = {name: [] for name in self.runs}
        seconds: dict[str, list[float]] = {name: [] for name in self.runs}
        for done, (place, seed, name) in enumerate(self._turns(), 1):
            file = folder and Path(folder, folder_name(name), f"{seed}.json")
            record = None if file is None or not file.exists() else _read(file)
            if record is None:
                at = time.perf_counter()
                run = self.runs[name]
                returned = run(self.given(place)) if callable(run) else run[place]
                measured = self._checked(name, seed, returned)
                spent = time.perf_counter() - at if callable(run) else None
                record = {"seconds": spent, "measures": _to_json(measured)}
                if file is not None:
                    file.parent.mkdir(parents=True, exist_ok=True)
                    write_json_file(file, record, force=True)
            self._enter(name, seed, record, found, seconds)
            if self.on_progress is not None:
                spent = time.perf_counter() - began
                left = spent * (total - done) / done
                self.on_progress(name, SweepProgress(total, done, done, total, left))
        return self._joined(found, seconds)

    def read(self, path: Path) -> Results:
        """Results of a comparison that is complete."""
        kept = read_json_file(path, what="results of runs").get("runs")
        found: dict[str, list[Measured]] = {name: [] for name in self.runs}
        seconds: dict[str, list[float]] = {name: [] for name in self.runs}
        for place, seed, name in self._turns():
            try:
                record = kept[name][place]  # pyright: ignore[reportOptionalSubscript]
            except (KeyError, IndexError, TypeError) as error:
                raise FileError(
                    f"file {path}: expected a result of {name!r} at seed {seed}, got none; remove "
                    "the folder to start anew"
                ) from error
            self._enter(name, seed, record, found, seconds)
        return self._joined(found, seconds)

    def _turns(self) -> Iterator[tuple[int, int, str]]:
        for place, seed in enumerate(self.seeds):
            for name in self.runs:
                yield place, seed, name

    def _enter(self, name: str, seed: int, record: Any, found: Any, seconds: Any) -> None:
        found[name].append(self._checked(name, seed, _from_json(record["measures"])))
        spent = record.get("seconds")
        seconds[name].append(math.nan if spent is None else float(spent))
        self.kept[name].append(record)

    def _checked(self, name: str, seed: int, returned: Any) -> Measured:
        """Raises ValueError unless a result has the measures and shapes of the first one."""
        start = f"runs: {name!r}, seed {seed}"
        named = returned if isinstance(returned, Mapping) else {BARE: returned}
        if not named or not all(isinstance(key, str) and key for key in named):
            raise ValueError(f"{start}: expected values by names of measures, got {short(named)}")
        measured = {key: _numbers(start, key, value) for key, value in named.items()}
        if self._first is None:
            self._first = f"{name!r}, seed {seed}", measured
        first, like = self._first
        if set(measured) != set(like):
            raise ValueError(
                f"{start}: expected the measures {', '.join(sorted(like))}, those of {first}, got "
                f"{', '.join(sorted(measured))}; return the same from every run"
            )
        for key, value in like.items():
            if measured[key].shape != value.shape:
                raise ValueError(
                    f"{start}: expected {key} of shape {value.shape}, that of {first}, got "
                    f"{measured[key].shape}; return as many values from every run"
                )
        return {key: measured[key] for key in like}

    def _joined(self, found: Mapping[str, list[Measured]], seconds: Any) -> Results:
        assert self._first is not None
        like = self._first[1]
        values = {
            key: {
                name: np.stack([np.atleast_1d(one[key]) for one in each])
                for name, each in found.items()
            }
            for key in like
        }
        return Results(
            values=values,
            scalar={key: value.ndim == 0 for key, value in like.items()},
            seconds={name: np.array(spent) for name, spent in seconds.items()},
        )


def as_numbers(value: Any) -> np.ndarray:
    """An array of float64.

    Args:
        value: a number, or what NumPy takes for an array of numbers.

    Returns:
        The array.

    Raises:
        ValueError: None, texts, or anything else that NumPy would make a number of.

    Example:
        >>> as_numbers([1, True]).tolist()
        [1.0, 1.0]
    """
    array = np.asarray(value)
    if not jnp.issubdtype(array.dtype, np.number) and array.dtype != bool:
        raise ValueError(f"an array of {array.dtype}")
    if jnp.issubdtype(array.dtype, np.complexfloating):
        raise ValueError("complex numbers")
    return array.astype(np.float64)


def _numbers(start: str, measure: str, value: Any) -> np.ndarray:
    try:
        array = as_numbers(value)
    except (TypeError, ValueError, RuntimeError) as error:
        said = str(error).partition("\n")[0]
        raise ValueError(
            f"{start}: expected {measure} as a number or an array (tasks,), got "
            f"{type(value).__name__} ({said}); make a float of it"
        ) from error
    if array.ndim > 1 or not array.size:
        raise ValueError(
            f"{start}: expected {measure} as a number or an array (tasks,), got shape "
            f"{array.shape}; take its mean, or return it by several names"
        )
    return array


def _to_json(measured: Measured) -> dict[str, Any]:
    """JSON has no NaN: what is not finite is a text."""

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(part) for part in value]
        return value if math.isfinite(value) else repr(value)

    return {name: plain(value.tolist()) for name, value in measured.items()}


def _from_json(saved: Mapping[str, Any]) -> dict[str, Any]:
    return {name: np.asarray(value, dtype=np.float64) for name, value in saved.items()}


def _read(file: Path) -> dict[str, Any]:
    record = read_json_file(file, what="the result of a run")
    if not isinstance(record.get("measures"), dict):
        raise FileError(f"file {file}: expected the result of a run, got none; remove the file")
    return record

"""What ``config.json`` and ``metrics.json`` of a run hold, and how they are read."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from jaxmtl.files import RunFolderError, read_json_file

FORMAT = 1  # of config.json and metrics.json
STUDY = "study"

Status = Literal["finished", "diverged"]
Natural = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
ByTask = dict[str, float | None]


class PhaseRecord(Struct):
    """A phase of the schedule, as ``jaxmtl.Phase`` takes it."""

    epochs: Positive
    warmup: Natural
    threshold: Natural | None
    learning_rate: float


class ConfigRecord(Struct):
    """What is read of ``config.json``: how the run was made."""

    status: Status
    features: list[str]
    targets: list[str]
    source: str
    settings: dict[str, Any] | None
    versions: dict[str, str]
    machine: dict[str, Any]
    written: str
    method: str = STUDY
    network: dict[str, Any] | None = None
    phases: list[PhaseRecord] = []
    start: list[list[int]] | None = None
    notes: list[str] = []


class Combined(Struct):
    """What combined the gradients of the tasks did, on average."""

    weights: ByTask
    conflict_rate: float | None
    unconverged: Natural


class Diverged(Struct):
    """Where a run stopped."""

    phase: Positive
    epoch: Positive
    sample: Natural
    task: str | None
    sentence: str


class Ending(Struct):
    """How a run ended."""

    status: Status
    epochs: Natural | None = None
    combination: Combined | None = None
    divergence: Diverged | None = None
    chosen: dict[str, Any] = {}


class SplitErrors(Struct):
    """Errors on the rows of a split; null where nothing was known or finite."""

    mse_scaled: ByTask
    mean_mse_scaled: float | None
    rmse: ByTask
    mae: ByTask
    r2: ByTask | None = None


class Ratio(Struct):
    """Errors of a split over those that they are compared with."""

    by_task: ByTask
    of_means: float | None


class RowCounts(Struct):
    """Rows of each split."""

    train: Positive
    validation: Natural
    test: Natural


class MetricsRecord(Struct):
    """What is read of ``metrics.json``: how the runs ended, and how well they predict."""

    status: Status
    runs: dict[str, Ending]
    rows: RowCounts
    errors: dict[str, dict[str, SplitErrors]]
    parameters: dict[str, int]
    ratio: dict[str, Ratio] | None = None
    relative: dict[str, ByTask] | None = None
    notes: list[str] = []


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads ``config.json`` or ``metrics.json``, whatever fields it has.

    Args:
        path: of the file.

    Returns:
        What it holds.

    Raises:
        FileError: the file does not open or is no JSON; a ``RunFolderError`` if it is of another
            version.

    Example:
        >>> read_json("a.json")
        Traceback (most recent call last):
            ...
        jaxmtl.files.errors.MissingFileError: file a.json: there is no such file; check the path
    """
    found = read_json_file(path, what="JSON written by jaxmtl")
    got = found.get("format")
    if not isinstance(got, int) or isinstance(got, bool) or got != FORMAT:
        raise RunFolderError(
            f"file {path}: expected JSON written by jaxmtl in format {FORMAT}, got format "
            f"{str(got)[:60]}; read it with the version of jaxmtl that wrote it"
        )
    return found


def checked(path: Path, found: Mapping[str, Any], record: Any) -> Any:
    """What was read, as a record of the fields that are looked at.

    Args:
        path: of the file, for the error.
        found: what it holds.
        record: ``ConfigRecord`` or ``MetricsRecord``.

    Returns:
        An instance of it.

    Raises:
        RunFolderError: a field is missing or of another type.

    Example:
        >>> checked(Path("config.json"), {"status": 1}, ConfigRecord)
        ... # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        jaxmtl.files.errors.RunFolderError: file config.json: ...
    """
    try:
        return msgspec.convert(found, record)
    except (msgspec.ValidationError, OverflowError, RecursionError) as error:
        raise RunFolderError(
            f"file {path}: expected what 'jaxmtl fit' writes, got another field ({error}); copy it "
            "again or repeat the run"
        ) from error

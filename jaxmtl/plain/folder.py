"""A run folder without the package: its models, and what its columns mean."""

import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .columns import level_of
from .errors import RunError
from .models import SavedModel, below, network_that_needs_jax, saved_model

FORMAT = 2  # of the file of models
BOUNDS = ("fold", "scores", "terms", "spreads")


class PlainRun(NamedTuple):
    """What is needed to predict rows.

    Attributes:
        folder: where it lies.
        coding: of columns of any kind; None where all are numbers.
        numbers: scales, fill values and range where all columns are numbers.
        names: of the columns that a table needs.
        tasks: as they are saved.
        models: one a fold.
        reading: how tables are to be read.
        calibration: arrays of errors of rows left out; empty without any.
        level: of intervals.
    """

    folder: str
    coding: Mapping[str, Any] | None
    numbers: Mapping[str, Any]
    names: tuple[str, ...]
    tasks: list[dict[str, Any]]
    models: list[SavedModel]
    reading: Mapping[str, Any]
    calibration: dict[str, np.ndarray]
    level: float

    @property
    def targets(self) -> list[str]:
        """Names of the tasks."""
        return [task["name"] for task in self.tasks]


def read_run(folder: str) -> PlainRun:
    """Reads a run folder, without unpickling anything.

    Args:
        folder: its path.

    Returns:
        The run.

    Raises:
        RunError: the folder is none, is damaged, or holds a network that needs JAX.

    Example:
        >>> read_run("no such folder")
        Traceback (most recent call last):
            ...
        jaxmtl.plain.errors.RunError: folder no such folder: expected that of a run, got one ...
    """
    for name in ("model.npz", "metrics.json"):
        if not os.path.isfile(os.path.join(folder, name)):
            raise RunError(
                f"folder {folder}: expected that of a run, got one without {name}; copy the whole "
                "folder"
            )
    with open(os.path.join(folder, "metrics.json"), encoding="utf-8") as file:
        metrics = json.load(file)
    with (
        open(os.path.join(folder, "model.npz"), "rb") as opened,
        np.load(opened, allow_pickle=False) as file,
    ):
        spec = json.loads(str(file["spec"]))
        if spec["format"] != FORMAT:
            raise RunError(
                f"folder {folder}: expected a model of format {FORMAT}, got format "
                f"{spec['format']!r:.60}; use 'jaxmtl predict'"
            )
        name = network_that_needs_jax(spec["models"])
        if name is not None:
            raise RunError(
                f"folder {folder}: its network ({name}) needs JAX; use 'jaxmtl predict' instead"
            )
        arrays = {name: file[name] for name in file.files if not name.startswith("baselines/")}
    coding, calibration = spec["coding"], below(arrays, "intervals/")
    if calibration and set(calibration) != set(BOUNDS):
        raise ValueError(f"intervals: expected {', '.join(BOUNDS)}, got {', '.join(calibration)}")
    table = coding.get("table")
    names = coding["features"] if table is None else [one["name"] for one in table["columns"]]
    return PlainRun(
        folder=folder,
        coding=table,
        numbers=below(arrays, "coding/") | {"dtype": coding.get("dtype")},
        names=tuple(names),
        tasks=spec["tasks"],
        models=[
            saved_model(one, below(arrays, f"models/{k}/")) for k, one in enumerate(spec["models"])
        ],
        reading=coding["reading"],
        calibration=calibration,
        level=level_of(metrics),
    )

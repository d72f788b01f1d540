"""The per-seed frame as arrays: one error an arm, seed and task."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

if TYPE_CHECKING:
    import pandas as pd

OVERALL = "overall"
KINDS = ("arm", "line")


class PerSeed(NamedTuple):
    """Errors with their names, in the order in which the frame first mentions them.

    Attributes:
        arms: names.
        contests: for every arm whether it is a contestant, else it is a reference line.
        seeds: their numbers, sorted.
        tasks: names of the targets.
        measures: names of the tasks' main measures; none where the frame does not say.
        error: what arms are compared by, NaN where a run diverged or is not in the frame.
        present: whether the frame has all rows of a run.
        rows: of the frame, the position of each (arm, seed, task); -1 where there is none.
        scaled: whether errors are those of scaled targets, as where the frame does not say.
        better: "lower" or "higher", for a measure of one's own; empty for errors of tasks.

    Example:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"arm": ["plain", "plain"], "kind": "arm", "seed": 0,
        ...                       "task": ["CO", "O3"], "error": [0.5, 1.5]})
        >>> read_per_seed(frame).overall.tolist()
        [[1.0]]
    """

    arms: tuple[str, ...]
    contests: Bool[np.ndarray, " arms"]
    seeds: np.ndarray
    tasks: tuple[str, ...]
    measures: tuple[str, ...]
    error: Float[np.ndarray, "arms seeds tasks"]
    present: Bool[np.ndarray, "arms seeds"]
    rows: np.ndarray
    scaled: bool = True
    better: str = ""

    @property
    def sign(self) -> int:
        """1 where lower is better, -1 where higher is."""
        return -1 if self.better == "higher" else 1

    @property
    def overall(self) -> Float[np.ndarray, "arms seeds"]:
        """Mean over the tasks; NaN where one is."""
        return self.error.mean(axis=2)

    @property
    def relative(self) -> bool:
        """Whether errors are relative to a constant prediction, since tasks differ in kind."""
        return len(set(self.measures)) > 1

    def column(self, frame: "pd.DataFrame", name: str) -> Float[np.ndarray, "arms seeds tasks"]:
        """Another column of the frame in the same places, NaN where there is nothing."""
        values = frame[name].astype("Float64").to_numpy(float, na_value=np.nan)
        return np.where(self.rows >= 0, values[self.rows], np.nan)


def read_per_seed(frame: "pd.DataFrame", columns: tuple[str, ...] = ()) -> PerSeed:
    """Checks the frame and sorts its errors into an array.

    Where the frame names several measures, a mean over the tasks of their errors has no meaning:
    the column ``relative``, errors relative to a constant prediction, then stands for ``error``.

    Args:
        frame: one row an arm, seed and task.
        columns: that are needed besides arm, kind, seed, task and error.

    Returns:
        The errors; those that are not finite are NaN.

    Raises:
        ValueError: a column is missing, there are no rows, a kind is unknown or not one an arm, a
            task has two measures, or an arm, seed and task has two rows.

    Example:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"arm": ["plain", "ridge"], "kind": ["arm", "line"], "seed": 0,
        ...                       "task": "CO", "error": [0.5, 0.25]})
        >>> runs = read_per_seed(frame)
        >>> runs.arms, runs.contests.tolist(), runs.error.shape
        (('plain', 'ridge'), [True, False], (2, 1, 1))
    """
    import pandas as pd

    needed = ("arm", "kind", "seed", "task", "error", *columns)
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise ValueError(
            f"per_seed: expected the columns {', '.join(needed)}, got none of the name "
            + ", ".join(repr(name) for name in missing)
        )
    if not len(frame):
        raise ValueError("per_seed: expected one row an arm, seed and task, got no rows")
    arm, arms = pd.factorize(frame["arm"])
    task, tasks = pd.factorize(frame["task"])
    seed, seeds = pd.factorize(frame["seed"], sort=True)
    twice = frame.duplicated(["arm", "seed", "task"])
    if twice.any():
        row = frame[twice].iloc[0]
        raise ValueError(
            "per_seed: expected one row an arm, seed and task, got several for "
            f"arm {row['arm']!r}, seed {row['seed']}, task {row['task']!r}"
        )
    rows = np.full((len(arms), len(seeds), len(tasks)), -1)
    rows[arm, seed, task] = np.arange(len(frame))
    measures = _measures(frame, tuple(tasks))
    compared = "error"
    if len(set(measures)) > 1:
        compared = "relative"
        if compared not in frame.columns:
            raise ValueError(
                f"per_seed: tasks are measured by {' and '.join(sorted(set(measures)))}, whose "
                "mean has no meaning; expected the column 'relative' of errors relative to a "
                "constant prediction"
            )
    error = frame[compared].astype("Float64").to_numpy(float, na_value=np.nan)
    error = np.where(rows >= 0, error[rows], np.nan)
    return PerSeed(
        arms=tuple(arms),
        contests=_contests(frame, tuple(arms)),
        seeds=np.asarray(seeds),
        tasks=tuple(tasks),
        measures=measures,
        error=np.where(np.isfinite(error), error, np.nan),
        present=np.asarray((rows >= 0).all(axis=2)),
        rows=rows,
        scaled="scaled" not in frame.columns or bool(frame["scaled"].any()),
        better=_better(frame),
    )


def _better(frame: "pd.DataFrame") -> str:
    """Which way is better, of the column of that name; empty where there is none."""
    if "better" not in frame.columns:
        return ""
    found = set(frame["better"])
    if len(found) != 1 or not found <= {"lower", "higher"}:
        raise ValueError(
            f"per_seed: expected 'lower' throughout or 'higher' as better, got {sorted(found)}"
        )
    return str(found.pop())


def _measures(frame: "pd.DataFrame", tasks: tuple[str, ...]) -> tuple[str, ...]:
    """Name of the measure of each task; none where the frame does not have them."""
    if "measure" not in frame.columns:
        return ()
    found: dict[str, str] = {}
    for task, measure in zip(frame["task"], frame["measure"], strict=True):
        if found.setdefault(task, measure) != measure:
            raise ValueError(
                f"per_seed: expected one measure a task, got {found[task]!r} and {measure!r} for "
                f"task {task!r}"
            )
    return tuple(found[task] for task in tasks)


def _contests(frame: "pd.DataFrame", arms: tuple[str, ...]) -> Bool[np.ndarray, " arms"]:
    kinds: dict[str, str] = {}
    for arm, kind in zip(frame["arm"], frame["kind"], strict=True):
        if kind not in KINDS:
            raise ValueError(f"per_seed: expected kind 'arm' or 'line', got {kind!r} for {arm!r}")
        if kinds.setdefault(arm, kind) != kind:
            raise ValueError(f"per_seed: expected one kind an arm, got both for {arm!r}")
    return np.array([kinds[arm] == "arm" for arm in arms])

"""One row an arm, best first."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from jaxmtl.comparison.per_seed import PerSeed, read_per_seed
from jaxmtl.statistics.paired import bootstrap_mean

if TYPE_CHECKING:
    import pandas as pd


def leaderboard(
    per_seed: "pd.DataFrame", *, independent: str = "independent", seed: int = 0
) -> "pd.DataFrame":
    """The means of every arm over its seeds, best first, reference lines at the end.

    Runs that diverged have no errors and are left out of the means, which flatters their arm; only
    the mean rank counts them, as last.

    Args:
        per_seed: one row an arm, seed and task, with the columns arm, kind ("arm", or "line" for
            one that is no contestant), seed, task, error, measure (name of the task's main
            measure), value (of that measure, in original units), parameters, splits, seconds,
            diverged; and relative, errors relative to a constant prediction, which are then
            compared instead of error, if the measures of the tasks differ; and better, "lower" or
            "higher", if error and value hold a measure of one's own; and runs, what an arm costs in
            runs of the schedule, if that is known.
        independent: the arm of networks trained on one task each, the baseline of Δm.
        seed: of the bootstrap.

    Returns:
        A frame with the columns arm; kind; ``<task> <measure>``, such as "CO rmse", and ``<task>
        error`` of each task; error (mean over tasks), error_low, error_high (95 % bootstrap
        interval over the seeds, for which see `bootstrap_mean`; seeds that split one table anew are
        not independent, and their interval is too narrow); delta_m and worst_task, the mean and the
        worst over the tasks of the error's change against the independent networks of the same seed
        in percent, averaged over the seeds (negative: better; NaN without that arm); mean_rank
        among the contestants over the tasks and the seeds that all of them ran (1 is best);
        parameters, splits, and runs if known (means); seconds (median); seeds (how many were run);
        diverged (how many of them).

    Raises:
        ValueError: a column is missing, or an arm, seed and task has several rows.

    Example:
        >>> import pandas as pd
        >>> per_seed = pd.DataFrame({
        ...     "arm": ["independent"] * 2 + ["shared"] * 2, "kind": "arm", "seed": 0,
        ...     "task": ["a", "b"] * 2, "error": [2.0, 1.0, 1.0, 1.1],
        ...     "measure": "rmse", "value": 10.0, "parameters": 9, "splits": 0, "seconds": 0.1,
        ...     "diverged": False})
        >>> leaderboard(per_seed)[["arm", "error", "delta_m", "worst_task", "mean_rank"]].round(2)
                   arm  error  delta_m  worst_task  mean_rank
        0       shared   1.05    -20.0        10.0        1.5
        1  independent   1.50      0.0         0.0        1.5
    """
    import pandas as pd

    needed = ("measure", "value", "parameters", "splits", "seconds", "diverged")
    runs = read_per_seed(per_seed, needed)
    value = runs.column(per_seed, "value")
    columns: dict[str, object] = {
        "arm": runs.arms,
        "kind": np.where(runs.contests, "arm", "line"),
    }
    for task, (name, measure) in enumerate(zip(runs.tasks, runs.measures, strict=True)):
        columns[value_column(name, measure)] = _mean(value[:, :, task])
        columns[f"{name} error"] = _mean(runs.error[:, :, task])
    overall = bootstrap_mean(runs.overall.T, seed=seed)
    columns |= {"error": overall.mean, "error_low": overall.low, "error_high": overall.high}
    columns |= dict(zip(("delta_m", "worst_task"), _against(runs, independent), strict=True))
    columns["mean_rank"] = _mean_rank(runs)

    # These are the same in all tasks of a run.
    of_run = {
        name: runs.column(per_seed, name)[:, :, 0]
        for name in ("parameters", "splits", "seconds", "diverged")
    }
    columns |= {name: _mean(of_run[name]) for name in ("parameters", "splits")}
    if "runs" in per_seed.columns:
        columns["runs"] = _mean(runs.column(per_seed, "runs")[:, :, 0])
    columns["seconds"] = [_median(row) for row in of_run["seconds"]]
    columns["seeds"] = (runs.rows >= 0).any(axis=2).sum(axis=1)
    columns["diverged"] = (of_run["diverged"] == 1).sum(axis=1)
    board = pd.DataFrame(columns)
    if runs.better:
        board["better"] = runs.better
    board = board.sort_values(
        ["kind", "error"], ascending=[True, runs.sign > 0], kind="stable", na_position="last"
    )
    return board.reset_index(drop=True)


def value_column(task: str, measure: str) -> str:
    """The name of the column of a task's measure.

    Args:
        task: its name; that of the measure itself where there are no tasks to tell apart.
        measure: its name.

    Returns:
        Both.

    Example:
        >>> value_column("CO", "rmse"), value_column("accuracy", "accuracy")
        ('CO rmse', 'accuracy')
    """
    return measure if task == measure else f"{task} {measure}"


def _mean(values: Float[np.ndarray, "arms seeds"]) -> Float[np.ndarray, " arms"]:
    """Over the seeds that are known; NaN, without a warning, where none is."""
    known = ~np.isnan(values)
    number = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _median(values: Float[np.ndarray, " seeds"]) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else np.nan


def _against(runs: PerSeed, independent: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and worst change over the tasks, in percent, averaged over the seeds."""
    if independent not in runs.arms:
        nothing = np.full(len(runs.arms), np.nan)
        return nothing, nothing
    base = runs.error[runs.arms.index(independent)][None]
    # A baseline of 0 can only be worsened, by no finite percentage.
    change = runs.sign * (runs.error - base)
    change = np.where(base > 0, 100 * change / np.where(base > 0, base, 1.0), np.nan)
    return _mean(change.mean(axis=2)), _mean(change.max(axis=2))


def _mean_rank(runs: PerSeed) -> Float[np.ndarray, " arms"]:
    """Ranks among the contestants; equal errors share the mean of their ranks."""
    ranks = np.full(len(runs.arms), np.nan)
    common = np.asarray(runs.present[runs.contests].all(axis=0))
    if not common.any() or not runs.contests.any():
        return ranks
    error = runs.sign * runs.error[runs.contests][:, common]
    error = np.where(np.isnan(error), np.inf, error)
    better = np.array([(error < mine).sum(axis=0) for mine in error])
    equal = np.array([(error == mine).sum(axis=0) for mine in error])
    ranks[runs.contests] = (better + (equal + 1) / 2).mean(axis=(1, 2))
    return ranks

"""Pictures of a comparison: paired differences, and error against size."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure

from jaxmtl.comparison import PerSeed, read_per_seed
from jaxmtl.report.pictures.comparison_rows import (
    Names,
    label_arms,
    name_arms_and_tasks,
    relabel,
    relabel_runs,
)
from jaxmtl.report.pictures.differences_picture import draw_differences
from jaxmtl.report.pictures.parameters_picture import draw_error_against_parameters
from jaxmtl.report.pictures.style import looks, save

DIFFERENCES = "differences"
PARAMETERS = "error_against_parameters"
NEEDED = ("measure", "parameters")  # columns, besides those of errors


def plot_differences(
    per_seed: pd.DataFrame,
    contrasts: pd.DataFrame,
    reference: str,
    *,
    labels: Mapping[str, str] | None = None,
) -> Figure:
    """Paired differences of every arm against the reference, overall and task by task.

    A row is an arm: a faint dot a seed, the mean, and its 95 % interval, which is that of Nadeau
    and Bengio where the contrasts have one. Contestants come best first, lines apart below them.
    What lies far outside the range of the contestants is an arrow at the edge.

    Args:
        per_seed: one row an arm, seed and task, with columns arm, kind, seed, task and error.
        contrasts: one row an arm and quantity, in % of the reference's mean error.
        reference: name of the arm at the line of zero.
        labels: what arms are called, by name; others are called by their name, without underscores.

    Returns:
        A figure that no global state knows of.

    Raises:
        ValueError: the reference is not an arm of the frame.

    Example:
        >>> per_seed = pd.DataFrame({
        ...     "arm": ["plain", "plain", "split", "split"], "kind": "arm",
        ...     "seed": [0, 1, 0, 1], "task": "a", "error": [2.0, 2.0, 1.0, 2.0]})
        >>> contrasts = pd.DataFrame({
        ...     "arm": ["split"], "quantity": ["overall"], "percent": [-25.0],
        ...     "percent_low": [-50.0], "percent_high": [0.0], "nb_low": [float("nan")],
        ...     "nb_high": [float("nan")], "verdict": ["not distinguishable"]})
        >>> plot_differences(per_seed, contrasts, "plain").axes[0].get_title(loc="left")
        'a, paired differences of 2 seeds'
    """
    runs = read_per_seed(per_seed)
    shown = label_arms(runs.arms, labels)
    if reference not in shown:
        raise ValueError(
            f"reference: expected one of {', '.join(shown)}, got {reference!r}; name an arm of the "
            "comparison"
        )
    runs = relabel_runs(runs, shown)
    names = names_of(runs)
    with looks(names.labels):
        return draw_differences(runs, relabel(contrasts, shown), shown[reference], names)


def plot_error_against_parameters(
    leaderboard: pd.DataFrame,
    per_seed: pd.DataFrame,
    *,
    labels: Mapping[str, str] | None = None,
) -> Figure:
    """Error of every arm against the number of its active parameters.

    A point is an arm, with the interval of its mean error and the range of its parameters over the
    seeds. Reference lines have no parameters to speak of: they are dashed lines across the picture.

    Args:
        leaderboard: one row an arm, with columns arm, kind, error, error_low, error_high and
            parameters.
        per_seed: one row an arm, seed and task, with columns arm, kind, seed, task, error, measure
            and parameters.
        labels: what arms are called, by name; others are called by their name, without underscores.

    Returns:
        A figure that no global state knows of.

    Example:
        >>> leaderboard = pd.DataFrame({
        ...     "arm": ["split", "plain"], "kind": "arm", "error": [0.1, 0.2],
        ...     "error_low": [0.05, 0.1], "error_high": [0.15, 0.3], "parameters": [55.0, 46.0]})
        >>> per_seed = pd.DataFrame({
        ...     "arm": ["plain", "split"], "kind": "arm", "seed": 0, "task": "a",
        ...     "error": [0.2, 0.1], "measure": "rmse", "parameters": [46, 55]})
        >>> plot_error_against_parameters(leaderboard, per_seed).axes[0].get_title()
        'Error against size'
    """
    runs = read_per_seed(per_seed, NEEDED)
    shown = label_arms(runs.arms, labels)
    sizes = parameters_of(runs, per_seed)
    runs = relabel_runs(runs, shown)
    names = names_of(runs)
    with looks(names.labels):
        return draw_error_against_parameters(relabel(leaderboard, shown), runs, sizes, names)


def write_comparison_pictures(
    folder: str | os.PathLike[str],
    *,
    leaderboard: pd.DataFrame,
    contrasts: pd.DataFrame,
    per_seed: pd.DataFrame,
    reference: str,
    labels: Mapping[str, str] | None = None,
) -> list[Path]:
    """Writes ``differences.png`` and ``error_against_parameters.png``.

    Args:
        folder: that exists.
        leaderboard: see ``plot_error_against_parameters``.
        contrasts: see ``plot_differences``.
        per_seed: see ``plot_differences``.
        reference: name of the arm at the line of zero.
        labels: see ``plot_differences``.

    Returns:
        The two files; for runs of one's own the first.

    Raises:
        ValueError: the reference is not an arm of the frame.

    Example:
        >>> import tempfile
        >>> alone = pd.DataFrame({
        ...     "arm": ["plain"], "kind": "arm", "seed": 0, "task": "a", "measure": "rmse",
        ...     "parameters": 46, "error": 0.2, "error_low": 0.1, "error_high": 0.3})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     files = write_comparison_pictures(
        ...         folder, leaderboard=alone, contrasts=pd.DataFrame(), per_seed=alone,
        ...         reference="plain")
        ...     [file.name for file in files if file.exists()]
        ['differences.png', 'error_against_parameters.png']
    """
    runs = read_per_seed(per_seed, NEEDED)
    names = names_of(relabel_runs(runs, label_arms(runs.arms, labels)))
    # The picture of errors against parameters writes no names of tasks.
    without = names.labels._replace(note="")
    shows_arms = (
        names.labels if any(text in names.replaced for text in names.arms.values()) else without
    )
    differences = plot_differences(per_seed, contrasts, reference, labels=labels)
    files = [Path(folder, f"{name}.png") for name in (DIFFERENCES, PARAMETERS)]
    if runs.better:  # runs of one's own, of which no sizes are known
        with looks(names.labels):
            save(differences, files[0], names.labels)
        return files[:1]
    parameters = plot_error_against_parameters(leaderboard, per_seed, labels=labels)
    with looks(names.labels):
        save(differences, files[0], names.labels)
        save(parameters, files[1], shows_arms)
    return files


def names_of(runs: PerSeed) -> Names:
    """How the arms and tasks of a comparison are written in its pictures.

    Args:
        runs: errors of every arm, seed and task.

    Returns:
        Texts that the installed fonts can show.

    Example:
        >>> names_of(read_per_seed(pd.DataFrame(
        ...     {"arm": ["a"], "kind": "arm", "seed": 0, "task": "PM2.5", "error": 0.2}))).tasks
        {'PM2.5': 'PM2.5'}
    """
    return name_arms_and_tasks(runs.arms, runs.tasks)


def parameters_of(runs: PerSeed, per_seed: pd.DataFrame) -> Float[np.ndarray, "arms seeds"]:
    """Parameters of every run, which are the same for all its tasks.

    Args:
        runs: errors of every arm, seed and task.
        per_seed: that they were read from.

    Returns:
        Their numbers, NaN where there is none.

    Example:
        >>> per_seed = pd.DataFrame({"arm": ["a"], "kind": "arm", "seed": 0, "task": "PM2.5",
        ...                          "error": 0.2, "parameters": 46})
        >>> parameters_of(read_per_seed(per_seed), per_seed).tolist()
        [[46.0]]
    """
    return runs.column(per_seed, "parameters")[:, :, 0]

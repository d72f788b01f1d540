"""Made-up results of a comparison: frames as `jaxmtl.comparison` hands them to the report."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

TASKS = ("PM2.5", "O3 <8h> & max", "细颗粒物")
REFERENCE = "hard_sharing"
# Change of the error against the reference in %, active parameters, duplications.
ARMS = {
    "hard_sharing": (0.0, 46, 0),
    "independent": (1.4, 132, 0),
    "equal_parameters": (-1.6, 55, 0),
    "restarts": (-0.2, 46, 0),
    "random_node": (-1.1, 55, 2),
    "least_conflict": (-1.4, 55, 2),
    "one_shot_split": (0.6, 64, 1),
    "fully_split": (1.1, 64, 0),
    "adaptive": (-2.1, 55, 2),
}
LINES = {"mean_predictor": 412.0, "ridge": 9.0, "boosted_trees": -4.0}


class Frames(NamedTuple):
    leaderboard: pd.DataFrame
    contrasts: pd.DataFrame
    per_seed: pd.DataFrame


def make_frames(
    seeds: int = 30,
    arms: Sequence[str] = tuple(ARMS),
    lines: Sequence[str] = tuple(LINES),
    tasks: Sequence[str] = TASKS,
    resplit: bool = True,
    diverged: Sequence[tuple[str, int]] = (),
    classes: Sequence[str] = (),
) -> Frames:
    """Frames of arms and lines; `diverged` names (arm, seed); no interval with one seed.

    Tasks named in `classes` are no numbers; errors are then relative to a constant prediction, of
    which the mean predictor makes 1.
    """
    per_seed = _per_seed(seeds, [*arms, *lines], tasks, diverged, classes)
    return Frames(_leaderboard(per_seed, tasks), _contrasts(per_seed, tasks, resplit), per_seed)


def _per_seed(seeds, arms, tasks, diverged, classes) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    base = np.linspace(0.012, 0.021, len(tasks)) * rng.normal(1, 0.06, (seeds, 1))
    rows = []
    for arm in arms:
        line = arm in LINES
        change, parameters, splits = (LINES[arm], None, 0) if line else ARMS[arm]
        noise = rng.normal(0, 1.6, (seeds, len(tasks))) if change else np.zeros((seeds, len(tasks)))
        errors = base * (1 + (change + noise) / 100)
        for seed in range(seeds):
            failed = (arm, seed) in diverged
            for task, name in enumerate(tasks):
                error = np.nan if failed else errors[seed, task]
                loss, value = "rmse", np.sqrt(error) * (250, 180, 40)[task % 3]
                if name in classes:
                    error = value = 40 * error
                    loss = "log loss"
                moved = 9 * (seed % 3 - 1) if splits == 2 else 0
                rows.append(
                    {
                        "arm": arm,
                        "kind": "line" if line else "arm",
                        "seed": seed,
                        "task": name,
                        "error": error,
                        "measure": loss,
                        "value": value,
                        "parameters": pd.NA if line else parameters + moved,
                        "splits": splits,
                        "steps": 0 if line else 480 * 1169,
                        "seconds": 0.02 if line else 2.6,
                        "epoch": -1 if line else 411,
                        "diverged": failed,
                    }
                )
    frame = pd.DataFrame(rows)
    if classes:
        constant = 5.12 * np.linspace(0.012, 0.021, len(tasks))
        places = [list(tasks).index(name) for name in frame["task"]]
        scale = np.where(frame["task"].isin(classes), 40, 1)
        frame["relative"] = frame["error"] / (scale * constant[places])
    return frame.astype({"parameters": "Int64"})


def _compared(per_seed) -> str:
    return "relative" if "relative" in per_seed else "error"


def _overall(per_seed) -> pd.DataFrame:
    """Mean over tasks: one row a seed, one column an arm."""
    errors = per_seed.pivot(index="seed", columns=["arm", "task"], values=_compared(per_seed))
    arms = per_seed["arm"].unique()
    return pd.DataFrame({arm: errors[arm].mean(axis=1, skipna=False) for arm in arms})


def _leaderboard(per_seed, tasks) -> pd.DataFrame:
    overall, rows = _overall(per_seed), []
    for arm, of_arm in per_seed.groupby("arm", sort=False):
        error = overall[arm].dropna()
        half = 1.96 * error.std() / np.sqrt(len(error)) if len(error) > 1 else np.nan
        row = {"arm": arm, "kind": of_arm["kind"].iloc[0]}
        for task in tasks:
            of_task = of_arm[of_arm["task"] == task]
            measure = next(iter(of_task["measure"]), "rmse")  # none for a name that pandas changes
            row |= {
                f"{task} {measure}": of_task["value"].mean(),
                f"{task} error": of_task[_compared(per_seed)].mean(),
            }
        delta = np.nan
        if "independent" in overall:
            delta = 100 * (error.mean() / overall["independent"].mean() - 1)
        row |= {
            "error": error.mean(),
            "error_low": error.mean() - half,
            "error_high": error.mean() + half,
            "delta_m": delta,
            "worst_task": delta + 1.3,
            "mean_rank": 3.2 if row["kind"] == "arm" else np.nan,
            "parameters": of_arm["parameters"].astype("Float64").mean(),
            "splits": of_arm["splits"].mean(),
            "seconds": of_arm["seconds"].median(),
            "seeds": of_arm["seed"].nunique(),
            "diverged": int(of_arm.groupby("seed")["diverged"].any().sum()),
        }
        rows.append(row)
    frame = pd.DataFrame(rows).sort_values(["kind", "error"], na_position="last")
    return frame.reset_index(drop=True)


CONTRASTS = (
    "arm",
    "reference",
    "quantity",
    "difference",
    "difference_low",
    "difference_high",
    "percent",
    "percent_low",
    "percent_high",
    "p_wilcoxon",
    "p_nadeau_bengio",
    "nb_low",
    "nb_high",
    "p_holm",
    "verdict",
    "seeds",
)


def _contrasts(per_seed, tasks, resplit) -> pd.DataFrame:
    errors = per_seed.pivot(index="seed", columns=["task", "arm"], values=_compared(per_seed))
    frames = {"overall": _overall(per_seed)} | {task: errors[task] for task in tasks}
    kinds = per_seed.drop_duplicates("arm").set_index("arm")["kind"]
    rows = []
    for arm in [arm for arm in kinds.index if arm != REFERENCE]:
        for quantity, frame in frames.items():
            pairs = frame[[arm, REFERENCE]].dropna()
            scale = 100 / pairs[REFERENCE].mean() if len(pairs) else np.nan
            difference = pairs[arm] - pairs[REFERENCE]
            mean, several = difference.mean(), len(pairs) > 1
            half = 1.96 * difference.std() / np.sqrt(len(pairs)) if several else np.nan
            wide = 2.9 * half if resplit else np.nan
            worn = several and abs(mean) > (wide if resplit else half)
            rows.append(
                (
                    *(arm, REFERENCE, quantity, mean, mean - half, mean + half),
                    *(scale * mean, scale * (mean - half), scale * (mean + half)),
                    2e-5 if several and abs(mean) > half else 0.31 if several else np.nan,
                    (0.0123 if worn else 0.4) if several and resplit else np.nan,
                    *(scale * (mean - wide), scale * (mean + wide)),
                    0.04 if worn else 0.6 if several else np.nan,
                    ("better" if mean < 0 else "worse") if worn else "not distinguishable",
                    len(pairs),
                )
            )
    return pd.DataFrame(rows, columns=list(CONTRASTS))

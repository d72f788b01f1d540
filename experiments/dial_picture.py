"""The picture of ``when_splitting_helps.py``: error of every arm against the angle."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

Frame = Any  # of pandas, whose annotations are no help here

# Colours of Okabe and Ito, told apart with any kind of colour vision; shapes say it again.
LOOKS = {
    "adaptive": ("#0072B2", "o"),
    "restarts": ("#7F7F7F", "v"),
    "equal_nodes": ("#E69F00", "s"),
    "random_node": ("#56B4E9", "D"),
    "least_conflict": ("#009E73", "^"),
    "one_shot": ("#CC79A7", "P"),
    "fully_split": ("#D55E00", "X"),
    "independent": ("#000000", "*"),
}
TICKS = (0.25, 0.5, 0.7, 1, 1.4, 2, 3, 4, 6)

NAMES = {0: "identical", 90: "unrelated", 180: "flipped"}


def _named(angle: float) -> str:
    name = NAMES.get(round(angle))
    return f"{angle:g}°" + (f"\n{name}" if name else "")


def draw(table: Frame, arms: Sequence[str], path: Path) -> None:
    """A panel for every number of rows and correlation; bars are 95 % intervals."""
    arms = [arm for arm in LOOKS if arm in arms]
    sizes, noises = (sorted(table[name].unique()) for name in ("rows", "correlation"))
    figure = Figure(figsize=(3.3 * len(noises) + 0.6, 2.7 * len(sizes) + 1.1), layout="constrained")
    grid = figure.subplots(len(sizes), len(noises), sharex=True, sharey=True, squeeze=False)
    angles = sorted(table["angle"].unique())
    places = {angle: float(place) for place, angle in enumerate(angles)}
    for size, line in zip(sizes, grid, strict=True):
        for noise, axes in zip(noises, line, strict=True):
            here = table[(table["rows"] == size) & (table["correlation"] == noise)]
            axes.axhline(1, color="#595959", lw=0.9)
            for place in range(0, len(angles), 2):
                axes.axvspan(place - 0.5, place + 0.5, color="#F4F4F4", lw=0, zorder=0)
            for number, arm in enumerate(arms):
                rows = here[here["arm"] == arm].sort_values("angle")
                shift = 0.1 * (number - (len(arms) - 1) / 2)
                x = np.array([places[angle] for angle in rows["angle"]]) + shift
                middle, low, high = (
                    1 + rows[name].to_numpy(float) / 100
                    for name in ("percent", "percent_low", "percent_high")
                )
                colour, marker = LOOKS[arm]
                axes.vlines(x, low, high, color=colour, lw=1.3)
                axes.plot(x, middle, marker, color=colour, ms=4.5, label=arm.replace("_", " "))
            axes.set_yscale("log")
            axes.minorticks_off()
            axes.set_title(f"{size} rows, noise correlation {noise:g}", fontsize=9)
            axes.grid(axis="y", color="#E6E6E6", lw=0.6)
            axes.spines[["top", "right"]].set_visible(False)
    low, high = grid[0, 0].get_ylim()
    ticks = [tick for tick in TICKS if low <= tick <= high]
    grid[0, 0].set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    grid[0, 0].set_xticks(range(len(angles)), [_named(angle) for angle in angles])
    grid[0, 0].set_xlim(-0.5, len(angles) - 0.5)
    figure.supylabel("test error over that of hard sharing", fontsize=9)
    for axes in grid[-1]:
        axes.set_xlabel("angle between the tasks' functions", fontsize=9)
    figure.suptitle("Splitting two tasks apart, against plain hard sharing (bars: 95 % intervals)")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=len(arms),
        frameon=False,
        fontsize=8,
        handletextpad=0.1,
        columnspacing=1.0,
    )
    figure.savefig(path, dpi=110)

"""The picture of ``toy_problem.py``: the paths of every method on the contours of the mean loss."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

# Colours of Okabe and Ito, told apart with any kind of colour vision; one a start.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00")
COLUMNS = 5
LIMITS = (-10.5, 10.5)
LEVELS = np.arange(-10.0, 10.0)  # of the mean loss


def draw(
    outcomes: Mapping[str, Any],
    front: Any,
    losses_fn: Callable[[np.ndarray], np.ndarray],
    starts: Sequence[tuple[float, float]],
    tolerance: float,
    path: Path,
) -> None:
    """A panel for every method.

    Args:
        outcomes: of each method, with ``path`` (records, starts, 2) and ``distance``
            (starts, repeats) from the last point to the front, of which repeat 0 is drawn.
        front: with points ``x`` (points, 2).
        losses_fn: from points (2, ...) to losses (2, ...).
        starts: coordinates, for the legend.
        tolerance: distance to the front at which a run has reached it.
        path: of the file to write.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    columns = min(COLUMNS, len(outcomes))
    rows = -(-len(outcomes) // columns)
    figure = Figure(figsize=(max(2.3 * columns + 0.6, 4), 2.42 * rows + 1.4), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    line = np.linspace(*LIMITS, 240)
    x1, x2 = np.meshgrid(line, line)
    mean = losses_fn(np.stack([x1, x2])).mean(axis=0)
    for axes in grid.flat[len(outcomes) :]:
        axes.set_visible(False)
    panels = zip(grid.flat, outcomes.items(), strict=False)
    for panel, (axes, (name, outcome)) in enumerate(panels):
        axes.contour(x1, x2, mean, LEVELS, colors="#B0B0B0", linewidths=0.5, linestyles="-")
        axes.plot(*front.x.T, color="black", lw=3, solid_capstyle="butt")
        reached = outcome.distance[:, 0] <= tolerance
        for number, colour in enumerate(COLOURS):
            way = outcome.path[:, number]
            axes.plot(*way.T, color=colour, lw=1.3)
            axes.plot(*way[0], "o", color=colour, ms=4)
            look = {"marker": "*", "ms": 9} if reached[number] else {"marker": "X", "ms": 7}
            axes.plot(*way[-1], color=colour, mec="black", mew=0.7, zorder=3, clip_on=False, **look)
        axes.set_title(f"{name}: {reached.sum()} of {len(starts)}", fontsize=9)
        axes.set_aspect("equal")
        axes.set_xlim(*LIMITS)
        axes.set_ylim(*LIMITS)
        axes.set_xticks((-10, 0, 10))
        axes.set_yticks((-10, 0, 10))
        axes.tick_params(labelsize=8)
        if panel >= len(outcomes) - columns:
            axes.set_xlabel("$x_1$", fontsize=9, labelpad=0)
            axes.tick_params(labelbottom=True)
        if panel % columns == 0:
            axes.set_ylabel("$x_2$", fontsize=9, labelpad=-4)
    figure.suptitle(
        "Two tasks in the plane: the paths of each method from five starts, "
        "and how many of them end on the Pareto front",
        fontsize=11,
        wrap=True,
    )
    handles = [
        *(
            Line2D([], [], color=colour, marker="o", ms=4, label=f"from ({x:g}, {y:g})")
            for colour, (x, y) in zip(COLOURS, starts, strict=True)
        ),
        Line2D([], [], color="black", lw=3, label="Pareto front"),
        Line2D([], [], color="#B0B0B0", lw=0.8, label="mean loss, a line a unit"),
        Line2D([], [], color="white", marker="*", ms=9, mec="black", label="ends on the front"),
        Line2D([], [], color="white", marker="X", ms=7, mec="black", label="ends elsewhere"),
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(5, 2 * columns),
        frameon=False,
        fontsize=8,
    )
    figure.savefig(path, dpi=100)

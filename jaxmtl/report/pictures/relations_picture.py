"""How tasks go together, before and after the features."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from jaxmtl.report.pictures.labels import Labels
from jaxmtl.report.pictures.style import ON_DARK, ON_LIGHT, SOFT, new_figure
from jaxmtl.report.words.numbers import fixed

MOST_WRITTEN = 16  # tasks, beyond which numbers do not fit into the cells
MOST_NAMED = 48  # tasks, beyond which names do not fit beside them
LARGEST = 9.0  # inches of a matrix without names


def order_alike(labels: Float[np.ndarray, "tasks tasks"]) -> Int[np.ndarray, " tasks"]:
    """An order in which tasks that go together are neighbours.

    Args:
        labels: correlations; NaN counts as none.

    Returns:
        Numbers of the tasks.

    Example:
        >>> r = np.array([[1, 0, 0.9], [0, 1, 0], [0.9, 0, 1]])
        >>> order_alike(r).tolist() in ([0, 2, 1], [1, 0, 2], [2, 0, 1], [1, 2, 0])
        True
    """
    if len(labels) < 3:
        return np.arange(len(labels))
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    apart = 1 - np.abs(np.nan_to_num(labels))
    apart = (apart + apart.T) / 2
    np.fill_diagonal(apart, 0)
    return leaves_list(linkage(squareform(apart), "average", optimal_ordering=True))


def draw_relations(found: Mapping[str, Any], labels: Labels) -> Figure:
    """A matrix: below the diagonal the labels, above it what remains after the features.

    Args:
        found: ``relations`` of ``metrics.json``.
        labels: of its tasks, in their order.

    Returns:
        The figure.
    """
    own, rest = (
        np.array([[np.nan if v is None else v for v in row] for row in found[part]], float)
        for part in ("labels", "rest")
    )
    order = order_alike(own)
    number = len(order)
    own, rest = own[np.ix_(order, order)], rest[np.ix_(order, order)]
    shown = np.where(np.tri(number, k=-1, dtype=bool), own, rest)
    np.fill_diagonal(shown, np.nan)
    cell = 0.62 if number <= 6 else (0.46 if number <= MOST_WRITTEN else 0.2)
    cell = cell if number <= MOST_NAMED else LARGEST / number
    figure = new_figure(max(cell * number + 2.6, 4.6), max(cell * number + 1.7, 2.8))
    ax = figure.subplots()
    image = ax.imshow(shown, cmap="RdBu_r", vmin=-1, vmax=1)
    if number <= MOST_WRITTEN:
        for (row, column), value in np.ndenumerate(shown):
            if np.isfinite(value):
                ax.text(
                    *(column, row, fixed(value, 2)),
                    ha="center",
                    va="center",
                    fontsize=9.0 if number <= 6 else 7.0,
                    color=ON_DARK if abs(value) > 0.6 else ON_LIGHT,
                )
    names = [labels.tasks[t] for t in order]
    size = 8.0 if number <= MOST_WRITTEN else 6.0
    if number > MOST_NAMED:
        names = []
        ax.set_ylabel(f"{number} targets, those that go together side by side", fontsize=8.5)
    ax.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    ax.set_yticks(range(len(names)), names, fontsize=size)
    ax.tick_params(length=0)
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_title("above the diagonal: after the features", fontsize=8.5, color=SOFT, loc="right")
    ax.set_xlabel("below: the labels themselves", fontsize=8.5, color=SOFT, loc="left")
    if number > MOST_WRITTEN:
        bar = figure.colorbar(image, ax=ax, shrink=0.7, aspect=25)
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
        bar.ax.tick_params(labelsize=7.5)
        bar.set_label("correlation", fontsize=8.5)
    return figure

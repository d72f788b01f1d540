"""Where tasks conflict: layers over time, and pairs of tasks."""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from jaxmtl.conflict import ConflictMap, Score, Tally, start_tally, update_tally
from jaxmtl.report.pictures.labels import make_labels
from jaxmtl.report.pictures.style import INK, SOFT, looks, new_figure

# What a score is called, and the range of colours where it has one.
SCALES: dict[Score, tuple[str, float | None, float | None]] = {
    "rate": ("share of updates in conflict", 0, 1),
    "opposite": ("share of entries of opposite sign", 0, 1),
    "cosine": ("minus the mean cosine", None, None),
    "below": ("updates in conflict", 0, None),
    "streak": ("updates in conflict in a row", 0, None),
    "longest": ("longest streak of updates in conflict", 0, None),
    "dominance": ("1 minus the ratio of norms", 0, 1),
}
# The same of a single update, in which a pair is in conflict or not.
IN_CONFLICT = "share in conflict"  # of pairs in a layer, of layers in a pair
OF_ONE: dict[Score, str] = {
    "rate": IN_CONFLICT,
    "cosine": "minus the cosine",
    "below": "in conflict",
    "streak": IN_CONFLICT,
    "longest": IN_CONFLICT,
}
MOST_NAMES = 40  # layers; beyond that every n-th has its name
MOST_NUMBERS = 8  # tasks, beyond which numbers do not fit into the cells
FAINTEST = 0.1  # largest value of the colours at least: what is less is nothing to be shown


def plot_conflict(
    tally: Tally | ConflictMap, kind: Score = "rate", *, steps: Sequence[float] | None = None
) -> Figure:
    """A map of layers and time, and beside it a matrix of the pairs of tasks.

    Args:
        tally: of one moment, or with a leading axis of moments, as ``scan`` stacks it; or a map.
            The matrix is that of the last moment, its entries means over the layers.
        kind: which score, see ``Tally.score``.
        steps: number of updates at each moment; None for 1, 2, and so on.

    Returns:
        A figure that no global state knows of.

    Raises:
        ValueError: more axes than one before that of the layers, or another number of steps.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmtl.conflict import conflict_map, start_tally, update_tally
        >>> found = conflict_map({"a": jnp.array([[1.0], [-1.0]]), "b": jnp.ones((2, 1))})
        >>> tally = update_tally(start_tally(found), found)
        >>> [ax.get_title(loc="left") for ax in plot_conflict(tally).axes[:2]]
        ['Layers', 'Pairs of tasks']
    """
    of_one = isinstance(tally, ConflictMap)
    if isinstance(tally, ConflictMap):
        tally = update_tally(start_tally(tally), tally)
    lead = tally.cosine.ndim - 3
    if lead > 1:
        raise ValueError(
            f"tally: expected one moment or one axis of moments, got {lead} axes before the layers"
        )
    moments: Tally = tally if lead else jax.tree.map(lambda leaf: leaf[None], tally)
    layers = np.asarray(moments.of_layers(kind), float)
    pairs = np.array(moments.score(kind)[-1], float)
    pairs[:, np.eye(pairs.shape[-1], dtype=bool)] = np.nan
    times = np.arange(1, len(layers) + 1) if steps is None else np.asarray(steps, float)
    if times.shape != (len(layers),):
        raise ValueError(f"steps: expected {len(layers)} numbers, got shape {times.shape}")
    label, low, high = SCALES[kind]
    label = OF_ONE.get(kind, label) if of_one else label
    largest = np.nanmax(np.abs(np.concatenate([layers.ravel(), pairs.ravel()])), initial=FAINTEST)
    high = largest if high is None else high
    low = -largest if low is None else low
    names = tally.names or tuple(f"task {t}" for t in range(pairs.shape[-1]))
    labels = make_labels(tally.layers, names)
    with looks(labels):
        wide = 4.2 if lead else 1.6
        height = min(1.8 + 0.22 * max(len(labels.features), len(names)), 9)
        figure = new_figure(wide + 5.0, height)
        of_layers, of_pairs = figure.subplots(1, 2, width_ratios=(wide, 3.2))
        _draw_layers(of_layers, layers.T, times, labels.features, (low, high), bool(lead))
        image = _draw_pairs(of_pairs, pairs, labels.tasks, (low, high))
        figure.colorbar(image, ax=[of_layers, of_pairs], label=label, shrink=0.9)
        if labels.note:
            figure.supxlabel(labels.note, fontsize=7.5, color=SOFT, style="italic")
    return figure


def _draw_layers(
    ax: Axes,
    scores: Float[np.ndarray, "layers moments"],
    times: Float[np.ndarray, " moments"],
    names: Sequence[str],
    limits: tuple[float, float],
    over_time: bool,
) -> None:
    # A moment fills the time up to it: the first begins as long before it as the second after it.
    first = times[0] - (times[1] - times[0] if len(times) > 1 else 1)
    edges = np.concatenate([[first], times])
    rows = np.arange(len(names) + 1) - 0.5
    ax.pcolormesh(edges, rows, scores, cmap=_colours(limits), vmin=limits[0], vmax=limits[1])
    ax.invert_yaxis()
    ax.set_facecolor("#EFEFEF")  # where nothing was seen
    ax.grid(visible=False)
    every = -(-len(names) // MOST_NAMES)
    ax.set_yticks(range(0, len(names), every), names[::every], fontsize=7.5)
    ax.set_title("Layers over updates" if over_time else "Layers", loc="left")
    if over_time:
        ax.set_xlabel("updates")
    else:
        ax.set_xticks([])


def _draw_pairs(
    ax: Axes,
    scores: Float[np.ndarray, "layers tasks tasks"],
    names: Sequence[str],
    limits: tuple[float, float],
) -> AxesImage:
    told = np.isfinite(scores).sum(axis=0)
    means = np.where(told > 0, np.nansum(scores, axis=0) / np.maximum(told, 1), np.nan)
    colours = _colours(limits)
    image = ax.imshow(means, cmap=colours, vmin=limits[0], vmax=limits[1])
    ax.set_facecolor("#EFEFEF")
    ax.grid(visible=False)
    if len(names) <= MOST_NUMBERS:
        for (row, column), value in np.ndenumerate(means):
            if np.isfinite(value):
                dark = sum(image.cmap(image.norm(value))[:3]) < 1.5
                ax.text(
                    *(column, row, f"{value:.2f}" if limits[1] <= 1 else f"{value:.0f}"),
                    ha="center",
                    va="center",
                    fontsize=8.0 if len(names) < 6 else 6.5,
                    color="white" if dark else INK,
                )
    every = -(-len(names) // MOST_NAMES)
    shown = range(0, len(names), every)
    long = max(map(len, names)) > 4 or len(names) > MOST_NUMBERS
    ax.set_xticks(shown, names[::every], rotation=90 if long else 0, fontsize=7.5)
    ax.set_yticks(shown, names[::every], fontsize=7.5)
    ax.set_title("Pairs of tasks", loc="left")
    ax.set_anchor("N")
    return image


def _colours(limits: tuple[float, float]) -> str:
    return "RdBu_r" if limits[0] < 0 else "cividis"

"""How often the tasks are in conflict at each node, epoch by epoch."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxmtl.duplication import readers
from jaxmtl.prediction.records import epoch_of_run, head_index_of
from jaxmtl.report.pictures.labels import Labels
from jaxmtl.report.pictures.marks import mark_duplications
from jaxmtl.report.pictures.style import BLUE, VERMILION, new_figure
from jaxmtl.training import Event, Run

MOST_STRIPS = 8


def draw_conflicts(run: Run, labels: Labels) -> Figure:
    """Share of an epoch's samples at which the readers of a node disagree.

    A node that only one task reads has no conflict; its line ends where it was duplicated. Few
    nodes get a strip each (nodes that agree in all their signs would hide each other in one panel),
    many a map of nodes and epochs. Epochs that a duplication cut short are left out: their few
    samples are no share to compare with the others.

    Args:
        run: the adaptive run.
        labels: of the tasks.

    Returns:
        The figure.
    """
    rates = conflict_rates(run)
    samples = np.asarray(run.history.samples)
    rates = np.where((samples == samples.max())[:, None], rates, np.nan)
    shown = np.flatnonzero(~np.isnan(rates).all(axis=0))
    if len(shown) > MOST_STRIPS:
        figure = _draw_map(run, rates[:, shown], shown)
    else:
        figure = _draw_strips(run, rates, shown, labels)
    figure.suptitle(_title(labels, len(shown)), fontsize=10)
    return figure


def conflict_rates(run: Run) -> Float[np.ndarray, "epochs capacity"]:
    """Conflicts of each epoch over its samples; NaN at columns that fewer than two tasks read.

    Args:
        run: the adaptive run.

    Returns:
        Rates from 0 to 1.
    """
    conflicts = run.history.conflicts
    if conflicts is None:
        return np.full((len(run.history), 0), np.nan)
    capacity = conflicts.shape[1]
    head_index = np.array(head_index_of(run))
    shared = np.zeros(conflicts.shape, bool)
    end = len(run.history)
    # From the end back to the start, undoing one duplication after the other.
    for event in reversed(tuple(run.events)):
        begin = epoch_of_run(run, event)
        shared[begin:end] = _read_by_several(head_index, capacity)
        head_index[head_index == event.copy] = event.node
        end = begin
    shared[:end] = _read_by_several(head_index, capacity)
    samples = np.maximum(np.asarray(run.history.samples), 1)[:, None]
    return np.where(shared, np.asarray(conflicts) / samples, np.nan)


def _read_by_several(head_index: np.ndarray, capacity: int) -> np.ndarray:
    return np.asarray(readers(jnp.asarray(head_index), capacity)).sum(axis=0) > 1


def _title(labels: Labels, num_shown: int) -> str:
    if len(labels.tasks) == 1:
        return "One task: no conflict"
    if not num_shown:
        return "No full epoch in which tasks shared a node"
    if len(labels.tasks) == 2:
        return f"Conflict between {labels.tasks[0]} and {labels.tasks[1]} at each node of the bank"
    return "Conflict between the tasks that share a node of the bank"


def _draw_strips(run: Run, rates: np.ndarray, shown: np.ndarray, labels: Labels) -> Figure:
    number = max(len(shown), 1)
    figure = new_figure(6.6, 1.15 * number + 1.1)
    strips = figure.subplots(number, 1, sharex=True, squeeze=False)[:, 0]
    epochs = np.arange(1, len(rates) + 1)
    for ax, node in zip(strips, shown, strict=False):
        rate = rates[:, node]
        known = np.flatnonzero(~np.isnan(rate))
        ax.plot(epochs[known], rate[known], color=BLUE, lw=1.3)
        if len(known) == 1:
            ax.plot(epochs[known], rate[known], ".", color=BLUE)
        mark_duplications(ax, run, named=False)
        for event in run.events:
            if event.node == node:
                epoch = epoch_of_run(run, event)
                before = known[known < epoch]
                height = float(rate[before[-1]] if len(before) else rate[known[0]])
                _mark(ax, epoch, height, _moved(event, labels), len(rates))
        ax.set_title(f"node {node}", loc="left", fontsize=9, pad=3)
    for ax in strips:
        ax.set_ylim(0, 1)
        ax.set_yticks([0, 0.5, 1])
    strips[-1].set_xlim(0, len(rates) + 1)
    strips[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    strips[-1].set_xlabel("epoch of the run")
    figure.supylabel("share of samples in conflict", fontsize=9)
    return figure


def _mark(ax: Axes, epoch: int, rate: float, text: str, num_epochs: int) -> None:
    """A dot where a node was duplicated, and beside it what became of it."""
    ax.plot(epoch, rate, "o", color=VERMILION, ms=6, mec="white", mew=1.0, zorder=4)
    late = epoch > 0.6 * num_epochs
    ax.annotate(
        text,
        (epoch, 0.06),
        xytext=(-5 if late else 5, 0),
        textcoords="offset points",
        ha="right" if late else "left",
        va="bottom",
        fontsize=8,
        color=VERMILION,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
    )


def _moved(event: Event, labels: Labels) -> str:
    return f"split: copy {event.copy} for {', '.join(labels.tasks[t] for t in event.tasks)}"


def _draw_map(run: Run, rates: np.ndarray, shown: np.ndarray) -> Figure:
    for epoch in np.flatnonzero(np.isnan(rates).all(axis=1)):  # cut short: as the epoch before
        rates[epoch] = rates[max(epoch - 1, 0)]
    figure = new_figure(6.6, min(3.0 + 0.06 * len(shown), 6.5))
    ax = figure.subplots()
    image = ax.imshow(
        rates.T,
        aspect="auto",
        interpolation="nearest",
        cmap="cividis",
        vmin=0,
        vmax=1,
        extent=(0.5, len(rates) + 0.5, len(shown) - 0.5, -0.5),
    )
    ax.set_facecolor("#EFEFEF")  # where a node is not shared
    ax.grid(False)
    for event in run.events:
        place = np.flatnonzero(shown == event.node)
        ax.plot(
            [epoch_of_run(run, event)] * len(place),
            place,
            "o",
            color=VERMILION,
            ms=6,
            mec="white",
            clip_on=False,
        )
    ax.plot([], [], "o", color=VERMILION, ms=6, mec="white", label="node duplicated")
    if len(run.events):
        figure.legend(loc="outside lower right")
    step = -(-len(shown) // 16)
    ax.set_yticks(range(0, len(shown), step), [str(node) for node in shown[::step]])
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("epoch of the run")
    ax.set_ylabel("node")
    figure.colorbar(image, ax=ax, label="share of samples in conflict")
    return figure

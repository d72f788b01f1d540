"""Where predictions are wrong: by what is predicted, over time, and probabilities of classes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxmtl.report.pictures.labels import Labels
from jaxmtl.report.pictures.style import BLUE, FAINT, INK, SOFT, VERMILION, new_figure
from jaxmtl.tasks import Task

MOST_TASKS = 6  # that are drawn, a row each
MOST_TICKS = 6
BY_TIME = {"time": "over time", "month": "by month", "hour": "by hour of the day"}


def draw_where_wrong(found: Mapping[str, Any], tasks: Sequence[Task], labels: Labels) -> Figure:
    """A row of panels a task: bias by prediction or reliability, and errors over time.

    Args:
        found: ``where_wrong`` of ``metrics.json``.
        tasks: that are predicted; the first six are drawn.
        labels: of the tasks; those without one are not drawn.

    Returns:
        The figure.
    """
    tasks = tasks[: min(MOST_TASKS, len(labels.tasks))]
    by_kind = {division["kind"]: division for division in found["divisions"]}
    times = [by_kind[kind] for kind in BY_TIME if kind in by_kind]
    width = 1 + len(times)
    figure = new_figure(max(3.7 * width, 4.6), 2.7 * len(tasks))
    grid = figure.subplots(len(tasks), width, squeeze=False)
    for number, (task, row) in enumerate(zip(tasks, grid, strict=True)):
        row[0].set_title(labels.tasks[number])
        if task.has_classes:
            _draw_reliability(row[0], found["reliability"].get(task.name))
        else:
            _draw_bias(row[0], by_kind["prediction"]["tasks"][task.name], task)
        for ax, division in zip(row[1:], times, strict=True):
            ax.set_title(BY_TIME[division["kind"]])
            own = division["tasks"][task.name]
            _draw_over_time(ax, division, own, task, found["typical"][task.name])
    return figure


def _draw_bias(ax: Axes, own: Mapping[str, Any], task: Task) -> None:
    """What observations are more than predictions on average, in a band of typical errors."""
    parts = {
        name: np.array([np.nan if value is None else value for value in own[name]], float)
        for name in ("predicted", "bias", "bias_low", "bias_high", "typical")
    }
    order = np.argsort(parts["predicted"])
    x, bias, low, high, typical = (values[order] for values in parts.values())
    ax.fill_between(x, bias - typical, bias + typical, color=FAINT, alpha=0.4, lw=0)
    ax.axhline(0, color=INK, lw=0.9)
    _draw_ends(ax, x, bias, low, high, BLUE)
    unit = f" ({task.unit})" if task.unit else ""
    ax.set_xlabel(f"predicted{unit}")
    ax.set_ylabel("observed less predicted")


def _draw_reliability(ax: Axes, own: Mapping[str, Any] | None) -> None:
    if own is None:
        ax.set_axis_off()
        return
    said, true, low, high = (np.array(own[name]) for name in ("said", "true", "low", "high"))
    ax.plot([0, 1], [0, 1], color=INK, lw=0.9)
    _draw_ends(ax, said, true, low, high, BLUE)
    ax.set_xlim(-0.03, 1.03)
    ax.set_ylim(-0.03, 1.03)
    ax.set_xlabel("probability that was said")
    ax.set_ylabel("share that came true")


def _draw_over_time(
    ax: Axes,
    division: Mapping[str, Any],
    own: Mapping[str, Any],
    task: Task,
    overall: float | None,
) -> None:
    known = [i for i, low in enumerate(own["low"]) if low is not None]
    x = np.array(known, float)
    typical, low, high = (
        np.array([own[name][i] for i in known], float) for name in ("typical", "low", "high")
    )
    if overall is not None:
        ax.axhline(overall, color=SOFT, lw=0.9, ls=(0, (4, 3)))
        times = np.array([own["times"][i] for i in known], float)
        worse = (times > 1) & (typical > overall)
        for at, colour in ((~worse, BLUE), (worse, VERMILION)):
            _draw_ends(ax, x[at], typical[at], low[at], high[at], colour)
        # An interval from few rows may reach far beyond all others.
        top = 1.6 * max(typical.max(initial=overall), overall)
        ax.set_ylim(0, min(top, max(high.max(initial=overall), overall) * 1.05) or 1)
    names = division["labels"]
    ticks = range(0, len(names), -(-len(names) // MOST_TICKS))
    ax.set_xticks(list(ticks), [names[i].split(" to ")[0] for i in ticks])
    ax.tick_params(axis="x", labelsize=7.5, labelrotation=0 if len(names[0]) < 6 else 30)
    ax.set_xlim(-0.6, len(names) - 0.4)
    ax.set_ylabel("share wrong" if task.has_classes else "typical error")


def _draw_ends(
    ax: Axes, x: np.ndarray, y: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str
) -> None:
    reach = np.abs(np.stack([y - low, high - y]))
    ax.errorbar(x, y, yerr=reach, fmt="o", ms=4, lw=1.1, color=colour)

"""How predictions change with one column."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxmtl.prediction.dependence import Dependence
from jaxmtl.report.pictures.labels import Labels, make_labels
from jaxmtl.report.pictures.style import BLUE, TASK_COLOURS, looks, panels, save
from jaxmtl.report.words.table_dependence import ALONE
from jaxmtl.tasks import Task, output_slices

MOST_CLASSES = 6  # lines in a panel
LONG = 5  # characters of a label, beyond which labels are turned


def draw_dependence(
    curves: Sequence[Dependence], tasks: Sequence[Task], shown: Sequence[int], labels: Labels
) -> Figure:
    """A panel a task, and of a date also a part: the curve, and the band in which it lies.

    Args:
        curves: of one column.
        tasks: in the order of the outputs.
        shown: numbers of the tasks to draw.
        labels: of the column, then of all its values, and of the tasks shown.

    Returns:
        The figure. Of many classes those are drawn whose probability changes most.
    """
    figure, axes = panels(len(curves) * len(shown), height=2.8)
    slices = output_slices(tasks)
    names = list(labels.features[1:])
    places = [(curve, number) for curve in curves for number in range(len(shown))]
    starts = np.cumsum([0, *(len(curve.labels) for curve in curves)])
    for ax, (curve, number) in zip(axes, places, strict=True):
        task, part = tasks[shown[number]], slices[shown[number]]
        start = starts[next(i for i, one in enumerate(curves) if one is curve)]
        _draw_one(ax, curve, task, part, names[start : start + len(curve.labels)])
        ax.set_title(labels.tasks[number])
        over = f", {ALONE[curve.part]}" if curve.part else ""
        ax.set_xlabel(f"{labels.features[0]}{over}")
        ax.set_ylabel("probability" if task.has_classes else (task.unit or "mean prediction"))
    return figure


def _draw_one(ax: Axes, curve: Dependence, task: Task, part: slice, names: Sequence[str]) -> None:
    outputs = list(range(part.start, part.stop))
    if task.has_classes:
        change = np.ptp(curve.mean[:, part], axis=0)
        keep = sorted(np.argsort(-change, kind="stable")[:MOST_CLASSES].tolist())
        outputs = [part.start + k for k in keep]
    for colour, output in zip(TASK_COLOURS if task.has_classes else (BLUE,), outputs, strict=False):
        mean, low, high = (one[:, output] for one in (curve.mean, curve.low, curve.high))
        label = str(task.classes[output - part.start]) if task.has_classes else None
        label = None if label is None else label.replace("$", r"\$")
        if curve.is_number:
            ax.fill_between(curve.values, low, high, color=colour, alpha=0.2, lw=0)
            ax.plot(curve.values, mean, color=colour, marker="o", ms=3, label=label)
        else:
            off = (outputs.index(output) - (len(outputs) - 1) / 2) * 0.12
            places = np.arange(len(mean)) + off
            errors = [np.maximum(mean - low, 0), np.maximum(high - mean, 0)]
            ax.errorbar(places, mean, errors, fmt="o", ms=4, color=colour, label=label, lw=1.1)
    if not curve.is_number:
        turned = max(map(len, names)) > LONG or len(names) > 8
        ax.set_xticks(range(len(names)), names, rotation=60 if turned else 0)
        if turned:
            for tick in ax.get_xticklabels():
                tick.set(ha="right", rotation_mode="anchor", fontsize=7.5)
        ax.grid(visible=False, axis="x")
    if task.has_classes:
        ax.legend(fontsize=7.5)


def write_dependence(
    path: Path, curves: Sequence[Dependence], tasks: Sequence[Task], shown: Sequence[int]
) -> None:
    """Draws the curves of a column to a file.

    Args:
        path: that ends in .png or .svg.
        curves: of one column.
        tasks: in the order of the outputs.
        shown: numbers of the tasks to draw.
    """
    values = [label for curve in curves for label in curve.labels]
    labels = make_labels([curves[0].column, *values], [tasks[t].name for t in shown])
    with looks(labels):
        save(draw_dependence(curves, tasks, shown, labels), path, labels)

"""What columns are worth: bars a task where tasks are few, else a matrix of tasks and columns."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxmtl.report.pictures.labels import LONGEST, Labels, make_labels
from jaxmtl.report.pictures.style import (
    BLUE,
    FAINT,
    INK,
    ON_DARK,
    ON_LIGHT,
    SOFT,
    new_figure,
    panels,
)
from jaxmtl.report.words.numbers import decimals_for, fixed
from jaxmtl.report.words.table_importance import group_words
from jaxmtl.tasks import Task

MOST_BARS = 8  # columns of a task
FEW = 3  # tasks that have bars
MOST_ROWS = 25  # columns in a matrix
LEAST = 0.03  # of a task's largest, which can be seen as a shade
FEWEST_ROWS = 5
MOST_WRITTEN = 8  # tasks, beyond which numbers do not fit into the cells
MOST_TASKS = 40  # columns of the matrix


def importance_labels(metrics: Mapping[str, Any], tasks: Sequence[Task]) -> Labels:
    """Labels of all groups of columns, in the order of ``metrics.json``, and of the tasks.

    Args:
        metrics: contents of ``metrics.json``, with importances.
        tasks: that are predicted.

    Returns:
        What ``draw_importance`` takes.
    """
    return make_labels(group_names(metrics), [task.name for task in tasks])


def group_names(metrics: Mapping[str, Any]) -> list[str]:
    """Columns that are alike, in few words.

    Args:
        metrics: contents of ``metrics.json``, with importances.

    Returns:
        A name a group.

    Example:
        >>> group_names({"importance": {"groups": [["CO"], ["NO", "NOx"]]}})
        ['CO', 'NO with NOx']
    """
    return [_group_name(group) for group in metrics["importance"]["groups"]]


def draw_importance(metrics: Mapping[str, Any], tasks: Sequence[Task], labels: Labels) -> Figure:
    """The columns that are worth most to each task.

    Args:
        metrics: contents of ``metrics.json``, with importances.
        tasks: that are predicted.
        labels: of ``importance_labels``.

    Returns:
        The figure. Up to three tasks have a panel each, with bars and intervals; of more, shades
        are shares of the largest of a task, white where a column cannot be told to matter.
    """
    found = _table(metrics, tasks)
    if len(tasks) <= FEW:
        return _bars(found, tasks, labels)
    return _matrix(found, tasks, labels)


def _group_name(group: Sequence[str]) -> str:
    words = group_words(group)
    if len(group) == 1 or len(words) <= LONGEST:
        return words
    return f"{group[0]} (+{len(group) - 1} alike)"


def _table(metrics: Mapping[str, Any], tasks: Sequence[Task]) -> np.ndarray:
    """(groups, tasks, 3): added, low and high; NaN where it is not known."""
    found, saved = [], metrics["importance"]["tasks"]
    for task in tasks:
        parts = (saved[task.name][part] for part in ("added", "low", "high"))
        found.append([[np.nan if v is None else v for v in part] for part in parts])
    return np.array(found, float).transpose(2, 0, 1)


def _bars(found: np.ndarray, tasks: Sequence[Task], labels: Labels) -> Figure:
    orders = [np.argsort(-np.nan_to_num(found[:, t, 0]), kind="stable") for t in range(len(tasks))]
    most = min(max(len(orders[0]), 1), MOST_BARS)
    figure, axes = panels(len(tasks), height=0.26 * most + 1.0)
    for t, (ax, task) in enumerate(zip(axes, tasks, strict=True)):
        shown = orders[t][:MOST_BARS]
        added, low, high = found[shown, t].T
        places = np.arange(len(shown))
        sure = low > 0
        colours = np.where(sure, BLUE, FAINT)
        ax.barh(places, np.maximum(added, 0), color=colours, height=0.62)
        errors = np.nan_to_num([np.maximum(added - low, 0), np.maximum(high - added, 0)])
        ax.errorbar(added, places, xerr=errors, fmt="none", ecolor=INK, elinewidth=0.8)
        ax.set_yticks(places, [labels.features[g] for g in shown], fontsize=8)
        ax.set_ylim(most - 0.4, -0.6)
        ax.set_xlim(left=min(0.0, float(np.nanmin(low, initial=0.0))))
        ax.tick_params(axis="y", length=0)
        ax.grid(visible=False, axis="y")
        ax.set_title(labels.tasks[t])
        more = len(orders[t]) - len(shown)
        ax.set_xlabel(
            _unit(task) + (f"\nand {more} more add{'s' * (more == 1)} less" if more > 0 else ""),
            fontsize=8,
        )
    return figure


def _unit(task: Task) -> str:
    if task.has_classes:
        return "added to the log loss"
    return "added to the typical error" + (f" ({task.unit})" if task.unit else "")


def _matrix(found: np.ndarray, tasks: Sequence[Task], labels: Labels) -> Figure:
    tasks = tasks[:MOST_TASKS]
    added, low = found[:, : len(tasks), 0], found[:, : len(tasks), 1]
    sure = np.where(low > 0, added, 0.0)
    largest = np.maximum(sure.max(axis=0, initial=0.0), 1e-300)
    share = sure / largest
    order = _rows(share)
    number, wide = len(order), len(tasks)
    cell = 0.78 if wide <= MOST_WRITTEN else max(0.34, min(0.5, 8 / wide))
    long = max(len(labels.features[g]) for g in order)
    figure = new_figure(max(cell * wide + 0.085 * long + 0.8, 4.6), 0.25 * (number + 1) + 1.9)
    ax = figure.subplots()
    rest = np.delete(np.arange(len(found)), order)
    shown = share[order]
    if len(rest):
        shown = np.concatenate([shown, share[rest].max(axis=0, initial=0.0)[None]])
    ax.imshow(shown, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    if wide <= MOST_WRITTEN:
        _write(ax, added[order], shown)
    names = [labels.features[g] for g in order]
    names += [f"largest of {len(rest)} more"] if len(rest) else []
    ax.set_yticks(range(len(names)), names, fontsize=8)
    if len(rest):
        ax.axhline(number - 0.5, color=INK, lw=0.8)
        ax.get_yticklabels()[-1].set(color=SOFT, style="italic")
    turned = max(map(len, labels.tasks[:wide])) > (9 if wide <= MOST_WRITTEN else 3)
    ax.set_xticks(range(wide), labels.tasks[:wide], rotation=60 if turned else 0, fontsize=8)
    ax.xaxis.tick_top()
    if turned:
        for tick in ax.get_xticklabels():
            tick.set(ha="left", rotation_mode="anchor")
    ax.tick_params(length=0)
    ax.set_xticks(np.arange(wide + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
    ax.grid(visible=False)
    ax.grid(visible=True, which="minor", color="#E6E6E6", linewidth=0.6)
    ax.tick_params(which="minor", length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_xlabel("shade: share of what a target's best column adds", fontsize=8, color=SOFT)
    return figure


def _rows(share: np.ndarray) -> np.ndarray:
    """The first of every task, then the second of every one, until there are enough."""
    ranks = np.argsort(np.argsort(-share, axis=0, kind="stable"), axis=0)
    best = np.where(share > 0, ranks, len(share)).min(axis=1)
    first = np.lexsort((-share.max(axis=1), best))
    seen = share[first].max(axis=1, initial=0.0) >= LEAST
    first = first[seen | (np.arange(len(first)) < FEWEST_ROWS)][:MOST_ROWS]
    # As neighbours those that matter to the same task.
    return first[np.lexsort((-share[first].max(axis=1), share[first].argmax(axis=1)))]


def _write(ax: Axes, added: np.ndarray, shown: np.ndarray) -> None:
    for t in range(added.shape[1]):
        digits = decimals_for(added[:, t], 2)
        for row, value in enumerate(added[:, t]):
            if np.isfinite(value):
                ax.text(
                    *(t, row, fixed(value, digits)),
                    ha="center",
                    va="center",
                    fontsize=7.5,
                    color=ON_DARK if shown[row, t] > 0.6 else ON_LIGHT,
                )

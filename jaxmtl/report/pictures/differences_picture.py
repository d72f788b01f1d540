"""Paired differences of every arm against the reference."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from jaxmtl.comparison import PerSeed
from jaxmtl.report.pictures.comparison_rows import (
    LINE,
    Difference,
    Names,
    differences,
)
from jaxmtl.report.pictures.style import (
    BLUE,
    INK,
    SHARED,
    SOFT,
    VERMILION,
    new_figure,
    panel_columns,
)
from jaxmtl.report.words.compared import compared
from jaxmtl.report.words.numbers import MINUS, count, percent_decimals, signed, with_interval

WIDTH = 8.4
COLOURS = {"better": BLUE, "worse": VERMILION}
MOST_DOTS = 6000  # beyond that they are drawn as pixels, else the picture grows to megabytes
GAP = 0.75  # between contestants and lines, in rows


class _Layout(NamedTuple):
    places: list[float]  # height of every row
    limits: tuple[float, float]  # along x
    names: Names
    reference: str
    pixels: bool  # dots as pixels


def draw_differences(
    runs: PerSeed, contrasts: pd.DataFrame, reference: str, names: Names
) -> Figure:
    """A large panel for the mean over tasks, and below it a small one a task.

    Args:
        runs: errors of every arm, seed and task.
        contrasts: one row an arm and quantity.
        reference: name of the arm at the line of zero.
        names: how arms and tasks are written.

    Returns:
        The figure.
    """
    tasks = list(runs.tasks)
    overall = differences(runs, contrasts, reference)
    if not overall:
        return _nothing_to_compare(names.arms[reference])
    small = list(tasks) if len(tasks) > 1 else []
    columns = panel_columns(len(small)) if small else 1
    rows = -(-len(small) // columns)
    tall = 0.27 * len(overall) + 1.75
    low = (0.2 * len(overall) + 0.75) * rows + 0.35 * bool(rows)
    figure = new_figure(WIDTH, tall + low)
    parts = (
        figure.subfigures(2, 1, height_ratios=[tall, low], squeeze=False).ravel()
        if rows
        else [figure]
    )
    pixels = sum(len(row.seeds) for row in overall) * (1 + len(small)) > MOST_DOTS
    places = _places(overall)

    def layout(found: Sequence[Difference]) -> _Layout:
        return _Layout(places, _limits(found), names, reference, pixels)

    ax = parts[0].subplots()
    _draw_rows(ax, overall, layout(overall), numbers=True)
    seeds = count(len(runs.seeds), "seed")
    what = f"Mean over the {len(tasks)} tasks" if small else names.tasks[next(iter(tasks))]
    _title(ax, f"{what}, paired differences of {seeds}")
    words = compared(runs.measures or ("rmse",), scaled=runs.scaled, better=runs.better)
    ax.set_xlabel(
        f"{words.paired} against {names.arms[reference]} (%), {words.sign_of_better} is better"
    )
    singly = [differences(runs, contrasts, reference, task) for task in small]
    # Verdicts on single tasks need not be among those on the mean.
    handles = _legend([*overall, *itertools.chain(*singly)])
    parts[0].legend(handles=handles, loc="outside lower center", ncols=3)
    if small:
        grid = parts[1].subplots(rows, columns, squeeze=False).ravel()
        for number, (ax, task, found) in enumerate(zip(grid, small, singly, strict=False)):
            _draw_rows(ax, found, layout(found), named=number % columns == 0)
            _title(ax, names.tasks[task])
        for ax in grid[len(small) :]:
            ax.remove()
        parts[1].supxlabel(
            f"{words.paired} of the task against {names.arms[reference]} (%)", fontsize=9.0
        )
    return figure


def _nothing_to_compare(reference: str) -> Figure:
    figure = new_figure(WIDTH, 1.4)
    ax = figure.subplots()
    ax.set_axis_off()
    text = f"Nothing to compare: {reference} is the only arm"
    ax.text(0.5, 0.5, text, ha="center", va="center", transform=ax.transAxes)
    return figure


def _places(rows: Sequence[Difference]) -> list[float]:
    """Heights from 0 downwards, lines set apart."""
    contestants = sum(row.kind != LINE for row in rows)
    return [-i - GAP * (row.kind == LINE and contestants > 0) for i, row in enumerate(rows)]


def _limits(rows: Sequence[Difference]) -> tuple[float, float]:
    """Range that shows the contestants well; a few far outside do not squeeze the others."""
    finite = [row for row in rows if np.isfinite(row.percent)]
    shown = [row for row in finite if row.kind != LINE] or finite
    ends = np.array([_ends(row) for row in shown]).reshape(-1, 2)
    left, right = _reach(-ends[:, 0]), _reach(ends[:, 1])
    width = max(left, right) or max([abs(row.percent) for row in shown], default=0.0) or 1.0
    dots = np.concatenate([np.zeros(1), *(row.seeds for row in shown)])
    left = max(left, min(-float(dots.min()), 2.5 * width))
    right = max(right, min(float(dots.max()), 2.5 * width))
    for row in finite:
        low, high = _ends(row)
        if row.kind == LINE and max(-low, high) < 2.5 * width:
            left, right = max(left, -low), max(right, high)
    margin = 0.06 * (left + right) or 1.0
    return -max(left, 0.12 * right) - margin, max(right, 0.12 * left) + margin


def _ends(row: Difference) -> tuple[float, float]:
    known = [value for value in (row.low, row.percent, row.high) if np.isfinite(value)]
    return min(known), max(known)


def _reach(extents: np.ndarray) -> float:
    if not len(extents):
        return 0.0
    usual = 5 * float(np.median(np.maximum(extents, 0)))
    return max(min(float(extents.max()), usual) if usual else float(extents.max()), 0.0)


def _draw_rows(
    ax: Axes,
    rows: Sequence[Difference],
    layout: _Layout,
    *,
    named: bool = True,
    numbers: bool = False,
) -> None:
    low, high = layout.limits
    size = 6.5 if numbers else 5.0
    decimals = percent_decimals(rows)
    ax.set_xlim(low, high)
    ax.set_ylim(layout.places[-1] - 0.6, 0.6)
    ax.grid(axis="y", visible=False)
    ax.axvline(0, color=INK, lw=0.9, zorder=1)
    ax.annotate(
        layout.names.arms[layout.reference],
        (0, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 2),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=7.5,
        color=SOFT,
    )
    for row, y in zip(rows, layout.places, strict=True):
        _draw_seeds(ax, row, y, layout)
        _draw_mean(ax, row, y, layout.limits, size, decimals, named=not numbers)
        if numbers:
            text = row.absence or with_interval(row.percent, row.low, row.high, decimals)
            ax.text(
                *(1.03, y, text),
                transform=ax.get_yaxis_transform(),
                va="center",
                fontsize=8.0,
                color=INK,
            )
    ax.set_yticks(layout.places, [layout.names.arms[row.arm] if named else "" for row in rows])
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="both", labelsize=8.5 if numbers else 7.5)
    ax.spines["left"].set_visible(False)
    ax.xaxis.set_major_locator(MaxNLocator(7 if numbers else 5, steps=[1, 2, 2.5, 5, 10]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value)))


def _draw_seeds(ax: Axes, row: Difference, y: float, layout: _Layout) -> None:
    """A faint dot a seed, shifted up and down so that they do not hide each other."""
    low, high = layout.limits
    if len(row.seeds) < 2 or not low <= row.percent <= high:
        return
    shift = 0.5 * ((np.arange(len(row.seeds)) * 0.618034) % 1.0 - 0.5)
    inside = (row.seeds > low) & (row.seeds < high)
    for values, places, marker in (
        (row.seeds[inside], y + shift[inside], "o"),
        (np.full(int((row.seeds <= low).sum()), low), y + shift[row.seeds <= low], "<"),
        (np.full(int((row.seeds >= high).sum()), high), y + shift[row.seeds >= high], ">"),
    ):
        if len(values):
            ax.scatter(
                *(values, places),
                s=7,
                marker=marker,
                color=SHARED,
                alpha=0.4,
                linewidths=0,
                zorder=2,
                clip_on=marker == "o",
                rasterized=layout.pixels,
            )


def _draw_mean(
    ax: Axes,
    row: Difference,
    y: float,
    limits: tuple[float, float],
    size: float,
    decimals: int,
    *,
    named: bool,
) -> None:
    """The mean and its interval, or an arrow at the edge with the number beside it."""
    if not np.isfinite(row.percent):
        return
    colour = _colour(row)
    if np.isfinite(row.low) and np.isfinite(row.high):
        ax.plot([row.low, row.high], [y, y], color=colour, lw=1.8, zorder=3, solid_capstyle="butt")
    mark = {"color": colour, "mec": colour, "ms": size, "zorder": 4, "ls": ""}
    if limits[0] <= row.percent <= limits[1]:
        mark["mfc"] = colour if row.verdict in COLOURS else "white"
        ax.plot([row.percent], [y], marker="D" if row.kind == LINE else "o", mew=1.2, **mark)
        return
    right = row.percent > 0
    edge = limits[1] if right else limits[0]
    ax.plot([edge], [y], marker=">" if right else "<", clip_on=False, **mark)
    if named:
        ax.annotate(
            signed(row.percent, decimals) + " %",
            (edge, y),
            xytext=(-6 if right else 6, 0),
            textcoords="offset points",
            ha="right" if right else "left",
            va="center",
            fontsize=7.0,
            color=INK,
            zorder=5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )


def _colour(row: Difference) -> str:
    return COLOURS.get(row.verdict, INK)


def _title(ax: Axes, text: str) -> None:
    ax.set_title(text, loc="left", pad=15)


def _legend(rows: Sequence[Difference]) -> list[Line2D]:
    several = any(np.isfinite(row.low) for row in rows)
    kind = "Nadeau–Bengio" if any(row.corrected for row in rows) else "bootstrap over seeds"

    def mark(label: str, marker: str, colour: str, face: str, size: float = 6.0) -> Line2D:
        return Line2D(
            *([], []),
            marker=marker,
            color=colour,
            mfc=face,
            mec=colour,
            ms=size,
            ls="",
            label=label,
        )

    handles = []
    if any(len(row.seeds) > 1 for row in rows):
        handles.append(mark("one seed", "o", "#B2B2B2", "#B2B2B2", 3.0))
    if several:
        label = f"95 % interval of the mean ({kind})"
        handles.append(Line2D([], [], color=INK, lw=1.8, label=label))
    verdicts = {row.verdict for row in rows if np.isfinite(row.percent)}
    for verdict, colour in COLOURS.items():
        if verdict in verdicts:
            handles.append(mark(f"mean: {verdict}", "o", colour, colour))
    if verdicts - set(COLOURS):
        label = "mean" if handles else "difference of one seed"
        label = "mean, hollow: not distinguishable" if several else label
        handles.append(mark(label, "o", INK, "white"))
    if any(row.kind == LINE for row in rows):
        handles.append(mark("a line, no contestant", "D", INK, "white"))
    return handles


def _tick(value: float) -> str:
    text = f"{value:+g}" if abs(value) > 1e-9 else "0"
    return text.replace("-", MINUS)

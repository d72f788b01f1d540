"""Error of every arm against the number of its active parameters."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from jaxmtl.comparison import PerSeed
from jaxmtl.report.pictures.comparison_rows import LINE, Names, number, rows_of
from jaxmtl.report.pictures.name_placement import place_names, spread
from jaxmtl.report.pictures.style import BLUE, SOFT, new_figure
from jaxmtl.report.words.compared import compared
from jaxmtl.report.words.numbers import count, decimals_for, fixed

FROM_LOG = 8.0  # ratio of parameters from which their axis is logarithmic
APART = 0.022  # of the width of the axes, between arms of the same size


class _Point(NamedTuple):
    arm: str
    error: float
    low: float
    high: float
    parameters: float  # NaN for a line
    fewest: float
    most: float


def draw_error_against_parameters(
    leaderboard: pd.DataFrame,
    runs: PerSeed,
    parameters: Float[np.ndarray, "arms seeds"],
    names: Names,
) -> Figure:
    """A named point an arm, and a named dashed line a reference line.

    Args:
        leaderboard: one row an arm.
        runs: errors of every arm, seed and task.
        parameters: numbers in use, NaN where a line has none.
        names: how arms are written.

    Returns:
        The figure.
    """
    sizes = dict(zip(runs.arms, parameters, strict=True))
    found = [_point(row, sizes[row["arm"]]) for row in rows_of(leaderboard)]
    shown = [point for point in found if np.isfinite(point.error)]
    arms = [point for point in shown if np.isfinite(point.parameters)]
    lines = [point for point in shown if not np.isfinite(point.parameters)]
    figure = new_figure(7.6, 4.6)
    ax = figure.subplots()
    ax.set_title("Error against size")
    ax.set_xlabel("active parameters (mean over seeds)")
    ax.set_ylabel(compared(runs.measures, scaled=runs.scaled, better=runs.better).axis)
    _set_limits(ax, arms, lines)
    bars = []
    arms, moved = _side_by_side(ax, arms)
    if moved:
        ax.set_xlabel("active parameters (mean over seeds; arms of nearly equal size side by side)")
    for point in arms:
        if np.isfinite(point.low) and np.isfinite(point.high):
            bars.append(((point.parameters, point.low), (point.parameters, point.high)))
        if point.most > point.fewest:
            bars.append(((point.fewest, point.error), (point.most, point.error)))
            ax.plot(*zip(*bars[-1], strict=True), color=BLUE, lw=0.7, alpha=0.7, zorder=2)
        ax.plot(point.parameters, point.error, "o", color=BLUE, mec="white", ms=7, zorder=4)
    uprights = [bar for bar in bars if bar[0][0] == bar[1][0]]
    ranges = len(bars) > len(uprights)
    for ends in uprights:
        ax.plot(*zip(*ends, strict=True), color=BLUE, lw=1.8, zorder=3, solid_capstyle="butt")
    _draw_lines(ax, lines, names)
    absent = [names.arms[point.arm] for point in found if not np.isfinite(point.error)]
    if not shown:
        ax.text(0.5, 0.5, "no finite error", transform=ax.transAxes, ha="center")
    handles = _legend(bool(uprights), ranges, bool(lines), len(runs.seeds))
    if absent:
        label = f"not shown, diverged in every seed: {', '.join(absent)}"
        handles.append(Line2D([], [], ls="", label=label))
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    left, right = ax.get_xlim()
    bars += [((left, line.error), (right, line.error)) for line in lines]
    points = np.array([(point.parameters, point.error) for point in arms]).reshape(-1, 2)
    place_names(ax, points, [names.arms[point.arm] for point in arms], bars=bars)
    return figure


def _point(row: dict[str, Any], sizes: Float[np.ndarray, " seeds"]) -> _Point:
    of_seeds = sizes[np.isfinite(sizes)].tolist()
    # A line may count parameters of its own (a ridge regression does), but is no network.
    mean = np.nan if row["kind"] == LINE else number(row["parameters"])
    return _Point(
        arm=row["arm"],
        error=number(row["error"]),
        low=number(row["error_low"]),
        high=number(row["error_high"]),
        parameters=mean,
        fewest=min(of_seeds, default=mean),
        most=max(of_seeds, default=mean),
    )


def _set_limits(ax: Axes, arms: list[_Point], lines: list[_Point]) -> None:
    """Room for all arms, and for lines that are not far away."""
    sizes = np.array([v for p in arms for v in (p.fewest, p.parameters, p.most) if v > 0])
    if len(sizes) and sizes.max() / sizes.min() > FROM_LOG:
        ax.set_xscale("log")
        ax.set_xlim(sizes.min() / 1.25, sizes.max() * 1.25)
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_minor_formatter(NullFormatter())
    elif len(sizes):
        margin = 0.14 * (sizes.max() - sizes.min()) or 0.2 * sizes.max()
        ax.set_xlim(max(sizes.min() - margin, 0.0), sizes.max() + margin)
        ax.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    inside = arms or lines
    known = [v for p in inside for v in (p.low, p.error, p.high) if np.isfinite(v)]
    if not known:
        return
    low, high = min(known), max(known)
    span = high - low or abs(high) or 1.0
    for line in lines:
        if low - 0.5 * span < line.error < high + 0.5 * span:
            known.append(line.error)
    low, high = min(known), max(known)
    margin = 0.1 * (high - low) or 0.1 * span
    ax.set_ylim(low - margin, high + margin)


def _side_by_side(ax: Axes, arms: list[_Point]) -> tuple[list[_Point], bool]:
    """Arms of the same size a little apart, so that their intervals do not hide each other."""
    if not any(np.isfinite(arm.low) for arm in arms):
        return arms, False
    whole = ax.transScale + ax.transLimits  # from data to fractions of the axes
    at = whole.transform(np.array([(arm.parameters, arm.error) for arm in arms]))
    places = np.array(spread(at[:, 0].tolist(), APART))
    moved = bool(np.abs(places - at[:, 0]).max() > 1e-6)
    x = whole.inverted().transform(np.stack([places, at[:, 1]], axis=1))[:, 0]
    return [arm._replace(parameters=float(v)) for arm, v in zip(arms, x, strict=True)], moved


def _draw_lines(ax: Axes, lines: list[_Point], names: Names) -> None:
    """Dashed lines, named at the right; one out of sight is named at the edge it is behind."""
    low, high = ax.get_ylim()
    height = 0.048 * (high - low)
    wanted = [min(max(line.error, low), high) for line in lines]
    decimals = decimals_for([line.error for line in lines], 3)
    for line, y in zip(lines, spread(wanted, height, low, high), strict=True):
        text = names.arms[line.arm]
        if low <= line.error <= high:
            ax.axhline(line.error, color=SOFT, lw=1.0, ls=(0, (5, 3)), zorder=1)
        else:
            arrow = "↑" if line.error > high else "↓"
            text = f"{arrow} {text} ({fixed(line.error, decimals)})"
        ax.annotate(
            text,
            (1.0, min(max(line.error, low), high)),
            xycoords=("axes fraction", "data"),
            xytext=(1.02, y),
            textcoords=("axes fraction", "data"),
            va="center",
            fontsize=8.5,
            color=SOFT,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "lw": 0.5, "color": SOFT, "shrinkA": 0, "shrinkB": 0}
            if abs(y - line.error) > 0.1 * height and low <= line.error <= high
            else None,
        )


def _legend(intervals: bool, ranges: bool, lines: bool, seeds: int) -> list[Line2D]:
    mean = f"mean over {count(seeds, 'seed')}" if seeds > 1 else "one seed"
    label = f"{mean}, 95 % bootstrap interval" if intervals else mean
    shown = [
        Line2D([], [], color=BLUE, marker="o", mec="white", ms=7, lw=1.8 * intervals, label=label)
    ]
    if ranges:
        label = "fewest to most parameters of a seed"
        shown.append(Line2D([], [], color=BLUE, lw=0.7, alpha=0.7, label=label))
    if lines:
        label = "a line, no contestant"
        shown.append(Line2D([], [], color=SOFT, lw=1.0, ls=(0, (5, 3)), label=label))
    return shown

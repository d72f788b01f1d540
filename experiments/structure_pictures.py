"""The pictures of ``which_structure.py``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

# Colours of Okabe and Ito; shapes say it again.
ROWS = (("#56B4E9", "o"), ("#E69F00", "s"), ("#0072B2", "D"))
SHOWN = ("shared", "shared x4", "separate x2", "look-ahead", "halving", "two of shared x4")


def draw_looks(found: Sequence[Mapping[str, Any]], path: Path, z: str = "1") -> None:
    """Shares of runs in which all layers were parted, with 95 % intervals (Wilson)."""
    networks = list(dict.fromkeys(one["network"] for one in found))
    figure = Figure(figsize=(3.6 * len(networks) + 0.6, 3.4), layout="constrained")
    panels = figure.subplots(1, len(networks), sharey=True, squeeze=False)[0]
    for axes, network in zip(panels, networks, strict=True):
        _draw_looks(axes, [one for one in found if one["network"] == network], z)
        axes.set_title(network, loc="left", fontsize=10)
    panels[0].set_ylabel("runs in which all layers were parted")
    panels[-1].legend(frameon=False, fontsize=8.5, loc="upper left")
    figure.savefig(path, dpi=160)


def _draw_looks(axes: Any, found: Sequence[Mapping[str, Any]], z: str) -> None:
    angles = sorted({one["angle"] for one in found})
    sizes = sorted({one["rows"] for one in found})
    for number, rows in enumerate(sizes):
        here = {one["angle"]: one for one in found if one["rows"] == rows}
        share = np.array([here[angle]["accepted"][z] for angle in angles])
        n = np.array([here[angle]["seeds"] for angle in angles])
        middle = (share + 1.92 / n) / (1 + 3.84 / n)
        half = 1.96 * np.sqrt(share * (1 - share) / n + 0.96 / n**2) / (1 + 3.84 / n)
        x = np.arange(len(angles)) + 0.12 * (number - (len(sizes) - 1) / 2)
        colour, marker = ROWS[number % len(ROWS)]
        axes.vlines(x, middle - half, middle + half, color=colour, lw=1.4)
        axes.plot(x, share, marker, color=colour, ms=5.5, label=f"{rows} rows")
    axes.axhline(0.07, color="#8A8A8A", lw=0.8, ls=":")
    axes.text(len(angles) - 1.5, 0.085, "7 %", fontsize=7.5, color="#595959", ha="center")
    names = {0: "identical", 90: "unrelated", 180: "flipped"}
    labels = [f"{angle:g}°" + (f"\n{names[angle]}" if angle in names else "") for angle in angles]
    axes.set_xticks(range(len(angles)), labels, fontsize=8.5)
    axes.set_xlim(-0.5, len(angles) - 0.5)
    axes.set_ylim(-0.03, 1.03)
    axes.spines[["top", "right"]].set_visible(False)


def draw_regret(found: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """A row a problem, a mark a policy."""
    policies = [name for name in SHOWN if name in next(iter(found.values()))["regret"]]
    figure = Figure(figsize=(7.0, 0.36 * len(found) + 1.5), layout="constrained")
    axes = figure.subplots()
    looks = zip(
        ("#8A8A8A", "#E69F00", "#009E73", "#CC79A7", "#0072B2", "#D55E00"), "vsD^oP", strict=True
    )
    for policy, (colour, marker) in zip(policies, looks, strict=False):
        values = [100 * np.mean(one["regret"][policy]) for one in found.values()]
        axes.plot(values, range(len(found)), marker, color=colour, ms=5.5, label=policy)
    axes.axvline(0, color="#8A8A8A", lw=0.8)
    axes.set_xscale("symlog", linthresh=20)
    axes.set_xticks([-40, -20, -10, 0, 10, 20, 50, 100, 200, 500])
    axes.set_xticklabels(["−40", "−20", "−10", "0", "10", "20", "50", "100", "200", "500"])
    axes.set_yticks(range(len(found)), [*found])
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_xlabel("test error over that of the best single candidate, less 1, %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#E6E6E6", lw=0.6)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=8, ncols=3, loc="lower left", bbox_to_anchor=(0, 1.0))
    figure.savefig(path, dpi=160)

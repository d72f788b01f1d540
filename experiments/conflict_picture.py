"""The picture of ``where_tasks_conflict.py``: layers over time, and scores against benefits."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

# Colours of Okabe and Ito, told apart with any kind of colour vision; one a layer.
COLOURS = ("#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00", "#CC79A7")
TITLES = {
    "cosine": "minus the mean cosine",
    "rate": "share of updates in conflict",
    "opposite": "entries of opposite sign",
    "dominance": "1 minus the ratio of norms",
    "longest": "longest streak of conflict",
    "of samples": "share of samples in conflict",
    "without noise": "minus the cosine without noise",
}
SHOWN = ("cosine", "rate", "opposite", "dominance", "of samples", "without noise")


def draw(
    maps: Mapping[str, np.ndarray],
    steps: np.ndarray,
    layers: Sequence[str],
    scores: Mapping[str, np.ndarray],
    benefit: Mapping[str, np.ndarray],
    path: Path,
) -> None:
    """Two heat maps above, and a scatter plot a score below.

    Args:
        maps: by score, (moments, layers), means over the seeds.
        steps: of the moments.
        layers: their names.
        scores: by name, (seeds, layers).
        benefit: by structure, (seeds,), in hundredths of a logarithm.
        path: of the file to write.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(10.5, 9.0), layout="constrained")
    halves: Any = figure.subfigures(2, 1, height_ratios=(1, 1.9))
    above, below = halves
    edges = np.concatenate([[0], steps])
    for axes, (kind, values) in zip(above.subplots(1, 2), maps.items(), strict=True):
        most = np.abs(values).max()
        low, colours = (-most, "RdBu_r") if values.min() < 0 else (0, "cividis")
        image = axes.pcolormesh(
            edges, np.arange(len(layers) + 1) - 0.5, values.T, cmap=colours, vmin=low, vmax=most
        )
        axes.invert_yaxis()
        axes.set_yticks(range(len(layers)), layers, fontsize=9)
        axes.set_xlabel("updates")
        axes.set_title(TITLES[kind], loc="left", fontsize=10)
        above.colorbar(image, ax=axes)
    ends = _spread(benefit["everything"])
    grid = below.subplots(2, 3, sharey=True)
    for number, (axes, kind) in enumerate(zip(grid.flat, SHOWN, strict=True)):
        axes.axhspan(*ends, color="#DDDDDD", lw=0)
        axes.axhline(0, color="black", lw=0.8)
        for layer, colour, of_layer in zip(layers, COLOURS, scores[kind].T, strict=True):
            axes.scatter(of_layer, benefit[layer], color=colour, s=9, alpha=0.35, lw=0)
            (low, high), (left, right) = _spread(benefit[layer]), _spread(of_layer)
            axes.errorbar(
                *(of_layer.mean(), benefit[layer].mean()),
                xerr=[[of_layer.mean() - left], [right - of_layer.mean()]],
                yerr=[[benefit[layer].mean() - low], [high - benefit[layer].mean()]],
                color=colour,
                marker="o",
                ms=5,
                lw=1.2,
            )
        axes.set_xlabel(TITLES[kind], fontsize=9)
        if number % 3 == 0:
            axes.set_ylabel("losses fall by (100 log)", fontsize=9)
        axes.tick_params(labelsize=8)
    handles: list[Any] = [
        Line2D([], [], color=colour, marker="o", lw=0, label=f"{layer} split")
        for layer, colour in zip(layers, COLOURS, strict=True)
    ]
    handles += [
        Line2D([], [], color="#DDDDDD", lw=8, label="everything split"),
        Line2D([], [], color="black", lw=0.8, label="nothing split"),
    ]
    below.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    above.suptitle("Conflict of the layers while the network is trained with all shared")
    below.suptitle("What splitting a layer brings, against its conflict: seeds, and mean ± 2 SE")
    figure.savefig(path, dpi=100)


def _spread(values: np.ndarray) -> tuple[float, float]:
    """The mean less and plus two standard errors."""
    half = 2 * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)

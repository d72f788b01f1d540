"""What ``constraints.py`` found: its results, printed as tables and drawn."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

BOUND = 0.85
TOLERANCE = 0.005  # an excess that still counts as none, in the unit of output 2
STRENGTHS = (0.1, 1.0, 10.0, 100.0)
BLUE, ORANGE, GREEN, PINK, VERMILION, SKY = (  # Okabe-Ito
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#D55E00",
    "#56B4E9",
)


class Result(NamedTuple):
    """A method after training: one entry a seed, and violation by epoch.

    Attributes:
        rmse: test error of each task, (seeds, 2).
        rate: share of rows below the bound, training and test, (seeds, 2).
        size: mean shortfall over test rows, (seeds,).
        worst: largest shortfall of a test row, (seeds,).
        by_epoch: mean shortfall over training rows, mean over seeds, (epochs,).
    """

    rmse: np.ndarray
    rate: np.ndarray
    size: np.ndarray
    worst: np.ndarray
    by_epoch: np.ndarray


class Fronts(NamedTuple):
    """Mean training errors of both tasks, (points, 2), means over seeds.

    Attributes:
        bounds: of task 2, (points,).
        bounded: errors under each bound.
        prices: multiplier of each bound, (points,).
        weights: of task 1, (points,).
        weighted: errors under each weight.
    """

    bounds: np.ndarray
    bounded: np.ndarray
    prices: np.ndarray
    weights: np.ndarray
    weighted: np.ndarray


def spread(values: np.ndarray, digits: int = 3) -> str:
    """Mean and standard deviation over seeds."""
    deviation = values.std(ddof=1) if len(values) > 1 else float("nan")
    return f"{values.mean():.{digits}f} ± {deviation:.{digits}f}"


def print_tables(
    reference: dict[str, tuple[np.ndarray, np.ndarray]],
    results: dict[str, Result],
    fronts: Fronts,
    sharing: dict[str, np.ndarray],
) -> None:
    print("\n1. Reference case: mean squared errors on its 32 rows, and mean shortfall of output 2")
    for name, (errors, short) in reference.items():
        print(
            f"  {name:12}task 1 {spread(errors[:, 0])}   task 2 {spread(errors[:, 1])}   "
            f"shortfall {spread(short)}"
        )
    print(f"\n2. Output 2 >= {BOUND}: test rows (violated: short by more than {TOLERANCE})")
    print(
        f"  {'method':24}{'RMSE task 1':>16}{'RMSE task 2':>16}"
        f"{'violated, train':>17}{'violated, test':>16}{'shortfall':>17}{'worst':>8}"
    )
    for name, r in results.items():
        train, test = 100 * r.rate.mean(axis=0)
        print(
            f"  {name:24}{spread(r.rmse[:, 0]):>16}{spread(r.rmse[:, 1]):>16}"
            f"{train:>15.1f} %{test:>14.1f} %{spread(r.size, 4):>17}{r.worst.mean():>8.3f}"
        )
    print("\n3. Epsilon-constraint: task 2 no worse than b (mean squared errors, training rows)")
    print("      b    task 1   task 2   price of b     |  weight of task 1   task 1   task 2")
    for b, (one, two), price, weight, (first, second) in zip(*fronts, strict=True):
        print(
            f"  {b:5.2f}{one:10.4f}{two:9.4f}{price:13.3f}     |  "
            f"{weight:16.2f}{first:9.4f}{second:9.4f}"
        )
    print("\n4. Soft parameter sharing: RMSE on test rows, 40 rows to learn from")
    for name, rmse in sharing.items():
        print(f"  {name:18}task 1 {spread(rmse[:, 0])}   task 2 {spread(rmse[:, 1])}")


def draw(results: dict[str, Result], fronts: Fronts, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14.0, 4.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    looks = {
        "none": (VERMILION, "X"),
        "hard": (BLUE, "s"),
        "hard, straight-through": (SKY, "D"),
        "hard + soft, lambda 1": (ORANGE, "P"),
        "augmented Lagrangian": (GREEN, "o"),
    }
    soft = [r for name, r in results.items() if name.startswith("soft")]
    sizes, errors = [r.size.mean() for r in soft], [r.rmse[:, 1].mean() for r in soft]
    left.plot(sizes, errors, color=PINK, marker="^", label="soft, over λ", zorder=2)
    for size, error, strength in zip(sizes, errors, STRENGTHS, strict=True):
        left.annotate(
            f"λ = {strength:g}", (size, error), xytext=(0, 8), textcoords="offset points", size=8
        )
    for name, (colour, marker) in looks.items():
        r = results[name]
        left.plot(
            r.size.mean(),
            r.rmse[:, 1].mean(),
            marker,
            color=colour,
            markersize=8,
            label=name,
            zorder=3,
        )
    left.set(
        title=f"Accuracy against violation of output 2 ≥ {BOUND}",
        xlabel="mean shortfall on test rows (unit of output 2)",
        ylabel="RMSE of task 2 on test rows (its unit)",
    )
    left.margins(x=0.1)
    left.legend(fontsize=8)
    shown = {name: results[name] for name in ("none", "augmented Lagrangian")}
    shown |= {name: r for name, r in results.items() if name.startswith("soft")}
    shades = dict(zip(shown, (VERMILION, GREEN, ORANGE, PINK, SKY, BLUE), strict=True))
    for name, r in shown.items():
        wide = 2.0 if name == "augmented Lagrangian" else 1.2
        epochs = np.arange(1, len(r.by_epoch) + 1)
        middle.semilogy(epochs, r.by_epoch, color=shades[name], label=name, lw=wide)
    middle.set(
        title="Violation while training (hard ones: 0)",
        xlabel="epoch",
        ylabel="mean shortfall on training rows (unit of output 2)",
    )
    middle.set_ylim(top=9)
    middle.legend(fontsize=8, ncols=2, loc="upper right")
    right.plot(*fronts.bounded.T, "o-", color=GREEN, label="task 2 no worse than b")
    right.plot(*fronts.weighted.T, "s", color=BLUE, label="weighted sum of losses")
    for bound in fronts.bounds:
        label = "the bounds b" if bound == fronts.bounds[0] else None
        right.axhline(bound, color="#999999", lw=0.7, ls=":", zorder=0, label=label)
    right.set(
        title="Two tasks on one shared node",
        xlabel="mean squared error of task 1",
        ylabel="mean squared error of task 2",
    )
    right.legend(fontsize=8)
    figure.savefig(path, dpi=150)

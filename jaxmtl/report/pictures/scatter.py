"""Predicted against observed values."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from jaxmtl.report.pictures.labels import Labels
from jaxmtl.report.pictures.style import INK, panel_columns, panels, run_colours


def draw_predictions(
    observed: Float[np.ndarray, "rows tasks"],
    predicted: Mapping[str, Float[np.ndarray, "rows tasks"]],
    labels: Labels,
    split: str,
) -> Figure:
    """One panel a task, with the line on which predictions are exact.

    Args:
        observed: in original units, NaN where not known.
        predicted: in original units, by the name of the run.
        labels: of the tasks.
        split: of the rows, for the title of the legend.

    Returns:
        The figure.
    """
    figure, axes = panels(len(labels.tasks), height=3.6)
    colours, about = run_colours(predicted), next(iter(predicted))
    # The last one drawn is on top: the run that the picture is about.
    for task, (ax, label) in enumerate(zip(axes, labels.tasks, strict=True)):
        for name in reversed(list(predicted)):
            ax.scatter(
                observed[:, task],
                predicted[name][:, task],
                s=14,
                marker="o" if name == about else "^",
                facecolors=colours[name] if name == about else "none",
                edgecolors="white" if name == about else colours[name],
                linewidths=0.4 if name == about else 0.7,
                alpha=0.85,
                label=name,
            )
        low, high = _range(observed[:, task], *(values[:, task] for values in predicted.values()))
        ax.plot([low, high], [low, high], color=INK, lw=0.9, zorder=1, label="predicted = observed")
        ax.set_xlim(low, high)
        ax.set_ylim(low, high)
        ax.set_aspect("equal")
        ax.text(
            0.03,
            0.98,
            _errors(observed[:, task], predicted, task),
            transform=ax.transAxes,
            va="top",
            fontsize=8,
            linespacing=1.35,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1.5},
        )
        ax.set_title(label)
        ax.set_xlabel("observed (original units)")
        if task % panel_columns(len(axes)) == 0:
            ax.set_ylabel("predicted (original units)")
    handles, names = axes[0].get_legend_handles_labels()
    handle_of = dict(zip(names, handles, strict=True))
    order = [*predicted, "predicted = observed"]
    figure.legend(
        [handle_of[name] for name in order],
        [f"{name}, {split} rows" if name in predicted else name for name in order],
        loc="outside upper center",
        ncols=len(order) if len(axes) > 1 else 1,
    )
    return figure


def _errors(observed: np.ndarray, predicted: Mapping[str, np.ndarray], task: int) -> str:
    known = np.isfinite(observed)
    if not known.any():
        return "no observed value"
    with np.errstate(over="ignore", invalid="ignore"):
        rmse = {
            name: np.sqrt(np.mean((values[known, task] - observed[known]) ** 2))
            for name, values in predicted.items()
        }
    return "RMSE\n" + "\n".join(
        f"{name} {f'{value:#.3g}'.rstrip('.')}" for name, value in rmse.items()
    )


def _range(*values: np.ndarray) -> tuple[float, float]:
    """Limits that hold all values, with a margin; of some width even for a single value."""
    every = np.concatenate(values)
    every = every[np.isfinite(every)]
    if not len(every):
        return 0.0, 1.0
    low, high = float(every.min()), float(every.max())
    margin = 0.04 * (high - low) or max(abs(high), 1.0) * 0.04
    return low - margin, high + margin

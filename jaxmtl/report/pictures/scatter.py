"""Predicted against observed values."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxmtl.metrics import main_measure, score
from jaxmtl.report.pictures.confusion import draw_confusion
from jaxmtl.report.pictures.labels import Labels
from jaxmtl.report.pictures.style import INK, panel_columns, panels, run_colours
from jaxmtl.tasks import Task, output_slices

EXACT = "predicted = observed"


def draw_predictions(
    observed: Float[np.ndarray, "rows tasks"],
    predicted: Mapping[str, Float[np.ndarray, "rows outputs"]],
    labels: Labels,
    split: str,
    tasks: Sequence[Task],
    beside: Mapping[str, Float[np.ndarray, "rows outputs"]] | None = None,
) -> Figure:
    """One panel a task: of a number with the line on which predictions are exact, of classes a
    table of how often each was taken for which.

    Args:
        observed: in original units, a class as its number, NaN where not known.
        predicted: in original units, probabilities of classes, by the name of the run.
        labels: of the tasks.
        split: of the rows, for the title of the legend.
        tasks: what was predicted.
        beside: predictions of which only the errors are shown, by name.

    Returns:
        The figure.
    """
    figure, axes = panels(len(labels.tasks), height=3.6)
    handles = {}
    for number, (ax, task, columns) in enumerate(
        zip(axes, tasks, output_slices(tasks), strict=True)
    ):
        of_task = {name: values[:, columns] for name, values in predicted.items()}
        yards = {name: values[:, columns] for name, values in (beside or {}).items()}
        said = _errors(
            task,
            observed[:, number],
            of_task | {n: v for n, v in yards.items() if n not in of_task},
        )
        ax.set_title(labels.tasks[number])
        first = number % panel_columns(len(axes)) == 0
        if task.has_classes:
            name = next(iter(predicted))
            draw_confusion(ax, task, observed[:, number], of_task[name], labels)
            ax.set_title(f"{labels.tasks[number]}\n{said.replace(chr(10), ', ')}", fontsize=8.0)
            ax.set_xlabel(f"predicted ({name}, {split} rows)")
            ax.set_ylabel("observed")
            continue
        _draw_numbers(
            ax, observed[:, number], {name: values[:, 0] for name, values in of_task.items()}
        )
        ax.text(
            0.03,
            0.98,
            said,
            transform=ax.transAxes,
            va="top",
            fontsize=8,
            linespacing=1.35,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1.5},
        )
        unit = main_measure(task).unit_of(task)
        ax.set_xlabel(f"observed ({unit})")
        if first or len({task.unit for task in tasks}) > 1:
            ax.set_ylabel(f"predicted ({unit})")
        found, names = ax.get_legend_handles_labels()
        handles |= dict(zip(names, found, strict=True))
    order = [name for name in (*predicted, EXACT) if name in handles]
    if order:
        figure.legend(
            [handles[name] for name in order],
            [f"{name}, {split} rows" if name in predicted else name for name in order],
            loc="outside upper center",
            ncols=len(order) if len(axes) > 1 else 1,
        )
    return figure


def _draw_numbers(ax: Axes, observed: np.ndarray, predicted: Mapping[str, np.ndarray]) -> None:
    colours, about = run_colours(predicted), next(iter(predicted))
    # The last one drawn is on top: the run that the picture is about.
    for name in reversed(list(predicted)):
        ax.scatter(
            observed,
            predicted[name],
            s=14,
            marker="o" if name == about else "^",
            facecolors=colours[name] if name == about else "none",
            edgecolors="white" if name == about else colours[name],
            linewidths=0.4 if name == about else 0.7,
            alpha=0.85,
            label=name,
        )
    low, high = _range(observed, *predicted.values())
    ax.plot([low, high], [low, high], color=INK, lw=0.9, zorder=1, label=EXACT)
    ax.set_xlim(low, high)
    ax.set_ylim(low, high)
    ax.set_aspect("equal")


def _errors(task: Task, observed: np.ndarray, predicted: Mapping[str, np.ndarray]) -> str:
    """The main measure of every run."""
    known = np.isfinite(observed)
    if not known.any():
        return "no observed value"
    measure = main_measure(task)
    lines = [measure.label]
    for name, values in predicted.items():
        found = score([task], values, observed[:, None], known[:, None])
        lines.append(f"{name} {f'{found.main[0]:#.3g}'.rstrip('.')}")
    return "\n".join(lines)


def _range(*values: np.ndarray) -> tuple[float, float]:
    """Limits that hold all values, with a margin; of some width even for a single value."""
    every = np.concatenate(values)
    every = every[np.isfinite(every)]
    if not len(every):
        return 0.0, 1.0
    low, high = float(every.min()), float(every.max())
    margin = 0.04 * (high - low) or max(abs(high), 1.0) * 0.04
    return low - margin, high + margin

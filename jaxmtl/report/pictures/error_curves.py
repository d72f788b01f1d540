"""Error curves of every task, with the duplications marked."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

from jaxmtl.methods.method import Trace
from jaxmtl.metrics import main_measure
from jaxmtl.report.pictures.labels import Labels
from jaxmtl.report.pictures.marks import ends_of, mark_duplications, mark_ends
from jaxmtl.report.pictures.style import FAINT, INK, SOFT, panel_columns, panels, run_colours
from jaxmtl.tasks import Task, kinds_differ
from jaxmtl.training import Run

MOST_RUNS = 6  # that have a colour of their own
LEVELS = ((0, (1, 1)), (0, (5, 2, 1, 2)), (0, (8, 3)))  # styles of lines


def draw_errors(
    runs: Mapping[str, Run | Trace],
    labels: Labels,
    split: str,
    tasks: Sequence[Task],
    *,
    levels: Mapping[str, Float[np.ndarray, " tasks"]] | None = None,
    scaled: bool = True,
) -> Figure:
    """Mean loss of each task over the epochs of each run.

    Args:
        runs: by name, of many the first; duplications and ends of stages of the first are marked.
        labels: of the tasks.
        split: whose errors are drawn in full colour, "test" or "validation"; those of the training
            rows are drawn faintly beside them. "train" if there are no other rows.
        tasks: what the errors are of.
        levels: errors on the same rows of what is not trained by epochs, by name.
        scaled: whether the errors are those of scaled targets.

    Returns:
        One panel a task.
    """
    figure, axes = panels(len(labels.tasks))
    runs = dict(itertools.islice(runs.items(), MOST_RUNS))
    colours, adaptive = run_colours(runs), next(iter(runs.values()))
    measures = [main_measure(task) for task in tasks]
    for task, (ax, label) in enumerate(zip(axes, labels.tasks, strict=True)):
        for name, run in runs.items():
            colour, style = colours[name], "-" if run is adaptive else (0, (4, 1.5))
            epochs = np.arange(1, len(run.history) + 1)
            if split != "train":
                ax.plot(
                    epochs, _drawable(run.history.train[:, task]), color=colour, alpha=0.4, lw=0.8
                )
            errors = _drawable(getattr(run.history, split)[:, task])
            # A line needs two epochs, a dot only one.
            dot = "o" if len(epochs) == 1 else None
            ax.plot(epochs, errors, color=colour, ls=style, marker=dot, ms=4)
        for errors, style in zip((levels or {}).values(), LEVELS, strict=False):
            if np.isfinite(errors[task]) and errors[task] > 0:
                ax.axhline(errors[task], color=SOFT, lw=1.0, ls=style, zorder=1.5)
        ax.set_title(label)
        if not any(np.isfinite(line.get_ydata()).any() for line in ax.lines):
            ax.text(0.5, 0.5, "no finite error", transform=ax.transAxes, ha="center")
        _log_axis(ax)
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        ax.set_xlim(0, max(len(run.history) for run in runs.values()) + 1)
        ax.margins(y=0.08)
        mark_duplications(ax, adaptive)
        mark_ends(ax, adaptive)
        if task + panel_columns(len(axes)) >= len(axes):
            ax.set_xlabel("epoch of the run")
        if task % panel_columns(len(axes)) == 0 or kinds_differ(tasks):
            measure = measures[task]
            ax.set_ylabel(f"{measure.loss} (scaled)" if measure.scaled and scaled else measure.loss)
    handles = [
        Line2D(
            [],
            [],
            color=colours[name],
            ls="-" if run is adaptive else (0, (4, 1.5)),
            label=f"{name}, {_rows(split)}",
        )
        for name, run in runs.items()
    ]
    if split != "train":
        handles.append(Line2D([], [], color=FAINT, lw=0.8, label="training rows"))
    if len(adaptive.events):
        handles.append(Line2D([], [], color=INK, lw=0.9, ls=":", label="node duplicated"))
    if ends_of(adaptive):
        handles.append(Line2D([], [], color=SOFT, lw=0.9, ls="--", label="a stage ends"))
    handles += [
        Line2D([], [], color=SOFT, lw=1.0, ls=style, label=name)
        for name, style in zip(levels or {}, LEVELS, strict=False)
    ]
    across = 3 if levels else len(handles)
    across = across if len(axes) > 1 else 2
    figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), across))
    return figure


def _rows(split: str) -> str:
    return {"train": "training rows", "validation": "validation rows", "test": "test rows"}[split]


def _drawable(errors: np.ndarray) -> np.ndarray:
    """Errors that a logarithmic axis can show; others leave a gap."""
    errors = np.asarray(errors, dtype=np.float64)
    return np.where(np.isfinite(errors) & (errors > 0), errors, np.nan)


def _log_axis(ax: Axes) -> None:
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    if high / low < 30:  # one or two powers of ten: name the numbers between them
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
        formatter = ScalarFormatter()
        formatter.set_scientific(False)
        ax.yaxis.set_major_formatter(formatter)
    ax.yaxis.set_minor_formatter(NullFormatter())

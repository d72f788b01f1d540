"""The look that all pictures share."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from jaxmtl.report.pictures.labels import Labels

# Okabe and Ito (2008), Color Universal Design: told apart with any kind of colour vision.
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY = "#E69F00", "#56B4E9"
SHARED = "#7F7F7F"
INK = "#262626"
FAINT = "#B8B8B8"
SOFT = "#595959"  # of texts in second place
# On cells with a shade of their own, which are as light or dark in a dark page: no page changes
# these two, as it does INK and white.
ON_LIGHT, ON_DARK = "#252525", "#FEFEFE"

TASK_COLOURS = (GREEN, PURPLE, ORANGE, SKY, BLUE, VERMILION)
RUN_COLOURS = {"adaptive": BLUE, "hard sharing": VERMILION}

RC = {
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.labelsize": 9.0,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.4,
    "axes.unicode_minus": False,
    "savefig.dpi": 200,
}


def run_colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each run.

    Args:
        names: of the runs; the first is the one that the picture is about.

    Returns:
        Colours by name; those of the study are the same in all pictures.

    Example:
        >>> run_colours(["ridge"]), run_colours(["adaptive", "hard sharing"])
        ({'ridge': '#0072B2'}, {'adaptive': '#0072B2', 'hard sharing': '#D55E00'})
    """
    others = itertools.cycle((BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY))
    return {name: RUN_COLOURS.get(name) or next(others) for name in names}


@contextlib.contextmanager
def looks(labels: Labels) -> Iterator[None]:
    """Applies the style within a block.

    Args:
        labels: whose fonts are needed.

    Yields:
        Nothing.
    """
    rc: dict[Any, Any] = {**RC, "font.family": list(labels.fonts)}
    with matplotlib.rc_context(rc):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure that no global state knows of.

    Args:
        width: in inches.
        height: in inches.

    Returns:
        The figure, whose layout is constrained.

    Example:
        >>> new_figure(4, 3).get_size_inches().tolist()
        [4.0, 3.0]
    """
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.06))
    FigureCanvasAgg(figure)
    return figure


def panel_columns(number: int) -> int:
    """How many panels stand in a row.

    Args:
        number: of panels in all.

    Returns:
        Three at most.

    Example:
        >>> panel_columns(4), panel_columns(5)
        (2, 3)
    """
    return 2 if number == 4 else min(number, 3)


def panels(number: int, *, height: float = 3.1) -> tuple[Figure, list[Axes]]:
    """A figure with one panel a task, three in a row at most.

    Args:
        number: of panels.
        height: of a row, in inches.

    Returns:
        The figure and its panels.

    Example:
        >>> len(panels(5)[1])
        5
    """
    columns = panel_columns(number)
    rows = -(-number // columns)
    figure = new_figure(max(3.7 * columns, 4.6), height * rows + 0.6)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for empty in grid[number:]:
        empty.remove()
    return figure, list(grid[:number])


def save(figure: Figure, path: Path, labels: Labels) -> None:
    """Writes a figure as .png, with the note on replaced names if there is one.

    Args:
        figure: complete.
        path: of the file.
        labels: of the figure.
    """
    if labels.note:
        figure.supxlabel(labels.note, fontsize=7.5, color=SOFT, style="italic")
    figure.savefig(path)

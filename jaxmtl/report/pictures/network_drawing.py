"""A drawing of the network: what all tasks share, and what each has for itself."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Wedge

from jaxmtl.duplication import readers
from jaxmtl.models import HardSharing
from jaxmtl.prediction.records import epoch_of_run, head_index_of
from jaxmtl.report.pictures.labels import Labels
from jaxmtl.report.pictures.style import FAINT, INK, SHARED, TASK_COLOURS, new_figure
from jaxmtl.training import Run

RADIUS = 0.3
STEP_X = 2.6
INCH = 0.56  # inches that one unit of the drawing takes
MOST_UNITS = 9  # of a layer; larger ones are drawn with a gap
MOST_BANK = 12


class Unit(NamedTuple):
    """One circle, or the dots that stand for units left out.

    Attributes:
        x: place of its centre.
        y: place of its centre.
        text: inside the circle; "⋮" and a number for units left out.
        tasks: that read it or that it belongs to; empty where that is all of them.
        column: of the bank; -1 elsewhere.
    """

    x: float
    y: float
    text: str = ""
    tasks: tuple[int, ...] = ()
    column: int = -1

    @property
    def is_gap(self) -> bool:
        """Whether it stands for units left out."""
        return self.text.startswith("⋮")


def draw_network(model: HardSharing, run: Run, labels: Labels) -> Figure:
    """Inputs, shared layers, bank, towers and outputs, from left to right.

    Bank nodes are coloured by the tasks that read them; a copy says what it is a copy of.

    Args:
        model: that was trained.
        run: the adaptive run.
        labels: of the columns.

    Returns:
        The figure.
    """
    bank = _bank(model, run, (1 + len(model.shared)) * STEP_X)
    layers = [_layer(0, _some(len(labels.features)))]
    layers += [_layer(STEP_X * i, _some(size)) for i, size in enumerate(model.shared, 1)]
    x = bank[0].x
    most = max(5, MOST_UNITS // len(labels.tasks))
    texts = [_some(size, most) for size in (*model.towers, 1)]
    # Beside a tall bank, outputs stand apart as well.
    step = max(max(map(len, texts)) + 0.8, (bank[0].y - bank[-1].y) / (2 * len(labels.tasks)))
    tail = [
        _towers(x + STEP_X * i, of_one, len(labels.tasks), step)
        for i, of_one in enumerate(texts, 1)
    ]
    units = [*layers, bank, *tail]
    tallest = max(abs(unit.y) for layer in units for unit in layer)

    width = tail[-1][0].x
    left, right = -0.7 - _length(labels.features), width + 0.7 + _length(labels.tasks)
    low, high = -tallest - 1.5, tallest + 0.5
    height = INCH * (high - low) + (1.0 if labels.note else 0.7)
    figure = new_figure(max(INCH * (right - left), 4.2), height)
    ax = figure.subplots()
    ax.set_axis_off()
    ax.set_aspect("equal")
    ax.set_xlim(left, right)
    ax.set_ylim(low, high)

    for layer, following in zip(units, units[1:], strict=False):
        _connect(ax, layer, following)
    for layer in units:
        for unit in layer:
            _draw_unit(ax, unit, len(labels.tasks))
    _name_inputs(ax, layers[0], labels.features)
    for unit, label in zip(tail[-1], labels.tasks, strict=True):
        ax.text(unit.x + 0.45, unit.y, label, va="center")
    _name_copies(ax, bank, run)
    texts = ["inputs", *(f"shared layer\n{_count(size, 'node')}" for size in model.shared)]
    copies = len(run.events)
    added = f" + {_count(copies, 'copy', 'copies')}" if copies else ""
    texts.append(f"bank\n{_count(model.nodes, 'node')}{added}")
    texts += [f"towers\n{_count(size, 'node')} each" for size in model.towers]
    texts.append("outputs")
    for layer, text in zip(units, texts, strict=True):
        ax.text(
            layer[0].x, -tallest - 0.9, text, ha="center", va="top", color="#595959", fontsize=8.5
        )
    ax.set_title(
        f"The network after {_count(copies, 'duplication')}"
        if copies
        else "The network: no node was duplicated"
    )
    _legend(ax, bank, labels)
    return figure


def _some(size: int, most: int = MOST_UNITS) -> list[str]:
    """Texts of the units of a layer, with one gap if they are too many."""
    if size <= most:
        return [""] * size
    return [""] * (most - 3) + [f"⋮ {size - most + 2}", "", ""]


def _layer(x: float, texts: Sequence[str]) -> list[Unit]:
    return [Unit(x, y, text) for y, text in zip(_places(len(texts)), texts, strict=True)]


def _places(number: int, step: float = 1.0) -> list[float]:
    """Heights of units around 0, from top to bottom."""
    return [step * ((number - 1) / 2 - i) for i in range(number)]


def _bank(model: HardSharing, run: Run, x: float) -> list[Unit]:
    """Columns in use, ordered so that those of one task lie on its side."""
    reads = np.asarray(readers(head_index_of(run), model.num_columns))
    tasks = {
        int(c): tuple(np.flatnonzero(reads[:, c]).tolist()) for c in np.flatnonzero(reads.any(0))
    }
    whole = tuple(range(len(reads)))
    everybodys = [column for column, who in tasks.items() if who == whole]
    left_out = everybodys[max(len(everybodys) - max(len(tasks) - MOST_BANK, 0), 1) :]
    shown = sorted(
        (column for column in tasks if column not in left_out),
        key=lambda column: (float(np.mean(tasks[column])), _origin(run, column), column),
    )
    rows: list[tuple[str, tuple[int, ...], int]] = [
        (str(c), () if tasks[c] == whole and len(whole) > 1 else tasks[c], c) for c in shown
    ]
    if left_out:
        after = max(i for i, column in enumerate(shown) if column in everybodys) + 1
        rows.insert(after, (f"⋮ {len(left_out)}", (), -1))
    places = _places(len(rows), 1.25 if len(run.events) else 1.0)
    return [Unit(x, y, *row) for y, row in zip(places, rows, strict=True)]


def _origin(run: Run, column: int) -> int:
    """The node of the start that a column goes back to."""
    parents = {event.copy: event.node for event in run.events}
    while column in parents:
        column = parents[column]
    return column


def _towers(x: float, texts: Sequence[str], tasks: int, step: float) -> list[Unit]:
    """One layer of all towers; those of one task are around the same height in every layer."""
    return [
        Unit(x, middle + y, text, (task,))
        for task, middle in enumerate(_places(tasks, step))
        for y, text in zip(_places(len(texts)), texts, strict=True)
    ]


def _connect(ax: Axes, left: Sequence[Unit], right: Sequence[Unit]) -> None:
    lines, colours = [], []
    for a in left:
        for b in right:
            reader = b.tasks if b.column < 0 else ()
            if a.is_gap or b.is_gap or (a.tasks and reader and not set(reader) <= set(a.tasks)):
                continue
            lines.append([(a.x, a.y), (b.x, b.y)])
            colours.append(_colour(reader[0]) if reader else FAINT)
    many = len(lines) > 60
    ax.add_collection(
        LineCollection(lines, colors=colours, linewidths=0.6 if many else 0.9, alpha=0.55, zorder=1)
    )


def _draw_unit(ax: Axes, unit: Unit, num_tasks: int) -> None:
    place = (unit.x, unit.y)
    if unit.is_gap:
        ax.text(*place, unit.text, ha="center", va="center", color="#595959")
        return
    if unit.column < 0:
        face = _colour(unit.tasks[0]) if unit.tasks else "white"
        ax.add_patch(Circle(place, RADIUS, facecolor=face, edgecolor=INK, lw=0.9, zorder=3))
        return
    if len(unit.tasks) > 1:
        turns = np.linspace(90, 450, len(unit.tasks) + 1)
        for task, start, end in zip(unit.tasks, turns, turns[1:], strict=False):
            ax.add_patch(Wedge(place, RADIUS, start, end, facecolor=_colour(task), lw=0, zorder=3))
    face = "none" if len(unit.tasks) > 1 else _colour(unit.tasks[0]) if unit.tasks else SHARED
    ax.add_patch(Circle(place, RADIUS, facecolor=face, edgecolor=INK, lw=0.9, zorder=4))
    ax.text(
        *place,
        unit.text,
        ha="center",
        va="center_baseline",
        zorder=5,
        fontsize=8.5,
        color="white" if not unit.tasks else "black",
    )


def _name_inputs(ax: Axes, inputs: Sequence[Unit], names: Sequence[str]) -> None:
    """Names beside the circles; those after a gap are the last ones."""
    gap = next((i for i, unit in enumerate(inputs) if unit.is_gap), len(inputs))
    for i, unit in enumerate(inputs):
        if not unit.is_gap:
            name = names[i] if i < gap else names[i - len(inputs)]
            ax.text(unit.x - 0.45, unit.y, name, ha="right", va="center")


def _name_copies(ax: Axes, bank: Sequence[Unit], run: Run) -> None:
    for event in run.events:
        unit = next(unit for unit in bank if unit.column == event.copy)
        text = f"copy of {event.node}, epoch {epoch_of_run(run, event)}"
        ax.text(
            unit.x,
            unit.y - 0.36,
            text,
            ha="center",
            va="top",
            fontsize=6.5,
            color=INK,
            zorder=5,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6},
        )


def _legend(ax: Axes, bank: Sequence[Unit], labels: Labels) -> None:
    def dot(colour: str, text: str) -> Line2D:
        return Line2D([], [], marker="o", ls="", ms=8, mfc=colour, mec=INK, mew=0.9, label=text)

    handles = []
    if any(not unit.tasks for unit in bank):
        handles.append(dot(SHARED, "for all tasks"))
    handles += [dot(_colour(t), f"for {label}") for t, label in enumerate(labels.tasks)]
    # Below the drawing, as a part of it: a note on replaced names comes below both.
    ax.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=min(len(handles), 3),
    )


def _length(names: Sequence[str]) -> float:
    """Room for the longest name, in units of the drawing."""
    widest = max(sum(2 if ord(c) > 0x2E80 else 1 for c in name) for name in names)
    return 0.08 * widest / INCH


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _colour(task: int) -> str:
    return TASK_COLOURS[task % len(TASK_COLOURS)]

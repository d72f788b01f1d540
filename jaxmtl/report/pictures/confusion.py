"""How often each class was taken for which."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from jaxmtl.plain import class_numbers
from jaxmtl.report.pictures.labels import Labels, find_fonts
from jaxmtl.report.pictures.style import ON_DARK, ON_LIGHT
from jaxmtl.tasks import Task

MOST_NUMBERS = 12  # classes, beyond which numbers do not fit into the cells
LONGEST = 12  # characters of a class


def confusion(
    task: Task, observed: Float[np.ndarray, " rows"], predicted: Float[np.ndarray, "rows classes"]
) -> Float[np.ndarray, "classes classes"]:
    """Number of rows by observed and predicted class.

    Args:
        task: of classes.
        observed: numbers of classes, NaN where not known.
        predicted: probabilities; a row with one that is NaN is not counted.

    Returns:
        Counts, observed classes first.

    Example:
        >>> task = Task(name="rain", kind="classes", classes=("no", "yes"))
        >>> confusion(task, np.array([0, 1, 1.0]), np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]]))
        array([[1., 0.],
               [1., 1.]])
    """
    rows = np.isfinite(observed) & np.isfinite(predicted).all(axis=1)
    counts = np.zeros((task.width, task.width))
    np.add.at(counts, (observed[rows].astype(int), class_numbers(task.kind, predicted[rows])), 1)
    return counts


def draw_confusion(
    ax: Axes,
    task: Task,
    observed: Float[np.ndarray, " rows"],
    predicted: Float[np.ndarray, "rows classes"],
    labels: Labels,
) -> None:
    """A table, darker where a larger share of an observed class was predicted so.

    Args:
        ax: to draw into.
        task: of classes.
        observed: numbers of classes, NaN where not known.
        predicted: probabilities.
        labels: whose fonts there are; classes that they cannot show are numbered.
    """
    counts = confusion(task, observed, predicted)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    ax.set_box_aspect(1)
    if task.width <= MOST_NUMBERS:
        for (row, column), number in np.ndenumerate(counts):
            ax.text(
                *(column, row, f"{number:.0f}"),
                ha="center",
                va="center",
                fontsize=8.0,
                color=ON_DARK if share[row, column] > 0.5 else ON_LIGHT,
            )
    names = _names(task, labels)
    ax.set_xticks(range(task.width), names, rotation=45 if max(map(len, names)) > 4 else 0)
    ax.set_yticks(range(task.width), names)
    ax.tick_params(length=0, labelsize=7.5)
    ax.grid(visible=False)


def _names(task: Task, labels: Labels) -> list[str]:
    found = []
    for number, value in enumerate(task.classes):
        text = " ".join(str(value).split())
        fonts = find_fonts(text)
        if fonts is None or not set(fonts) <= set(labels.fonts):
            text = f"class {number}"
        short = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
        found.append(short.replace("$", r"\$"))
    return found

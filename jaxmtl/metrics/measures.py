"""What the measures of each kind of task are called, and which way is better."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxmtl._validate import check_choice
from jaxmtl.tasks import Task, TaskKind


def _itself(loss: Any, scale: Any = 1.0) -> Any:
    del scale
    return loss


def _times(loss: Any, scale: Any = 1.0) -> Any:
    return loss * scale


def _root(loss: Any, scale: Any = 1.0) -> Any:
    return np.sqrt(loss) * scale


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measure:
    """A number that says how well a task was predicted.

    Attributes:
        name: in tables and JSON.
        label: for a reader, short.
        words: for a reader, in full.
        lower_is_better: or else higher.
        power: of the task's unit in the measure: 1 for an error in the unit itself, 0 for none.
        loss: of a main measure, what its tasks train on, in words.
        scaled: of a main measure, whether that loss is one of scaled values.
        of_loss: of a main measure, ``of_loss(loss, scale)`` is its value in original units where
            scaled values times ``scale`` are the original ones; None for all other measures.

    Example:
        >>> main_measure(Task(name="CO")).of_loss(0.25, 10.0)
        np.float64(5.0)
    """

    name: str
    label: str
    words: str
    lower_is_better: bool = True
    power: int = 0
    loss: str = ""
    scaled: bool = False
    of_loss: Callable[..., Any] | None = None

    def unit_of(self, task: Task, unknown: str = "original units") -> str:
        """Unit of this measure of a task; empty where it has none."""
        if not self.power:
            return ""
        unit = task.unit or unknown
        if self.power == 1 or not unit:
            return unit
        return f"{unit}²" if unit.isalpha() else f"({unit})²"

    def title_of(self, task: Task, unknown: str = "original units") -> str:
        """The label with the unit in brackets."""
        unit = self.unit_of(task, unknown)
        return f"{self.label} ({unit})" if unit else self.label


_NUMBER = (
    Measure(
        name="rmse",
        label="RMSE",
        words="root mean squared error",
        power=1,
        loss="mean squared error",
        scaled=True,
        of_loss=_root,
    ),
    Measure(name="mae", label="MAE", words="mean absolute error", power=1),
    Measure(name="r2", label="R²", words="share explained", lower_is_better=False),
    Measure(name="mse", label="MSE", words="mean squared error", power=2),
)
_LOG_LOSS = Measure(
    name="log loss", label="log loss", words="log loss", loss="log loss", of_loss=_itself
)
_CLASSES = (
    Measure(name="accuracy", label="accuracy", words="accuracy", lower_is_better=False),
    Measure(
        name="balanced accuracy",
        label="balanced accuracy",
        words="balanced accuracy",
        lower_is_better=False,
    ),
    Measure(name="brier", label="Brier score", words="Brier score"),
)
MEASURES: Mapping[TaskKind, tuple[Measure, ...]] = {
    "number": _NUMBER,
    "classes": (_LOG_LOSS, *_CLASSES),
    "count": (
        Measure(
            name="deviance",
            label="deviance",
            words="mean Poisson deviance",
            power=1,
            loss="mean Poisson deviance",
            scaled=True,
            of_loss=_times,
        ),
        *_NUMBER,
    ),
    "ordered": (
        _LOG_LOSS,
        Measure(name="level error", label="levels off", words="mean number of levels off"),
        Measure(
            name="kappa",
            label="weighted κ",
            words="agreement beyond chance, weighted by squared levels",
            lower_is_better=False,
        ),
        *_CLASSES,
    ),
}


def measures_of(task: Task) -> tuple[Measure, ...]:
    """The measures of a task's kind, the main one first.

    Args:
        task: of any kind.

    Returns:
        At least one.

    Example:
        >>> [measure.label for measure in measures_of(Task(name="CO"))]
        ['RMSE', 'MAE', 'R²', 'MSE']
    """
    return MEASURES[task.kind]


def main_measure(task: Task) -> Measure:
    """The measure by which tables show a task; it follows from the loss, and lower is better.

    Args:
        task: of any kind.

    Returns:
        The root mean squared error of a number, the mean Poisson deviance of a count, and the log
        loss of classes.

    Example:
        >>> main_measure(Task(name="CO", unit="mg/m³")).title_of(Task(name="CO", unit="mg/m³"))
        'RMSE (mg/m³)'
        >>> main_measure(Task(name="rain", kind="classes", classes=("no", "yes"))).name
        'log loss'
    """
    return measures_of(task)[0]


def values_of_losses(
    tasks: Sequence[Task],
    losses: Float[np.ndarray, "*rest tasks"],
    scales: Float[np.ndarray, "*rest tasks"],
) -> Float[np.ndarray, "*rest tasks"]:
    """Main measures in original units, from mean losses.

    Args:
        tasks: in the order of the last axis.
        losses: mean of each task's loss over the rows.
        scales: scaled values times these are the original ones (counts are never moved); of no
            meaning for classes.

    Returns:
        The values.

    Example:
        >>> tasks = [Task(name="CO"), Task(name="rain", kind="classes", classes=("no", "yes"))]
        >>> values_of_losses(tasks, np.array([0.25, 0.7]), np.array([10.0, 1.0])).tolist()
        [5.0, 0.7]
    """
    found = []
    for t, task in enumerate(tasks):
        of_loss = main_measure(task).of_loss
        assert of_loss is not None  # main measures have it
        found.append(of_loss(losses[..., t], scales[..., t]))
    return np.stack(found, axis=-1)


def measure_named(name: str) -> Measure:
    """A measure of any kind by its name.

    Args:
        name: as it stands in tables.

    Returns:
        The measure.

    Raises:
        ValueError: there is none of that name.

    Example:
        >>> measure_named("mae").words
        'mean absolute error'
    """
    found = {measure.name: measure for kind in MEASURES.values() for measure in kind}
    check_choice("measure", name, tuple(found))
    return found[name]

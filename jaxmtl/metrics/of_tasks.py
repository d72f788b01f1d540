"""Which measures go with which kind of task, and errors that may be averaged over kinds.

On the host, in NumPy and float64, unlike the other metrics of this package.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from jaxmtl.metrics.kinds import count_deviance, level_error, quadratic_kappa
from jaxmtl.metrics.measures import main_measure, measures_of
from jaxmtl.plain import class_numbers
from jaxmtl.tasks import Task, check_outputs, output_slices

EPSILON = float(np.finfo(np.float64).eps)  # to which probabilities are clipped
TOLERANCE = 1e-3  # of the sum of probabilities, which may have come in half precision


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """How well some rows were predicted.

    Attributes:
        tasks: that were predicted.
        by_task: of each task the measures of its kind by their names, in original units; NaN where
            no label is known, or a prediction is.
        relative: main error of each task (mean squared error, deviance, or log loss) over that of
            the constant prediction on the same rows: 1 is as good as the constant, 0 perfect. NaN
            where no label is known, where the constant makes no error, and without a constant.

    Example:
        >>> from jaxmtl.tasks import number_tasks
        >>> scores = score(number_tasks(["CO"]), np.array([[1.0], [3.0]]), np.zeros((2, 1)))
        >>> scores.of("mae").tolist()
        [2.0]
    """

    tasks: tuple[Task, ...]
    by_task: tuple[Mapping[str, float], ...]
    relative: Float[np.ndarray, " tasks"]

    def of(self, name: str) -> Float[np.ndarray, " tasks"]:
        """A measure by its name; NaN for tasks of a kind that does not have it."""
        return np.array([found.get(name, np.nan) for found in self.by_task])

    @property
    def main(self) -> Float[np.ndarray, " tasks"]:
        """The main measure of each task, see ``main_measure``."""
        pairs = zip(self.tasks, self.by_task, strict=True)
        return np.array([found[main_measure(task).name] for task, found in pairs])

    @property
    def mean_relative(self) -> float:
        """Mean of ``relative``, which tasks of all kinds have in common.

        Tasks where it is NaN are left out; NaN where it is in all of them.
        """
        known = self.relative[~np.isnan(self.relative)]
        return float(known.mean()) if len(known) else float("nan")


def constant_prediction(
    tasks: Sequence[Task],
    y: Float[np.ndarray, "rows tasks"],
    known: Bool[np.ndarray, "rows tasks"] | None = None,
) -> Float[np.ndarray, " outputs"]:
    """The best prediction that looks at no feature: means of numbers and counts, class frequencies.

    Args:
        tasks: what the columns of ``y`` are.
        y: targets of the training rows, a class as its number.
        known: which of them are known; None for all.

    Returns:
        One row of outputs; NaN for a task without a known target.

    Raises:
        ValueError: shapes that do not fit, or a known target that names no class.

    Example:
        >>> tasks = [Task(name="CO"), Task(name="rain", kind="classes", classes=("no", "yes"))]
        >>> constant_prediction(tasks, np.array([[1.0, 0], [2.0, 1], [6.0, 1], [3.0, 1]])).tolist()
        [3.0, 0.25, 0.75]
    """
    tasks = tuple(tasks)
    y, known = _targets(tasks, y, known)
    parts = []
    for t, task in enumerate(tasks):
        given = y[known[:, t], t]
        if not len(given):
            parts.append(np.full(task.width, np.nan))
        elif not task.has_classes:
            parts.append(np.array([given.mean()]))
        else:
            counts = np.bincount(_classes(task, y[:, t], known[:, t]), minlength=task.width)
            parts.append(counts / len(given))
    return np.concatenate(parts)


def score(
    tasks: Sequence[Task],
    predicted: Float[np.ndarray, "rows outputs"],
    y: Float[np.ndarray, "rows tasks"],
    known: Bool[np.ndarray, "rows tasks"] | None = None,
    *,
    constant: Float[np.ndarray, "*rows outputs"] | None = None,
) -> Scores:
    """Measures of every task in original units, and its error relative to a constant prediction.

    Numbers have rmse, mae, r2 and mse; classes have log loss, accuracy, balanced accuracy (the mean
    over the classes that occur of the share that is found) and Brier score (the mean over the rows
    of the squared distance between the probabilities and the truth, from 0 to 2). Counts have the
    Poisson deviance besides the measures of numbers; ordered classes, of which the one in the
    middle of the probability is predicted, the mean number of levels off and the quadratic kappa
    besides those of classes. Probabilities are clipped as in scikit-learn's ``log_loss``, to the
    open interval from 0 to 1 by the precision of float64: a class that was given the probability 0
    costs 36 nats.

    R² is against the mean of these rows, as in scikit-learn; with a constant it is against that, as
    nobody knows the mean of rows to come (Campbell, Thompson 2008, Review of Financial Studies 21,
    equation 1). Where later rows lie elsewhere the two differ.

    Args:
        tasks: what the columns of ``y`` are.
        predicted: numbers in original units, and probabilities of classes, each task's side by
            side; see ``jaxmtl.losses.predictions_of``.
        y: targets in original units, a class as its number; anything where not known.
        known: which targets are known; None for all.
        constant: what ``relative`` and R² are relative to, from ``constant_prediction`` of the
            training rows; a row each where rows were predicted from different ones. None for no
            relative errors.

    Returns:
        The scores.

    Raises:
        ValueError: shapes that do not fit, a known target that names no class, or predictions of
            classes that are no probabilities.

    Example:
        >>> tasks = [Task(name="CO"), Task(name="rain", kind="classes", classes=("no", "yes"))]
        >>> y = np.array([[1.0, 0], [2.0, 1], [6.0, 1], [3.0, 1]])
        >>> predicted = np.array([[1.0, 0.9, 0.1], [3.0, 0.2, 0.8], [5.0, 0.2, 0.8], [3, 0.1, 0.9]])
        >>> scores = score(tasks, predicted, y, constant=constant_prediction(tasks, y))
        >>> {name: round(value, 3) for name, value in scores.by_task[0].items()}
        {'rmse': 0.707, 'mae': 0.5, 'r2': 0.857, 'mse': 0.5}
        >>> scores.relative.round(3).tolist(), round(scores.mean_relative, 3)
        ([0.143, 0.292], 0.217)
    """
    tasks = tuple(tasks)
    y, known = _targets(tasks, y, known)
    predicted = np.asarray(predicted, np.float64)
    check_outputs("predicted", predicted, tasks)
    if len(predicted) != len(y):
        raise ValueError(f"predicted: expected {len(y)} rows, those of y, got {len(predicted)}")
    if constant is not None:
        constant = np.atleast_2d(np.asarray(constant, np.float64))
        check_outputs("constant", constant, tasks)
        constant = np.broadcast_to(constant, predicted.shape)
    by_task = _measured(tasks, predicted, y, known, constant)
    relative = np.full(len(tasks), np.nan)
    if constant is not None:
        alike = _measured(tasks, constant, y, known, constant)
        for t, task in enumerate(tasks):
            name = "mse" if task.kind == "number" else main_measure(task).name
            error, base = by_task[t][name], alike[t][name]
            relative[t] = error / base if base > 0 else np.nan
    return Scores(tasks=tasks, by_task=by_task, relative=relative)


Measured = tuple[Mapping[str, float], ...]


def _measured(
    tasks: tuple[Task, ...], predicted: Any, y: Any, known: Any, constant: np.ndarray | None
) -> Measured:
    columns = output_slices(tasks)
    base = np.full_like(predicted, np.nan) if constant is None else constant
    # All numbers in one array: sums down the columns of several tasks have other last bits than
    # those of one column by itself.
    numbers = np.array([t for t, task in enumerate(tasks) if task.kind == "number"], int)
    places = np.array([columns[t].start for t in numbers], int)
    # After a divergence, predictions may be anything; what is not finite is told as such.
    with np.errstate(over="ignore", invalid="ignore"):
        found = _numbers(
            predicted.take(places, 1),
            y.take(numbers, 1),
            known.take(numbers, 1),
            base.take(places, 1),
        )
        by_task = []
        for t, task in enumerate(tasks):
            if task.kind == "number":
                values = [column[list(numbers).index(t)] for column in found]
            elif task.kind == "count":
                own = columns[t]
                values = _of_counts(task, predicted[:, own], y[:, [t]], known[:, [t]], base[:, own])
            else:
                rows = known[:, t]
                values = _of_classes(
                    task, predicted[rows, columns[t]], _classes(task, y[:, t], rows)
                )
            names = [measure.name for measure in measures_of(task)]
            by_task.append(dict(zip(names, map(float, values), strict=True)))
    return tuple(by_task)


def _numbers(
    predicted: np.ndarray, y: np.ndarray, known: np.ndarray, base: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Measures of all numbers, in the order of their kind; R² against a base, if that is known."""
    difference = predicted - y
    mse = _mean(difference**2, known)
    centred = np.where(known, y - np.where(np.isnan(base), _mean(y, known), base), 0)
    spread = (centred**2).sum(axis=0)
    left = np.where(known, difference**2, 0).sum(axis=0)
    # As scikit-learn has it where the targets do not vary: 1 if they are met exactly, else 0.
    flat = np.where(np.isnan(left), np.nan, left == 0)
    r2 = np.where(spread == 0, flat, 1 - left / np.where(spread == 0, 1, spread))
    r2 = np.where(known.sum(axis=0) < 2, np.nan, r2)
    return np.sqrt(mse), _mean(np.abs(difference), known), r2, mse


def _of_counts(
    task: Task, predicted: np.ndarray, y: np.ndarray, known: np.ndarray, base: np.ndarray
) -> list[Any]:
    if (y[known] < 0).any():
        row = int(np.flatnonzero(known[:, 0] & (y[:, 0] < 0))[0])
        raise ValueError(
            f"task {task.name!r}: expected counts of at least 0, got {y[row, 0]:g} in row {row}"
        )
    deviance = _mean(count_deviance(predicted, y), known)
    return [value[0] for value in (deviance, *_numbers(predicted, y, known, base))]


def _mean(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    count = known.sum(axis=0)
    total = np.where(known, values, 0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _of_classes(task: Task, p: np.ndarray, labels: np.ndarray) -> tuple[Any, ...]:
    """Measures of the rows whose class is known, in the order of the kind."""
    if not len(labels) or not np.isfinite(p).all():
        return (np.nan,) * len(measures_of(task))
    wrong = (p < 0).any(axis=1) | (np.abs(p.sum(axis=1) - 1) > TOLERANCE)
    if wrong.any():
        raise ValueError(
            f"task {task.name!r}: expected probabilities of its {task.width} classes, each row of "
            f"sum 1, got {p[wrong][0].tolist()}; logits go through losses.predictions_of first"
        )
    truth = np.eye(task.width)[labels]
    given = np.clip(p, EPSILON, 1 - EPSILON)[np.arange(len(p)), labels]
    found = class_numbers(task.kind, p)
    hits = found == labels
    occurs = np.unique(labels)
    ordered = task.kind == "ordered"
    return (
        -np.log(given).mean(),
        *((level_error(found, labels), quadratic_kappa(found, labels, task.width)) * ordered),
        hits.mean(),
        np.mean([hits[labels == number].mean() for number in occurs]),
        ((p - truth) ** 2).sum(axis=1).mean(),
    )


def _targets(
    tasks: tuple[Task, ...], y: Any, known: Any | None
) -> tuple[Float[np.ndarray, "rows tasks"], Bool[np.ndarray, "rows tasks"]]:
    if not tasks:
        raise ValueError("tasks: expected at least one, got none")
    y = np.asarray(y, np.float64)
    known = np.ones(y.shape, bool) if known is None else np.asarray(known, bool)
    if y.ndim != 2 or y.shape[1] != len(tasks) or known.shape != y.shape:
        raise ValueError(
            f"y: expected (rows, {len(tasks)} tasks), and known of the same shape, got {y.shape} "
            f"and {known.shape}"
        )
    return np.where(known, y, 0), known


def _classes(task: Task, y: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Numbers of the known classes."""
    good = (y >= 0) & (y < task.width) & (y == np.floor(y))  # false for NaN as well
    if not good[known].all():
        row = int(np.flatnonzero(known & ~good)[0])
        raise ValueError(
            f"task {task.name!r}: expected class numbers from 0 to {task.width - 1}, got {y[row]:g}"
            f" in row {row}; mark unknown classes as not known"
        )
    return y[known].astype(int)

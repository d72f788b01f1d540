"""What methods without gradient steps share: a model a fold, measured on the rows held out."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxmtl.data.folds import Data, Folds
from jaxmtl.methods.method import Fitted, Model
from jaxmtl.metrics.kinds import count_deviance
from jaxmtl.metrics.of_tasks import EPSILON
from jaxmtl.tasks import Task

FitFold = Callable[[Data, Data], tuple[Model, Mapping[str, Any]]]


def fit_each_fold(name: str, data: Data, folds: Folds, fit: FitFold) -> Fitted:
    """Fits one fold after the other.

    Args:
        name: of the method, for the sentence of an error.
        data: all rows.
        folds: what each model may see.
        fit: from training rows and rows to choose by (perhaps none) to a model and what was chosen.

    Returns:
        The models, measured on the rows held out.

    Raises:
        ValueError: a task has no known target among the training rows of a fold.
    """
    check_known(name, data, folds)
    pairs = [fit(some_rows(data, f.train), some_rows(data, f.validation)) for f in folds]
    return measured(data, folds, [model for model, _ in pairs], [choice for _, choice in pairs])


def check_known(name: str, data: Data, folds: Folds) -> None:
    """Raises ValueError for a task without a known target among the training rows of a fold."""
    for number, fold in enumerate(folds):
        for task, known in zip(data.tasks, data.known[fold.train].T, strict=True):
            if not known.any():
                raise ValueError(
                    f"{name}: expected a known target of {task.name!r} in the training rows of "
                    f"fold {number}, got none of {len(known)}; add labels or leave the task out"
                )


def measured(
    data: Data, folds: Folds, models: Sequence[Model], chosen: Sequence[Mapping[str, Any]]
) -> Fitted:
    """Models without gradient steps, and their losses on the rows that their folds hold out."""
    scores = []
    for model, fold in zip(models, folds, strict=True):
        held = some_rows(data, fold.test)
        scores.append(mean_losses(model.predict(held.x), held))
    zero = np.zeros(len(folds), int)
    return Fitted(
        models=tuple(models),
        scores=np.stack(scores),
        chosen=tuple(chosen),
        parameters=zero - 1,
        splits=zero,
        steps=zero,
        diverged=zero.astype(bool),
    )


def some_rows(data: Data, numbers: Int[np.ndarray, " some"]) -> Data:
    """The data of some rows only."""
    return dataclasses.replace(
        data, x=data.x[numbers], y=data.y[numbers], known=data.known[numbers]
    )


MOST_ROWS_OF_TREES = 100_000


def rows_drawn(data: Data, most: int = MOST_ROWS_OF_TREES) -> Data:
    """The data, or of too many rows a part that is drawn at random.

    Of a task that few rows know, a thousand of these are in it.
    """
    if len(data.x) <= most:
        return data
    order = np.random.default_rng(0).permutation(len(data.x))
    drawn = [order[:most]]
    for known in data.known.T:
        if known.sum() <= most // 10:
            drawn.append(order[known[order]][:1000])
    return some_rows(data, np.unique(np.concatenate(drawn)))


def note_of_part(name: str, folds: Folds, most: int = MOST_ROWS_OF_TREES) -> tuple[str, ...]:
    """What is to be said where trees learn from a part of the rows."""
    rows = max((len(fold.train) for fold in folds), default=0)
    if rows <= most:
        return ()
    return (f"{name}: the trees were grown on {most} of {rows} rows, drawn at random",)


def tasks_known_together(data: Data) -> list[list[int]]:
    """Numbers of the tasks whose targets are known in the same rows, group by group."""
    groups: dict[bytes, list[int]] = {}
    for t, known in enumerate(data.known.T):
        groups.setdefault(known.tobytes(), []).append(t)
    return list(groups.values())


def check_numbers(name: str, tasks: tuple[Task, ...]) -> None:
    """Raises ValueError unless every task is a number or a count."""
    classes = [task.name for task in tasks if task.has_classes]
    if classes:
        raise ValueError(
            f"{name}: expected tasks that are numbers, got classes for "
            f"{', '.join(map(repr, classes))}; choose another method"
        )


def mean_losses(
    outputs: Float[np.ndarray, "rows outputs"], held: Data
) -> Float[np.ndarray, " tasks"]:
    """Mean loss of each task over the rows where it is known, in the sense of its main measure.

    Args:
        outputs: of these rows; probabilities for classes.
        held: the rows.

    Returns:
        One number a task; NaN where no target is known.
    """
    found, at = [], 0
    for column, task in enumerate(held.tasks):
        part, at = outputs[:, at : at + task.width], at + task.width
        known = held.known[:, column]
        y = held.y[known, column].astype(float)
        if not known.any():
            found.append(np.nan)
        elif task.kind == "count":
            found.append(count_deviance(part[known, 0].astype(float), y).mean())
        elif task.width == 1:
            found.append(((part[known, 0] - y) ** 2).mean())
        else:
            given = part[known][np.arange(len(y)), y.astype(int)].astype(float)
            found.append(-np.log(np.maximum(given, EPSILON)).mean())
    return np.array(found)

"""What methods without gradient steps share: a model a fold, measured on the rows held out."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxmtl.data.folds import Data, Folds
from jaxmtl.methods.method import Fitted, Model
from jaxmtl.metrics.kinds import count_deviance
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
    models, chosen, scores = [], [], []
    for number, fold in enumerate(folds):
        train = some_rows(data, fold.train)
        for task, known in zip(data.tasks, train.known.T, strict=True):
            if not known.any():
                raise ValueError(
                    f"{name}: expected a known target of {task.name!r} in the training rows of "
                    f"fold {number}, got none of {len(known)}; add labels or leave the task out"
                )
        model, choice = fit(train, some_rows(data, fold.validation))
        held = some_rows(data, fold.test)
        models.append(model)
        chosen.append(choice)
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
    return Data(x=data.x[numbers], y=data.y[numbers], known=data.known[numbers], tasks=data.tasks)


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
        elif task.kind == "number":
            found.append(((part[known, 0] - y) ** 2).mean())
        elif task.kind == "count":
            found.append(count_deviance(part[known, 0].astype(float), y).mean())
        else:
            given = part[known][np.arange(len(y)), y.astype(int)].astype(float)
            found.append(-np.log(np.maximum(given, np.finfo(float).tiny)).mean())
    return np.array(found)

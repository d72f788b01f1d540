"""Predictions as columns of a table: values, ends of intervals, classes, probabilities."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from .bounds import CLASSES

LEVEL = 0.9  # of intervals, where nobody says another

Columns = dict[str, list[Any]]
Bounds = tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]


def columns_of(
    tasks: Sequence[Mapping[str, Any]],
    words: Mapping[str, np.ndarray],
    outputs: np.ndarray,
    bounds: Bounds | None = None,
    level: float = LEVEL,
) -> Columns:
    """What is predicted, the columns of a task side by side.

    Args:
        tasks: as they are saved, in the order of the outputs.
        words: by the name of the task: numbers in original units, or classes.
        outputs: (rows, outputs), with the probabilities of classes.
        bounds: ends and sets of the rows, as ``bounds_of`` gives them; None for no intervals.
        level: that these hold.

    Returns:
        By name: the prediction, its interval, and the probability of every class.

    Example:
        >>> task = {"name": "CO", "kind": "number", "classes": []}
        >>> columns_of([task], {"CO": np.array([1.5])}, np.array([[1.5]]))
        {'CO': [1.5]}
    """
    found: Columns = {}
    at = 0
    for task in tasks:
        name, width = task["name"], len(task["classes"]) or 1
        found[name] = words[name].tolist()
        if bounds is not None:
            found |= interval_columns_of(task, bounds, level)
        if task["kind"] in CLASSES:
            for one, column in zip(task["classes"], outputs[:, at : at + width].T, strict=True):
                found[f"{name} probability of {one}"] = column.tolist()
        at += width
    return found


def interval_columns_of(task: Mapping[str, Any], bounds: Bounds, level: float) -> Columns:
    """Ends of the intervals of a task, or the classes of its sets in words.

    Args:
        task: as it is saved.
        bounds: ends and sets of the rows.
        level: that they hold.

    Returns:
        By name; None for an end that is infinite.

    Example:
        >>> task = {"name": "CO", "kind": "number", "classes": []}
        >>> interval_columns_of(task, ({"CO": np.array([[1.0, np.inf]])}, {}), 0.9)
        {'CO lower 90 %': [1.0], 'CO upper 90 %': [None]}
    """
    ends, sets = bounds
    name, at = task["name"], level_words(level)
    if task["kind"] in CLASSES:
        classes = np.array(list(map(str, task["classes"])), object)
        return {f"{name} one of {at}": [" or ".join(classes[inside]) for inside in sets[name]]}
    found: Columns = {}
    for side, column in zip(("lower", "upper"), ends[name].T, strict=True):
        found[f"{name} {side} {at}"] = [
            end if np.isfinite(end) else None for end in column.tolist()
        ]
    return found


def level_words(level: float) -> str:
    """A level in words.

    Args:
        level: between 0 and 1.

    Example:
        >>> level_words(0.975)
        '97.5 %'
    """
    return f"{100 * level:.10g} %"


def level_of(metrics: Mapping[str, Any]) -> float:
    """The level of a run's intervals.

    Args:
        metrics: contents of ``metrics.json``.

    Returns:
        0.9 where the run does not say.

    Example:
        >>> level_of({"intervals": {"level": 0.8}})
        0.8
    """
    return float((metrics.get("intervals") or {}).get("level", LEVEL))


def free_name(name: str, taken: Collection[str]) -> str:
    """A name for a predicted column that the table does not have itself.

    Args:
        name: of the column.
        taken: names that there are.

    Example:
        >>> free_name("O3", ["O3"]), free_name("O3", ["O3", "O3 predicted"])
        ('O3 predicted', 'O3 predicted 2')
    """
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name} predicted" if number == 2 else f"{name} predicted {number - 1}"
    return found

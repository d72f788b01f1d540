"""What each column of a table is worth to the prediction of each task."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxmtl.data import Data, Folds
from jaxmtl.data.folds import Part
from jaxmtl.methods.method import Model
from jaxmtl.metrics.of_tasks import EPSILON
from jaxmtl.tasks import Task, output_slices
from jaxmtl.training.in_chunks import CHUNK

ALIKE = 0.9  # of |rank correlation|: columns that stand in for each other
MOST_ROWS, FEWEST_ROWS = 1500, 200  # that are predicted anew for each column, each time
MOST_PREDICTED = 60_000  # of all columns and times together
MOST_COMPARED = 20_000  # rows, that say which columns are alike
REPEATS = 3
LEVEL_95 = 1.96  # standard errors


class Importance(NamedTuple):
    """How much larger the error is where columns are shuffled, with intervals of 95 %.

    Attributes:
        groups: columns that are shuffled together, since they are alike: most hold one.
        added: what is added to the typical error (RMSE) of numbers, to the log loss of classes.
        low: lower ends; 0 within the interval where a column may be worth nothing.
        high: upper ends.
        rows: from which it follows.

    Example:
        >>> found = Importance((("CO",), ("NO", "NOx")), *np.array([[[2.0], [0.1]], [[1.5], [-0.1]],
        ...                    [[2.5], [0.3]]]), rows=100)
        >>> found.groups[int(found.added[:, 0].argmax())]
        ('CO',)
    """

    groups: tuple[tuple[str, ...], ...]
    added: Float[np.ndarray, "groups tasks"]
    low: Float[np.ndarray, "groups tasks"]
    high: Float[np.ndarray, "groups tasks"]
    rows: int


def permutation_importance(
    models: Sequence[Model],
    data: Data,
    folds: Folds,
    *,
    seed: int = 0,
    alike: float = ALIKE,
) -> Importance:
    """Shuffles a column among the rows that folds left out, and predicts them anew.

    Values are exchanged between folds too: a fold may have left a single row out, or one group or
    time, within which a column has one value.

    A model that has not seen a row gains nothing on it from a column of noise, so that the expected
    importance of such a column is 0, which that of rows learned from is not. Columns that stand in
    for each other, of which one alone would seem to be worth little, are shuffled together.

    Args:
        models: one a fold.
        data: all rows.
        folds: of the models.
        seed: of the draws.
        alike: columns with an absolute rank correlation of at least this are one group.

    Returns:
        The importance of every group of columns for every task.

    References:
        Breiman (2001), Random forests, section 10; with rows left out: Fisher, Rudin, Dominici
        (2019), All models are wrong, but many are useful, JMLR. Variance: Nadeau, Bengio (2003),
        Inference for the generalization error, Machine Learning, equation 8.
    """
    rng = np.random.default_rng(seed)
    groups = alike_columns(data.x, data.parts, alike)
    names = [part.column for part in data.parts]
    places = [np.flatnonzero([name in group for name in names]) for group in groups]
    most = min(MOST_ROWS, max(MOST_PREDICTED // (REPEATS * len(groups)), FEWEST_ROWS))
    held = [_some(fold.test, rng, max(most // len(models), 1)) for fold in folds]
    rows = np.concatenate(held)
    y, known = data.y[rows], data.known[rows]
    ends = np.cumsum([len(at) for at in held])[:-1]
    (outputs,) = _predicted(models, data.x[rows][None], ends)
    before = _losses(outputs, y, known, data.tasks)
    more = np.zeros((len(groups), *before.shape))
    # Few rows of a fold take as long as a chunk of them, so that groups share one.
    at_once = max(CHUNK // max(map(len, held)), 1)
    for _, first in itertools.product(range(REPEATS), range(0, len(groups), at_once)):
        some = places[first : first + at_once]
        x = np.repeat(data.x[rows][None], len(some), axis=0)
        for own, columns in zip(x, some, strict=True):
            own[:, columns] = own[rng.permutation(len(rows))][:, columns]
        for g, outputs in enumerate(_predicted(models, x, ends), first):
            more[g] += _losses(outputs, y, known, data.tasks) - before
    # Models of different folds have learned from the same rows, so that rows are no independent
    # witnesses: the variance is corrected as for repeated divisions of the same rows.
    shared = 1 + len(models) / max(len(models) - 1, 1)
    return _of_rows(groups, before, more / REPEATS, known, data.tasks, shared)


def alike_columns(
    x: Float[np.ndarray, "rows features"], parts: Sequence[Part], alike: float = ALIKE
) -> tuple[tuple[str, ...], ...]:
    """Columns in groups of those that tell the same order of the rows.

    Args:
        x: coded features.
        parts: what each of them is.
        alike: the least absolute rank correlation, on average over a group.

    Returns:
        Names of the columns, by group, in the order of the table. Only columns of numbers are
        compared.

    Example:
        >>> x = np.array([[1.0, 3.0, 2.0], [2.0, 2.0, 9.0], [3.0, 1.0, 4.0]])
        >>> alike_columns(x, [Part("a", "number", 1), Part("b", "number", 1),
        ...                   Part("c", "number", 1)])
        (('a', 'b'), ('c',))
    """
    columns = list(dict.fromkeys(part.column for part in parts))
    numbers = {part.column: i for i, part in enumerate(parts) if part.role == "number"}
    if len(numbers) < 2 or len(x) < 3:
        return tuple((name,) for name in columns)
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform
    from scipy.stats import rankdata

    named = list(numbers)
    ranks = rankdata(x[:MOST_COMPARED, list(numbers.values())], axis=0)
    ranks -= ranks.mean(axis=0)
    size = np.sqrt((ranks**2).sum(axis=0))
    ranks /= np.where(size > 0, size, 1)
    apart = 1 - np.abs(ranks.T @ ranks)
    np.fill_diagonal(apart, 0)
    tree = linkage(squareform(np.clip((apart + apart.T) / 2, 0, None)), "average")
    label = dict(zip(named, fcluster(tree, 1 - alike, "distance"), strict=True))
    found: dict[object, list[str]] = {}
    for name in columns:
        found.setdefault(label.get(name, name), []).append(name)
    return tuple(map(tuple, found.values()))


def _some(rows: np.ndarray, rng: np.random.Generator, most: int) -> Int[np.ndarray, " some"]:
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))


def _predicted(
    models: Sequence[Model], x: Float[np.ndarray, "groups rows features"], ends: np.ndarray
) -> Float[np.ndarray, "groups rows outputs"]:
    """What each fold's model predicts of its rows, of all groups at once."""
    parts = []
    for model, own in zip(models, np.split(x, ends, axis=1), strict=True):
        outputs = model.predict(own.reshape(-1, own.shape[-1]))
        parts.append(outputs.reshape(*own.shape[:2], outputs.shape[-1]))
    return np.concatenate(parts, axis=1)


def _losses(
    outputs: Float[np.ndarray, "rows outputs"],
    y: Float[np.ndarray, "rows tasks"],
    known: Bool[np.ndarray, "rows tasks"],
    tasks: Sequence[Task],
) -> Float[np.ndarray, "rows tasks"]:
    """Squared errors, or minus the logarithm of the probability of the class; 0 if not known."""
    found = np.zeros(y.shape)
    for t, (task, part) in enumerate(zip(tasks, output_slices(tasks), strict=True)):
        at = known[:, t]
        own, label = outputs[at, part], y[at, t]
        if task.has_classes:
            given = own[np.arange(len(own)), label.astype(int)]
            found[at, t] = -np.log(np.maximum(given.astype(float), EPSILON))
        else:
            found[at, t] = (own[:, 0] - label) ** 2
    return found


def _of_rows(
    groups: tuple[tuple[str, ...], ...],
    before: Float[np.ndarray, "rows tasks"],
    more: Float[np.ndarray, "groups rows tasks"],
    known: Bool[np.ndarray, "rows tasks"],
    tasks: Sequence[Task],
    shared: float,
) -> Importance:
    """Means over the rows where a task is known, in its own unit."""
    number = np.maximum(known.sum(axis=0), 1)
    mean = more.sum(axis=1) / number
    square = np.where(known, (more - mean[:, None]) ** 2, 0).sum(axis=1)
    doubt = LEVEL_95 * np.sqrt(shared * square / np.maximum(number - 1, 1) / number)
    base = before.sum(axis=0) / number
    of_numbers = np.array([not task.has_classes for task in tasks])

    def in_unit(change: np.ndarray) -> np.ndarray:
        root = np.sqrt(np.maximum(base + change, 0)) - np.sqrt(base)
        return np.where(of_numbers, root, change)

    rows = int(known.any(axis=1).sum())
    return Importance(groups, in_unit(mean), in_unit(mean - doubt), in_unit(mean + doubt), rows)

"""Groups of tasks from how they stand to each other; for any matrix, of whatever statistic."""

import itertools

import numpy as np
from jaxtyping import Float

from jaxmtl._validate import check_count
from jaxmtl.structure.plain import Group, Groups

MOST_EXACT = 12  # tasks, of which all partitions in two are tried


def groups_by(
    relation: Float[np.ndarray, "tasks tasks"],
    tasks: Group,
    number: int,
) -> Groups:
    """Groups of tasks that stand close to each other, by average linkage.

    Two groups for up to 12 tasks are the best there are: those within which the mean relation is
    largest, of all partitions.

    Args:
        relation: the more, the closer: ``abs`` of correlations of predictions on held-out rows, or
            minus any conflict. Symmetric up to what is averaged away; NaN counts as the least.
        tasks: their names.
        number: of the groups.

    Returns:
        The groups.

    Raises:
        ValueError: another shape, or more groups than tasks.

    Example:
        >>> relation = np.array([[1, 0.1, 0.9], [0.1, 1, 0.2], [0.9, 0.2, 1]])
        >>> groups_by(relation, ("a", "b", "c"), 2)
        (('a', 'c'), ('b',))
    """
    check_count("number", number)
    close = _checked(relation, len(tasks))
    if number > len(tasks):
        raise ValueError(f"number: expected at most {len(tasks)} groups, got {number}")
    if number == 1:
        return (tuple(tasks),)
    if number == 2 and len(tasks) <= MOST_EXACT:
        labels = _best_in_two(close)
    else:
        from scipy.cluster.hierarchy import fcluster, linkage
        from scipy.spatial.distance import squareform

        apart = close.max() - close
        np.fill_diagonal(apart, 0)
        labels = fcluster(linkage(squareform(apart), "average"), number, "maxclust")
    order = dict.fromkeys(labels.tolist())
    return tuple(
        tuple(task for task, own in zip(tasks, labels.tolist(), strict=True) if own == label)
        for label in order
    )


def _checked(relation: Float[np.ndarray, "tasks tasks"], tasks: int) -> np.ndarray:
    close = np.asarray(relation, np.float64)
    if close.shape != (tasks, tasks):
        raise ValueError(f"relation: expected shape {(tasks, tasks)}, got {close.shape}")
    finite = close[np.isfinite(close)]
    close = np.where(np.isfinite(close), close, finite.min() if finite.size else 0.0)
    return (close + close.T) / 2


def _best_in_two(close: np.ndarray) -> np.ndarray:
    """The partition with the largest mean of relations within groups less that between them."""
    number = len(close)
    first, second = np.triu_indices(number, 1)
    pairs = close[first, second]
    best, found = -np.inf, np.zeros(number, int)
    for rest in itertools.product((0, 1), repeat=number - 1):
        labels = np.array((0, *rest))
        if labels.any():
            within = labels[first] == labels[second]
            inner = pairs[within].mean() if within.any() else pairs.max()
            value = inner - pairs[~within].mean()
            if value > best:
                best, found = value, labels
    return found

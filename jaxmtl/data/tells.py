"""Whether a column nearly tells a target by itself, as one does that was computed from it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

_TELLS = 0.98  # of what varies
_MOST_ROWS = 20_000
_PAIRS_BUDGET = 5_000_000  # rows times pairs of columns that are looked at
_MANY_PAIRS = 1000
_LIKELY = 0.3
_FEWEST = 40  # rows that say something
_BIN = 8  # rows of a bin, at least
_GROUP = 10  # neighbours whose extreme value is looked at
_NEAR = 0.04  # standard deviations that are near it
_EXCESS = 0.1  # of the neighbours near it, beyond what a shuffled column has
_FEWEST_AT_EDGE = 300
_FEWEST_LEVELS = 25  # of a column that may have an edge


class Values(NamedTuple):
    """A column to be compared.

    Attributes:
        ordered: whether it holds numbers, or else numbers of levels.
        values: NaN where missing.
    """

    ordered: bool
    values: Float[np.ndarray, " rows"]


def rows_looked_at(rows: int, pairs: int) -> slice:
    """Evenly spread rows, the fewer the more pairs of columns there are.

    Args:
        rows: of the table.
        pairs: of a feature and a target.

    Example:
        >>> rows_looked_at(100, 3), rows_looked_at(40_000, 3)
        (slice(None, None, 1), slice(None, None, 2))
    """
    most = min(max(_PAIRS_BUDGET // max(pairs, 1), 500), _MOST_ROWS)
    return slice(None, None, max(-(-rows // most), 1))


def worth_a_look(
    features: Sequence[Values], targets: Sequence[Values]
) -> Bool[np.ndarray, "features targets"]:
    """Which pairs of columns may tell each other; all of them, unless there are very many.

    Of very many, numbers whose ranks have a correlation below 0.3 are passed over: a look at each
    pair would take longer than training.

    Args:
        features: of some rows.
        targets: of the same rows.

    Example:
        >>> one = Values(True, np.arange(9.0))
        >>> worth_a_look([one], [one, one]).tolist()
        [[True, True]]
    """
    likely = np.ones((len(features), len(targets)), bool)
    if likely.size <= _MANY_PAIRS:
        return likely
    x, y = (np.stack([_ranks(one.values) for one in many]) for many in (features, targets))
    ordered = np.outer([one.ordered for one in features], [one.ordered for one in targets])
    return ~ordered | (np.abs(x @ y.T) > _LIKELY)


def _ranks(values: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    """Ranks of mean 0 and length 1, those of equal values alike; 0 where missing."""
    known = ~np.isnan(values)
    _, place, sizes = np.unique(values[known], return_inverse=True, return_counts=True)
    ranks = np.zeros(len(values))
    ranks[known] = (np.cumsum(sizes) - sizes / 2 - known.sum() / 2)[place]
    length = np.sqrt((ranks**2).sum())
    return ranks / length if length > 0 else ranks


def tells(feature: Values, target: Values) -> bool:
    """Whether a feature nearly tells a target by itself.

    A number tells another one if their correlation or that of their ranks is above 0.98, or if
    means over bins explain that much. It is told as well if it seems to be computed as the greatest
    or least of the feature and others, or the other way round: then many rows lie on an edge of the
    cloud of points.

    Args:
        feature: values of some rows.
        target: of the same rows.

    Example:
        >>> x = np.linspace(0, 9, 400)
        >>> other = np.random.default_rng(0).permutation(x)
        >>> tells(Values(True, x), Values(True, x**2)), tells(Values(True, x), Values(True, other))
        (True, False)
        >>> tells(Values(True, x), Values(True, np.maximum(x, other)))
        True
    """
    known = ~(np.isnan(feature.values) | np.isnan(target.values))
    x, y = feature.values[known], target.values[known]
    if len(x) < _FEWEST:
        return False
    if not target.ordered:
        return _tells_class(x, y, feature.ordered)
    if y.min() == y.max() or x.min() == x.max():
        return False
    x, y = (_unit(one) for one in (x, y))
    if not feature.ordered:
        return _explained(np.unique(x, return_inverse=True)[1], y)
    if max(abs(np.corrcoef(x, y)[0, 1]), abs(_ranks(x) @ _ranks(y))) > _TELLS:
        return True
    cuts = np.unique(np.quantile(x, np.linspace(0, 1, max(2, min(64, len(x) // _BIN)))))
    if _explained(np.searchsorted(cuts[1:-1], x, side="right"), y):
        return True
    return _on_an_edge(x, y) or _on_an_edge(y, x)


def _unit(x: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    """From 0 to 1, so that squares neither overflow nor vanish."""
    low, high = x.min() / 2, x.max() / 2
    return (x / 2 - low) / (high - low) if high > low else np.zeros_like(x)


def _explained(bins: np.ndarray, y: Float[np.ndarray, " rows"]) -> bool:
    number = int(bins.max()) + 1
    if number < 2 or number * _BIN > len(y):
        return False
    means = np.bincount(bins, y, number) / np.maximum(np.bincount(bins, minlength=number), 1)
    left = ((y - means[bins]) ** 2).sum() / (len(y) - number)
    return bool(left < (1 - _TELLS) * y.var())


def _on_an_edge(x: Float[np.ndarray, " rows"], y: Float[np.ndarray, " rows"]) -> bool:
    # Of few levels many neighbours share the extreme one, whatever they were computed from.
    if len(x) < _FEWEST_AT_EDGE or len(np.unique(y)) < _FEWEST_LEVELS:
        return False
    near = _NEAR * y.std()
    shuffled = _at_edge(np.random.default_rng(0).permutation(y), near)
    return _at_edge(y[np.argsort(x, kind="stable")], near) - shuffled > _EXCESS


def _at_edge(y: Float[np.ndarray, " rows"], near: float) -> float:
    """How many of ten neighbours are near the least or the greatest of them."""
    groups = y[: len(y) // _GROUP * _GROUP].reshape(-1, _GROUP)
    low = (groups <= groups.min(axis=1, keepdims=True) + near).mean()
    high = (groups >= groups.max(axis=1, keepdims=True) - near).mean()
    return float(max(low, high))


def _tells_class(x: np.ndarray, y: np.ndarray, ordered: bool) -> bool:
    """Whether nearly all errors of the most frequent class are gone once the feature is known."""
    labels = np.unique(y, return_inverse=True)[1]
    base = len(y) - np.bincount(labels).max()
    if ordered:
        # Along a number that tells them, classes change a few times only: two errors a change.
        errors = (np.diff(labels[np.argsort(x, kind="stable")]) != 0).sum() / 2
    else:
        levels = np.unique(x, return_inverse=True)[1]
        if (levels.max() + 1) * _BIN > len(y):
            return False
        counts = np.zeros((levels.max() + 1, labels.max() + 1))
        np.add.at(counts, (levels, labels), 1)
        errors = len(y) - counts.max(axis=1).sum()
    return bool(base > 0 and errors <= (1 - _TELLS) * len(y) and errors <= 0.1 * base)

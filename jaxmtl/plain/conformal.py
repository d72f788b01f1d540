"""Intervals and sets from errors on rows that were left out.

Rows must be exchangeable: drawn alike, in any order. Then a row to come is as likely as any other
to be the one whose error is the k-th largest, and intervals need no other assumption.
"""

import math
import numbers
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

_HALVINGS = 24  # of the range in which an order statistic is looked for, the range of the folds
_DIGITS = 10  # of the ends of intervals
_ROUNDING = 1e-4  # of the last of them: less than that is rounding of the computation


def check_level(confidence_level: Any) -> None:
    """Raises unless a level is one.

    Args:
        confidence_level: share of rows that intervals are to hold.

    Raises:
        ValueError: it is not a number between 0 and 1.

    Example:
        >>> check_level(90)
        Traceback (most recent call last):
            ...
        ValueError: confidence_level: expected a number between 0 and 1, such as 0.9, got 90
    """
    number = isinstance(confidence_level, numbers.Real) and not isinstance(confidence_level, bool)
    if not (number and 0 < float(confidence_level) < 1):
        raise ValueError(
            "confidence_level: expected a number between 0 and 1, such as 0.9, got "
            f"{confidence_level!r:.40}"
        )


def rows_needed(confidence_level: float, *, joint: bool = False) -> int:
    """How many errors have to be known for intervals of a level to be finite.

    Args:
        confidence_level: 1 - a.
        joint: whether they hold all tasks together; more are needed where the tasks differ.

    Returns:
        The least n of which ``conformal_rank``, or one more, is no more than n.

    Example:
        >>> rows_needed(0.9), rows_needed(0.99), rows_needed(0.9, joint=True)
        (9, 99, 19)
    """
    check_level(confidence_level)
    beyond = 1 if joint else 0
    # By as good a division as floats are; the rank itself decides.
    rows = max(int((confidence_level + beyond) / (1 - confidence_level)) - 1, 1)
    while conformal_rank(rows, confidence_level) + beyond > rows:
        rows += 1
    return rows


def conformal_rank(rows: int, confidence_level: float) -> int:
    """Which of the errors, from the least, bounds that of a new row: ceil((n + 1)(1 - a)).

    Args:
        rows: n, whose errors are known.
        confidence_level: 1 - a, between 0 and 1.

    Returns:
        The rank from 1; n + 1, beyond all errors, where there are too few rows for the level.

    Raises:
        ValueError: a level that is not between 0 and 1.

    Example:
        >>> conformal_rank(9, 0.9), conformal_rank(8, 0.9), conformal_rank(99, 0.9)
        (9, 9, 90)
    """
    check_level(confidence_level)
    # 100 x 0.9 is 90.00000000000001.
    return min(math.ceil(round((rows + 1) * confidence_level, 9)), rows + 1)


def joint_rank(scores: np.ndarray, confidence_level: float) -> int:
    """The rank of the errors of every task that bounds all tasks of a row together.

    A row's rank is the largest of its ranks in the tasks. Bounding by the order statistic of that
    rank holds less than it says where rows are few, since a new row shifts the ranks; the next
    one holds always.

    Args:
        scores: (rows, tasks), errors of complete rows, 0 or more.
        confidence_level: 1 - a.

    Returns:
        The rank from 1, for every task; n + 1 where there are too few rows.

    Example:
        >>> joint_rank(np.arange(40.0).reshape(20, 2), 0.9)
        20

    References:
        Timans et al. (2025), Max-rank: efficient multiple testing for conformal prediction,
        AISTATS, with one more than the rank that they take.
    """
    rows = len(scores)
    k = conformal_rank(rows, confidence_level)
    if k > rows:
        return rows + 1
    ordered = np.sort(scores, axis=0)
    ranks = [
        np.searchsorted(own, column, side="right")
        for own, column in zip(ordered.T, scores.T, strict=True)
    ]
    return min(int(np.sort(np.max(ranks, axis=0))[k - 1]) + 1, rows + 1)


def cv_plus(
    centres: np.ndarray,
    scores: np.ndarray,
    fold: np.ndarray,
    rank: int,
    spreads: np.ndarray | None = None,
) -> np.ndarray:
    """CV+: the rank-th least of all m_f + s_f R_i, and of all m_f - s_f R_i from above.

    m_f is what fold f's model predicts, which has not seen the rows i that it left out; R_i is how
    far it was from these, over s_f(x_i). With one fold this is the split-conformal interval.

    Args:
        centres: m, (folds, rows), what every fold predicts of the new rows.
        scores: R, (left out), 0 or more.
        fold: number of the fold that left the row out.
        rank: from ``conformal_rank`` or ``joint_rank``.
        spreads: s, (folds, rows), more than 0; None for 1.

    Returns:
        (rows, 2), lower and upper ends, rounded outward to 10 digits, so that a value that is equal
        to an end but for rounding is held; infinite where the rank is beyond the rows. The mean of
        the folds' predictions is always between them: at low levels folds that disagree would
        leave none.

    Example:
        >>> cv_plus(np.array([[5.0], [6.0]]), np.array([1.0, 2.0, 3.0]), np.array([0, 0, 1]), 3)
        array([[3., 9.]])

    References:
        Barber, Candes, Ramdas, Tibshirani (2021), Predictive inference with the jackknife+,
        Annals of Statistics, section 3: level of at least 1 - 2a, about 1 - a in practice. Scores
        over a spread: Lei et al. (2018), Distribution-free predictive inference for regression,
        section 5.2.
    """
    rows = centres.shape[1]
    if rank > len(scores):
        return np.tile([-np.inf, np.inf], (rows, 1))
    spreads = np.ones_like(centres) if spreads is None else spreads
    middle = centres.mean(axis=0)
    own = [np.sort(scores[fold == f]) for f in range(len(centres))]
    used = [f for f, each in enumerate(own) if len(each)]
    own, centres, spreads = [own[f] for f in used], centres[used], spreads[used]
    # Both ends at once: what looks for them leaves Python's lock to the other.
    with ThreadPoolExecutor(2) as pool:
        upper, lower = pool.map(
            lambda sign: sign * _order_statistic(sign * centres, spreads, own, rank), (1, -1)
        )
    lower, upper = np.minimum(lower, middle), np.maximum(upper, middle)
    size = np.abs(centres).max(axis=0) + np.maximum(middle - lower, upper - middle)
    return np.stack([-_rounded_up(-lower, size), _rounded_up(upper, size)], axis=1)


def _rounded_up(values: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Up to a number of few digits, unless that much is rounding of sums of this size."""
    places = np.floor(np.log10(np.where(size > 0, size, 1.0)))
    unit = 10.0 ** np.clip(_DIGITS - 1 - places, -300, 300)
    # A unit of 0.001 is no number of the machine, 1000 is: what is divided by it is nearest.
    large, small = np.maximum(unit, 1.0), np.maximum(1 / unit, 1.0)
    return np.ceil(values * large / small - _ROUNDING) / large * small + 0.0


def _order_statistic(
    centres: np.ndarray, spreads: np.ndarray, own: Sequence[np.ndarray], rank: int
) -> np.ndarray:
    """The rank-th least of centres + spreads x scores over all folds, for every row."""
    share = rank / sum(map(len, own))
    # As many in every fold as its share: the answer lies between the least and largest of these.
    at = [min(max(math.ceil(share * len(each)), 1), len(each)) - 1 for each in own]
    ends = centres + spreads * np.array([each[i] for each, i in zip(own, at, strict=True)])[:, None]
    before = [max(i - 1, 0) for i in at]
    starts = (
        centres
        + spreads * np.array([each[i] for each, i in zip(own, before, strict=True)])[:, None]
    )
    low, high = starts.min(axis=0), ends.max(axis=0)
    low = low - 1e-9 * (np.abs(low) + high - low)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        count = np.zeros(middle.shape, int)
        for centre, spread, each in zip(centres, spreads, own, strict=True):
            count += np.searchsorted(each, (middle - centre) / spread, side="right")
        enough = count >= rank
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return high


def class_sets(
    probabilities: np.ndarray,
    scores: np.ndarray,
    fold: np.ndarray,
    rank: int,
) -> np.ndarray:
    """Classes that are not less likely than the true ones of the rows left out were.

    Args:
        probabilities: (folds, rows, classes) of every fold's model for the new rows.
        scores: 1 minus the probability of the true class, of the model that left the row out.
        fold: number of the fold that left the row out.
        rank: from ``conformal_rank`` or ``joint_rank``.

    Returns:
        (rows, classes), whether a class is in the set; all of them where the rank is beyond the
        rows. The most probable class is always in it.

    Example:
        >>> p = np.array([[[0.9, 0.1], [0.6, 0.4]]])
        >>> class_sets(p, np.array([0.1, 0.2, 0.7]), np.zeros(3, int), 3).tolist()
        [[True, False], [True, True]]

    References:
        Scores: Sadinle, Lei, Wasserman (2019), Least ambiguous set-valued classifiers, JASA.
        Over folds: Romano, Sesia, Candes (2020), Classification with valid and adaptive coverage,
        NeurIPS, section 2.3.
    """
    if rank > len(scores):
        return np.ones(probabilities.shape[1:], bool)
    less = np.zeros(probabilities.shape[1:], int)
    for f, each in enumerate(probabilities):
        own = np.sort(scores[fold == f])
        # Rounding of a sum to 1 must not put a class out.
        less += np.searchsorted(own, 1 - each - 1e-9, side="left")
    inside = less < rank
    best = probabilities.mean(axis=0).argmax(axis=-1)
    return inside | (np.arange(inside.shape[-1])[None] == best[:, None])

"""Intervals and sets from errors on rows that were left out; NumPy only.

Rows must be exchangeable: drawn alike, in any order. Then a row to come is as likely as any other
to be the one whose error is the k-th largest, and intervals need no other assumption.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

_HALVINGS = 24  # of the range in which an order statistic is looked for, the range of the folds


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
    if not 0 < confidence_level < 1:
        raise ValueError(
            f"confidence_level: expected a number between 0 and 1, got {confidence_level}"
        )
    # 100 x 0.9 is 90.00000000000001.
    return min(math.ceil(round((rows + 1) * confidence_level, 9)), rows + 1)


def joint_rank(scores: Float[np.ndarray, "rows tasks"], confidence_level: float) -> int:
    """The rank of the errors of every task that bounds all tasks of a row together.

    A row's rank is the largest of its ranks in the tasks. Bounding by the order statistic of that
    rank holds less than it says where rows are few, since a new row shifts the ranks; the next
    one holds always.

    Args:
        scores: errors of complete rows, 0 or more.
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
    centres: Float[np.ndarray, "folds rows"],
    scores: Float[np.ndarray, " left_out"],
    fold: Int[np.ndarray, " left_out"],
    rank: int,
    spreads: Float[np.ndarray, "folds rows"] | None = None,
) -> Float[np.ndarray, "rows 2"]:
    """CV+: the rank-th least of all m_f + s_f R_i, and of all m_f - s_f R_i from above.

    m_f is what fold f's model predicts, which has not seen the rows i that it left out; R_i is how
    far it was from these, over s_f(x_i). With one fold this is the split-conformal interval.

    Args:
        centres: m, what every fold predicts of the new rows.
        scores: R, 0 or more.
        fold: number of the fold that left the row out.
        rank: from ``conformal_rank`` or ``joint_rank``.
        spreads: s, more than 0; None for 1.

    Returns:
        Lower and upper ends; infinite where the rank is beyond the rows. The mean of the folds'
        predictions is always between them: at low levels folds that disagree would leave none.

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
    upper = _order_statistic(centres, spreads, own, rank)
    lower = -_order_statistic(-centres, spreads, own, rank)
    return np.stack([np.minimum(lower, middle), np.maximum(upper, middle)], axis=1)


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
    probabilities: Float[np.ndarray, "folds rows classes"],
    scores: Float[np.ndarray, " left_out"],
    fold: Int[np.ndarray, " left_out"],
    rank: int,
) -> Bool[np.ndarray, "rows classes"]:
    """Classes that are not less likely than the true ones of the rows left out were.

    Args:
        probabilities: of every fold's model for the new rows.
        scores: 1 minus the probability of the true class, of the model that left the row out.
        fold: number of the fold that left the row out.
        rank: from ``conformal_rank`` or ``joint_rank``.

    Returns:
        Whether a class is in the set; all of them where the rank is beyond the rows. The most
        probable class is always in it.

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


def binomial_interval(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Between which shares the true one lies, exactly (Clopper and Pearson).

    Args:
        successes: among the trials.
        trials: 1 or more.
        level: how sure.

    Returns:
        Lower and upper end.

    Example:
        >>> [round(end, 3) for end in binomial_interval(90, 100)]
        [0.824, 0.951]
    """
    low, high = binomial_ends(np.array(successes), np.array(trials), level)
    return float(low), float(high)


def binomial_ends(
    successes: Int[np.ndarray, "*shares"], trials: Int[np.ndarray, "*shares"], level: float = 0.95
) -> tuple[Float[np.ndarray, "*shares"], Float[np.ndarray, "*shares"]]:
    """The same of many shares at once.

    Args:
        successes: among the trials.
        trials: 1 or more.
        level: how sure of each.

    Returns:
        Lower and upper ends.

    Example:
        >>> low, high = binomial_ends(np.array([0, 90]), np.array([10, 100]))
        >>> low.round(3).tolist(), high.round(3).tolist()
        ([0.0, 0.824], [0.308, 0.951])
    """
    from scipy.special import betaincinv  # which loads in a tenth of the time of scipy.stats

    a, others = (1 - level) / 2, trials - successes
    low = betaincinv(np.maximum(successes, 1), others + 1, a)
    high = betaincinv(successes + 1, np.maximum(others, 1), 1 - a)
    return np.where(successes > 0, low, 0.0), np.where(others > 0, high, 1.0)

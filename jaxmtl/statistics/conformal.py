"""Intervals and sets from errors on rows that were left out, and how sure a share is.

What a saved run needs of it is ``jaxmtl.plain.conformal``.
"""

import numpy as np
from jaxtyping import Float, Int

from jaxmtl.plain.conformal import check_level as check_level
from jaxmtl.plain.conformal import class_sets as class_sets
from jaxmtl.plain.conformal import conformal_rank as conformal_rank
from jaxmtl.plain.conformal import cv_plus as cv_plus
from jaxmtl.plain.conformal import joint_rank as joint_rank
from jaxmtl.plain.conformal import rows_needed as rows_needed


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

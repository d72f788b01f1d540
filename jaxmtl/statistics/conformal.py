"""Intervals and sets from errors on rows that were left out, and how sure a share is.

What a saved run needs of it is ``jaxmtl.plain.conformal``.
"""

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
    from scipy.stats import beta

    a = (1 - level) / 2
    low = beta.ppf(a, successes, trials - successes + 1) if successes else 0.0
    high = beta.ppf(1 - a, successes + 1, trials - successes) if successes < trials else 1.0
    return float(low), float(high)

"""Means of parts of some rows, with intervals that hold where neighbours are alike."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

MOST_BATCHES, LEAST_BATCHES, ROWS_OF_A_BATCH = 20, 10, 3


class Means(NamedTuple):
    """Means of parts.

    Attributes:
        mean: of each part; NaN where it has no row.
        error: standard error of the mean; NaN with less than two rows.
        freedom: degrees of freedom of that.

    Example:
        >>> Means(np.array([1.0]), np.array([0.1]), np.array([9])).mean
        array([1.])
    """

    mean: Float[np.ndarray, " parts"]
    error: Float[np.ndarray, " parts"]
    freedom: Int[np.ndarray, " parts"]

    def ends(
        self, looks: int, *, level: float = 0.95, positive: bool = False
    ) -> tuple[Float[np.ndarray, " parts"], Float[np.ndarray, " parts"]]:
        """Lower and upper ends of intervals that hold all together.

        Args:
            looks: means that are looked at in all, by which the doubt of each is divided
                (Bonferroni).
            level: how sure all together are.
            positive: whether means are of numbers of at least 0 with a long tail, such as squares:
                their logarithm is nearly normal sooner than they are.

        Returns:
            Both ends; NaN where there is no standard error.
        """
        from scipy.special import stdtrit

        reach = stdtrit(np.maximum(self.freedom, 1), 1 - (1 - level) / (2 * max(looks, 1)))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            if not positive:
                return self.mean - reach * self.error, self.mean + reach * self.error
            factor = np.exp(reach * np.where(self.mean > 0, self.error / self.mean, 0))
            known = np.where(np.isnan(self.error), np.nan, 1.0)
            return self.mean / factor * known, self.mean * factor * known


class Batches:
    """Rows by part, in batches of neighbours.

    Where rows next to each other are alike, as days are, a standard error from single rows is too
    small; one from means of runs of neighbours is not, as far as runs are longer than the likeness.

    Attributes:
        rows: of each part.

    Example:
        >>> batches = Batches(np.array([0, 0, 1, 1, -1]), 2)
        >>> batches.rows.tolist(), batches.means(np.array([1.0, 3.0, 5.0, 5.0, 9.0])).mean.tolist()
        ([2, 2], [2.0, 5.0])

    References:
        Means of batches: Law and Kelton, Simulation Modeling and Analysis, section 9.5.3.
    """

    def __init__(self, part: Int[np.ndarray, " rows"], parts: int) -> None:
        """Divides the rows of each part.

        Args:
            part: of each row, below 0 for none; rows are in the order in which neighbours may be
                alike.
            parts: how many there are.
        """
        self._used = np.flatnonzero(part >= 0)
        own = part[self._used]
        self.rows = np.bincount(own, minlength=parts)
        # Short numbers are sorted by their digits, ten times as fast.
        short = own.astype(np.int16) if parts < np.iinfo(np.int16).max else own
        order = np.argsort(short, kind="stable")
        place = np.empty(len(own), int)  # within its part
        place[order] = np.arange(len(own)) - np.repeat(np.cumsum(self.rows) - self.rows, self.rows)
        several = np.clip(self.rows // ROWS_OF_A_BATCH, LEAST_BATCHES, MOST_BATCHES)
        self._batches = np.minimum(self.rows, several)
        batch = place * self._batches[own] // self.rows[own]
        self._group = own * MOST_BATCHES + batch
        self._sizes = np.bincount(self._group, minlength=parts * MOST_BATCHES)

    def means(self, values: Float[np.ndarray, " rows"]) -> Means:
        """Means of one number a row.

        Args:
            values: of all rows, those without a part among them.

        Returns:
            One a part.
        """
        sums = np.bincount(self._group, values[self._used], minlength=len(self._sizes))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            means = (sums / self._sizes).reshape(-1, MOST_BATCHES)
            mean = sums.reshape(-1, MOST_BATCHES).sum(axis=1) / self.rows
            there = self._sizes.reshape(-1, MOST_BATCHES) > 0
            off = np.where(there, means - mean[:, None], 0)
            number = self._batches
            error = np.sqrt((off**2).sum(axis=1) / (number * np.maximum(number - 1, 1.0)))
        return Means(mean, np.where(number > 1, error, np.nan), np.maximum(number - 1, 0))

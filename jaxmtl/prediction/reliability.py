"""Whether probabilities of classes can be taken as they are."""

from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float, Int
from msgspec import Meta, Struct

from jaxmtl.statistics.conformal import binomial_ends

Count = Annotated[int, Meta(ge=0)]
Probability = Annotated[float, Meta(ge=0, le=1 + 1e-9)]
Verdict = Literal[
    "few", "right", "nearly", "too sure", "not sure enough", "both", "too high", "too low"
]

MOST_BINS, ROWS_OF_A_BIN, FEWEST_ROWS = 10, 20, 50
SMALL = 0.02  # a mean difference that no one needs to mind
DRAWS = 2000


class Reliability(Struct):
    """How often a class came true, by the probability that was said.

    Attributes:
        of: the class whose probability it is, of two the rarer; None: of each row the most
            probable one.
        rows: of each bin, in the order of their probability.
        said: mean probability of a bin.
        true: share of its rows in which the class came true.
        low: lower ends of what that may be (95 %, exact binomial).
        high: upper ends.
        error: expected calibration error, the mean of how far they are apart.
        floor: what that would be by chance alone if all probabilities were right.
        floor_high: below which it would be 95 times of 100, of all tasks together.

    Example:
        >>> found = Reliability(of=None, rows=[80], said=[0.9], true=[0.7], low=[0.6], high=[0.8],
        ...                     error=0.2, floor=0.03, floor_high=0.06)
        >>> found.verdict
        'too sure'
    """

    of: str | int | None
    rows: list[Count]
    said: list[Probability]
    true: list[Probability]
    low: list[Probability]
    high: list[Probability]
    error: Probability
    floor: Annotated[float, Meta(ge=0)]
    floor_high: Annotated[float, Meta(ge=0)]

    def __post_init__(self) -> None:
        """Checks what a file says."""
        for part in (self.said, self.true, self.low, self.high):
            if len(part) != len(self.rows):
                raise ValueError(f"reliability: expected {len(self.rows)} bins, got {len(part)}")

    @property
    def verdict(self) -> Verdict:
        """What is to be thought of the probabilities.

        "few": too few rows to say; "right": no more off than chance allows; "nearly": more, yet by
        less than 2 of 100. Of the most probable class "too sure" or "not sure enough", of a single
        class "too high" or "too low", or as farther from or nearer to one half than they should be;
        "both" where neither makes up half of the error.
        """
        rows = np.array(self.rows)
        if rows.sum() < FEWEST_ROWS:
            return "few"
        if self.error <= self.floor_high:
            return "right"
        if self.error < SMALL:
            return "nearly"
        weights, off = rows / rows.sum(), np.subtract(self.said, self.true)
        mean = float((weights * off).sum())
        if self.of is not None:
            if abs(mean) > self.error / 2:
                return "too high" if mean > 0 else "too low"
            mean = float((weights * off * np.sign(np.subtract(self.said, 0.5))).sum())
        if abs(mean) <= self.error / 2:
            return "both"
        return "too sure" if mean > 0 else "not sure enough"


def reliability_of(
    classes: tuple[str | int, ...],
    probabilities: Float[np.ndarray, "rows classes"],
    y: Int[np.ndarray, " rows"],
    *,
    looks: int = 1,
    seed: int = 0,
) -> Reliability | None:
    """Compares probabilities with what came true, in bins of equally many rows.

    Args:
        classes: their values.
        probabilities: of rows that were not learned from.
        y: numbers of the true classes.
        looks: tasks that are looked at in all, by which the doubt of each is divided (Bonferroni).
        seed: of the draws from which the floor follows.

    Returns:
        The comparison; None without rows.

    Example:
        >>> p = np.full((100, 2), 0.5)
        >>> found = reliability_of(("no", "yes"), p, np.arange(100) % 2)
        >>> found.error, found.verdict
        (0.0, 'right')

    References:
        Naeini, Cooper and Hauskrecht (2015), Obtaining well calibrated probabilities using Bayesian
        binning. Its bias upwards: Roelofs et al. (2022), Mitigating bias in calibration error
        estimation.
    """
    if not len(y):
        return None
    if len(classes) == 2:
        rarer = int(2 * y.sum() <= len(y))
        of, said, true = classes[rarer], probabilities[:, rarer], y == rarer
    else:
        likely = probabilities.argmax(axis=1)
        of, said, true = None, probabilities[np.arange(len(y)), likely], y == likely
    said = np.clip(said.astype(float), 0, 1)
    number = min(max(len(y) // ROWS_OF_A_BIN, 1), MOST_BINS)
    edges = np.unique(np.quantile(said, np.arange(1, number) / number)) if number > 1 else []
    bin_ = np.searchsorted(edges, said, side="right")
    every = np.bincount(bin_)
    there = every > 0
    rows = every[there]
    mean, share, doubt = (
        np.bincount(bin_, values)[there] / rows for values in (said, true, said * (1 - said))
    )
    low, high = binomial_ends(np.bincount(bin_, true)[there].astype(int), rows)
    weights = rows / rows.sum()
    # By chance alone the share of a bin is about normal around its mean probability.
    noise = np.random.default_rng(seed).normal(size=(DRAWS, len(rows))) * np.sqrt(doubt / rows)
    floors = np.abs(noise) @ weights
    return Reliability(
        of=of,
        rows=rows.tolist(),
        said=mean.tolist(),
        true=share.tolist(),
        low=low.tolist(),
        high=high.tolist(),
        error=float((weights * np.abs(mean - share)).sum()),
        floor=float(floors.mean()),
        floor_high=float(np.quantile(floors, 1 - 0.05 / looks)),
    )

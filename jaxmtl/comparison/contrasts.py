"""Every arm against one of them, seed by seed."""

from typing import TYPE_CHECKING

import numpy as np

from jaxmtl._validate import check_choice
from jaxmtl.comparison.per_seed import OVERALL, read_per_seed
from jaxmtl.statistics.paired import (
    holm,
    nadeau_bengio,
    paired_bootstrap,
    verdict,
    wilcoxon,
)

if TYPE_CHECKING:
    import pandas as pd


def contrasts(
    per_seed: "pd.DataFrame",
    reference: str,
    *,
    test_share: float | None = None,
    seed: int = 0,
    resamples: int = 10_000,
) -> "pd.DataFrame":
    """Paired differences of every arm from the reference, with intervals, tests and verdicts.

    Tests are adjusted after Holm in four families: contestants overall, which is the family that
    counts; contestants on single tasks, all arms and tasks together; and reference lines overall
    and on single tasks. The verdict follows one rule, `verdict`, from the adjusted p and the
    interval of the percentage: Nadeau's and Bengio's where the seeds split one table anew, else the
    bootstrap's.

    Args:
        per_seed: one row an arm, seed and task, with the columns arm, kind ("arm", or "line" for
            one that is no contestant), seed, task and error. A seed in which either run diverged
            (its error is NaN) is left out of that contrast. A column better, "lower" or "higher",
            says that error is a measure of one's own: then the verdict goes by the interval of the
            difference where a percentage has no meaning, as its base may be 0 or below.
        reference: name of the arm that the others are compared with.
        test_share: test rows over training rows, where the seeds split one table anew; None where
            every seed has data of its own, or all seeds have the same split.
        seed: of the bootstrap.
        resamples: of the bootstrap.

    Returns:
        A frame, one row an arm and quantity ("overall", the mean over the tasks, then every task),
        with the columns arm, reference, quantity; difference (mean of arm - reference, negative:
        the arm is better), difference_low, difference_high (95 % bootstrap interval); percent (of
        the reference's mean error), percent_low, percent_high (bootstrap); p_wilcoxon;
        p_nadeau_bengio and the interval of the percentage that goes with it, nb_low and nb_high
        (NaN without a test share); p_holm, adjusted from p_nadeau_bengio, or p_wilcoxon without a
        test share; verdict ("better", "worse" or "not distinguishable"); seeds (pairs used). What
        is NaN with few seeds: see `jaxmtl.statistics.paired`.

    Raises:
        ValueError: the reference is not in the frame, a column is missing, an arm, seed and task
            has several rows, or the test share is negative.

    Example:
        >>> import pandas as pd
        >>> plain, split = [1.0, 1.2, 0.9, 1.1, 1.3, 0.8], [0.9, 1.1, 0.9, 1.0, 1.1, 0.7]
        >>> per_seed = pd.DataFrame([
        ...     {"arm": arm, "kind": "arm", "seed": seed, "task": "a", "error": error}
        ...     for arm, column in [("plain", plain), ("split", split)]
        ...     for seed, error in enumerate(column)])
        >>> found = contrasts(per_seed, "plain", test_share=0.25).iloc[0]
        >>> found[["arm", "quantity", "verdict"]].tolist()
        ['split', 'overall', 'not distinguishable']
        >>> [round(float(found[name]), 3) for name in ("percent", "nb_low", "nb_high", "p_holm")]
        [-9.524, -17.083, 0.589, 0.058]
    """
    import pandas as pd

    runs = read_per_seed(per_seed)
    check_choice("reference", reference, runs.arms)
    quantities = (OVERALL, *runs.tasks)
    values = np.concatenate([runs.overall[:, :, None], runs.error], axis=2)
    others = [place for place, arm in enumerate(runs.arms) if arm != reference]
    # Seeds first: (seeds, arms, quantities).
    arms = values[others].swapaxes(0, 1)
    base = np.broadcast_to(values[runs.arms.index(reference)][:, None], arms.shape)

    plain = paired_bootstrap(arms, base, seed=seed, resamples=resamples)
    p_plain = wilcoxon(arms, base).p
    nothing = np.full(p_plain.shape, np.nan)
    p, low, high = p_plain, plain.percent_low, plain.percent_high
    corrected = nothing, nothing, nothing
    if test_share is not None:
        found = nadeau_bengio(arms, base, test_share)
        p, low, high = found.p, found.interval.percent_low, found.interval.percent_high
        corrected = p, low, high
    adjusted = _adjust(p, runs.contests[others])
    plainly = plain
    if runs.better:
        if test_share is not None:
            plainly = nadeau_bengio(arms, base, test_share).interval
        ends = plainly.difference_low, plainly.difference_high
        shown = [
            np.where(np.isnan(low), end, part) for end, part in zip(ends, (low, high), strict=True)
        ]
        low, high = shown if runs.sign > 0 else (-shown[1], -shown[0])
    names = np.array([runs.arms[place] for place in others], dtype=object)
    columns = {
        "arm": np.repeat(names, len(quantities)),
        "reference": reference,
        "quantity": np.tile(np.array(quantities, dtype=object), len(others)),
        "difference": plain.difference,
        "difference_low": plainly.difference_low,
        "difference_high": plainly.difference_high,
        "percent": plain.percent,
        "percent_low": plain.percent_low,
        "percent_high": plain.percent_high,
        "p_wilcoxon": p_plain,
        "p_nadeau_bengio": corrected[0],
        "nb_low": corrected[1],
        "nb_high": corrected[2],
        "p_holm": adjusted,
        "verdict": verdict(adjusted, low, high),
        "seeds": plain.pairs,
    }
    if runs.better:
        columns["better"] = runs.better
    return pd.DataFrame(
        {name: v.ravel() if isinstance(v, np.ndarray) else v for name, v in columns.items()}
    )


def _adjust(p: np.ndarray, contests: np.ndarray) -> np.ndarray:
    """Holm within contestants and lines, and within the overall errors and the single tasks."""
    adjusted = np.full_like(p, np.nan)
    for arms in (contests, ~contests):
        for part in (slice(0, 1), slice(1, None)):
            family = p[arms, part]
            adjusted[arms, part] = holm(family.ravel()).reshape(family.shape)
    return adjusted

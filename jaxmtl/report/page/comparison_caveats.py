"""What a reader of a comparison should beware of, as far as its own numbers tell."""

import numpy as np
import pandas as pd

from jaxmtl.report.page.markup import name
from jaxmtl.report.pictures.comparison_rows import LINE, rows_of
from jaxmtl.report.words.compared import Compared
from jaxmtl.report.words.numbers import count

FEW = 6  # pairs below which the Wilcoxon test cannot reach 5 %


def caveats(
    leaderboard: pd.DataFrame,
    contrasts: pd.DataFrame,
    errors: Compared,
    *,
    num_seeds: int,
    num_tasks: int,
) -> list[str]:
    """Reservations that hold for this comparison.

    Args:
        leaderboard: one row an arm.
        contrasts: one row an arm and quantity.
        errors: words for what arms are compared by.
        num_seeds: that were run.
        num_tasks: that were learned.

    Returns:
        Markup, one element a reservation.

    Example:
        >>> frame = pd.DataFrame({"arm": ["a"], "kind": "arm", "seeds": 1, "diverged": 0})
        >>> from jaxmtl.report.words.compared import compared
        >>> errors = compared(["rmse", "rmse"])
        >>> caveats(frame, pd.DataFrame(), errors, num_seeds=1, num_tasks=2)[0]
        'One seed has no interval and no test: seeds often move a result more than methods do.'
    """
    found = [*_seeds(contrasts, num_seeds), *_diverged(leaderboard)]
    data = "these data" if errors.own else "this one table"
    found.append(
        f"All numbers are about {data}. Whether another table, year or place gives the "
        "same answer, only its data can say."
    )
    if len(contrasts):
        found.append(
            "“Not distinguishable” is no evidence that two arms are equal: a difference as large "
            "as the ends of its interval may hide in it."
        )
        found.append(
            "Holm's adjustment allows for the comparisons shown here, not for others that were "
            "tried before: what was chosen after seeing such a page has to be tried on new seeds."
        )
    if LINE in leaderboard["kind"].tolist():
        found.append(
            "Reference lines are not trained with the contestants' gradient steps; they show what "
            "simpler or other methods reach on the same rows."
        )
    if num_tasks > 1:
        found.append(errors.caveat)
    if not errors.own:
        found.append(
            "Seconds are an arm's share of one program that trains all its seeds together, not the "
            "time of a run by itself."
        )
    return found


def _seeds(contrasts: pd.DataFrame, num_seeds: int) -> list[str]:
    if num_seeds == 1:
        return [
            "One seed has no interval and no test: seeds often move a result more than methods do."
        ]
    found = []
    if num_seeds < FEW:
        least = 2.0 ** (1 - num_seeds)
        found.append(
            f"With {num_seeds} seeds the Wilcoxon test cannot give a p below {least:.3g}, however "
            "large the difference."
        )
    if not len(contrasts):
        return found
    if np.isfinite(contrasts["nb_low"].to_numpy(dtype=float)).any():
        found.append(
            "Seeds divide one table anew, so their training rows overlap and their results are "
            "not independent. The intervals and p values of Nadeau and Bengio allow for that; "
            "those of the bootstrap and of Wilcoxon do not, and are too confident."
        )
    else:
        found.append(
            "Where seeds share one division of the rows, intervals cover the start values and what "
            "else a seed decides, not which rows happened to be tested on."
        )
    return found


def _diverged(leaderboard: pd.DataFrame) -> list[str]:
    found = []
    for row in rows_of(leaderboard):
        if not row["diverged"]:
            continue
        seeds = count(int(row["seeds"]), "seed")
        found.append(
            f"{name(row['arm'])} diverged in {int(row['diverged'])} of {seeds}. Its means and "
            "contrasts are those of the seeds that it finished, which may flatter it."
        )
    return found

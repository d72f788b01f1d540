"""Which arm to use: the least error, unless what is cheaper cannot be told from it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxmtl.comparison.clauses import Contrast, name_of, written
from jaxmtl.comparison.contrasts import contrasts

if TYPE_CHECKING:
    import pandas as pd

WORTH = 1.0  # % of the error, below which no more is spent
SAME_COST = 0.25  # of the cost, within which two arms cost the same
SHARED, APART = "hard_sharing", "independent"
CHEAP = 1.5  # runs, up to which arms cost what a run does


class Cost(NamedTuple):
    """An arm of the leaderboard.

    Attributes:
        arm: its name.
        error: mean over the seeds.
        runs: gradient steps over those of one run; 0 for what takes none.
    """

    arm: str
    error: float
    runs: float


class Advice(NamedTuple):
    """What to use.

    Attributes:
        arm: its name; empty with fewer than two contestants.
        sentences: that it is, how sure that is, and what it costs.
    """

    arm: str
    sentences: tuple[str, ...]


def costs_of(leaderboard: "pd.DataFrame") -> list[Cost]:
    """Contestants with an error, the best first.

    Args:
        leaderboard: with a column of runs.

    Returns:
        One an arm.
    """
    rows: list[Any] = leaderboard.to_dict("records")
    found = [
        Cost(str(row["arm"]), float(row["error"]), float(np.nan_to_num(row["runs"])))
        for row in rows
        if row["kind"] == "arm" and np.isfinite(row["error"])
    ]
    return sorted(found, key=lambda one: one.error)


def recommend(
    per_seed: "pd.DataFrame",
    leaderboard: "pd.DataFrame",
    *,
    test_share: float | None = None,
    labels: Mapping[str, str] | None = None,
) -> Advice:
    """Which arm to use, how sure that is, and what it costs: a short sentence each.

    That is the arm of the least mean error; unless an arm that costs fewer runs cannot be told from
    it, or is worse by less than one hundredth; or a reference line has a lower error.

    Args:
        per_seed: see ``contrasts``.
        leaderboard: of the same runs, with a column of runs.
        test_share: see ``contrasts``.
        labels: what arms are called, by name; others by their name without underscores.

    Returns:
        The arm and the sentences.

    Example:
        >>> import pandas as pd
        >>> from jaxmtl.comparison import leaderboard
        >>> rng = np.random.default_rng(0)
        >>> plain = rng.gamma(20, size=30)
        >>> errors = {"plain": plain, "mean_of_4": plain * rng.uniform(0.85, 0.95, 30)}
        >>> per_seed = pd.DataFrame([
        ...     {"arm": arm, "kind": "arm", "seed": seed, "task": "a", "error": error,
        ...      "measure": "rmse", "value": error, "parameters": 9, "splits": 0, "seconds": 0.1,
        ...      "runs": 1.0 if arm == "plain" else 4.0, "diverged": False}
        ...     for arm, column in errors.items() for seed, error in enumerate(column)])
        >>> for sentence in recommend(per_seed, leaderboard(per_seed)).sentences:
        ...     print(sentence)
        Use mean of 4.
        How sure: its error is 9.5 % (8.5 to 10.4) below that of plain, the best of those that \
cost less.
        Cost: as much as training a network 4 times (plain: once).
    """
    every = costs_of(leaderboard)
    if len(every) < 2:
        return Advice("", ())
    best, others = every[0], every[1:]
    if (line := _better_line(per_seed, leaderboard, best, test_share, labels)) is not None:
        return line
    rows = _against(per_seed, [one.arm for one in every], best.arm, test_share, labels)
    cheaper = [one for one in others if one.runs < best.runs * (1 - SAME_COST)]
    called = name_of(best.arm, labels)
    if all(row.untested or row.pairs < 2 for row in rows.values()):
        least = f"{called[0].upper()}{called[1:]} has the least error."
        sure = "not at all, too few seeds were run to tell it from the others"
        return _advice(best, least, sure, [], labels)
    for one in sorted(cheaper, key=lambda one: (round(one.runs), one.error)):
        row = rows[one.arm]
        if row.verdict == "worse" and row.percent >= WORTH:
            continue
        why = (
            "but that may be chance"
            if row.verdict != "worse"
            else "but by too little to be worth its cost"
        )
        gain = _less(per_seed, best, one, test_share, labels)
        sure = f"{called} has the least error, {why}{gain}"
        return _advice(one, f"Use {name_of(one.arm, labels)}.", sure, [best], labels)
    over, what = (cheaper[0], "the best of those that cost less") if cheaper else (others[0], "")
    row = _against(per_seed, [best.arm, over.arm], over.arm, test_share, labels)[best.arm]
    against = name_of(over.arm, labels)
    if row.verdict == "better":
        size = row.by().removeprefix("by ")
        sure = f"its error is {size} below that of {against}, {what or 'the next best'}"
    else:
        same = [name_of(one.arm, labels) for one in others if rows[one.arm].verdict != "worse"]
        more = f" and {len(same) - 1} more" if len(same) > 1 else ""
        sure = (
            f"it has the least error, but its distance from {same[0] if same else against}{more} "
            f"may be chance ({row.difference()})"
        )
    return _advice(best, f"Use {called}.", sure, [over], labels)


def worth_of_sharing(
    per_seed: "pd.DataFrame",
    *,
    test_share: float | None = None,
    labels: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Whether one network for all targets is better than one each, where both were trained.

    Args:
        per_seed: see ``contrasts``.
        test_share: see ``contrasts``.
        labels: see ``recommend``.

    Returns:
        A sentence; none where one of them is not there.
    """
    if not {SHARED, APART} <= set(per_seed["arm"]):
        return ()
    row = _against(per_seed, [SHARED, APART], APART, test_share, labels)[SHARED]
    said = f"one network for all targets ({name_of(SHARED, labels)})"
    if row.clear:
        where = "below" if row.verdict == "better" else "above"
        found = f"{said} has an error {row.by().removeprefix('by ')} {where} that of"
    elif row.untested:
        found = f"too few seeds were run to tell {said} from"
    else:
        found = f"no difference is shown ({row.difference()}) between {said} and"
    return (f"Sharing: {found} one each ({name_of(APART, labels)}).",)


def equal_cost(
    per_seed: "pd.DataFrame",
    leaderboard: "pd.DataFrame",
    *,
    test_share: float | None = None,
    labels: Mapping[str, str] | None = None,
) -> list[str]:
    """Sentences about arms of about the same cost, for every cost beyond that of one run.

    Args:
        per_seed: see ``contrasts``.
        leaderboard: of the same runs, with a column of runs.
        test_share: see ``contrasts``.
        labels: see ``recommend``.

    Returns:
        One sentence a cost at which several arms stand; that of the least error against the others.
    """
    left, found = sorted(costs_of(leaderboard), key=lambda one: one.runs), []
    while left:
        first = left[0]
        group = [one for one in left if one.runs <= first.runs * (1 + SAME_COST)]
        left = left[len(group) :]
        if first.runs < CHEAP or len(group) < 2:
            continue
        best, *others = sorted(group, key=lambda one: one.error)
        clauses = []
        for one in others:
            own = [best.arm, one.arm]
            row = _against(per_seed, own, one.arm, test_share, labels)[best.arm]
            name = name_of(one.arm, labels)
            if row.verdict == "better":
                clauses.append(f"beats {name} {row.by()}")
            else:
                clauses.append(f"cannot be told from {name} ({row.difference()})")
        about = written(float(np.mean([one.runs for one in group]))).removesuffix(".0")
        called = name_of(best.arm, labels)
        found.append(f"At the same cost of about {about} runs, {called} {', '.join(clauses)}.")
    return found


def _better_line(
    per_seed: "pd.DataFrame",
    leaderboard: "pd.DataFrame",
    best: Cost,
    test_share: float | None,
    labels: Mapping[str, str] | None,
) -> Advice | None:
    """What to say where a reference line has the least error; None where none has."""
    rows: list[Any] = leaderboard.to_dict("records")
    lines = [row for row in rows if row["kind"] == "line" and row["error"] < best.error]
    for line in sorted(lines, key=lambda row: row["error"]):
        row = _against(per_seed, [line["arm"], best.arm], best.arm, test_share, labels)[line["arm"]]
        if row.verdict != "better" and (row.untested or row.pairs < 2):
            continue
        other = f"{name_of(best.arm, labels)}, the best of the methods asked for"
        sure = (
            f"its error is {row.by().removeprefix('by ')} below that of {other}"
            if row.verdict == "better"
            else f"it has the least error, but its distance from {other}, may be chance "
            f"({row.difference()})"
        )
        use = Cost(str(line["arm"]), float(line["error"]), 0.0)
        return _advice(use, f"Use {name_of(use.arm, labels)}.", sure, [best], labels)
    return None


def _advice(
    one: Cost, use: str, sure: str, others: Sequence[Cost], labels: Mapping[str, str] | None
) -> Advice:
    return Advice(one.arm, (use, f"How sure: {sure}.", _cost(one, others, labels)))


def _cost(one: Cost, others: Sequence[Cost], labels: Mapping[str, str] | None) -> str:
    """What an arm costs, and others where that is something else."""
    said = f"as much as training a network {_times(one)}" if one.runs else "no network is trained"
    beside = [
        f"{name_of(other.arm, labels)}: {_times(other)}"
        for other in others
        if _times(other) != _times(one)
    ]
    return f"Cost: {said}{' (' * bool(beside)}{', '.join(beside)}{')' * bool(beside)}."


def _times(one: Cost) -> str:
    number = written(one.runs).removesuffix(".0")
    return {"0": "none", "1": "once", "2": "twice"}.get(number, f"{number} times")


def _less(
    per_seed: "pd.DataFrame",
    best: Cost,
    over: Cost,
    test_share: float | None,
    labels: Mapping[str, str] | None,
) -> str:
    """By how much the best is below another, in brackets."""
    row = _against(per_seed, [best.arm, over.arm], over.arm, test_share, labels)[best.arm]
    return f" ({row.difference()})"


def _against(
    per_seed: "pd.DataFrame",
    arms: Sequence[str],
    reference: str,
    test_share: float | None,
    labels: Mapping[str, str] | None,
) -> dict[str, Contrast]:
    """Contrasts of the mean over tasks of some arms against one of them."""
    asked: Any = per_seed[per_seed["arm"].isin(list(arms))]
    found: dict[str, Contrast] = {}
    rows: list[Any] = contrasts(asked, reference, test_share=test_share).to_dict("records")
    for row in rows:
        found.setdefault(row["arm"], Contrast(row, labels))
    for contrast in found.values():
        contrast.comparisons = len(found)
    return found

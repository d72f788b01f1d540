"""What the contrasts allow to be said, and what not, in plain English."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmtl._validate import check_choice
from jaxmtl.methods.registry import WITHOUT_STEPS
from jaxmtl.statistics.paired import ALPHA
from jaxmtl.tasks import Task, kinds_differ

if TYPE_CHECKING:
    import pandas as pd

FEW_SEEDS = 10
NOT_ENOUGH = "; an interval that leaves out 0 is then not enough"

Labels = Mapping[str, str] | None
Row = Mapping[str, Any]


def sentence(contrast: "pd.Series | Row", labels: Labels = None) -> str:
    """One contrast in words.

    Args:
        contrast: a row of the frame of contrasts.
        labels: how arms are called, by name; others are called by their name, without underscores.

    Returns:
        Who beat whom and by how much, with the interval of the verdict: Nadeau's and Bengio's where
        there is one, else the bootstrap's.

    Example:
        >>> row = {"arm": "adaptive", "reference": "hard_sharing", "quantity": "overall",
        ...        "percent": -2.1, "percent_low": -3.9, "percent_high": -0.4, "seeds": 30,
        ...        "difference": -0.1, "p_nadeau_bengio": float("nan"), "verdict": "better"}
        >>> sentence(row)
        'adaptive beat hard sharing by 2.1 % (0.4 to 3.9)'
        >>> sentence(row | {"percent_high": 0.2, "verdict": "not distinguishable"})
        'adaptive could not be distinguished from hard sharing (difference -2.1 %, -3.9 to 0.2)'
    """
    return _clause(_Contrast(contrast, labels))


def describe(
    contrasts: "pd.DataFrame",
    leaderboard: "pd.DataFrame",
    labels: Labels = None,
    *,
    tasks: Sequence[Task] | None = None,
    networks: Collection[str] | None = None,
) -> list[str]:
    """What the numbers allow and what not: sentences for readers who are no statisticians.

    Args:
        contrasts: of all arms against one, from `contrasts`.
        leaderboard: of the same runs, from `leaderboard`.
        labels: how arms are called, by name; others are called by their name, without underscores.
        tasks: that were predicted, whose kinds decide what errors are; None for numbers.
        networks: names of the arms that are networks; None for all that no simpler method is
            called by.

    Returns:
        The verdicts with their numbers first, then the reservations: tasks that differ from the
        mean, few seeds, seeds that split one table anew, runs that diverged, and simple reference
        lines that do as well.

    Raises:
        ValueError: there is no contrast, or the leaderboard lacks an arm.

    Example:
        >>> import numpy as np
        >>> import pandas as pd
        >>> from jaxmtl.comparison import contrasts, leaderboard
        >>> rng = np.random.default_rng(0)
        >>> plain = rng.gamma(20, size=30)
        >>> errors = {"plain": plain, "split": plain * rng.uniform(0.9, 1.0, 30)}
        >>> per_seed = pd.DataFrame([
        ...     {"arm": arm, "kind": "arm", "seed": seed, "task": "a", "error": error,
        ...      "measure": "rmse", "value": error, "parameters": 9, "splits": 0, "seconds": 0.1,
        ...      "diverged": False}
        ...     for arm, column in errors.items() for seed, error in enumerate(column)])
        >>> describe(contrasts(per_seed, "plain"), leaderboard(per_seed))[0]
        'Over 30 seeds, split beat plain by 4.5 % (3.4 to 5.4).'
    """
    if not len(contrasts):
        raise ValueError("contrasts: expected an arm besides the reference, got none")
    board: list[Any] = leaderboard.to_dict("records")
    kinds = {row["arm"]: row["kind"] for row in board}
    # A target may be called "overall" too: an arm's first row is the mean over the targets.
    overall: dict[str, _Contrast] = {}
    single: list[_Contrast] = []
    rows: list[Any] = contrasts.to_dict("records")
    for row in rows:
        contrast = _Contrast(row, labels)
        if contrast.key in overall:
            single.append(contrast)
        else:
            check_choice("arm of the contrasts", contrast.key, tuple(kinds))
            overall[contrast.key] = contrast
    check_choice("reference of the contrasts", rows[0]["reference"], tuple(kinds))
    contests = [row for key, row in overall.items() if kinds[key] == "arm"]
    lines = [row for key, row in overall.items() if kinds[key] != "arm"]
    for family in (contests, lines):
        for row in family:
            row.comparisons = len(family)
    reference = _name(rows[0]["reference"], labels)
    num_tasks = len(single) // len(overall)
    num_seeds = max(row["seeds"] for row in board)
    parts = [
        _headline(contests, reference, num_seeds),
        _tasks_that_differ(contests, single) if num_tasks > 1 else "",
        _reading(reference, num_tasks, num_seeds, relative=kinds_differ(tasks or ())),
        *_limits(contests, num_seeds, any(row.corrected for row in overall.values())),
        _diverged(board, labels),
        *_lines(lines, board, labels, networks),
    ]
    return [part for part in parts if part]


class _Contrast:
    """A row, with the interval that belongs to its verdict."""

    def __init__(self, row: "pd.Series | Row", labels: Labels) -> None:
        values: Any = row
        self.key, self.quantity = values["arm"], values["quantity"]
        self.arm, self.reference = _name(self.key, labels), _name(values["reference"], labels)
        self.percent, self.verdict = float(values["percent"]), values["verdict"]
        self.corrected = not np.isnan(values["p_nadeau_bengio"])
        low, high = ("nb_low", "nb_high") if self.corrected else ("percent_low", "percent_high")
        self.low, self.high = float(values[low]), float(values[high])
        self.pairs = int(values["seeds"])
        self.comparisons = 1  # that its p value is adjusted for

    @property
    def clear(self) -> bool:
        return self.verdict in _VERBS

    @property
    def alike(self) -> bool:
        return self.percent == self.low == self.high == 0

    @property
    def needed(self) -> int:
        """Runs from which on a difference could pass its test."""
        return 2 if self.corrected else enough_runs(self.comparisons)

    @property
    def untested(self) -> bool:
        """Whether no difference, however large, could have passed the test."""
        return not self.clear and not self.alike and 0 < self.pairs < self.needed

    @property
    def near(self) -> bool:
        """Whether the interval leaves out 0, but the test was not passed."""
        return not self.clear and not self.untested and (self.low > 0 or self.high < 0)

    def by(self) -> str:
        """The size of a difference that has a direction."""
        sign = -1 if self.verdict == "better" else 1
        low, high = sorted((sign * self.low, sign * self.high))
        return f"by {_number(sign * self.percent)} % ({_number(low)} to {_number(high)})"

    def difference(self) -> str:
        if self.pairs == 0:
            return "no seed in which both ran through"
        if np.isnan(self.percent):
            return "no percentage of an error of 0"
        parts = [f"difference {_number(self.percent)} %"]
        if self.percent >= 100:
            parts.append(f"{_number(1 + self.percent / 100)} times the error")
        if not np.isnan(self.low):
            parts.append(f"{_number(self.low)} to {_number(self.high)}")
        elif not self.untested:
            parts.append("no interval")
        return ", ".join(parts)


# In the past tense a verb agrees with names in singular and plural.
_VERBS = {"better": "beat", "worse": "did worse than"}


def _clause(row: _Contrast) -> str:
    return _clauses([row])


def _clauses(rows: Sequence[_Contrast]) -> str:
    """One clause a verdict, best arms first."""
    rows = sorted(rows, key=lambda row: (np.isnan(row.percent), row.percent))
    found = []
    for name, verb in _VERBS.items():
        group = [row for row in rows if row.verdict == name]
        if group:
            first, *others = group
            sizes = [f"{row.arm} {row.by()}" for row in others]
            found.append(_join([f"{first.arm} {verb} {first.reference} {first.by()}", *sizes]))
    unclear = [row for row in rows if not row.clear and not row.alike]
    plain = [row for row in unclear if not row.near and not row.untested]
    if len(plain) == 1:
        (row,) = plain
        found.append(
            f"{row.arm} could not be distinguished from {row.reference} ({row.difference()})"
        )
    elif plain:
        found.append(f"{_listed(plain)} could not be distinguished from {plain[0].reference}")
    if near := [row for row in unclear if row.near]:
        found.append(f"{_listed(near)} {_came_near(near)}")
    if untested := [row for row in unclear if row.untested]:
        found.append(f"{_listed(untested)} {_not_tested(untested)}")
    alike = [row for row in rows if not row.clear and row.alike]
    if alike:
        listed = _join([row.arm for row in alike])
        found.append(f"{listed} gave exactly the errors of {alike[0].reference}")
    return "; ".join(found)


def _listed(rows: Sequence[_Contrast]) -> str:
    return _join([f"{row.arm} ({row.difference()})" for row in rows])


def _came_near(rows: Sequence[_Contrast]) -> str:
    """Why an interval without 0 is no verdict."""
    have = "has an interval that leaves" if len(rows) == 1 else "have intervals that leave"
    number = rows[0].comparisons
    strict = f" that allows for {number} comparisons" if number > 1 else ""
    return f"{have} out 0, but did not pass the test against {rows[0].reference}{strict}"


def _not_tested(rows: Sequence[_Contrast]) -> str:
    """Why there is no verdict, whatever the numbers."""
    pairs = sorted({row.pairs for row in rows})
    said = f"could not be tested against {rows[0].reference}: "
    if pairs == [1]:
        return f"{said}one run is too few"
    runs = f"{pairs[0]}" if len(pairs) == 1 else f"{pairs[0]} to {pairs[-1]}"
    return f"{said}{runs} runs are too few, it takes at least {rows[0].needed}"


def _headline(contests: Sequence[_Contrast], reference: str, num_seeds: int) -> str:
    over = f"Over {num_seeds} seeds" if num_seeds > 1 else "With one seed"
    if not contests:
        return f"{over}, {reference} was compared with reference lines only."
    return f"{over}, {_clauses(contests)}."


def _reading(reference: str, num_tasks: int, num_seeds: int, *, relative: bool) -> str:
    mean = f" (mean over the {num_tasks} tasks)" if num_tasks > 1 else ""
    if relative:
        mean = (
            f" (mean over the {num_tasks} tasks, each relative to the error of the best constant "
            "prediction)"
        )
    intervals = "; in brackets, 95 % intervals" if num_seeds > 1 else ""
    return f"Percentages are of the test error of {reference}{mean}{intervals}."


def _tasks_that_differ(contests: Sequence[_Contrast], tasks: Sequence[_Contrast]) -> str:
    """Verdicts on single tasks that the mean does not have."""
    verdicts = {row.key: row.verdict for row in contests}
    found = [
        f"on {row.quantity} {_clause(row)}"
        for row in tasks
        if row.key in verdicts and row.clear and row.verdict != verdicts[row.key]
    ]
    return f"On single tasks the verdict differs: {'; '.join(found)}." if found else ""


def _limits(contests: Sequence[_Contrast], num_seeds: int, resplit: bool) -> list[str]:
    said = []
    ends = [abs(end) for row in contests if not row.clear for end in (row.low, row.high)]
    widest = max((end for end in ends if np.isfinite(end)), default=0.0)
    if widest > 0:
        said.append(
            "Not distinguishable does not mean equal: the intervals leave room for differences of "
            f"up to {_number(widest)} %."
        )
    pairs = max((row.pairs for row in contests), default=num_seeds)
    said.append(_few_seeds(pairs, len(contests), resplit))
    if len(contests) > 1 and pairs > 1:
        strict = (
            f"With {len(contests)} comparisons each has to pass a stricter test (Holm's), so that "
            "a lucky one among many does not count"
        )
        near = any(row.low > 0 or row.high < 0 for row in contests if not row.clear)
        said.append(f"{strict}{NOT_ENOUGH if near else ''}.")
    if resplit:
        said.append(
            "The seeds split one table anew, so their runs share rows and agree more than new data "
            "would: intervals and tests are widened for it (Nadeau and Bengio)."
        )
    elif num_seeds > 1:
        said.append(
            "The intervals cover what changed from seed to seed; whether other data would give the "
            "same answer they do not say."
        )
    return said


def _few_seeds(pairs: int, comparisons: int, resplit: bool) -> str:
    if pairs <= 1:
        return "Fewer than two seeds can be compared: no interval and no verdict is possible."
    if not resplit and pairs < enough_runs(comparisons):
        among = f" among {comparisons} comparisons" if comparisons > 1 else ""
        return f"With {pairs} seeds no difference{among}, however large, could pass the test."
    return f"{pairs} seeds are few: one odd run moves these numbers." if pairs < FEW_SEEDS else ""


def enough_runs(comparisons: int) -> int:
    """Pairs of runs from which on a difference can pass the test.

    The smallest p of the signed-rank test, 2 / 2^n, has to pass Holm's first step.

    Args:
        comparisons: that p values are adjusted for.

    Returns:
        The number of pairs.

    Example:
        >>> enough_runs(1), enough_runs(8)
        (6, 9)
    """
    return int(np.floor(np.log2(2 * max(comparisons, 1) / ALPHA))) + 1


def _diverged(board: Sequence[Row], labels: Labels) -> str:
    lost = [
        f"{row['diverged']} of {row['seeds']} of {_name(row['arm'], labels)}"
        for row in board
        if row["diverged"]
    ]
    if not lost:
        return ""
    return (
        f"Runs that diverged are left out with their seed ({_join(lost)}), which flatters the arm "
        "that they belong to."
    )


def _lines(
    lines: Sequence[_Contrast],
    board: Sequence[Row],
    labels: Labels,
    given: Collection[str] | None,
) -> list[str]:
    if not lines:
        return []
    said = [f"Of the reference lines, which are no contestants, {_clauses(lines)}."]
    errors = {
        kind: {
            row["arm"]: row["error"]
            for row in board
            if (row["kind"] == "arm") == kind and row["error"] >= 0  # NaN where all diverged
        }
        for kind in (True, False)
    }
    steps = {
        arm for arm in errors[True] if (arm not in WITHOUT_STEPS if given is None else arm in given)
    }
    networks = {arm: error for arm, error in errors[True].items() if arm in steps}
    simple = errors[False] | {arm: e for arm, e in errors[True].items() if arm not in steps}
    best, better = min(networks.values(), default=np.inf), min(simple.values(), default=np.inf)
    as_good = [_name(arm, labels) for arm, error in simple.items() if error <= best]
    if as_good:
        said.append(f"No network here has a lower mean error than {_join(as_good)}.")
    elif networks and simple and better > 0:
        network = _name(min(networks, key=lambda arm: networks[arm]), labels)
        line = _name(min(simple, key=lambda arm: simple[arm]), labels)
        below = _number(100 * (1 - best / better))
        others = "all reference lines" if len(simple) > 1 else "the reference line"
        said.append(
            f"The best network here, {network}, has a lower mean error than {others}: {below} % "
            f"below {line}."
        )
    return said


def _name(arm: str, labels: Labels) -> str:
    return (labels or {}).get(arm, arm.replace("_", " "))


def _join(parts: Sequence[str]) -> str:
    return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else parts[0]


def _number(value: float) -> str:
    """One decimal; none from 100 on, and where that would be 0, the first digit that is not."""
    if abs(value) >= 99.95:
        return f"{value:.0f}"
    if 0 < abs(value) < 0.05:
        return np.format_float_positional(value, precision=1, fractional=False, trim="-")
    return f"{value + 0.0:.1f}"

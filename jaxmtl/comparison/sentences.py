"""What the contrasts allow to be said, and what not, in plain English."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmtl._validate import check_choice
from jaxmtl.comparison.clauses import (
    Contrast,
    Labels,
    Row,
    clause,
    clauses,
    enough_runs,
    joined,
    name_of,
    written,
)
from jaxmtl.methods.registry import WITHOUT_STEPS
from jaxmtl.methods.study.arms import JOINT
from jaxmtl.methods.study.linear_tuned import LINEAR_TUNED, weight_design
from jaxmtl.tasks import Task, kinds_differ
from jaxmtl.training.phased.combining import aggregators, weightings

if TYPE_CHECKING:
    import pandas as pd

FEW_SEEDS = 10
NOT_ENOUGH = "; an interval that leaves out 0 is then not enough"


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
    return clause(Contrast(contrast, labels))


def describe(
    contrasts: "pd.DataFrame",
    leaderboard: "pd.DataFrame",
    labels: Labels = None,
    *,
    tasks: Sequence[Task] | None = None,
    networks: Collection[str] | None = None,
    measure: str = "",
) -> list[str]:
    """What the numbers allow and what not: sentences for readers who are no statisticians.

    Args:
        contrasts: of all arms against one, from `contrasts`.
        leaderboard: of the same runs, from `leaderboard`.
        labels: how arms are called, by name; others are called by their name, without underscores.
        tasks: that were predicted, whose kinds decide what errors are; None for numbers.
        networks: names of the arms that are networks; None for all that no simpler method is
            called by.
        measure: name of the measure of one's own that is compared; empty for test errors.

    Returns:
        The verdicts with their numbers first, then the reservations: tasks that differ from the
        mean, few seeds, seeds that split one table anew, runs that diverged, tuned fixed weights of
        the losses that do as well as methods that weigh tasks, with what either costs, and simple
        reference lines that do as well.

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
    overall: dict[str, Contrast] = {}
    single: list[Contrast] = []
    rows: list[Any] = contrasts.to_dict("records")
    for row in rows:
        contrast = Contrast(row, labels)
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
    reference = name_of(rows[0]["reference"], labels)
    num_tasks = len(single) // len(overall)
    num_seeds = max(row["seeds"] for row in board)
    of = measure or "test error"
    if measure and contests and all(row.absolute for row in contests):
        of = ""
    parts = [
        _headline(contests, reference, num_seeds),
        _tasks_that_differ(contests, single) if num_tasks > 1 else "",
        _reading(reference, num_tasks, num_seeds, of, relative=kinds_differ(tasks or ())),
        *_limits(contests, num_seeds, any(row.corrected for row in overall.values())),
        _diverged(board, labels, measure),
        _tuned(board, num_tasks, labels),
        *_lines(lines, board, labels, networks),
    ]
    return [part for part in parts if part]


def _headline(contests: Sequence[Contrast], reference: str, num_seeds: int) -> str:
    over = f"Over {num_seeds} seeds" if num_seeds > 1 else "With one seed"
    if not contests:
        return f"{over}, {reference} was compared with reference lines only."
    return f"{over}, {clauses(contests)}."


def _reading(reference: str, num_tasks: int, num_seeds: int, of: str, *, relative: bool) -> str:
    mean = f" (mean over the {num_tasks} tasks)" if num_tasks > 1 else ""
    if relative:
        mean = (
            f" (mean over the {num_tasks} tasks, each relative to the error of the best constant "
            "prediction)"
        )
    intervals = "; in brackets, 95 % intervals" if num_seeds > 1 else ""
    if not of:
        return f"Differences are those of the measure itself{mean}{intervals}."
    return f"Percentages are of the {of} of {reference}{mean}{intervals}."


def _tasks_that_differ(contests: Sequence[Contrast], tasks: Sequence[Contrast]) -> str:
    """Verdicts on single tasks that the mean does not have."""
    verdicts = {row.key: row.verdict for row in contests}
    found = [
        f"on {row.quantity} {clause(row)}"
        for row in tasks
        if row.key in verdicts and row.clear and row.verdict != verdicts[row.key]
    ]
    return f"On single tasks the verdict differs: {'; '.join(found)}." if found else ""


def _limits(contests: Sequence[Contrast], num_seeds: int, resplit: bool) -> list[str]:
    said = []
    ends = [(abs(end), row) for row in contests if not row.clear for end in (row.low, row.high)]
    ends = [(end, row) for end, row in ends if np.isfinite(end) and end > 0]
    in_percent = [pair for pair in ends if not pair[1].absolute]
    if ends:
        widest, row = max(in_percent or ends, key=lambda pair: pair[0])
        said.append(
            "Not distinguishable does not mean equal: the intervals leave room for differences of "
            f"up to {row.size(widest)}."
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


def _diverged(board: Sequence[Row], labels: Labels, measure: str) -> str:
    lost = [
        f"{row['diverged']} of {row['seeds']} of {name_of(row['arm'], labels)}"
        for row in board
        if row["diverged"]
    ]
    if not lost:
        return ""
    who = "Results that are not finite" if measure else "Runs that diverged"
    return (
        f"{who} are left out with their seed ({joined(lost)}), which flatters the arm "
        "that they belong to."
    )


def _tuned(board: Sequence[Row], num_tasks: int, labels: Labels) -> str:
    """What methods that weigh tasks anew at every step are worth beside tuned fixed weights."""
    found = {row["arm"]: row["error"] for row in board if row["error"] >= 0}  # NaN: all diverged
    tuned, gradients = found.get(LINEAR_TUNED.name), set(aggregators())
    methods = {arm: arm.partition(JOINT)[2].partition("(")[0] for arm in found}
    methods = {arm: of for arm, of in methods.items() if of in gradients | set(weightings())}
    if tuned is None or not methods:
        return ""
    fixed = f"the fixed weights that validation rows chose ({name_of(LINEAR_TUNED.name, labels)})"
    better = sorted((arm for arm in methods if found[arm] < tuned), key=lambda arm: found[arm])
    if not better:
        said = f"No arm that weighs tasks anew at every step has a lower mean error than {fixed}"
    else:
        said = (
            f"Of {len(methods)} arms that weigh tasks anew at every step, {len(better)} "
            f"{'has' if len(better) == 1 else 'have'} a lower mean error than {fixed}, the lowest "
            f"{name_of(better[0], labels)}"
        )
    runs = len(weight_design(num_tasks)) if num_tasks > 1 else 0
    cost = f"; these took {runs} runs"
    if gradients & set(methods.values()):
        cost += (
            f", and a step on the gradients of {num_tasks} tasks takes the forward and backward "
            f"passes of {(1 + 2 * num_tasks) / 3:.2g} on their sum"
        )
    return f"{said}{cost}."


def _lines(
    lines: Sequence[Contrast],
    board: Sequence[Row],
    labels: Labels,
    given: Collection[str] | None,
) -> list[str]:
    if not lines:
        return []
    said = [f"Of the reference lines, which are no contestants, {clauses(lines)}."]
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
    as_good = [name_of(arm, labels) for arm, error in simple.items() if error <= best]
    if as_good:
        said.append(f"No network here has a lower mean error than {joined(as_good)}.")
    elif networks and simple and better > 0:
        network = name_of(min(networks, key=lambda arm: networks[arm]), labels)
        line = name_of(min(simple, key=lambda arm: simple[arm]), labels)
        below = written(100 * (1 - best / better))
        others = "all reference lines" if len(simple) > 1 else "the reference line"
        said.append(
            f"The best network here, {network}, has a lower mean error than {others}: {below} % "
            f"below {line}."
        )
    return said

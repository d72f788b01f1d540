"""What the pictures and tables of a comparison show, taken out of its arrays and data frames."""

import itertools
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from jaxmtl.comparison import PerSeed
from jaxmtl.comparison.per_seed import OVERALL
from jaxmtl.report.page.markup import clean
from jaxmtl.report.pictures.labels import LATIN, Labels, find_fonts, make_labels

LINE = "line"
LONGEST_ARM, LONGEST_TASK = 34, 28  # in cells, of which a Chinese character takes two


class Difference(NamedTuple):
    """An arm against the reference, in % of the reference's mean error.

    Attributes:
        arm: its name.
        kind: "arm", or "line" for one that is no contestant.
        percent: mean over the seeds; NaN if no seed has both errors.
        low: end of the 95 % interval; NaN where there is none.
        high: the other end.
        corrected: whether the interval is that of Nadeau and Bengio, else it is the bootstrap's.
        verdict: "better", "worse" or "not distinguishable".
        pairs: seeds in which neither diverged.
        seeds: their paired differences; none where the reference has no error to divide by.
        own: whether they are of a measure of one's own, which may be 0 or below.
    """

    arm: str
    kind: str
    percent: float
    low: float
    high: float
    corrected: bool
    verdict: str
    pairs: int
    seeds: Float[np.ndarray, " seeds"]
    own: bool = False

    @property
    def absence(self) -> str:
        """Why there is no percentage; empty if there is one."""
        if np.isfinite(self.percent):
            return ""
        if self.own:
            return "no percentage" if self.pairs else "not finite"
        return "the reference has no error" if self.pairs else "diverged"


class Names(NamedTuple):
    """How names are written in a picture.

    Attributes:
        arms: text by name of the arm.
        tasks: text by name of the target.
        labels: fonts, and the note on names that no font has.
        replaced: name, shortened, by the text that stands for it.
    """

    arms: dict[str, str]
    tasks: dict[str, str]
    labels: Labels
    replaced: dict[str, str]


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame, each by the names of its columns.

    Args:
        frame: any.

    Returns:
        One element a row.

    Example:
        >>> rows_of(pd.DataFrame({"arm": ["a", "b"]}))
        [{'arm': 'a'}, {'arm': 'b'}]
    """
    return [
        {str(key): value for key, value in row.items()} for row in frame.to_dict(orient="records")
    ]


def number(value: Any) -> float:
    """A cell of a frame as a number.

    Args:
        value: a number, or a mark of missing values.

    Returns:
        NaN where there is none.

    Example:
        >>> number(pd.NA), number(46)
        (nan, 46.0)
    """
    return np.nan if pd.isna(value) else float(value)


def label_arms(arms: Iterable[str], labels: Mapping[str, str] | None = None) -> dict[str, str]:
    """What arms are called for a reader.

    Args:
        arms: their names.
        labels: what some or all are called; others are called by their name, without underscores.

    Returns:
        Label by name. If two arms would be called the same, all keep their names.

    Example:
        >>> label_arms(["hard_sharing", "ridge"], {"ridge": "ridge regression"})
        {'hard_sharing': 'hard sharing', 'ridge': 'ridge regression'}
    """
    shown = {arm: (labels or {}).get(arm, arm.replace("_", " ")) for arm in arms}
    return shown if len(set(shown.values())) == len(shown) else {arm: arm for arm in shown}


def relabel(frame: pd.DataFrame, shown: Mapping[str, str]) -> pd.DataFrame:
    """A frame with labels in place of the names of arms.

    Args:
        frame: with columns arm and, of contrasts, reference; or empty.
        shown: label by name.

    Returns:
        A new frame.

    Example:
        >>> rows_of(relabel(pd.DataFrame({"arm": ["a_b"]}), {"a_b": "a b"}))
        [{'arm': 'a b'}]
    """
    columns = [column for column in ("arm", "reference") if column in frame.columns]
    return frame.assign(**{column: [shown[arm] for arm in frame[column]] for column in columns})


def relabel_runs(runs: PerSeed, shown: Mapping[str, str]) -> PerSeed:
    """Runs with labels in place of the names of arms.

    Args:
        runs: errors of every arm, seed and task.
        shown: label by name.

    Returns:
        The same errors.

    Example:
        >>> from jaxmtl.comparison import read_per_seed
        >>> frame = pd.DataFrame({"arm": ["a_b"], "kind": "arm", "seed": 0, "task": "t",
        ...                       "error": 0.2})
        >>> relabel_runs(read_per_seed(frame), {"a_b": "a b"}).arms
        ('a b',)
    """
    return runs._replace(arms=tuple(shown[arm] for arm in runs.arms))


def contrast_of(
    contrasts: pd.DataFrame, arm: str, task: str | None = None
) -> dict[str, Any] | None:
    """The row of a contrast.

    Args:
        contrasts: one row an arm and quantity.
        arm: its name.
        task: name of the target; None for the mean over targets.

    Returns:
        The row, or None where the frame has none.

    Example:
        >>> frame = pd.DataFrame({"arm": ["a"], "quantity": ["overall"], "percent": [-2.0]})
        >>> contrast_of(frame, "a")["percent"]
        -2.0
    """
    quantity = OVERALL if task is None else task
    rows = [row for row in rows_of(contrasts) if row["arm"] == arm and row["quantity"] == quantity]
    # A target may be called "overall" too: the mean over targets comes first.
    if not rows or (task == OVERALL and len(rows) < 2):
        return None
    return rows[0 if task is None else -1]


def differences(
    runs: PerSeed, contrasts: pd.DataFrame, reference: str, task: str | None = None
) -> list[Difference]:
    """Every arm against the reference: contestants best first, then lines best first.

    The order is that of the overall differences, whichever quantity is asked for.

    Args:
        runs: errors of every arm, seed and task.
        contrasts: one row an arm and quantity.
        reference: name of the arm that others are compared with.
        task: name of the target; None for the mean over targets.

    Returns:
        One element an arm other than the reference; arms without any contrast come last.

    Example:
        >>> from jaxmtl.comparison import read_per_seed
        >>> per_seed = pd.DataFrame({
        ...     "arm": ["plain", "plain", "split", "split"], "kind": "arm",
        ...     "seed": [0, 1, 0, 1], "task": "a", "error": [2.0, 2.0, 1.0, 2.0]})
        >>> contrasts = pd.DataFrame({
        ...     "arm": ["split"], "quantity": ["overall"], "percent": [-25.0],
        ...     "percent_low": [-50.0], "percent_high": [0.0], "nb_low": [float("nan")],
        ...     "nb_high": [float("nan")], "verdict": ["not distinguishable"]})
        >>> [difference] = differences(read_per_seed(per_seed), contrasts, "plain")
        >>> difference.low, difference.seeds.tolist()
        (-50.0, [-50.0, 0.0])
    """
    errors = runs.overall if task is None else runs.error[:, :, runs.tasks.index(task)]
    base = errors[runs.arms.index(reference)]
    found = []
    for arm, contests, error in zip(runs.arms, runs.contests, errors, strict=True):
        if arm == reference:
            continue
        kind = "arm" if contests else LINE
        overall = contrast_of(contrasts, arm)
        place = np.nan if overall is None else number(overall["percent"])
        order = (kind == LINE, np.isnan(place), 0.0 if np.isnan(place) else runs.sign * place)
        row = overall if task is None else contrast_of(contrasts, arm, task)
        one = _difference(arm, kind, row, *_paired(error, base))
        found.append((order, one._replace(own=bool(runs.better))))
    return [difference for _, difference in sorted(found, key=lambda pair: pair[0])]


def name_arms_and_tasks(arms: Sequence[str], tasks: Sequence[str]) -> Names:
    """Texts that the installed fonts can show; "arm 1", "task 1" stand in for others.

    Args:
        arms: names of the arms.
        tasks: names of the targets.

    Returns:
        The texts, and which name each stand-in stands for.

    Example:
        >>> name_arms_and_tasks(["adaptive"], ["PM2.5"])[:2]
        ({'adaptive': 'adaptive'}, {'PM2.5': 'PM2.5'})
    """
    labels = make_labels([], tasks)
    replaced = {
        text: _shorten(name, LONGEST_TASK)
        for number, (text, name) in enumerate(zip(labels.tasks, tasks, strict=True), 1)
        if labels.note and text == f"task {number}" and text != name
    }
    shown = {}
    for number, arm in enumerate(arms, 1):
        if find_fonts(arm) == (LATIN,):
            shown[arm] = _shorten(arm, LONGEST_ARM).replace("$", r"\$")
        else:
            shown[arm] = f"arm {number}"
            replaced[shown[arm]] = _shorten(arm, LONGEST_ARM)
    note = ""
    if replaced:
        numbered = " and ".join(
            kind for kind in ("tasks", "arms") if any(t.startswith(kind[:-1]) for t in replaced)
        )
        note = f"no installed font shows the names of the {numbered}: numbered as in per_seed.csv"
    tasks_shown = dict(zip(tasks, labels.tasks, strict=True))
    return Names(shown, tasks_shown, labels._replace(note=note), replaced)


def _paired(
    error: Float[np.ndarray, " seeds"], base: Float[np.ndarray, " seeds"]
) -> tuple[int, Float[np.ndarray, " pairs"]]:
    """Number of pairs, and the difference of each; their mean is that of the mean errors."""
    both = ~(np.isnan(error) | np.isnan(base))
    mean = float(base[both].mean()) if both.any() else 0.0
    return int(both.sum()), 100 * (error - base)[both] / mean if mean else np.zeros(0)


def _difference(
    arm: str, kind: str, row: dict[str, Any] | None, pairs: int, seeds: np.ndarray
) -> Difference:
    if row is None:
        mean = float(seeds.mean()) if len(seeds) else np.nan
        return Difference(arm, kind, mean, np.nan, np.nan, False, "", pairs, seeds)
    corrected = bool(np.isfinite([number(row["nb_low"]), number(row["nb_high"])]).all())
    # Where the seeds re-split one table, the bootstrap's interval would be too narrow.
    resplit = corrected or np.isfinite(number(row.get("p_nadeau_bengio", np.nan)))
    low, high = ("nb_low", "nb_high") if resplit else ("percent_low", "percent_high")
    return Difference(
        arm=arm,
        kind=kind,
        percent=number(row["percent"]),
        low=number(row[low]),
        high=number(row[high]),
        corrected=corrected,
        verdict=row["verdict"] if isinstance(row["verdict"], str) else "",
        pairs=pairs,
        seeds=seeds,
    )


def _shorten(name: str, longest: int) -> str:
    """A name on one line, and not too wide for its place in a picture."""
    name = " ".join(clean(name).split())
    widths = [1 + (unicodedata.east_asian_width(c) in "WF") for c in name]
    if sum(widths) <= longest:
        return name
    kept = sum(total < longest for total in itertools.accumulate(widths))
    return f"{name[:kept]}…"

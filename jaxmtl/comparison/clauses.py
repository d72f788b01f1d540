"""One contrast in words, or several with one verdict."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmtl.statistics.paired import ALPHA

if TYPE_CHECKING:
    import pandas as pd

Labels = Mapping[str, str] | None
Row = Mapping[str, Any]


class Contrast:
    """A row, with the interval that belongs to its verdict."""

    def __init__(self, row: "pd.Series | Row", labels: Labels) -> None:
        """Reads the row."""
        values: Any = row
        self.key, self.quantity = values["arm"], values["quantity"]
        self.arm, self.reference = name_of(self.key, labels), name_of(values["reference"], labels)
        self.percent, self.verdict = float(values["percent"]), values["verdict"]
        self.corrected = not np.isnan(values["p_nadeau_bengio"])
        low, high = ("nb_low", "nb_high") if self.corrected else ("percent_low", "percent_high")
        self.low, self.high = float(values[low]), float(values[high])
        self.pairs = int(values["seeds"])
        better = values.get("better", "")
        self.own = bool(better)
        self.sign = -1 if better == "higher" else 1
        # Of a measure of one's own that may be 0 or below, no percentage can be taken.
        known = not np.isnan(values["difference_low"]) if self.own else False
        self.absolute = self.own and bool(np.isnan(self.percent) or (np.isnan(self.low) and known))
        if self.absolute:
            ends = (values["difference"], values["difference_low"], values["difference_high"])
            self.percent, self.low, self.high = map(float, ends)
        self.comparisons = 1  # that its p value is adjusted for

    @property
    def clear(self) -> bool:
        """Whether one is better."""
        return self.verdict in _VERBS

    @property
    def alike(self) -> bool:
        """Whether nothing differs in any run."""
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
        sign = -self.sign if self.verdict == "better" else self.sign
        low, high = sorted((sign * self.low, sign * self.high))
        return f"by {self.size(sign * self.percent)} ({self.write(low)} to {self.write(high)})"

    def write(self, value: float) -> str:
        """A number, without its unit."""
        return f"{value + 0.0:.3g}" if self.absolute else written(value)

    def size(self, value: float) -> str:
        """A number with its unit."""
        return self.write(value) + " %" * (not self.absolute)

    def difference(self) -> str:
        """The size of a difference without a verdict, or why there is none."""
        if self.pairs == 0:
            return "no seed in which both ran through"
        if np.isnan(self.percent):
            return "no percentage of an error of 0"
        parts = [f"difference {self.size(self.percent)}"]
        if self.percent >= 100 and not self.absolute and self.sign > 0:
            parts.append(f"{written(1 + self.percent / 100)} times the error")
        if not np.isnan(self.low):
            parts.append(f"{self.write(self.low)} to {self.write(self.high)}")
        elif not self.untested:
            parts.append("no interval")
        return ", ".join(parts)


# In the past tense a verb agrees with names in singular and plural.
_VERBS = {"better": "beat", "worse": "did worse than"}


def clause(row: Contrast) -> str:
    """One contrast in words."""
    return clauses([row])


def clauses(rows: Sequence[Contrast]) -> str:
    """One clause a verdict, best arms first."""
    rows = sorted(rows, key=lambda row: (np.isnan(row.percent), row.sign * row.percent))
    found = []
    for name, verb in _VERBS.items():
        group = [row for row in rows if row.verdict == name]
        if group:
            first, *others = group
            sizes = [f"{row.arm} {row.by()}" for row in others]
            found.append(joined([f"{first.arm} {verb} {first.reference} {first.by()}", *sizes]))
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
        listed = joined([row.arm for row in alike])
        what = "errors" if not any(row.own for row in alike) else "results"
        found.append(f"{listed} gave exactly the {what} of {alike[0].reference}")
    return "; ".join(found)


def _listed(rows: Sequence[Contrast]) -> str:
    return joined([f"{row.arm} ({row.difference()})" for row in rows])


def _came_near(rows: Sequence[Contrast]) -> str:
    """Why an interval without 0 is no verdict."""
    have = "has an interval that leaves" if len(rows) == 1 else "have intervals that leave"
    number = rows[0].comparisons
    strict = f" that allows for {number} comparisons" if number > 1 else ""
    return f"{have} out 0, but did not pass the test against {rows[0].reference}{strict}"


def _not_tested(rows: Sequence[Contrast]) -> str:
    """Why there is no verdict, whatever the numbers."""
    pairs = sorted({row.pairs for row in rows})
    said = f"could not be tested against {rows[0].reference}: "
    if pairs == [1]:
        return f"{said}one run is too few"
    runs = f"{pairs[0]}" if len(pairs) == 1 else f"{pairs[0]} to {pairs[-1]}"
    return f"{said}{runs} runs are too few, it takes at least {rows[0].needed}"


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


def name_of(arm: str, labels: Labels) -> str:
    """What an arm is called: by its label, else by its name without underscores."""
    return (labels or {}).get(arm, arm.replace("_", " "))


def joined(parts: Sequence[str]) -> str:
    """Parts with commas and an "and"."""
    return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else parts[0]


def written(value: float) -> str:
    """One decimal; none from 100 on, and where that would be 0, the first digit that is not."""
    if abs(value) >= 99.95:
        return f"{value:.0f}"
    if 0 < abs(value) < 0.05:
        return np.format_float_positional(value, precision=1, fractional=False, trim="-")
    return f"{value + 0.0:.1f}"

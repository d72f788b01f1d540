"""Whether rows to predict come from other conditions than those that were learned from.

Of a column of numbers at most 99 quantiles are kept, none of which is a row's own value but where
many rows share it; of a category how often its most frequent levels come. Nothing else of the rows
leaves with the run. Dates are not compared: rows to predict are later as a rule.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from jaxtyping import Float, Int
from msgspec import Meta, Struct

from jaxmtl.data import CellTable, Columns, TableError
from jaxmtl.data.typed import levels_of

MOST_QUANTILES, LEAST_QUANTILES, ROWS_OF_A_QUANTILE = 99, 9, 4
MOST_LEVELS = 100
MOST_ROWS = 100_000  # that quantiles are taken from
FEWEST_ROWS = 20  # to predict, below which nothing is said
LARGE = 0.15  # of the rows lie elsewhere: less is met where nothing has changed
DOUBT = 0.05  # of a note where nothing has changed, over all columns
EXPECTED = 5  # rows of a level, below which levels are taken together
MOST_NAMED = 3
GAP, OTHERS = None, ""  # a missing level, and all that are not kept

Count = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]


class NumbersLearned(Struct, tag_field="kind", tag="number"):
    """How the numbers of a column were distributed.

    Attributes:
        name: of the column.
        rows: that were learned from.
        missing: of these, rows without a number.
        values: quantiles, ascending.
        below: share of the known numbers that are less than each.
        upto: share that are not greater.

    Example:
        >>> NumbersLearned("CO", 4, 0, [1.5], [0.5], [0.5]).upto
        [0.5]
    """

    name: str
    rows: Annotated[int, Meta(ge=1)]
    missing: Count
    values: Annotated[list[float], Meta(max_length=MOST_QUANTILES)]
    below: list[Share]
    upto: list[Share]

    def __post_init__(self) -> None:
        """Checks what a file says."""
        if not len(self.values) == len(self.below) == len(self.upto):
            raise ValueError(
                f"{self.name}: expected shares of {len(self.values)} quantiles, got "
                f"{len(self.below)} below and {len(self.upto)} up to them"
            )
        if self.missing > self.rows:
            raise ValueError(f"{self.name}: expected at most {self.rows} gaps, got {self.missing}")


class LevelsLearned(Struct, tag_field="kind", tag="category"):
    """How often the levels of a category came.

    Attributes:
        name: of the column.
        rows: that were learned from.
        missing: of these, rows without a level.
        levels: the most frequent ones.
        counts: rows of each.

    Example:
        >>> LevelsLearned("city", 4, 0, ["A"], [4]).counts
        [4]
    """

    name: str
    rows: Annotated[int, Meta(ge=1)]
    missing: Count
    levels: Annotated[list[str], Meta(max_length=MOST_LEVELS)]
    counts: list[Count]

    def __post_init__(self) -> None:
        """Checks what a file says."""
        if len(self.counts) != len(self.levels):
            raise ValueError(
                f"{self.name}: expected counts of {len(self.levels)} levels, got {len(self.counts)}"
            )
        if (together := self.missing + sum(self.counts)) > self.rows:
            raise ValueError(
                f"{self.name}: expected at most {self.rows} rows in all, got {together}"
            )


ColumnLearned = NumbersLearned | LevelsLearned


class Drifted(NamedTuple):
    """How a column differs from what was learned from.

    Attributes:
        column: its name.
        distance: share of the rows that lie elsewhere, at least.
        p: how likely that is where nothing has changed.
        words: where the difference is largest.

    Example:
        >>> Drifted("CO", 0.3, 0.001, "missing in 30 % of rows, in 0 %").distance
        0.3
    """

    column: str
    distance: float
    p: float
    words: str


def learned_columns(
    table: CellTable, columns: Columns, rows: Int[np.ndarray, " learned"]
) -> list[ColumnLearned]:
    """What is kept of the rows that were learned from.

    Args:
        table: of cells.
        columns: what they are.
        rows: places in the table.

    Returns:
        One a column of numbers and a category.

    Example:
        >>> from jaxmtl.data import infer_columns, table_of_cells
        >>> table = table_of_cells({"CO": list(range(39)), "O3": [*range(19), *range(20)]})
        >>> found, = learned_columns(table, infer_columns(table, targets=["O3"]), np.arange(39))
        >>> found.values[4], round(found.upto[4], 3)
        (19.0, 0.513)
    """
    if len(rows) > MOST_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_ROWS, replace=False))
    found: list[ColumnLearned] = []
    for column in columns.columns:
        if column.kind == "number":
            found.append(_of_numbers(column.name, table.numbers(column.name)[rows]))
        elif column.kind == "category":
            levels = levels_of(table, column.name)
            counts = Counter(levels[i] for i in rows.tolist())
            missing = counts.pop(GAP, 0)
            kept = sorted(counts, key=lambda level: (-counts[level], str(level)))[:MOST_LEVELS]
            found.append(
                LevelsLearned(
                    name=column.name,
                    rows=len(rows),
                    missing=missing,
                    levels=list(map(str, kept)),
                    counts=[counts[level] for level in kept],
                )
            )
    return found


def _of_numbers(name: str, x: Float[np.ndarray, " rows"]) -> NumbersLearned:
    known = np.sort(x[~np.isnan(x)])
    values = np.zeros(0)
    if len(known):
        number = len(known) // ROWS_OF_A_QUANTILE
        number = min(max(number, LEAST_QUANTILES), MOST_QUANTILES)
        shares = np.arange(1, number + 1) / (number + 1)
        values = 2 * np.quantile(known / 2, shares)  # of halves, which do not overflow
        values = np.unique([float(f"{value:.9g}") for value in values.tolist()])
    below, upto = (np.searchsorted(known, values, side) for side in ("left", "right"))
    number = max(len(known), 1)
    return NumbersLearned(
        name=name,
        rows=len(x),
        missing=len(x) - len(known),
        values=values.tolist(),
        below=(below / number).tolist(),
        upto=(upto / number).tolist(),
    )


def distributions_of(config: Mapping[str, Any]) -> list[ColumnLearned]:
    """What a run has kept of the rows that it learned from.

    Args:
        config: contents of its ``config.json``.

    Returns:
        One a column; none of a run of an older version.

    Example:
        >>> distributions_of({})
        []
    """
    return msgspec.convert(config.get("distributions", []), list[ColumnLearned])


def compare_columns(learned: Sequence[ColumnLearned], table: CellTable) -> list[Drifted]:
    """How far the columns of a table are from what was learned from.

    Args:
        learned: what is kept of that.
        table: with these columns.

    Returns:
        One a column, the farthest first. Of numbers the distance is the largest difference of the
        cumulative shares at the quantiles kept (Kolmogorov and Smirnov), a gap being less than any
        number; of levels it is the total variation.

    Raises:
        TableError: a column is not there, or a cell is not of its kind.

    Example:
        >>> from jaxmtl.data import table_of_cells
        >>> learned = [NumbersLearned("CO", 100, 0, [5.0], [0.5], [0.5])]
        >>> found, = compare_columns(learned, table_of_cells({"CO": [6.0] * 30}))
        >>> found.distance, found.words
        (0.5, '5 or less in 0 % of rows, in 50 % of those learned from')
    """
    lacking = [one.name for one in learned if one.name not in table.columns]
    if lacking:
        raise TableError(
            f"{table.source}: expected the columns that the model learned from, got none called "
            f"{', '.join(map(repr, lacking))}; name the columns as then"
        )
    found = [
        _numbers_drifted(one, table.numbers(one.name))
        if isinstance(one, NumbersLearned)
        else _levels_drifted(one, levels_of(table, one.name))
        for one in learned
    ]
    return sorted(found, key=lambda one: -one.distance)


def _numbers_drifted(learned: NumbersLearned, x: Float[np.ndarray, " rows"]) -> Drifted:
    from scipy.special import kolmogorov

    known, values = np.sort(x[~np.isnan(x)]), np.array(learned.values)
    gaps = learned.missing / learned.rows, 1 - len(known) / len(x)
    now = np.stack([np.searchsorted(known, values, "right"), np.searchsorted(known, values)])
    # Shares of all rows, gaps first.
    shares = (
        gaps[0] + (1 - gaps[0]) * np.array([learned.upto, learned.below]),
        gaps[1] + now / len(x),
    )
    off, more_gaps = np.abs(shares[1] - shares[0]), abs(gaps[1] - gaps[0])
    distance = max(float(off.max(initial=0)), more_gaps)
    number = np.sqrt(learned.rows * len(x) / (learned.rows + len(x)))
    p = float(kolmogorov(number * distance))
    if more_gaps == distance:
        return Drifted(learned.name, distance, p, _in_words("missing", gaps[1], gaps[0]))
    side, at = np.unravel_index(off.argmax(), off.shape)
    value = f"{values[at]:.4g}"
    before, after = (
        float((share[side, at] - gap) / max(1 - gap, 1e-12))
        for share, gap in zip(shares, gaps, strict=True)
    )
    what = f"less than {value}" if side else f"{value} or less"
    return Drifted(learned.name, distance, p, _in_words(what, after, before))


def _levels_drifted(learned: LevelsLearned, levels: Sequence[str | None]) -> Drifted:
    from scipy.special import chdtrc

    place: dict[str | None, int] = {level: i for i, level in enumerate(learned.levels)}
    names = [*learned.levels, "missing", "other levels"]
    place[GAP] = len(place)
    others = learned.rows - learned.missing - sum(learned.counts)
    before = np.array([*learned.counts, learned.missing, others], float)
    counts = Counter(place.get(level, len(names) - 1) for level in levels)
    now = np.array([counts.get(i, 0) for i in range(len(names))], float)
    smaller = min(learned.rows, len(levels)) / (learned.rows + len(levels))
    expected = (before + now) * smaller  # on the side with fewer rows
    rare = expected < EXPECTED
    rare[-1] = True
    before, now = (np.append(one[~rare], one[rare].sum()) for one in (before, now))
    names = [*np.array(names, object)[~rare], names[-1]]
    there = before + now > 0
    before, now = before[there], now[there]
    names = [name for name, mark in zip(names, there, strict=True) if mark]
    shares = now / len(levels), before / learned.rows
    distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
    total = before + now
    square = 0.0
    for one in (before, now):
        expected = total * one.sum() / total.sum()
        square += float(((one - expected) ** 2 / expected).sum())
    p = float(chdtrc(len(total) - 1, square)) if len(total) > 1 else 1.0
    at = int(np.abs(shares[0] - shares[1]).argmax())
    words = _in_words(names[at], float(shares[0][at]), float(shares[1][at]))
    return Drifted(learned.name, distance, p, words)


def _in_words(what: str, now: float, before: float) -> str:
    return f"{what} in {100 * now:.0f} % of rows, in {100 * before:.0f} % of those learned from"


def drift_note(learned: Sequence[ColumnLearned], table: CellTable) -> str | None:
    """What the user should know of columns that are far from what was learned from.

    Something is said only where that would not happen by chance, of all columns together, and where
    at least 15 of 100 rows lie elsewhere, as where numbers have moved by 0.4 standard deviations.
    Counted by ``experiments/benchmarks/false_notes.py`` over 1 to 30 columns: where nothing has
    changed 0 to 5 of 100 tables of 20 to 2000 rows get a note; half a standard deviation is seen in
    200 rows of 87 to 98 of 100 tables, where 300 rows or more were learned from.

    Args:
        learned: what is kept of the rows that were learned from.
        table: with rows to predict.

    Returns:
        A sentence without a full stop; None where there is nothing to say, or less than 20 rows.

    Example:
        >>> from jaxmtl.data import table_of_cells
        >>> learned = [NumbersLearned("CO", 100, 0, [5.0], [0.5], [0.5])]
        >>> drift_note(learned, table_of_cells({"CO": [6.0] * 30}))
        ... # doctest: +NORMALIZE_WHITESPACE
        'the table: predictions rest on other conditions than the model learned from: CO (5 or less
        in 0 % of rows, in 50 % of those learned from)'
    """
    if len(table) < FEWEST_ROWS or not learned:
        return None
    found = [
        one
        for one in compare_columns(learned, table)
        if one.distance >= LARGE and one.p <= DOUBT / len(learned)
    ]
    if not found:
        return None
    words = [f"{one.column} ({one.words})" for one in found[:MOST_NAMED]]
    if (more := len(found) - MOST_NAMED) > 0:
        words.append(f"and {more} more column{'s' * (more > 1)}")
    return (
        f"{table.source}: predictions rest on other conditions than the model learned from: "
        f"{', '.join(words)}"
    )

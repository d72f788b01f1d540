"""How predictions change with one column, for a terminal."""

from collections.abc import Sequence

from jaxmtl.prediction.dependence import Dependence
from jaxmtl.report.words.layout import aligned, wrapped
from jaxmtl.report.words.numbers import decimals_for, fixed

MOST_BESIDE = 4  # outputs, in one table
ALONE = {
    "year": "over the years",
    "season": "over the months of a year",
    "weekday": "over the days of a week",
    "hour": "over the hours of a day",
}


def dependence_title(found: Dependence) -> str:
    """What a curve is over.

    Args:
        found: the curve.

    Returns:
        The column, and of a date which part of it.

    Example:
        >>> import numpy as np
        >>> none, no = np.zeros((0, 0)), np.zeros(0)
        >>> dependence_title(Dependence("day", "hour", (), no, False, (), none, none, none,
        ...                             0, 9))
        'day, over the hours of a day'
    """
    return f"{found.column}, {ALONE[found.part]}" if found.part else found.column


def dependence_lines(found: Dependence, outputs: Sequence[int]) -> list[str]:
    """Mean predictions and their intervals, a value a line.

    Args:
        found: the curve.
        outputs: numbers of those to show.

    Returns:
        One table or several below each other, with a heading.

    Example:
        >>> import numpy as np
        >>> one = np.array([[3.0], [4.5]])
        >>> found = Dependence("CO", "", ("1", "2"), np.array([1.0, 2.0]), True, ("O3",), one,
        ...                    one - 1, one + 1, 0, 9)
        >>> print("\\n".join(dependence_lines(found, [0])))
        Mean prediction by CO  (over 9 rows; in brackets between what the curve lies, 95 %)
          CO  O3
          1   3.00 (2.00 to 4.00)
          2   4.50 (3.50 to 5.50)
    """
    lines = [
        f"Mean prediction by {dependence_title(found)}  (over {found.rows} rows; in brackets "
        "between what the curve lies, 95 %)"
    ]
    for start in range(0, len(outputs), MOST_BESIDE):
        shown = outputs[start : start + MOST_BESIDE]
        columns = [[found.column, *found.labels]]
        columns += [[found.names[i], *_cells(found, i)] for i in shown]
        table = aligned(list(zip(*columns, strict=True)))
        lines += [*([""] if start else []), *(f"  {line}" for line in table)]
    if found.more:
        lines.append(f"  and {found.more} rarer levels")
    return lines


def caution_lines(folds: int) -> list[str]:
    """What the curves say, and what they do not.

    Args:
        folds: whose models are compared.

    Returns:
        Lines.
    """
    words = (
        "What the model makes of the column, all others being as they are; not what would happen "
        f"if it were changed. The brackets follow from how far the curves of {folds} models are "
        "apart, each of which has learned without other rows; they say how sure the curve is, not "
        "a prediction."
    )
    return wrapped(words, start="  ")


def _cells(found: Dependence, output: int) -> list[str]:
    parts = (found.mean[:, output], found.low[:, output], found.high[:, output])
    digits = decimals_for(parts[0], 3)
    return [
        f"{fixed(mean, digits)} ({fixed(low, digits)} to {fixed(high, digits)})"
        for mean, low, high in zip(*parts, strict=True)
    ]

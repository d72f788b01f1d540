"""Where there are too few rows for intervals of a level, and how that is said."""

from typing import Annotated

from msgspec import Meta, Struct

from jaxmtl.prediction.predicted_columns import level_words
from jaxmtl.statistics.conformal import rows_needed

Count = Annotated[int, Meta(ge=0)]


class Shortage(Struct, frozen=True):
    """Rows that intervals of a level need, and those that there are.

    Attributes:
        needed: rows with a known value that were left out by a fold; with all values for intervals
            of all tasks together.
        there: of these.

    Example:
        >>> Shortage(needed=9, there=8).needed
        9
    """

    needed: Count
    there: Count


def shortage_of(level: float, there: int, *, joint: bool = False) -> Shortage:
    """What is to be said where intervals are infinite.

    Args:
        level: of the intervals.
        there: rows that they follow from.
        joint: whether they hold all tasks together, for which the number of rows needed hangs on
            how alike the tasks' errors are.

    Returns:
        The least number of rows that may be enough, and what there is.

    Example:
        >>> shortage_of(0.99, 38)
        Shortage(needed=99, there=38)
    """
    return Shortage(needed=max(rows_needed(level, joint=joint), there + 1), there=there)


def shortage_words(
    level: float, found: Shortage, *, joint: bool = False, classes: bool = False
) -> str:
    """That there are too few rows, in one clause.

    Args:
        level: of the intervals.
        found: needed and there.
        joint: whether they hold all tasks together.
        classes: whether they are sets of classes.

    Returns:
        The clause.

    Example:
        >>> shortage_words(0.99, Shortage(needed=99, there=38))
        'a 99 % interval needs at least 99 rows with a known value; there are 38'
    """
    what = f"{level_words(level)} {'set' if classes else 'interval'}"
    if joint:
        what += " for all columns at once"
    values = "all values" if joint else "a known value"
    article = "an" if level_words(level)[:1] == "8" else "a"
    return (
        f"{article} {what} needs at least {found.needed} rows with {values}; there "
        f"{'is' if found.there == 1 else 'are'} {found.there}"
    )

"""Numbers of a comparison as texts for a reader."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # pictures load matplotlib, which `predict` has no use for
    from jaxmtl.report.pictures.comparison_rows import Difference

MINUS = "\u2212"
NONE = "–"  # stands where there is no number
MOST_DECIMALS = 9
LEAST_WRITTEN, MOST_WRITTEN = 1e-6, 1e15  # beyond these, powers of ten are shorter


def fixed(value: float, decimals: int) -> str:
    """A number with as many decimals as its column has.

    Args:
        value: NaN where there is none.
        decimals: digits after the point.

    Returns:
        The text, with a true minus sign; by a power of ten where decimals cannot show it.

    Example:
        >>> fixed(1234.5, 0), fixed(float("nan"), 2), fixed(2.5e-11, 9)
        ('1,234', '–', '2.5e-11')
    """
    if not np.isfinite(value):
        return NONE if np.isnan(value) else ("∞" if value > 0 else f"{MINUS}∞")
    size = abs(value)
    if size >= MOST_WRITTEN or (decimals >= MOST_DECIMALS and 0 < size < LEAST_WRITTEN):
        text = f"{value:.3g}"
        return f"{MINUS}{text[1:]}" if value < 0 else text
    text = f"{value:,.{decimals}f}"
    return text.replace("-", MINUS if float(text.replace(",", "")) else "")


def signed(value: float, decimals: int) -> str:
    """A difference, with its sign.

    Args:
        value: NaN where there is none.
        decimals: digits after the point.

    Returns:
        The text; a difference that rounds to zero has no sign.

    Example:
        >>> signed(2.13, 1), signed(-0.04, 1)
        ('+2.1', '0.0')
    """
    text = fixed(value, decimals)
    return f"+{text}" if value > 0 and text.strip("0.,") and text != NONE else text


def with_interval(value: float, low: float, high: float, decimals: int) -> str:
    """A difference in % with its interval, as far as there is one.

    Args:
        value: in %.
        low: end of the interval, NaN where there is none.
        high: the other end.
        decimals: digits after the point.

    Returns:
        The text.

    Example:
        >>> with_interval(2.1, 0.4, 3.9, 1)
        '+2.1 % (+0.4 to +3.9)'
    """
    if not np.isfinite(value):
        return NONE
    text = f"{signed(value, decimals)} %"
    if not (np.isfinite(low) and np.isfinite(high)):
        return text
    return f"{text} ({signed(low, decimals)} to {signed(high, decimals)})"


def decimals_for(values: Sequence[float] | np.ndarray, digits: int = 4) -> int:
    """Decimals that show about so many digits of every number of a column.

    Args:
        values: of the column; those that are not finite do not count.
        digits: of the middle one.

    Returns:
        The same number for all, so that points are in line.

    Example:
        >>> decimals_for([20.13, 31.9]), decimals_for([0.0123])
        (2, 5)
    """
    known = np.abs(np.asarray(values, dtype=float))
    known = known[np.isfinite(known) & (known > 0)]
    if not len(known):
        return 0
    size = int(np.floor(np.log10(np.median(known))))
    return min(max(digits - 1 - size, 0), MOST_DECIMALS)


def percent_decimals(rows: "Sequence[Difference]") -> int:
    """Decimals for differences in %: two where they are small, else one.

    Args:
        rows: of one picture or table.

    Returns:
        One, two or three.

    Example:
        >>> percent_decimals([])
        1
    """
    ends = [value for row in rows if row.kind != "line" for value in (row.percent, row.low)]
    sizes = np.abs([value for value in ends if np.isfinite(value) and value])
    if not len(sizes) or np.median(sizes) >= 0.5:
        return 1
    return 2 if np.median(sizes) >= 0.05 else 3


def probability(p: float) -> str:
    """A p value.

    Args:
        p: between 0 and 1; NaN where there is none.

    Returns:
        Three decimals at most.

    Example:
        >>> probability(0.0312), probability(2e-5)
        ('0.031', '< 0.001')
    """
    if np.isnan(p):
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def duration(seconds: float) -> str:
    """A time for a reader.

    Args:
        seconds: of any length.

    Returns:
        In the two largest units that it has.

    Example:
        >>> duration(133), duration(0.21), duration(7322)
        ('2 min 13 s', '0.21 s', '2 h 2 min')
    """
    if not np.isfinite(seconds):
        return NONE
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"


def count(number: int, one: str, many: str | None = None) -> str:
    """A number of things.

    Args:
        number: of them.
        one: word for one.
        many: word for several; with an s if it is not given.

    Returns:
        Both together.

    Example:
        >>> count(1, "seed"), count(30, "seed")
        ('1 seed', '30 seeds')
    """
    return f"{number} {one if number == 1 else many or one + 's'}"

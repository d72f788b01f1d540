"""Columns of a terminal."""

import textwrap
import unicodedata
from collections.abc import Collection, Sequence

WIDTH = 100  # of a line


def width_of(text: str) -> int:
    """Columns that a text takes; Chinese characters take two.

    Args:
        text: of one line.

    Returns:
        The number.

    Example:
        >>> width_of("臭氧 O3")
        7
    """
    wide = sum(unicodedata.east_asian_width(one) in "WF" for one in text)
    marks = sum(unicodedata.combining(one) != 0 for one in text)
    return len(text) + wide - marks


def aligned(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> list[str]:
    """Rows as lines whose columns stand below each other.

    Args:
        rows: cells, equally many in each.
        right: columns that end in line instead of beginning there.

    Returns:
        Lines without blanks at their ends.

    Example:
        >>> print("\\n".join(aligned([("a", "1"), ("bbb", "22")], right=[1])))
        a     1
        bbb  22
    """
    widths = [max(width_of(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = []
        for i, (cell, width) in enumerate(zip(row, widths, strict=True)):
            gap = " " * (width - width_of(cell))
            cells.append(gap + cell if i in right else cell + gap)
        lines.append("  ".join(cells).rstrip())
    return lines


def wrapped(text: str, *, start: str = "", rest: str = "  ") -> list[str]:
    """A text as lines of a terminal; words, such as paths and options, are not cut.

    Args:
        text: of one paragraph.
        start: before the first line.
        rest: before every other line.

    Returns:
        Lines.

    Example:
        >>> [len(line) for line in wrapped("node " * 40)]
        [99, 96, 6]
    """
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=start,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )

"""What stands between the cells of a text table, and which of its lines are remarks."""

import csv
import re
from collections.abc import Collection, Sequence

from .names import count_found

SEARCHED = 50  # rows among which the header is looked for
HINT = re.compile(r'"?sep=(.)"?\1*\s*', re.IGNORECASE)  # a first line that names the separator
_SEPARATORS = (",", ";", "\t")


def cells_of(line: str, separator: str) -> list[str]:
    """The cells of one line; none of a line that is no line of a table.

    Example:
        >>> cells_of('a;"b;c"', ";")
        ['a', 'b;c']
    """
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return []


def is_comment(line: str) -> bool:
    """Whether a line begins as a remark does.

    Example:
        >>> is_comment(" # of the ministry"), is_comment("CO,NO2")
        (True, False)
    """
    return line.lstrip(' "').startswith("#")


def find_separator(lines: Sequence[str], names: Collection[str]) -> str:
    """The separator under which a row shows most of the names, then the header most cells.

    Args:
        lines: the first of a table.
        names: of columns that are looked for.

    Example:
        >>> find_separator(["CO;NO2", "1,5;2"], ["CO"])
        ';'
    """

    def score(separator: str) -> tuple[int, int]:
        rows = [row for line in lines if "".join(row := cells_of(line, separator)).strip(" ,;\t")]
        plain = [row for row in rows if not is_comment(row[0])] or rows or [[]]
        found = max((count_found(dict(enumerate(row)), names) for row in rows), default=0)
        return found, len(plain[0])

    return max(_SEPARATORS, key=score)

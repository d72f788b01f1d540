"""Names of columns: which header a name means, and which may have been meant."""

import contextlib
import difflib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

from .errors import TableError
from .values import is_blank

_LONGEST = 80  # characters of a header in a list of all headers


class UnknownColumnError(TableError):
    """Columns that are not there.

    Example:
        >>> raise UnknownColumnError("row 1", ["wind"], ["CO", "NO"])
        ... # doctest: +NORMALIZE_WHITESPACE
        Traceback (most recent call last):
            ...
        jaxmtl.plain.names.UnknownColumnError: row 1: there is no column 'wind'; choose among the
        headers 'CO', 'NO'
    """

    def __init__(
        self, place: str, unknown: list[str], headers: list[str], advice: str = ""
    ) -> None:
        """What is asked for, what there is, and what else the end of the sentence says."""
        headers = [h for h in headers if not h.startswith("Unnamed:")]
        offered = {_loosely(h): h for h in headers}
        texts = []
        for name in unknown:
            near = difflib.get_close_matches(_loosely(name), offered, n=1, cutoff=0.6)
            meant = f" (did you mean {_typed(offered[near[0]])}?)" if near else ""
            texts.append(f"{name!r}" + meant)
        shown = [h if len(h) <= _LONGEST else f"{h[: _LONGEST - 3]}..." for h in headers[:30]]
        listed = ", ".join(map(repr, shown)) or "none"
        more = f" and {len(headers) - 30} more" if len(headers) > 30 else ""
        missing = "is no column" if len(texts) == 1 else "are no columns"
        self.there = f"{place}: there {missing} {', '.join(texts)}"
        self.one, self.headers = len(texts) == 1, f"the headers {listed}{more}{advice}"
        super().__init__(f"{self.there}; choose among {self.headers}")

    def of_run(self, *, empty: bool) -> TableError:
        """The same of a table that is to be predicted from: nothing is to be chosen."""
        add = "add it" if self.one else "add them"
        cells = f" ({'its' if self.one else 'their'} cells may be empty)" if empty else ""
        return TableError(
            f"{self.there}, from which the run learned; {add}{cells}, or rename what holds "
            f"{'it' if self.one else 'them'} among {self.headers}"
        )


@contextlib.contextmanager
def columns_of_run(*, empty: bool) -> Iterator[None]:
    """Says of columns that are not there that a run learned from them.

    Args:
        empty: whether cells of such a column may be empty.

    Raises:
        TableError: for an ``UnknownColumnError``.
    """
    try:
        yield
    except UnknownColumnError as error:
        raise error.of_run(empty=empty) from None


def column_letter(number: int) -> str:
    """The letters over a column, counted from 0, as spreadsheets show them."""
    letters = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def plain_name(name: str) -> str:
    """A name that can be typed: blanks for line breaks and other control characters.

    Example:
        >>> plain_name(" SO2\\n(ug/m3) ")
        'SO2 (ug/m3)'
    """
    if not any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in name):
        return name.strip()
    blank = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in name)
    return " ".join(blank.split())


def find_columns(
    header: dict[int, Any], names: Iterable[str], place: str, advice: str = ""
) -> dict[str, int]:
    """The position of each named column, from 0.

    Args:
        header: cells by column.
        names: that are wanted.
        place: of the header, to begin a sentence with.
        advice: what else the end of the sentence says, where a name is not found.

    Raises:
        UnknownColumnError: a column is not there.
        TableError: it is there twice.
    """
    found: dict[str, list[int]] = {}
    shown: dict[str, str] = {}
    for column, cell in sorted(header.items()):
        if not is_blank(cell):
            key = _key(str(cell))
            found.setdefault(key, []).append(column)
            shown.setdefault(key, plain_name(str(cell)))
    unknown = [name for name in dict.fromkeys(names) if _key(name) not in found]
    if unknown:
        raise UnknownColumnError(place, unknown, list(shown.values()), advice)
    for name in names:
        if len(found[_key(name)]) > 1:
            letters = " and ".join(column_letter(column) for column in found[_key(name)])
            raise TableError(
                f"{place}: the header {name!r} stands over the columns {letters}; rename all but "
                "one of them"
            )
    return {name: found[_key(name)][0] for name in names}


def all_columns(header: dict[int, Any]) -> tuple[dict[str, int], dict[str, str]]:
    """Every column that can be told by its name.

    Args:
        header: cells by column.

    Returns:
        The position of each from 0, and why others cannot be used, by their names.

    Example:
        >>> all_columns({0: "CO", 1: "NO", 3: " CO"})
        ({'NO': 1}, {'CO': 'its header stands over the columns A and D'})
    """
    found: dict[str, list[int]] = {}
    names: dict[str, str] = {}
    for column, cell in sorted(header.items()):
        if not is_blank(cell):
            key = _key(str(cell))
            names.setdefault(key, re.sub(r"^'(?=[=+\-@])", "", plain_name(str(cell))))
            found.setdefault(key, []).append(column)
    alone = {names[key]: places[0] for key, places in found.items() if len(places) == 1}
    unusable = {
        names[key]: f"its header stands over the columns {' and '.join(map(column_letter, places))}"
        for key, places in found.items()
        if len(places) > 1
    }
    return alone, unusable


def count_found(header: dict[int, Any], names: Iterable[str]) -> int:
    """How many of the names are in a row."""
    there = {_key(str(cell)) for cell in header.values() if not is_blank(cell)}
    return sum(_key(name) in there for name in names)


def _key(name: str) -> str:
    """What two spellings of a name have in common that look the same."""
    text = " ".join(plain_name(name).split()).replace("\N{MICRO SIGN}", "μ")
    # Our own output puts an apostrophe before a name that would be a formula.
    return re.sub(r"^'(?=[=+\-@])", "", text)


def _typed(name: str) -> str:
    quotes = " in double quotes, as it holds a comma" if "," in name else ""
    return repr(name) + quotes


def _loosely(name: str) -> str:
    """A spelling to compare: without case, width, blanks and underscores."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(c for c in folded if not c.isspace() and c != "_")

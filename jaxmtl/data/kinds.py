"""What a user says of columns: their kinds and weights, as texts of the shell."""

import csv
from collections.abc import Collection, Mapping, Sequence
from typing import Literal, NamedTuple

from jaxmtl._options.text import short
from jaxmtl._words import did_you_mean
from jaxmtl.plain.dates import DateOrder
from jaxmtl.plain.names import plain_name

ColumnKind = Literal["number", "category", "date"]
_SAID = {
    "number": "number",
    "count": "count",
    "category": "category",
    "class": "classes",
    "classes": "classes",
    "date": "date",
    "date:ymd": "date",
    "date:dmy": "date",
    "date:mdy": "date",
}
_EXAMPLE = (
    "number, category, date, date:dmy, date:mdy, class, count, or the levels of a class or "
    "category in their order such as good<fair<poor"
)


class Declared(NamedTuple):
    """What a user says of a column.

    Attributes:
        kind: "number", "category", "date", "classes", "count" or "ordered".
        levels: of an ordered class, lowest first.
        order: of day and month in a date; None where it is found out.

    Example:
        >>> Declared("ordered", ("good", "fair", "poor")).order is None
        True
    """

    kind: Literal["number", "category", "date", "classes", "count", "ordered"]
    levels: tuple[str, ...] = ()
    order: DateOrder | None = None


def declared_of(name: str, said: str) -> Declared:
    """What one text says of a column.

    Args:
        name: of the column, for the sentence of an error.
        said: such as "category", or "good<fair<poor".

    Raises:
        ValueError: there is no such kind.

    Example:
        >>> declared_of("level", "good < fair < poor").levels
        ('good', 'fair', 'poor')
    """
    if "<" in said:
        levels = tuple(" ".join(level.split()) for level in said.split("<"))
        if not all(levels) or len(set(levels)) < len(levels):
            raise ValueError(
                f"--kinds: expected levels of {name!r} in their order, each once, such as "
                f"good<fair<poor, got {short(said)}"
            )
        return Declared("ordered", levels)
    kind = _SAID.get(said.strip().casefold())
    if kind is None:
        near = did_you_mean(said.strip().casefold(), _SAID)
        raise ValueError(
            f"--kinds: expected a kind of {name!r} among {_EXAMPLE}, got {short(said)}{near}"
        )
    order = said.strip().casefold().partition(":")[2]
    return Declared(kind, order=order or None)  # pyright: ignore[reportArgumentType]


def parse_kinds(text: str) -> dict[str, Declared]:
    """Kinds of columns; a pair that holds a comma stands in double quotes.

    Args:
        text: of ``--kinds``.

    Returns:
        What is said, by the name of the column.

    Raises:
        ValueError: a part of the text says no kind.

    Example:
        >>> kinds = parse_kinds('year=category,"day, local=date:dmy",level=good<fair<poor')
        >>> {name: kind.kind for name, kind in kinds.items()}
        {'year': 'category', 'day, local': 'date', 'level': 'ordered'}
    """
    return {
        name: declared_of(name, said)
        for name, said in _pairs("--kinds", text, "year=category,level=class").items()
    }


def parse_weights(text: str) -> dict[str, float]:
    """Weights of tasks, as ``parse_kinds`` reads kinds.

    Args:
        text: of ``--weights``.

    Returns:
        The weight of each target that is named.

    Raises:
        ValueError: a part of the text is no name and weight above 0.

    Example:
        >>> parse_weights("PM2.5=2,O3=0.5")
        {'PM2.5': 2.0, 'O3': 0.5}
    """
    weights = {}
    for name, said in _pairs("--weights", text, "PM2.5=2,O3=0.5").items():
        try:
            weight = float(said)
        except ValueError:
            weight = 0.0
        if not 0 < weight < float("inf"):
            raise ValueError(
                f"--weights: expected a weight above 0 for {name!r}, got {short(said)}"
            )
        weights[name] = weight
    return weights


def _pairs(option: str, text: str, example: str) -> dict[str, str]:
    # As in parse_names, but a quotation mark may stand around the name alone, too.
    line = " ".join(text.splitlines())
    parts: list[str] = []
    for part in _split(line):
        if part.strip():
            parts.append(part.strip())
    pairs: dict[str, str] = {}
    for part in parts:
        name, said = _pair(part)
        if not name or not said:
            raise ValueError(
                f"{option}: expected pairs such as {example}, got {short(part)}; a name that holds "
                "a comma stands in double quotes"
            )
        if name in pairs:
            raise ValueError(f"{option}: expected each column once, got {name!r} twice")
        pairs[name] = said
    return pairs


def _split(line: str) -> list[str]:
    """At commas that do not stand in double quotes."""
    parts, inside = [""], False
    for character in line:
        if character == "," and not inside:
            parts.append("")
            continue
        inside ^= character == '"'
        parts[-1] += character
    return parts


def _pair(part: str) -> tuple[str, str]:
    if part.startswith('"') and part.endswith('"') and part.count('"') % 2 == 0:
        whole = next(csv.reader([part]), [""])
        if len(whole) == 1 and "=" in whole[0]:
            part = whole[0]
    quoted = part.startswith('"') and part.rfind('"=') > 0
    end = part.rfind('"=') + 1 if quoted else part.rfind("=")
    if end <= 0:
        return "", ""
    name = part[:end]
    if quoted:
        name = name[1:-1].replace('""', '"')
    return plain_name(name), part[end + 1 :].strip()


def check_names(
    option: str, names: Collection[str], known: Sequence[str], what: str = "columns"
) -> None:
    """Raises ValueError for a name that there is not, with the nearest one.

    Args:
        option: that names them.
        names: that were given.
        known: that there are.
        what: they are.

    Raises:
        ValueError: names the first one.

    Example:
        >>> check_names("--weights", ["PM25"], ["PM2.5", "O3"], "targets")
        Traceback (most recent call last):
            ...
        ValueError: --weights: expected names of targets, got 'PM25' (did you mean 'PM2.5'?)
    """
    for name in names:
        if name not in known:
            near = did_you_mean(name, known) or f"; choose among {', '.join(known[:10])}"
            raise ValueError(f"{option}: expected names of {what}, got {name!r}{near}")


def said_of(kinds: Mapping[str, Declared | str]) -> dict[str, Declared]:
    """Kinds of which some are given as texts.

    Args:
        kinds: by the name of the column.

    Example:
        >>> said_of({"year": "category"})["year"].kind
        'category'
    """
    return {
        name: declared_of(name, said) if isinstance(said, str) else said
        for name, said in kinds.items()
    }

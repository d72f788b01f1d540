"""Texts of the shell that stand for several values."""

import csv
import re

from jaxmtl._words import short

TIME = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(s|sec|seconds?|m|min|minutes?|h|hours?)?")


def parse_names(text: str) -> tuple[str, ...]:
    """Names of columns, separated by commas; one that holds a comma stands in double quotes.

    Args:
        text: of the option.

    Returns:
        The names without blanks around them.

    Example:
        >>> parse_names('SO2, CO,"a, b"')
        ('SO2', 'CO', 'a, b')
    """
    # A line break in the name of a column counts as a blank.
    line = " ".join(text.splitlines())
    names = next(csv.reader([line], skipinitialspace=True), [])
    return tuple(name.strip() for name in names if name.strip())


def parse_sizes(option: str, text: str) -> tuple[int, ...]:
    """Sizes of layers, separated by commas; an empty text or "none" for no layer.

    Args:
        option: its name, for the sentence of an error.
        text: of the option.

    Returns:
        The sizes.

    Raises:
        ValueError: not whole numbers of at least 1.

    Example:
        >>> parse_sizes("--shared", "8,4"), parse_sizes("--shared", "none")
        ((8, 4), ())
    """
    if text.strip().lower() in ("", "none"):
        return ()
    try:
        sizes = tuple(int(size) for size in text.split(","))
    except ValueError:
        sizes = (0,)
    if min(sizes) < 1:
        raise ValueError(
            f"{option}: expected sizes of layers such as 8,4, or none, got {short(text)}"
        )
    return sizes


def parse_seconds(option: str, text: str) -> float:
    """A time in seconds, minutes or hours.

    Args:
        option: its name, for the sentence of an error.
        text: as it was given.

    Returns:
        Seconds.

    Raises:
        ValueError: no time.

    Example:
        >>> parse_seconds("--time-limit", "90"), parse_seconds("--time-limit", "1.5 min")
        (90.0, 90.0)
        >>> parse_seconds("--time-limit", "soon")
        Traceback (most recent call last):
            ...
        ValueError: --time-limit: expected a time such as 90, 5min or 1h, got 'soon'
    """
    found = TIME.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(f"{option}: expected a time such as 90, 5min or 1h, got {short(text)}")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[(found[2] or "s")[0]]

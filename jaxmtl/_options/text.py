"""Texts of the shell that stand for several values."""

import csv

from jaxmtl._words import short


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

"""From the text of an option to its value."""

import csv
from typing import Any

from jaxmtl.training import Phase

FORM = "epochs,warmup,threshold,rate"


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
    names = next(csv.reader([text], skipinitialspace=True), [])
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
        raise ValueError(f"{option}: expected sizes of layers such as 8,4, or none, got {text!r}")
    return sizes


def parse_phases(text: str) -> tuple[Phase, ...]:
    """A schedule: phases separated by semicolons, each "epochs,warmup,threshold,rate".

    What is left out at the end or between commas has its default: warm-up 0, no threshold (the
    phase never splits), learning rate 0.005.

    Args:
        text: of the option.

    Returns:
        The phases.

    Raises:
        ValueError: the text has another form, or a number is out of range.

    Example:
        >>> parse_phases("200,80,10;300,,,0.001")[1]
        Phase(epochs=300, warmup=0, threshold=None, learning_rate=0.001)
        >>> parse_phases("9,x")
        Traceback (most recent call last):
            ...
        ValueError: --phases, phase 1: expected numbers 'epochs,warmup,threshold,rate', got '9,x'
    """
    phases = []
    for number, part in enumerate(text.strip().rstrip(";").split(";"), 1):
        cells = [cell.strip() for cell in part.split(",")]
        kinds = {"epochs": int, "warmup": int, "threshold": int, "learning_rate": float}
        try:
            if len(cells) > len(kinds) or not cells[0]:
                raise ValueError
            values: dict[str, Any] = {
                name: kind(cell)
                for (name, kind), cell in zip(kinds.items(), cells, strict=False)
                if cell
            }
        except ValueError:
            raise ValueError(
                f"--phases, phase {number}: expected numbers {FORM!r}, got {part.strip()!r}"
            ) from None
        try:
            phases.append(Phase(**values))
        except ValueError as error:
            sentence = str(error).removeprefix("Phase: ")
            raise ValueError(f"--phases, phase {number}: {sentence}") from error
    return tuple(phases)

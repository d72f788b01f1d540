"""How numbers are written in texts: what the user says of it, and what is found out."""

from collections.abc import Iterable, Mapping, Sequence

from .cells import (
    MissingValues,
    Notation,
    has_decimal_comma,
    is_point_grouped,
    may_have_decimal_comma,
    tidy,
)
from .errors import TableError
from .numbers import Column

# Points mark thousands, but in columns where they cannot.
POINTS = Notation(",", "point")


def notation_of(decimal: str | None, thousands: str | None) -> Notation:
    """How numbers in texts are written, as far as the user says.

    Args:
        decimal: "." or ","; None where it is not said.
        thousands: "comma", "point", "space" or "apostrophe"; None where it is not said.

    Raises:
        TableError: one sign is to mean both.
    """
    if (decimal, thousands) == (None, "point"):
        return POINTS
    if decimal is None and thousands is not None:
        decimal = "."
    if (decimal, thousands) in ((".", "point"), (",", "comma")):
        raise TableError(
            f"decimal: expected another sign than that of the thousands, got {decimal!r} with "
            f"thousands marked by a {thousands}; choose another one"
        )
    return Notation(decimal, thousands)


def notations_of(
    columns: Sequence[Column],
    source: str,
    separator: str | None,
    missing: Mapping[str, MissingValues],
    notation: Notation,
) -> tuple[dict[str, Notation], list[str]]:
    """How the numbers of each column are written, and a note where that was found out.

    Args:
        columns: of numbers.
        source: of the table.
        separator: between the cells of a text table.
        missing: what stands for a missing value, by the name of the column.
        notation: as far as the user says.
    """
    notes: list[str] = []
    if notation == Notation() and separator in (";", "\t"):
        notation, notes = infer_notation(columns, source, missing)
    if notation is POINTS:
        return {column.name: column_notation(column) for column in columns}, notes
    return {column.name: notation for column in columns}, notes


def infer_notation(
    columns: Iterable[Column], source: str, missing: Mapping[str, MissingValues]
) -> tuple[Notation, list[str]]:
    """Decimal commas, if every cell of a text table agrees with them.

    Args:
        columns: all that hold numbers.
        source: of the table.
        missing: what stands for a missing value, by the name of the column.

    Returns:
        How numbers are written, and a note where that was found out.
    """
    example = None
    for column in columns:
        texts = missing[column.name].texts
        for i, cell in enumerate(column.cells):
            if not isinstance(cell, str) or not ("," in cell or "." in cell):
                continue
            text = tidy(cell)
            if text in texts:
                continue
            grouped = "," in text and is_point_grouped(text)
            if not grouped and not may_have_decimal_comma(text):
                return Notation(), []
            if example is None and (grouped or has_decimal_comma(text)):
                example = f"{column.named(source, i)}: {text!r}"
    if example is None:
        return Notation(), []
    return Notation(decimal=","), [
        f"{example} and the like are read with decimal commas, with which all cells agree; "
        "--decimal says so, or otherwise"
    ]


def column_notation(column: Column) -> Notation:
    """Points for thousands, but in a column where they cannot mark them.

    Args:
        column: of a table in which points mark thousands.
    """
    for cell in column.cells:
        if isinstance(cell, str) and "." in cell and not is_point_grouped(tidy(cell)):
            return Notation(decimal=".")
    return Notation(",", "point")

"""From cells of columns to numbers: how they are written is asked of a column as a whole."""

import re
from collections.abc import Sequence
from types import NoneType
from typing import Any, NamedTuple

import numpy as np

from .cells import (
    CellError,
    MissingValues,
    Notation,
    describe_formula,
    how_often,
    is_blank,
    is_point_grouped,
    read_cell,
    tidy,
)
from .dates import is_day
from .errors import TableError
from .names import column_letter
from .values import Formula, MarkedText, Percent, SuspectZero

_FEW = 3  # numbers of a kind that say something of a column
# Texts that are the same number in every spelling with decimal points, and blank ones.
_PLAIN = re.compile(r"(?:[+-]?\d++(?:\.\d++)?+)?+(?:\n(?:[+-]?\d++(?:\.\d++)?+)?+)*+", re.ASCII)
_CHUNK = 2**16  # cells that are looked at as one text


class Column(NamedTuple):
    """The cells of a column.

    Attributes:
        name: of the column.
        place: from 0.
        cells: one a row.
        rows: their numbers in the sheet.
    """

    name: str
    place: int
    cells: Sequence[Any]
    rows: Sequence[int]

    def named(self, source: str, i: int | None = None) -> str:
        """How a sentence names it, or one of its cells."""
        row = "" if i is None else f", row {self.rows[i]}"
        return f"{source}, column {self.name!r} ({column_letter(self.place)}){row}"


def refuse_formulas(column: Column, source: str, *, computed: bool) -> None:
    """Refuses formulas that no program computed.

    Args:
        column: whose cells are looked at.
        source: of the table.
        computed: whether some program computed the formulas of the sheet.

    Raises:
        TableError: names the first one.
    """
    if {Formula, SuspectZero}.isdisjoint(map(type, column.cells)):
        return
    for i, cell in enumerate(column.cells):
        if isinstance(cell, SuspectZero) and not computed:
            cell = Formula(cell.formula, "0")
        if isinstance(cell, Formula):
            raise TableError(f"{column.named(source, i)}: {describe_formula(cell)}")


def read_numbers(
    column: Column, source: str, missing: MissingValues, notation: Notation
) -> tuple[np.ndarray, list[str]]:
    """The numbers of a column, NaN where missing.

    Args:
        column: whose cells are read.
        source: of the table.
        missing: what stands for a missing value.
        notation: how numbers are written in texts.

    Returns:
        The numbers, and what the user should know of them.

    Raises:
        TableError: names the first cell that is no number, or does not go with the others.
    """
    values = read_plain(column.cells, missing, notation)
    if values is not None:
        return values, []
    values = np.empty(len(column.cells))
    for i, cell in enumerate(column.cells):
        if type(cell) is float and cell not in missing.numbers and abs(cell) < float("inf"):
            values[i] = cell
            continue
        try:
            values[i] = read_cell(cell, missing, notation)
        except CellError as error:
            said = _other_kind(column, missing) or f"{error}{how_often(cell, column.cells)}"
            raise TableError(f"{column.named(source, i)}: {said}") from None
    notes = _check_percents(column, source, values)
    if notation == Notation():
        notes += _check_points(column, source, values)
    return values, notes


def read_plain(
    cells: Sequence[Any], missing: MissingValues, notation: Notation
) -> np.ndarray | None:
    """The numbers of a column of nothing but plain texts, or stored numbers; None for any other.

    No check of the column has anything to say of whole numbers, or of points before other than
    three digits; a tenth of the time of a look at every cell.

    Args:
        cells: of the column.
        missing: what stands for a missing value.
        notation: how numbers are written in texts.
    """
    types = set(map(type, cells))
    if float in types and types <= {float, NoneType}:
        values = np.array(cells, float)  # NaN of None
    else:
        if notation not in (Notation(), Notation(".")) or not types <= {str, NoneType}:
            return None
        grouped = True
        for at in range(0, len(cells), _CHUNK):
            some = [cell or "" for cell in cells[at : at + _CHUNK]]
            text = "\n".join(some)
            if text.count("\n") != len(some) - 1 or _PLAIN.fullmatch(text) is None:
                return None
            grouped = grouped and all(map(is_point_grouped, filter(_has_point, some)))
        if grouped and any(map(_has_point, cells)):
            return None
        values = np.array([float(cell) if cell else np.nan for cell in cells], float)
    if missing.numbers:
        values[np.isin(values, list(missing.numbers))] = np.nan
    return None if np.isinf(values).any() else values


def _has_point(cell: str | None) -> bool:
    return cell is not None and "." in cell


def _other_kind(column: Column, missing: MissingValues) -> str:
    """What a column is if it is none of numbers; empty if only some of its cells are odd."""
    texts, dates, numbers = [], [], 0
    for cell in column.cells:
        if is_blank(cell) or isinstance(cell, Formula | MarkedText):
            continue
        if not isinstance(cell, int) and is_day(cell):
            dates.append(cell)
        elif isinstance(cell, str) and not any(character.isdigit() for character in cell):
            texts.append(tidy(cell))
        else:
            numbers += 1
    texts = [text for text in texts if text not in missing.texts]
    advice = (
        "leave it out of --features and --targets, or take 'jaxmtl fit TABLE --targets ...', which "
        "learns from columns of any kind"
    )
    if len(dates) > max(numbers + len(texts), 1):
        return f"expected numbers, got a column of dates, as {str(dates[0])[:40]!r}; {advice}"
    if len(texts) > max(numbers + len(dates), 1):
        first = list(dict.fromkeys(texts))
        shown = " and ".join(repr(text[:40]) for text in first[:2])
        return f"expected numbers, got a column of texts, as {shown}; {advice}"
    return ""


def _check_percents(column: Column, source: str, values: np.ndarray) -> list[str]:
    """Numbers shown in percent beside others: 12% is stored as 0.12."""
    shown = [i for i, cell in enumerate(column.cells) if isinstance(cell, Percent)]
    known = np.flatnonzero(~np.isnan(values)).tolist()
    within = set(shown)
    plain = [i for i in known if i not in within]
    if not shown or not plain:
        return []
    few, many = (shown, plain) if len(shown) <= len(plain) else (plain, shown)
    place, other = column.named(source, few[0]), column.rows[many[0]]
    kinds = {True: "shown in percent", False: "not shown in percent"}
    said = (
        f"{place}: {values[few[0]]:g} is {kinds[few is shown]}, and {values[many[0]]:g} in row "
        f"{other} is {kinds[many is shown]}"
    )
    if np.abs(values[plain]).max() <= 1:
        return [f"{said}; both are read as they are stored"]
    raise TableError(f"{said}; give all cells of the column one format, and numbers that fit it")


def _check_points(column: Column, source: str, values: np.ndarray) -> list[str]:
    """Points that may mark thousands: 3.753 beside 262 and 867."""
    pointed, plain = [], []
    for i, cell in enumerate(column.cells):
        if isinstance(cell, str) and not isinstance(cell, MarkedText):
            text = tidy(cell)
            if "." in text:
                if not is_point_grouped(text):
                    return []
                pointed.append(i)
            elif not np.isnan(values[i]):
                plain.append(i)
        elif isinstance(cell, int):
            plain.append(i)
        elif cell is not None:
            return _check_stored_points(column, source, values)
    if not pointed or not plain:
        return []
    first, largest = pointed[0], max(np.abs(values[plain]).tolist())
    text = tidy(column.cells[first])
    said = (
        f"{column.named(source, first)}: the text {text!r} may mean {text.replace('.', '')}, as "
        f"every point of the column stands before three digits, beside {largest:g}"
    )
    if largest >= 100:
        raise TableError(f"{said}; say which with --thousands point or --decimal .")
    return [f"{said}; it is read as {values[first]:g}; --thousands point reads it otherwise"]


def _check_stored_points(column: Column, source: str, values: np.ndarray) -> list[str]:
    """The same for numbers, as a program made them that took points for decimal ones."""
    whole = [i for i, cell in enumerate(column.cells) if type(cell) is int]
    broken = [i for i, cell in enumerate(column.cells) if type(cell) is float]
    if min(len(whole), len(broken)) < _FEW or len(whole) + len(broken) < len(column.cells) / 2:
        return []
    small, large = np.abs(values[broken]), np.abs(values[whole])
    # Blank values are none of either kind.
    if not (small.max() < 100 <= large.min() and large.max() <= 999 and small.min() >= 1):
        return []
    if not np.array_equal(np.round(small, 3), small):
        return []
    return [
        f"{column.named(source, broken[0])}: {values[broken[0]]:g} beside whole numbers from "
        f"{large.min():g} to {large.max():g}: if its point was to mark thousands, correct the cells"
    ]

"""From cells to the values of a kind of column: numbers, levels, or seconds of dates."""

import functools
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxmtl import plain
from jaxmtl.data._errors import TableError
from jaxmtl.data.reading.cell_table import CellTable
from jaxmtl.plain.cells import (
    corrected,
    how_often,
    is_missing,
    looks_like_number,
    tidy,
)
from jaxmtl.plain.dates import (
    DateOrder,
    DateParts,
    Dates,
    date_parts,
    possible_orders,
    seconds_of,
)
from jaxmtl.plain.values import ErrorText


class Looks(NamedTuple):
    """What the cells of a column look like.

    Attributes:
        numbers: cells that look like numbers.
        dates: like dates or times, and like no numbers.
        truths: truth values.
        texts: anything else.
        different: how many different cells there are.
    """

    numbers: int
    dates: int
    truths: int
    texts: int
    different: int

    @property
    def known(self) -> int:
        """Cells that are not missing."""
        return self.numbers + self.dates + self.truths + self.texts


def looks_of(table: CellTable, name: str) -> Looks:
    """What the cells of a column look like.

    Args:
        table: with the column.
        name: of the column.

    Example:
        >>> from jaxmtl.data.reading.cell_table import table_of_cells
        >>> looks_of(table_of_cells({"a": ["1", "x", "2015-01-01", None, "1"]}), "a")
        Looks(numbers=2, dates=1, truths=0, texts=1, different=3)
    """
    return table.once(_looks, name)


def _looks(table: CellTable, name: str) -> Looks:
    cells, codes, notation = table.cells(name), table.missing[name], table.notation(name)
    values = table.plain(name)
    if values is not None:
        known = values[~np.isnan(values)]
        return Looks(len(known), 0, 0, 0, len(np.unique(known)))
    counts = Counter((type(cell), cell) for cell in cells)
    found = Counter[str]()
    different = 0
    for (kind, cell), times in counts.items():
        if is_missing(cell, codes):
            continue
        different += 1
        if kind is bool or (isinstance(cell, str) and plain.level_text(cell) in ("TRUE", "FALSE")):
            found["truths"] += times
        elif looks_like_number(cell, notation):
            found["numbers"] += times
        elif date_parts(cell) is not None:
            found["dates"] += times
        elif isinstance(cell, str) and looks_like_number(cell, notation) is None:
            different -= 1  # an error of a spreadsheet: refused where numbers are read
        else:
            found["texts"] += times
    return Looks(found["numbers"], found["dates"], found["truths"], found["texts"], different)


def levels_of(table: CellTable, name: str) -> list[str | None]:
    """The level of every row, None where missing.

    Args:
        table: with the column.
        name: of the column.

    Raises:
        TableError: a formula that was never computed, or one that failed.

    Example:
        >>> from jaxmtl.data.reading.cell_table import table_of_cells
        >>> levels_of(table_of_cells({"a": [1.0, True, "x ", None, "n/a"]}), "a")
        ['1', 'TRUE', 'x', None, None]
    """
    return table.once(_levels, name)


def _levels(table: CellTable, name: str) -> list[str | None]:
    table.refuse_formulas(name)
    codes = table.missing[name]

    def level(cell: Any) -> str | None:
        if is_missing(cell, codes):
            return None
        return plain.level_text(tidy(cell) if isinstance(cell, str) else cell)

    failed = next((i for i, cell in enumerate(table.cells(name)) if type(cell) is ErrorText), None)
    if failed is not None and not is_missing(table.cells(name)[failed], codes):
        raise TableError(
            f"{table.place(name, failed)}: expected a level of a category, got the spreadsheet "
            f"error {table.cells(name)[failed]}; correct its formula or clear the cell"
        )
    of_text = functools.cache(level)
    return [of_text(cell) if type(cell) is str else level(cell) for cell in table.cells(name)]


def dates_of(
    table: CellTable, name: str, order: DateOrder | None = None, *, stamps: bool = False
) -> tuple[Dates, DateOrder]:
    """A column as dates, and in which order day and month stand.

    Where no text of the column decides, the order is the one in which its dates do not fall; if
    that is true of both, the column is refused.

    Args:
        table: with the column.
        name: of the column.
        order: of day and month; None where that is to be found out.
        stamps: whether 20150131 is a date, too.

    Raises:
        TableError: names the first cell that is no date, or an order that cannot be told.

    Example:
        >>> from jaxmtl.data.reading.cell_table import table_of_cells
        >>> dates, order = dates_of(table_of_cells({"day": ["1/2/2015", "13/2/2015"]}), "day")
        >>> dates.seconds[1] - dates.seconds[0] == 12 * 86400, order
        (np.True_, 'dmy')
    """
    return table.once(_dates, name, order, stamps)


def _dates(
    table: CellTable, name: str, order: DateOrder | None, stamps: bool
) -> tuple[Dates, DateOrder]:
    table.refuse_formulas(name)
    codes, cells = table.missing[name], table.cells(name)
    known: dict[Any, DateParts] = {}
    blank: set[Any] = set()
    for row, cell in enumerate(cells):
        key = (type(cell), cell)
        if key in known or key in blank:
            continue
        parts = None if is_missing(cell, codes) else date_parts(cell, stamps=stamps)
        if parts is not None:
            known[key] = parts
        elif is_missing(cell, codes):
            blank.add(key)
        else:
            raise TableError(
                f"{table.place(name, row)}: expected a date or time, as most cells of the column "
                f"hold, got {str(cell)[:40]!r}; {corrected(str(cell))}"
                f"{how_often(cell, cells)}"
            )
    if order is None or order == "ymd":  # which says nothing of texts that leave a choice
        order = _order(table, name, known)
    seconds = {key: _valid(table, name, key, parts, order) for key, parts in known.items()}
    forms = {parts.form == "time" for parts in known.values()}
    if len(forms) > 1:
        raise TableError(
            f"{table.source}, column {name!r}: expected dates or times of the day, got both; "
            "write dates in all cells"
        )
    found = np.array([seconds.get((type(cell), cell), np.nan) for cell in cells], float)
    times = any(parts.seconds for parts in known.values())
    return Dates(found, forms != {True}, times), order


def _order(table: CellTable, name: str, known: dict[Any, DateParts]) -> DateOrder:
    orders = possible_orders(list(known.values()))
    place = f"{table.source}, column {name!r}"
    if len(orders) == 1:
        return orders[0]
    if not orders:
        first = next(key[1] for key, one in known.items() if one.form == "?" and one.first > 12)
        other = next(key[1] for key, one in known.items() if one.form == "?" and one.second > 12)
        raise TableError(
            f"{place}: expected day and month in one order, got {first!r} and {other!r}; write "
            "dates such as 2015-01-31"
        )
    rising: list[DateOrder] = [order for order in orders if _rises(table.cells(name), known, order)]
    if len(rising) != 1:
        example = next(str(key[1]) for key, one in known.items() if one.form == "?")
        raise TableError(
            f"{place}: {example!r} may mean two days, and no date of the column says which; say "
            "--kinds with date:dmy where the day comes first, or date:mdy"
        )
    return rising[0]


def _rises(cells: Sequence[Any], known: dict[Any, DateParts], order: DateOrder) -> bool:
    found = [known[key] for cell in cells if (key := (type(cell), cell)) in known]
    moments = np.array([seconds_of(parts, order) for parts in found], float)
    steps = np.diff(moments[~np.isnan(moments)])
    return bool((steps >= 0).all() or (steps <= 0).all())


def _valid(
    table: CellTable, name: str, key: tuple[type, Any], parts: DateParts, order: DateOrder
) -> float:
    seconds = seconds_of(parts, order)
    if seconds is None:
        cells = table.cells(name)
        row = next(i for i, cell in enumerate(cells) if (type(cell), cell) == key)
        raise TableError(
            f"{table.place(name, row)}: expected a date, got {str(key[1])!r}, a day that there is "
            f"not{' where the month comes first' if order == 'mdy' else ''}; correct the cell"
        )
    return seconds


def as_numbers(levels: Sequence[str | None]) -> Float[np.ndarray, " levels"] | None:
    """Levels that are all numbers, as numbers; None if one is not.

    Args:
        levels: of a category.

    Example:
        >>> as_numbers(["3", "2.5"]).tolist(), as_numbers(["3", "x"])
        ([3.0, 2.5], None)
    """
    numbers = []
    for level in levels:
        if level is not None:
            try:
                numbers.append(float(level))
            except ValueError:
                return None
            if plain.level_text(numbers[-1]) != level:  # 007, 1e5, inf
                return None
    return np.array(numbers, float)

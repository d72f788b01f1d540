"""The rows with the largest errors, as their owner finds them again."""

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from jaxtyping import Float, Int
from msgspec import Meta, Struct

from jaxmtl.data import CellTable, Columns, Data
from jaxmtl.prediction.divisions import cell_words, identifying
from jaxmtl.prediction.predictor import values_of
from jaxmtl.tasks import output_slices

WORST_ROWS = 20


class WorstRow(Struct):
    """A row that was predicted badly.

    Attributes:
        row: its number in the sheet.
        named: what it holds in the columns by which it is known again.
        task: that was predicted badly.
        observed: its value or class.
        predicted: the same.
        size: how many times the typical error it is off; of classes the probability that was given
            to the true one.

    Example:
        >>> WorstRow(row=7, named=["Delhi"], task="O3", observed=9.0, predicted=2.0, size=3.5).row
        7
    """

    row: Annotated[int, Meta(ge=1)]
    named: list[str]
    task: str
    observed: float | str
    predicted: float | str
    size: Annotated[float, Meta(ge=0)]


class WorstRows(Struct):
    """The rows that were predicted worst.

    Attributes:
        named: columns by which a row is known again.
        numbers: at most twenty, those farthest off first.
        classes: at most twenty, those whose true class was the least probable first.

    Example:
        >>> WorstRows(named=[], numbers=[], classes=[]).numbers
        []
    """

    named: list[str]
    numbers: Annotated[list[WorstRow], Meta(max_length=WORST_ROWS)]
    classes: Annotated[list[WorstRow], Meta(max_length=WORST_ROWS)]

    def __post_init__(self) -> None:
        """Checks what a file says."""
        for row in (*self.numbers, *self.classes):
            if len(row.named) != len(self.named):
                raise ValueError(f"worst rows: expected {len(self.named)} names of row {row.row}")


def worst_rows(
    table: CellTable,
    columns: Columns,
    data: Data,
    rows: Int[np.ndarray, " rows"],
    shown: Int[np.ndarray, " shown"],
    held: Float[np.ndarray, "shown outputs"],
    typical: Mapping[str, float | None],
) -> WorstRows:
    """Finds the rows with the largest errors of numbers, and with the least probable true classes.

    A row stands in each of the two lists once, with the task that was predicted worst.

    Args:
        table: from which the data were made.
        columns: what its columns are.
        data: what is true.
        rows: places of its rows in the table.
        shown: numbers of the rows in ``data`` that are predicted.
        held: what they were predicted to be by what had not seen them.
        typical: typical error of every number, by which errors of different tasks are compared.

    Returns:
        At most twenty of each.
    """
    names = identifying(columns)
    # How bad, place among the shown, task.
    of_numbers: list[tuple[float, int, int]] = []
    of_classes: list[tuple[float, int, int]] = []
    for t, (task, part) in enumerate(zip(data.tasks, output_slices(data.tasks), strict=True)):
        at = np.flatnonzero(data.known[shown, t] & np.isfinite(held[:, part]).all(axis=1))
        own, y = held[at, part], data.y[shown[at], t]
        if task.has_classes:
            bad = 1 - own[np.arange(len(at)), y.astype(int)].astype(float)
        else:
            bad = np.abs(y - values_of(task, own)) / (typical[task.name] or np.inf)
        first = at[np.argpartition(-bad, WORST_ROWS)[:WORST_ROWS]] if len(bad) > WORST_ROWS else at
        place = np.searchsorted(at, first)
        found = of_classes if task.has_classes else of_numbers
        found += [(size, i, t) for size, i in zip(bad[place].tolist(), first.tolist(), strict=True)]

    def told(found: list[tuple[float, int, int]]) -> list[WorstRow]:
        seen: dict[int, tuple[float, int]] = {}
        # Of equal ones, the first of the sheet.
        for size, i, t in sorted(found, key=lambda one: (-one[0], rows[shown[one[1]]], one[2])):
            if size > 0 and len(seen) < WORST_ROWS:
                seen.setdefault(i, (size, t))
        return [row(i, t, size) for i, (size, t) in seen.items()]

    def row(i: int, t: int, size: float) -> WorstRow:
        task, part = data.tasks[t], output_slices(data.tasks)[t]
        place = int(rows[shown[i]])
        y, own = float(data.y[shown[i], t]), float(values_of(task, held[i : i + 1, part])[0])
        return WorstRow(
            row=int(table.rows[place]),
            named=[cell_words(table.cells(name)[place]) for name in names],
            task=task.name,
            observed=str(task.classes[int(y)]) if task.has_classes else y,
            predicted=str(task.classes[int(own)]) if task.has_classes else float(f"{own:.6g}"),
            size=float(f"{1 - size if task.has_classes else size:.3g}"),
        )

    return WorstRows(named=list(names), numbers=told(of_numbers), classes=told(of_classes))

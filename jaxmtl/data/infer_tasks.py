"""What a column to be predicted is: a number, a count, or classes."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float

from jaxmtl._words import did_you_mean
from jaxmtl.data._errors import TableError
from jaxmtl.data.columns import Column
from jaxmtl.data.kinds import Declared
from jaxmtl.data.reading.cell_table import CellTable
from jaxmtl.data.typed import as_numbers, levels_of, looks_of
from jaxmtl.tasks import Task

_MOST_CLASSES = 1000
_FEW_LABELS = 50  # known ones, below which errors are very unsure
_RARE = 5  # rows of a class that are few to learn from
_COUNTED = 100  # rows by which counts are told from other whole numbers
_LARGEST = 1e100  # number whose square, summed over all rows, is still finite
_TAIL = 20.0  # times the mean that the greatest count is


def infer_task(
    table: CellTable, name: str, said: Declared | None, weight: float = 1.0
) -> tuple[Task, list[str]]:
    """The task of a column, and what the user should know of it.

    A number is a count without being declared one where whole numbers of at least 0 have a mean
    below their variance, many different values, and a greatest one that is twenty times the mean.

    Args:
        table: with the column.
        name: of the column.
        said: what the user says of it.
        weight: of the task.

    Raises:
        TableError: the column cannot be predicted as what it is, or holds no label.

    Example:
        >>> from jaxmtl.data.reading.cell_table import table_of_cells
        >>> table = table_of_cells({"level": ["good", "fair", None, "good"]})
        >>> infer_task(table, "level", None)[0].classes
        ('fair', 'good')
        >>> infer_task(table, "level", Declared("ordered", ("good", "fair")))[0].classes
        ('good', 'fair')
    """
    place = f"{table.source}, column {name!r}"
    looks = looks_of(table, name)
    if not looks.known:
        raise TableError(f"{place}: expected a target with known labels, got none in any row")
    kind = None if said is None else said.kind
    if kind == "date" or (kind is None and looks.dates > looks.known / 2):
        raise TableError(
            f"{place}: expected a target of numbers or classes, got dates; write what is to be "
            "predicted as a number, such as days since a day"
        )
    if kind in ("number", "count") or (kind is None and looks.numbers > looks.known / 2):
        task, notes = _number(table, name, kind, weight)
    else:
        task, notes = _classes(table, name, said, weight)
    if looks.known < _FEW_LABELS:
        few = f"{looks.known} known label{'s' * (looks.known != 1)}: few to learn from, and its"
        notes = [*notes, f"{place}: {few} errors may be far from those on new rows"]
    return task, notes


def label_columns(
    tasks: Sequence[Task], known: Bool[np.ndarray, "rows tasks"], table: CellTable
) -> list[Column]:
    """What is known of the columns that are predicted: gaps, and between what their numbers lie.

    Args:
        tasks: that are predicted.
        known: which labels are known, of the rows that have any.
        table: with all rows.

    Returns:
        A column a task.

    Example:
        >>> from jaxmtl.data.reading.cell_table import table_of_cells
        >>> from jaxmtl.tasks import number_tasks
        >>> table = table_of_cells({"CO": [0.5, None, 2.0, 1.0]})
        >>> found = label_columns(number_tasks(["CO"]), np.ones((3, 1), bool), table)
        >>> [(label.missing, label.range_words) for label in found]
        [(1, '0.5 to 2')]
    """
    labels = []
    for task, number in zip(tasks, known.sum(axis=0).tolist(), strict=True):
        low, high = None, None
        if not task.has_classes:
            values = table.numbers(task.name)
            low, high = float(np.nanmin(values)), float(np.nanmax(values))
        column = Column(
            name=task.name,
            kind="category" if task.has_classes else "number",
            missing=len(table) - number,
            rows=len(table),
            low=low,
            high=high,
            levels=tuple(map(str, task.classes)),
        )
        labels.append(column)
    return labels


def _number(table: CellTable, name: str, kind: str | None, weight: float) -> tuple[Task, list[str]]:
    place = f"{table.source}, column {name!r}"
    values, notes = table.numbers_noted(name)
    known = values[~np.isnan(values)]
    different = np.unique(known)
    counts = bool((known >= 0).all() and (known == np.floor(known)).all())
    if kind == "count" and not counts:
        row = int(
            np.flatnonzero((values < 0) | (values != np.floor(values)) & (values == values))[0]
        )
        raise TableError(
            f"{table.place(name, row)}: expected whole numbers of at least 0 in a count, got "
            f"{values[row]:g}; declare it as a number"
        )
    check_squares(values, lambda row: table.place(name, row))
    if len(different) == 1:
        notes = [*notes, f"{place}: {known[0]:g} in all rows with a label: nothing to learn"]
    elif len(different) == 2 and kind is None:
        low, high = (f"{value:g}" for value in different)
        notes = [
            *notes,
            f"{place}: holds {low} and {high} only, and is predicted as a number; "
            f"--kinds {name}=class predicts which of them",
        ]
    if kind == "count" or (kind is None and counts and _has_tail(known)):
        if kind is None:
            notes = [
                *notes,
                f"{place}: predicted as a count, as it holds whole numbers with a long tail up to "
                f"{known.max():g}; --kinds {name}=number predicts it as other numbers are",
            ]
        return Task(name=name, kind="count", weight=weight), notes
    if kind is None and counts and len(different) > 2 and different[0] == 0:
        notes = [
            *notes,
            f"{place}: holds whole numbers from 0 on; if it counts something, --kinds {name}=count "
            "keeps predictions and their intervals from falling below 0",
        ]
    return Task(name=name, weight=weight), notes


def check_levels(table: CellTable, name: str, wanted: Sequence[str]) -> None:
    """Raises TableError for a cell that holds none of the levels that were declared.

    Args:
        table: with the column.
        name: of the column.
        wanted: the levels in their order.

    Example:
        >>> from jaxmtl.data.reading.cell_table import table_of_cells
        >>> check_levels(table_of_cells({"a": ["low", "hihg"]}), "a", ("low", "high"))
        ... # doctest: +NORMALIZE_WHITESPACE
        Traceback (most recent call last):
            ...
        jaxmtl.plain.errors.TableError: the table, column 'a', row 2: expected one of the levels
        low < high, got 'hihg' (did you mean 'high'?); name all levels
    """
    for row, level in enumerate(levels_of(table, name)):
        if level is not None and level not in wanted:
            raise TableError(
                f"{table.place(name, row)}: expected one of the levels {' < '.join(wanted)}, got "
                f"{level!r}{did_you_mean(level, wanted)}; name all levels"
            )


def check_squares(values: Float[np.ndarray, " rows"], place: Callable[[int], str]) -> None:
    """Raises TableError for a target whose squared errors would be infinite, or all 0.

    Args:
        values: of the target, NaN where missing.
        place: how a sentence names a row, counted from 0.

    Example:
        >>> check_squares(np.array([2.0, 1e200]), "row {}".format)
        Traceback (most recent call last):
            ...
        jaxmtl.plain.errors.TableError: row 1: 1e+200 cannot be squared, as errors are; ...
    """
    sizes = np.nan_to_num(np.abs(values))
    row = int(np.argmax(sizes))
    if sizes[row] > _LARGEST:
        raise TableError(
            f"{place(row)}: {values[row]:g} cannot be squared, as errors are; write the column in "
            "a larger unit, or declare that value as missing"
        )
    if 0 < sizes[row] < 1 / _LARGEST:
        raise TableError(
            f"{place(row)}: {values[row]:g} is the largest number of the column, and its square is "
            "0; write the column in a smaller unit"
        )


def _has_tail(known: Float[np.ndarray, " known"]) -> bool:
    """Whether whole numbers can hardly be anything but counts."""
    mean = float(known.mean())
    return (
        len(known) >= _COUNTED
        and float(known.var()) > 2 * mean
        and len(np.unique(known)) > 10
        and float(known.max()) > _TAIL * max(mean, 1.0)
        and bool((known == 0).any())
    )


def _classes(
    table: CellTable, name: str, said: Declared | None, weight: float
) -> tuple[Task, list[str]]:
    place = f"{table.source}, column {name!r}"
    levels = levels_of(table, name)
    counts = Counter(level for level in levels if level is not None)
    wanted = said.levels if said is not None and said.kind == "ordered" else ()
    ordered = bool(wanted)
    if wanted:
        check_levels(table, name, wanted)
        names = wanted
    else:
        names = _sorted(counts)
    if len(counts) < 2 and not ordered:
        raise TableError(
            f"{place}: expected at least two classes, got only {next(iter(counts))!r}; choose "
            "another target"
        )
    many = len(counts) > _MOST_CLASSES or (len(counts) > 2 and len(counts) == counts.total())
    if many and not ordered:
        raise TableError(
            f"{place}: expected classes that come back, got {len(counts)} different texts in "
            f"{counts.total()} rows; choose another target, or correct its cells if they are meant "
            "for numbers"
        )
    numbers = as_numbers(names)
    whole = numbers is not None and bool((numbers == np.floor(numbers)).all())
    classes = tuple(int(level) for level in names) if whole else tuple(names)
    notes = [
        f"{place}: {counts[level]} row{'s' * (counts[level] != 1)} of class {level!r}: too few to "
        "learn it well"
        for level in names
        if counts[level] < _RARE
    ]
    return (
        Task(name=name, kind="ordered" if ordered else "classes", classes=classes, weight=weight),
        notes,
    )


def _sorted(levels: Counter[str]) -> tuple[str, ...]:
    numbers = as_numbers(list(levels))
    if numbers is None:
        return tuple(sorted(levels))
    return tuple(sorted(levels, key=float))

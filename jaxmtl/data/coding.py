"""The coding of a table: what of its columns a model sees, and what its outputs mean.

Applying it is ``jaxmtl.plain``'s, which works without this package.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxmtl import plain
from jaxmtl.data._errors import TableError
from jaxmtl.data.coded_words import words_of
from jaxmtl.data.coding_json import FORM, check_coding
from jaxmtl.data.columns import Columns
from jaxmtl.data.folds import Part
from jaxmtl.data.reading.cell_table import CellTable
from jaxmtl.data.typed import dates_of, levels_of
from jaxmtl.plain.notes import row_words
from jaxmtl.tasks import Task, check_outputs


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Encoded:
    """Coded features of some rows, and what is odd about them.

    Attributes:
        x: coded features.
        columns: names of the columns of the next three.
        missing: where a column holds nothing.
        unknown: where a category holds a level that was not among those learned from.
        outside: where a number or a date lies beyond all that were learned from.
        notes: what the user should know of the rows as a whole.
        dates: those of the columns that hold dates.

    Example:
        >>> no = np.zeros((1, 1), bool)
        >>> coded = Encoded(x=np.zeros((1, 1), np.float32), columns=("CO",), missing=~no,
        ...                 unknown=no, outside=no, notes=())
        >>> coded.row_words
        ['CO missing']
    """

    x: Float[np.ndarray, "rows features"]
    columns: tuple[str, ...]
    missing: Bool[np.ndarray, "rows columns"]
    unknown: Bool[np.ndarray, "rows columns"]
    outside: Bool[np.ndarray, "rows columns"]
    notes: tuple[str, ...]
    dates: tuple[str, ...] = ()

    @property
    def unknown_counts(self) -> dict[str, int]:
        """Rows with a new level, by the column; columns without any are not there."""
        return _counts(self.columns, self.unknown)

    @property
    def outside_counts(self) -> dict[str, int]:
        """Rows beyond the range, by the column; columns without any are not there."""
        return _counts(self.columns, self.outside)

    @property
    def row_words(self) -> list[str]:
        """What is odd about each row, for the eyes of its owner; empty where nothing is."""
        return row_words(self.columns, self.missing, self.unknown, self.outside, self.dates)


def _counts(columns: tuple[str, ...], marks: Bool[np.ndarray, "rows columns"]) -> dict[str, int]:
    sums = marks.sum(axis=0).tolist()
    return {name: number for name, number in zip(columns, sums, strict=True) if number}


class Labels(NamedTuple):
    """Targets of some rows.

    Attributes:
        y: numbers in original units, a class as its number; 0 where not known.
        known: where they are.

    Example:
        >>> Labels(np.array([[3.0, 0.0]]), np.array([[True, False]])).known.sum()
        np.int64(1)
    """

    y: Float[np.ndarray, "rows tasks"]
    known: Bool[np.ndarray, "rows tasks"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Coding:
    """From the cells of a table to features, and from outputs to predictions.

    Attributes:
        columns: how each column is coded, as JSON.
        tasks: that are predicted.

    Example:
        >>> from jaxmtl.data import fit_coding, infer_columns, table_of_cells
        >>> table = table_of_cells(
        ...     {"CO": [1, 2, 3, None], "city": list("ABBA"), "O3": [1, 2, 3, 4]})
        >>> coding = fit_coding(table, infer_columns(table, targets=["O3"]))
        >>> coding.features
        ('CO', 'CO missing', 'city = A', 'city = B')
        >>> coding.encode(table).x.shape, coding.targets(table).y[:, 0].tolist()
        ((4, 4), [1.0, 2.0, 3.0, 4.0])
    """

    columns: tuple[Mapping[str, Any], ...]
    tasks: tuple[Task, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the columns that a table needs."""
        return tuple(column["name"] for column in self.columns)

    @property
    def target_names(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return tuple(task.name for task in self.tasks)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the coded features, such as "city = A"."""
        return tuple(part.label for part in plain.parts_of({"columns": self.columns}))

    @property
    def parts(self) -> tuple[Part, ...]:
        """What each coded feature is."""
        return tuple(
            Part(*part[:3])  # pyright: ignore[reportArgumentType]
            for part in plain.parts_of({"columns": self.columns})
        )

    def encode(self, table: CellTable) -> Encoded:
        """Coded features of all rows of a table.

        Args:
            table: with all columns of ``inputs``.

        Returns:
            The features, and what is odd about the rows.

        Raises:
            TableError: a column is not there, or a cell is not of its kind.
        """
        lacking = [name for name in self.inputs if name not in table.columns]
        if lacking:
            raise TableError(
                f"{table.source}: expected the columns {', '.join(self.inputs)}, got none called "
                f"{', '.join(map(repr, lacking))}; name the columns as when the model learned"
            )
        values = {column["name"]: _values(table, column) for column in self.columns}
        coded = plain.encode({"columns": self.columns}, values)
        marks = (coded.missing, coded.unknown, coded.outside)
        notes = words_of(table.source, self.columns, values, *marks)
        return Encoded(
            x=coded.x,
            columns=self.inputs,
            missing=coded.missing,
            unknown=coded.unknown,
            outside=coded.outside,
            notes=notes,
            dates=tuple(c["name"] for c in self.columns if c["kind"] == "date"),
        )

    def targets(self, table: CellTable) -> Labels:
        """What is known of the tasks; a class that was not learned counts as not known.

        Args:
            table: with the columns of all tasks, or of some.

        Returns:
            Targets, and which are known.

        Raises:
            TableError: a cell is no number where one is to be.
        """
        y = np.full((len(table), len(self.tasks)), np.nan)
        for j, task in enumerate(self.tasks):
            if task.name not in table.columns:
                continue
            if not task.has_classes:
                y[:, j] = table.numbers(task.name)
                continue
            place: dict[str | None, float] = {str(one): i for i, one in enumerate(task.classes)}
            y[:, j] = [place.get(level, np.nan) for level in levels_of(table, task.name)]
        known = ~np.isnan(y)
        return Labels(np.where(known, y, 0), known)

    def decode(self, outputs: Float[np.ndarray, "rows outputs"]) -> dict[str, np.ndarray]:
        """Predictions in the words of the table.

        Args:
            outputs: numbers in original units, probabilities of classes.

        Returns:
            By the name of the task: numbers, or classes.

        Raises:
            ValueError: outputs of another shape.
        """
        check_outputs("outputs", outputs, self.tasks)
        found = plain.decode([task.to_json() for task in self.tasks], outputs)
        return dict(zip(self.target_names, found, strict=True))

    def to_json(self) -> dict[str, Any]:
        """As texts, numbers and lists."""
        return {
            "form": FORM,
            "columns": [dict(column) for column in self.columns],
            "tasks": [task.to_json() for task in self.tasks],
        }

    @staticmethod
    def from_json(saved: Any) -> "Coding":
        """The coding that ``to_json`` was called on.

        Args:
            saved: perhaps by way of a file.

        Returns:
            The coding.

        Raises:
            ValueError: it is none.

        Example:
            >>> Coding.from_json({"form": 1})
            Traceback (most recent call last):
                ...
            ValueError: coding: expected the fields form, columns, tasks, got {'form': 1}
        """
        check_coding(saved)
        tasks = tuple(Task.from_json(task) for task in saved["tasks"])
        return Coding(columns=tuple(saved["columns"]), tasks=tasks)


def _values(table: CellTable, column: Mapping[str, Any]) -> Any:
    """A column as ``plain.encode`` takes it."""
    if column["kind"] == "number":
        return table.numbers(column["name"])
    if column["kind"] == "category":
        return levels_of(table, column["name"])
    return dates_of(table, column["name"], column["order"], stamps=True)[0].seconds


def labelled_rows(table: CellTable, columns: Columns) -> Int[np.ndarray, " rows"]:
    """Places of the rows in which some target is known: those that can be learned from.

    Args:
        table: with the columns of the tasks.
        columns: with the tasks.

    Returns:
        From 0, ascending.

    Raises:
        TableError: there is none.

    Example:
        >>> from jaxmtl.data import infer_columns, table_of_cells
        >>> table = table_of_cells({"CO": [1, 2, 3], "O3": [1, None, 3]})
        >>> labelled_rows(table, infer_columns(table, targets=["O3"])).tolist()
        [0, 2]
    """
    known = Coding(columns=(), tasks=columns.tasks).targets(table).known
    rows = np.flatnonzero(known.any(axis=1))
    if not len(rows):
        raise TableError(f"{table.source}: expected a row with a known target, got none")
    return rows

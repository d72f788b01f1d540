"""Rows once, and which of them train, choose and are held out, fold by fold."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxmtl.data.prepare import Dataset
from jaxmtl.data.rows import Rows, Splits
from jaxmtl.data.splits import SplitIndices
from jaxmtl.tasks import Task, number_tasks


class Part(NamedTuple):
    """What one column of coded features is.

    Attributes:
        column: of the table from which it was made.
        role: "number"; "level" for 0 or 1, such as one level of a category or the flag of a gap; or
            "code" for the number of a level.
        size: levels of a code, that of levels not met before among them; 1 for others.

    Example:
        >>> Part("City", "code", 27).size
        27
    """

    column: str
    role: Literal["number", "level", "code"] = "number"
    size: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Data:
    """All rows that may be learned from, coded as methods take them.

    Attributes:
        x: coded features, scaled as the method wants them: the study's networks are made for 0..1.
        y: coded targets, a class as its number; where not known, anything finite. Predictions come
            back in their scale.
        known: which targets are known.
        tasks: what the columns of ``y`` are.
        parts: what the columns of ``x`` are; empty where all are numbers.

    Example:
        >>> data = Data(x=np.zeros((3, 2)), y=np.zeros((3, 1)), known=np.ones((3, 1), bool),
        ...             tasks=number_tasks(["CO"]))
        >>> data.rows(np.array([0, 2])).x.shape
        (2, 2)
    """

    x: Float[np.ndarray, "rows features"]
    y: Float[np.ndarray, "rows tasks"]
    known: Bool[np.ndarray, "rows tasks"]
    tasks: tuple[Task, ...]
    parts: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        """Checks that the shapes go together."""
        shape = (len(self.x), len(self.tasks))
        if self.parts and self.x.shape[1:] != (len(self.parts),):
            raise ValueError(
                f"data: expected a part for each column of x, whose shape is {self.x.shape}, got "
                f"{len(self.parts)} of them"
            )
        if self.x.ndim != 2 or self.y.shape != shape or self.known.shape != shape:
            raise ValueError(
                f"data: expected x (rows, features), y and known (rows, {len(self.tasks)} tasks), "
                f"got {self.x.shape}, {self.y.shape} and {self.known.shape}"
            )

    @property
    def complete(self) -> bool:
        """Whether every target is known."""
        return bool(self.known.all())

    def rows(self, numbers: Int[np.ndarray, " some"]) -> Rows:
        """Some rows as training takes them, without a mask where all targets of the data are known.

        A mask of True is no mask to the last bit: a sum over a count is not a mean.
        """
        known = None if self.complete else self.known[numbers]
        return Rows(self.x[numbers], self.y[numbers], known)

    def splits(self, fold: SplitIndices) -> Splits:
        """The rows of a fold; None for a part without rows."""
        parts = (self.rows(part) if len(part) else None for part in fold[1:])
        return Splits(self.rows(fold.train), *parts)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Folds:
    """Which rows of ``Data`` train, choose and are held out; a fold each.

    A fold is a list of row numbers, never a mask: an optimizer moves on a gradient of zero, too.

    Attributes:
        parts: a fold each: rows to fit on, rows to choose by, and rows that are held out of both.
        exchangeable: whether a row to be predicted may be taken for one of those held out, as
            intervals need it.
        why_not: the reason where it may not, in words; else empty.
        notes: what the user should know of how the rows were divided.

    Example:
        >>> none = np.array([], int)
        >>> folds = Folds(parts=(SplitIndices(np.array([0, 1]), none, np.array([2])),))
        >>> len(folds), [fold.test.tolist() for fold in folds]
        (1, [[2]])
    """

    parts: tuple[SplitIndices, ...]
    exchangeable: bool = True
    why_not: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of folds."""
        return len(self.parts)

    def __iter__(self) -> Iterator[SplitIndices]:
        """The folds in their order."""
        return iter(self.parts)


def data_of(datasets: Sequence[Dataset], tasks: Sequence[Task] | None = None) -> tuple[Data, Folds]:
    """Data sets that were each divided and scaled by themselves, as one value with a fold for each.

    Args:
        datasets: at least one, of the same columns.
        tasks: what the targets are; None: numbers of their names.

    Returns:
        The rows of all, one data set after the other, and their folds.

    Raises:
        ValueError: no data set, or other columns.

    Example:
        >>> from jaxmtl.data import Table, prepare, random_split
        >>> x = np.arange(12.0).reshape(6, 2)
        >>> table = Table(features=("a", "b"), targets=("c",), x=x, y=x[:, :1], rows=np.arange(6),
        ...               source="file a.csv", kept={})
        >>> sets = [prepare(table, random_split(6, seed=seed, test=0.5)) for seed in (0, 1)]
        >>> data, folds = data_of(sets)
        >>> data.x.shape, [len(fold.test) for fold in folds]
        ((12, 2), [3, 3])
    """
    if not datasets:
        raise ValueError("datasets: expected at least one, got none")
    columns = {(data.features, data.targets) for data in datasets}
    if len(columns) > 1:
        raise ValueError(f"datasets: expected the same columns in all, got {sorted(columns)}")
    every: list[Rows] = []
    parts, at = [], 0
    for dataset in datasets:
        numbers = []
        for rows in dataset.splits:
            size = 0 if rows is None else len(rows.x)
            numbers.append(np.arange(at, at + size))
            at += size
            if rows is not None:
                every.append(rows)
        parts.append(SplitIndices(*numbers))
    known = [
        np.ones((len(rows.x), len(datasets[0].targets)), bool)
        if rows.known is None
        else np.asarray(rows.known)
        for rows in every
    ]
    data = Data(
        x=np.concatenate([np.asarray(rows.x) for rows in every]),
        y=np.concatenate([np.asarray(rows.y) for rows in every]),
        known=np.concatenate(known),
        tasks=number_tasks(datasets[0].targets) if tasks is None else tuple(tasks),
    )
    return data, Folds(parts=tuple(parts))

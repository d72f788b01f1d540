"""Folds of rows: at random, by groups, in time, and drawn anew."""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float, Int

from jaxmtl.data._errors import TableError
from jaxmtl.data.folds import Data, Folds
from jaxmtl.data.splits import SplitIndices, random_split

_NONE = np.zeros(0, int)
_MANY_KNOWN = 0.9  # of the labels: their pattern needs no stratum of its own


def kfold(
    rows: int | Int[np.ndarray, " rows"],
    k: int = 5,
    *,
    seed: int = 0,
    strata: Int[np.ndarray, " rows"] | None = None,
    together: Int[np.ndarray, " rows"] | None = None,
) -> Folds:
    """Every row is held out once, at random.

    Args:
        rows: how many there are, or their numbers.
        k: number of folds, at least 2; fewer where there are not as many rows.
        seed: of NumPy's PCG64.
        strata: a number for each row; rows of one number are spread over the folds evenly.
        together: a number for each row; rows of one number, such as repeated ones, stay together.

    Returns:
        Folds whose sizes differ by one row at most (or by one of ``together``), none of them with
        rows to choose by.

    Raises:
        TableError: fewer than two rows or folds.

    Example:
        >>> folds = kfold(7, 3)
        >>> [len(fold.test) for fold in folds], sum(fold.test.sum() for fold in folds).item()
        ([3, 2, 2], 21)
    """
    rows = _numbers(rows)
    first = place = np.arange(len(rows))
    if together is not None:
        first, place = np.unique(together, return_index=True, return_inverse=True)[1:]
    k, notes = _folds(k, len(first), "rows" if together is None else "different rows")
    order = np.random.default_rng(seed).permutation(len(first))
    if strata is not None:
        order = order[np.argsort(np.asarray(strata)[first][order], kind="stable")]
    held = np.empty(len(first), int)
    held[order] = np.arange(len(first)) % k
    return Folds(parts=_parts(rows, held[place], k), notes=notes)


def grouped(
    groups: Int[np.ndarray, " rows"],
    k: int = 5,
    *,
    seed: int = 0,
    rows: Int[np.ndarray, " rows"] | None = None,
) -> Folds:
    """Every group is held out once, whole.

    Args:
        groups: the number of the group of each row.
        k: number of folds, at least 2; fewer where there are not as many groups.
        seed: of the order of groups.
        rows: numbers of the rows; None to count from 0.

    Returns:
        Folds of sizes as alike as the groups allow.

    Raises:
        TableError: fewer than two groups or folds.

    Example:
        >>> folds = grouped(np.array([0, 0, 0, 1, 2, 2]), 2)
        >>> [fold.test.tolist() for fold in folds]
        [[0, 1, 2], [3, 4, 5]]
    """
    rows = _numbers(len(groups) if rows is None else rows)
    of_row, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)[1:]
    k, notes = _folds(k, len(sizes), "groups")
    order = np.random.default_rng(seed).permutation(len(sizes))
    fold_of, filled = np.empty(len(sizes), int), np.zeros(k, int)
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        fold_of[group] = filled.argmin()
        filled[fold_of[group]] += sizes[group]
    alone = len(sizes) == len(rows)
    return Folds(
        parts=_parts(rows, fold_of[of_row], k),
        exchangeable=alone,
        why_not="" if alone else "rows of one group are alike, and new rows may be of new groups",
        notes=notes,
    )


def chronological(
    order: Float[np.ndarray, " rows"],
    k: int = 5,
    *,
    rows: Int[np.ndarray, " rows"] | None = None,
    past_only: bool = False,
) -> Folds:
    """Blocks in time are held out, one after the other; rows of one moment are never parted.

    Args:
        order: when each row was, ascending with time.
        k: number of blocks, at least 2; fewer where there are not as many moments.
        rows: numbers of the rows; None to count from 0.
        past_only: whether only rows before a block are learned from, so that the first of ``k`` + 1
            blocks is never held out; or else all rows outside of it.

    Returns:
        The folds, the earliest block first.

    Raises:
        TableError: fewer than two moments or folds, or a row without a moment.

    Example:
        >>> folds = chronological(np.array([3.0, 1.0, 2.0, 2.0]), 2)
        >>> [fold.test.tolist() for fold in folds]
        [[1], [0, 2, 3]]
        >>> later = chronological(np.arange(6.0), 2, past_only=True)
        >>> [(fold.train.tolist(), fold.test.tolist()) for fold in later]
        [([0, 1], [2, 3]), ([0, 1, 2, 3], [4, 5])]
    """
    order = np.asarray(order)
    if np.isnan(order).any():
        raise TableError("folds: expected a moment for every row, got none for some")
    rows = _numbers(len(order) if rows is None else rows)
    moments, of_row, sizes = np.unique(order, return_inverse=True, return_counts=True)
    k, notes = _folds(k, len(moments) - past_only, "moments")
    blocks = k + past_only
    # The block in which the middle row of a moment falls; but none is passed over or left empty.
    middle = (np.cumsum(sizes) - sizes / 2) / len(rows) * blocks
    number = np.arange(len(moments))
    block = np.minimum(middle.astype(int), blocks - 1) - number
    block = number + np.minimum.accumulate(np.minimum(block, 0))
    block = np.maximum(block, blocks - len(moments) + number)
    held = block[of_row]
    if past_only:
        parts = tuple(
            SplitIndices(rows[held < one], _NONE, rows[held == one]) for one in range(1, blocks)
        )
    else:
        parts = _parts(rows, held, k)
    return Folds(
        parts=parts,
        exchangeable=False,
        why_not="rows near each other in time are alike, and new rows are later than all others",
        notes=notes,
    )


def resplits(
    rows: int | Int[np.ndarray, " rows"],
    seeds: Iterable[int],
    *,
    test: float = 0.2,
    validation: float = 0.0,
    groups: Int[np.ndarray, " rows"] | None = None,
) -> Folds:
    """A random split for each seed.

    Args:
        rows: how many there are, or their numbers.
        seeds: one a fold.
        test: fraction of the rows to hold out; of the groups where there are any.
        validation: fraction of the rows to choose by.
        groups: the number of the group of each row; None: rows stand alone.

    Returns:
        The folds; their held-out rows overlap.

    Raises:
        TableError: fractions that leave no row for a part.

    Example:
        >>> [len(fold.test) for fold in resplits(10, seeds=(0, 1, 2))]
        [2, 2, 2]
    """
    rows = _numbers(rows)
    parts = []
    for seed in seeds:
        if groups is None:
            split = random_split(len(rows), seed=seed, test=test, validation=validation)
            parts.append(SplitIndices(*(rows[part] for part in split)))
            continue
        of_row = np.unique(np.asarray(groups), return_inverse=True)[1]
        split = random_split(of_row.max() + 1, seed=seed, test=test, validation=validation)
        parts.append(SplitIndices(*(rows[np.isin(of_row, part)] for part in split)))
    if not parts:
        raise TableError("folds: expected at least one seed, got none")
    alone = groups is None
    return Folds(
        parts=tuple(parts),
        exchangeable=alone,
        why_not="" if alone else "rows of one group are alike, and new rows may be of new groups",
    )


def one_split(split: SplitIndices, *, exchangeable: bool = True, why_not: str = "") -> Folds:
    """A single fold.

    Args:
        split: rows to fit on, to choose by and to hold out.
        exchangeable: whether new rows are like those held out.
        why_not: the reason where they are not.

    Returns:
        The fold.

    Example:
        >>> len(one_split(random_split(10, seed=0)))
        1
    """
    return Folds(parts=(split,), exchangeable=exchangeable, why_not=why_not)


def strata_of(data: Data) -> Int[np.ndarray, " rows"]:
    """What is to be spread over folds evenly: rare classes, and labels that few rows have.

    Args:
        data: with the targets.

    Returns:
        A number for each row, for ``kfold``.

    Example:
        >>> from jaxmtl.tasks import Task
        >>> rain = Task(name="rain", kind="classes", classes=("no", "yes"))
        >>> data = Data(x=np.zeros((3, 1)), y=np.array([[0.0], [1.0], [0.0]]), tasks=(rain,),
        ...             known=np.ones((3, 1), bool))
        >>> strata_of(data).tolist()
        [0, 1, 0]
    """
    marks: list[np.ndarray] = []
    for task, y, known in zip(data.tasks, data.y.T, data.known.T, strict=True):
        if task.has_classes:
            marks.append(np.where(known, y, -1).astype(int))
        elif known.mean() < _MANY_KNOWN:
            marks.append(known.astype(int))
    if not marks:
        return np.zeros(len(data.x), int)
    return np.unique(np.stack(marks, axis=1), axis=0, return_inverse=True)[1].reshape(-1)


def _numbers(rows: int | Sequence[int] | np.ndarray) -> Int[np.ndarray, " rows"]:
    return np.arange(rows) if isinstance(rows, int | np.integer) else np.asarray(rows)


def _folds(k: int, most: int, what: str) -> tuple[int, tuple[str, ...]]:
    if k < 2:
        raise TableError(f"folds: expected at least 2, got {k}")
    if most < 2:
        raise TableError(f"folds: expected at least 2 {what} to divide, got {most}")
    if k <= most:
        return k, ()
    return most, (f"{most} folds instead of {k}, as there are only {most} {what}",)


def _parts(
    rows: Int[np.ndarray, " rows"], held: Int[np.ndarray, " rows"], k: int
) -> tuple[SplitIndices, ...]:
    return tuple(
        SplitIndices(rows[held != one], np.zeros(0, int), rows[held == one]) for one in range(k)
    )

"""Which rows train, which choose between runs, and which are only reported on."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxmtl.data._errors import TableError
from jaxmtl.plain.cells import tidy

_WORDS = {
    "train": ("train", "training", "训练", "训练集"),
    "validation": ("validation", "valid", "val", "dev", "验证", "验证集"),
    "test": ("test", "testing", "测试", "测试集"),
}
_SPLIT_OF = {word: split for split, words in _WORDS.items() for word in words}


class SplitIndices(NamedTuple):
    """Numbers of the rows of each split, ascending, so that rows keep the order of the file.

    Attributes:
        train: rows to fit on.
        validation: rows to choose by; may be empty.
        test: rows to report on; may be empty.

    Example:
        >>> SplitIndices(np.array([0, 2]), np.array([], int), np.array([1])).test.tolist()
        [1]
    """

    train: Int[np.ndarray, " train"]
    validation: Int[np.ndarray, " validation"]
    test: Int[np.ndarray, " test"]


def random_split(
    num_rows: int,
    *,
    seed: int,
    test: float = 0.2,
    validation: float = 0.0,
    source: str | None = None,
) -> SplitIndices:
    """Draws the test and validation rows without replacement.

    Neighbouring days are alike, so a random split flatters a model of a time series; see
    `chronological_split`.

    Args:
        num_rows: rows of the table.
        seed: seed of NumPy's PCG64, at least 0.
        test: fraction of the rows to test on, in [0, 1); halves are rounded up.
        validation: fraction of the rows to validate on, in [0, 1).
        source: what the sentence of an error begins with, such as ``table.source``.

    Returns:
        Row numbers from 0.

    Raises:
        TableError: a fraction is out of range, or a split would have no row.

    Example:
        >>> split = random_split(10, seed=0, test=0.2, validation=0.1)
        >>> [len(rows) for rows in split], split.train.tolist() == sorted(split.train)
        ([7, 1, 2], True)
    """
    if seed < 0:
        raise TableError(f"{_start(source)}expected a seed of at least 0, got {seed}; choose one")
    num_test, num_validation = _count(num_rows, test, validation, 0, source)
    order = np.random.default_rng(seed).permutation(num_rows)
    drawn = num_test + num_validation
    return SplitIndices(
        train=np.sort(order[drawn:]),
        validation=np.sort(order[num_test:drawn]),
        test=np.sort(order[:num_test]),
    )


def chronological_split(
    num_rows: int,
    *,
    test: float = 0.2,
    validation: float = 0.0,
    gap: int = 0,
    source: str | None = None,
    times: Float[np.ndarray, " rows"] | None = None,
) -> SplitIndices:
    """Trains on the first rows, validates on later ones and tests on the last.

    Without ``times``, the rows of the file must be in the order of time, oldest first.

    Args:
        num_rows: rows of the table.
        test: fraction of the rows to test on, in [0, 1); halves are rounded up.
        validation: fraction of the rows to validate on, in [0, 1).
        gap: rows left out before each later split, so that neighbours do not tell its answers;
            they are taken from the training rows.
        source: what the sentence of an error begins with, such as ``table.source``.
        times: of the rows, by which they are put in order; those of one time stay together, in
            the later part.

    Returns:
        Row numbers from 0; with ``times`` in the order of time, else ascending.

    Raises:
        TableError: a fraction or the gap is out of range, or a split would have no row.

    Example:
        >>> [rows.tolist() for rows in chronological_split(8, test=0.25, validation=0.25, gap=1)]
        [[0, 1], [3, 4], [6, 7]]
    """
    if gap < 0:
        raise TableError(f"{_start(source)}expected a gap of at least 0 rows, got {gap}; widen it")
    num_test, num_validation = _count(num_rows, test, validation, gap, source)
    rows = np.arange(num_rows) if times is None else np.argsort(times, kind="stable")

    def start(place: int) -> int:
        """The first row of the same time."""
        if times is None or place == num_rows:
            return place
        return max(int(np.searchsorted(times[rows], times[rows[max(place, 0)]])), 0)

    test_from = start(num_rows - num_test)
    validation_to = test_from - (gap if num_test else 0)
    validation_from = start(validation_to - num_validation) if num_validation else validation_to
    train_to = validation_from - (gap if num_validation else 0)
    if train_to < 1 or (num_validation and validation_from >= validation_to):
        part = "train" if train_to < 1 else "validate"
        raise TableError(
            f"{_start(source)}expected rows of earlier times to {part} on, got none of "
            f"{num_rows}: too many have the same time; choose smaller parts or a finer time"
        )
    return SplitIndices(rows[:train_to], rows[validation_from:validation_to], rows[test_from:])


def column_split(
    values: Sequence[Any] | np.ndarray,
    *,
    place: str = "the split column",
    rows: Int[np.ndarray, " rows"] | None = None,
) -> SplitIndices:
    """Splits as a column of the table says.

    Args:
        values: "train", "validation" or "test" for each row, in any case; "training", "val",
            "valid", "dev", "testing" and the Chinese words are understood too.
        place: how the sentence of an error names the column, such as
            "file x.xlsx, sheet 'Sheet1', column 'split'".
        rows: row numbers of the sheet, for the sentence of an error; counted from 1 if None.

    Returns:
        Row numbers from 0.

    Raises:
        TableError: a cell holds another word, or no row is to train on.

    Example:
        >>> [rows.tolist() for rows in column_split(["train", "test", "Train"])]
        [[0, 2], [], [1]]
    """
    splits = []
    for i, value in enumerate(values):
        split = _SPLIT_OF.get(tidy(value).casefold()) if isinstance(value, str) else None
        if split is None:
            row = i + 1 if rows is None else rows[i]
            got = "nothing" if value is None else repr(value)
            raise TableError(
                f"{place}, row {row}: expected 'train', 'validation' or 'test', got {got}; "
                "write one of these words"
            )
        splits.append(split)
    marks = np.array(splits, dtype=str)
    train, validation, test = (np.flatnonzero(marks == split) for split in _WORDS)
    if not len(train):
        raise TableError(
            f"{place}: expected at least one row marked 'train', got none; mark some rows"
        )
    return SplitIndices(train, validation, test)


def _count(
    num_rows: int, test: float, validation: float, gap: int, source: str | None
) -> tuple[int, int]:
    """Numbers of test and validation rows; every split that is asked for gets a row."""
    start = _start(source)
    for name, fraction in (("test", test), ("validation", validation)):
        if not 0 <= fraction < 1:  # NaN too
            raise TableError(
                f"{start}expected a {name} fraction of at least 0 and below 1, got {fraction}; "
                "choose, for example, 0.2"
            )
    if test + validation >= 1:
        raise TableError(
            f"{start}expected test and validation fractions that leave rows to train on, got "
            f"{test} + {validation} of 1; choose smaller ones"
        )
    counts = []
    for name, fraction in (("test", test), ("validation", validation)):
        count = int(np.floor(num_rows * fraction + 0.5))
        if fraction > 0 and count == 0:
            raise TableError(
                f"{start}expected at least one row for the {name} split, got none with a fraction "
                f"of {fraction} of {num_rows} rows; add rows or choose a larger fraction"
            )
        counts.append(count)
    gaps = gap * sum(count > 0 for count in counts)
    if sum(counts) + gaps >= num_rows:
        without = f" and {gaps} rows in gaps" if gaps else ""
        raise TableError(
            f"{start}expected at least one row to train on, got none of {num_rows} rows after "
            f"{counts[0]} for the test and {counts[1]} for the validation split{without}; "
            "add rows or choose smaller splits"
        )
    return counts[0], counts[1]


def _start(source: str | None) -> str:
    return f"{source}: " if source else ""

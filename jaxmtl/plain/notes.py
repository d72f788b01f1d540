"""What is to be said of single rows that are predicted."""

from collections.abc import Collection, Sequence

import numpy as np

MOST_NAMED = 3  # columns that a note names
NOTE = "note"  # name of the column of notes
NOT_FINITE = "prediction is not finite"
MISSING = "missing feature"
OUTSIDE = "outside the training rows"


def row_words(
    columns: Sequence[str],
    missing: np.ndarray,
    unknown: np.ndarray,
    outside: np.ndarray,
    dates: Collection[str] = (),
) -> list[str]:
    """What is odd about each row; empty where nothing is.

    That a date lies beyond those that were learned from is no oddity of a row: so do all to come.

    Args:
        columns: their names.
        missing: (rows, columns), where nothing is known.
        unknown: (rows, columns), where a level is new.
        outside: (rows, columns), where a number is beyond the others.
        dates: those of the columns that hold dates.

    Example:
        >>> no, yes = np.array([[False, False]]), np.array([[True, True]])
        >>> row_words(["CO", "city"], no, no, yes)
        ['CO, city outside the range learned from']
    """
    words = [""] * len(missing)
    outside = outside & ~np.array([name in dates for name in columns], bool)
    kinds = ((missing, "missing"), (unknown, "new"), (outside, "outside the range learned from"))
    for marks, said in kinds:
        for row in np.flatnonzero(marks.any(axis=1)).tolist():
            named = ", ".join(columns[j] for j in np.flatnonzero(marks[row]).tolist())
            words[row] += f"{'; ' if words[row] else ''}{named} {said}"
    return words


def names_marked(marks: np.ndarray, names: Sequence[str], most: int = MOST_NAMED) -> str:
    """The names of the columns that are marked, a few of them if they are many.

    Args:
        marks: (features,) of one row.
        names: of the features.
        most: that are named.

    Returns:
        Names separated by commas.

    Example:
        >>> names_marked(np.array([True, False, True, True]), ["a", "b", "c", "d"], most=2)
        'a, c and 1 more'
    """
    found = [name for name, mark in zip(names, marks, strict=True) if mark]
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more


def notes_on_numbers(
    names: Sequence[str], missing: np.ndarray, odd: np.ndarray, outside: np.ndarray
) -> list[str]:
    """What is to be said of each row of a table of numbers; empty where nothing is.

    Args:
        names: of the features.
        missing: (rows, features), what a row without a prediction lacks.
        odd: (rows,), where a prediction is not finite.
        outside: (rows, features), where a value lies beyond those of the training rows.

    Example:
        >>> no, yes = np.zeros((1, 1), bool), np.ones((1, 1), bool)
        >>> notes_on_numbers(["CO"], no, no[0], yes)
        ['outside the training rows: CO']
    """
    notes: list[list[str]] = [[] for _ in missing]
    for row in np.flatnonzero(missing.any(axis=1)).tolist():
        notes[row].append(f"{MISSING}: {names_marked(missing[row], names)}")
    for row in np.flatnonzero(odd).tolist():
        notes[row].append(NOT_FINITE)
    for row in np.flatnonzero(outside.any(axis=1)).tolist():
        notes[row].append(f"{OUTSIDE}: {names_marked(outside[row], names)}")
    return ["; ".join(parts) for parts in notes]

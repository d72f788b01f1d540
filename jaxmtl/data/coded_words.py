"""What is odd about rows that are to be predicted, in words."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

_MOST_NAMED = 3  # levels in a note


def words_of(
    source: str,
    columns: Sequence[Mapping[str, Any]],
    values: Mapping[str, Any],
    missing: Bool[np.ndarray, "rows columns"],
    unknown: Bool[np.ndarray, "rows columns"],
    outside: Bool[np.ndarray, "rows columns"],
) -> tuple[str, ...]:
    """One sentence for each kind of oddity of a column.

    Args:
        source: of the rows.
        columns: as they are coded.
        values: of each, as they are coded from.
        missing: where nothing is known.
        unknown: where a level is new.
        outside: where a number is beyond the others.
    """
    notes = []
    for j, column in enumerate(columns):
        name = column["name"]
        place = f"{source}, column {name!r}"
        gaps = int(missing[:, j].sum())
        if gaps and not column["missing"]:
            level = column.get("coded") in ("levels", "code")
            notes.append(
                f"{place}: missing in {_rows(gaps)}, as in none that were learned from; taken as "
                + ("a new level" if level else "the middle of the others")
            )
        rows = np.flatnonzero(unknown[:, j])
        if len(rows):
            new = list(dict.fromkeys(values[name][i] for i in rows.tolist()))
            named = ", ".join(
                f"{level!r}{_in_other_case(level, column['levels'])}" for level in new[:_MOST_NAMED]
            ) + ", ..." * (len(new) > _MOST_NAMED)
            full = column["coded"] == "code"
            notes.append(
                f"{place}: {_rows(len(rows))} with levels that "
                f"{'are rare or new' if full else 'were not learned'} ({named}), predicted "
                "without them"
            )
        rows = np.flatnonzero(outside[:, j])
        if len(rows):
            notes.append(f"{place}: {_rows(len(rows))} {_far(column, values[name][rows])}")
    return tuple(notes)


def _in_other_case(level: Any, levels: Sequence[str]) -> str:
    """Which level it may be, if only its case is another; a new one is often near an old one."""
    found = next((one for one in levels if one.casefold() == str(level).casefold()), None)
    return "" if found is None else f" (did you mean {found!r}?)"


def _rows(number: int) -> str:
    return f"{number} row{'s' * (number != 1)}"


def _far(column: Mapping[str, Any], x: np.ndarray) -> str:
    """How far outside, in the units of the column."""
    low, high = column["low"], column["high"]
    show = day if column["kind"] == "date" else "{:.6g}".format
    below, above = x.min(), x.max()
    ends = [show(value) for value, out in ((below, below < low), (above, above > high)) if out]
    return (
        f"outside the range learned from, {show(low)} to {show(high)}: as far as "
        f"{' and '.join(ends)}"
    )


def day(seconds: float) -> str:
    """The day of a moment.

    Args:
        seconds: since 1970.

    Example:
        >>> day(1420070400.0)
        '2015-01-01'
    """
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=float(seconds))
    return f"{moment:%Y-%m-%d}"

"""Rows that sum up the others, found by what they are called and by what they hold."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

_MOST_SHARE = 1 / 3  # of rows with such a label; where there are more, it names a kind of row
_FEWEST = 3  # rows that a sum without a label is believed of
_FEWEST_BELOW = 6  # rows of which one may stand out
_FAR = 3.0  # times the largest of all others


class Totals(NamedTuple):
    """Places of rows, from 0.

    Attributes:
        certain: rows whose numbers are the sum, mean or the like of other rows.
        likely: rows that are only called so.
    """

    certain: list[int]
    likely: list[int]


def find_totals(
    named: Bool[np.ndarray, " rows"],
    values: Float[np.ndarray, "rows columns"],
    odd: Collection[int] = (),
) -> Totals:
    """The rows that sum up others.

    Args:
        named: whether a row is labelled as a total.
        values: of the columns in use, NaN where missing.
        odd: places of rows whose labels are unlike those of all others.

    Example:
        >>> rows = np.array([[1.0, 4.0], [2.0, 5.0], [3.0, 9.0], [6.0, 18.0]])
        >>> find_totals(np.array([False, False, False, True]), rows)
        Totals(certain=[3], likely=[])
        >>> find_totals(np.zeros(4, bool), rows[:3])
        Totals(certain=[], likely=[])
    """
    places = np.flatnonzero(named)
    if len(places) > _MOST_SHARE * len(values):
        return Totals([], [])
    certain: list[int] = []
    likely: list[int] = []
    for place in places.tolist():
        matches = any(_sums_up(values[place], values[rows]) for rows in _bases(place, named))
        (certain if matches else likely).append(place)
    for place in odd:
        others = values[:place][~named[:place]]
        known = ~np.isnan(values[place])
        sums = np.nansum(others, axis=0)[known]
        whole = len(others) >= _FEWEST and (sums != 0).any() and _close(values[place][known], sums)
        (certain if whole else likely).append(place)
    last = len(values) - 1
    for place in (last, 0) if last >= _FEWEST else ():
        if named[place] or place in odd:
            continue
        others = np.delete(values, place, axis=0)[~np.delete(named, place)]
        known = ~np.isnan(values[place])
        sums = np.nansum(others, axis=0)[known]
        if (sums != 0).sum() > 1 and _close(values[place][known], sums):
            certain.append(place)
    return Totals(certain, likely)


def is_far_above(place: int, values: Float[np.ndarray, "rows columns"]) -> bool:
    """Whether a row is as far above all others as a total is, whatever it is called.

    Args:
        place: of the row.
        values: of the columns in use, NaN where missing.

    Example:
        >>> rows = np.array([[1.0, 4.0]] * 9 + [[8.8, 37.0]])
        >>> is_far_above(9, rows), is_far_above(8, rows)
        (True, False)
    """
    others = np.abs(np.delete(values, place, axis=0))
    if len(others) < _FEWEST_BELOW:
        return False
    most = np.fmax.reduce(others)
    known = ~np.isnan(values[place]) & (most > 0)
    far = np.abs(values[place][known]) / _FAR > most[known]
    return bool(far.sum() > 1 and far.mean() > 0.5)


def _bases(place: int, named: Bool[np.ndarray, " rows"]) -> Iterator[Int[np.ndarray, " base"]]:
    """Rows that a total may be of: all others, those above, those below, and its own block."""
    others = np.flatnonzero(~named)
    above = others[others < place]
    before = np.flatnonzero(named[:place])
    yield others
    yield above
    yield others[others > place]
    if len(before):
        yield above[above > before[-1]]


def _sums_up(row: Float[np.ndarray, " columns"], base: Float[np.ndarray, "base columns"]) -> bool:
    known = ~np.isnan(row) & ~np.isnan(base).all(axis=0)
    if len(base) < 2 or not known.any():
        return False
    row, base = row[known], base[:, known]
    number = (~np.isnan(base)).sum(axis=0)
    mean = np.nansum(base, axis=0) / number
    squares = np.nansum((base - mean) ** 2, axis=0)
    found = (
        np.nansum(base, axis=0),
        mean,
        np.nanmedian(base, axis=0),
        np.nanmin(base, axis=0),
        np.nanmax(base, axis=0),
        number,
        np.sqrt(squares / np.maximum(number - 1, 1)),
        np.sqrt(squares / number),
    )
    return any(_close(row, one) for one in found)


def _close(row: Float[np.ndarray, " columns"], exact: np.ndarray) -> bool:
    """Whether numbers are others, rounded to the digits that they are written with."""
    for written, one in zip(row.tolist(), exact.tolist(), strict=True):
        text = repr(written)
        digits = len(text.partition(".")[2]) if "e" not in text and text[-2:] != ".0" else 0
        if abs(written - one) > 0.501 * 10.0**-digits + 1e-9 * abs(one):
            return False
    return True

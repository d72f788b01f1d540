"""What tasks of a run on a table share, in a sentence."""

from collections.abc import Mapping
from typing import Any, NamedTuple

REMAINS = 0.25  # correlation of residuals that is worth a sentence
TOGETHER = 0.5  # correlation of labels, likewise


class Pair(NamedTuple):
    """Two tasks and their correlations.

    Attributes:
        names: of both.
        rows: that carry both labels.
        labels: correlation of the labels.
        rest: correlation that remains after the features.
        low: lower end of its interval.
        high: upper end.

    Example:
        >>> Pair(("CO", "O3"), 20, 0.5, 0.1, -0.1, 0.3).rows
        20
    """

    names: tuple[str, str]
    rows: int
    labels: float
    rest: float
    low: float
    high: float


def pairs_of(metrics: Mapping[str, Any]) -> list[Pair]:
    """All pairs whose correlations are known, the most that remains first.

    Args:
        metrics: contents of ``metrics.json``.

    Returns:
        One a pair; none for a run that does not hold them.
    """
    found = metrics.get("relations")
    if found is None:
        return []
    names, pairs = found["tasks"], []
    for i, one in enumerate(names):
        for j, other in enumerate(names[:i]):
            parts = [found[part][i][j] for part in ("labels", "rest", "rest_low", "rest_high")]
            if None not in parts:
                pairs.append(Pair((other, one), found["rows"][i][j], *map(float, parts)))
    return sorted(pairs, key=lambda pair: -abs(pair.rest))


def relation_words(metrics: Mapping[str, Any]) -> str:
    """The pair that shares most beyond the features, or else most of all.

    Args:
        metrics: contents of ``metrics.json``.

    Returns:
        A sentence; empty where tasks share little.

    Example:
        >>> def both(value):
        ...     return [[None, value], [value, None]]
        >>> relations = {"tasks": ["PM2.5", "PM10"], "rows": both(90), "labels": both(0.84),
        ...              "rest": both(0.41), "rest_low": both(0.3), "rest_high": both(0.5)}
        >>> relation_words({"relations": relations})
        'PM2.5 and PM10 move together (0.84); after the features 0.41 remains (0.30 to 0.50).'
    """
    pairs = pairs_of(metrics)
    sure = [one for one in pairs if one.low > 0 or one.high < 0]
    told = [one for one in sure if abs(one.rest) >= REMAINS]
    if told:
        one = told[0]
        more = len(told) - 1
        also = (
            f" Something remains of {more} more {'pairs' if more > 1 else 'pair'}." if more else ""
        )
        return (
            f"{_both(one)} ({one.labels:.2f}); after the features {one.rest:.2f} remains "
            f"({one.low:.2f} to {one.high:.2f}).{also}"
        )
    close = sorted(pairs, key=lambda pair: -abs(pair.labels))
    if close and abs(close[0].labels) >= TOGETHER:
        one = close[0]
        return (
            f"{_both(one)} ({one.labels:.2f}), which the features tell: {one.rest:.2f} remains "
            f"({one.low:.2f} to {one.high:.2f})."
        )
    return ""


def _both(pair: Pair) -> str:
    first, second = pair.names
    if pair.labels >= TOGETHER / 2:
        return f"{first} and {second} move together"
    if pair.labels <= -TOGETHER / 2:
        return f"{first} and {second} move against each other"
    return f"{first} and {second} hardly move together"

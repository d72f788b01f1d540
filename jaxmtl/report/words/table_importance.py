"""What the columns of a table are worth to its predictions."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxmtl.report.words.layout import wrapped
from jaxmtl.report.words.numbers import decimals_for, fixed
from jaxmtl.tasks import Task

MOST_NAMED = 5  # columns of a task, in a line
MOST_IN_GROUP = 3  # columns that are named of those alike
HEADING = (
    "What matters?  (what is added to the typical error, of classes to the log loss, if a column "
    "were shuffled among the rows)"
)


class Worth(NamedTuple):
    """What a group of columns is worth to a task.

    Attributes:
        columns: their names, in words.
        added: to the error.
        low: lower end of its 95 % interval.
        high: upper end.

    Example:
        >>> Worth("CO", 2.0, 1.5, 2.5).added
        2.0
    """

    columns: str
    added: float
    low: float
    high: float


def worths(metrics: Mapping[str, Any], task: Task) -> list[Worth]:
    """What every group of columns is worth to a task, the most first.

    Args:
        metrics: contents of ``metrics.json``.
        task: one of those predicted.

    Returns:
        One a group; none where nothing is known.
    """
    found = metrics.get("importance")
    if found is None:
        return []
    own = found["tasks"][task.name]
    ends = zip(own["added"], own["low"], own["high"], strict=True)
    lines = [
        Worth(group_words(group), *map(float, parts))
        for group, parts in zip(found["groups"], ends, strict=True)
        if None not in parts
    ]
    return sorted(lines, key=lambda one: -one.added)


def group_words(group: Sequence[str]) -> str:
    """Columns that are alike, in words.

    Args:
        group: names.

    Returns:
        One, or up to three of them.

    Example:
        >>> group_words(["NO"]), group_words(["NO", "NOx"]), group_words(list("abcde"))
        ('NO', 'NO with NOx', 'a with b, c and 2 more')
    """
    first, *others = group
    if not others:
        return first
    shown = others if len(others) < MOST_IN_GROUP else others[: MOST_IN_GROUP - 1]
    more = len(others) - len(shown)
    return f"{first} with {', '.join(shown)}" + (f" and {more} more" if more else "")


def importance_lines(metrics: Mapping[str, Any], tasks: Sequence[Task]) -> list[str]:
    """The columns that matter most, a task a line.

    Args:
        metrics: contents of ``metrics.json``.
        tasks: that are predicted.

    Returns:
        Lines below a heading; none where nothing is known.

    Example:
        >>> of_task = {"added": [0.01, 2.0], "low": [-0.1, 1.5], "high": [0.1, 2.5]}
        >>> metrics = {"importance": {"groups": [["CO"], ["NO"]], "tasks": {"O3": of_task}}}
        >>> importance_lines(metrics, [Task(name="O3")])[1:]
        ['  O3  NO +2.00; nothing to tell of CO']
    """
    if metrics.get("importance") is None:
        return []
    wide = max(len(task.name) for task in tasks)
    lines = [HEADING]
    for task in tasks:
        words = importance_words(worths(metrics, task))
        start = f"  {task.name:{wide}}  "
        lines += wrapped(words, start=start, rest=" " * len(start))
    return lines


def importance_words(found: Sequence[Worth]) -> str:
    """The columns that matter most to a task.

    Args:
        found: from ``worths``.

    Returns:
        Names and what they add, and how many others there are.
    """
    sure = [one for one in found if one.low > 0]
    shown = sure[:MOST_NAMED]
    digits = decimals_for([one.added for one in shown], 3)
    words = ", ".join(f"{one.columns} +{fixed(one.added, digits)}" for one in shown)
    rest = []
    if more := sure[MOST_NAMED:]:
        rest.append(f"{len(more)} more add{'s' * (len(more) == 1)} less")
    unsure = [one.columns for one in found if one.low <= 0]
    if not sure:
        return "no column that can be told to matter"
    if unsure:
        few = len(unsure) <= MOST_IN_GROUP
        rest.append(f"nothing to tell of {', '.join(unsure) if few else f'{len(unsure)} others'}")
    return "; ".join([words, *rest])

"""How sure predictions of a run on a table are: intervals, and what they held."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxmtl.prediction.predicted_columns import level_words
from jaxmtl.prediction.shortage import Shortage, shortage_words
from jaxmtl.report.words.layout import aligned
from jaxmtl.report.words.numbers import decimals_for, fixed
from jaxmtl.report.words.table_quality import MOST_NAMED, names_in_words
from jaxmtl.statistics.conformal import binomial_interval
from jaxmtl.tasks import Task

HEADS = ("", "median width", "held", "of the lowest tenth", "of the highest tenth")
OF_WHAT = "; tenths: by true value"


def interval_lines(metrics: Mapping[str, Any], tasks: Sequence[Task], caution: str) -> list[str]:
    """Widths and coverage, a task a line.

    Args:
        metrics: contents of ``metrics.json``.
        tasks: that are predicted.
        caution: see ``caution_words``.

    Returns:
        Lines below a heading; none for a run without intervals.
    """
    found = metrics.get("intervals")
    if found is None:
        return []
    rows = [HEADS, *coverage_rows(found, tasks)]
    rows = rows if any(row[3] for row in rows[1:]) else [row[:3] for row in rows]
    heading = (
        f"How sure is a prediction?  ({level_words(found['level'])} intervals; held: share of rows "
        f"that were not learned from, 95 %{OF_WHAT if len(rows[0]) > 3 else ''}"
    )
    lines = [f"{heading})", *(f"  {line}" for line in aligned(rows, right=(1,)))]
    sentences = [*short_words(found, tasks), joint_words(found), caution]
    lines += [f"  {sentence}" for sentence in sentences if sentence]
    return lines


def short_words(found: Mapping[str, Any], tasks: Sequence[Task]) -> list[str]:
    """Why intervals are infinite, and sets hold all classes.

    Args:
        found: ``intervals`` of ``metrics.json``.
        tasks: that are predicted.

    Returns:
        A sentence for all tasks of which the same is to be said.

    Example:
        >>> of_task = {"width": None}
        >>> short_words({"level": 0.9, "tasks": {"CO": of_task},
        ...              "shortages": {"CO": {"needed": 9, "there": 8}}}, [Task(name="CO")])
        ['CO: a 90 % interval needs at least 9 rows with a known value; there are 8.']
    """
    shortages = found.get("shortages")
    said: dict[str, list[str]] = {}
    for task in tasks:
        width = found["tasks"][task.name]["width"]
        full = task.has_classes and width == task.width
        if shortages is None or (width is not None and not full and task.name not in shortages):
            continue
        if (short := shortages.get(task.name)) is not None:
            words = shortage_words(found["level"], Shortage(**short), classes=task.has_classes)
        elif full:
            words = f"all {task.width} classes are possible for every row at this level"
        else:
            words = "intervals are finite for new rows, not where parts of these rows are left out"
        said.setdefault(words, []).append(task.name)
    return [f"{names_in_words(names)}: {words}." for words, names in said.items()]


def coverage_rows(found: Mapping[str, Any], tasks: Sequence[Task]) -> list[tuple[str, ...]]:
    """Name, width and shares held, a task each.

    Args:
        found: ``intervals`` of ``metrics.json``.
        tasks: that are predicted.

    Returns:
        Texts.

    Example:
        >>> held = {"rows": 100, "held": 90}
        >>> of_task = {"all": held, "lowest": None, "highest": None, "width": 3.25}
        >>> coverage_rows({"level": 0.9, "tasks": {"CO": of_task}}, [Task(name="CO")])
        [('CO', '3.25', '90 % (82 to 95)', '', '')]
    """
    rows = []
    for task in tasks:
        own = found["tasks"][task.name]
        width = own["width"]
        if width is None:
            words = "infinite"
        elif task.has_classes:
            words = f"{width:.1f} of {task.width} classes"
        else:
            words = fixed(width, decimals_for([width], 3)) + (f" {task.unit}" if task.unit else "")
        parts = [own[part] for part in ("lowest", "highest")]
        tenths = ["" if part is None else f"{_percent(part)} %" for part in parts]
        rows.append((task.name, words, held_words(own["all"]), *tenths))
    return rows


def held_words(held: Mapping[str, int]) -> str:
    """The share of rows held, with its 95 % interval.

    Args:
        held: counts.

    Returns:
        A clause.

    Example:
        >>> held_words({"rows": 100, "held": 90})
        '90 % (82 to 95)'
    """
    if not held["rows"]:
        return "no labels"
    low, high = binomial_interval(held["held"], held["rows"])
    return f"{_percent(held)} % ({100 * low:.0f} to {100 * high:.0f})"


def joint_words(found: Mapping[str, Any]) -> str:
    """What the intervals of all tasks together held.

    Args:
        found: ``intervals`` of ``metrics.json``.

    Returns:
        A sentence; empty with one task.
    """
    if found["joint"] is None:
        return ""
    if (short := found.get("joint_shortage")) is not None:
        words = shortage_words(found["level"], Shortage(**short), joint=True)
        return f"{words[0].upper()}{words[1:]}."
    return f"Intervals for all columns at once (predict --joint) held {held_words(found['joint'])}."


def within_words(metrics: Mapping[str, Any], tasks: Sequence[Task]) -> str:
    """How far predictions of numbers are from the truth, in one sentence.

    Args:
        metrics: contents of ``metrics.json``.
        tasks: that are predicted.

    Returns:
        The sentence, by half the median width; empty where no interval says it, and for more tasks
        than a sentence bears.

    Example:
        >>> found = {"level": 0.9, "tasks": {"CO": {"width": 3.0}}}
        >>> within_words({"intervals": found}, [Task(name="CO")])
        'In 90 % of rows the truth lies within about 1.50 of the prediction for CO.'
    """
    found = metrics.get("intervals")
    if found is None:
        return ""
    said: list[str] = []
    for task in tasks:
        width = found["tasks"][task.name]["width"]
        if not task.has_classes and width is not None:
            unit = f" {task.unit}" if task.unit else ""
            of = "" if said else " of the prediction"
            half = fixed(width / 2, decimals_for([width / 2], 3))
            said.append(f"{half}{unit}{of} for {task.name}")
    if not said or len(said) > MOST_NAMED:
        return ""
    level = level_words(found["level"])
    return f"In {level} of rows the truth lies within about {', '.join(said)}."


def caution_words(settings: Mapping[str, Any]) -> str:
    """Why the level may not be held by new rows.

    Args:
        settings: of the run.

    Returns:
        A sentence; empty where rows were parted at random.

    Example:
        >>> caution_words({"group": "city"})
        'Rows of a new city may differ more than these did: the level is not guaranteed there.'
    """
    if settings.get("group"):
        what = f"Rows of a new {settings['group']}"
    elif settings.get("time"):
        what = "Rows of later times"
    else:
        return ""
    return f"{what} may differ more than these did: the level is not guaranteed there."


def _percent(held: Mapping[str, int]) -> str:
    return f"{100 * held['held'] / held['rows']:.0f}" if held["rows"] else "–"

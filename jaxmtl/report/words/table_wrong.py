"""Where the predictions of a run on a table are wrong."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from jaxmtl.prediction.reliability import Reliability
from jaxmtl.report.words.layout import WIDTH, aligned, wrapped
from jaxmtl.report.words.numbers import decimals_for, fixed
from jaxmtl.report.words.table_quality import names_in_words
from jaxmtl.tasks import Task

MOST_NAMED = 3  # findings of one line
MOST_PROBABILITIES = 3  # targets of one line
LONGEST = 28  # characters of a cell
SURE = "95 % sure of all that was looked at"
PROBABILITIES = {
    "few": "have too few rows to be judged",
    "right": "can be taken as they are",
    "nearly": "can nearly be taken as they are",
    "too sure": "are too sure of themselves",
    "not sure enough": "are not sure enough of themselves",
    "both": "are too sure in some places and not sure enough in others",
    "too high": "are too high",
    "too low": "are too low",
}


class Finding(NamedTuple):
    """Rows with larger errors than all have, more than chance allows.

    Attributes:
        task: that is predicted.
        where: which rows, in words.
        rows: how many.
        typical: typical error there; of classes the share that is wrong.
        overall: that of all rows.
        times: how many times larger it is for sure.

    Example:
        >>> Finding(Task(name="O3"), "where city is Delhi", 90, 61.0, 33.0, 1.4).where
        'where city is Delhi'
    """

    task: Task
    where: str
    rows: int
    typical: float
    overall: float
    times: float


def findings(found: Mapping[str, Any], task: Task) -> list[Finding]:
    """Where a task is predicted worse than elsewhere, the worst first.

    Args:
        found: ``where_wrong`` of ``metrics.json``.
        task: one of those predicted.

    Returns:
        Levels of categories, spans of time and parts of what is predicted; neighbours are one.

    Example:
        >>> part = {"rows": [50, 50], "typical": [1.0, 3.0], "times": [0.4, 1.14]}
        >>> division = {"kind": "time", "labels": ["2019", "2020"], "tasks": {"O3": part}}
        >>> found = {"typical": {"O3": 2.2}, "divisions": [division], "levels": {}}
        >>> [(one.where, one.times) for one in findings(found, Task(name="O3"))]
        [('in 2020', 1.14)]
    """
    overall = found["typical"][task.name]
    if not overall:
        return []
    listed = []
    for level in found["levels"].get(task.name, {"worst": []})["worst"]:
        if level["times"] > 1 and level["typical"] > overall:
            words, times = f"where {level['column']} is {level['level']}", level["times"]
            listed.append(Finding(task, words, level["rows"], level["typical"], overall, times))
    for division in found["divisions"]:
        own = division["tasks"].get(task.name)
        if own is not None:
            listed += _in_runs(division, own, task, overall)
    return sorted(listed, key=lambda one: -one.times)


def _in_runs(
    division: Mapping[str, Any], own: Mapping[str, Any], task: Task, overall: float
) -> list[Finding]:
    worse = [
        times is not None and times > 1 and typical > overall
        for times, typical in zip(own["times"], own["typical"], strict=True)
    ]
    around = division["kind"] in ("month", "hour")
    found = []
    for run in _runs(worse, around=around):
        rows = np.array([own["rows"][i] for i in run])
        sizes = np.array([own["typical"][i] for i in run], float)
        power = 1 if task.has_classes else 2
        typical = float((sizes**power @ rows / rows.sum()) ** (1 / power))
        times = max(own["times"][i] for i in run)
        where = _span_words(division, own, run)
        found.append(Finding(task, where, int(rows.sum()), typical, overall, times))
    return found


def _runs(marks: Sequence[bool], *, around: bool) -> list[list[int]]:
    """Marked places in runs of neighbours; the last and the first may be neighbours, too."""
    runs: list[list[int]] = []
    for i, mark in enumerate(marks):
        if mark and runs and runs[-1][-1] == i - 1:
            runs[-1].append(i)
        elif mark:
            runs.append([i])
    if around and len(runs) > 1 and runs[0][0] == 0 and runs[-1][-1] == len(marks) - 1:
        runs[0] = runs.pop() + runs[0]
    return runs


def _span_words(division: Mapping[str, Any], own: Mapping[str, Any], run: Sequence[int]) -> str:
    if division["kind"] == "prediction":
        ends = [own["predicted"][i] for i in (run[0], run[-1])]
        digits = decimals_for(ends, 2)
        words = [fixed(end, digits) for end in ends]
        return f"where about {' to '.join(dict.fromkeys(words))} is predicted"
    labels = division["labels"]
    if len(run) == 1:
        return f"in {labels[run[0]]}"
    return f"in {labels[run[0]].split(' to ')[0]} to {labels[run[-1]].split(' to ')[-1]}"


def finding_words(one: Finding) -> str:
    """A finding as a sentence names it.

    Args:
        one: what was found.

    Example:
        >>> finding_words(Finding(Task(name="O3"), "where city is Delhi", 90, 61.0, 33.0, 1.4))
        'where city is Delhi (typical error 61.0 against 33.0 overall)'
    """
    return f"{one.where} ({error_words(one.task, one.typical, one.overall)})"


def error_words(task: Task, typical: float, overall: float) -> str:
    """An error beside that of all rows.

    Args:
        task: that is predicted.
        typical: error of some rows; of classes the share that is wrong.
        overall: that of all.

    Example:
        >>> task = Task(name="level", kind="classes", classes=("low", "high"))
        >>> error_words(task, 0.412, 0.2)
        '41 % wrong against 20 % overall'
    """
    if task.has_classes:
        return f"{100 * typical:.0f} % wrong against {100 * overall:.0f} % overall"
    digits = decimals_for([typical, overall], 3)
    unit = f" {task.unit}" if task.unit else ""
    return f"typical error {fixed(typical, digits)} against {fixed(overall, digits)}{unit} overall"


def wrong_lines(metrics: Mapping[str, Any], tasks: Sequence[Task], place: str) -> list[str]:
    """The most that there is to say in three lines.

    Args:
        metrics: contents of ``metrics.json``.
        tasks: that are predicted.
        place: folder of the run.

    Returns:
        Lines; none where nothing is known.
    """
    found = metrics.get("where_wrong")
    if found is None:
        return []
    each = [one for task in tasks for one in findings(found, task)]
    each.sort(key=lambda one: -one.times)
    lines = ["Nowhere more wrong than elsewhere, as far as these rows tell"]
    if each:
        said = [_most_wrong(each[:number], len(tasks) > 1) for number in range(MOST_NAMED, 0, -1)]
        lines = [next((line for line in said if len(line) <= WIDTH), said[-1])]
    lines += probability_lines(found, tasks)
    if number := len(found["worst"]["numbers"]) or len(found["worst"]["classes"]):
        many = f"The {number} rows" if number > 1 else "The row"
        lines.append(
            f"{many} with the largest errors: report.html, or jaxmtl inspect {shlex.quote(place)} "
            "--worst"
        )
    return lines


def _most_wrong(shown: Sequence[Finding], several: bool) -> str:
    clauses = []
    for task in dict.fromkeys(one.task.name for one in shown):
        own = clauses_of([one for one in shown if one.task.name == task])
        clauses.append(f"{task} {own}" if several else own)
    return f"Most wrong: {'; '.join(clauses)}"


def clauses_of(found: Sequence[Finding]) -> str:
    """What was found of one task, the first beside the error of all rows.

    Args:
        found: at least one.

    Example:
        >>> one = Finding(Task(name="O3"), "where city is Delhi", 90, 61.0, 33.0, 1.4)
        >>> clauses_of([one, one._replace(where="in Nov to Jan", typical=52.3)])
        'where city is Delhi (typical error 61.0 against 33.0 overall), in Nov to Jan (52.3)'
    """
    others = [f"{one.where} ({_error(one.task, one.typical)})" for one in found[1:]]
    return ", ".join([finding_words(found[0]), *others])


def probability_lines(found: Mapping[str, Any], tasks: Sequence[Task]) -> list[str]:
    """Whether probabilities of classes can be taken as they are, in one line.

    Args:
        found: ``where_wrong`` of ``metrics.json``.
        tasks: that are predicted.

    Returns:
        The line; no line without classes.
    """
    by_verdict: dict[str, list[str]] = {}
    for task in tasks:
        if (own := found["reliability"].get(task.name)) is not None:
            by_verdict.setdefault(PROBABILITIES[verdict_of(own)], []).append(task.name)
    clauses = [f"of {_few(names)} {words}" for words, names in by_verdict.items()]
    return [f"Probabilities {'; '.join(clauses)}"] if clauses else []


def _few(names: Sequence[str]) -> str:
    return names_in_words(names) if len(names) <= MOST_PROBABILITIES else f"{len(names)} targets"


def verdict_of(saved: Mapping[str, Any]) -> str:
    """What is to be thought of the probabilities of a task: see ``Reliability.verdict``.

    Args:
        saved: of it, in ``metrics.json``.
    """
    return msgspec.convert(saved, Reliability).verdict


def reliability_words(saved: Mapping[str, Any], task: Task) -> str:
    """Whether the probabilities of a task can be taken as they are, in one sentence.

    Args:
        saved: its reliability in ``metrics.json``.
        task: of classes.

    Example:
        >>> saved = {"of": None, "rows": [90], "said": [0.9], "true": [0.7], "low": [0.6],
        ...          "high": [0.8], "error": 0.2, "floor": 0.03, "floor_high": 0.06}
        >>> reliability_words(saved, Task(name="level", kind="classes", classes=("a", "b", "c")))
        ... # doctest: +NORMALIZE_WHITESPACE
        'Probabilities of level are too sure of themselves: off by 20 of 100 on average, where
        chance alone makes 3 (up to 6). Where 90 % is said, 70 % are right (60 to 80).'
    """
    kind = verdict_of(saved)
    start = f"Probabilities of {task.name}"
    if kind == "few":
        return f"{start} {PROBABILITIES[kind]}."
    off, floor, most = (100 * saved[name] for name in ("error", "floor", "floor_high"))
    digits = 0 if off >= 3 and floor >= 1 else 1
    sentence = (
        f"{start} {PROBABILITIES[kind]}: off by {off:.{digits}f} of 100 on average, where "
        f"chance alone makes {floor:.{digits}f} (up to {most:.{digits}f})."
    )
    if kind in ("right", "nearly"):
        return sentence
    rows, said, true = (np.array(saved[name], float) for name in ("rows", "said", "true"))
    worst = int(np.argmax(rows * np.abs(said - true)))
    low, high = saved["low"][worst], saved["high"][worst]
    right = "are right" if saved["of"] is None else f"are {saved['of']}"
    return (
        f"{sentence} Where {100 * said[worst]:.0f} % is said, {100 * true[worst]:.0f} % {right} "
        f"({100 * low:.0f} to {100 * high:.0f})."
    )


def worst_text(metrics: Mapping[str, Any], tasks: Sequence[Task]) -> str:
    """All parts that are worse than the whole, and the rows with the largest errors.

    Args:
        metrics: contents of ``metrics.json``.
        tasks: that are predicted.

    Returns:
        Lines of plain text; empty where nothing is known.
    """
    found = metrics.get("where_wrong")
    if found is None:
        return ""
    lines = [f"Where is it wrong?  ({SURE})"]
    for task in tasks:
        overall = found["typical"][task.name]
        if overall is None:
            lines.append(f"  {task.name}: no row with a known value")
            continue
        own = findings(found, task)
        words = clauses_of(own) if own else "nowhere more wrong than elsewhere"
        start = f"  {task.name}: "
        lines += wrapped(words, start=start, rest="    ")
        if (saved := found["reliability"].get(task.name)) is not None:
            lines += wrapped(reliability_words(saved, task), start="    ", rest="    ")
    blocks = ["\n".join(lines)]
    for heading, kind in (
        ("Rows farthest off, in typical errors", "numbers"),
        ("Rows whose true class was the least probable", "classes"),
    ):
        if found["worst"][kind]:
            rows = aligned(row_cells(found["worst"], kind), right=(0,))
            blocks.append("\n".join([heading, *(f"  {row}" for row in rows)]))
    return "\n\n".join(blocks)


def row_cells(worst: Mapping[str, Any], kind: str) -> list[tuple[str, ...]]:
    """The rows with the largest errors, a line of texts each, behind one of heads.

    Args:
        worst: of ``where_wrong``.
        kind: "numbers" or "classes".

    Returns:
        Row of the sheet, what names it, target, observed, predicted, and how bad it is.
    """
    last = "times off" if kind == "numbers" else "probability"
    lines: list[tuple[str, ...]] = []
    lines.append(("row", *map(_short, worst["named"]), "target", "observed", "predicted", last))
    for row in worst[kind]:
        values = [row["observed"], row["predicted"]]
        if kind == "numbers":
            digits = decimals_for(values, 3)
            values = [fixed(value, digits) for value in values]
            size = f"{row['size']:.1f}"
        else:
            size = f"{100 * row['size']:.2g} %"
        named = map(_short, row["named"])
        lines.append((str(row["row"]), *named, row["task"], *map(_short, values), size))
    return lines


def _error(task: Task, typical: float) -> str:
    if task.has_classes:
        return f"{100 * typical:.0f} %"
    return fixed(typical, decimals_for([typical], 3))


def _short(cell: str) -> str:
    line = " ".join(cell.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"

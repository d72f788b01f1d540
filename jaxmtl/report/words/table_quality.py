"""How good the predictions of a run on a table are, what they come from, and what they are for."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxmtl.metrics.measures import main_measure
from jaxmtl.prediction.family_words import FAMILY_WORDS, said
from jaxmtl.report.words.layout import aligned, wrapped
from jaxmtl.report.words.numbers import decimals_for, fixed
from jaxmtl.tasks import Task

MOST_NAMED = 8  # tasks that one sentence names
MOST_SHARING = 4  # tasks of which one sentence says by how much
# Least share of the mean's loss that is gone, and how that is said.
GRADES = ((0.9, "closely"), (0.6, "well enough to fill gaps"), (0.25, "roughly"), (0.005, "hardly"))
HEADS = {name: words.removeprefix("a ").split(" ", 1) for name, words in FAMILY_WORDS.items()}
TYPICAL = "typical error = RMSE; R²: 1 perfect, 0 no better than the mean"


class Quality(NamedTuple):
    """Errors of one task.

    Attributes:
        task: that was predicted.
        title: of the measure, with the unit.
        own: of the model that was kept, as a text.
        explained: share explained or share right, as a text; empty where it is not known.
        others: of every family, as texts with as many digits, by name.
        right: of classes, the share that every family has right, as texts by name.
        relative: loss over that of predicting the mean; NaN where it is not known.
        share: R² of a number or count; NaN where it is not known, and of classes.
    """

    task: Task
    title: str
    own: str
    explained: str
    others: Mapping[str, str]
    right: Mapping[str, str]
    relative: float
    share: float = math.nan


def qualities(metrics: Mapping[str, Any], tasks: Sequence[Task]) -> list[Quality]:
    """What ``metrics.json`` says of every task.

    Args:
        metrics: its contents.
        tasks: that are predicted.

    Returns:
        One a task.
    """
    *others, own = metrics["leaderboard"]
    found = []
    for task in tasks:
        measure = main_measure(task)
        values = [line["measures"][task.name][measure.name] for line in (own, *others)]
        values = [math.nan if value is None else value for value in values]
        shown = [fixed(value, decimals_for(values, 3)) for value in values]
        relative = own["relative"][task.name]
        found.append(
            Quality(
                task=task,
                title=measure.title_of(task, ""),
                own=shown[0],
                explained=_explained(task, own["measures"][task.name]),
                others=dict(zip((line["name"] for line in others), shown[1:], strict=True)),
                right={
                    line["name"]: _explained(task, line["measures"][task.name]) for line in others
                }
                if task.has_classes
                else {},
                relative=math.nan if relative is None else float(relative),
                share=_share(own["measures"][task.name]),
            )
        )
    return found


def _share(measured: Mapping[str, Any]) -> float:
    value = measured.get("r2")
    return math.nan if value is None else float(value)


def _explained(task: Task, measured: Mapping[str, Any]) -> str:
    value = measured.get("accuracy" if task.has_classes else "r2")
    if value is None:
        return ""
    return f"{value:.0%} right".replace("%", " %") if task.has_classes else f"{value:.2f}"


def error_lines(metrics: Mapping[str, Any], tasks: Sequence[Task]) -> list[str]:
    """The leaderboard, a task a line.

    Args:
        metrics: contents of ``metrics.json``.
        tasks: that are predicted.

    Returns:
        Lines below a heading.
    """
    found = qualities(metrics, tasks)
    plain = all(one.title == "RMSE" for one in found)
    own = metrics["leaderboard"][-1]["name"]
    heads = [HEADS.get(name, ("", name)) for name in (own, *found[0].others)]
    rows = [
        ("", "", heads[0][0], "", *(head[0] for head in heads[1:])),
        ("", "" if plain else "measure", heads[0][1], "R²", *(head[1] for head in heads[1:])),
    ]
    for one in found:
        title = "" if plain else one.title
        rows.append((one.task.name, title, one.own, one.explained, *one.others.values()))
    rows = [row[:1] + row[2:] for row in rows] if plain else rows
    numbers = range(1 if plain else 2, len(rows[0]))
    return [
        f"How good is it?  ({TYPICAL})",
        *(f"  {line}" for line in aligned(rows, right=numbers)),
        *wrapped(f"{verdict_of(found)} {line_words(metrics, tasks)}", start="  ", rest="    "),
    ]


def verdict_of(found: Sequence[Quality]) -> str:
    """What the predictions are good for, in one sentence.

    Args:
        found: of every task.

    Returns:
        The sentence.

    Example:
        >>> one = Quality(Task(name="O3"), "RMSE", "3.1", "0.93", {}, {}, 0.07)
        >>> two = one._replace(task=Task(name="CO"), relative=1.0)
        >>> verdict_of([one, two])
        'Predicts O3 closely; CO no better than the mean does.'
        >>> verdict_of([one] * 8 + [two])
        'Predicts 8 columns closely; CO no better than the mean does.'
    """
    parts: dict[str, list[str]] = {words: [] for _, words in GRADES}
    parts |= {"no better than the mean does": [], "with an error that is not known": []}
    for one in found:
        gone = 1 - one.relative
        grade = next((words for least, words in GRADES if gone >= least), None)
        if gone != gone:
            grade = "with an error that is not known"
        parts[grade or "no better than the mean does"].append(one.task.name)
    if len(found) > MOST_NAMED:  # how good each one is stands beside its name elsewhere
        parts = {
            grade: [f"{len(names)} columns"] if len(names) > 2 else names
            for grade, names in parts.items()
        }
    said_ = [f"{names_in_words(names)} {grade}" for grade, names in parts.items() if names]
    return f"Predicts {'; '.join(said_)}."


def kept_lines(metrics: Mapping[str, Any], tasks: Sequence[Task]) -> list[str]:
    """What was kept for every task, and how much better it is than the simplest.

    Args:
        metrics: contents of ``metrics.json``.
        tasks: that are predicted.

    Returns:
        Lines below a heading; none where there was nothing to choose.
    """
    if len(metrics["weights"]) == 1:
        return []
    gain = metrics.get("gain")
    rows = [(task.name, gain_words(metrics, task), kept_words(metrics, task)) for task in tasks]
    head = "What was kept" if gain is None else f"What was kept, and its error {against(gain)}"
    return [f"{head}:", *(f"  {line}" for line in aligned(rows))]


def against(gain: Mapping[str, Any]) -> str:
    """What the error of what was kept is compared with.

    Args:
        gain: of ``metrics.json``.

    Returns:
        The words behind "error".
    """
    return f"against that of {said(gain['over'])} (squared, or log loss; 95 % interval)"


def kept_words(metrics: Mapping[str, Any], task: Task) -> str:
    """The families that are mixed for a task, the largest first.

    Args:
        metrics: contents of ``metrics.json``.
        task: one of those predicted.

    Returns:
        "boosted trees 60 %, a straight line 40 %".
    """
    shares = _hundredths({name: of[task.name] for name, of in metrics["weights"].items()})
    kept = sorted((one for one in shares.items() if one[1]), key=lambda one: -one[1])
    if len(kept) == 1:
        return said(kept[0][0])
    return ", ".join(f"{said(name)} {share} %" for name, share in kept)


def _hundredths(weights: Mapping[str, float]) -> dict[str, int]:
    """Whole percentages that add up to 100: the largest remainders are rounded up."""
    found = {name: int(100 * weight) for name, weight in weights.items()}
    missing = round(100 * sum(weights.values())) - sum(found.values())
    for name in sorted(found, key=lambda name: found[name] - 100 * weights[name])[:missing]:
        found[name] += 1
    return found


def gain_words(metrics: Mapping[str, Any], task: Task) -> str:
    """How much smaller the error is than that of the simplest method; see ``against``.

    Args:
        metrics: contents of ``metrics.json``.
        task: one of those predicted.

    Returns:
        A clause; empty where nothing else was trained, or the simplest was kept.
    """
    gain = metrics.get("gain")
    if gain is None or metrics["weights"].get(gain["over"], {}).get(task.name) == 1:
        return ""
    ends = _ends(gain, task)
    if ends is None:
        return "too few rows to say"
    percent, low, high = ends
    if low <= 0 <= high:
        return f"no different ({abs(low):.1f} % smaller to {abs(high):.1f} larger)"
    return f"{_size(percent, low, high, 1)} {'smaller' if percent < 0 else 'larger'}"


def line_words(metrics: Mapping[str, Any], tasks: Sequence[Task]) -> str:
    """Of which targets a straight line is as good: what stands beside the verdict.

    Args:
        metrics: contents of ``metrics.json``.
        tasks: that are predicted.

    Returns:
        A sentence; empty where there are none, or no line was trained beside other families.

    Example:
        >>> gain = {"over": "linear", "percent": {"CO": -0.7, "O3": -9.0},
        ...         "low": {"CO": -2.0, "O3": -12.0}, "high": {"CO": 1.0, "O3": -5.0}}
        >>> names = [Task(name="CO"), Task(name="O3")]
        >>> line_words({"gain": gain, "weights": {"linear": {"CO": 0.5, "O3": 0.0}}}, names)
        'A straight line is as good for CO.'
    """
    gain = metrics.get("gain")
    if gain is None or gain["over"] != "linear":
        return ""
    same, weights = [], metrics["weights"].get("linear", {})
    for task in tasks:
        ends, alone = _ends(gain, task), weights.get(task.name) == 1
        if alone or (ends is not None and ends[2] >= 0):
            same.append(task.name)
    if len(same) > MOST_NAMED:
        return f"A straight line is as good for {len(same)} of {len(tasks)} columns."
    return f"A straight line is as good for {names_in_words(same)}." if same else ""


def sharing_words(metrics: Mapping[str, Any], tasks: Sequence[Task]) -> str:
    """Whether it helped to learn the targets together.

    Args:
        metrics: contents of ``metrics.json``.
        tasks: that are predicted.

    Returns:
        A sentence; empty where they were not learned in both ways.

    Example:
        >>> names = [Task(name="PM2.5"), Task(name="O3")]
        >>> sharing_words({"sharing": {"percent": {"PM2.5": -3.0, "O3": 0.2},
        ...     "low": {"PM2.5": -5.0, "O3": -1.0}, "high": {"PM2.5": -1.0, "O3": 1.5}}}, names)
        'Sharing helps PM2.5 by 3 % (1 to 5), makes no difference to O3.'
    """
    sharing = metrics.get("sharing")
    if sharing is None:
        return ""
    same, unknown = [], []
    changed: dict[str, list[tuple[str, tuple[float, float, float]]]] = {}
    for task in tasks:
        ends = _ends(sharing, task)
        if ends is None:
            unknown.append(task.name)
        elif ends[1] <= 0 <= ends[2]:
            same.append(task.name)
        else:
            verb = "helps" if ends[0] < 0 else "hurts"
            changed.setdefault(verb, []).append((task.name, ends))
    clauses = []
    for verb, each in changed.items():
        if len(each) > MOST_SHARING:
            name, ends = max(each, key=lambda one: abs(one[1][0]))
            clauses.append(f"{verb} {len(each)} columns, {name} most, by {_size(*ends, 0)}")
        else:
            clauses += [f"{verb} {name} by {_size(*ends, 0)}" for name, ends in each]
    if same:
        clauses.append(f"makes no difference to {names_in_words(same)}")
    if unknown:
        clauses.append(f"cannot be judged for {names_in_words(unknown)}: there are too few rows")
    return f"Sharing {', '.join(clauses)}."


def _ends(gain: Mapping[str, Any], task: Task) -> tuple[float, float, float] | None:
    values = [gain[name][task.name] for name in ("percent", "low", "high")]
    if any(value is None for value in values):
        return None
    percent, low, high = (float(value) for value in values)
    return percent, low, high


def _size(percent: float, low: float, high: float, digits: int) -> str:
    """Without signs; of what is small, one more digit."""
    digits += abs(percent) < 0.95 and not digits
    first, last = sorted((abs(low), abs(high)))
    return f"{abs(percent):.{digits}f} % ({first:.{digits}f} to {last:.{digits}f})"


def names_in_words(names: Sequence[str]) -> str:
    """Names as a sentence lists them.

    Args:
        names: one or more.

    Returns:
        Parted by commas and the last by "and".

    Example:
        >>> names_in_words(["CO"]), names_in_words(["CO", "O3", "NO2"])
        ('CO', 'CO, O3 and NO2')
    """
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)

"""A run on a table of any kind in words and numbers, for a terminal."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jaxmtl.data import Column
from jaxmtl.metrics.measures import main_measure
from jaxmtl.prediction.folder import SavedRun
from jaxmtl.report.words.layout import aligned
from jaxmtl.report.words.numbers import decimals_for, fixed
from jaxmtl.tasks import Task

FAMILIES = {
    "mean": "the mean",
    "linear": "a straight line",
    "extra_trees": "random trees",
    "boosted": "boosted trees",
    "mixture": "this model",
}
SAME = 0.995  # of the mean's loss: no better
MOST_COLUMNS = 40  # that are listed


def summarize_table(run: SavedRun) -> str:
    """What was made of the table, how good the predictions are, and what they come from.

    Args:
        run: read from its folder.

    Returns:
        Lines of plain text.
    """
    config, metrics = run.config, run.metrics
    columns = [Column.from_json(saved) for saved in config["columns"]]
    parts = [
        _heading(run),
        column_lines(columns, run.predictor.tasks, config["left_out"]),
        _errors(run),
        _kept(metrics, run.predictor.tasks),
    ]
    if config["notes"]:
        parts.append([f"note: {note}" for note in config["notes"]])
    return "\n\n".join("\n".join(part) for part in parts if part)


def column_lines(
    columns: Sequence[Column], tasks: Sequence[Task], left_out: Sequence[Sequence[str]]
) -> list[str]:
    """What each column is taken for.

    Args:
        columns: that are used.
        tasks: that are predicted.
        left_out: name and reason of the others.

    Returns:
        Lines, one a column.

    Example:
        >>> columns = [Column(name="CO", kind="number", rows=4, missing=1, low=0.5, high=2.0)]
        >>> print("\\n".join(column_lines(columns, [Task(name="O3")], [("id", "empty")])))
        column  taken for  made of it           missing  range or levels
        CO      number     scaled, gaps marked     25 %  0.5 to 2
        O3      number     to be predicted
        left out: id (empty)
    """
    rows = [("column", "taken for", "made of it", "missing", "range or levels")]
    for column in columns[:MOST_COLUMNS]:
        share = column.missing / max(column.rows, 1)
        gap = "" if not column.missing else f"{share:.0%}".replace("%", " %")
        rows.append((column.name, column.kind, column.made, gap, column.range_words))
    if len(columns) > MOST_COLUMNS:
        rows.append((f"and {len(columns) - MOST_COLUMNS} more", "", "", "", ""))
    for task in tasks:
        levels = ", ".join(map(str, task.classes))
        rows.append((task.name, task.kind, "to be predicted", "", levels))
    lines = aligned(rows, right=(3,))
    lines += [f"left out: {name} ({why})" for name, why in left_out[:MOST_COLUMNS]]
    if len(left_out) > MOST_COLUMNS:
        lines.append(f"left out: {len(left_out) - MOST_COLUMNS} more")
    return lines


def _heading(run: SavedRun) -> list[str]:
    rows = run.metrics["rows"]
    lines = [f"Run {run.folder}", f"  table  {run.config['source']}"]
    if run.metrics["shown"] == "test":
        lines.append(
            f"  rows   {rows['learned']} to learn from, {rows['shown']} to test; errors are those "
            "of the test rows"
        )
    else:
        lines.append(
            f"  rows   {rows['learned']}, all of them learned from; errors are those of each "
            f"{_ordinal(rows['folds'])} of the rows, predicted by what the others taught"
        )
    return lines


def _ordinal(folds: int) -> str:
    return {2: "half", 3: "third", 4: "quarter", 5: "fifth", 10: "tenth"}.get(folds, "part")


def _errors(run: SavedRun) -> list[str]:
    """The leaderboard, a task a line."""
    board = run.metrics["leaderboard"]
    own, others = board[-1], board[:-1]
    lines = ["How good is it?"]
    rows = [("", "measure", _said(own["name"]), "", *(_said(one["name"]) for one in others))]
    for task in run.predictor.tasks:
        measure = main_measure(task)
        values = [line["measures"][task.name][measure.name] for line in (own, *others)]
        values = [math.nan if value is None else value for value in values]
        digits = decimals_for(values, 3)
        rows.append(
            (
                task.name,
                measure.title_of(task, ""),
                fixed(values[0], digits),
                _explained(task, own["measures"][task.name]),
                *(fixed(value, digits) for value in values[1:]),
            )
        )
    lines += [f"  {line}" for line in aligned(rows, right=range(2, len(rows[0])))]
    worse = [
        task.name
        for task in run.predictor.tasks
        if (own["relative"][task.name] or 0) >= SAME and own["name"] != "mean"
    ]
    if worse:
        lines.append(f"  No better than predicting the mean: {', '.join(worse)}.")
    return lines


def _explained(task: Task, measured: Mapping[str, Any]) -> str:
    name = "accuracy" if task.has_classes else "r2"
    value = measured.get(name)
    label = "right" if task.has_classes else "R²"
    if value is None:
        return ""
    return f"({label} {value:.0%})".replace("%", " %") if task.has_classes else f"(R² {value:.2f})"


def _kept(metrics: Mapping[str, Any], tasks: Sequence[Task]) -> list[str]:
    lines = []
    weights = metrics["weights"]
    shares: dict[tuple[tuple[str, int], ...], list[str]] = {}
    for task in tasks:
        mixed = [(name, round(100 * by_task[task.name])) for name, by_task in weights.items()]
        mixed = tuple(sorted((one for one in mixed if one[1]), key=lambda one: -one[1]))
        shares.setdefault(mixed, []).append(task.name)
    if len(weights) > 1:
        for mixed, names in shares.items():
            words = ", ".join(f"{_said(name)} {share} %" for name, share in mixed)
            lines.append(f"  {', '.join(names)}: {words}")
        lines = ["What was kept:", *lines]
    gain = metrics.get("gain")
    if gain is not None:
        for task in tasks:
            if weights.get(gain["over"], {}).get(task.name) == 1:
                continue  # it is what it would be compared with
            lines.append(f"  {task.name}: {_gained(task, gain)}")
    return lines


def _gained(task: Task, gain: Mapping[str, Any]) -> str:
    values = [gain[name][task.name] for name in ("percent", "low", "high")]
    what = "log loss" if task.has_classes else "squared error"
    if any(value is None for value in values):
        return f"too few rows to say how it compares with {_said(gain['over'])}"
    percent, low, high = (float(value) for value in values)
    if low <= 0 <= high:
        return (
            f"as good as {_said(gain['over'])} ({what} {percent:+.1f} %, {low:+.1f} to {high:+.1f})"
        )
    way = "smaller" if percent < 0 else "larger"
    ends = sorted((abs(low), abs(high)))
    return (
        f"{what} {abs(percent):.1f} % {way} than that of {_said(gain['over'])} "
        f"({ends[0]:.1f} to {ends[1]:.1f})"
    )


def _said(name: str) -> str:
    return FAMILIES.get(name, name)

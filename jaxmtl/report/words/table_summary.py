"""A run on a table of any kind in words and numbers, for a terminal."""

import collections
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from jaxmtl.data import Column
from jaxmtl.prediction.family_words import said
from jaxmtl.prediction.fit_table import MIXED
from jaxmtl.prediction.folder import SavedRun
from jaxmtl.prediction.time_plan import is_of_time, of_time
from jaxmtl.report.words.layout import aligned, wrapped
from jaxmtl.report.words.numbers import duration
from jaxmtl.report.words.table_importance import importance_lines
from jaxmtl.report.words.table_intervals import caution_words, interval_lines
from jaxmtl.report.words.table_quality import error_lines, kept_lines, sharing_words
from jaxmtl.report.words.table_relations import relation_words
from jaxmtl.report.words.table_structure import structure_lines, structure_words
from jaxmtl.report.words.table_wrong import wrong_lines
from jaxmtl.tasks import Task

MOST_COLUMNS = 30  # that are listed
LONGEST = 40  # characters of a name or of levels


def summarize_table(run: SavedRun) -> str:
    """What was made of the table, how good the predictions are, and what they come from.

    Args:
        run: read from its folder.

    Returns:
        Lines of plain text.
    """
    config, metrics, tasks = run.config, run.metrics, run.predictor.tasks
    sentence = sharing_words(metrics, tasks)
    together = [f"  {sentence}  (together against one by one)"] if sentence else []
    if shared := relation_words(metrics):
        together += wrapped(shared, start="  ", rest="    ")
    columns = [Column.from_json(saved) for saved in config["columns"]]
    quality = error_lines(metrics, tasks)
    for sentence in of_time(config["notes"]):  # beside what it is about
        quality += wrapped(sentence, start="  ", rest="    ")
    parts = [
        _heading(run),
        column_lines(columns, tasks, config["left_out"], labels_of(config)),
        quality,
        _under(interval_lines(metrics, tasks, caution_words(config.get("settings") or {}))),
        _under(importance_lines(metrics, tasks)),
        wrong_lines(metrics, tasks, str(run.folder)),
        [*kept_lines(metrics, tasks), *together],
        structure_part(metrics),
    ]
    if beside := next_to_each_other(run):
        parts.append(wrapped(beside))
    notes = [note for note in config["notes"] if not is_of_time(note)]
    parts.append([line for note in notes for line in wrapped(f"note: {note}")])
    return "\n\n".join("\n".join(part) for part in parts if part)


def _under(lines: Sequence[str]) -> list[str]:
    """Lines below a heading that may be long."""
    return [line for heading in lines[:1] for line in wrapped(heading, rest="    ")] + [*lines[1:]]


def structure_part(metrics: Mapping[str, Any]) -> list[str]:
    """What was tried, and the sentence about it."""
    sentence = structure_words(metrics)
    return [*structure_lines(metrics), *wrapped(sentence, start="  ", rest="    ")]


def labels_of(config: Mapping[str, Any]) -> list[Column]:
    """What is known of the columns that are predicted; nothing of a run of an earlier version."""
    return [Column.from_json(saved) for saved in config.get("labels", [])]


def gaps_words(column: Column) -> str:
    """The share of its rows in which a column holds nothing; empty where there is none.

    Example:
        >>> gaps_words(Column(name="CO", kind="number", rows=4, missing=1))
        '25 %'
    """
    if not column.missing:
        return ""
    return f"{column.missing / max(column.rows, 1):.0%}".replace("%", " %")


def column_lines(
    columns: Sequence[Column],
    tasks: Sequence[Task],
    left_out: Sequence[Sequence[str]],
    labels: Sequence[Column] = (),
) -> list[str]:
    """What each column is taken for.

    Args:
        columns: that are used.
        tasks: that are predicted.
        left_out: name and reason of the others.
        labels: of the tasks; none where nothing is known of them.

    Returns:
        Lines, one a column.

    Example:
        >>> columns = [Column(name="CO", kind="number", rows=4, missing=1, low=0.5, high=2.0)]
        >>> labels = [Column(name="O3", kind="number", rows=4, missing=2, low=3.0, high=7.0)]
        >>> print("\\n".join(column_lines(columns, [Task(name="O3")], [("id", "empty")], labels)))
        column  taken for  made of it           missing  range or levels
        CO      number     scaled, gaps marked     25 %  0.5 to 2
        O3      number     to be predicted         50 %  3 to 7
        left out: id (empty)
    """
    rows: list[tuple[str, ...]] = [
        ("column", "taken for", "made of it", "missing", "range or levels")
    ]
    for column in columns[:MOST_COLUMNS]:
        rows.append(tuple(map(_short, column_words(column))))
    known = {label.name: label for label in labels}
    for task in tasks:
        rows.append(tuple(map(_short, label_words(task, known.get(task.name)))))
    lines = aligned(rows, right=(3,))
    if more := columns[MOST_COLUMNS:]:
        lines.insert(1 + MOST_COLUMNS, f"and {len(more)} more: {_kinds(more)}")
    lines += [f"left out: {_short(name)} ({why})" for name, why in left_out[:MOST_COLUMNS]]
    if more := left_out[MOST_COLUMNS:]:
        lines.append(f"left out: {len(more)} more, named in config.json")
    return lines


def column_words(column: Column) -> tuple[str, str, str, str, str]:
    """The row of a column in the table of columns.

    Args:
        column: that is used.
    """
    gaps = gaps_words(column)
    return column.name, column.kind, column.made, gaps, column.range_words


def label_words(task: Task, label: Column | None) -> tuple[str, str, str, str, str]:
    """The row of a task in the table of columns.

    Args:
        task: that is predicted.
        label: its column; None where nothing is known of it.
    """
    classes = ", ".join(map(str, task.classes))
    gaps = "" if label is None else gaps_words(label)
    ends = "" if label is None or task.has_classes else label.range_words
    return task.name, task.kind, "to be predicted", gaps, classes or ends


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _kinds(columns: Sequence[Column]) -> str:
    """How many there are of each kind, and how many have gaps."""
    kinds = collections.Counter(column.kind for column in columns)
    words = [f"{number} taken for {kind}" for kind, number in kinds.items()]
    gaps = sum(bool(column.missing) for column in columns)
    return ", ".join([*words, *([f"{gaps} with gaps"] if gaps else [])])


def _heading(run: SavedRun) -> list[str]:
    settings, board = run.config.get("settings") or {}, run.metrics["leaderboard"]
    lines = [f"Run {run.folder}", f"  table  {run.config['source']}"]
    lines += wrapped(rows_words(run), start="  rows   ", rest="         ")
    if settings.get("preset") == "quick":
        names = ", ".join(said(line["name"]) for line in board if line["name"] != MIXED)
        lines.append(f"  quick  {run.metrics['rows']['folds']} parts of the rows; only {names}")
    lines.append(f"  time   learned in {duration(board[-1]['seconds'])}")
    return lines


def rows_words(run: SavedRun) -> str:
    """Which rows were learned from, and which are those that errors are shown of.

    Args:
        run: read from its folder.

    Returns:
        A line.
    """
    rows = run.metrics["rows"]
    if run.metrics["shown"] == "test":
        return (
            f"{rows['learned']} rows to learn from, {rows['shown']} to test; errors are those of "
            "the test rows"
        )
    settings = run.config.get("settings") or {}
    part = f"each {_ordinal(rows['folds'])} of the rows, predicted by what the others taught"
    if (time := settings.get("time")) is not None:
        part = (
            f"{rows['folds']} stretches of {time}, each predicted by what all others, earlier and "
            "later, taught"
        )
    elif (group := settings.get("group")) is not None:
        part = f"{rows['folds']} parts of whole {group}, each predicted by what the others taught"
    return f"{rows['learned']} rows, all of them learned from; errors are those of {part}"


def next_to_each_other(run: SavedRun) -> str:
    """That neighbours in time are alike, where rows were divided regardless of it.

    Args:
        run: read from its folder.

    Returns:
        A sentence; empty where it is not so.
    """
    settings = run.config.get("settings") or {}
    dates = [one["name"] for one in run.config["columns"] if one["kind"] == "date"]
    if not dates or settings.get("time") or settings.get("group"):
        return ""
    return (
        "Rows next to each other in time are often alike, and were parted at random: for forecasts "
        f"learn with --time {shlex.quote(dates[0])}, whose errors are honest there."
    )


def _ordinal(folds: int) -> str:
    return {2: "half", 3: "third", 4: "quarter", 5: "fifth", 10: "tenth"}.get(folds, "part")

"""``card.md`` in a run folder: what it predicts, when it was made, from what, how good, limits."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxmtl.data import Coding
from jaxmtl.data.coded_words import day
from jaxmtl.metrics.measures import main_measure
from jaxmtl.plain.columns import level_words
from jaxmtl.prediction.predictor import Predictor
from jaxmtl.prediction.records import ADAPTIVE, SPLITS
from jaxmtl.prediction.script import SCRIPT, needs_jax
from jaxmtl.tasks import Task

CARD = "card.md"
_FEW_LEVELS = 8  # that are named
_KINDS = {"number": "a number", "count": "a count", "classes": "classes", "ordered": "classes"}


def write_card(
    folder: Path, predictor: Predictor, config: Mapping[str, Any], metrics: Mapping[str, Any]
) -> None:
    """Writes the card of a run.

    Args:
        folder: that exists.
        predictor: that is saved.
        config: contents of ``config.json``.
        metrics: contents of ``metrics.json``.

    Raises:
        ValueError: a model that cannot be saved.
    """
    text = card_text(predictor, config, metrics)
    (folder / CARD).write_text(text, encoding="utf-8", newline="\n")


def card_text(predictor: Predictor, config: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """The card of a run, as a text that is read as it is and as Markdown.

    Args:
        predictor: that is saved.
        config: contents of ``config.json``.
        metrics: contents of ``metrics.json``.

    Returns:
        Five sections: what, when, from which columns, how good, limits.
    """
    sections = {
        "What it predicts": _what(predictor),
        "When it was made": _when(config),
        "From which columns": _columns(predictor, config),
        "How good it is": _quality(predictor.tasks, metrics, predictor.method),
        "Limits": _limits(predictor, config, metrics),
    }
    parts = ["# Predictions of " + ", ".join(_plain(task.name) for task in predictor.tasks)]
    parts += [f"## {title}\n\n" + "\n".join(lines) for title, lines in sections.items()]
    return "\n\n".join(parts) + "\n"


def _what(predictor: Predictor) -> list[str]:
    lines = []
    for task in predictor.tasks:
        words = _KINDS[task.kind] + (f" in {task.unit}" if task.unit else "")
        if task.has_classes:
            order = " in this order" if task.kind == "ordered" else ""
            words += f"{order}: {', '.join(map(str, task.classes))}"
        lines.append(f"- {_plain(task.name)}, {_plain(words)}")
    many = len(predictor.models)
    lines += ["", f"Method: {predictor.method}" + (f", the mean of {many} folds" * (many > 1))]
    return lines


def _when(config: Mapping[str, Any]) -> list[str]:
    versions = config["versions"]
    settings = config["settings"] or {}
    lines = [
        f"- made {config['written']} by jaxmtl {versions['jaxmtl']} with jax "
        f"{versions.get('jax', 'of no version')}",
        f"- from {_plain(config['source'])}",
    ]
    if settings.get("table_sha256"):
        lines.append(f"- whose SHA-256 is {settings['table_sha256']}")
    return lines


def _columns(predictor: Predictor, config: Mapping[str, Any]) -> list[str]:
    coding = predictor.coding
    if isinstance(coding, Coding):
        rows = [(column["name"], column["kind"], _seen(column)) for column in config["columns"]]
    else:
        trained = coding.feature_range
        rows = [
            (name, "number", "" if trained is None else _span(trained.low[j], trained.high[j]))
            for j, name in enumerate(coding.features)
        ]
    lines = ["| column | kind | in the rows learned from |", "|---|---|---|"]
    lines += [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    left_out = config.get("left_out") or []
    if left_out:
        named = "; ".join(f"{_plain(name)} ({_plain(why)})" for name, why in left_out)
        lines += ["", f"Not used: {named}"]
    return lines


def _seen(column: Mapping[str, Any]) -> str:
    levels, low, high = column["levels"], column["low"], column["high"]
    if levels:
        more = f" and {len(levels) - _FEW_LEVELS} more" if len(levels) > _FEW_LEVELS else ""
        return ", ".join(map(str, levels[:_FEW_LEVELS])) + more
    if low is None:
        return ""
    return f"{day(low)} to {day(high)}" if column["kind"] == "date" else _span(low, high)


def _span(low: float, high: float) -> str:
    return f"{low:.6g} to {high:.6g}"


def _quality(tasks: Sequence[Task], metrics: Mapping[str, Any], method: str) -> list[str]:
    if "leaderboard" in metrics:
        return _table_quality(tasks, metrics)
    by_split = metrics["errors"].get(method) or metrics["errors"][ADAPTIVE]
    split = next(one for one in reversed(SPLITS) if one in by_split)
    found, rows = by_split[split], metrics["rows"]
    learned = "" if split == "train" else f"; {rows['train']} others were learned from"
    lines = [
        f"On {rows[split]} {split} rows{learned}:",
        "",
        "| target | typical error (RMSE) | share explained (R²) |",
        "|---|---|---|",
    ]
    shares = found.get("r2") or {}
    lines += [
        f"| {_cell(task.name)} | {_number(found['rmse'][task.name])} | "
        f"{_number(shares.get(task.name))} |"
        for task in tasks
    ]
    return lines


def _table_quality(tasks: Sequence[Task], metrics: Mapping[str, Any]) -> list[str]:
    rows, best = metrics["rows"], metrics["leaderboard"][-1]
    intervals = metrics.get("intervals")
    lines = [
        f"On {rows['shown']} rows, each predicted by what had not learned from it "
        f"({rows['learned']} rows in {rows['folds']} folds were learned from):",
        "",
        "| target | error | squared, or log loss: of the mean's | how well | intervals held |",
        "|---|---|---|---|---|",
    ]
    for task in tasks:
        measured, measure = best["measures"][task.name], main_measure(task)
        share, words = ("accuracy", "right") if task.has_classes else ("r2", "explained (R²)")
        held = ""
        if intervals is not None:
            own = intervals["tasks"][task.name]["all"]
            held = f"{own['held']} of {own['rows']}"
        cells = (
            task.name,
            f"{measure.title_of(task, '')} {_number(measured[measure.name])}",
            _percent(best["relative"][task.name]),
            f"{_percent(measured.get(share))} {words}",
            held,
        )
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    if intervals is not None:
        lines += ["", f"Intervals are to hold {level_words(intervals['level'])} of new rows."]
    return lines


def _limits(
    predictor: Predictor, config: Mapping[str, Any], metrics: Mapping[str, Any]
) -> list[str]:
    settings = config["settings"] or {}
    lines = [
        "- Errors are those of rows like the ones learned from; how large they are for other "
        "places, times or instruments is not known.",
        "- Values outside the ranges above, and levels that are not among those learned from, "
        "lead to guesses; the last column of predictions names them, but for dates.",
    ]
    if settings.get("group"):
        lines.append(f"- Whole groups of {_plain(settings['group'])} were kept together.")
    elif settings and not settings.get("time") and settings.get("split", "random") == "random":
        lines.append(
            "- Rows were divided at random: for forecasts, errors may be larger than shown here."
        )
    useless = [
        _plain(task.name)
        for task in predictor.tasks
        if (_relative(metrics).get(task.name) or 0.0) >= 1
    ]
    if useless:
        lines.append(f"- No better than the mean: {', '.join(useless)}.")
    network = needs_jax(predictor)
    how = (
        f"`python {SCRIPT} rows.csv -o out.csv` in this folder needs NumPy alone"
        if network is None
        else f"its network ({network}) needs JAX: `{SCRIPT}` refuses it, `jaxmtl predict` does not"
    )
    lines.append(f"- {how[0].upper()}{how[1:]}.")
    lines += [f"- {_plain(note)}" for note in config.get("notes") or ()]
    return lines


def _relative(metrics: Mapping[str, Any]) -> Mapping[str, Any]:
    if "leaderboard" in metrics:
        return metrics["leaderboard"][-1]["relative"]
    by_split = metrics.get("relative") or {}
    return by_split.get("test") or {}


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:.4g}"


def _percent(value: float | None) -> str:
    return "not known" if value is None else f"{round(100 * value)} %"


def _plain(text: Any) -> str:
    """On one line, with no sign that Markdown or a browser takes for its own."""
    words = " ".join(str(text).split())
    return "".join(f"\\{c}" if c in "\\`*_[]<>#" else c for c in words)


def _cell(text: Any) -> str:
    return _plain(text).replace("|", "\\|")

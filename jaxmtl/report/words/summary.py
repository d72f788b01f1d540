"""A run in words and numbers, for a terminal."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxmtl.methods.structure_of import structure_of_models
from jaxmtl.metrics import measure_named
from jaxmtl.prediction.belonging import undo_events
from jaxmtl.prediction.folder import SavedRun
from jaxmtl.prediction.measures import LOSS, SHOWN
from jaxmtl.prediction.records import ADAPTIVE, HARD, LINE, MEAN, moved_tasks
from jaxmtl.prediction.run_json import STUDY
from jaxmtl.prediction.table_run import TABLE
from jaxmtl.report.words.layout import WIDTH, aligned
from jaxmtl.report.words.table_summary import summarize_table
from jaxmtl.report.words.verdict import SPLIT_NAMES, verdict
from jaxmtl.structure import describe
from jaxmtl.tasks import Task, number_tasks

LOSS_TITLE = "MSE"


def summarize(run: SavedRun) -> str:
    """What was split, when and why; how large the network is; its errors against hard sharing.

    Of a run of another method than the study's: its size, and its errors against those of the
    constant prediction.

    Args:
        run: read from its folder.

    Returns:
        Lines of plain text.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import jax
        >>> from jaxmtl import HardSharing, Phase, fit_adaptive
        >>> from jaxmtl.data import prepare, random_split, read_table, write_air_quality
        >>> from jaxmtl.report import load_run, save_run
        >>> with tempfile.TemporaryDirectory() as place:
        ...     file = write_air_quality(Path(place, "air.xlsx"), days=40)
        ...     table = read_table(file, features=["SO2", "CO"], targets=["PM2.5", "O3_8h"])
        ...     dataset = prepare(table, random_split(40, seed=0))
        ...     phases = [Phase(epochs=1)]
        ...     run = fit_adaptive(
        ...         HardSharing(), dataset.splits, key=jax.random.key(0), phases=phases)
        ...     folder = save_run(
        ...         Path(place, "run"), run, model=HardSharing(), dataset=dataset, phases=phases)
        ...     print(summarize(load_run(folder)).splitlines()[8])
          phase 1: 1 epoch, never splits
    """
    if run.config.get("preset") == TABLE:
        return summarize_table(run)
    metrics, targets = run.metrics, run.config["targets"]
    if run.method == STUDY:
        said = verdict(metrics, ADAPTIVE, targets, splits=len(run.events))
        parts = [_heading(run), said, _duplications(run), _parameters(metrics["parameters"])]
        compared = [name for name in (ADAPTIVE, HARD) if name in metrics["errors"]]
        beside = "ratio" if run.events else "ratio (schedules)"
    else:
        parts = [_heading_of_fitted(run), verdict(metrics, run.method, targets)]
        compared, beside = list(dict.fromkeys([run.method, MEAN])), "relative"
    others = [name for name in (MEAN, LINE) if name in metrics["errors"] and name not in compared]
    scaled = " (scaled)" if run.dataset.scales_targets else ""
    splits = [split for split in SPLIT_NAMES if metrics["rows"][split]]
    parts += [
        _errors(metrics, split, targets, compared, beside, others, LOSS_TITLE + scaled)
        for split in splits
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _heading_of_fitted(run: SavedRun) -> list[str]:
    config, rows, metrics = run.config, run.metrics["rows"], run.metrics
    kinds = dict.fromkeys(model.kind for model in run.predictor.models)
    size = ", ".join(f"{number} parameters" for number in metrics["parameters"].values())
    lines = [
        f"Run {run.folder}: {metrics['status']}",
        f"  table    {config['source']}",
        f"  rows     {rows['train']} to train on, {rows['validation']} to validate, "
        f"{rows['test']} to test",
        f"  method   {run.method}: {_count(len(config['features']), 'input')}, "
        f"{_count(len(config['targets']), 'task')}, {' and '.join(kinds)}"
        + (f" of {size}" if size else ""),
    ]
    shared = structure_of_models(run.predictor.models, tuple(config["targets"]))
    if shared is not None and len(config["targets"]) > 1:
        words = textwrap.wrap(describe(shared), WIDTH - 11)
        lines += [f"  {'' if i else 'shares':<9}{line}" for i, line in enumerate(words)]
    for name, ended in metrics["runs"].items():
        chosen = [f"{what} {_short(value)}" for what, value in ended.get("chosen", {}).items()]
        if chosen:
            nothing = "" if rows["validation"] else ", without validation rows to choose on"
            lines.append(f"  chosen   {', '.join(chosen)}{nothing}")
        if (found := ended.get("combination")) is not None:
            lines.append(_combination(found, None))
        if ended["status"] == "diverged":
            where = ended.get("divergence") or {"sentence": f"the {name} run diverged"}
            lines.append(f"  {where['sentence']}; the last finite state is kept")
    for event in run.events:
        moved = _join(
            [config["targets"][t] for t in moved_tasks(event["tasks"], config["targets"])]
        )
        lines.append(
            f"  split    node {event['node']} in epoch {event['epoch_of_run']} of the run: copy "
            f"{event['copy']} for {moved}"
        )
    notes = [*config.get("notes", ()), *metrics.get("notes", ())]
    return lines + [f"  note     {note}" for note in notes]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _heading(run: SavedRun) -> list[str]:
    config, rows = run.config, run.metrics["rows"]
    network = config["network"]
    shared = " ".join(map(str, network["shared"])) or "none"
    lines = [
        f"Run {run.folder}: {run.metrics['status']}",
        f"  table    {config['source']}",
        f"  rows     {rows['train']} to train on, {rows['validation']} to validate, "
        f"{rows['test']} to test",
        f"  network  {len(config['features'])} inputs, shared layers {shared}, bank of "
        f"{network['nodes']} nodes, {_count(len(config['targets']), 'task')}",
    ]
    if (found := run.metrics["runs"][ADAPTIVE].get("combination")) is not None:
        lines.append(_combination(found, (config.get("settings") or {}).get("aggregator")))
    for ended in run.metrics["runs"].values():
        if ended["status"] == "diverged":
            lines.append(f"  {ended['divergence']['sentence']}; the last finite state is kept")
    return lines + [f"  note     {note}" for note in config.get("notes", ())]


def _combination(found: Mapping[str, Any], name: str | None) -> str:
    weights = [f"{w:.3g} {task}" for task, w in found["weights"].items() if w is not None]
    line = f"  tasks    gradients combined by {name or 'an aggregator'}"
    if weights:
        line += f", mean weights {', '.join(weights)}"
    if found["conflict_rate"] is not None:
        line += f"; {found['conflict_rate']:.0%} of the pairs of gradients point apart"
    if found["unconverged"]:
        line += f"; the solver missed its tolerance in {_count(found['unconverged'], 'update')}"
    return line


def _duplications(run: SavedRun) -> list[str]:
    tasks = run.config["targets"]
    moves = [(e["node"], e["copy"], moved_tasks(e["tasks"], tasks)) for e in run.events]
    reads: dict[int, set[str]] = {}
    for task, columns in zip(tasks, undo_events(np.asarray(run.head_index), moves), strict=True):
        for node in columns.tolist():
            reads.setdefault(node, set()).add(task)
    events = {event["phase"]: event for event in run.events}
    divergence = run.metrics["runs"][ADAPTIVE].get("divergence")
    last = divergence["phase"] if divergence else len(run.config["phases"])
    lines = ["Duplications"]
    for number, phase in enumerate(run.config["phases"], 1):
        event = events.get(number)
        if event is not None:
            moved = [tasks[number] for number in moved_tasks(event["tasks"], tasks)]
            stayed = [task for task in tasks if task in reads[event["node"]] and task not in moved]
            reads[event["node"]], reads[event["copy"]] = set(stayed), set(moved)
            lines += _event(event, phase, moved, stayed)
        elif number > last:
            lines.append(f"  phase {number}: not reached")
        elif divergence and number == last:
            lines.append(f"  phase {number}: diverged in epoch {divergence['epoch']}")
        elif phase["threshold"] is None:
            lines.append(f"  phase {number}: {_count(phase['epochs'], 'epoch')}, never splits")
        else:
            lines.append(
                f"  phase {number}: {_count(phase['epochs'], 'epoch')}, no node split: from epoch "
                f"{max(phase['warmup'], 1)} on no conflict lasted for {phase['threshold']} samples "
                "in a row, or no node was left to split"
            )
    return lines


def _event(
    event: Mapping[str, Any], phase: Mapping[str, Any], moved: Sequence[str], stayed: Sequence[str]
) -> list[str]:
    row = "" if event["sheet_row"] is None else f" (row {event['sheet_row']} of the sheet)"
    reads = "reads" if len(moved) == 1 else "read"
    return [
        f"  phase {event['phase']}: node {event['node']} split in epoch {event['epoch']} "
        f"({event['epoch_of_run']} of the run), at sample {event['sample']}{row}",
        f"           {_join(moved)} and {_join(stayed)} pulled it in opposite directions for "
        f"{event['streak']} samples in a row",
        f"           (threshold {phase['threshold']}, from epoch {max(phase['warmup'], 1)} on); "
        f"{_join(moved)} now {reads} the copy, node {event['copy']}",
    ]


def _parameters(counts: Mapping[str, int]) -> list[str]:
    return [
        "Parameters",
        f"  {counts['adaptive']} in this network, {counts['hard_sharing']} in plain hard sharing, "
        f"{counts['independent_networks']} in independent networks",
    ]


def _errors(
    metrics: Mapping[str, Any],
    split: str,
    tasks: Sequence[str],
    runs: Sequence[str],
    beside: str,
    others: Sequence[str],
    loss: str,
) -> list[str]:
    """One or two runs with the ratio of their errors, and what they are to be seen beside."""
    pair = len(runs) == 2
    header = ["", "", *runs, *([beside] if pair else []), *others]
    rows = []

    def add(task: str, title: str, key: str, part: str | None, *, divided: bool = True) -> None:
        values = []
        for name in (*runs, *others):
            errors = metrics["errors"][name][split].get(key)
            values.append(errors if part is None or errors is None else errors[part])
        if all(value is None for value in values) and not divided:
            return  # an older run does not have it
        write = _error if divided else _share
        texts = ["-" if value is None else write(value) for value in values]
        if pair:
            texts.insert(2, _ratio(*values[:2]) if divided else "")
        rows.append([task, title, *texts])

    for task in number_tasks(tasks):
        for i, (key, title) in enumerate(_titles(task, loss)):
            add(task.name if i == 0 else "", title, key, task.name, divided=key != "r2")
    if len(tasks) > 1:
        add("mean of tasks", loss, f"mean_{LOSS}", None)
    title = f"Errors on the {metrics['rows'][split]} {SPLIT_NAMES[split]} rows"
    return [title, *(f"  {line}" for line in aligned([header, *rows], right=range(2, len(header))))]


def _titles(task: Task, loss: str) -> list[tuple[str, str]]:
    """Keys of what ``metrics.json`` holds of a task, with titles for a reader."""
    return [(LOSS, loss), *((name, measure_named(name).title_of(task)) for name in SHOWN)]


def _error(value: float) -> str:
    return f"{value:.4g}"


def _share(value: float) -> str:
    """Of what is explained; below 0 it may be any number."""
    text = f"{value:.3f}" if value > -10 else f"{value:.3g}"
    return "0.000" if text == "-0.000" else text


def _ratio(own: float | None, other: float | None) -> str:
    return "-" if own is None or not other else f"{own / other:.3f}"


def _join(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names) or "no task"
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")

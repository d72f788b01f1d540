"""Whether the files of a run belong together."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from jaxmtl.duplication import count_parameters
from jaxmtl.methods.network_model import NetworkModel
from jaxmtl.prediction.predictor import Predictor
from jaxmtl.prediction.records import ADAPTIVE, HARD, LINE, MEAN, SPLITS, moved_tasks
from jaxmtl.prediction.run_json import STUDY, ConfigRecord, MetricsRecord, PhaseRecord

STUDY_COUNTS = {"adaptive", "hard_sharing", "independent_networks"}


def check_belonging(
    config: ConfigRecord,
    metrics: MetricsRecord,
    events: Sequence[Mapping[str, Any]],
    predictor: Predictor,
) -> None:
    """Raises unless the files of a run are of the same run, as far as they tell.

    Args:
        config: of ``config.json``.
        metrics: of ``metrics.json``.
        events: of ``events.csv``.
        predictor: of ``model.npz``.

    Raises:
        ValueError: what is expected where, and what is there.
    """
    coding = predictor.preprocessing
    _same("features", list(coding.features), config.features)
    _same("targets", list(coding.targets), config.targets)
    _same("method", predictor.method, config.method)
    _same("status", config.status, metrics.status)
    if config.method == STUDY:
        _check_study(config, metrics, predictor)
    else:
        _same("number of runs", len(predictor.models), len(metrics.runs))
        if config.method not in metrics.errors:
            raise ValueError(f"metrics.json: expected errors of {config.method}, got none")
        if config.method != MEAN and MEAN not in metrics.errors:
            raise ValueError("metrics.json: expected errors of the constant prediction, got none")
    _check_metrics(config, metrics)
    if events or config.method == STUDY:
        _check_events(config, events, predictor)


def undo_events(
    head_index: Int[np.ndarray, "tasks nodes"],
    events: Sequence[tuple[int, int, Sequence[int]]],
) -> Int[np.ndarray, "tasks nodes"]:
    """The head index before duplications.

    Args:
        head_index: after them.
        events: node, copy and tasks that moved to it, in their order.

    Returns:
        Which task read which node at the start.

    Raises:
        ValueError: the duplications did not lead to this head index.

    Example:
        >>> undo_events(np.array([[0, 3, 2], [0, 1, 2]]), [(1, 3, [0])]).tolist()
        [[0, 1, 2], [0, 1, 2]]
    """
    index = np.array(head_index)
    columns = int(index.max()) + 1
    for node, copy, tasks in reversed(events):
        if max(node, copy) >= columns:
            raise ValueError(f"expected nodes below {columns}, got {node} and its copy {copy}")
        readers = np.flatnonzero((index == copy).any(axis=1)).tolist()
        both = [task for task in readers if (index[task] == node).any()]
        if node == copy or readers != sorted(tasks) or both:
            too = f", of which {both} read node {node}, too" if both else ""
            raise ValueError(
                f"expected a network in which tasks {list(tasks)} read node {copy}, a copy of "
                f"{node}, got tasks {readers}{too}"
            )
        index[index == copy] = node
    return index


def _check_study(config: ConfigRecord, metrics: MetricsRecord, predictor: Predictor) -> None:
    if not config.phases:
        raise ValueError("config.json: expected at least one phase, got none")
    model = predictor.models[0]
    if not isinstance(model, NetworkModel) or model.head_index is None:
        raise ValueError("model.npz: expected a network with a bank, got another model")
    spec = model.spec()
    _same("network", "HardSharing", spec["network"])
    fields = {name: value for name, value in spec["fields"].items() if name != "capacity"}
    _same("network", fields, config.network)
    names = [ADAPTIVE, *(name for name in predictor.baselines if name == HARD)]
    _same("runs of metrics.json", sorted(names), sorted(metrics.runs))
    beside = [MEAN, LINE] if {MEAN, LINE} & set(metrics.errors) else []  # none in older files
    _same("errors of metrics.json", sorted([*names, *beside]), sorted(metrics.errors))
    _same("parameters", sorted(STUDY_COUNTS), sorted(metrics.parameters))
    size = count_parameters(model.params, model.head_index)
    _same("number of parameters", size, metrics.parameters[ADAPTIVE])
    for name, end in metrics.runs.items():
        if end.epochs is None:
            raise ValueError(f"metrics.json: expected the epochs of the {name} run, got none")
    if (metrics.ratio is None) != (len(names) == 1):
        raise ValueError("metrics.json: expected a ratio to the errors of hard sharing, got none")


def _check_metrics(config: ConfigRecord, metrics: MetricsRecord) -> None:
    targets = set(config.targets)
    splits = {name for name in SPLITS if getattr(metrics.rows, name)}
    ended = {end.status for end in metrics.runs.values()}
    _same("status", "diverged" if "diverged" in ended else "finished", metrics.status)
    for end in metrics.runs.values():
        found, where = end.combination, end.divergence
        if found is not None:
            _same("tasks with a weight", sorted(targets), sorted(found.weights))
        if where is not None and config.phases and where.phase > len(config.phases):
            raise ValueError(
                f"metrics.json: expected a divergence in one of {len(config.phases)} phases, got "
                f"one in phase {where.phase}"
            )
        told = where is not None or config.method != STUDY
        if (end.status == "diverged" and not told) or (end.status == "finished" and where):
            expected, got = ("no divergence", "one") if where else ("a divergence", "none")
            raise ValueError(
                f"metrics.json: expected {expected} of a run that has {end.status}, got {got}"
            )
    for by_split in (metrics.ratio, metrics.relative):
        _same("splits", sorted(splits), sorted(splits if by_split is None else by_split))
    ratios = [found.by_task for found in (metrics.ratio or {}).values()]
    for by_task in (*ratios, *(metrics.relative or {}).values()):
        _same("tasks with a ratio", sorted(targets), sorted(by_task))
    measured = LINE in metrics.errors  # by all that there is today
    for by_split in metrics.errors.values():
        _same("splits with errors", sorted(splits), sorted(by_split))
        for errors in by_split.values():
            _same("whether there is an R²", measured, errors.r2 is not None)
            found = [errors.mse_scaled, errors.rmse, errors.mae]
            for by_task in (*found, *([] if errors.r2 is None else [errors.r2])):
                _same("tasks with an error", sorted(targets), sorted(by_task))


def _check_events(
    config: ConfigRecord, events: Sequence[Mapping[str, Any]], predictor: Predictor
) -> None:
    phases = [event["phase"] for event in events]
    last = max(phases, default=0)
    if len(set(phases)) < len(phases) or last > len(config.phases) > 0:
        raise ValueError(
            f"events.csv: expected one event a phase at most, of {len(config.phases)} phases, got "
            f"phases {phases[:20]}"
        )
    moves = []
    for event in events:
        moved = moved_tasks(event["tasks"], config.targets)
        if not moved:
            raise ValueError(
                f"events.csv: expected tasks of {', '.join(config.targets)}, got "
                f"{event['tasks'][:60]!r}"
            )
        if config.phases:
            _check_event(event, config.phases[event["phase"] - 1])
        moves.append((event["node"], event["copy"], moved))
    model = predictor.models[0]
    if not isinstance(model, NetworkModel) or model.head_index is None:
        raise ValueError("events.csv: expected no events without a bank of nodes, got some")
    network: Any = model.network
    index = np.asarray(model.head_index)
    if config.method != STUDY:
        # The model may be that of an earlier epoch than the last.
        moves = moves[: max(len(np.unique(index)) - network.nodes, 0)]
    try:
        start = undo_events(index, moves).tolist()
    except ValueError as error:
        raise ValueError(f"events.csv: {error}") from error
    if config.start is not None and start != config.start:
        raise ValueError(
            f"events.csv: expected the duplications of a run that began with {config.start}, got "
            f"those of one that began with {start}"
        )


def _check_event(event: Mapping[str, Any], phase: PhaseRecord) -> None:
    if phase.threshold is None or event["epoch"] > phase.epochs:
        raise ValueError(
            f"events.csv: expected no event in epoch {event['epoch']} of phase {event['phase']}, "
            "got one"
        )


def _same(what: str, expected: Any, got: Any) -> None:
    if expected != got:
        raise ValueError(f"{what}: expected {str(expected)[:200]}, got {str(got)[:200]}")

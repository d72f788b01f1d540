"""What ``metrics.json`` holds: errors, against what they are to be seen, and how runs ended."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxmtl.data import Dataset
from jaxmtl.methods.method import Fitted, Trace
from jaxmtl.prediction.records import ADAPTIVE, HARD, MEAN
from jaxmtl.prediction.run_json import FORMAT
from jaxmtl.prediction.task_errors import TaskErrors, ratio, task_errors
from jaxmtl.training import Divergence, Run

LOSS = "mse_scaled"  # what training minimises
SHOWN = ("rmse", "mae", "r2")  # measures in original units, and the share explained


def measure(
    runs: Mapping[str, Run],
    predicted: Mapping[str, Mapping[str, Float[np.ndarray, "rows tasks"]]],
    dataset: Dataset,
    sheet_rows: Int[np.ndarray, " train"] | None,
) -> dict[str, Any]:
    """Errors per run, split and task, ready for JSON: NaN and infinity become null.

    Args:
        runs: by name, "adaptive" first.
        predicted: scaled predictions by run and split, those of the yardsticks among them.
        dataset: rows and scaling.
        sheet_rows: row of the sheet of each sample in the order of training; None if shuffled.

    Returns:
        ``errors[run][split]`` holds "mse_scaled", "rmse", "mae" and "r2" by task and
        "mean_mse_scaled" over tasks; ``ratio[split]`` the adaptive MSE over that of hard sharing.
    """
    tasks = dataset.targets
    errors = _errors(predicted, dataset)
    ended = {name: _ending(name, run, tasks, sheet_rows) for name, run in runs.items()}
    found = _record(ended, errors, dataset)
    if HARD in errors:
        found["ratio"] = {
            split: {
                "by_task": _by_task(ratio(e.loss, errors[HARD][split].loss), tasks),
                "of_means": _number(ratio(_mean(e.loss), _mean(errors[HARD][split].loss))),
            }
            for split, e in errors[ADAPTIVE].items()
        }
    return found


def measure_fitted(
    name: str,
    fitted: Fitted,
    predicted: Mapping[str, Mapping[str, Float[np.ndarray, "rows tasks"]]],
    dataset: Dataset,
    sheet_rows: Int[np.ndarray, " train"] | None,
) -> dict[str, Any]:
    """The same for a run of any method, beside the constant prediction.

    Args:
        name: of the method.
        fitted: that it left behind.
        predicted: scaled predictions by name, those of the method and the yardsticks, and split.
        dataset: rows and scaling.
        sheet_rows: row of the sheet of each sample in the order of training; None if shuffled.

    Returns:
        As ``measure``; ``relative[split]`` has the method's MSE over that of the constant
        prediction instead of the ratio to hard sharing.
    """
    tasks = dataset.targets
    errors = _errors(predicted, dataset)
    ended: dict[str, dict[str, Any]] = {}
    for fold, diverged in enumerate(fitted.diverged):
        label = name if len(fitted.models) == 1 else f"{name}, fold {fold + 1}"
        chosen = {key: _plain(value) for key, value in fitted.chosen[fold].items()}
        ended[label] = {"status": "diverged" if diverged else "finished", "chosen": chosen}
        if fitted.traces:
            ended[label] |= _ending(label, fitted.traces[fold], tasks, sheet_rows)
    found = _record(ended, errors, dataset)
    found["relative"] = {
        split: _by_task(ratio(e.loss, errors[MEAN][split].loss), tasks)
        for split, e in errors[name].items()
    }
    found["parameters"] = {
        label: int(number)
        for label, number in zip(ended, fitted.parameters, strict=True)
        if number >= 0
    }
    found["notes"] = list(fitted.notes)
    return found


def describe_divergence(
    name: str,
    divergence: Divergence,
    tasks: Sequence[str],
    sheet_rows: Int[np.ndarray, " train"] | None = None,
) -> str:
    """One sentence on where a run stopped.

    Args:
        name: of the run.
        divergence: where it stopped.
        tasks: names of the tasks.
        sheet_rows: row of the sheet of each sample in the order of training; None if shuffled.

    Returns:
        The sentence, without a full stop.

    Example:
        >>> describe_divergence("adaptive", Divergence(1, 2, 0, 0), ["O3"], np.array([5]))
        ... # doctest: +NORMALIZE_WHITESPACE
        "the adaptive run diverged in phase 1, epoch 2, at sample 0 (row 5 of the sheet): the loss
        or gradient of task 'O3' was not finite"
    """
    row = "" if sheet_rows is None else f" (row {sheet_rows[divergence.sample]} of the sheet)"
    who = "the update"
    if divergence.task >= 0:
        who = f"the loss or gradient of task {tasks[divergence.task]!r}"
    return (
        f"the {name} run diverged in phase {divergence.phase}, epoch {divergence.epoch}, at sample "
        f"{divergence.sample}{row}: {who} was not finite"
    )


def _errors(
    predicted: Mapping[str, Mapping[str, np.ndarray]], dataset: Dataset
) -> dict[str, dict[str, TaskErrors]]:
    return {
        name: {
            split: task_errors(values, getattr(dataset.splits, split), dataset)
            for split, values in splits.items()
        }
        for name, splits in predicted.items()
    }


def _record(
    ended: Mapping[str, Mapping[str, Any]],
    errors: Mapping[str, Mapping[str, TaskErrors]],
    dataset: Dataset,
) -> dict[str, Any]:
    diverged = any(end["status"] == "diverged" for end in ended.values())
    return {
        "format": FORMAT,
        "status": "diverged" if diverged else "finished",
        "runs": ended,
        "rows": {
            name: 0 if rows is None else len(rows.x)
            for name, rows in dataset.splits._asdict().items()
        },
        "errors": {
            name: {split: _as_json(e, dataset.targets) for split, e in splits.items()}
            for name, splits in errors.items()
        },
    }


def _ending(
    name: str, run: Run | Trace, tasks: Sequence[str], sheet_rows: np.ndarray | None
) -> dict[str, Any]:
    found = run.history.combination
    every = (run, *run.others) if isinstance(run, Trace) else (run,)
    divergence = next((one.divergence for one in every if one.divergence is not None), None)
    means = {}
    if found is not None and len(run.history):
        means["combination"] = {
            "weights": _by_task(np.mean(found.weights, axis=0), tasks),
            "conflict_rate": _number(found.conflict_rate.mean()),
            "unconverged": int(found.unconverged.sum()),
        }
    if divergence is None:
        return {"status": "finished", "epochs": len(run.history), **means}
    return {
        "status": "diverged",
        "epochs": len(run.history),
        **means,
        "divergence": {
            **divergence._asdict(),
            "task": None if divergence.task < 0 else tasks[divergence.task],
            "sentence": describe_divergence(name, divergence, tasks, sheet_rows),
        },
    }


def _as_json(errors: TaskErrors, tasks: Sequence[str]) -> dict[str, Any]:
    return {
        LOSS: _by_task(errors.loss, tasks),
        f"mean_{LOSS}": _number(_mean(errors.loss)),
        **{name: _by_task(errors.scores.of(name), tasks) for name in SHOWN},
    }


def _by_task(values: np.ndarray, tasks: Sequence[str]) -> dict[str, float | None]:
    return {task: _number(value) for task, value in zip(tasks, values, strict=True)}


def _mean(values: np.ndarray) -> np.ndarray:
    known = values[~np.isnan(values)]
    return known.mean() if len(known) else np.array(np.nan)


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _plain(value: Any) -> Any:
    """What a method chose, as JSON keeps it."""
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(item) for item in value]
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float):
        return _number(value)
    return value if value is None or isinstance(value, bool | int | str) else str(value)

"""Whether a model is any good, in a sentence that stands before all numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxmtl.prediction.records import ADAPTIVE, HARD, LINE, MEAN
from jaxmtl.report.words.numbers import count

SPLIT_NAMES = {"test": "test", "validation": "validation", "train": "training"}
NEVER_SPLIT = (
    "No node was split: the adaptive network differs from hard sharing in its schedule only, and "
    "the ratio compares two schedules, not the method."
)
ERROR = "rmse"


def verdict(
    metrics: Mapping[str, Any], name: str, tasks: Sequence[str], *, splits: int | None = None
) -> list[str]:
    """What a run came to against the mean and a straight line.

    Args:
        metrics: contents of ``metrics.json``.
        name: of the run that it is about.
        tasks: names of the tasks.
        splits: nodes that were split, where that is asked.

    Returns:
        Sentences; none for a run of an older version that was measured against neither.

    Example:
        >>> errors = {name: {"test": {"rmse": {"O3": rmse}, "r2": {"O3": r2}}}
        ...           for name, rmse, r2 in [("mmoe", 9.0, 0.2), ("mean", 10.0, 0.0),
        ...                                  ("straight line", 8.0, 0.4)]}
        >>> metrics = {"rows": {"train": 30, "validation": 0, "test": 10}, "errors": errors}
        >>> verdict(metrics, "mmoe", ["O3"])
        ... # doctest: +NORMALIZE_WHITESPACE
        ['On the 10 test rows mmoe is worse than a straight line for O3 (RMSE 9 against 8, R² 0.2
        against 0.4).']
    """
    errors = metrics["errors"]
    if LINE not in errors:
        return [NEVER_SPLIT] if splits == 0 and HARD in errors else []
    split = next(split for split in SPLIT_NAMES if metrics["rows"][split])
    said = _against(errors, split, name, tasks)
    called = "the adaptive network" if name == ADAPTIVE else name
    number = metrics["rows"][split]
    where = f"On the {count(number, f'{SPLIT_NAMES[split]} row')}" if number > 1 else "On the row"
    found = [f"{where} {called} is {said}."] if said else []
    return found + ([NEVER_SPLIT] if splits == 0 and HARD in errors else [])


def _against(errors: Mapping[str, Any], split: str, name: str, tasks: Sequence[str]) -> str:
    own, mean, line = (errors[one][split] for one in (name, MEAN, LINE))
    groups: dict[str, list[str]] = {
        "worse than predicting the mean": [],
        "no better than predicting the mean": [],
        "worse than a straight line": [],
        "as good as a straight line": [],
        "better than the mean and a straight line": [],
        "without a finite error": [],
    }
    for task in tasks:
        value, constant, straight = (one[ERROR][task] for one in (own, mean, line))
        if constant is None or straight is None:
            continue  # nothing is known of these rows
        if value is None:
            groups["without a finite error"].append(task)
        elif name != MEAN and value > constant:
            groups["worse than predicting the mean"].append(_numbers(task, own, mean))
        elif value >= constant:
            groups["no better than predicting the mean"].append(task)
        elif value > straight:
            groups["worse than a straight line"].append(_numbers(task, own, line))
        elif value == straight:
            groups["as good as a straight line"].append(task)
        else:
            groups["better than the mean and a straight line"].append(_numbers(task, own, line))
    parts = [f"{what} for {_join(names)}" for what, names in groups.items() if names]
    return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else "".join(parts)


def _numbers(task: str, own: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    text = f"{task} (RMSE {own[ERROR][task]:.4g} against {other[ERROR][task]:.4g}"
    shares = own["r2"][task], other["r2"][task]
    if None not in shares:
        text += f", R² {shares[0]:.2g} against {shares[1]:.2g}"
    return text + ")"


def _join(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"

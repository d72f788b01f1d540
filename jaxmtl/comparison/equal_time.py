"""What arms come to in the time that plain training takes, where a step of theirs costs more."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from jaxmtl.comparison.clauses import Contrast, clauses, name_of
from jaxmtl.comparison.contrasts import contrasts
from jaxmtl.comparison.per_seed import OVERALL
from jaxmtl.comparison.time_limit import Clock
from jaxmtl.methods.method import Fitted, OnProgress
from jaxmtl.tasks import Task
from jaxmtl.training import History, SweepProgress

if TYPE_CHECKING:
    import pandas as pd

PLAIN = ("restarts", "hard_sharing")  # summed losses: on the schedule of all others, if it is there
UNSURE = 1.3  # times that these may differ
ROUNDING = 1e-9  # of a number of epochs that fit
FEWEST_CALLS = 3  # after the one that compiles, from which the time of an epoch is told
TOLD = ("percent", "low", "high", "verdict")  # of a contrast
COLUMNS = ("arm", "cost", "epochs", "error", "error_at_equal_time", *TOLD)


class Paces:
    """Seconds that an epoch of each method takes, as its progress tells them.

    What is spent until the first report went into compiling; of the later calls of a program the
    quickest counts, as others may have waited for something else.

    Example:
        >>> times = iter([9.0, 10.0, 12.0, 14.0])
        >>> paces = Paces(None, lambda: next(times))
        >>> paces.start("upgrad")
        >>> for done in (2, 4, 8, 10):
        ...     paces.watch("upgrad", SweepProgress(2, 0, done, 100, float("nan")))
        >>> paces.seconds("upgrad")
        0.5
    """

    def __init__(self, on_progress: OnProgress | None, clock: Clock) -> None:
        """Starts.

        Args:
            on_progress: told of all progress.
            clock: seconds.
        """
        self._on_progress, self._clock = on_progress, clock
        self._at = ""
        self._seen: dict[str, dict[str, list[tuple[float, int]]]] = {}

    def start(self, method: str) -> None:
        """A method begins, for the first time or anew."""
        self._at, self._seen[method] = method, {}

    def watch(self, name: str, progress: SweepProgress) -> None:
        """Notes the time of a report, and passes it on.

        Args:
            name: of what is at work; the method's, or "method/part".
            progress: of it.
        """
        reports = self._seen.setdefault(self._at, {}).setdefault(name, [])
        reports.append((self._clock(), progress.done))
        if self._on_progress is not None:
            self._on_progress(name, progress)

    def seconds(self, method: str) -> float:
        """Of one epoch of one seed; NaN where several networks were trained, or too few calls."""
        parts = list(self._seen.get(method, {}).values())
        if len(parts) != 1:
            return np.nan
        seconds, epochs = np.diff(np.array(parts[0], float), axis=0).T
        made = epochs > 0
        if made.sum() < FEWEST_CALLS:
            return np.nan
        return float((seconds[made] / epochs[made]).min())


@dataclasses.dataclass(frozen=True, kw_only=True)
class EqualTime:
    """Errors at equal time.

    Attributes:
        plain: the arm of summed losses, whose time is given to all.
        arms: one row an arm, the best first, with the columns arm; cost (time of an epoch, over
            that of the plain arm; an epoch holds the updates and what is measured after them);
            epochs (mean number that fit the time); error (mean over tasks and seeds with all
            epochs) and error_at_equal_time (with those); and of the latter against the plain arm
            percent, low and high (95 % interval) and verdict. NaN, and an empty verdict, for
            arms that are several runs.
        sentence: what is to be said of it.
    """

    plain: str
    arms: "pd.DataFrame"
    sentence: str


def equal_time(
    fitted: Mapping[str, Fitted],
    seconds: Mapping[str, float],
    tasks: Sequence[Task],
    *,
    test_share: float | None = None,
) -> EqualTime | None:
    """Cuts every arm to the epochs that fit the time of the plain one.

    The epoch is chosen on the validation rows, as ever, but among those alone; without such rows it
    is the last of them. A schedule of learning rates is cut, not compressed: an arm that is given
    less time may do better on a schedule made for it.

    Args:
        fitted: arms by their names.
        seconds: of an epoch of each, see ``Paces``; NaN where it is not known.
        tasks: what was predicted.
        test_share: see ``contrasts``.

    Returns:
        Errors at equal time; None without a plain arm, or without another one whose time is known.
    """
    import pandas as pd

    plain = next((name for name in PLAIN if np.isfinite(seconds.get(name, np.nan))), None)
    others = [name for name in fitted if name != plain and np.isfinite(seconds.get(name, np.nan))]
    if plain is None or plain not in fitted or not others:
        return None
    time = np.array([len(trace.history) for trace in fitted[plain].traces], float)
    rows, frames = [], []
    for name in (plain, *others):
        runs = _runs(fitted[name], fitted[plain])
        cost = seconds[name] / seconds[plain] * runs
        row = {"arm": name, "cost": cost, "error": _mean(fitted[name].scores)}
        if runs == 1 and _is_one_run(fitted[name]):
            fits = np.floor(time / cost + ROUNDING).astype(int)
            errors, epochs = _cut(fitted[name], fits)
            row |= {"epochs": float(epochs.mean()), "error_at_equal_time": _mean(errors)}
            frames.append(_frame(name, errors, tasks))
        rows.append(row)
    if len(frames) < 2:
        return None
    paired: Any = contrasts(pd.concat(frames), plain, test_share=test_share)
    overall = paired[paired["quantity"] == OVERALL].to_dict("records")
    found = [Contrast(row, None) for row in overall]
    for one in found:
        one.comparisons = len(found)
    told = {one.key: {name: getattr(one, name) for name in TOLD} for one in found}
    board = pd.DataFrame([row | told.get(row["arm"], {}) for row in rows], columns=COLUMNS)
    board["verdict"] = board["verdict"].fillna("")
    board = board.sort_values("error_at_equal_time", kind="stable", ignore_index=True)
    sentence = f"{_sentence(found, plain)}{_doubt(seconds)}"
    return EqualTime(plain=plain, arms=board, sentence=sentence)


def _doubt(seconds: Mapping[str, float]) -> str:
    """That times are not to be trusted, where arms that do the same in an epoch differ."""
    alike = [seconds[name] for name in PLAIN if np.isfinite(seconds.get(name, np.nan))]
    if max(alike) <= UNSURE * min(alike):
        return ""
    names = " and ".join(name_of(name, None) for name in PLAIN)
    return (
        f" But times were disturbed by other work: an epoch of {names}, which do the same, took "
        f"{max(alike) / min(alike):.1f} times as long in one as in the other."
    )


def _runs(fitted: Fitted, plain: Fitted) -> float:
    """How many runs an arm consists of: of as many epochs, each."""
    steps = fitted.steps.sum() / max(plain.steps.sum(), 1)
    return float(max(round(float(steps)), 1))


def _is_one_run(fitted: Fitted) -> bool:
    traces = fitted.traces
    return bool(traces) and not any(trace.ends or trace.others for trace in traces)


def _cut(
    fitted: Fitted, fits: Int[np.ndarray, " seeds"]
) -> tuple[Float[np.ndarray, "seeds tasks"], Int[np.ndarray, " seeds"]]:
    """Test errors of the first epochs of every seed, and how many epochs these were."""
    histories = [trace.history for trace in fitted.traces]
    epochs = np.minimum(fits, [len(history) for history in histories])
    errors = np.full(fitted.scores.shape, np.nan)
    for own, history, most in zip(errors, histories, epochs, strict=True):
        if most and history.test is not None:
            own[:] = history.test[_chosen(history, most)]
    errors[fitted.diverged] = np.nan
    return errors, epochs


def _chosen(history: History, most: int) -> int:
    """The epoch that validation rows choose among the first ones; without any, the last."""
    if history.validation is None:
        return most - 1
    first = np.asarray(history.validation[:most], float)
    known = ~np.isnan(first)
    mean = np.where(known, first, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return int(np.where(known.any(axis=1) & np.isfinite(mean), mean, np.inf).argmin())


def _mean(errors: Float[np.ndarray, "seeds tasks"]) -> float:
    """Over seeds that did not diverge."""
    through = np.isfinite(errors).all(axis=1)
    return float(errors[through].mean()) if through.any() else np.nan


def _frame(name: str, errors: Float[np.ndarray, "seeds tasks"], tasks: Sequence[Task]) -> Any:
    import pandas as pd

    return pd.DataFrame(
        {
            "arm": name,
            "kind": "arm",
            "seed": np.repeat(np.arange(len(errors)), len(tasks)),
            "task": [task.name for task in tasks] * len(errors),
            "error": errors.reshape(-1),
        }
    )


def _sentence(found: Sequence[Contrast], plain: str) -> str:
    """Which arms are worth their time."""
    better = [one for one in found if one.verdict == "better"]
    rest = len(found) - len(better)
    if better:
        others = f"; of {rest} more this cannot be said" if rest else ""
        return f"At equal time, {clauses(better)}{others}."
    called = name_of(plain, None)
    if all(one.untested for one in found):
        return f"At equal time, too few seeds were run to tell {called} from the others."
    if len(found) == 1:
        return f"At equal time, {clauses(found)}."
    return f"At equal time, none of {len(found)} arms beat {called}."

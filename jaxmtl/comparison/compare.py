"""Arms on the same rows over many seeds, and what may be said of them."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxmtl._typing import Device
from jaxmtl.comparison.contestants import Contestant, check_same, contestants
from jaxmtl.comparison.contrasts import contrasts
from jaxmtl.comparison.equal_time import EqualTime, equal_time
from jaxmtl.comparison.leaderboard import leaderboard
from jaxmtl.comparison.recommend import equal_cost, recommend, worth_of_sharing
from jaxmtl.comparison.sentences import describe
from jaxmtl.comparison.time_limit import Clock
from jaxmtl.comparison.train import train_methods
from jaxmtl.data import Dataset
from jaxmtl.methods.method import Fitted, OnProgress, Work
from jaxmtl.methods.registry import BASELINES, find_method
from jaxmtl.methods.study.arms import DEFAULT_ARMS
from jaxmtl.methods.study.bench import StudyProtocol
from jaxmtl.metrics import main_measure, values_of_losses
from jaxmtl.tasks import Task, number_tasks

if TYPE_CHECKING:
    import pandas as pd

# Like the adaptive arm but for what is in question: its nodes.
CONTROLS = ("equal_nodes", "restarts", "random_node", "least_conflict", "one_shot", "fully_split")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a comparison found.

    Attributes:
        tasks: what was predicted.
        per_seed: one row an arm, seed and target.
        leaderboard: one row an arm, the best first, reference lines at the end.
        contrasts: paired differences against the reference; empty if there is nothing else.
        controls: the same against the adaptive arm, of the arms that tell what its choice of nodes
            is worth; empty if they are not there, or if it is the reference.
        reference: name of that arm.
        descriptions: one line about every arm and line.
        sentences: what the numbers allow to be said, and what not; the answer first.
        test_share: test rows over training rows, where the seeds split one table anew.
        selected: whether the epoch was selected on validation rows; else it is the last one.
        seconds: wall-clock time in all.
        notes: what the user should know of a method.
        measure: by which runs of one's own are compared; empty for the errors of ``compare``.
        others: the same runs by their other measures, see ``compare_runs``.
        answer: the short sentences that come first: what to use, how sure that is, what it costs,
            and what was left out for the time.
        recommended: name of the arm or line to use; empty with fewer than two arms.
        equal_time: errors in the time that plain training takes, which hang on the machine; None
            where no time of an epoch is known.

    Example:
        >>> [field.name for field in dataclasses.fields(Comparison)][:3]
        ['tasks', 'per_seed', 'leaderboard']
    """

    tasks: tuple[Task, ...]
    per_seed: "pd.DataFrame"
    leaderboard: "pd.DataFrame"
    contrasts: "pd.DataFrame"
    controls: "pd.DataFrame"
    reference: str
    descriptions: Mapping[str, str]
    sentences: tuple[str, ...]
    test_share: float | None
    selected: bool
    seconds: float
    notes: tuple[str, ...] = ()
    measure: str = ""
    others: Mapping[str, "Comparison"] = dataclasses.field(default_factory=dict)
    answer: tuple[str, ...] = ()
    recommended: str = ""
    equal_time: EqualTime | None = None

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those that were run, which may be fewer than were asked for if the time was limited."""
        return tuple(int(seed) for seed in self.per_seed["seed"].unique())

    @property
    def conclusion(self) -> str:
        """The sentences as one paragraph."""
        return " ".join(self.sentences)


def compare(
    datasets: Sequence[Dataset],
    *,
    arms: Sequence[str] | Mapping[str, Any] = DEFAULT_ARMS,
    reference: str = "hard_sharing",
    seeds: Sequence[int] | None = None,
    protocol: StudyProtocol | None = None,
    lines: bool = True,
    resplit: bool | None = None,
    devices: Sequence[Device] | None = None,
    chunk: int | None = None,
    checkpoint: str | None = None,
    resume: bool = False,
    on_progress: OnProgress | None = None,
    seconds: float | None = None,
    began: float | None = None,
    clock: Clock = time.perf_counter,
) -> Comparison:
    """Trains every arm for every seed and compares them pair by pair.

    All arms of a seed see the same rows, start from the same initial values where their shapes
    allow, and make the same number of gradient steps, that of the adaptive run, on its schedule of
    learning rates and restarts; plain hard sharing keeps the first rate throughout. The epoch is
    selected on the validation rows; test rows are only reported.

    Args:
        datasets: one a seed, all of the same numbers of rows, with test rows: one table split
            anew for each seed, or data drawn anew.
        arms: names from ``ARMS``; names of methods that need no schedule (``"mean"``, ``"ridge"``,
            ``"boosted_trees"``); names of aggregators and loss methods, which stand on hard
            sharing with the adaptive run's schedule; or both, ``"mmoe+upgrad"``; or groups of them,
            ``"all"`` arms, all ``"aggregators"``, all ``"losses"``. Or arms of your own by the
            names that you give them: a mapping to an aggregator or loss method, a network (as for
            ``jaxmtl.training.as_network``, with one output a target), a pair of a network or arm
            and such a method, an object with the protocol ``jaxmtl.methods.Method``, or the name of
            an arm; a list of names stands for those arms by their own names. Networks of your own
            follow the adaptive run's schedule. Those that bring their initial values (flax.nnx,
            Equinox) are given as a function from a key to the model. The reference is added if it
            is missing.
        reference: the arm that all others are compared with; one of yours by its given name.
        seeds: numbers for the initial values and the order, one a data set; None for 0, 1, ...
        protocol: what is common to all arms.
        lines: whether reference lines (mean, ridge, boosted trees) are drawn, of those that are not
            among the arms.
        resplit: whether the seeds split one table anew, so that their results are not independent
            and intervals are widened; None: if the data sets name one source and their rows differ.
        devices: see ``sweep``.
        chunk: see ``sweep``.
        checkpoint: folder; each arm has its own in there, by its name. See ``sweep``.
        resume: see ``sweep``. An arm that was something else under its name is refused.
        on_progress: called with the name of the arm at work.
        seconds: about how long it may take; None for as long as it needs. Seeds, then methods are
            left out for it, as the answer says: what comes out hangs on the machine, so there are
            no checkpoints, and a single process does all.
        began: when the time for the limit began, by the clock; None for now.
        clock: seconds.

    Returns:
        The comparison.

    Raises:
        ValueError: an unknown arm, data sets that do not fit each other, no test rows, or a limit
            of time with checkpoints or several processes.

    Example:
        >>> import jaxmtl
        >>> x = np.random.default_rng(0).uniform(size=(60, 3))
        >>> table = jaxmtl.data.Table(features=("a", "b", "c"), targets=("u", "v"), x=x,
        ...     y=np.stack([x[:, 0], x[:, 1] * x[:, 2]], axis=1), rows=np.arange(60) + 2,
        ...     source="file a.csv", kept={})
        >>> datasets = [jaxmtl.data.prepare(table, jaxmtl.data.random_split(60, seed=seed, test=0.3,
        ...     validation=0.2)) for seed in range(3)]
        >>> protocol = jaxmtl.comparison.Protocol(phases=[jaxmtl.Phase(3)])
        >>> found = compare(datasets, arms=["restarts"], protocol=protocol, lines=False)
        >>> sorted(found.leaderboard["arm"]), len(found.per_seed)
        (['hard_sharing', 'restarts'], 12)

        Arms of one's own:

        >>> from jaxmtl import aggregation as ag
        >>> found = compare(datasets, arms={"mine": ag.cagrad(c=0.2)}, reference="mine",
        ...     protocol=protocol, lines=False)
        >>> found.descriptions["mine"].partition("; ")[2]
        "task gradients combined by a method of one's own"
    """
    import pandas as pd

    at = clock()
    protocol = protocol or StudyProtocol()
    field = contestants(arms, reference, len(datasets[0].targets) if datasets else 1, protocol)
    names = list(field)
    reference = reference if reference in field else find_method(reference).name
    numbers = list(range(len(datasets))) if seeds is None else [int(seed) for seed in seeds]
    _check(datasets, numbers)
    if seconds is not None and not seconds > 0:
        raise ValueError(f"seconds: expected above 0, got {seconds:g}")
    if seconds is not None and (checkpoint is not None or jax.process_count() > 1):
        raise ValueError(
            "seconds: expected None with checkpoints or several processes, as what fits a time "
            f"hangs on the machine, got {seconds:g}; leave out one of them"
        )
    if checkpoint is not None and isinstance(arms, Mapping):
        check_same(checkpoint, field, resume=resume)
    lined = [name for name in BASELINES if lines and name not in names]
    field |= contestants(lined, lined[0], 1) if lined else {}
    trained = train_methods(
        field,
        datasets,
        numbers,
        reference=reference,
        protocol=protocol,
        work=Work(
            checkpoint=checkpoint,
            resume=resume,
            devices=devices,
            chunk=chunk,
            on_progress=on_progress,
            seconds=seconds,
        ),
        began=at if began is None else began,
        clock=clock,
    )
    datasets, numbers = datasets[: trained.seeds], numbers[: trained.seeds]
    frames, notes = [], ()
    for name, fitted in trained.fitted.items():
        kind = "line" if name in lined else "arm"
        notes += fitted.notes
        runs = fitted.steps / (1 if trained.a_run is None else trained.a_run)
        frames.append(_frame(name, kind, fitted, datasets, numbers, trained.seconds[name], runs))
    per_seed = pd.concat(frames, ignore_index=True)
    share = _test_share(datasets, resplit)
    board = leaderboard(per_seed)
    paired = contrasts(per_seed, reference, test_share=share)
    names = [name for name in names if name in trained.fitted]
    told = [name for name in CONTROLS if name in names and "adaptive" in names]
    controls: Any = paired.iloc[:0]
    if told and reference != "adaptive":
        asked: Any = per_seed[per_seed["arm"].isin([*told, "adaptive"])]
        controls = contrasts(asked, "adaptive", test_share=share)
    tasks = number_tasks(datasets[0].targets)
    advice = recommend(per_seed, board, test_share=share)
    answer = (
        *advice.sentences,
        *worth_of_sharing(per_seed, test_share=share),
        *(f"{said[0].upper()}{said[1:]}." for said in trained.cut),
    )
    return Comparison(
        tasks=tasks,
        per_seed=per_seed,
        leaderboard=board,
        contrasts=paired,
        controls=controls,
        reference=reference,
        descriptions={name: field[name].description for name in board["arm"]},
        sentences=(
            *answer,
            *_sentences(paired, controls, board, tasks, field),
            *equal_cost(per_seed, board, test_share=share),
        ),
        test_share=share,
        selected=datasets[0].splits.validation is not None,
        seconds=clock() - at,
        notes=notes,
        answer=answer,
        recommended=advice.arm,
        equal_time=equal_time(trained.fitted, trained.paces, tasks, test_share=share),
    )


def _sentences(
    paired: "pd.DataFrame",
    controls: "pd.DataFrame",
    board: "pd.DataFrame",
    tasks: Sequence[Task],
    field: Mapping[str, Contestant],
) -> tuple[str, ...]:
    if not len(paired):
        return ("There is nothing to compare with.",)
    networks = [name for name, one in field.items() if one.takes_steps]
    found = describe(paired, board, tasks=tasks, networks=networks)
    if len(controls):
        headline, *_ = describe(controls, board, tasks=tasks, networks=networks)
        found += ["Is it the choice of nodes, or only capacity and schedule?", headline]
    return tuple(found)


def _check(datasets: Sequence[Dataset], numbers: Sequence[int]) -> None:
    """Raises ValueError unless all seeds have rows to test on, and equally many of each split."""
    if not datasets or len(datasets) != len(numbers):
        raise ValueError(
            f"datasets: expected one a seed, at least one, got {len(datasets)} for "
            f"{len(numbers)} seeds"
        )
    if datasets[0].splits.test is None or not len(datasets[0].splits.test.x):
        raise ValueError("datasets: expected test rows to compare on, got none")
    for number, data in zip(numbers, datasets, strict=True):
        for name, rows in data.splits._asdict().items():
            first = getattr(datasets[0].splits, name)
            here, there = (0 if part is None else len(part.x) for part in (rows, first))
            if here != there:
                raise ValueError(
                    f"datasets: expected the same number of {name} rows for every seed, got "
                    f"{here} for seed {number} and {there} for seed {numbers[0]}"
                )


def _frame(
    name: str,
    kind: str,
    fitted: Fitted,
    datasets: Sequence[Dataset],
    numbers: Sequence[int],
    seconds: float,
    runs: np.ndarray,
) -> "pd.DataFrame":
    import pandas as pd

    tasks, seeds = number_tasks(datasets[0].targets), len(numbers)
    scales = np.stack([data.target_scaler.scale for data in datasets])
    values = values_of_losses(tasks, fitted.scores, scales)
    each = {
        "seed": np.asarray(numbers),
        "parameters": fitted.parameters,
        "splits": fitted.splits,
        "steps": fitted.steps,
        "runs": runs,
        "seconds": np.full(seeds, seconds / seeds),
        "epoch": [choice.get("epoch", -1) for choice in fitted.chosen],
        "diverged": fitted.diverged,
    }
    columns: dict[str, Any] = {
        column: np.repeat(value, len(tasks)) for column, value in each.items()
    }
    frame = pd.DataFrame(
        {
            "arm": name,
            "kind": kind,
            "seed": columns.pop("seed"),
            "task": [task.name for task in tasks] * seeds,
            "error": fitted.scores.reshape(-1),
            "measure": [main_measure(task).name for task in tasks] * seeds,
            "value": values.reshape(-1),
            **columns,
            "scaled": any(data.scales_targets for data in datasets),
        }
    )
    unknown = frame["parameters"] < 0
    return frame.astype({"parameters": "Int64"}).assign(
        parameters=lambda frame: frame["parameters"].mask(unknown)
    )


def _test_share(datasets: Sequence[Dataset], resplit: bool | None) -> float | None:
    """Test rows over training rows where the seeds split one table anew; else None."""
    first = datasets[0]
    if resplit is None:
        resplit = len({data.source for data in datasets}) == 1 and any(
            not np.array_equal(data.rows.test, first.rows.test) for data in datasets
        )
    return len(first.rows.test) / len(first.rows.train) if resplit else None

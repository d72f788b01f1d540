"""Runs of any kind against each other: functions of a seed, or finished results."""

import os
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from jaxmtl._validate import check_choice
from jaxmtl._words import short
from jaxmtl.comparison.compare import Comparison
from jaxmtl.comparison.contrasts import contrasts
from jaxmtl.comparison.leaderboard import leaderboard
from jaxmtl.comparison.run_results import Place, Results, as_numbers, run_all
from jaxmtl.comparison.sentences import describe
from jaxmtl.methods.method import OnProgress
from jaxmtl.tasks import number_tasks
from jaxmtl.training.driver.describe import described, fingerprint
from jaxmtl.training.driver.store import digest

if TYPE_CHECKING:
    import pandas as pd

Better = Literal["lower", "higher"]


def compare_runs(
    runs: Mapping[str, Any] | Iterable[tuple[str, Any]],
    *,
    keys: Key[Array, " seeds"] | None = None,
    seeds: Sequence[int] | None = None,
    reference: str | None = None,
    higher_is_better: Collection[str] | bool = (),
    tasks: Sequence[str] | None = None,
    test_share: float | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    force: bool = False,
    on_progress: OnProgress | None = None,
) -> Comparison:
    """Compares anything that gives numbers for a seed, pair by pair: one's own loop, or results.

    All runs of a seed get the same key, so that what they draw alike is drawn alike. The statistics
    are those of ``compare``: paired differences, intervals, tests adjusted for their number, and
    sentences that say what the numbers allow. ``jaxmtl.report.save_comparison`` makes a page of it.

    Args:
        runs: by the names that tables and files give them: ``run(key) -> {measure: value}``, any
            Python, values numbers or arrays (tasks,); or finished results, an array (seeds,) or
            (seeds, tasks), or several by their measures. A value without a name is the measure
            ``"result"``.
        keys: one a seed; runs are called with them.
        seeds: whole numbers instead, with which runs are called as they are, as for libraries other
            than JAX. None for 0, 1, ...
        reference: the run that all others are compared with; None for the first.
        higher_is_better: names of the measures of which it is, or True for all.
        tasks: names of the entries of values that are arrays.
        test_share: test rows over training rows, where the seeds split one table anew: intervals
            are then widened.
        checkpoint: folder, in which every result is kept at once.
        resume: go on with the comparison there, if there is one, with what it has.
        force: replace what is there.
        on_progress: called with the name of a run that has ended.

    Returns:
        The comparison by the first measure; ``others`` has those by the other measures. In its
        frames ``error`` is the mean of the measure, whichever way is better. A value that is not
        finite is named in the notes with its run and seed; that seed is left out of the run's
        means and contrasts, and ranks last.

    Raises:
        ValueError: no names or the same one twice, results that do not go together, or neither
            keys nor seeds.
        FileError: the folder holds something else.

    Example:
        >>> def shrunk(by):
        ...     def run(key):
        ...         x = 1.0 + jax.random.normal(key, (20,))
        ...         return {"squared error": float((by * x.mean() - 1.0) ** 2)}
        ...     return run
        >>> keys = jax.random.split(jax.random.key(0), 8)
        >>> found = compare_runs({"mean": shrunk(1.0), "half": shrunk(0.5)}, keys=keys)
        >>> found.leaderboard["arm"].tolist(), found.contrasts["verdict"][0]
        (['mean', 'half'], 'worse')

        Finished results, one row a seed and one column a task:

        >>> rng = np.random.default_rng(0)
        >>> accuracy = rng.uniform(0.6, 0.8, (8, 2))
        >>> found = compare_runs({"plain": accuracy, "better": 1.07 * accuracy},
        ...     higher_is_better=True, tasks=["digit", "colour"])
        >>> found.sentences[0]
        'Over 8 seeds, better beat plain by 7.0 % (7.0 to 7.0).'
    """
    began = time.perf_counter()
    named = _named(runs)
    reference = next(iter(named)) if reference is None else reference
    check_choice("reference", reference, tuple(named))
    finished = {name: _rows(name, run) for name, run in named.items() if not callable(run)}
    numbers, given = _seeds(named, finished, keys, seeds)
    for name, rows in finished.items():
        if len(rows) != len(numbers):
            raise ValueError(
                f"runs: expected {len(numbers)} results of {name!r}, one a seed, got {len(rows)}"
            )
    place = None
    if checkpoint is not None:
        asked: dict[str, Any] = {f"run {name!r}": _what(run) for name, run in named.items()}
        asked |= {"runs": list(named), "seeds": numbers}
        asked["keys"] = None if keys is None else digest(keys)
        place = Place(folder=checkpoint, resume=resume, force=force, asked=asked)
    results = run_all(named | finished, numbers, given, place, on_progress)
    ways = _ways(tuple(results.values), higher_is_better)
    seconds = time.perf_counter() - began
    described_by = {name: _description(run) for name, run in named.items()}
    notes, found = [], {}
    for measure, values in results.values.items():
        names = _tasks(measure, results, tasks)
        lost = _not_finite(measure, values, numbers)
        notes += lost
        frame = _frame(measure, ways[measure], results, names, numbers)
        board = leaderboard(frame)
        paired = contrasts(frame, reference, test_share=test_share)
        said = ["There is nothing to compare with."]
        if len(paired):
            said = describe(paired, board, tasks=number_tasks(names), networks=(), measure=measure)
        found[measure] = Comparison(
            tasks=number_tasks(names),
            per_seed=frame,
            leaderboard=board,
            contrasts=paired,
            controls=paired.iloc[:0],
            reference=reference,
            descriptions={name: described_by[name] for name in board["arm"]},
            sentences=(*said, *(f"{one[0].upper()}{one[1:]}." for one in lost)),
            test_share=test_share,
            selected=False,
            seconds=seconds,
            notes=tuple(lost),
            measure=measure,
        )
    first, *rest = found
    others = {measure: found[measure] for measure in rest}
    return Comparison(**(vars(found[first]) | {"others": others, "notes": tuple(notes)}))


def _named(runs: Any) -> dict[str, Any]:
    """The runs by their names, each once."""
    pairs = list(runs.items() if isinstance(runs, Mapping) else runs)
    found: dict[str, Any] = {}
    for name, run in pairs:
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"runs: expected names that are texts, got {name!r}")
        if name.strip() in found:
            raise ValueError(f"runs: expected every name once, got {name!r} twice; rename one")
        found[name.strip()] = run
    if not found:
        raise ValueError("runs: expected at least one by its name, got none")
    return found


def _rows(name: str, given: Any) -> list[Any]:
    """Finished results, one element a seed."""
    parts = given if isinstance(given, Mapping) else {"": given}
    arrays = {}
    for measure, value in parts.items():
        try:
            array = as_numbers(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"runs: expected {name!r} to be a function of a key, or results as an array "
                f"(seeds,) or (seeds, tasks), got {short(value)}"
            ) from error
        if array.ndim not in (1, 2) or not array.size:
            raise ValueError(
                f"runs: expected results of {name!r} of shape (seeds,) or (seeds, tasks), got "
                f"{array.shape}"
            )
        arrays[measure] = array
    if len({len(array) for array in arrays.values()}) != 1:
        lengths = {measure: len(array) for measure, array in arrays.items()}
        raise ValueError(f"runs: expected as many seeds in all results of {name!r}, got {lengths}")
    if not isinstance(given, Mapping):
        return list(arrays[""])
    length = len(next(iter(arrays.values())))
    return [{key: array[i] for key, array in arrays.items()} for i in range(length)]


def _seeds(named: Any, finished: Any, keys: Any, seeds: Any) -> tuple[list[int], Any]:
    """The numbers of the seeds, and what a run is called with, by the place of a seed."""
    if keys is not None and seeds is not None:
        raise ValueError("seeds: expected None where there are keys, got both; give one of them")
    if keys is not None:
        typed = hasattr(keys, "dtype") and jnp.issubdtype(keys.dtype, jax.dtypes.prng_key)
        if not typed or keys.ndim != 1 or not len(keys):
            raise ValueError(
                "keys: expected a row of typed keys, such as jax.random.split(jax.random.key(0), "
                f"10), got {short(keys)}"
            )
        if len(np.unique(np.asarray(jax.random.key_data(keys)), axis=0)) != len(keys):
            raise ValueError("keys: expected every key once, got some twice; split them from one")
        # Runs of a seed get the same key on purpose.
        return list(range(len(keys))), lambda place: jax.random.clone(keys)[place]
    if seeds is None:
        if len(finished) < len(named):
            raise ValueError(
                "keys: expected one a seed to call the runs with, such as "
                "jax.random.split(jax.random.key(0), 10), or seeds, got neither"
            )
        seeds = range(len(next(iter(finished.values()))))
    numbers = [int(seed) for seed in seeds]
    if not numbers or len(set(numbers)) != len(numbers):
        raise ValueError(f"seeds: expected different whole numbers, got {short(list(seeds))}")
    return numbers, lambda place: numbers[place]


def _ways(measures: tuple[str, ...], higher: Collection[str] | bool) -> dict[str, Better]:
    """Which way is better, by measure."""
    if isinstance(higher, str):
        higher = (higher,)
    names = (measures if higher else ()) if isinstance(higher, bool) else tuple(higher)
    for name in names:
        check_choice("higher_is_better", name, measures)
    return {name: "higher" if name in names else "lower" for name in measures}


def _tasks(measure: str, results: Results, tasks: Sequence[str] | None) -> tuple[str, ...]:
    if results.scalar[measure]:
        return (measure,)
    number = next(iter(results.values[measure].values())).shape[1]
    names = [f"task {t}" for t in range(number)] if tasks is None else list(tasks)
    if len(names) != number or len(set(names)) != number:
        raise ValueError(
            f"tasks: expected {number} different names for the values of {measure}, got "
            f"{short(names)}"
        )
    return tuple(names)


def _not_finite(measure: str, values: Any, seeds: Sequence[int]) -> list[str]:
    """Sentences without a full stop about results that are not finite."""
    found = []
    for name, array in values.items():
        bad = [str(seeds[i]) for i in map(int, np.flatnonzero(~np.isfinite(array).all(axis=1)))]
        if bad:
            found.append(
                f"{measure} of {name!r} is not finite at seed{'s' * (len(bad) > 1)} "
                f"{', '.join(bad)}"
            )
    return found


def _frame(
    measure: str, better: Better, results: Results, tasks: tuple[str, ...], seeds: Sequence[int]
) -> "pd.DataFrame":
    import pandas as pd

    frames = []
    for name, values in results.values[measure].items():
        number = len(tasks)
        flat: Float[np.ndarray, " rows"] = values.reshape(-1)
        frames.append(
            pd.DataFrame(
                {
                    "arm": name,
                    "kind": "arm",
                    "seed": np.repeat(np.asarray(seeds), number),
                    "task": list(tasks) * len(seeds),
                    "error": flat,
                    "measure": measure,
                    "value": flat,
                    "parameters": pd.array([pd.NA] * len(flat), dtype="Int64"),
                    "splits": 0,
                    "steps": 0,
                    "seconds": np.repeat(results.seconds[name], number),
                    "epoch": -1,
                    "diverged": np.repeat(~np.isfinite(values).all(axis=1), number),
                    "scaled": False,
                    "better": better,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _what(run: Any) -> str:
    """Tells a run from another of its name, in any process."""
    if callable(run):
        return f"{getattr(run, '__qualname__', type(run).__qualname__)} {fingerprint(run)}"
    return f"results {fingerprint(described(run))}"


def _description(run: Any) -> str:
    if not callable(run):
        return "results that were given"
    said = (getattr(run, "__doc__", None) or "").strip().partition("\n")[0]
    return said or f"the function {getattr(run, '__qualname__', type(run).__qualname__)}"

"""The methods of a comparison, trained one after the other, as far as the time allows."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Int, Key

from jaxmtl.comparison.contestants import Contestant
from jaxmtl.comparison.equal_time import Paces
from jaxmtl.comparison.time_limit import BrokenOffError, Clock, TimeLimit
from jaxmtl.data import Data, Dataset, Folds, data_of
from jaxmtl.methods.method import Fitted, Work, first_folds
from jaxmtl.methods.study.adaptive import ADAPTIVE
from jaxmtl.methods.study.bench import Bench, StudyProtocol
from jaxmtl.training import SweepProgress

FIRST = ADAPTIVE.name  # lays down the schedule of all other networks
PROBES = 2  # folds that tell what a method without steps takes; the first may load a library
CONTESTANTS = 2  # that a comparison consists of, whatever the time


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained:
    """What came of the methods.

    Attributes:
        fitted: by the names of those that were trained, in the order in which they were asked for.
        seconds: that each took.
        seeds: how many were run, the first of those that were asked for.
        cut: for the time, in sentences without a full stop.
        a_run: gradient steps of one run of the schedule, a seed each; None without networks.
        paces: seconds of one epoch of one seed, see ``Paces``.
    """

    fitted: Mapping[str, Fitted]
    seconds: Mapping[str, float]
    seeds: int
    cut: tuple[str, ...]
    a_run: Int[np.ndarray, " seeds"] | None = None
    paces: Mapping[str, float] = dataclasses.field(default_factory=dict)


class _Rows(NamedTuple):
    data: Data
    folds: Folds
    keys: Key[Array, " folds"]


def train_methods(
    field: Mapping[str, Contestant],
    datasets: Sequence[Dataset],
    seeds: Sequence[int],
    *,
    reference: str,
    protocol: StudyProtocol,
    work: Work,
    began: float,
    clock: Clock,
) -> Trained:
    """Trains every method for every seed; with a limit of time, what fits into it.

    Args:
        field: methods by their names, reference lines last.
        datasets: one a seed.
        seeds: numbers for the initial values and the order.
        reference: that the others are compared with; never left out.
        protocol: what is common to all arms.
        work: how it is to be done; ``seconds`` are the limit.
        began: when the time for the limit began, by the clock.
        clock: seconds.

    Returns:
        What was trained.

    Example:
        >>> import time
        >>> from jaxmtl.comparison.contestants import contestants
        >>> from jaxmtl.data import Table, prepare, random_split
        >>> x = np.arange(20.0)[:, None]
        >>> table = Table(features=("a",), targets=("u",), x=x, y=x**2, rows=np.arange(20),
        ...     source="made up", kept={})
        >>> datasets = [prepare(table, random_split(20, seed=s, test=0.2)) for s in range(2)]
        >>> field = contestants(["mean", "ridge"], "mean", 1)
        >>> found = train_methods(field, datasets, [0, 1], reference="mean",
        ...     protocol=StudyProtocol(), work=Work(seconds=60.0), began=time.perf_counter(),
        ...     clock=time.perf_counter)
        >>> list(found.fitted), found.seeds, found.cut
        (['mean', 'ridge'], 2, ())
    """
    names = list(field)
    limit = _limit(field, datasets, seeds, reference, work, began, clock)
    told = work.on_progress
    paces = Paces(work.on_progress if work.seconds is None else limit.watch, clock)
    work = dataclasses.replace(work, on_progress=paces.watch)
    bench, seconds = None, {}
    if any(one.takes_steps for one in field.values()):
        bench, seconds[FIRST] = _laid_down(datasets, seeds, protocol, work, limit, paces, clock)
        rows = _Rows(bench.data, bench.folds, bench.keys)
    else:
        rows = _rows(datasets[: limit.seeds], seeds)
    found: dict[str, Fitted] = {}
    waiting = list(names)
    while waiting:
        waiting.remove(name := limit.order(waiting)[0])
        while name not in found and limit.fits(name):
            if limit.seeds < len(rows.folds):
                rows, bench = _of_first(limit.seeds, rows, bench)
            limit.start(name)
            if name != FIRST:  # which the bench has trained
                paces.start(name)
            began, tell = clock(), None if field[name].takes_steps else told
            if tell is not None:
                tell(name, _without_steps(len(rows.folds), through=False))
            try:
                found[name] = field[name].make(bench).fit(*rows, work)
            except BrokenOffError:
                continue  # it is begun anew with fewer seeds, or no longer fits
            if tell is not None:
                tell(name, _without_steps(len(rows.folds), through=True))
            limit.end()
            seconds[name] = clock() - began + seconds.get(name, 0.0)
    if limit.seeds < len(rows.folds):
        rows, bench = _of_first(limit.seeds, rows, bench)
    number = len(rows.folds)
    return Trained(
        fitted={name: first_folds(found[name], number) for name in names if name in found},
        seconds={name: seconds[name] * number / len(one.scores) for name, one in found.items()},
        seeds=number,
        cut=limit.notes(),
        a_run=None if bench is None else bench.updates.sum(axis=1),
        paces={name: paces.seconds(name) for name in found},
    )


def _without_steps(seeds: int, *, through: bool) -> SweepProgress:
    """That a method without steps begins, or is through with all seeds; it has no epochs."""
    left = 0.0 if through else math.nan
    return SweepProgress(seeds, seeds * through, done=0, total=0, seconds_left=left)


def _of_first(number: int, rows: _Rows, bench: Bench | None) -> tuple[_Rows, Bench | None]:
    """The rows of the first seeds, and the bench on the schedule that was laid down for them."""
    if bench is not None:
        bench = bench.of_first(number)
        return _Rows(bench.data, bench.folds, bench.keys), bench
    folds = dataclasses.replace(rows.folds, parts=rows.folds.parts[:number])
    return rows._replace(folds=folds, keys=jax.random.clone(rows.keys)[:number]), None


def _limit(
    field: Mapping[str, Contestant],
    datasets: Sequence[Dataset],
    seeds: Sequence[int],
    reference: str,
    work: Work,
    began: float,
    clock: Clock,
) -> TimeLimit:
    """What watches over the time; without a limit it lets everything pass."""
    networks = [name for name, one in field.items() if one.takes_steps]
    networks = list(dict.fromkeys([FIRST, *networks])) if networks else []
    others, must = {}, []
    if work.seconds is not None:
        probes = _rows(datasets[:PROBES], seeds)
        others = {
            name: _seconds_a_seed(one, probes, clock)
            for name, one in field.items()
            if not one.takes_steps
        }
        must = sorted(field, key=lambda name: (name != reference, name != FIRST))[:CONTESTANTS]
    return TimeLimit(
        math.inf if work.seconds is None else work.seconds,
        seeds=len(seeds),
        networks=networks,
        others=others,
        must=must,
        on_progress=work.on_progress,
        clock=clock,
        began=began,
    )


def _laid_down(
    datasets: Sequence[Dataset],
    seeds: Sequence[int],
    protocol: StudyProtocol,
    work: Work,
    limit: TimeLimit,
    paces: Paces,
    clock: Clock,
) -> tuple[Bench, float]:
    """The schedule of all networks, on as many seeds as there is time for."""
    while True:
        limit.start(FIRST)
        paces.start(FIRST)
        began = clock()
        bench = Bench(protocol, *_rows(datasets[: limit.seeds], seeds), work)
        try:
            bench.lay_down()
        except BrokenOffError:
            continue
        limit.end()
        return bench, clock() - began


def _rows(datasets: Sequence[Dataset], seeds: Sequence[int]) -> _Rows:
    data, folds = data_of(datasets)
    keys = jax.vmap(jax.random.key)(np.array(seeds[: len(datasets)], np.uint32))
    return _Rows(data, folds, keys)


def _seconds_a_seed(method: Contestant, rows: _Rows, clock: Clock) -> float:
    """What a method without steps takes, by the quickest of the first folds."""
    spent = []
    for place in range(len(rows.folds)):
        began = clock()
        one = dataclasses.replace(rows.folds, parts=rows.folds.parts[place : place + 1])
        keys = jax.random.clone(rows.keys)[place : place + 1]
        method.make(None).fit(rows.data, one, keys, Work())
        spent.append(clock() - began)
    return min(spent)

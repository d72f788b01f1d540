"""Time of a whole training step, jaxmtl against TorchJD, in turns.

    python experiments/benchmarks/whole_step.py --out whole_step.json
    python experiments/benchmarks/whole_step.py --tasks 8 --methods upgrad --together

A network 784-512-512-256 (ReLU) with a linear head a task, 10 classes each and cross-entropy, takes
steps of plain SGD on batches of 128 rows, in float32: forward, task gradients, their aggregation,
update. Both sides start from the same parameters, on as many cores and threads as --threads says.

Every way to take the step has a process of its own, as it has in use; they take turns, and the
others sleep. (What an array of some MB costs depends on the memory that its process has kept: with
--together all ways run in one process, where each profits from what the others have freed.)

Two things are computed, and only steps that compute the same one are compared:

- "all": all parameters are aggregated. TorchJD: `autojac.backward` (its rows at once or one by
  one), or the engine of `autogram` and a weighted backward pass (for methods on the Gram matrix).
  Ours: `aggregated_step` on `task_gradients` (at once, or in chunks of one), `gramian_step`.
- "trunk": the trunk is aggregated, heads get their own gradients. TorchJD: `autojac.mtl_backward`.
  Ours: `aggregated_step` on `with_heads(..., "plain")`, `gramian_step(head_gradients="plain")`.
- "features": the gradients at the features are aggregated, and passed back through the trunk once;
  TorchJD has nothing of the kind, the ratio is to its "trunk".

The change of the parameters in the first step is compared within each group. The ratio is the
fastest of TorchJD's group over ours, round by round. "x sum" is the step over ours on the summed
loss; a forward pass and K backward passes are (1 + 2K) / 3 of it, and "x work" is the step over
that. Times are medians of the rounds.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from aggregators import (
    block_length,
    open_report,
    quartiles,
    quiet,
    time_block,
    use_cores,
    write_report,
)
from step_sides import SUMMED, WAYS, Way, flatten, make_problem, ways

METHODS = ("upgrad", "mgda", "cagrad", "nash_mtl")
# Of the first step's changes: TorchJD stops MGDA early, and adds 1e-4 of the trace in UPGrad.
TOLERANCES = {"upgrad": 1e-2, "mgda": 5e-2}
CLOSE = 2e-3


class Here:
    """A way to take steps, in this process."""

    def __init__(self, way: Way, threads: int) -> None:
        self.way = way

    def start(self, method: str, tasks: int) -> np.ndarray:
        """Takes the first step of a problem: what it changes."""
        problem = make_problem(tasks)
        pairs = [*problem.trunk, *problem.heads]
        with quiet():
            self.contestant = self.way.make(problem, method)
            self.contestant.call(0)
            change = self.contestant.parameters() - flatten([leaf for p in pairs for leaf in p])
            self.calls = block_length(self.contestant.call)
        return change

    def seconds(self) -> float:
        """Of a step, by a block of them."""
        with quiet():
            return time_block(self.contestant.call, self.calls)


class Alone:
    """The same, in a process of its own."""

    def __init__(self, way: Way, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, way, threads), daemon=True)
        self.process.start()
        theirs.close()

    def start(self, method: str, tasks: int) -> np.ndarray:
        """Takes the first step of a problem: what it changes."""
        return self._ask("start", method, tasks)

    def seconds(self) -> float:
        """Of a step, by a block of them."""
        return self._ask("seconds")

    def _ask(self, *request: Any) -> Any:
        self.pipe.send(request)
        try:
            return self.pipe.recv()
        except EOFError:
            sys.exit("a process that takes steps has ended; what it said stands above")


def serve(pipe: Connection, way: Way, threads: int) -> None:
    """Does for another process what ``Here`` does, until that one ends."""
    use_cores(threads)
    here = Here(way, threads)
    while True:
        try:
            name, *arguments = pipe.recv()
        except EOFError:
            return
        pipe.send(getattr(here, name)(*arguments))


def compare(
    runners: dict[Way, Here | Alone], method: str, tasks: int, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """One block of the table: everybody in every round, each round from another one on."""
    first: dict[str, np.ndarray] = {}
    differences: dict[Way, float] = {}
    seconds: dict[Way, list[float]] = {}
    for way, runner in runners.items():
        change = runner.start(method, tasks)
        expected = first.setdefault(way.group, change)
        differences[way] = float(np.abs(change - expected).max() / np.abs(expected).max())
        seconds[way] = []
    for repeat in range(options.repeats):
        for turn in range(len(runners)):
            way = list(runners)[(turn + repeat) % len(runners)]
            seconds[way].append(runners[way].seconds())
    summed = seconds[next(way for way in runners if way.name == SUMMED[0])]
    work = (1 + 2 * tasks) / 3
    results = []
    for way in runners:
        group = "trunk" if way.group == "features" else way.group
        rivals = [other for other in runners if not other.ours and other.group == group]
        rival = min(rivals, key=lambda other: statistics.median(seconds[other]))
        share = quartiles([a / b for a, b in zip(seconds[way], summed, strict=True)])
        ratios = [b / a for a, b in zip(seconds[way], seconds[rival], strict=True)]
        results.append(
            {
                "method": method,
                "tasks": tasks,
                "name": way.name,
                "ours": way.ours,
                "group": way.group,
                "ms": 1e3 * statistics.median(seconds[way]),
                "rival": rival.name if way.ours else None,
                "ratio": quartiles(ratios),
                "of_summed": share,
                "of_work": [value / work for value in share],
                "difference": differences[way],
            }
        )
    return results


def show(results: Sequence[dict[str, Any]]) -> None:
    first = results[0]
    print(f"\n{first['method']}, {first['tasks']} tasks", end="")
    print(f"{'ms':>25}{'x sum':>8}{'x work':>8}{'ratio':>8}{'quartiles':>16}{'difference':>12}")
    for side in (True, False):
        for r in (r for r in results if r["ours"] is side):
            label = f"  {'jaxmtl' if side else 'TorchJD'} {r['group']:9}{r['name']}"
            print(
                f"{label:43}{r['ms']:>8.2f}{r['of_summed'][1]:>8.2f}{r['of_work'][1]:>8.2f}", end=""
            )
            if side:
                low, median, high = r["ratio"]
                between = f"{low:.2f} - {high:.2f}"
                print(f"{median:>8.2f}{between:>16}", end="")
            else:
                print(f"{'':24}", end="")
            print(f"{r['difference']:>12.0e}", flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--tasks", type=int, nargs="+", default=[2, 3, 8])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--repeats", type=int, default=9, help="rounds")
    parser.add_argument("--threads", type=int, default=1, help="cores, and threads of both sides")
    parser.add_argument("--together", action="store_true", help="all ways in one process")
    parser.add_argument("--out", type=Path, default=None, help="write the figures as JSON")
    options = parser.parse_args(argv)
    use_cores(options.threads)
    found = open_report(options.threads)

    results, failed = [], []
    runners = {way: (Here if options.together else Alone)(way, options.threads) for way in WAYS}
    for tasks in sorted(options.tasks):
        for method in options.methods:
            block = compare({way: runners[way] for way in ways(method)}, method, tasks, options)
            show(block)
            results += block
            asked = TOLERANCES.get(method, CLOSE)
            failed += [
                f"{r['name']} ({method}, {tasks} tasks)"
                for r in block
                if not r["difference"] <= asked
            ]
    write_report(options, found, results)
    if failed:
        sys.exit(f"expected steps that change the same, got others for {', '.join(failed)}")


if __name__ == "__main__":
    main()

"""Memory of a whole training step, jaxmtl and TorchJD, against the number of tasks; Linux only.

    python experiments/benchmarks/step_memory.py --tasks 2 3 8 --out step_memory.json

The steps are those of `whole_step.py`. Measured is the most that a process holds in three steps
beyond what it held before them (VmHWM, reset by /proc/self/clear_refs), parameters and batch aside,
in a fresh process a case; ours is compiled before, and the bytes that XLA plans for its
intermediate results stand next to it. One method is enough: what it adds is of the order of a Gram
matrix.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aggregators import open_report, quiet, use_cores, write_report
from step_sides import WAYS, Way, make_problem, ways
from whole_step import METHODS


def peak(way: Way, method: str, tasks: int) -> dict[str, Any]:
    """MiB that three steps add to what the process holds; run in a process of its own."""
    if not way.ours:  # what its libraries load when they are first used
        way.make(make_problem(tasks, (4, 4, 4), 2), method).call(0)
    contestant = way.make(make_problem(tasks), method)
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    with quiet():
        for i in range(3):
            contestant.call(i)
    planned = None if contestant.planned is None else contestant.planned / 2**20
    return {"peak_mib": (status("VmHWM") - before) / 2**10, "planned_mib": planned}


def status(field: str) -> int:
    """An entry of /proc/self/status, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


def measure(method: str, tasks: Sequence[int], threads: int) -> list[dict[str, Any]]:
    """A process a case."""
    results = []
    print(f"\nMiB in a step of {method}, and what XLA plans for intermediate results")
    print(f"{'':43}" + "".join(f"{f'{k} tasks':>18}" for k in tasks))
    for way in ways(method):
        label = f"  {'jaxmtl' if way.ours else 'TorchJD'} {way.group:9}{way.name}"
        print(f"{label:43}", end="", flush=True)
        for k in tasks:
            case = ["--case", way.name, "--methods", method, "--tasks", str(k)]
            done = subprocess.run(
                [sys.executable, __file__, *case, "--threads", str(threads)],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                sys.exit(f"{way.name}, {k} tasks: {done.stderr[-2000:]}")
            found = json.loads(done.stdout.splitlines()[-1])
            planned = f" ({found['planned_mib']:.1f})" if found["planned_mib"] is not None else ""
            print(f"{found['peak_mib']:>10.1f}{planned:>8}", end="", flush=True)
            results.append(way._asdict() | {"method": method, "tasks": k} | found)
        print()
    return results


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--tasks", type=int, nargs="+", default=[2, 3, 8])
    parser.add_argument("--methods", nargs="+", default=["upgrad"], choices=METHODS)
    parser.add_argument("--threads", type=int, default=1, help="cores, and threads of both sides")
    parser.add_argument("--out", type=Path, default=None, help="write the figures as JSON")
    parser.add_argument("--case", default=None, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    use_cores(options.threads)
    if options.case is not None:
        way = next(way for way in WAYS if way.name == options.case)
        print(json.dumps(peak(way, options.methods[0], options.tasks[0])))
        return
    found = open_report(options.threads)
    results = [r for m in options.methods for r in measure(m, options.tasks, options.threads)]
    write_report(options, found, results)


if __name__ == "__main__":
    main()

"""Time of an aggregator alone, jaxmtl against TorchJD, on the same matrices and threads, in turns.

    python experiments/benchmarks/aggregators.py --out aggregators.json
    python experiments/benchmarks/aggregators.py --methods upgrad pcgrad --rows 2 64 --threads 2

Task gradients are a float32 matrix of independent normal entries, or, with --rank, the product of
two such; both sides go through the same few matrices. Ours is one jitted call that waits for its
result, as an update outside of a training step is; inside one, the start of a call is saved. As
both sides wait, JAX runs a call in the thread that makes it (jax_cpu_enable_async_dispatch is off,
as PyTorch has it), and small loops are compiled into one kernel by `jaxmtl.inline_small_loops()`;
with --default-flags JAX is as it comes. TorchJD runs with its defaults, but for the number of steps
of MGDA where results are compared. Both run in one process on as many cores and threads as
--threads says. Before anything is timed, results are compared: all methods are deterministic once
both visit the tasks in the same order, and the largest difference, relative to the largest entry of
the result (of the mean row where that is larger: a result may be 0), is printed next to what is
asked for (with --rank it is not: what TorchJD adds to singular Gram matrices shows). A round times
a block of calls of either side, each round the other side first; the ratio of a round is TorchJD's
time over ours, and the table gives medians and quartiles.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.metadata
import json
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxmtl import inline_small_loops

METHODS = ("upgrad", "pcgrad", "gradvac", "nash_mtl", "cagrad", "mgda", "dualproj")
# Largest difference to TorchJD. It adds 1e-4 of the trace to the Gram matrix in UPGrad and
# DualProj, and its Frank-Wolfe steps for MGDA come near slowly; the others are solved to rounding.
TOLERANCES = {"upgrad": 1e-2, "dualproj": 1e-2, "mgda": 1e-2}
CLOSE = 1e-3
MATRICES = 4  # that a block of calls goes through
BLOCK_SECONDS = 0.02  # of calls that are timed together, at least
Call = Callable[[int], Any]


class Pair(NamedTuple):
    """Both sides of one method: ``call(i)`` aggregates matrix i and waits for the result."""

    ours: Call
    theirs: Call
    difference: float


def use_cores(threads: int, *, default_flags: bool = True) -> None:
    """Keeps the process on so many cores, which is how XLA sizes its pool; before JAX is used."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < threads:
            sys.exit(f"--threads: expected at most {len(cores)}, the cores at hand, got {threads}")
        os.sched_setaffinity(0, set(cores[:threads]))
    if not default_flags:
        inline_small_loops()
        import jax

        jax.config.update("jax_cpu_enable_async_dispatch", False)


def import_torchjd() -> Any:
    """TorchJD's aggregators, or the end of the program."""
    try:
        importlib.import_module("torch").set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        return importlib.import_module("torchjd.aggregation")
    except ImportError as error:
        sys.exit(f"expected TorchJD ({error}); install it with: pip install 'jaxmtl[bench]'")


def their_aggregator(method: str, rows: int, **options: Any) -> Any:
    """TorchJD's aggregator, with the settings of ours where it has no default."""
    theirs = import_torchjd()
    makers = {
        "upgrad": theirs.UPGrad,
        "pcgrad": theirs.PCGrad,
        "gradvac": theirs.GradVac,
        "nash_mtl": lambda: theirs.NashMTL(n_tasks=rows),
        "cagrad": lambda: theirs.CAGrad(c=0.5),
        "mgda": lambda: theirs.MGDA(**options),
        "dualproj": theirs.DualProj,
    }
    return makers[method]()


def visits(method: str, rows: int, seed: int) -> np.ndarray:
    """The orders that TorchJD draws with this seed, as ``order`` of ours: row t for task t."""
    import torch

    torch.manual_seed(seed)
    if method != "gradvac":
        return np.stack([torch.randperm(rows).numpy() for _ in range(rows)])
    found = []
    for task in range(rows):
        others = np.delete(np.arange(rows), task)
        found.append(np.concatenate([[task], others[torch.randperm(rows - 1).numpy()]]))
    return np.stack(found)


def compare(method: str, matrices: Sequence[np.ndarray]) -> float:
    """Largest difference of the first result on each matrix, relative to it, or to the mean row."""
    import jax
    import jax.numpy as jnp
    import torch

    import jaxmtl.aggregation as ag

    rows, seed, found = len(matrices[0]), 7, []
    aggregator = ag.make(method)
    order = jnp.asarray(visits(method, rows, seed))
    update = jax.jit(lambda j: aggregator.update(j, aggregator.init(j), order=order)[0])
    for matrix in matrices:
        torch.manual_seed(seed)
        theirs = their_aggregator(method, rows, epsilon=1e-6, max_iters=20_000)
        with quiet():
            expected = theirs(torch.tensor(matrix)).numpy()
        size = max(np.abs(expected).max(), np.abs(matrix.mean(axis=0)).max())
        found.append(np.abs(np.asarray(update(matrix)) - expected).max() / size)
    return float(max(found))


def draw(rows: int, columns: int, rank: int | None) -> list[np.ndarray]:
    """Task gradients."""
    rng = np.random.default_rng(rows)
    matrices = [rng.normal(size=(rank or rows, columns)) for _ in range(MATRICES)]
    if rank is not None:
        matrices = [rng.normal(size=(rows, rank)) @ matrix for matrix in matrices]
    return [matrix.astype(np.float32) for matrix in matrices]


def make_pair(method: str, matrices: Sequence[np.ndarray]) -> Pair:
    """Both sides, compiled and compared."""
    import jax
    import jax.numpy as jnp
    import torch

    import jaxmtl.aggregation as ag

    aggregator, theirs = ag.make(method), their_aggregator(method, len(matrices[0]))
    update = jax.jit(lambda j, state, key: aggregator.update(j, state, key=key)[:2])
    arrays, tensors = [jnp.asarray(m) for m in matrices], [torch.tensor(m) for m in matrices]
    key = jax.random.key(0)
    carried = [aggregator.init(arrays[0])]

    def call_ours(i: int) -> Any:
        result, carried[0] = update(arrays[i % MATRICES], carried[0], key)
        return jax.block_until_ready(result)

    def call_theirs(i: int) -> Any:
        return theirs(tensors[i % MATRICES])

    return Pair(call_ours, call_theirs, compare(method, matrices))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what the solvers behind TorchJD have to say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def time_block(call: Call, calls: int) -> float:
    """Seconds a call."""
    started = time.perf_counter()
    for i in range(calls):
        call(i)
    return (time.perf_counter() - started) / calls


def block_length(call: Call) -> int:
    """Calls that fill a block, after a warm-up."""
    for i in range(2 * MATRICES):
        call(i)
    return max(MATRICES, round(BLOCK_SECONDS / time_block(call, MATRICES)))


def quartiles(values: Sequence[float]) -> list[float]:
    """First quartile, median, third quartile."""
    return [float(q) for q in np.quantile(values, (0.25, 0.5, 0.75))]


def measure(pair: Pair, repeats: int) -> dict[str, Any]:
    """Both sides in turns."""
    sides = {"ours": pair.ours, "theirs": pair.theirs}
    with quiet():
        calls = {side: block_length(call) for side, call in sides.items()}
        found: dict[str, list[float]] = {side: [] for side in sides}
        for repeat in range(repeats):
            for side in sorted(sides, reverse=repeat % 2 == 1):
                found[side].append(time_block(sides[side], calls[side]))
    ratios = [b / a for a, b in zip(found["ours"], found["theirs"], strict=True)]
    return {
        "ours_us": 1e6 * statistics.median(found["ours"]),
        "theirs_us": 1e6 * statistics.median(found["theirs"]),
        "ratio": quartiles(ratios),
    }


def about(threads: int) -> dict[str, Any]:
    """What the numbers were measured on."""
    from per_sample import machine

    found: dict[str, Any] = machine() | {"threads": threads}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        found["versions"]["torchjd"] = importlib.metadata.version("torchjd")
    return found


def show_machine(found: dict[str, Any]) -> None:
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    print(f"{found['cpu']}, {found['threads']} thread(s) a side, load before {found['load']}")
    print(f"python {found['python']}, {versions}")


def open_report(threads: int) -> dict[str, Any]:
    """Both sides' libraries are there, and the machine is named first."""
    import_torchjd()
    found = about(threads)
    show_machine(found)
    return found


def write_report(options: argparse.Namespace, machine: dict[str, Any], results: list[Any]) -> None:
    """Writes the figures where --out says, with the settings that gave them."""
    if options.out is None:
        return
    settings = {k: v for k, v in vars(options).items() if k not in ("out", "case")}
    report = {"machine": machine, "settings": settings, "results": results}
    options.out.write_text(json.dumps(report, indent=2) + "\n")
    print(f"wrote {options.out}")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[2, 8, 32, 64], help="tasks")
    parser.add_argument("--columns", type=int, default=10_000, help="parameters")
    parser.add_argument("--rank", type=int, default=None, help="of the gradients; None for full")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--repeats", type=int, default=15, help="rounds")
    parser.add_argument("--threads", type=int, default=1, help="cores, and threads of both sides")
    parser.add_argument("--default-flags", action="store_true", help="leave JAX as it comes")
    parser.add_argument("--out", type=Path, default=None, help="write the figures as JSON")
    options = parser.parse_args(argv)
    use_cores(options.threads, default_flags=options.default_flags)
    found = open_report(options.threads)

    print(f"\ntask gradients rows x {options.columns}, float32, {options.repeats} rounds")
    print(f"{'':10}{'rows':>5}{'jaxmtl µs':>12}{'TorchJD µs':>12}", end="")
    print(f"{'ratio':>9}{'quartiles':>17}{'difference':>14}{'asked':>9}")
    results, failed = [], []
    for method in options.methods:
        for rows in options.rows:
            pair = make_pair(method, draw(rows, options.columns, options.rank))
            asked = TOLERANCES.get(method, CLOSE)
            result = measure(pair, options.repeats)
            low, median, high = result["ratio"]
            times = f"{result['ours_us']:>12.1f}{result['theirs_us']:>12.1f}"
            print(f"{method:10}{rows:>5}{times}", end="")
            between = f"{low:.1f} - {high:.1f}"
            print(f"{median:>9.1f}{between:>17}{pair.difference:>14.1e}{asked:>9.0e}", flush=True)
            results.append({"method": method, "rows": rows, "difference": pair.difference} | result)
            if not pair.difference <= asked and options.rank is None:
                failed.append(f"{method} with {rows} rows")
    print("ratio: TorchJD's time over ours; difference: of the results, relative to their largest")
    write_report(options, found, results)
    if failed:
        sys.exit(f"expected results within the tolerance, got others for {', '.join(failed)}")


if __name__ == "__main__":
    main()

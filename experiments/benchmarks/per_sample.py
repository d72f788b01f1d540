"""Time of one training sample: jaxmtl, an ordinary PyTorch loop, a scalar numba loop, in turns.

    python experiments/benchmarks/per_sample.py --check --out per_sample.json
    python experiments/benchmarks/per_sample.py --gpu

All run on one core and in one process, several rounds; the table gives medians. Two jobs:
`no split` is one phase that counts and never fires, `study` the study's four phases with whatever
duplications happen. jaxmtl runs as its shell commands do, after `jaxmtl.inline_small_loops()`;
with --default-flags, as a library that was told nothing. All but PyTorch also compute the training
errors after every epoch; PyTorch is timed over a thousand samples of the first job, the others
over all. Everything is float32 unless it says otherwise. With --gpu only jaxmtl is timed, on the
graphics card.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from problem import STUDY_PHASES, Problem, make_params, make_rows, never_splits

from jaxmtl import inline_small_loops

ROOT = Path(__file__).resolve().parents[2]


class Contestant(NamedTuple):
    name: str
    job: str
    seconds_per_sample: Callable[[], float]


def run_jaxmtl(problem: Problem, phases: Sequence[Mapping[str, Any]]) -> Any:
    """A whole adaptive run in float32; the first one with a shape compiles."""
    import jax

    from jaxmtl import HardSharing, Phase, Rows, Splits, fit_adaptive

    x, y, begin = jax.tree.map(lambda leaf: leaf.astype(np.float32), tuple(problem))
    plan = tuple(Phase(**phase) for phase in phases)
    run = fit_adaptive(HardSharing(), Splits(train=Rows(x, y)), params=begin, phases=plan)
    return jax.block_until_ready(run)


def time_jaxmtl(problem: Problem, phases: Sequence[Mapping[str, Any]]) -> float:
    """Seconds a sample of a whole adaptive run, everything included but the compilation."""
    started = time.perf_counter()
    run = run_jaxmtl(problem, phases)
    return (time.perf_counter() - started) / int(np.sum(run.history.samples))


def jaxmtl_contestants(problem: Problem, jobs: Mapping[str, Any]) -> list[Contestant]:
    return [
        Contestant("jaxmtl", job, lambda phases=phases: time_jaxmtl(problem, phases))
        for job, phases in jobs.items()
    ]


def torch_contestants(problem: Problem, num_samples: int) -> list[Contestant]:
    import torch_loop

    torch_loop.torch.set_num_threads(1)
    return [
        Contestant(
            f"(a) PyTorch, {how}",
            "no split",
            lambda count=count: torch_loop.time_torch(*problem, num_samples, count),
        )
        for how, count in (
            ("signs counted by arrays", torch_loop.count_with_arrays),
            ("signs counted by loops", torch_loop.count_with_loops),
        )
    ]


def numba_contestants(problem: Problem, jobs: Mapping[str, Any]) -> list[Contestant]:
    import numba_loop

    def contestant(job: str, dtype: Any, fastmath: bool, evaluate: bool) -> Contestant:
        return Contestant(
            f"(b) numba {np.dtype(dtype).name}"
            + (", fastmath" if fastmath else "")
            + ("" if evaluate else ", no errors computed"),
            job,
            lambda: numba_loop.time_numba(
                *problem, jobs[job], dtype, fastmath=fastmath, evaluate=evaluate
            ),
        )

    wholes = [
        contestant(job, dtype, fastmath, True)
        for job in jobs
        for dtype in (np.float32, np.float64)
        for fastmath in (False, True)
    ]
    return [*wholes, contestant("no split", np.float32, False, False)]


def check() -> None:
    """Assert that (a), (b) and the tests' reference agree on a short run that splits thrice."""
    sys.path.insert(0, str(ROOT / "tests"))
    oracle = importlib.import_module("oracle")
    import numba_loop
    import torch_loop

    x, y = make_rows(300)
    params = make_params()
    phases = [
        {"epochs": 2, "warmup": 1, "threshold": 6},
        {"epochs": 1, "threshold": 5},
        {"epochs": 2, "warmup": 2, "threshold": 6, "learning_rate": 1e-3},
        {"epochs": 1},
    ]
    expected = oracle.run(params, [(x, y)], phases)
    events = [
        tuple(event[name] for name in ("phase", "epoch", "sample", "node", "copy"))
        for event in expected["events"]
    ]
    assert len(events) == 3, events
    for name, run in (
        ("PyTorch", torch_loop.run_torch(x, y, params, phases, torch_loop.torch.float64)),
        ("numba", numba_loop.run_numba(x, y, params, phases, np.float64)),
    ):
        assert run["events"] == events, f"{name}: expected {events}, got {run['events']}"
        np.testing.assert_allclose(run["train"], expected["history"]["train"], rtol=1e-10)
    short = never_splits(3)
    slow = numba_loop.run_numba(x, y, params, short, np.float64)["train"]
    for fastmath in (False, True):
        fast = numba_loop.run_numba(x, y, params, short, np.float32, fastmath=fastmath)["train"]
        np.testing.assert_allclose(fast, slow, rtol=1e-3)
    ours = run_jaxmtl(Problem(x, y, params), short).history.train
    np.testing.assert_allclose(ours, slow, rtol=1e-3)
    print(f"check: PyTorch, numba, jaxmtl and the reference agree; events {events}")


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    versions = {}
    for package in ("jaxmtl", "jax", "jaxlib", "optax", "flax", "numpy", "numba", "torch"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": versions,
        "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
    }


def measure(contestants: Sequence[Contestant], repeats: int) -> list[dict[str, Any]]:
    """Time everybody in turns, each round from another one on, after one round that is not kept."""
    for contestant in contestants:
        contestant.seconds_per_sample()
    found: list[list[float]] = [[] for _ in contestants]
    for repeat in range(repeats):
        for turn in range(len(contestants)):
            n = (turn + repeat) % len(contestants)
            found[n].append(1e6 * contestants[n].seconds_per_sample())
    return [
        {
            "name": contestant.name,
            "job": contestant.job,
            "median_us": statistics.median(times),
            "fastest_us": min(times),
            "all_us": times,
        }
        for contestant, times in zip(contestants, found, strict=True)
    ]


def show(results: Sequence[Mapping[str, Any]], base: str) -> None:
    """Print the table; the ratio is to the first contestant of that name with the same job."""
    print(f"{'':42}{'job':10}{'µs a sample':>12}{'fastest':>10}{'ratio':>10}")
    for result in results:
        same = [r for r in results if r["name"] == base and r["job"] == result["job"]]
        ratio = f"{result['median_us'] / same[0]['median_us']:.2f}" if same else ""
        times = f"{result['median_us']:>12.3f}{result['fastest_us']:>10.3f}"
        print(f"{result['name']:42}{result['job']:10}{times}{ratio:>10}")
    print(f"ratio: median over that of {base} with the same job")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--repeats", type=int, default=7, help="rounds that are kept")
    parser.add_argument("--epochs", type=int, default=100, help="epochs of the job `no split`")
    parser.add_argument("--torch-samples", type=int, default=1000, help="samples a PyTorch turn")
    parser.add_argument("--core", type=int, default=None, help="core to stay on (Linux)")
    parser.add_argument(
        "--default-flags",
        action="store_true",
        help="leave XLA as it is, without jaxmtl.inline_small_loops()",
    )
    parser.add_argument("--check", action="store_true", help="first assert that all agree")
    parser.add_argument("--gpu", action="store_true", help="time jaxmtl alone, on the GPU")
    parser.add_argument("--out", type=Path, default=None, help="write the figures as JSON")
    options = parser.parse_args(argv)

    # before jax and torch are loaded: they size their thread pools by it
    if not options.gpu:
        os.environ["JAX_PLATFORMS"] = "cpu"
        if hasattr(os, "sched_setaffinity"):
            core = min(os.sched_getaffinity(0)) if options.core is None else options.core
            os.sched_setaffinity(0, {core})
        if not options.default_flags:
            inline_small_loops()
    jobs = {"no split": never_splits(options.epochs), "study": STUDY_PHASES}
    problem = Problem(*make_rows(), make_params())
    about = machine()

    contestants = jaxmtl_contestants(problem, jobs)
    if options.gpu:
        import jax

        if jax.default_backend() != "gpu":
            sys.exit(f"expected a GPU for --gpu, got the backend {jax.default_backend()!r}")
        about["device"] = jax.devices()[0].device_kind
    else:
        try:
            if options.check:
                check()
            contestants += torch_contestants(problem, options.torch_samples)
            contestants += numba_contestants(problem, jobs)
        except ImportError as error:
            sys.exit(str(error))

    results = measure(contestants, options.repeats)
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    print(f"{about.get('device', about['cpu'])}, {about['platform']}")
    print(f"python {about['python']}, {versions}")
    show(results, "jaxmtl")
    if options.out is not None:
        settings = {k: v for k, v in vars(options).items() if k != "out"}
        report = {"machine": about, "settings": settings, "results": results}
        options.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()

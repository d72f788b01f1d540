"""Time of one training sample of one seed: jaxmtl's sweep over many seeds, a numba loop over one.

    python experiments/benchmarks/per_seed.py --out per_seed.json --picture per_seed.png
    python experiments/benchmarks/per_seed.py --devices 1 2 --seeds 1 2 4 8 16 32 64 128
    python experiments/benchmarks/per_seed.py --gpu

All train the study's network with the study's phases on rows like those of Nanjing (925, four
inputs, two targets), one sample an update; conflict is counted, and the training errors of all rows
are computed after every epoch. jaxmtl trains all seeds in one program, on as many CPU devices as
there are cores unless --devices says otherwise; the scalar numba loop, float32, trains seed after
seed on one core, from the same initial values. A time is wall-clock time over the samples that the
seeds used, so a seed that ends early and waits for the others costs what it waits. Medians of
several rounds in turns; what compiling takes is told apart, as the first call less the second.
Above 128 seeds the phases are shortened (a quarter as long at 512 seeds, and so on), and on a GPU
always. The machine's load is written down: with other work on it, all times are too long.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from per_sample import machine
from problem import STUDY_PHASES, make_params, make_rows

import jaxmtl

CPU_SEEDS = (1, 8, 32, 128, 512, 1024)
GPU_SEEDS = (1, 16, 128, 1024, 4096, 16384)
WHOLE_UP_TO = 128  # seeds that get the whole schedule on a CPU
GPU_SHARE = 16
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # Okabe-Ito


class Sweep(NamedTuple):
    """One point of the curve.

    Attributes:
        seeds: trained in one program.
        devices: that share them.
        share: the phases have one part in so many of the study's epochs.
    """

    seeds: int
    devices: int
    share: int


def phases(share: int) -> tuple[dict[str, Any], ...]:
    """The study's phases, or shorter ones of the same shape."""
    return tuple(
        phase
        | {
            "epochs": max(1, phase["epochs"] // share),
            "warmup": phase.get("warmup", 0) // share,
        }
        for phase in STUDY_PHASES
    )


def run_sweep(
    sweep: Sweep, plan: Sequence[dict[str, Any]] | None = None
) -> tuple[float, float, Any]:
    """Seconds, seconds of processor time, and the runs."""
    import jax

    x, y = (leaf.astype(np.float32) for leaf in make_rows())
    starts = [make_params(seed) for seed in range(sweep.seeds)]
    params = jax.tree.map(lambda *leaves: np.stack(leaves).astype(np.float32), *starts)
    keys = jax.random.split(jax.random.key(0), sweep.seeds)
    schedule = [jaxmtl.Phase(**phase) for phase in plan or phases(sweep.share)]
    began, work = time.perf_counter(), time.process_time()
    runs = jaxmtl.sweep(
        jaxmtl.HardSharing(),
        jaxmtl.Splits(jaxmtl.Rows(x, y)),
        keys=keys,
        params=params,
        phases=schedule,
        devices=jax.devices()[: sweep.devices],
    )
    return time.perf_counter() - began, time.process_time() - work, runs


def compile_seconds(sweep: Sweep) -> float:
    """The first call less the second, of four epochs each, which use the same program."""
    brief = [phase | {"epochs": 1, "warmup": 0} for phase in STUDY_PHASES]
    first, second = (run_sweep(sweep, brief)[0] for _ in range(2))
    return first - second


def time_sweep(sweep: Sweep) -> dict[str, float]:
    """One round of a point."""
    seconds, work, runs = run_sweep(sweep)
    samples = np.asarray(runs.records.samples * runs.records.ran).sum(axis=1)
    epochs = np.asarray(runs.records.ran).sum(axis=1)
    return {
        "us": 1e6 * seconds / float(samples.sum()),
        "seconds": seconds,
        "cores_used": work / seconds,
        "samples_a_seed": float(samples.mean()),
        "waiting": 1 - float(epochs.mean() / epochs.max()),
    }


def time_numba(seeds: int) -> list[float]:
    """Microseconds a sample of each seed; the loop is compiled before the clock starts."""
    import numba_loop

    x, y = make_rows()
    return [
        1e6 * numba_loop.time_numba(x, y, make_params(seed), STUDY_PHASES, np.float32)
        for seed in range(seeds)
    ]


def measure(points: Sequence[Sweep], rounds: int, numba_seeds: int) -> dict[str, Any]:
    """Everybody in turns, each round from another one on."""
    compiling = [compile_seconds(point) for point in points]
    found: list[list[dict[str, float]]] = [[] for _ in points]
    numba: list[float] = []
    for number in range(rounds):
        for turn in range(len(points)):
            n = (turn + number) % len(points)
            found[n].append(time_sweep(points[n]))
        numba += time_numba(numba_seeds) if numba_seeds else []
    curve = []
    for point, seconds, times in zip(points, compiling, found, strict=True):
        medians = {name: statistics.median(one[name] for one in times) for name in times[0]}
        every = {"all_us": [one["us"] for one in times], "compile_seconds": seconds}
        curve.append({**point._asdict(), **medians, **every})
    median = statistics.median(numba) if numba else None
    return {"curve": curve, "numba": {"us": median, "all_us": numba} if numba else None}


def show(results: dict[str, Any]) -> None:
    """Print the table."""
    numba = results["numba"]
    print(
        f"{'seeds':>6}{'devices':>9}{'epochs':>8}{'µs':>9}{'s a seed':>10}{'over numba':>12}"
        f"{'waiting':>9}{'cores used':>12}{'compiling':>11}"
    )
    for row in results["curve"]:
        ratio = f"{numba['us'] / row['us']:.2f} x" if numba else ""
        print(
            f"{row['seeds']:>6}{row['devices']:>9}{'1/' + str(row['share']):>8}{row['us']:>9.4f}"
            f"{row['seconds'] / row['seeds']:>10.4f}{ratio:>12}{row['waiting']:>9.0%}"
            f"{row['cores_used']:>12.2f}{row['compile_seconds']:>9.1f} s"
        )
    if numba:
        print(f"numba, float32, one core, seed after seed: {numba['us']:.4f} µs")
    print(
        "µs: of wall-clock time a sample and seed; epochs: of the study's; over numba: how many "
        "times as fast;\nwaiting: share of epochs spent waiting for the last seed to end"
    )


def draw(results: dict[str, Any], place: str, path: Path) -> None:
    """The curve, both axes logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    curves = sorted({row["devices"] for row in results["curve"]}, reverse=True)
    for devices, colour, marker in zip(curves, COLOURS, "osD^", strict=False):
        rows = [row for row in results["curve"] if row["devices"] == devices]
        word = place if devices == 1 else f"{place}s"
        x, y = ([row[name] for row in rows] for name in ("seeds", "us"))
        label = f"jaxmtl.sweep, {devices} {word}"
        axes.plot(x, y, color=colour, marker=marker, markersize=5, label=label)
        for row in rows:
            if row["share"] > 1 and place == "core":
                axes.plot(row["seeds"], row["us"], marker, color="white", mec=colour, markersize=5)
    if results["numba"]:
        label = "scalar numba loop, 1 core, seed after seed"
        axes.axhline(results["numba"]["us"], color="#595959", ls="--", label=label)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    ticks = sorted({row["seeds"] for row in results["curve"]})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    low, high = axes.get_ylim()
    ticks = [t * 10.0**e for e in range(-5, 4) for t in (1, 2, 5) if low <= t * 10.0**e <= high]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xlabel("seeds trained in one program")
    axes.set_ylabel("wall-clock time, µs a sample and seed")
    axes.set_title("The study's training, 925 rows: cost of one seed", fontsize=10)
    axes.grid(color="#E6E6E6", lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if any(row["share"] > 1 for row in results["curve"]) and place == "core":
        axes.plot([], [], "o", color="white", mec="#595959", label="shortened phases")
    axes.legend(frameon=False, fontsize=8.5)
    figure.savefig(path, dpi=120)


def main(argv: Sequence[str] | None = None) -> None:
    cores = os.cpu_count() or 1
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seeds", type=int, nargs="+", help="points of the curve")
    parser.add_argument(
        "--devices",
        type=int,
        nargs="+",
        help=f"devices, a curve each; on a CPU {cores}, one a core",
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--numba-seeds", type=int, default=3, help="a round; 0 for none")
    parser.add_argument("--share", type=int, help="shorten all phases to one part in so many")
    parser.add_argument("--gpu", action="store_true", help="the curve on GPUs, without numba")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--picture", type=Path, help="draw the curve")
    options = parser.parse_args(argv)
    for name in ("seeds", "devices"):
        if min(getattr(options, name) or [1]) < 1:
            parser.error(f"--{name}: expected numbers of at least 1, got {getattr(options, name)}")
    if options.rounds < 1:
        parser.error(f"--rounds: expected at least 1, got {options.rounds}")

    # before JAX is asked for its devices
    if not options.gpu:
        os.environ["JAX_PLATFORMS"] = "cpu"
        jaxmtl.inline_small_loops()
    import jax

    devices = options.devices or ([1] if options.gpu else [cores])
    if not options.gpu:
        jax.config.update("jax_num_cpu_devices", max(devices))
    elif jax.default_backend() != "gpu":
        sys.exit(f"expected a GPU for --gpu, got the backend {jax.default_backend()!r}")
    if max(devices) > jax.device_count():
        sys.exit(f"--devices: expected {jax.device_count()} at most, got {max(devices)}")

    def share(seeds: int) -> int:
        return options.share or (GPU_SHARE if options.gpu else max(1, seeds // WHOLE_UP_TO))

    numbers = options.seeds or (GPU_SEEDS if options.gpu else CPU_SEEDS)
    points = [Sweep(seeds, count, share(seeds)) for count in devices for seeds in numbers]
    about = machine() | {"device": jax.devices()[0].device_kind}
    try:
        results = measure(points, options.rounds, 0 if options.gpu else options.numba_seeds)
    except ImportError as error:
        sys.exit(str(error))
    after = os.getloadavg() if hasattr(os, "getloadavg") else None
    about["load_after"] = after

    name = about["device"] if options.gpu else about["cpu"]
    print(f"{name}, {about['cores']} cores, {about['platform']}, python {about['python']}")
    print(", ".join(f"{name} {version}" for name, version in about["versions"].items()))
    if about["load"] and after:
        print(f"load before {about['load'][0]:.1f}, after {after[0]:.1f}")
    show(results)
    if options.picture is not None:
        draw(results, "GPU" if options.gpu else "core", options.picture)
    if options.out is not None:
        settings = {k: v for k, v in vars(options).items() if k not in ("out", "picture")}
        report = {"machine": about, "settings": settings, **results}
        options.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()

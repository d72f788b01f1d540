"""What steps that spare backward passes cost, in steps on the summed loss, and beside TorchJD's.

    python experiments/benchmarks/cheaper_steps.py
    python experiments/benchmarks/cheaper_steps.py --networks mlp --tasks 8 32 --rows 128 512 1024

A trunk (dense, convolutional, or attention; `step_networks.py`) with a linear head a task, 10
classes each and cross-entropy, takes steps of plain SGD in float32. Each way is compiled once, its
state donated, and takes blocks of steps in turns with the others, each round from another one on;
a block has as many steps as ``every(8)`` takes to solve once, and 2 of the ways that cost a pass a
task. "x sum" is the median over rounds of a step over one on the summed loss in the same round;
"x TorchJD" is how many such steps the fastest of TorchJD's ways to all task gradients has time for
(``autojac.backward`` at once or one by one, ``autogram.Engine``). ``--method`` is the method
inside; ``solve_on`` is an eighth of the rows.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import optax
from aggregators import quiet, use_cores
from per_sample import machine
from step_networks import NETWORKS, Problem, make_problem, make_torch

import jaxmtl.aggregation as ag

RATE, EVERY, PART = 0.05, 8, 8
THEIRS = ("autojac.backward", "the same, one by one", "autogram.Engine")
SUMMED, DEAR = "summed loss", ("task gradients", "Gram matrix", *THEIRS)
Block = Callable[[int], Any]


def steps_of(split: ag.SplitLoss, method: str) -> dict[str, ag.AggregatedStep]:
    """The ways to take a step, by name."""
    sgd, inner = optax.sgd(RATE), ag.make(method)

    def part(batch: Any) -> Any:
        rows = -(-batch[0].shape[0] // PART)
        return batch[0][:rows], batch[1][:, :rows]

    each = ag.every(EVERY, inner)
    return {
        SUMMED: ag.scalarized_step(split, ag.equal(), sgd),
        "task gradients": ag.aggregated_step(split, inner, sgd),
        "Gram matrix": ag.gramian_step(split, inner, sgd),
        f"every({EVERY})": ag.gramian_step(split, each, sgd),
        f"every({EVERY}), solve_on": ag.gramian_step(split, each, sgd, solve_on=part),
        f"every({EVERY}), all gradients": ag.aggregated_step(split, each, sgd),
        "cyclic": ag.aggregated_step(split, ag.cyclic(inner), sgd),
        "colour_schedule": ag.aggregated_step(split, ag.colour_schedule(), sgd),
        "fixed_weights_from": ag.aggregated_step(split, ag.fixed_weights_from(inner, 4), sgd),
        "gram_product": ag.gram_product_step(split, ag.ProductMethod(), sgd),
    }


def compiled(step: ag.AggregatedStep, problem: Problem) -> Block:
    """A call that takes some steps and waits for them."""
    params = jax.tree.map(lambda leaf: leaf.copy(), problem.params)
    carried = [params, step.init(params, problem.batch)]
    jitted = jax.jit(lambda p, s, b: step.step(p, s, b)[:2], donate_argnums=(0, 1))
    ready = jitted.lower(*carried, problem.batch).compile()

    def block(steps: int) -> None:
        for _ in range(steps):
            carried[:] = ready(*carried, problem.batch)
        jax.block_until_ready(carried)

    return block


def of_torchjd(network: str, problem: Problem, method: str) -> dict[str, Block]:
    """TorchJD's ways to the same numbers."""
    from step_sides import step_theirs

    found: dict[str, Block] = {}
    for name in THEIRS:
        call = step_theirs(*make_torch(network, problem), name, method)

        def block(steps: int, call: Callable[[int], None] = call) -> None:
            with quiet():
                for number in range(steps):
                    call(number)

        found[name] = block
    return found


def measure(
    network: str, tasks: int, rows: int, options: argparse.Namespace
) -> dict[str, tuple[float, float]]:
    """Milliseconds of a step, and that over a step on the summed loss, by way."""
    problem = make_problem(network, tasks, rows)
    blocks = {
        name: compiled(step, problem)
        for name, step in steps_of(problem.split, options.method).items()
        if options.ways is None or name in (SUMMED, *options.ways)
    }
    if not options.alone:
        blocks |= of_torchjd(network, problem, options.method)
    for block in blocks.values():
        block(EVERY)  # whatever is done once, and for fixed weights the steps that learn them
    seconds: dict[str, list[float]] = {name: [] for name in blocks}
    names = list(blocks)
    for turn in range(options.rounds):
        for place in range(len(names)):
            name = names[(place + turn) % len(names)]
            steps = 2 if name in DEAR else EVERY
            start = time.perf_counter()
            blocks[name](steps)
            seconds[name].append((time.perf_counter() - start) / steps)
    summed = seconds[SUMMED]
    return {
        name: (
            1e3 * statistics.median(own),
            statistics.median(a / b for a, b in zip(own, summed, strict=True)),
        )
        for name, own in seconds.items()
    }


def show(title: str, costs: dict[str, tuple[float, float]]) -> None:
    """A table of the ways."""
    theirs = min((costs[name][0] for name in THEIRS if name in costs), default=None)
    print(f"\n{title:42}{'ms':>10}{'x sum':>8}" + ("" if theirs is None else f"{'x TorchJD':>11}"))
    for name, (ms, ratio) in costs.items():
        label = f"TorchJD {name}" if name in THEIRS else name
        faster = "" if theirs is None or name in THEIRS else f"{theirs / ms:>11.1f}"
        print(f"  {label:40}{ms:>10.2f}{ratio:>8.2f}{faster}", flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--tasks", type=int, nargs="+", default=[3, 8, 32])
    parser.add_argument("--rows", type=int, nargs="+", default=[128], help="of a batch")
    parser.add_argument("--method", default="mgda", help="the aggregator inside")
    parser.add_argument("--ways", nargs="+", default=None, help="beside the summed loss; all")
    parser.add_argument("--alone", action="store_true", help="without TorchJD")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2, help="cores, and threads of both sides")
    options = parser.parse_args(argv)
    use_cores(options.threads)
    found = machine()
    print(
        f"{found['cpu']}, {options.threads} threads, load before {found['load']}; "
        f"jax {jax.__version__}"
    )
    for network in options.networks:
        for tasks in options.tasks:
            for rows in options.rows:
                costs = measure(network, tasks, rows, options)
                show(f"{network}, {tasks} tasks, {rows} rows, {options.method}", costs)


if __name__ == "__main__":
    main()

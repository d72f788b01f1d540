"""Seconds to trace and compile a step of every aggregator, against the number of tasks.

    python experiments/benchmarks/compile_times.py --tasks 3 8 40
    python experiments/benchmarks/compile_times.py --tasks 40 --methods upgrad graddrop

A network of ten dense layers with a linear output a task, squared error, and `aggregated_step` with
Adam. Compiled anew, without a cache, in one process, in turns with the mean's step: "x mean" is the
median over rounds of a method's time over the mean's of the same round. "operations" counts what
XLA was given.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from per_sample import machine

import jaxmtl.aggregation as ag

# Not those that want one number a task.
METHODS = [name for name in sorted(ag.REGISTRY) if name not in ("constant", "krum")]
LAYERS, WIDTH, ROWS = 10, 16, 32


def make_step(method: str, tasks: int) -> tuple[ag.AggregatedStep, Any, Any]:
    """A step, parameters and a batch."""
    rng = np.random.default_rng(0)
    sizes = [8, *[WIDTH] * (LAYERS - 1), tasks]
    params = [
        {"kernel": jnp.asarray(rng.normal(size=pair) / pair[0], jnp.float32), "bias": jnp.zeros(b)}
        for pair in zip(sizes[:-1], sizes[1:], strict=True)
        for b in pair[1:]
    ]
    batch = jnp.ones((ROWS, sizes[0])), jnp.ones((ROWS, tasks))

    def loss_fn(params: Any, batch: Any) -> jax.Array:
        h = batch[0]
        for layer in params[:-1]:
            h = jnp.tanh(h @ layer["kernel"] + layer["bias"][None])
        out = h @ params[-1]["kernel"] + params[-1]["bias"][None]
        return ((out - batch[1]) ** 2).mean(axis=0)

    return ag.aggregated_step(loss_fn, ag.make(method), optax.adam(1e-3)), params, batch


def once(method: str, tasks: int) -> tuple[float, float, int]:
    """Seconds to trace and lower, to compile, and operations."""
    jax.clear_caches()
    step, params, batch = make_step(method, tasks)
    state = step.init(params, batch, key=jax.random.key(0))
    start = time.perf_counter()
    lowered = jax.jit(step.step).lower(params, state, batch)
    middle = time.perf_counter()
    lowered.compile()
    end = time.perf_counter()
    operations = lowered.as_text().count(" = ")
    return middle - start, end - middle, operations


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--tasks", type=int, nargs="+", default=[3, 8, 40])
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(argv)
    found = machine()
    print(f"{found['cpu']}, load before {found['load']}; jax {jax.__version__}")
    for tasks in options.tasks:
        print(
            f"\n{tasks:>3} tasks{'trace':>18}{'compile':>9}{'s':>3}{'x mean':>10}{'operations':>12}"
        )
        for method in options.methods:
            rounds = [(once("mean", tasks), once(method, tasks)) for _ in range(options.rounds)]
            ratio = statistics.median(sum(m[:2]) / sum(b[:2]) for b, m in rounds)
            trace, compiling = (statistics.median(m[at] for _, m in rounds) for at in (0, 1))
            print(
                f"  {method:14}{trace:>12.2f}{compiling:>9.2f}{ratio:>13.2f}{rounds[0][1][2]:>12}",
                flush=True,
            )


if __name__ == "__main__":
    main()

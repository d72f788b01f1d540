"""What views and stages cost: against task gradients, and against branches written by hand.

A convolutional trunk of four layers with a linear head a task takes the gradients of all tasks, in
float32. Views compute one network a task; stages compute what is shared once. Each row is timed in
turn with the one that it is measured against, so that both meet the same machine.

    python experiments/benchmarks/sharing.py --tasks 2 4 --rounds 30
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmtl import task_gradients
from jaxmtl.sharing import duplicate, open_banks, staged, view_losses

CHANNELS, LAYERS, SIZE, BATCH = 32, 4, 16, 32
BRANCHED = ("conv_2", "conv_3")  # of the last task


class Timed(NamedTuple):
    """A compiled function without arguments, and the seconds that compiling it took."""

    call: Callable[[], Any]
    compiled_in: float


def make_params(tasks: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    params: dict[str, Any] = {}
    inputs = 3
    for layer in range(LAYERS):
        draw = rng.normal(size=(3, 3, inputs, CHANNELS)) / (9 * inputs) ** 0.5
        params[f"conv_{layer}"] = {
            "kernel": jnp.asarray(draw, jnp.float32),
            "bias": jnp.zeros(CHANNELS),
        }
        inputs = CHANNELS
    heads = rng.normal(size=(CHANNELS, tasks)) / CHANNELS**0.5
    return params | {"heads": jnp.asarray(heads, jnp.float32)}


def conv(params: Any, h: Any) -> Any:
    dimensions = ("NHWC", "HWIO", "NHWC")
    h = jax.lax.conv_general_dilated(
        h, params["kernel"], (1, 1), "SAME", dimension_numbers=dimensions
    )
    return jax.nn.relu(h + params["bias"][None, None, None])


def losses_of(params: Any, h: Any, batch: Any) -> Any:
    return ((h.mean(axis=(1, 2)) @ params["heads"] - batch[1]) ** 2).mean(axis=0)


def network(params: Any, batch: Any) -> Any:
    h = batch[0]
    for layer in range(LAYERS):
        h = conv(params[f"conv_{layer}"], h)
    return losses_of(params, h, batch)


def branched(params: Any, batch: Any) -> Any:
    """The last task has layers of its own, written by hand."""
    h = batch[0]
    for layer in range(LAYERS - len(BRANCHED)):
        h = conv(params[f"conv_{layer}"], h)
    own = h
    for name in BRANCHED:
        h, own = conv(params[name], h), conv(params[f"own_{name}"], own)
    return jnp.concatenate([losses_of(params, h, batch)[:-1], losses_of(params, own, batch)[-1:]])


def stages() -> list[tuple[str, Callable[..., Any]]]:
    def stage(layer: int) -> Callable[..., Any]:
        return lambda params, h: conv(params[f"conv_{layer}"], h[0] if layer == 0 else h)

    return [(f"conv_{layer}", stage(layer)) for layer in range(LAYERS)]


def compiled(function: Callable[..., Any], *args: Any) -> Timed:
    lowered = jax.jit(function).lower(*args)
    start = time.perf_counter()
    ready = lowered.compile()
    seconds = time.perf_counter() - start
    return Timed(lambda: jax.block_until_ready(ready(*args)), seconds)


def contestants(tasks: int) -> dict[str, Timed]:
    rng = np.random.default_rng(1)
    x = jnp.asarray(rng.normal(size=(BATCH, SIZE, SIZE, 3)), jnp.float32)
    batch = x, jnp.asarray(rng.normal(size=(BATCH, tasks)), jnp.float32)
    params = make_params(tasks)
    layers = [f"conv_{layer}" for layer in range(LAYERS)]
    nodes = open_banks(params, {name: [(name, -1)] for name in layers}, tasks)
    whole = split = open_banks(params, {name: [name] for name in layers}, tasks)
    for name in BRANCHED:
        split = duplicate(*split, name, 0, [tasks - 1])
    by_hand = params | {f"own_{name}": params[name] for name in BRANCHED}
    views, streams, parted = (
        view_losses(network),
        staged(stages(), losses_of, whole[1]),
        staged(stages(), losses_of, split[1]),
    )
    return {
        "task gradients": compiled(task_gradients(network), params, batch),
        "views of nodes": compiled(task_gradients(views), nodes[0], batch, nodes[1]),
        "views of layers": compiled(task_gradients(views), whole[0], batch, whole[1]),
        "stages, no split": compiled(task_gradients(streams), whole[0], batch),
        "branches by hand": compiled(task_gradients(branched), by_hand, batch),
        "stages, split": compiled(task_gradients(parted), split[0], batch),
        "summed loss": compiled(jax.grad(lambda p, b: network(p, b).sum()), params, batch),
        "summed, by hand": compiled(jax.grad(lambda p, b: branched(p, b).sum()), by_hand, batch),
        "summed, stages": compiled(jax.grad(lambda p, b: parted(p, b).sum()), split[0], batch),
    }


PAIRS = (
    ("views of nodes", "task gradients"),
    ("views of layers", "task gradients"),
    ("stages, no split", "task gradients"),
    ("stages, split", "branches by hand"),
    ("summed, stages", "summed, by hand"),
    ("summed loss", "task gradients"),
)


def compare(one: Timed, other: Timed, rounds: int) -> tuple[float, float, float]:
    """Median seconds of both, in turn, and the median of their ratio."""
    one.call()
    other.call()
    times = np.empty((rounds, 2))
    for round_ in range(rounds):
        for number, timed in enumerate((one, other)):
            start = time.perf_counter()
            timed.call()
            times[round_, number] = time.perf_counter() - start
    return *np.median(times, axis=0), float(np.median(times[:, 0] / times[:, 1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    print(f"{'tasks':>5}  {'':18}{'ms':>8}  {'against':18}{'ms':>8}{'ratio':>7}{'compile s':>11}")
    for tasks in options.tasks:
        found = contestants(tasks)
        for one, other in PAIRS:
            mine, theirs, ratio = compare(found[one], found[other], options.rounds)
            print(
                f"{tasks:>5}  {one:18}{1e3 * mine:>8.1f}  {other:18}{1e3 * theirs:>8.1f}"
                f"{ratio:>7.2f}{found[one].compiled_in:>11.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()

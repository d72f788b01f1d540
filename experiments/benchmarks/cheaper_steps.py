"""What steps that spare backward passes cost, in steps on the summed loss.

    python experiments/benchmarks/cheaper_steps.py --tasks 3 8 32 --rounds 9

A trunk (dense, convolutional, or attention) with a linear head a task, 10 classes each and
cross-entropy, takes steps of plain SGD in float32. Each way is compiled once and takes blocks of
steps in turns with the others, each round from another one on; a block has as many steps as it
takes to solve once (``every(8)``) and to see each task once (``cyclic``). "x sum" is the median
over rounds of a block over that of the summed loss. ``--method`` is the method inside.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from per_sample import machine

import jaxmtl.aggregation as ag

CLASSES, RATE, EVERY = 10, 0.05, 8
Params = dict[str, Any]
Batch = tuple[jax.Array, jax.Array]
Trunk = Callable[..., jax.Array]


def dense(rng: np.random.Generator, *shape: int) -> jax.Array:
    return jnp.asarray(rng.normal(size=shape) / math.prod(shape[:-1]) ** 0.5, jnp.float32)


def mlp(rng: np.random.Generator) -> tuple[Params, Trunk, tuple[int, ...], int]:
    """784-512-512-256, ReLU."""
    sizes = (784, 512, 512, 256)
    params = {
        f"{k}": (dense(rng, a, b), jnp.zeros(b))
        for k, (a, b) in enumerate(zip(sizes[:-1], sizes[1:], strict=True))
    }

    def trunk(params: Params, h: jax.Array) -> jax.Array:
        for kernel, bias in params.values():
            h = jax.nn.relu(h @ kernel + bias[None])
        return h

    return params, trunk, (784,), 256


def conv(rng: np.random.Generator) -> tuple[Params, Trunk, tuple[int, ...], int]:
    """Four convolutions of 32 channels on images of 16 x 16 x 3, their mean."""
    width = 32
    params = {f"{k}": dense(rng, 3, 3, 3 if k == 0 else width, width) for k in range(4)}

    def trunk(params: Params, h: jax.Array) -> jax.Array:
        for kernel in params.values():
            numbers = ("NHWC", "HWIO", "NHWC")
            h = jax.lax.conv_general_dilated(h, kernel, (1, 1), "SAME", dimension_numbers=numbers)
            h = jax.nn.relu(h)
        return h.mean(axis=(1, 2))

    return params, trunk, (16, 16, 3), width


def attention(rng: np.random.Generator) -> tuple[Params, Trunk, tuple[int, ...], int]:
    """Two layers of attention and a dense part each, 16 tokens of 64 numbers, their mean."""
    width, heads = 64, 4
    params = {
        f"{k}": {
            "qkv": dense(rng, width, 3 * width),
            "out": dense(rng, width, width),
            "up": dense(rng, width, 2 * width),
            "down": dense(rng, 2 * width, width),
        }
        for k in range(2)
    }

    def trunk(params: Params, h: jax.Array) -> jax.Array:
        for layer in params.values():
            parts = (h @ layer["qkv"]).reshape(*h.shape[:-1], 3, heads, width // heads)
            q, k, v = (parts[:, :, i] for i in range(3))
            mixed = jax.nn.dot_product_attention(q, k, v)
            h = h + mixed.reshape(h.shape) @ layer["out"]
            h = h + jax.nn.relu(h @ layer["up"]) @ layer["down"]
        return h.mean(axis=1)

    return params, trunk, (16, width), width


NETWORKS = {"mlp": mlp, "conv": conv, "attention": attention}


def steps_of(loss_fn: Any, method: str) -> dict[str, ag.AggregatedStep]:
    """The ways to take a step, by name."""
    sgd, inner = optax.sgd(RATE), ag.make(method)
    return {
        "summed loss": ag.scalarized_step(loss_fn, ag.equal(), sgd),
        "task gradients": ag.aggregated_step(loss_fn, inner, sgd),
        "Gram matrix": ag.gramian_step(loss_fn, inner, sgd),
        f"every({EVERY})": ag.aggregated_step(loss_fn, ag.every(EVERY, inner), sgd),
        "cyclic": ag.aggregated_step(loss_fn, ag.cyclic(inner), sgd),
        "colour_schedule": ag.aggregated_step(loss_fn, ag.colour_schedule(), sgd),
        "fixed_weights_from": ag.aggregated_step(loss_fn, ag.fixed_weights_from(inner, 4), sgd),
        "gram_product": ag.gram_product_step(loss_fn, ag.ProductMethod(), sgd),
    }


def compiled(
    step: ag.AggregatedStep, params: Params, batch: Batch, steps: int
) -> Callable[[], Any]:
    """A call that takes some steps and waits for them."""
    state = step.init(params, batch)
    ready = jax.jit(lambda p, s, b: step.step(p, s, b)[:2]).lower(params, state, batch).compile()
    carried = [params, state]

    def block() -> None:
        for _ in range(steps):
            carried[:] = ready(*carried, batch)
        jax.block_until_ready(carried[0])

    return block


def measure(
    network: str, tasks: int, method: str, rounds: int, rows: int
) -> dict[str, tuple[float, float]]:
    """Milliseconds of a step, and that over a step on the summed loss, by way."""
    rng = np.random.default_rng(0)
    trunk_params, trunk, shape, width = NETWORKS[network](rng)
    params = {"trunk": trunk_params, "heads": dense(rng, tasks, width, CLASSES) * tasks**0.5}
    x = jnp.asarray(rng.normal(size=(rows, *shape)), jnp.float32)
    batch = x, jnp.asarray(rng.integers(0, CLASSES, (tasks, rows)), jnp.int32)

    def loss_fn(params: Params, batch: Batch) -> jax.Array:
        logits = jnp.einsum("bf,tfc->tbc", trunk(params["trunk"], batch[0]), params["heads"])
        of_rows = optax.softmax_cross_entropy_with_integer_labels(logits, batch[1])
        return of_rows.mean(axis=1)

    steps = math.lcm(EVERY, tasks)
    blocks = {
        name: compiled(step, params, batch, steps)
        for name, step in steps_of(loss_fn, method).items()
    }
    for block in blocks.values():
        block()  # whatever is done once, and for fixed weights the steps that learn them
    seconds: dict[str, list[float]] = {name: [] for name in blocks}
    names = list(blocks)
    for turn in range(rounds):
        for place in range(len(names)):
            name = names[(place + turn) % len(names)]
            start = time.perf_counter()
            blocks[name]()
            seconds[name].append((time.perf_counter() - start) / steps)
    summed = seconds["summed loss"]
    return {
        name: (
            1e3 * statistics.median(own),
            statistics.median(a / b for a, b in zip(own, summed, strict=True)),
        )
        for name, own in seconds.items()
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--tasks", type=int, nargs="+", default=[3, 8, 32])
    parser.add_argument("--method", default="mgda", help="the aggregator inside")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rows", type=int, default=128, help="of a batch")
    options = parser.parse_args(argv)
    found = machine()
    print(f"{found['cpu']}, load before {found['load']}; jax {jax.__version__}")
    for network in options.networks:
        for tasks in options.tasks:
            print(f"\n{network}, {tasks} tasks, {options.method}{'ms':>18}{'x sum':>8}")
            costs = measure(network, tasks, options.method, options.rounds, options.rows)
            for name, (ms, ratio) in costs.items():
                print(f"  {name:30}{ms:>10.2f}{ratio:>8.2f}", flush=True)


if __name__ == "__main__":
    main()

"""A batch spread over several devices by plain jit: the step stays what it is on one.

The rows of a batch are placed on all devices, everything else is copied to each; the compiler does
the rest, BatchNorm over the whole batch and missing labels included, and the numbers are those of
one device. It sums the task gradients over devices whole; ``ag.data_parallel_step`` lets less cross
between them.

    python experiments/recipes/several_devices.py [--steps 50]

Without an accelerator the CPU counts as two devices.
"""

import argparse
from functools import partial
from typing import Any

import jax
import linen_loop
import numpy as np
import pieces
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import PyTree

import jaxmtl.aggregation as ag


def main(devices: int | None = None, steps: int = 50, dtype: Any = None) -> tuple[Any, pieces.Log]:
    """Trains on so many devices, all without a number; gives parameters and log."""
    devices = devices or jax.device_count()
    # Axes whose sharding the compiler finds by itself.
    mesh = jax.make_mesh((devices,), ("data",), (AxisType.Auto,), devices=jax.devices()[:devices])
    everywhere, by_rows = NamedSharding(mesh, P()), NamedSharding(mesh, P("data"))

    init_key, step_key = jax.random.split(jax.random.key(0))
    model = linen_loop.Network() if dtype is None else linen_loop.Network(dtype)
    params, stats = linen_loop.start(init_key, model)
    aggregator = ag.with_heads(ag.upgrad(), pieces.shared, "plain")
    optimizer = pieces.make_optimizer(steps)
    loss_fn = linen_loop.make_loss(model)
    made = ag.aggregated_step(loss_fn, aggregator, optimizer, has_aux=True)
    data = pieces.draw_images(0)
    state = made.init(params, pieces.batch_of(data, 0), stats, key=step_key)

    @partial(jax.jit, donate_argnums=(0, 1, 2), out_shardings=everywhere)
    def step(params: PyTree, state: Any, stats: PyTree, batch: pieces.Batch) -> Any:
        present = pieces.labelled(batch)
        params, state, info = made.step(params, state, batch, stats, present=present)
        return params, state, info.aux, info.scalars()

    params, state, stats = jax.device_put((params, state, stats), everywhere)
    log = []
    for number in range(steps):
        batch = jax.device_put(pieces.batch_of(data, number), by_rows)
        params, state, stats, scalars = step(params, state, stats, batch)
        log.append(scalars)
    return params, pieces.fetch(log)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=50)
    chosen = parser.parse_args().steps
    jax.config.update("jax_num_cpu_devices", 2)  # before the first array
    one, several = (main(devices, chosen)[1] for devices in (1, None))
    print("one device:", one[-1], f"{jax.device_count()} devices:", several[-1], sep="\n")
    apart = [abs(a["loss/place"] - b["loss/place"]) for a, b in zip(one, several, strict=True)]
    print(f"losses are apart by {np.max(apart):.1e} at most")

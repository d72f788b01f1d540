"""A flax.linen network with two tasks: convolution, BatchNorm, dropout, computed in bfloat16.

Running statistics go into the loss as an argument and come out beside the losses; the key of the
dropout is the library's to give. The trunk's gradients are aggregated, every head gets its own
task's. Clipping, warm-up, a rate a head and labels that are missing: see pieces.py.

    python experiments/recipes/linen_loop.py [--steps 300] [--csv log.csv]
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import pieces
from jaxtyping import Array, Float, Key, PyTree
from pieces import Batch

import jaxmtl.aggregation as ag


class Trunk(nn.Module):
    dtype: Any = jnp.bfloat16  # of the computation; parameters and statistics are float32
    axis_name: str | None = None  # the devices over which a mapped step's BatchNorm takes means

    @nn.compact
    def __call__(self, x: Float[Array, "batch 8 8 1"], train: bool) -> Float[Array, "batch 32"]:
        norm = partial(nn.BatchNorm, momentum=0.9, dtype=self.dtype, axis_name=self.axis_name)
        z = nn.Conv(8, (3, 3), use_bias=False, dtype=self.dtype)(x)
        z = nn.relu(norm(use_running_average=not train)(z))
        z = nn.max_pool(z, (2, 2), strides=(2, 2)).reshape(len(x), -1)
        z = nn.Dropout(0.1, deterministic=not train)(z)
        return nn.relu(nn.Dense(32, dtype=self.dtype)(z))


class Network(nn.Module):
    dtype: Any = jnp.bfloat16
    axis_name: str | None = None

    def setup(self) -> None:
        self.trunk = Trunk(self.dtype, self.axis_name)
        self.place, self.shape = nn.Dense(1, dtype=self.dtype), nn.Dense(1, dtype=self.dtype)

    def __call__(self, x: Float[Array, "batch 8 8 1"], train: bool) -> Float[Array, "batch tasks"]:
        return self.heads(self.trunk(x, train))

    def heads(self, z: Float[Array, "batch 32"]) -> Float[Array, "batch tasks"]:
        outputs = jnp.concatenate([self.place(z), self.shape(z)], axis=1)
        return outputs.astype(jnp.promote_types(outputs.dtype, jnp.float32))  # losses want digits


def start(key: Key[Array, ""], model: Network) -> tuple[PyTree, PyTree]:
    values = model.init(key, jnp.zeros((1, 8, 8, 1)), train=False)
    return values["params"], values["batch_stats"]


def make_loss(model: Network) -> Callable[..., tuple[dict[str, Array], PyTree]]:
    def loss_fn(params: PyTree, batch: Batch, stats: PyTree, key: Key[Array, ""]) -> Any:
        x, targets = batch
        values, rngs = {"params": params, "batch_stats": stats}, {"dropout": key}
        outputs, moved = model.apply(values, x, train=True, rngs=rngs, mutable=["batch_stats"])
        return pieces.task_losses(outputs, targets), moved["batch_stats"]

    return loss_fn


def main(steps: int = 300, seed: int = 0) -> tuple[pieces.Log, dict[str, float]]:
    init_key, step_key = jax.random.split(jax.random.key(seed))
    data, model = pieces.draw_images(seed), Network()
    params, stats = start(init_key, model)

    aggregator = ag.with_heads(ag.upgrad(), pieces.shared, "plain")
    optimizer = pieces.make_optimizer(steps)
    made = ag.aggregated_step(make_loss(model), aggregator, optimizer, has_aux=True)
    state = made.init(params, pieces.batch_of(data, 0), stats, key=step_key)

    @partial(jax.jit, donate_argnums=(0, 1, 2))
    def step(params: PyTree, state: Any, stats: PyTree, batch: Batch) -> Any:
        present = pieces.labelled(batch)
        params, state, info = made.step(params, state, batch, stats, present=present)
        return params, state, info.aux, info.scalars()

    log = []
    for number in range(steps):
        batch = pieces.batch_of(data, number)
        params, state, stats, scalars = step(params, state, stats, batch)
        log.append(scalars)

    x, targets = pieces.draw_images(seed + 1)
    outputs = jnp.asarray(model.apply({"params": params, "batch_stats": stats}, x, train=False))
    return pieces.fetch(log), pieces.numbers(pieces.task_losses(outputs, targets))


if __name__ == "__main__":
    pieces.run(main, __doc__)

"""A flax.nnx network with two tasks: convolution, BatchNorm, dropout, computed in bfloat16.

The module is split into its structure, its parameters and the rest, here the running statistics.
The loss puts them together (copy=True: what is merged inside a transformation is changed there),
and gives the statistics back beside the losses. The trunk's gradients are aggregated, every head
gets its own task's. Clipping, warm-up, a rate a head and labels that are missing: see pieces.py.
nnx_optimizer.py has the loop that keeps module and optimizer as nnx does.

    python experiments/recipes/nnx_loop.py [--steps 300] [--csv log.csv]
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import pieces
from flax import nnx
from jaxtyping import Array, Float, Key, PyTree
from pieces import Batch

import jaxmtl.aggregation as ag


class Trunk(nnx.Module):
    def __init__(self, dtype: Any, axis_name: str | None, rngs: nnx.Rngs):
        self.conv = nnx.Conv(1, 8, (3, 3), use_bias=False, dtype=dtype, rngs=rngs)
        self.norm = nnx.BatchNorm(8, momentum=0.9, dtype=dtype, axis_name=axis_name, rngs=rngs)
        self.dropout = nnx.Dropout(0.1)
        self.dense = nnx.Linear(128, 32, dtype=dtype, rngs=rngs)

    def __call__(
        self, x: Float[Array, "batch 8 8 1"], key: Key[Array, ""] | None = None
    ) -> Float[Array, "batch 32"]:
        z = nnx.relu(self.norm(self.conv(x)))
        z = nnx.max_pool(z, (2, 2), strides=(2, 2)).reshape(len(x), -1)
        return nnx.relu(self.dense(self.dropout(z, rngs=key)))


class Network(nnx.Module):
    """Parameters and statistics are float32, whatever is computed in.

    The name is that of the devices over which a mapped step's BatchNorm takes its means.
    """

    def __init__(self, rngs: nnx.Rngs, dtype: Any = jnp.bfloat16, axis_name: str | None = None):
        self.trunk = Trunk(dtype, axis_name, rngs)
        self.place = nnx.Linear(32, 1, dtype=dtype, rngs=rngs)
        self.shape = nnx.Linear(32, 1, dtype=dtype, rngs=rngs)

    def __call__(
        self, x: Float[Array, "batch 8 8 1"], key: Key[Array, ""] | None = None
    ) -> Float[Array, "batch tasks"]:
        return self.heads(self.trunk(x, key))

    def heads(self, z: Float[Array, "batch 32"]) -> Float[Array, "batch tasks"]:
        outputs = jnp.concatenate([self.place(z), self.shape(z)], axis=1)
        return outputs.astype(jnp.promote_types(outputs.dtype, jnp.float32))  # losses want digits


def make_loss(structure: Any) -> Callable[..., tuple[dict[str, Array], PyTree]]:
    def loss_fn(params: PyTree, batch: Batch, stats: PyTree, key: Key[Array, ""]) -> Any:
        x, targets = batch
        model = nnx.merge(structure, params, stats, copy=True)
        losses = pieces.task_losses(model(x, key), targets)
        return losses, nnx.state(model, nnx.BatchStat)

    return loss_fn


def main(steps: int = 300, seed: int = 0) -> tuple[pieces.Log, dict[str, float]]:
    init_key, step_key = jax.random.split(jax.random.key(seed))
    data, model = pieces.draw_images(seed), Network(nnx.Rngs(init_key))
    structure, params, stats = nnx.split(model, nnx.Param, nnx.BatchStat)

    aggregator = ag.with_heads(ag.upgrad(), pieces.shared, "plain")
    optimizer = pieces.make_optimizer(steps)
    made = ag.aggregated_step(make_loss(structure), aggregator, optimizer, has_aux=True)
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
    nnx.update(model, params, stats)
    model.eval()
    return pieces.fetch(log), pieces.numbers(pieces.task_losses(model(x), targets))


if __name__ == "__main__":
    pieces.run(main, __doc__)

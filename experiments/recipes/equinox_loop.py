"""An Equinox network with two tasks: convolution, BatchNorm, dropout, computed in bfloat16.

The model is split into its floating arrays and the rest, and put together in the loss; its State
goes in as an argument and comes out beside the losses. The trunk's gradients are aggregated, every
head gets its own task's. Clipping, warm-up, a rate a head and labels that are missing: see
pieces.py.

    python experiments/recipes/equinox_loop.py [--steps 300] [--csv log.csv]
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import pieces
from jaxtyping import Array, Float, Key, PyTree
from pieces import Batch

import jaxmtl.aggregation as ag


class Trunk(eqx.Module):
    conv: eqx.nn.Conv2d
    norm: eqx.nn.BatchNorm
    pool: eqx.nn.MaxPool2d
    dropout: eqx.nn.Dropout
    dense: eqx.nn.Linear

    def __init__(self, key: Key[Array, ""], axis_name: str | tuple[str, ...]):
        conv_key, dense_key = jax.random.split(key)
        self.conv = eqx.nn.Conv2d(1, 8, 3, padding=1, use_bias=False, key=conv_key)
        self.norm = eqx.nn.BatchNorm(8, axis_name, momentum=0.9, mode="batch")
        self.pool = eqx.nn.MaxPool2d(2, stride=2)
        self.dropout = eqx.nn.Dropout(0.1)
        self.dense = eqx.nn.Linear(128, 32, key=dense_key)

    def __call__(
        self, x: Float[Array, "8 8 1"], state: eqx.nn.State, key: Key[Array, ""] | None
    ) -> tuple[Float[Array, " 32"], eqx.nn.State]:
        z = self.conv(jnp.moveaxis(x, -1, 0))
        # Statistics keep the type that they are stored in.
        wide = jnp.promote_types(z.dtype, jnp.float32)
        normed, state = self.norm(z.astype(wide), state)
        z = self.pool(jax.nn.relu(normed.astype(z.dtype))).ravel()
        return jax.nn.relu(self.dense(self.dropout(z, key=key))), state


class Network(eqx.Module):
    trunk: Trunk
    place: eqx.nn.Linear
    shape: eqx.nn.Linear

    def __init__(self, key: Key[Array, ""], axis_name: str | tuple[str, ...] = "batch"):
        keys = jax.random.split(key, 3)
        self.trunk = Trunk(keys[0], axis_name)
        self.place = eqx.nn.Linear(32, 1, key=keys[1])
        self.shape = eqx.nn.Linear(32, 1, key=keys[2])

    # Not __call__: multi_transform takes a tree of masks that can be called for a function.
    def outputs(
        self, x: Float[Array, "8 8 1"], state: eqx.nn.State, key: Key[Array, ""] | None = None
    ) -> tuple[Float[Array, " tasks"], eqx.nn.State]:
        z, state = self.trunk(x, state, key)
        return self.heads(z), state

    def heads(self, z: Float[Array, " 32"]) -> Float[Array, " tasks"]:
        outputs = jnp.concatenate([self.place(z), self.shape(z)])
        return outputs.astype(jnp.promote_types(outputs.dtype, jnp.float32))  # losses want digits


def over_rows(function: Callable[..., Any]) -> Callable[..., Any]:
    """A call for every row, with a key of its own, and the state that all rows have in common."""
    return jax.vmap(function, in_axes=(0, None, 0), out_axes=(0, None), axis_name="batch")


def make_loss(
    rest: PyTree, dtype: Any = jnp.bfloat16
) -> Callable[..., tuple[dict[str, Array], eqx.nn.State]]:
    def loss_fn(params: PyTree, batch: Batch, stats: eqx.nn.State, key: Key[Array, ""]) -> Any:
        x, targets = batch
        params, x = jax.tree.map(lambda leaf: leaf.astype(dtype), (params, x))
        model, keys = eqx.combine(params, rest), jax.random.split(key, len(x))
        outputs, stats = over_rows(model.outputs)(x, stats, keys)
        return pieces.task_losses(outputs, targets), stats

    return loss_fn


def main(steps: int = 300, seed: int = 0) -> tuple[pieces.Log, dict[str, float]]:
    init_key, step_key = jax.random.split(jax.random.key(seed))
    data = pieces.draw_images(seed)
    model, stats = eqx.nn.make_with_state(Network)(init_key)
    params, rest = eqx.partition(model, eqx.is_inexact_array)

    aggregator = ag.with_heads(ag.upgrad(), pieces.shared, "plain")
    optimizer = pieces.make_optimizer(steps)
    made = ag.aggregated_step(make_loss(rest), aggregator, optimizer, has_aux=True)
    state = made.init(params, pieces.batch_of(data, 0), stats, key=step_key)

    @partial(jax.jit, donate_argnums=(0, 1, 2))
    def step(params: PyTree, state: Any, stats: eqx.nn.State, batch: Batch) -> Any:
        present = pieces.labelled(batch)
        params, state, info = made.step(params, state, batch, stats, present=present)
        return params, state, info.aux, info.scalars()

    log = []
    for number in range(steps):
        batch = pieces.batch_of(data, number)
        params, state, stats, scalars = step(params, state, stats, batch)
        log.append(scalars)

    x, targets = pieces.draw_images(seed + 1)
    model = eqx.nn.inference_mode(eqx.combine(params, rest))
    outputs, _ = jax.vmap(model.outputs, (0, None), (0, None))(x, stats)
    return pieces.fetch(log), pieces.numbers(pieces.task_losses(outputs, targets))


if __name__ == "__main__":
    pieces.run(main, __doc__)

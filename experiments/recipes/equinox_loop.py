"""Gradient aggregation in an Equinox training loop: one jitted step.

What the library needs is a function of (parameters, batch) that gives one loss a task. The shared
layer's gradients are aggregated, every head gets its own task's. The model is split into its arrays
and the rest once, before the loop, and put together in the loss.

    python experiments/recipes/equinox_loop.py [--steps 300]
"""

import argparse

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key, PyTree

import jaxmtl.aggregation as ag


class TwoTasks(eqx.Module):
    trunk: eqx.nn.Linear
    head_0: eqx.nn.Linear
    head_1: eqx.nn.Linear

    def __init__(self, key: Key[Array, ""]):
        keys = jax.random.split(key, 3)
        self.trunk = eqx.nn.Linear(4, 16, key=keys[0])
        self.head_0 = eqx.nn.Linear(16, 1, key=keys[1])
        self.head_1 = eqx.nn.Linear(16, 1, key=keys[2])

    def __call__(self, x: Float[Array, " features"]) -> Float[Array, " tasks"]:
        z = jnp.tanh(self.trunk(x))
        return jnp.concatenate([self.head_0(z), self.head_1(z)])


def shared(params: PyTree) -> PyTree:
    return jax.tree_util.tree_map_with_path(
        lambda path, _: "head" not in jax.tree_util.keystr(path), params
    )


def main(steps: int = 300, seed: int = 0) -> list[Float[Array, " tasks"]]:
    data_key, init_key, step_key = jax.random.split(jax.random.key(seed), 3)
    x = jax.random.normal(data_key, (256, 4))
    y = jnp.stack([x[:, 0] * x[:, 1], 2 * x[:, 0] - x[:, 2]], axis=1)

    params, rest = eqx.partition(TwoTasks(init_key), eqx.is_inexact_array)

    def loss_fn(params: PyTree, batch: tuple[Array, Array]) -> Float[Array, " tasks"]:
        inputs, targets = batch
        model = jax.vmap(eqx.combine(params, rest))
        return ((model(inputs) - targets) ** 2).mean(axis=0)

    aggregator = ag.with_heads(ag.upgrad(), shared, "plain")
    init, step = ag.aggregated_step(loss_fn, aggregator, optax.adam(1e-2))
    state = init(params, (x, y), step_key)
    step = jax.jit(step, donate_argnums=(0, 1))

    history = []
    for number in range(steps):
        rows = slice(32 * number % 256, 32 * number % 256 + 32)
        params, state, info = step(params, state, (x[rows], y[rows]))
        history.append(info.losses)
    return history


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=300)
    losses = main(parser.parse_args().steps)
    print(f"task losses of the first batch: {losses[0]}, of the last: {losses[-1]}")

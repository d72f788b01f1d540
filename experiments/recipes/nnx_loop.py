"""Gradient aggregation in a flax.nnx training loop: one jitted step.

What the library needs is a function of (parameters, batch) that gives one loss a task. The shared
layer's gradients are aggregated, every head gets its own task's. The model is split into its
structure and a pytree of parameters once, before the loop, and put together again after it.

    python experiments/recipes/nnx_loop.py [--steps 300]
"""

import argparse

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, PyTree

import jaxmtl.aggregation as ag


class TwoTasks(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.trunk = nnx.Linear(4, 16, rngs=rngs)
        self.head_0 = nnx.Linear(16, 1, rngs=rngs)
        self.head_1 = nnx.Linear(16, 1, rngs=rngs)

    def __call__(self, x: Float[Array, "batch features"]) -> Float[Array, "batch tasks"]:
        z = nnx.tanh(self.trunk(x))
        return jnp.concatenate([self.head_0(z), self.head_1(z)], axis=1)


def shared(params: PyTree) -> PyTree:
    return jax.tree_util.tree_map_with_path(
        lambda path, _: "head" not in jax.tree_util.keystr(path), params
    )


def main(steps: int = 300, seed: int = 0) -> list[Float[Array, " tasks"]]:
    data_key, init_key, step_key = jax.random.split(jax.random.key(seed), 3)
    x = jax.random.normal(data_key, (256, 4))
    y = jnp.stack([x[:, 0] * x[:, 1], 2 * x[:, 0] - x[:, 2]], axis=1)

    model = TwoTasks(nnx.Rngs(init_key))
    structure, params = nnx.split(model, nnx.Param)

    def loss_fn(params: PyTree, batch: tuple[Array, Array]) -> Float[Array, " tasks"]:
        inputs, targets = batch
        return ((nnx.merge(structure, params)(inputs) - targets) ** 2).mean(axis=0)

    aggregator = ag.with_heads(ag.upgrad(), shared, "plain")
    init, step = ag.aggregated_step(loss_fn, aggregator, optax.adam(1e-2))
    state = init(params, (x, y), step_key)
    step = jax.jit(step, donate_argnums=(0, 1))

    history = []
    for number in range(steps):
        rows = slice(32 * number % 256, 32 * number % 256 + 32)
        params, state, info = step(params, state, (x[rows], y[rows]))
        history.append(info.losses)
    nnx.update(model, params)
    return history


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=300)
    losses = main(parser.parse_args().steps)
    print(f"task losses of the first batch: {losses[0]}, of the last: {losses[-1]}")

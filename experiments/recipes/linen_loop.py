"""Gradient aggregation in a flax.linen training loop: one jitted step.

What the library needs is a function of (parameters, batch) that gives one loss a task. The shared
layer's gradients are aggregated, every head gets its own task's.

    python experiments/recipes/linen_loop.py [--steps 300]
"""

import argparse

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

import jaxmtl.aggregation as ag


class TwoTasks(nn.Module):
    @nn.compact
    def __call__(self, x: Float[Array, "batch features"]) -> Float[Array, "batch tasks"]:
        z = nn.tanh(nn.Dense(16, name="trunk")(x))
        return jnp.concatenate([nn.Dense(1, name="head_0")(z), nn.Dense(1, name="head_1")(z)], 1)


def shared(params: PyTree) -> PyTree:
    return {name: not name.startswith("head") for name in params}


def main(steps: int = 300, seed: int = 0) -> list[Float[Array, " tasks"]]:
    data_key, init_key, step_key = jax.random.split(jax.random.key(seed), 3)
    x = jax.random.normal(data_key, (256, 4))
    y = jnp.stack([x[:, 0] * x[:, 1], 2 * x[:, 0] - x[:, 2]], axis=1)

    model = TwoTasks()
    params = model.init(init_key, x)["params"]

    def loss_fn(params: PyTree, batch: tuple[Array, Array]) -> Float[Array, " tasks"]:
        inputs, targets = batch
        outputs = jnp.asarray(model.apply({"params": params}, inputs))
        return ((outputs - targets) ** 2).mean(axis=0)

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

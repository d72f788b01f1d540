"""One aggregator a method, and inputs in float32."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxmtl.aggregation as ag

TASKS = 4


def example(name):
    """An aggregator for four tasks that also makes sense for three of them."""
    if name == "constant":
        return ag.constant([0.5, 1.0, 2.0, 1.5])
    if name == "sdmgrad":  # the authors' step of 10 makes the inner iteration chaotic
        return ag.sdmgrad(learning_rate=0.2)
    return ag.krum(0) if name == "krum" else ag.make(name)


def stacked(rows):
    """Rows (tasks, 7) as a pytree of two leaves."""
    rows = jnp.asarray(rows, jnp.float32)
    return {"b": rows[:, :3], "w": rows[:, 3:].reshape(-1, 2, 2)}


def flat(grads):
    """The combined gradient as one vector."""
    return np.concatenate([np.asarray(leaf, float).ravel() for leaf in jax.tree.leaves(grads)])


def random_rows(seed, tasks=TASKS):
    return np.random.default_rng(seed).normal(size=(tasks, 7)) + 0.1


def arguments(tasks=TASKS):
    """What every update is given; methods take what they need."""
    order = np.stack([np.roll(np.arange(tasks), task) for task in range(tasks)])
    return {
        "losses": jnp.asarray(np.linspace(0.5, 2.0, tasks), jnp.float32),
        "key": jax.random.key(3),
        "present": jnp.ones(tasks, bool),
        "order": jnp.asarray(order),
    }


HARD = {
    "zero": np.zeros((TASKS, 7)),
    "one zero row": random_rows(1) * np.array([1, 0, 1, 1])[:, None],
    "duplicates": random_rows(2)[[0, 0, 1, 1]],
    "opposite": random_rows(3)[[0, 0, 1, 1]] * np.array([1, -1, 1, -2])[:, None],
    "rank one": np.outer([1.0, -2.0, 0.5, 3.0], random_rows(4)[0]),
    "rank two": np.random.default_rng(5).normal(size=(TASKS, 2)) @ random_rows(6)[:2],
    "tiny": random_rows(7) * 1e-10,
    "huge": random_rows(8) * 1e15,
    "wild": random_rows(9) * np.array([1e-10, 1e15, 1.0, 1e4])[:, None],
    "wild opposite": random_rows(9)[[0, 0, 1, 1]] * np.array([1e-10, -1e15, 1, -1e4])[:, None],
}

"""A small transformer with eight tasks and missing labels, in Equinox: conflict, and a split.

Four tasks ask for one place of a sequence, four for another, and half of the labels is missing: a
pair of tasks counts only in batches where a row carries both of its labels. Training, the map of
conflict, the split in the middle and its cost are those of split_images.py: see split_pieces.py.

    python experiments/recipes/split_transformer.py [--steps 200] [--out DIR]
"""

import argparse
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import split_pieces as pieces
from jaxtyping import Array, Float, Key, PyTree

from jaxmtl.losses import mean_over_known

TASKS = tuple(f"{place} {number}" for place in ("first", "last") for number in range(4))
LENGTH, INPUTS, WIDTH, HEADS, BLOCKS, BATCH, COPIES = 8, 4, 24, 4, 2, 128, 1
Batch = tuple[Float[Array, "batch 8 4"], Float[Array, "batch tasks"]]


class Block(eqx.Module):
    attention: eqx.nn.MultiheadAttention
    norm_1: eqx.nn.LayerNorm
    norm_2: eqx.nn.LayerNorm
    wide: eqx.nn.Linear
    narrow: eqx.nn.Linear

    def __init__(self, key: Key[Array, ""]) -> None:
        keys = jax.random.split(key, 3)
        self.attention = eqx.nn.MultiheadAttention(HEADS, WIDTH, key=keys[0])
        self.norm_1, self.norm_2 = eqx.nn.LayerNorm(WIDTH), eqx.nn.LayerNorm(WIDTH)
        self.wide = eqx.nn.Linear(WIDTH, 2 * WIDTH, key=keys[1])
        self.narrow = eqx.nn.Linear(2 * WIDTH, WIDTH, key=keys[2])

    def __call__(self, x: Float[Array, "length width"]) -> Float[Array, "length width"]:
        z = jax.vmap(self.norm_1)(x)
        x = x + self.attention(z, z, z)
        z = jax.vmap(self.wide)(jax.vmap(self.norm_2)(x))
        return x + jax.vmap(self.narrow)(jax.nn.gelu(z))


class Transformer(eqx.Module):
    embed: eqx.nn.Linear
    places: Float[Array, "length width"]
    blocks: list[Block]
    heads: eqx.nn.Linear

    def __init__(self, key: Key[Array, ""]) -> None:
        keys = jax.random.split(key, 3 + BLOCKS)
        self.embed = eqx.nn.Linear(INPUTS, WIDTH, key=keys[0])
        self.places = 0.5 * jax.random.normal(keys[1], (LENGTH, WIDTH))
        self.blocks = [Block(k) for k in keys[3:]]
        self.heads = eqx.nn.Linear(WIDTH, len(TASKS), key=keys[2])

    def __call__(self, x: Float[Array, "length inputs"]) -> Float[Array, " tasks"]:
        z = jax.vmap(self.embed)(x) + self.places
        for block in self.blocks:
            z = block(z)
        return self.heads(z.mean(axis=0))


def draw(seed: int, rows: int, missing: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    fixed = np.random.default_rng(0).normal(size=(2, 4, INPUTS))  # the same in training and test
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, LENGTH, INPUTS))
    y = [np.sin(x[:, place] @ each.T) for place, each in ((0, fixed[0]), (LENGTH - 1, fixed[1]))]
    y = np.concatenate(y, axis=1) + rng.normal(scale=0.1, size=(rows, len(TASKS)))
    y[rng.uniform(size=y.shape) < missing] = np.nan
    return x.astype(np.float32), y.astype(np.float32)


def main(steps: int = 200, seed: int = 0, out: str | None = None) -> Any:
    params, rest = eqx.partition(Transformer(jax.random.key(seed)), eqx.is_array)

    def loss_fn(params: PyTree, batch: Batch) -> dict[str, Array]:
        outputs = jax.vmap(eqx.combine(params, rest))(batch[0])
        known = ~jnp.isnan(batch[1])
        errors = jnp.where(known, outputs - jnp.where(known, batch[1], 0), 0) ** 2
        return dict(zip(TASKS, mean_over_known(errors, known), strict=True))

    def evaluate(params: PyTree, stats: None, x: Array) -> dict[str, Array]:
        del stats
        return dict(zip(TASKS, jax.vmap(eqx.combine(params, rest))(x).T, strict=True))

    network = pieces.Network(params, None, loss_fn, evaluate)
    state, optimizer, layers, left_out = pieces.opened(network, len(TASKS), ["heads"], COPIES, 3e-3)
    print("left out:", left_out or "nothing")
    data, (x, y) = draw(seed, 4096), draw(seed + 1, 1024, missing=0.0)

    def batch_of(number: int) -> Batch:
        rows = np.random.default_rng(number).choice(len(data[0]), BATCH, replace=False)
        return jnp.asarray(data[0][rows]), jnp.asarray(data[1][rows])

    def measures(outputs: dict[str, Array]) -> dict[str, float]:
        errors = np.stack([outputs[task] for task in TASKS], axis=1) - y
        of_tasks = np.sqrt((errors**2).mean(axis=0))
        return {"first": float(of_tasks[:4].mean()), "last": float(of_tasks[4:].mean())}

    loop = pieces.make_loop(
        *(network, layers, optimizer, batch_of, TASKS), known_of=lambda batch: ~jnp.isnan(batch[1])
    )
    return pieces.compared(
        *(network, loop, state, jnp.asarray(x), TASKS, measures),
        steps=steps,
        inner=lambda name: name.endswith(("attention", "wide")),  # heads, and what they feed
        copies=COPIES,
        picture=None if out is None else Path(out) / "conflict_transformer.png",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=200, help="before the split, and after it")
    parser.add_argument("--out", help="folder for the picture of conflict")
    args = parser.parse_args()
    main(args.steps, out=args.out)

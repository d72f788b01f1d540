"""A residual network with BatchNorm on images of two digits: where its tasks conflict, and a split.

The tasks are the left digit, the right digit, and their sum. The network is trained as it is while
the conflict of every layer is added up; then, in the middle, the channels of the layer with most
conflict that pull one task away from the others are copied for it: in parameters, running
statistics and optimizer state at once, and without changing any output. Both networks go on from
there on the same batches. The loop knows no library: a network is a pair of functions on pytrees.

    python experiments/recipes/split_images.py [--library linen|nnx] [--steps 200] [--out DIR]
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import split_pieces as pieces
from jaxtyping import Array, Float, Key, PyTree
from sklearn.datasets import load_digits

TASKS = ("left", "right", "sum")
WIDTH, BLOCKS, BATCH, COPIES = 12, 3, 64, 4
# apply(params, stats, x, train) gives outputs by task, and the statistics after them.
Apply = Callable[..., tuple[dict[str, Array], PyTree]]
Batch = tuple[Float[Array, "batch 8 16 1"], Float[Array, "batch tasks"]]


def linen_network(key: Key[Array, ""]) -> tuple[PyTree, PyTree, Apply]:
    import flax.linen as nn

    class Block(nn.Module):
        @nn.compact
        def __call__(self, x: Array, train: bool) -> Array:
            norm = partial(nn.BatchNorm, use_running_average=not train, momentum=0.9)
            z = nn.relu(norm()(nn.Conv(WIDTH, (3, 3), use_bias=False)(x)))
            return nn.relu(x + norm()(nn.Conv(WIDTH, (3, 3), use_bias=False)(z)))

    class Digits(nn.Module):
        @nn.compact
        def __call__(self, x: Array, train: bool) -> dict[str, Array]:
            z = nn.Conv(WIDTH, (3, 3), use_bias=False)(x)
            z = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(z))
            for _ in range(BLOCKS):
                z = Block()(z, train)
            z = nn.max_pool(z, (2, 2), strides=(2, 2)).reshape(len(x), -1)
            z = nn.relu(nn.Dense(48)(z))
            widths = {"left": 10, "right": 10, "sum": 1}
            return {name: nn.Dense(width, name=name)(z) for name, width in widths.items()}

    model = Digits()
    values = model.init(key, jnp.zeros((1, 8, 16, 1)), train=False)

    def apply(params: PyTree, stats: PyTree, x: Array, train: bool) -> Any:
        given = {"params": params, "batch_stats": stats}
        outputs, moved = model.apply(given, x, train=train, mutable=["batch_stats"])
        return outputs, moved["batch_stats"]

    return values["params"], values["batch_stats"], apply


def nnx_network(key: Key[Array, ""]) -> tuple[PyTree, PyTree, Apply]:
    from flax import nnx

    def conv(channels: int, rngs: nnx.Rngs) -> nnx.Conv:
        return nnx.Conv(channels, WIDTH, (3, 3), use_bias=False, rngs=rngs)

    class Block(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.conv_0, self.conv_1 = conv(WIDTH, rngs), conv(WIDTH, rngs)
            self.norm_0 = nnx.BatchNorm(WIDTH, momentum=0.9, rngs=rngs)
            self.norm_1 = nnx.BatchNorm(WIDTH, momentum=0.9, rngs=rngs)

        def __call__(self, x: Array) -> Array:
            z = nnx.relu(self.norm_0(self.conv_0(x)))
            return nnx.relu(x + self.norm_1(self.conv_1(z)))

    class Digits(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.conv_0 = conv(1, rngs)
            self.norm_0 = nnx.BatchNorm(WIDTH, momentum=0.9, rngs=rngs)
            self.blocks = nnx.List(Block(rngs) for _ in range(BLOCKS))
            self.dense = nnx.Linear(4 * 8 * WIDTH, 48, rngs=rngs)
            self.left, self.right = nnx.Linear(48, 10, rngs=rngs), nnx.Linear(48, 10, rngs=rngs)
            self.sum = nnx.Linear(48, 1, rngs=rngs)

        def __call__(self, x: Array) -> dict[str, Array]:
            z = nnx.relu(self.norm_0(self.conv_0(x)))
            for block in self.blocks:
                z = block(z)
            z = nnx.max_pool(z, (2, 2), strides=(2, 2)).reshape(len(x), -1)
            z = nnx.relu(self.dense(z))
            return {"left": self.left(z), "right": self.right(z), "sum": self.sum(z)}

    graph, params, stats = nnx.split(Digits(nnx.Rngs(key)), nnx.Param, nnx.BatchStat)

    def apply(params: PyTree, stats: PyTree, x: Array, train: bool) -> Any:
        model = nnx.merge(graph, params, stats, copy=True)
        model.train() if train else model.eval()
        return model(x), nnx.state(model, nnx.BatchStat)

    return params, stats, apply


NETWORKS = {"linen": linen_network, "nnx": nnx_network}


def draw(seed: int, images: int, *, test: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Two digits side by side, of other originals for the test."""
    digits, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    pool = np.arange(1300, 1797) if test else np.arange(1300)
    left, right = rng.choice(pool, (2, images))
    x = np.concatenate([digits[each].reshape(-1, 8, 8) for each in (left, right)], axis=2) / 16
    x += rng.normal(scale=0.2, size=x.shape)
    y = np.stack([labels[left], labels[right], labels[left] + labels[right]], axis=1)
    return x[..., None].astype(np.float32), y.astype(np.float32)


def task_losses(outputs: dict[str, Array], y: Float[Array, "batch tasks"]) -> dict[str, Array]:
    classes = y.astype(jnp.int32)
    entropy = optax.softmax_cross_entropy_with_integer_labels
    return {
        "left": entropy(outputs["left"], classes[:, 0]).mean(),
        "right": entropy(outputs["right"], classes[:, 1]).mean(),
        "sum": ((outputs["sum"][:, 0] - (y[:, 2] - 9) / 4) ** 2).mean(),
    }


def measures(outputs: dict[str, Array], y: np.ndarray) -> dict[str, float]:
    right = {
        name: float((outputs[name].argmax(axis=1) == y[:, t]).mean())
        for t, name in enumerate(TASKS[:2])
    }
    error = 4 * outputs["sum"][:, 0] + 9 - y[:, 2]
    return right | {"sum": float(jnp.sqrt((error**2).mean()))}


def main(library: str = "linen", steps: int = 200, seed: int = 0, out: str | None = None) -> Any:
    params, stats, apply = NETWORKS[library](jax.random.key(seed))

    def loss_fn(params: PyTree, batch: Batch, stats: PyTree) -> Any:
        outputs, moved = apply(params, stats, batch[0], True)
        return task_losses(outputs, batch[1]), moved

    def evaluate(params: PyTree, stats: PyTree, x: Array) -> dict[str, Array]:
        return apply(params, stats, x, False)[0]

    network = pieces.Network(params, stats, loss_fn, evaluate)
    state, optimizer, layers, left_out = pieces.opened(network, len(TASKS), TASKS, COPIES, 2e-3)
    print("left out:", left_out or "nothing")
    data, (x, y) = draw(seed, 2048), draw(seed + 1, 512, test=True)

    def batch_of(number: int) -> Batch:
        rows = np.random.default_rng(number).choice(len(data[0]), BATCH, replace=False)
        return jnp.asarray(data[0][rows]), jnp.asarray(data[1][rows])

    loop = pieces.make_loop(network, layers, optimizer, batch_of, TASKS)
    return pieces.compared(
        *(network, loop, state, jnp.asarray(x), TASKS),
        partial(measures, y=y),
        steps=steps,
        inner=lambda name: "lock" in name,
        copies=COPIES,
        picture=None if out is None else Path(out) / f"conflict_{library}.png",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--library", choices=NETWORKS, default="linen")
    parser.add_argument("--steps", type=int, default=200, help="before the split, and after it")
    parser.add_argument("--out", help="folder for the picture of conflict")
    args = parser.parse_args()
    main(args.library, args.steps, out=args.out)

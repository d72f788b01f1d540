"""A residual network with BatchNorm on images of two digits: where its tasks conflict, and a split.

The tasks are the left digit, the right digit, and their sum. The network is trained as it is while
the conflict of every layer is added up; then, in the middle, the channels of the layer with most
conflict that pull one task away from the others are copied for it: in parameters, running
statistics and optimizer state at once, and without changing any output. Both networks go on from
there on the same batches. The loop knows no library: a network is a pair of functions on pytrees.

    python experiments/recipes/split_images.py [--library linen|nnx] [--steps 300] [--out DIR]
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key, PyTree
from sklearn.datasets import load_digits

from jaxmtl.conflict import Tally, conflict_map, start_tally, update_tally
from jaxmtl.report import plot_conflict
from jaxmtl.sharing import (
    Pointers,
    Shared,
    count_parameters,
    enlarge,
    find_units,
    open_banks,
    split,
    task_view,
    to_banks,
    unit_gradients,
    view_gradients,
)

TASKS = ("left", "right", "sum")
WIDTH, BLOCKS, BATCH, COPIES = 12, 3, 64, 4
Batch = tuple[Float[Array, "batch 8 16 1"], Float[Array, "batch tasks"]]


class Network(NamedTuple):
    """``apply(params, stats, x, train)`` gives outputs by task, and the statistics after them."""

    params: PyTree
    stats: PyTree
    apply: Callable[..., tuple[dict[str, Array], PyTree]]


def linen_network(key: Key[Array, ""]) -> Network:
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

    return Network(values["params"], values["batch_stats"], apply)


def nnx_network(key: Key[Array, ""]) -> Network:
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
        model = nnx.merge(graph, params, stats)
        model.train() if train else model.eval()
        return model(x), nnx.state(model, nnx.BatchStat)

    return Network(params, stats, apply)


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


def layer_of_leaves(params: PyTree, groups: dict[str, Any]) -> PyTree:
    """The group of units that every leaf of the trunk is in: the layers of the map."""
    owner = {part.path: name for name, parts in groups.items() for part in parts}

    def label(path: Any, _: Array) -> str:
        return owner.get(jax.tree_util.keystr(path, simple=True, separator="/"), "heads")

    return jax.tree_util.tree_map_with_path(label, params)


class Trained(NamedTuple):
    """What a loop has made."""

    state: Shared
    tallies: list[Tally]
    grads: PyTree
    seconds: float


def make_loop(
    network: Network, layers: PyTree, optimizer: Any, data: Any
) -> Callable[..., Trained]:
    def loss_fn(params: PyTree, batch: Batch, stats: PyTree) -> Any:
        outputs, moved = network.apply(params, stats, batch[0], True)
        return task_losses(outputs, batch[1]), moved

    gradients = view_gradients(loss_fn, has_stats=True)

    @jax.jit
    def step(state: Shared, tally: Tally, batch: Batch) -> Any:
        (_, stats), grads = gradients(state.banks, batch, state.pointers, state.stats)
        tally = update_tally(tally, conflict_map(grads, layers, names=TASKS), rate=0.05)
        summed = jax.tree.map(lambda leaf: leaf.sum(axis=0), to_banks(grads, state.pointers))
        updates, opt_state = optimizer.update(summed, state.opt_state, state.banks)
        banks = optax.apply_updates(state.banks, updates)
        return Shared(banks, state.pointers, stats, opt_state), tally, grads

    def loop(state: Shared, tally: Tally, steps: range) -> Trained:
        tallies, grads = [], None
        for number in steps:
            rows = np.random.default_rng(number).choice(len(data[0]), BATCH, replace=False)
            state, tally, grads = step(state, tally, (data[0][rows], data[1][rows]))
            if number == steps[0]:  # compiled
                jax.block_until_ready(state)
                start = time.perf_counter()
            if (number + 1) % 10 == 0:
                tallies.append(tally)
        jax.block_until_ready(state)
        return Trained(state, tallies, grads, (time.perf_counter() - start) / (len(steps) - 1))

    return loop


def parted(state: Shared, tally: Tally, grads: PyTree) -> tuple[Shared, str, int]:
    """Copies the channels that pull one task away, in the block layer with most conflict."""
    scores = np.asarray(tally.of_layers("cosine"))
    inner = [at for at, name in enumerate(tally.layers) if "lock" in name]
    layer = max(inner, key=lambda at: scores[at])
    pairs = np.nan_to_num(np.asarray(tally.score("cosine"))[layer])
    task = int((pairs.sum(axis=0) - np.diag(pairs)).argmax())
    name = tally.layers[layer]
    rows = np.asarray(unit_gradients(grads, state.pointers, name))
    others = np.delete(rows, task, axis=0).sum(axis=0)
    pull = (rows[task] * others).sum(axis=1)  # below 0: a step for one is a step back for the rest
    for unit in np.argsort(pull)[:COPIES]:
        column = state.pointers[name][task, unit]
        state = split(
            *(state.banks, state.pointers, name, column, [task]),
            stats=state.stats,
            opt_state=state.opt_state,
        )
    return state, name, task


def outputs_of(network: Network, state: Shared, x: Array) -> dict[str, Array]:
    """Every task from its own view."""

    @jax.jit
    def evaluate(banks: PyTree, stats: PyTree, pointers: Pointers) -> dict[str, Array]:
        found = {}
        for task, name in enumerate(TASKS):
            views = (task_view(tree, pointers, task) for tree in (banks, stats))
            found[name] = network.apply(*views, x, False)[0][name]
        return found

    return evaluate(state.banks, state.stats, state.pointers)


def measures(outputs: dict[str, Array], y: np.ndarray) -> dict[str, float]:
    right = {
        name: float((outputs[name].argmax(axis=1) == y[:, t]).mean())
        for t, name in enumerate(TASKS[:2])
    }
    error = 4 * outputs["sum"][:, 0] + 9 - y[:, 2]
    return right | {"sum": float(jnp.sqrt((error**2).mean()))}


def main(library: str = "linen", steps: int = 300, seed: int = 0, out: str | None = None) -> Any:
    network = NETWORKS[library](jax.random.key(seed))
    groups, left_out = find_units(network.params, network.stats)
    heads = tuple(name for name in groups if name in TASKS)
    groups = {name: parts for name, parts in groups.items() if name not in heads}
    capacity = {name: WIDTH + COPIES for name in groups if "ense" not in name}
    capacity |= {name: 48 for name in groups if "ense" in name}  # not to be split here
    banks, pointers = open_banks(
        network.params, groups, len(TASKS), capacity=capacity, others=[network.stats]
    )
    stats, optimizer = enlarge(network.stats, pointers), optax.adam(2e-3)
    state = Shared(banks, pointers, stats, optimizer.init(banks))

    data, (x, y) = draw(seed, 2048), draw(seed + 1, 512, test=True)
    layers = layer_of_leaves(network.params, groups)
    loop = make_loop(network, layers, optimizer, data)
    shapes = jax.tree.map(lambda p: jnp.stack([p] * len(TASKS)), network.params)
    measure = partial(conflict_map, prefix=layers, names=TASKS)
    tally = start_tally(jax.eval_shape(measure, shapes))

    first = loop(state, tally, range(steps))
    split_state, name, task = parted(first.state, first.tallies[-1], first.grads)
    before, after = (outputs_of(network, s, x) for s in (first.state, split_state))
    same = all(bool((before[t] == after[t]).all()) for t in TASKS)

    more = range(steps, 2 * steps)
    runs = {"shared": loop(first.state, first.tallies[-1], more)}
    runs["split"] = loop(split_state, first.tallies[-1], more)
    found = {
        arm: measures(outputs_of(network, run.state, x), y)
        | {
            "parameters": count_parameters(run.state.banks, run.state.pointers),
            "ms a step": 1000 * run.seconds,
        }
        for arm, run in runs.items()
    }
    if out is not None:
        moments = jax.tree.map(lambda *leaves: jnp.stack(leaves), *first.tallies)
        every = [10 * (i + 1) for i in range(len(first.tallies))]
        path = Path(out) / f"conflict_{library}.png"
        plot_conflict(moments, "cosine", steps=every).savefig(path)
        print("wrote", path)
    print(
        f"left out: {left_out or 'nothing'}; all outputs after the split are what they were: {same}"
    )
    print(f"{COPIES} channels of {name} copied for {TASKS[task]}")
    for arm, values in found.items():
        print(f"{arm:7}", *(f"{key} {value:.4g}" for key, value in values.items()), sep="  ")
    return same, name, found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--library", choices=NETWORKS, default="linen")
    parser.add_argument("--steps", type=int, default=300, help="before the split, and after it")
    parser.add_argument("--out", help="folder for the picture of conflict")
    args = parser.parse_args()
    main(args.library, args.steps, out=args.out)

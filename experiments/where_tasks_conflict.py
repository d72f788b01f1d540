"""Where do tasks conflict, and is it worth splitting there? A convolutional trunk, layer by layer.

The tasks are the left digit, the right digit and their sum, of images with two digits; the network
has four convolutions, two dense layers and a head a task. It is trained as it is while the conflict
of every layer is added up in several ways; then anew, from the same values on the same batches,
with one layer split (a copy a task), each in turn, and with all of them. What a split brings is the
fall of the three held-out losses, 100 times the logarithm of the quotient, their mean. For each
score of conflict there is

- its rank correlation with what splitting the layers brings, seed by seed, beside those of the
  number of parameters of a layer and of its place, which are known without any training;
- what splitting the layer of the highest score brings, against a layer drawn at random.

What it found stands in the README beside it: splitting pays, and no score of conflict says where.

    python experiments/where_tasks_conflict.py [--seeds 6] [--steps 400] [--out DIR] [--quick]
"""

import argparse
import csv
import functools
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from conflict_picture import draw
from digit_tasks import PatchConv
from jaxtyping import Array, Bool, Float, PyTree
from paired import paired_interval
from scipy import stats

from jaxmtl.conflict import Score, Tally, conflict_map, sample_conflict, start_tally, update_tally
from jaxmtl.sharing import Pointers, duplicate, open_banks, task_view, to_banks, view_gradients

sys.path.append(str(Path(__file__).parent / "recipes"))
from split_images import draw as draw_images  # pyright: ignore[reportMissingImports]
from split_images import task_losses  # pyright: ignore[reportMissingImports]

TASKS = ("left", "right", "sum")
CHANNELS, DENSE = (8, 8, 8, 8), (32, 32)
LAYERS = (*(f"conv_{i}" for i in range(4)), "dense_0", "dense_1")
BATCH, RATE, IMAGES, TEST, MOMENTS = 32, 2e-3, 4096, 1024, 20
SAMPLES = 64  # on which conflict is looked at sample by sample
# Scores of a tally that order the layers in ways of their own.
OF_TALLY: tuple[Score, ...] = ("cosine", "rate", "opposite", "longest", "dominance")
NOTHING, EVERYTHING = "nothing", "everything"
SHARES = (NOTHING, *LAYERS, EVERYTHING)


class Digits(nn.Module):
    """Two halves of a picture, a trunk, and the outputs of all tasks by name."""

    @nn.compact
    def __call__(self, x: Float[Array, "batch 8 16 1"]) -> dict[str, Array]:
        for i, channels in enumerate(CHANNELS):
            x = nn.relu(PatchConv(channels, name=f"conv_{i}")(x))
            if i in (0, len(CHANNELS) - 1):
                rows, height, width, _ = x.shape
                x = x.reshape(rows, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))
        x = x.reshape(len(x), -1)
        for i, size in enumerate(DENSE):
            x = nn.relu(nn.Dense(size, name=f"dense_{i}")(x))
        widths = {"left": 10, "right": 10, "sum": 1}
        return {name: nn.Dense(width, name=name)(x) for name, width in widths.items()}


class Trained(NamedTuple):
    """What came of one structure, for all seeds.

    Attributes:
        losses: held-out, (seeds, tasks).
        tallies: of the layers, leaves (seeds, moments, ...).
        params: of task 0's view, leaves (seeds, ...).
    """

    losses: np.ndarray
    tallies: Tally
    params: PyTree


class Found(NamedTuple):
    """All that the tables and the picture are made of.

    Attributes:
        scores: by name, (seeds, layers): the more, the more conflict.
        benefit: what splitting brings, in hundredths of a logarithm, by structure, (seeds,).
        tallies: of the network with nothing split, leaves (seeds, moments, ...).
        steps: of the moments.
    """

    scores: dict[str, np.ndarray]
    benefit: dict[str, np.ndarray]
    tallies: Tally
    steps: np.ndarray


MODEL = Digits()


def loss_fn(params: PyTree, batch: Any) -> dict[str, Array]:
    return task_losses(MODEL.apply({"params": params}, batch[0]), batch[1])


def start_values(seed: int) -> PyTree:
    """Kernels of the size that keeps that of the signal (He), and no biases."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(MODEL.init, jax.random.key(0), jnp.zeros((1, 8, 16, 1)))["params"]

    def drawn(leaf: Any) -> np.ndarray:
        scale = 0 if len(leaf.shape) == 1 else np.sqrt(2 / np.prod(leaf.shape[:-1]))
        return rng.normal(scale=scale, size=leaf.shape).astype(np.float32)

    return jax.tree.map(drawn, shapes)


def layer_of(path: Any, _: Any) -> str:
    return path[0].key


def measure(grads: PyTree) -> Any:
    """Conflict of the layers of the trunk."""
    return conflict_map({layer: grads[layer] for layer in LAYERS}, names=TASKS)


@functools.partial(jax.jit, static_argnames="every")
def train(
    banks: PyTree, pointers: Pointers, data: Any, rows: Array, test: Any, every: int
) -> tuple[Array, Tally, PyTree]:
    """All seeds side by side; one program, whatever is split."""
    optimizer = optax.adam(RATE)
    gradients = view_gradients(loss_fn)

    def of_seed(banks: PyTree, data: Any, rows: Array, test: Any) -> tuple[Array, Tally, PyTree]:
        def step(carry: Any, at: Array) -> Any:
            banks, opt_state, tally = carry
            _, grads = gradients(banks, jax.tree.map(lambda leaf: leaf[at], data), pointers)
            tally = update_tally(tally, measure(grads))
            summed = jax.tree.map(lambda leaf: leaf.sum(axis=0), to_banks(grads, pointers))
            updates, opt_state = optimizer.update(summed, opt_state, banks)
            return (optax.apply_updates(banks, updates), opt_state, tally), None

        def moment(carry: Any, at: Array) -> Any:
            carry, _ = jax.lax.scan(step, carry, at)
            return carry, carry[2]

        like = jax.eval_shape(
            lambda: measure(gradients(banks, jax.tree.map(lambda a: a[:BATCH], data), pointers)[1])
        )
        carry = banks, optimizer.init(banks), start_tally(like)
        (banks, _, _), tallies = jax.lax.scan(moment, carry, rows.reshape(-1, every, BATCH))
        losses = [
            loss_fn(task_view(banks, pointers, task), test)[name] for task, name in enumerate(TASKS)
        ]
        return jnp.stack(losses), tallies, task_view(banks, pointers, 0)

    return jax.vmap(of_seed)(banks, data, rows, test)


def sample_scores(params: PyTree, data: Any) -> dict[str, np.ndarray]:
    """Two scores of the trained network, sample by sample, (seeds, layers).

    The second is minus the cosine of what is left of the gradients without the noise of samples.
    """
    labels = jax.tree_util.tree_map_with_path(layer_of, jax.tree.map(lambda p: p[0], params))
    look = jax.jit(jax.vmap(sample_conflict(loss_fn, labels, names=TASKS)))
    found = look(params, jax.tree.map(lambda leaf: leaf[:, :SAMPLES], data))
    places = [found.layers.index(layer) for layer in LAYERS]
    pairs = np.triu_indices(len(TASKS), 1)
    products = np.asarray(found.products)[:, places]
    signal = np.sqrt(np.maximum(np.einsum("slTT->slT", products), 1e-12))
    cosines = products / (signal[..., :, None] * signal[..., None, :])
    rate = np.asarray(found.rate)[:, places]
    return {
        "of samples": rate[..., *pairs].mean(axis=-1),
        "without noise": -np.clip(cosines, -1, 1)[..., *pairs].mean(axis=-1),
    }


def run(seeds: int, steps: int, *, images: int = IMAGES, test: int = TEST) -> Found:
    """Trains every structure."""
    every = steps // MOMENTS if steps >= MOMENTS else 1
    steps -= steps % every
    drawn = [draw_images(seed, images) for seed in range(seeds)]
    held = [draw_images(1000 + seed, test, test=True) for seed in range(seeds)]
    data, tests = (
        tuple(np.stack(part) for part in zip(*each, strict=True)) for each in (drawn, held)
    )
    rows = np.stack(
        [np.random.default_rng(seed).integers(images, size=(steps, BATCH)) for seed in range(seeds)]
    )
    params = jax.tree.map(lambda *rows: np.stack(rows), *map(start_values, range(seeds)))
    groups = {layer: [layer] for layer in LAYERS}
    start = open_banks(jax.tree.map(lambda leaf: leaf[0], params), groups, len(TASKS))[1]
    banks = jax.jit(jax.vmap(lambda params: open_banks(params, groups, len(TASKS))[0]))(params)
    found: dict[str, Trained] = {}
    for name in SHARES:
        began = time.perf_counter()
        apart = split_at(banks, start, np.array([name in (layer, EVERYTHING) for layer in LAYERS]))
        losses, tallies, view = train(*apart, data, rows, tests, every)
        found[name] = Trained(np.asarray(losses), tallies, view)
        means = ", ".join(f"{value:.4f}" for value in found[name].losses.mean(axis=0))
        print(f"{name:12} losses {means}   {time.perf_counter() - began:.0f} s", flush=True)
    began, shared = time.perf_counter(), found[NOTHING]
    of_samples = sample_scores(shared.params, data)
    print(f"conflict sample by sample   {time.perf_counter() - began:.0f} s", flush=True)
    benefit = {
        name: 100 * np.log(shared.losses / one.losses).mean(axis=1)
        for name, one in found.items()
        if name != NOTHING
    }
    last = jax.tree.map(lambda leaf: leaf[:, -1], shared.tallies)
    size = [sum(leaf[0].size for leaf in jax.tree.leaves(params[layer])) for layer in LAYERS]
    scores = {kind: _of_layers(last, kind) for kind in OF_TALLY}
    scores |= of_samples
    scores["(parameters)"] = np.tile(np.array(size, float), (seeds, 1))
    scores["(depth)"] = np.tile(np.arange(len(LAYERS), dtype=float), (seeds, 1))
    return Found(scores, benefit, shared.tallies, every * (1 + np.arange(steps // every)))


def _of_layers(tally: Tally, kind: Score) -> np.ndarray:
    places = [tally.layers.index(layer) for layer in LAYERS]
    return np.asarray(tally.of_layers(kind), float)[:, places]


@jax.jit
def split_at(
    banks: PyTree, pointers: Pointers, apart: Bool[Array, " layers"]
) -> tuple[PyTree, Pointers]:
    """Gives every task its own copy of some layers, for all seeds."""

    def of_seed(banks: PyTree) -> tuple[PyTree, Pointers]:
        own = pointers
        for number, layer in enumerate(LAYERS):
            for task in range(1, len(TASKS)):
                moving = (jnp.arange(len(TASKS)) == task) & apart[number]
                banks, own = duplicate(banks, own, layer, 0, moving)
        return banks, own

    split, own = jax.vmap(of_seed)(banks)
    return split, jax.tree.map(lambda leaf: leaf[0], own)  # all seeds are split alike


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's, with equal values sharing a rank; 0 where either says nothing."""
    a, b = stats.rankdata(one), stats.rankdata(other)
    if a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def table(found: Found) -> list[dict[str, Any]]:
    """Prints and returns a row a structure and a row a score."""
    rows: list[dict[str, Any]] = []

    def add(kind: str, name: str, values: np.ndarray, **more: Any) -> None:
        mean, low, high = paired_interval(values)
        rows.append({"kind": kind, "name": name, "mean": mean, "low": low, "high": high} | more)

    for name, values in found.benefit.items():
        add("split", name, values)
    of_layers = np.stack([found.benefit[layer] for layer in LAYERS], axis=1)
    seeds = range(len(of_layers))
    drawn = of_layers.mean(axis=1)  # what a layer drawn at random brings, on average
    for name, scores in found.scores.items():
        each = np.array([rank_correlation(scores[seed], of_layers[seed]) for seed in seeds])
        mean = rank_correlation(scores.mean(axis=0), of_layers.mean(axis=0))
        add("correlation", name, each, of_means=mean)
        top = of_layers[np.arange(len(scores)), scores.argmax(axis=1)]
        add("top layer", name, top - drawn)
    add("top layer", "(best in hindsight)", of_layers.max(axis=1) - drawn)
    print("\nsplitting it lowers the held-out losses by (100 log, 95 % interval)")
    for row in (row for row in rows if row["kind"] == "split"):
        print(f"  {row['name']:14}{row['mean']:+7.2f}  ({row['low']:+.2f} to {row['high']:+.2f})")
    print("\nscore            rank correlation with that      top layer against a random one")
    tops = {row["name"]: row for row in rows if row["kind"] == "top layer"}
    for row in (row for row in rows if row["kind"] == "correlation"):
        top = tops[row["name"]]
        print(
            f"  {row['name']:15}{row['mean']:+.2f} ({row['low']:+.2f} to {row['high']:+.2f}), "
            f"of means {row['of_means']:+.2f}   {top['mean']:+.2f} ({top['low']:+.2f} to "
            f"{top['high']:+.2f})"
        )
    best = tops["(best in hindsight)"]
    print(f"  the best layer of each seed, in hindsight{'':18}{best['mean']:+.2f}")
    return rows


def main(*, seeds: int = 6, steps: int = 400, quick: bool = False, out: str | None = None) -> Found:
    sizes = {"images": 256, "test": 64} if quick else {}
    found = run(2 if quick else seeds, 4 if quick else steps, **sizes)
    rows = table(found)
    if out is not None:
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "where_tasks_conflict.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["kind", "name", "mean", "low", "high", "of_means"])
            writer.writeheader()
            writer.writerows(rows)
        map_of = {
            kind: np.nanmean(np.asarray(found.tallies.of_layers(kind), float), axis=0)[
                :, [found.tallies.layers.index(layer) for layer in LAYERS]
            ]
            for kind in ("cosine", "rate")
        }
        path = folder / "where_tasks_conflict.png"
        draw(map_of, found.steps, LAYERS, found.scores, found.benefit, path)
        print("wrote", path)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--quick", action="store_true", help="a few steps, to see that it runs")
    parser.add_argument("--out", help="folder for the table and the picture")
    args = parser.parse_args()
    main(seeds=args.seeds, steps=args.steps, quick=args.quick, out=args.out)

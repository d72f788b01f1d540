"""What the recipes have in common: images, losses over known labels, an optimizer, a log.

A small bright figure lies somewhere in every image. One task asks for its place (a number), the
other for its shape (yes or no), and a third of the labels is missing: NaN.
"""

import argparse
import csv
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, PyTree

from jaxmtl.losses import binary_cross_entropy, mean_over_known, sliced, squared_error

TASKS = ("place", "shape")  # in alphabetical order, as losses by name are
FIGURES = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]], [[1, 1, 1], [1, 0, 1], [1, 1, 1]]])
Batch = tuple[Float[Array, "batch 8 8 1"], Float[Array, "batch tasks"]]
Log = list[dict[str, float]]

loss_of_rows = sliced((squared_error, binary_cross_entropy), outputs=(1, 1))


def draw_images(seed: int, images: int = 256, missing: float = 1 / 3) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x = rng.normal(scale=0.1, size=(images, 8, 8, 1)).astype(np.float32)
    shape, (row, column) = rng.integers(2, size=images), rng.integers(6, size=(2, images))
    for image, kind, i, j in zip(x, shape, row, column, strict=True):
        image[i : i + 3, j : j + 3, 0] += FIGURES[kind]
    y = np.stack([column / 5, shape], axis=1).astype(np.float32)
    return x, np.where(rng.uniform(size=y.shape) < missing, np.nan, y)


def batch_of(data: tuple[Any, Any], number: int, size: int = 32) -> tuple[Any, Any]:
    """The batch of a step. It follows from the number alone, so that a resumed run gets it too."""
    rows = np.random.default_rng(number).choice(len(data[0]), size, replace=False)
    return data[0][rows], data[1][rows]


def task_losses(
    outputs: Float[Array, "batch tasks"], targets: Float[Array, "batch tasks"]
) -> dict[str, Float[Array, ""]]:
    """Means over the rows whose label is known."""
    losses = mean_over_known(loss_of_rows(outputs, targets), ~jnp.isnan(targets))
    return dict(zip(TASKS, losses, strict=True))


def labelled(batch: Batch) -> Bool[Array, " tasks"]:
    """The tasks that have a label in this batch: ``present`` of a step."""
    return ~jnp.isnan(batch[1]).all(axis=0)


def parts(params: PyTree) -> PyTree:
    """The part of the network that every parameter belongs to: trunk, place or shape."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: jax.tree_util.keystr(path[:1], simple=True), params
    )


def shared(params: PyTree) -> PyTree:
    return jax.tree.map(lambda part: part == "trunk", parts(params))


def make_optimizer(steps: int) -> optax.GradientTransformation:
    """Clipping, then Adam with warm-up and decay, a rate for the trunk and one for every head."""

    def adam(rate: float) -> optax.GradientTransformation:
        return optax.adam(optax.warmup_cosine_decay_schedule(0.0, rate, steps // 10, steps))

    rates: dict[Hashable, Any] = {"trunk": adam(3e-3), "place": adam(1e-2), "shape": adam(3e-3)}
    return optax.chain(optax.clip_by_global_norm(1.0), optax.multi_transform(rates, parts))


def fetch(log: Sequence[Mapping[str, Any]]) -> Log:
    """The numbers of all steps at once: fetched one by one, each would hold up the next step."""
    return [numbers(row) for row in jax.device_get(log)]


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


def write_csv(path: str, log: Log) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["step", *log[0]])
        writer.writeheader()
        writer.writerows({"step": step, **row} for step, row in enumerate(log))


def run(main: Callable[..., tuple[Log, dict[str, float]]], doc: str | None) -> None:
    """The command line of a recipe."""
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--csv", help="where the losses, weights and conflict of all steps go")
    args = parser.parse_args()
    log, held_out = main(args.steps)
    if args.csv:
        write_csv(args.csv, log)
    print("first step:", log[0], "last:", log[-1], "other images:", held_out, sep="\n")

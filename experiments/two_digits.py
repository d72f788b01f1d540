"""Two digits in one picture: a small twin of MultiMNIST, for all architectures and for splitting.

Two 8 x 8 digits of scikit-learn's set, the right one shifted by 4 columns so that they overlap,
the brighter pixel winning: 8 x 12 pixels, two tasks of ten classes, the left digit and the right.
Pictures of training and test are made of different originals. Every method trains through the same
loop on the same pictures, in mini-batches; the adaptive network duplicates nodes in between.

Against ``single task``, one network a task, each method is given its Δm% (how much worse its two
accuracies are, on average; below 0 it is better) and its mean rank over the two tasks.

What to expect: each digit has its fixed place, so two dense networks on pixels, each free to look
at its own half, are hard to beat. They get 94 to 95 % of the digits right, and everything that
shares gets fewer: 2 to 2.5 % less with hard sharing and the adaptive network, 3 to 8 % less behind
a convolutional trunk, least with cross-stitch, which has a trunk a task, and most with PLE and
MTAN, whose losses still fall after so few epochs. That a few duplicated nodes win back part of what
sharing costs shows in the mean, but takes more than three seeds to be sure of, as does most of the
order among the architectures. Convolutions, which gain from digits that move, do not pay here.

    python experiments/two_digits.py [--out DIR] [--seeds 3] [--epochs 16] [--rows 1500]
        [--methods ...]
"""

import argparse
import functools
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from scipy import stats
from sklearn.datasets import load_digits

import jaxmtl
from jaxmtl import Phase, Rows, Run, Splits
from jaxmtl.losses import sliced, softmax_cross_entropy
from jaxmtl.metrics import accuracy, delta_m, f1_score, mean_rank
from jaxmtl.models import (
    AITM,
    CGC,
    MTAN,
    PLE,
    ConvTrunk,
    CrossStitch,
    DSelectK,
    HardSharing,
    IndependentNetworks,
    MMoE,
    OMoE,
    SharedBottom,
    split_outputs,
)

OUTPUTS, TASKS = (10, 10), ("left", "right")
LOSS = sliced(softmax_cross_entropy, outputs=OUTPUTS, targets=(1, 1))
SINGLE = "single task"
RATE, BATCH, SPLITS = 3e-3, 32, 4
DENSE: dict[str, Any] = {
    "activation": "relu",
    "output_activation": None,
    "initializer": "he_normal",
    "outputs": OUTPUTS,
}


class Look(NamedTuple):
    """How the curve of a method is drawn."""

    colour: str
    line: str = "-"
    marker: str = "o"


class Method(NamedTuple):
    """A network, whether it sees an image or its pixels in a row, and whether it splits."""

    model: Any
    image: bool = False
    adaptive: bool = False


class Trained(NamedTuple):
    """A run, its test losses (epochs, tasks) from the first epoch on, and its duplications."""

    run: Run
    curve: np.ndarray
    splits: int


def methods() -> dict[str, Method]:
    """All methods by name."""
    hard = HardSharing(shared=(64,), nodes=24, **DENSE)
    options: dict[str, Any] = {
        "trunk": ConvTrunk(channels=(8, 16), sizes=(64,), initializer="he_normal"),
        "outputs": OUTPUTS,
        "initializer": "he_normal",
    }
    tower: dict[str, Any] = {"towers": (24,)} | options
    experts: dict[str, Any] = {"experts": (24,)} | tower
    on_images = {
        "shared bottom": SharedBottom(**tower),
        "AITM": AITM(**tower),
        "OMoE": OMoE(num_experts=4, **experts),
        "MMoE": MMoE(num_experts=4, **experts),
        "DSelect-k": DSelectK(num_experts=4, selected=2, **experts),
        "CGC": CGC(**experts),
        "PLE": PLE(experts=((24,), (24,)), **tower),
        "cross-stitch": CrossStitch(layers=(24,), **tower),
        "MTAN": MTAN(layers=(24,), **tower),
    }
    return {
        SINGLE: Method(IndependentNetworks(shared=(64,), nodes=24, **DENSE)),
        "hard sharing": Method(hard),
        "adaptive": Method(hard, adaptive=True),
        **{f"{name}, conv": Method(model, image=True) for name, model in on_images.items()},
    }


# Okabe and Ito (2008); a family shares its colour and differs in line and marker.
LOOKS = dict(
    zip(
        methods(),
        (
            Look("#000000"),
            Look("#E69F00"),
            Look("#D55E00", marker="D"),
            Look("#56B4E9"),
            Look("#56B4E9", "--", "s"),
            Look("#009E73"),
            Look("#009E73", "--", "s"),
            Look("#009E73", ":", "^"),
            Look("#0072B2"),
            Look("#0072B2", "--", "s"),
            Look("#CC79A7"),
            Look("#CC79A7", "--", "s"),
        ),
        strict=True,
    )
)


def make_pictures(seed: int, num_train: int, num_test: int, *, overlap: int = 4) -> Splits:
    """Overlapped pairs, images (rows, 8, 16 - overlap, 1) and the two digits (rows, 2)."""
    bunch: Any = load_digits()
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(bunch.target))
    parts = {"train": (order[:1200], num_train), "test": (order[1200:], num_test)}
    splits = {}
    for name, (originals, number) in parts.items():
        left, right = originals[rng.integers(0, len(originals), (2, number))]
        x = np.zeros((number, 8, 16 - overlap, 1), np.float32)
        x[:, :, :8, 0] = bunch.images[left] / 16
        x[:, :, -8:, 0] = np.maximum(x[:, :, -8:, 0], bunch.images[right] / 16)
        y = np.stack([bunch.target[left], bunch.target[right]], axis=1).astype(np.float32)
        splits[name] = Rows(x, y)
    return Splits(**splits)


def in_a_row(splits: Splits) -> Splits:
    """The same pictures as rows of pixels."""
    return jax.tree.map(lambda leaf: leaf.reshape(len(leaf), -1), splits)


def chance_threshold(samples: int, nodes: int, alpha: float = 0.05) -> int:
    """The streak that fair coins, one a node, reach by chance in so many samples.

    With probability about alpha: the chance is 1 - exp(-samples * nodes / 2^(threshold + 1)).
    """
    return math.ceil(math.log2(samples * nodes / (2 * alpha)))


def train(method: Method, data: Splits, key: jax.Array, epochs: int) -> Trained:
    """One run; an adaptive one has its duplications early on and as many epochs in all."""
    if not method.image:
        data = in_a_row(data)
    options: dict[str, Any] = {"batch_size": BATCH, "shuffle": True, "loss": LOSS}
    plain = functools.partial(jaxmtl.fit, method.model, data, learning_rate=RATE, **options)
    splits, curves = 0, ()
    if method.adaptive:
        length = max(1, epochs // (2 * SPLITS))
        threshold = chance_threshold(length * len(data.train.x), method.model.nodes)
        phase = Phase(length, threshold=threshold, learning_rate=RATE)
        first_key, key = jax.random.split(key)
        # A sample that leaves a ReLU off has gradients of 0, which say nothing about a conflict.
        first = jaxmtl.fit_adaptive(
            method.model,
            data,
            key=first_key,
            phases=(phase,) * SPLITS,
            rule="strict",
            zeros="hold",
            transplant="copy",
            **options,
        )
        splits, curves = len(first.events), (test_losses(first),)
        run = plain(
            key=key,
            params=first.params,
            head_index=first.head_index,
            epochs=max(1, epochs - len(first.history)),
        )
    else:
        run = plain(key=key, epochs=epochs)
    return Trained(run, np.concatenate([*curves, test_losses(run)]), splits)


def test_losses(run: Run) -> np.ndarray:
    """Test losses (epochs, tasks)."""
    assert run.history.test is not None
    return run.history.test


@functools.partial(jax.jit, static_argnames="model")
def predict(model: Any, params: Any, x: Any, head_index: Any) -> jax.Array:
    """Outputs of all tasks side by side; the index is None for networks without a bank."""
    return model.apply({"params": params}, x, *(() if head_index is None else (head_index,)))


def measure(method: Method, run: Run, data: Splits) -> dict[str, float]:
    """Test metrics and size."""
    rows = (data if method.image else in_a_row(data)).test
    assert rows is not None
    outputs = predict(method.model, run.params, rows.x, run.head_index)
    row: dict[str, float] = {}
    for task, scores, labels in zip(TASKS, split_outputs(outputs, OUTPUTS), rows.y.T, strict=True):
        predicted = scores.argmax(axis=-1)
        row[task] = float(accuracy(predicted, labels))
        row[f"F1 {task}"] = float(f1_score(predicted, labels, num_classes=10, average="macro"))
    row["parameters"] = jaxmtl.count_parameters(run.params, run.head_index)
    return row


def interval(values: np.ndarray) -> tuple[float, float]:
    """Mean over the seeds and half the width of its 95 % t-interval."""
    if len(values) < 2:
        return float(values.mean()), float("nan")
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return float(values.mean()), float(half)


def make_table(runs: pd.DataFrame) -> pd.DataFrame:
    """One row a method: means over the seeds, intervals, Δm% and the mean rank."""
    names = list(dict.fromkeys(runs["method"]))
    scores = np.stack([runs[list(TASKS)].to_numpy()[runs["method"] == name] for name in names])
    rows = []
    ranks = np.stack([mean_rank(jnp.asarray(scores[:, i]), True) for i in range(scores.shape[1])])
    for i, name in enumerate(names):
        mine = runs[runs["method"] == name]
        row: dict[str, Any] = {"method": name}
        for task in TASKS:
            row[task], row[f"{task} ±"] = interval(np.asarray(mine[task]))
            row[f"F1 {task}"] = mine[f"F1 {task}"].mean()
        if SINGLE in names:
            change = np.asarray(delta_m(scores[i], scores[names.index(SINGLE)], True))
            row["Δm%"], row["Δm% ±"] = interval(change)
        row["mean rank"] = ranks[:, i].mean()
        row |= {column: mine[column].mean() for column in ("parameters", "splits", "seconds")}
        rows.append(row)
    return pd.DataFrame(rows)


def plot_examples(data: Splits, path: Path) -> None:
    """The first pictures of the training rows."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 6, figsize=(8, 2.9), layout="constrained")
    for ax, image, labels in zip(axes.flat, data.train.x, data.train.y, strict=False):
        ax.imshow(image[..., 0], cmap="gray_r", vmin=0, vmax=1)
        ax.set(title=f"left {labels[0]:.0f}, right {labels[1]:.0f}", xticks=[], yticks=[])
    figure.suptitle("Two overlapped digits, 8 x 12 pixels")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def plot_results(
    runs: pd.DataFrame, curves: dict[str, list[np.ndarray]], path: Path, seeds: int
) -> None:
    """Test loss over the epochs, and the accuracies of the two tasks."""
    import matplotlib.pyplot as plt

    height = 2 + 0.34 * len(curves)
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, height), layout="constrained")
    for i, (name, several) in enumerate(curves.items()):
        mean, (colour, line, marker) = np.mean(several, axis=(0, 2)), LOOKS[name]
        marked = slice(i % 3, None, 3)  # curves that cross have theirs at other epochs
        left.plot(
            np.arange(1, len(mean) + 1),
            mean,
            line,
            color=colour,
            marker=marker,
            markevery=marked,
            markersize=5,
            label=name,
        )
    left.set(xlabel="epoch", ylabel="test cross-entropy (nats a task)", yscale="log")
    left.xaxis.get_major_locator().set_params(integer=True)
    for formatted in (left.yaxis.set_major_formatter, left.yaxis.set_minor_formatter):
        formatted("{x:g}")
    left.set_title("Test loss, mean over tasks and seeds")
    left.legend(frameon=False, fontsize=8, ncols=2, handlelength=3.5)
    for i, name in enumerate(curves):
        mine = runs[runs["method"] == name]
        for task, marker, shift in zip(TASKS, "<>", (-0.15, 0.15), strict=True):
            mean, half = interval(100 * np.asarray(mine[task]))
            colour = LOOKS[name].colour
            right.errorbar(
                mean, i + shift, xerr=half, color=colour, marker=marker, capsize=3, ls=""
            )
    right.set_yticks(range(len(curves)), list(curves))
    right.invert_yaxis()
    right.set(xlabel="test accuracy (%)")
    right.xaxis.get_major_locator().set_params(integer=True)
    plural = "seed" if seeds == 1 else "seeds"
    right.set_title(f"◁ left digit, ▷ right digit; 95 % interval, {seeds} {plural}")
    for ax in (left, right):
        ax.grid(alpha=0.3)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/two_digits"), help="folder")
    parser.add_argument("--seeds", type=int, default=3, help="runs of every method")
    parser.add_argument("--epochs", type=int, default=16, help="passes over the training rows")
    parser.add_argument("--rows", type=int, default=1500, help="pictures to train on")
    parser.add_argument("--test-rows", type=int, default=800, help="pictures to test on")
    parser.add_argument("--methods", nargs="+", default=list(LOOKS), choices=list(LOOKS))
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    options.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    curves: dict[str, list[np.ndarray]] = {name: [] for name in options.methods}
    for seed in range(options.seeds):
        data = make_pictures(seed, options.rows, options.test_rows)
        for name in options.methods:
            method, start = methods()[name], time.perf_counter()
            key = jax.random.key(seed, impl="rbg")  # compiles in a fraction of the default's time
            run, curve, splits = train(method, data, key, options.epochs)
            spent = time.perf_counter() - start
            row = {"method": name, "seed": seed, **measure(method, run, data)}
            rows.append(row | {"splits": splits, "seconds": spent})
            curves[name].append(curve)
    runs = pd.DataFrame(rows)
    table = make_table(runs)
    print(table.to_string(index=False, float_format="{:.3f}".format, na_rep=""))
    print("\n±: half of the 95 % interval; seconds: of a run, compiling included")
    names = ("table.csv", "runs.csv", "pictures.png", "results.png")
    files = [options.out / name for name in names]
    table.to_csv(files[0], index=False)
    runs.to_csv(files[1], index=False)
    plot_examples(make_pictures(0, 12, 1), files[2])
    plot_results(runs, curves, files[3], options.seeds)
    print(f"\n{time.perf_counter() - began:.0f} s. Wrote", *files)


if __name__ == "__main__":
    main()

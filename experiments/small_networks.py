"""The study's smaller networks: one shared layer of three ReLU nodes under ReLU outputs.

Plain: inputs -> 3 ReLU nodes -> 2 ReLU outputs, one sample a step, plain gradient descent on the
summed loss scaled by 1/m, m the number of training rows. Adaptive: the same network on mini-batches
of a tenth of the rows; where the two losses' gradients of a first-layer weight disagree in sign for
long enough, the node is duplicated, and training goes on with one head on [copy + others] and one
on [originals]. Both are settings of ``HardSharing``, ``fit`` and ``fit_adaptive``: there is no
training loop in this file.

Departures from the original. It counts, at each weight, the batches in conflict, and sets the count
to zero at every batch, so that a threshold of 2 is never reached. Here the streak machinery counts
samples in a row in conflict, weight by weight, on and on across batches. It trains in the order of
the file, where every batch is a season and the last one has the last word; here the order is drawn
anew every epoch (``--in-order`` for theirs). A batch's loss is a mean here and a sum there, so the
step of a batch of b rows is rate * b / m.

A ReLU output that gives 0 on every row has no gradient and stays so: such starts are counted apart.

    python experiments/small_networks.py [--out DIR] [--workbook air.xlsx] [--starts 10] ...
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxmtl
from jaxmtl import Event, Phase, Rows, Run, Splits
from jaxmtl.data import Dataset, prepare, random_split, read_table, write_air_quality
from jaxmtl.models import HardSharing

FEATURES = ("PM10", "SO2", "CO", "NO2")
TARGETS = ("PM2.5", "O3_8h")
METHODS = ("plain, one sample a step", "plain, batches", "adaptive, batches")
COLOURS = ("#0072B2", "#E69F00", "#009E73")  # Okabe-Ito


class Settings(NamedTuple):
    """How long and how fast to train, and when a node may be duplicated."""

    epochs: int = 500
    rate: float = 2.0
    warmup: int = 50
    threshold: int = 10
    shuffle: bool = True


class Adaptive(NamedTuple):
    """An adaptive run in its two parts.

    Attributes:
        search: until the duplication, which is its last act, or to the end if there was none.
        params: before the duplication.
        head_index: before the duplication.
        after: training on with the two heads; None if nothing was duplicated.
    """

    search: Run
    params: Any
    head_index: Any
    after: Run | None

    @property
    def event(self) -> Event | None:
        """The duplication, if there was one."""
        return self.search.events[0] if len(self.search.events) else None

    @property
    def last(self) -> Run:
        """The run that ended last."""
        return self.after or self.search


def network(num_tasks: int = 2) -> HardSharing:
    """Inputs -> 3 ReLU nodes -> one ReLU output a task."""
    return HardSharing(
        shared=(), nodes=3, outputs=(1,) * num_tasks, activation="relu", output_activation="relu"
    )


def tenth(rows: Rows) -> int:
    """Rows of a mini-batch: a tenth of all, rounded up so that there are never more than ten."""
    return -(-len(rows.x) // 10)


def num_batches(rows: Rows) -> int:
    """Mini-batches of an epoch: ten, of a table that is long enough."""
    return -(-len(rows.x) // tenth(rows))


def step_size(rate: float, rows: Rows, batch_size: int) -> float:
    """The learning rate that scales the gradient of a batch's summed loss by rate / m."""
    return rate * batch_size / len(rows.x)


def train_plain(data: Splits, key: Any, settings: Settings, batch_size: int = 1) -> Run:
    """The plain shared network."""
    return jaxmtl.fit(
        network(data.train.y.shape[1]),
        data,
        key=key,
        epochs=settings.epochs,
        learning_rate=step_size(settings.rate, data.train, batch_size),
        optimizer=optax.sgd,
        batch_size=batch_size,
        shuffle=settings.shuffle,
    )


def train_adaptive(data: Splits, key: Any, settings: Settings) -> Adaptive:
    """The adaptive network: search for a node to duplicate, then train on."""
    model, batch_size = network(data.train.y.shape[1]), tenth(data.train)
    rate = step_size(settings.rate, data.train, batch_size)
    options: dict[str, Any] = {
        "optimizer": optax.sgd,
        "batch_size": batch_size,
        "shuffle": settings.shuffle,
    }
    phase = Phase(settings.epochs, settings.warmup, settings.threshold, learning_rate=rate)
    after_key = jax.random.fold_in(key, 1)
    search = jaxmtl.fit_adaptive(model, data, key=key, phases=(phase,), **options)
    if not len(search.events):
        return Adaptive(search, search.params, search.head_index, None)
    # The original columns are untouched: without the copy, this is the network as it was.
    copy = search.events[0].copy
    before = search.params | {
        "bank": jax.tree.map(lambda leaf: leaf.at[..., copy].set(0.0), search.params["bank"])
    }
    left = settings.epochs - len(search.history)
    after = None
    if left > 0:
        after = jaxmtl.fit(
            model,
            data,
            key=after_key,
            params=search.params,
            head_index=search.head_index,
            epochs=left,
            learning_rate=rate,
            **options,
        )
    return Adaptive(search, before, model.initial_head_index(), after)


def predict(data: Splits, params: Any, head_index: Any, x: Any) -> np.ndarray:
    """Scaled outputs (rows, tasks)."""
    model = network(data.train.y.shape[1])
    return np.asarray(model.apply({"params": params}, jnp.asarray(x), head_index))


def conflicts_by_sample(params: Any, rows: Rows) -> np.ndarray:
    """Samples in conflict at each weight of the first layer, before any duplication."""
    gradients = jax.jit(jaxmtl.sample_task_gradients(_losses))(params, _arrays(rows))
    return _count_conflicts(gradients["bank"]["kernel"])


def conflicts_by_batch(params: Any, rows: Rows) -> np.ndarray:
    """Batches, of a tenth each, whose losses are in conflict at each weight of the first layer."""
    (x, y), size = _arrays(rows), tenth(rows)
    gradients_of = jax.jit(jaxmtl.task_gradients(_losses))
    batches = [(x[n : n + size], y[n : n + size]) for n in range(0, len(x), size)]
    kernels = [gradients_of(params, batch)[1]["bank"]["kernel"] for batch in batches]
    return _count_conflicts(jnp.stack(kernels))


def _count_conflicts(kernels: jax.Array) -> np.ndarray:
    """Of gradients (samples or batches, tasks, features, capacity), at the nodes in use."""
    conflict = jaxmtl.sign_conflict(kernels, task_axis=1)
    return np.asarray(jaxmtl.count_conflicts(conflict))[:, :3]


def _arrays(rows: Rows) -> tuple[jax.Array, jax.Array]:
    return jnp.asarray(rows.x), jnp.asarray(rows.y)


def _losses(params: Any, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
    x, y = batch
    outputs: Any = network(y.shape[1]).apply({"params": params}, x)
    return jaxmtl.squared_error(outputs, y).mean(axis=0)


def ending(result: Run | Adaptive) -> Run:
    """The run with the final parameters."""
    return result if isinstance(result, Run) else result.last


def held_out(data: Splits) -> Rows:
    """The test rows, which this script always sets aside."""
    assert data.test is not None
    return data.test


def alive(data: Splits, run: Run) -> bool:
    """Whether every output is above 0 on some training row."""
    return bool((predict(data, run.params, run.head_index, data.train.x) > 0).any(axis=0).all())


def curve(result: Run | Adaptive) -> np.ndarray:
    """Test error of each task after every epoch."""
    runs = (result,) if isinstance(result, Run) else (result.search, result.after)
    return np.concatenate([r.history.test for r in runs if r and r.history.test is not None])


def straight_line(data: Splits) -> np.ndarray:
    """Test error of each task by least squares, for comparison."""
    splits = (data.train, held_out(data))
    inputs = [np.column_stack([rows.x, np.ones(len(rows.x))]) for rows in splits]
    weights = np.linalg.lstsq(inputs[0], data.train.y, rcond=None)[0]
    return ((inputs[1] @ weights - held_out(data).y) ** 2).mean(axis=0)


def print_duplication(dataset: Dataset, shown: Adaptive, rows: int = 3) -> None:
    """The event, the conflict it came from, and predictions before and after."""
    data, event = dataset.splits, shown.event
    assert event is not None
    print(
        f"\nNode {event.node} duplicated in epoch {event.epoch}, at sample {event.sample}, after "
        f"{event.streak} samples in a row in conflict; its copy is column {event.copy}"
    )
    index = np.asarray(shown.search.head_index).tolist()
    for target, row in zip(dataset.targets, index, strict=True):
        print(f"  head of {target:6} reads columns {row}")
    by_sample, by_batch = (
        count(shown.params, data.train) for count in (conflicts_by_sample, conflicts_by_batch)
    )
    print(
        f"\nConflict at each weight then: of {len(data.train.x)} samples | "
        f"of {num_batches(data.train)} batches"
    )
    for name, samples, batches in zip(dataset.features, by_sample, by_batch, strict=True):
        left, right = ("".join(f"{n:7}" for n in row) for row in (samples, batches))
        print(f"  {name:6}{left}  |{right}")
    x = held_out(data).x
    before = predict(data, shown.params, shown.head_index, x)
    after = predict(data, shown.search.params, shown.search.head_index, x)
    print("\nPrediction before and after the duplication (original units)")
    pairs = zip(dataset.decode(before[:rows]), dataset.decode(after[:rows]), strict=True)
    for number, pair in zip(dataset.rows.test, pairs, strict=False):
        cells = [" ".join(f"{v:8.3f}" for v in side) for side in pair]
        print(f"  row {number:4}: {cells[0]}  ->  {cells[1]}")
    same = "equal to the bit" if np.array_equal(before, after) else "NOT EQUAL"
    print(f"  all {len(x)} test rows: {same}")


def print_errors(
    dataset: Dataset, results: dict[str, list[Run | Adaptive]], living: np.ndarray
) -> None:
    """Test error over the starts with no dead output, and what it is worth."""
    print(f"\nTest error (scaled, x 1000) over the {living.sum()} of {len(living)} starts ", end="")
    print("that keep every output alive: median (best)")
    print(f"  {'':26}" + "".join(f"{t:>16}" for t in (*dataset.targets, "mean")))
    errors = {name: np.array([curve(r)[-1] for r in runs]) for name, runs in results.items()}
    for name, error in errors.items():
        kept = 1000 * np.column_stack([error, error.mean(axis=1)])[living]
        typical, best = np.median(kept, axis=0), kept.min(axis=0)
        cells = [f"{m:8.3f} ({b:.3f})" for m, b in zip(typical, best, strict=True)]
        print(f"  {name:26}" + "".join(f"{cell:>16}" for cell in cells))
    line = 1000 * straight_line(dataset.splits)
    cells = "".join(f"{v:16.3f}" for v in (*line, line.mean()))
    print(f"  {'a straight line':26}{cells}")
    change = 1000 * (errors[METHODS[2]] - errors[METHODS[1]])[living]
    change = np.column_stack([change, change.mean(axis=1)])
    cells = [f"{m:+8.3f} ({s:.3f})" for m, s in zip(change.mean(0), change.std(0), strict=True)]
    print(f"  {'adaptive - plain batches':26}" + "".join(f"{cell:>16}" for cell in cells))
    print("    (mean and standard deviation of the differences; below 0: adaptive is better, as on")
    print(f"    {(change[:, -1] < 0).sum()} of these starts)")


def plot(
    dataset: Dataset, shown: dict[str, Run | Adaptive], adaptive: Adaptive, path: Path
) -> None:
    """Error against epochs of one start, and the conflict at its duplication."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullLocator

    assert adaptive.event is not None
    figure = Figure(figsize=(11, 7), layout="constrained")
    axes = figure.subplots(2, 2)
    for t, (ax, target) in enumerate(zip(axes[0], dataset.targets, strict=False)):
        for (name, result), colour, width in zip(shown.items(), COLOURS, (4, 2.2, 1), strict=True):
            errors = curve(result)[:, t]
            epochs = np.arange(1, len(errors) + 1)
            ax.plot(epochs, errors, color=colour, linewidth=width, label=name)
        ax.axvline(len(adaptive.search.history), color="0.4", linestyle=":", label="duplication")
        ax.set_title(f"{target}, one start", fontsize=10)
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter("{x:g}")
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_formatter("{x:g}")
        ax.set_xlabel("epochs")
        ax.set_ylabel("mean squared test error (scaled)")
        ax.grid(alpha=0.25)
    axes[0, 0].legend(frameon=False, fontsize=9, loc="lower left")
    rows = dataset.splits.train
    counts = (
        (conflicts_by_sample(adaptive.params, rows), len(rows.x), "samples", "Samples"),
        (
            conflicts_by_batch(adaptive.params, rows),
            num_batches(rows),
            "batches",
            "Losses of batches",
        ),
    )
    for ax, (found, total, what, title) in zip(axes[1], counts, strict=True):
        share = 100 * found / total
        image = ax.imshow(share, cmap="cividis", vmin=0, vmax=100, aspect="auto")
        for (i, k), value in np.ndenumerate(share):
            ax.text(k, i, f"{value:.0f}", ha="center", va="center", color=_ink(value))
        names = [
            f"node {k}" + ("\n(duplicated)" if k == adaptive.event.node else "") for k in range(3)
        ]
        ax.set_xticks(range(3), names)
        ax.set_yticks(range(len(dataset.features)), dataset.features)
        ax.set_title(f"{title} in conflict when the node was duplicated", fontsize=10)
        figure.colorbar(image, ax=ax, label=f"share of {what} (%)")
    figure.suptitle("Three ReLU nodes shared by two tasks: plain, and with a node duplicated")
    figure.savefig(path, dpi=150)


def _ink(value: float) -> str:
    return "white" if value < 55 else "black"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/small_networks"))
    parser.add_argument("--workbook", type=Path, help="a table; generated if not given")
    parser.add_argument("--features", nargs="+", default=FEATURES)
    parser.add_argument("--targets", nargs=2, default=TARGETS)
    parser.add_argument("--starts", type=int, default=10, help="initial values to train from")
    parser.add_argument("--epochs", type=int, default=500)
    parser.add_argument("--rate", type=float, default=2.0, help="divided by the training rows")
    parser.add_argument("--warmup", type=int, default=50, help="epochs before a duplication")
    parser.add_argument("--threshold", type=int, default=10, help="samples in a row in conflict")
    parser.add_argument("--in-order", action="store_true", help="keep the order of the file")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)

    path = options.workbook or write_air_quality(options.out / "air_quality.xlsx", days=1250)
    table = read_table(path, features=options.features, targets=options.targets)
    indices = random_split(len(table.x), seed=options.seed, test=0.2)
    dataset = prepare(table, indices, missing_features="drop", missing_targets="drop")
    data = dataset.splits
    settings = Settings(
        options.epochs, options.rate, options.warmup, options.threshold, not options.in_order
    )
    print(f"{dataset.source}: {len(data.train.x)} training and {len(held_out(data).x)} test rows")
    batches = f"{num_batches(data.train)} in batches of {tenth(data.train)}"
    print(f"{len(data.train.x)} updates an epoch one by one, {batches}")

    keys = jax.random.split(jax.random.key(options.seed), options.starts)
    adaptives = [train_adaptive(data, key, settings) for key in keys]
    results: dict[str, list[Run | Adaptive]] = {
        METHODS[0]: [train_plain(data, key, settings) for key in keys],
        METHODS[1]: [train_plain(data, key, settings, tenth(data.train)) for key in keys],
        METHODS[2]: list(adaptives),
    }
    runs = zip(*results.values(), strict=True)
    living = np.array([all(alive(data, ending(r)) for r in of_start) for of_start in runs])
    for n, adaptive in enumerate(adaptives):
        if living[n] and adaptive.event is not None:
            print_duplication(dataset, adaptive)
            shown = {name: each[n] for name, each in results.items()}
            plot(dataset, shown, adaptive, options.out / "small_networks.png")
            break
    else:
        print("no start with a duplication and all outputs alive; try more --starts")
    if living.any():
        print_errors(dataset, results, living)
    else:
        print("every start ends with a dead output; try more --starts")
    print("\nWrote", *sorted(map(str, options.out.iterdir())))


if __name__ == "__main__":
    jaxmtl.inline_small_loops()
    main()

"""Does a network that has learned the digits 0 to 4 learn other tasks from fewer examples?

The 8 x 8 images of handwritten digits that come with scikit-learn. A small convolutional network
learns to tell 0, 1, 2, 3 and 4 apart; its trunk is carried to two target tasks, telling 5 to 9
apart, and even from odd digits (on images that the source never saw), with 1, 5, 20 and 100
examples a class. Against it: the same network from scratch. All methods start from the same head,
see the same batches and make the same number of updates with Adam at the same rate; all seeds and
all numbers of examples of a method run in one compiled program, vmapped. Every seed draws its own
images for training and for the test. Intervals are 95 % t-intervals over the seeds.

What to expect: here the first convolution carries over, the layers above are made for 0 to 4.
For telling 5 to 9 apart the more they are held to what they were, the worse; parity, which 0 to 4
take part in, gains from them at 5 examples a class and no longer at 100.

At the end, the cycle: source and target trained in turn, the trunk handed to and fro.

    python experiments/transfer_digits.py [--out DIR] [--seeds 10] [--updates 200] [--rounds 3]
        [--shots 1 5 20 100] [--targets ...] [--methods ...]
"""

import argparse
import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
from digit_tasks import LAYERS, Task, make_tasks, network
from jaxtyping import Array, Float, Int, PyTree
from scipy import stats

from jaxmtl.losses import softmax_cross_entropy
from jaxmtl.metrics import accuracy, f1_score, mean_average_precision, precision, recall
from jaxmtl.transfer import (
    cycle,
    discriminative,
    fine_tune,
    gradual_unfreezing,
    linear_probe,
    transfer_parameters,
)

RATE, BATCH, POINTS = 3e-3, 16, 10
TARGETS = ("digits 5-9", "parity")
SCRATCH = "from scratch"
METRICS = ("accuracy", "precision", "recall", "F1", "mAP")
COLOURS = {  # Okabe-Ito
    SCRATCH: "#000000",
    "trunk frozen": "#E69F00",
    "first convolution": "#56B4E9",
    "trunk at full rate": "#CC79A7",
    "trunk at a tenth": "#009E73",
    "discriminative rates": "#0072B2",
    "gradual unfreezing": "#D55E00",
}
MARKS = dict(zip(COLOURS, "os^DvP*", strict=True))


class Result(NamedTuple):
    """Of every seed and number of examples: the learning curve and the metrics at its end."""

    curve: Float[Any, "seeds numbers points"]
    metrics: dict[str, Float[Any, "seeds numbers"]]


class Method(NamedTuple):
    """What is carried from the source, and how the target learns."""

    carried: str | None
    factory: Callable[[Any], optax.GradientTransformation]


def methods(updates: int) -> dict[str, Method]:
    """All methods by name."""
    every = max(1, updates // 8)
    return {
        SCRATCH: Method(None, optax.adam),
        "trunk frozen": Method("trunk", linear_probe("heads")),
        "first convolution": Method(LAYERS[0], optax.adam),
        "trunk at full rate": Method("trunk", optax.adam),
        "trunk at a tenth": Method("trunk", fine_tune("trunk", scale=0.1)),
        "discriminative rates": Method("trunk", discriminative(*LAYERS)),
        "gradual unfreezing": Method("trunk", gradual_unfreezing(*LAYERS, every=every)),
    }


@functools.partial(jax.jit, static_argnames=("factory", "updates"))
def train(
    params: PyTree,
    task: Task,
    shots: Int[Array, " numbers"],
    keys: Array,
    *,
    factory: Callable[[float], optax.GradientTransformation],
    updates: int,
) -> tuple[PyTree, Float[Array, "seeds numbers points rows classes"]]:
    """Trains every seed with every number of examples, from that seed's parameters.

    Args:
        params: one set a seed, traced.
        task: traced.
        shots: examples a class, traced.
        keys: one a seed; the batches of a seed are the same for every method.
        factory: from a rate to an optimizer, static.
        updates: static.

    Returns:
        Parameters (seeds, numbers, ...) and scores of the test images along the way.
    """
    classes = task.pool.shape[1]
    model, tx = network(classes), factory(RATE)
    ends = jnp.asarray(evaluated(updates), jnp.int32)
    starts = jnp.concatenate([jnp.zeros(1, jnp.int32), ends[:-1]])

    def run(params: PyTree, task: Task, key: Array, shots: Array) -> tuple[PyTree, Array]:
        class_key, example_key = jax.random.split(key)
        numbers = jax.random.randint(class_key, (updates, BATCH), 0, classes)
        examples = jax.random.randint(example_key, (updates, BATCH), 0, shots)

        def predict(params: PyTree, x: Array) -> Any:
            return model.apply({"params": params}, x)

        def loss(params: PyTree, x: Array, y: Array) -> Array:
            return softmax_cross_entropy(predict(params, x), y).mean()

        def update(i: Array, state: tuple[PyTree, PyTree]) -> tuple[PyTree, PyTree]:
            params, opt_state = state
            x, y = task.pool[numbers[i], examples[i]], numbers[i]
            steps, opt_state = tx.update(jax.grad(loss)(params, x, y), opt_state, params)
            return optax.apply_updates(params, steps), opt_state

        def stretch(state: Any, ends: tuple[Array, Array]) -> tuple[Any, Array]:
            state = jax.lax.fori_loop(*ends, update, state)
            # A tenth at a time stays in the cache; all at once takes twice as long.
            tenths = task.test_x.reshape(10, -1, *task.test_x.shape[1:])
            scores = jax.lax.map(functools.partial(predict, state[0]), tenths)
            return state, scores.reshape(-1, classes)

        (params, _), scores = jax.lax.scan(stretch, (params, tx.init(params)), (starts, ends))
        return params, scores

    over_shots = jax.vmap(run, in_axes=(None, None, None, 0))
    return jax.vmap(over_shots, in_axes=(0, 0, 0, None))(params, task, keys, shots)


def evaluated(updates: int) -> list[int]:
    """Numbers of updates after which the test accuracy is taken, denser at the start; 0 is one."""
    places = updates * np.linspace(0, 1, POINTS + 1) ** 1.5
    return sorted({round(place) for place in places})


@jax.jit
def measured(scores: Float[Array, "seeds numbers points rows classes"], labels: Array) -> Result:
    """The learning curve, and the metrics at its end; all but accuracy are means over classes."""
    averaged: Any = {"num_classes": scores.shape[-1], "average": "macro"}

    def measure(scores: Array, labels: Array) -> Result:
        predicted = scores.argmax(axis=-1)
        metrics = {
            "accuracy": accuracy(predicted[-1], labels),
            "precision": precision(predicted[-1], labels, **averaged),
            "recall": recall(predicted[-1], labels, **averaged),
            "F1": f1_score(predicted[-1], labels, **averaged),
            "mAP": mean_average_precision(scores[-1], labels),
        }
        curve = jax.vmap(accuracy, in_axes=(0, None))(predicted, labels)
        return Result(curve, metrics)

    return jax.vmap(jax.vmap(measure, in_axes=(0, None)))(scores, labels)


def results_of(scores: Array, task: Task) -> Result:
    """The results as NumPy arrays, the metrics in the order of the table."""
    curve, metrics = jax.tree.map(np.asarray, measured(scores, task.test_y))
    return Result(curve, {name: metrics[name] for name in METRICS})


def interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the seeds (the first axis) and half the width of its 95 % t-interval."""
    n = len(values)
    if n < 2:
        return values.mean(axis=0), np.full(values.shape[1:], np.nan)
    half = stats.t.ppf(0.975, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)
    return values.mean(axis=0), half


def initial(classes: int, keys: Array) -> PyTree:
    """Parameters of every seed."""
    model = network(classes)
    return jax.vmap(lambda key: model.init(key, jnp.zeros((1, 8, 8, 1)))["params"])(keys)


def only(params: PyTree) -> PyTree:
    """Drops the axis of the numbers of examples where there is one number."""
    return jax.tree.map(lambda leaf: leaf[:, 0], params)


def compare(
    tasks: dict[str, Task], source: PyTree, options: argparse.Namespace
) -> dict[tuple[str, str], Result]:
    """Every target and method: its results as NumPy arrays."""
    results: dict[tuple[str, str], Result] = {}
    for t, target in enumerate(TARGETS):
        if target not in options.targets:
            continue
        fresh = initial(tasks[target].pool.shape[1], _keys(options, 2 + t)[0])
        for name, method in methods(options.updates).items():
            if name in options.methods:
                start = fresh
                if method.carried is not None:
                    start = transfer_parameters(source, fresh, method.carried)
                _, scores = train(
                    start,
                    tasks[target],
                    jnp.asarray(options.shots),
                    _keys(options, 2 + t)[1],  # the same batches for every method
                    factory=method.factory,
                    updates=options.updates,
                )
                results[target, name] = results_of(scores, tasks[target])
    return results


def run_cycle(tasks: dict[str, Task], options: argparse.Namespace) -> dict[str, np.ndarray]:
    """Test accuracies (seeds, rounds) of source and target, 20 examples a class each."""
    names = ("source", "digits 5-9")
    stream = {name: 100 * (i + 1) for i, name in enumerate(names)}

    def trainer(name: str) -> Callable[[PyTree, int], tuple[PyTree, np.ndarray]]:
        def run(params: PyTree, number: int) -> tuple[PyTree, np.ndarray]:
            params, scores = train(
                params,
                tasks[name],
                jnp.array([20]),
                _keys(options, stream[name] + number)[1],
                factory=optax.adam,
                updates=options.updates,
            )
            return only(params), results_of(scores, tasks[name]).metrics["accuracy"][:, 0]

        return run

    done = cycle(
        trainer(names[0]),
        trainer(names[1]),
        initial(5, _keys(options, stream[names[0]])[0]),
        initial(5, _keys(options, stream[names[1]])[0]),
        select="trunk",
        rounds=options.rounds,
    )
    records = (done.source_records, done.target_records)
    return {name: np.stack(of, axis=1) for name, of in zip(names, records, strict=True)}


def _keys(options: argparse.Namespace, stream: int) -> tuple[Array, Array]:
    both = jax.random.split(jax.random.fold_in(jax.random.key(options.seed), stream))
    return jax.random.split(both[0], options.seeds), jax.random.split(both[1], options.seeds)


def make_table(results: dict[tuple[str, str], Result], shots: Sequence[int]) -> pd.DataFrame:
    """One row a target, number of examples and method."""
    rows = []
    for (target, name), result in results.items():
        scratch = results.get((target, SCRATCH))
        for i, number in enumerate(shots):
            row: dict[str, Any] = {"target": target, "examples a class": number, "method": name}
            for metric, values in result.metrics.items():
                mean, half = interval(values[:, i])
                row |= {metric: mean} | ({f"{metric} ±": half} if metric == "accuracy" else {})
            if scratch is not None and name != SCRATCH:
                gain = result.metrics["accuracy"] - scratch.metrics["accuracy"]
                row["gain"], row["gain ±"] = interval(gain[:, i])
            rows.append(row)
    table = pd.DataFrame(rows)
    return table.sort_values(["target", "examples a class"], kind="stable", ignore_index=True)


def plot_examples(results: dict[tuple[str, str], Result], shots: Sequence[int], path: Path) -> None:
    """Accuracy against the number of examples."""
    import matplotlib.pyplot as plt

    targets = list(dict.fromkeys(target for target, _ in results))
    figure, axes = plt.subplots(1, len(targets), figsize=(10, 4.6), layout="constrained")
    for ax, target in zip(np.atleast_1d(axes), targets, strict=True):
        chosen = [name for t, name in results if t == target]
        for j, name in enumerate(chosen):
            mean, half = interval(results[target, name].metrics["accuracy"])
            beside = np.asarray(shots) * 1.04 ** (j - len(chosen) / 2)
            ax.errorbar(
                beside, 100 * mean, 100 * half, color=COLOURS[name], marker=MARKS[name], label=name
            )
        ax.set(xscale="log", xlabel="examples a class", ylabel="test accuracy (%)", title=target)
        ax.set_xticks(shots, [str(number) for number in shots])
        ax.minorticks_off()
        ax.grid(alpha=0.3)
    np.atleast_1d(axes)[0].legend(frameon=False)
    figure.suptitle("Source: digits 0-4. Mean and 95 % interval over the seeds")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def plot_curves(
    results: dict[tuple[str, str], Result], shots: Sequence[int], updates: int, path: Path
) -> None:
    """Learning curves: one panel a target and number of examples."""
    import matplotlib.pyplot as plt

    targets = list(dict.fromkeys(target for target, _ in results))
    size = (1 + 3 * len(shots), 1 + 2.7 * len(targets))
    figure, axes = plt.subplots(
        len(targets),
        len(shots),
        figsize=size,
        sharex=True,
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for (target, name), result in results.items():
        for i, number in enumerate(shots):
            ax = axes[targets.index(target), i]
            mean, half = interval(100 * result.curve[:, i])
            ax.plot(evaluated(updates), mean, color=COLOURS[name], label=name)
            ax.fill_between(
                evaluated(updates), mean - half, mean + half, color=COLOURS[name], alpha=0.15, lw=0
            )
            plural = "example" if number == 1 else "examples"
            ax.set(title=f"{target}, {number} {plural} a class")
            ax.grid(alpha=0.3)
    for ax in axes[-1]:
        ax.set_xlabel(f"updates of {BATCH} images")
    for ax in axes[:, 0]:
        ax.set_ylabel("test accuracy (%)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2 * len(shots), frameon=False)
    figure.suptitle("Learning curves. Mean and 95 % interval over the seeds")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/transfer_digits"), help="folder")
    parser.add_argument("--seeds", type=int, default=10, help="seeds, in one vmapped program")
    parser.add_argument("--updates", type=int, default=200, help="updates of every target run")
    parser.add_argument("--source-updates", type=int, default=500, help="updates of the source")
    parser.add_argument("--rounds", type=int, default=3, help="of the cycle; 0 for none")
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 5, 20, 100], metavar="N")
    parser.add_argument("--targets", nargs="+", default=list(TARGETS), choices=TARGETS)
    parser.add_argument("--methods", nargs="+", default=list(COLOURS), choices=list(COLOURS))
    parser.add_argument("--seed", type=int, default=0, help="of everything drawn")
    options = parser.parse_args(arguments)
    if not all(1 <= number <= 100 for number in options.shots):
        parser.error("--shots: expected 1 to 100 examples a class")
    began = time.perf_counter()
    options.out.mkdir(parents=True, exist_ok=True)

    tasks = make_tasks(options.seeds, options.seed)
    init_keys, batch_keys = _keys(options, 1)
    source, scores = train(
        initial(5, init_keys),
        tasks["source"],
        jnp.array([100]),
        batch_keys,
        factory=optax.adam,
        updates=options.source_updates,
    )
    found = results_of(scores, tasks["source"]).metrics["accuracy"][:, 0]
    mean, half = interval(found)
    print(f"Source, digits 0-4, 100 examples a class: accuracy {mean:.3f} ± {half:.3f}\n")

    results = compare(tasks, only(source), options)
    table = make_table(results, options.shots)
    files = [options.out / name for name in ("table.csv", "examples.png", "curves.png")]
    table.to_csv(files[0], index=False)
    print(table.to_string(index=False, float_format="{:.3f}".format, na_rep=""))
    print("\n±: half of the 95 % interval; gain: accuracy over that from scratch, seed by seed")
    plot_examples(results, options.shots, files[1])
    plot_curves(results, options.shots, options.updates, files[2])
    if options.rounds:
        print("\nThe cycle, 20 examples a class on either side, test accuracy after each round")
        for name, values in run_cycle(tasks, options).items():
            mean, half = interval(values)
            cells = "  ".join(f"{m:.3f} ± {h:.3f}" for m, h in zip(mean, half, strict=True))
            print(f"  {name:12}{cells}")
    print(f"\n{time.perf_counter() - began:.0f} s. Wrote", *files)


if __name__ == "__main__":
    main()

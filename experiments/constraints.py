"""Constraints on a network of two tasks: none, hard, soft, by multipliers; and ties between tasks.

1. The reference case: x 32 x 10 -> 50 shared ReLUs -> two linear heads, output 2 is to be >= 0.85;
   penalty 10 * mean(relu(0.85 - y)^2), Adam 1e-3, 100 epochs.
2. Accuracy against violation: a third of the labels of task 2 lies below the 0.85 that its output
   must not fall below. No constraint, hard ones (with the projection's own gradient and straight
   through), soft ones over their strength, and an augmented Lagrangian.
3. Epsilon-constraint: task 1 is made as good as it can be while task 2 is no worse than a bound,
   over a range of bounds, beside a sweep of loss weights. The tasks share one node, and want to
   look through it in orthogonal directions.
4. Soft parameter sharing: one network a task, tied by L2 or the trace norm, over the strength.

All numbers are means over seeds; each seed draws its own data and initial values, and all seeds and
strengths of a method train in one vmapped program.

    python experiments/constraints.py [--out DIR] [--seeds 8] [--epochs 200] [--rows 256]
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmtl import HardSharing, Rows, Splits
from jaxmtl.constraints import (
    AugmentedLagrangian,
    Box,
    EpsilonConstraint,
    OutputBound,
    QuadraticPenalty,
    SoftBound,
)
from jaxmtl.constraints.soft_sharing import Tie
from jaxmtl.models.constrained import Constrained
from jaxmtl.models.soft_sharing import SoftSharing
from jaxmtl.training.constrained import fit_constrained

BOUND = 0.85
TOLERANCE = 0.005  # an excess that still counts as none, in the unit of output 2
STRENGTHS = (0.1, 1.0, 10.0, 100.0)
NETWORK = HardSharing(
    shared=(),
    nodes=50,
    capacity=50,
    activation="relu",
    output_activation=None,
    initializer="glorot_uniform",
)
NARROW = HardSharing(shared=(), nodes=1, capacity=1, activation="tanh", output_activation=None)
FLOOR = OutputBound(1, lower=BOUND)
FREE = QuadraticPenalty(strength=0.0)
TIED: tuple[tuple[Tie, tuple[float, ...]], ...] = (
    ("l2", (0.01, 0.1, 1.0)),
    ("trace_norm", (0.01, 0.1)),
)
BLUE, ORANGE, GREEN, PINK, VERMILION, SKY = (  # Okabe-Ito
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#D55E00",
    "#56B4E9",
)


class Result(NamedTuple):
    """A method after training: one entry a seed, and violation by epoch.

    Attributes:
        rmse: test error of each task, (seeds, 2).
        rate: share of rows below the bound, training and test, (seeds, 2).
        size: mean shortfall over test rows, (seeds,).
        worst: largest shortfall of a test row, (seeds,).
        by_epoch: mean shortfall over training rows, mean over seeds, (epochs,).
    """

    rmse: np.ndarray
    rate: np.ndarray
    size: np.ndarray
    worst: np.ndarray
    by_epoch: np.ndarray


def reference_data(key: jax.Array) -> Splits:
    """32 rows of noise: normal features, labels in [0, 1]."""
    x_key, y_key = jax.random.split(key)
    x = jax.random.normal(x_key, (32, 10))
    return Splits(Rows(x, jax.random.uniform(y_key, (32, 2))))


def floor_data(key: jax.Array, rows: int) -> Splits:
    """Two smooth functions of ten features; a third of task 2's labels is below the bound."""
    x_key, w_key, noise_key = jax.random.split(key, 3)
    x = jax.random.normal(x_key, (3 * rows, 10))
    w = jax.random.normal(w_key, (10, 3)) / jnp.sqrt(10.0)
    z = jnp.tanh(x @ w)
    y = jnp.stack([z[:, 0] + z[:, 1], 1.0 + 0.4 * (z[:, 1] + z[:, 2])], axis=1)
    y += 0.1 * jax.random.normal(noise_key, y.shape)
    return Splits(Rows(x[:rows], y[:rows]), test=Rows(x[rows:], y[rows:]))


def rival_data(key: jax.Array, rows: int) -> Splits:
    """Two tasks that look in orthogonal directions, for a network that can look in one."""
    x_key, w_key = jax.random.split(key)
    x = jax.random.normal(x_key, (rows, 4))
    directions = jnp.linalg.qr(jax.random.normal(w_key, (4, 2)))[0]
    return Splits(Rows(x, jnp.tanh(x @ directions)))


def related_data(key: jax.Array, rows: int = 40) -> Splits:
    """Two tasks whose functions are alike but not equal; few noisy rows to learn them from."""
    x_key, w_key, noise_key = jax.random.split(key, 3)
    x = jax.random.normal(x_key, (rows + 500, 10))
    w = jax.random.normal(w_key, (10, 3)) / jnp.sqrt(10.0)
    z = jnp.tanh(x @ w)
    y = jnp.stack([z[:, 0] + 0.3 * z[:, 1], z[:, 0] + 0.3 * z[:, 2]], axis=1)
    noisy = y + 0.4 * jax.random.normal(noise_key, y.shape)
    return Splits(Rows(x[:rows], noisy[:rows]), test=Rows(x[rows:], y[rows:]))


class Start(NamedTuple):
    """What every method of a comparison starts from, one entry a seed.

    Drawn once a comparison: compiling random draws takes longer than training.
    """

    data: Splits
    params: Any
    key: jax.Array


def starts(network: Any, draw_data: Any, seeds: int) -> Start:
    """Data and initial values of every seed."""

    def draw(seed: jax.Array) -> Start:
        data_key, init_key, run_key = jax.random.split(jax.random.key(seed), 3)
        data = draw_data(data_key)
        return Start(data, network.init(init_key, data.train.x[:1])["params"], run_key)

    return jax.jit(jax.vmap(draw))(jnp.arange(seeds))


def train_all(
    network: Any, start: Start, constraint: Any, methods: Any, weights: Any = None, **options: Any
) -> Any:
    """Histories of one vmapped program, with leaves (methods, seeds, ...).

    Args:
        network: a flax.linen network.
        start: of every seed.
        constraint: one a method, or one for all.
        methods: with leaves (methods,).
        weights: of the tasks' losses, (methods, tasks); None for 1.
        options: see ``fit_constrained``.
    """
    several = 0 if isinstance(constraint, EpsilonConstraint) else None

    def train(start: Start, constraint: Any, method: Any, weights: Any) -> Any:
        return fit_constrained(
            network,
            start.data,
            constraint,
            method=method,
            params=start.params,
            key=start.key,
            task_weights=weights,
            **options,
        ).history

    by_seed = jax.vmap(train, in_axes=(0, None, None, None))
    by_method = jax.vmap(by_seed, in_axes=(None, several, 0, None if weights is None else 0))
    return jax.tree.map(np.asarray, jax.jit(by_method)(start, constraint, methods, weights))


def compare_reference(seeds: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Training errors (seeds, 2) and shortfalls (seeds,) of the reference case."""
    strengths = (0.0, 10.0)
    history = train_all(
        NETWORK,
        starts(NETWORK, reference_data, seeds),
        FLOOR,
        QuadraticPenalty(strength=jnp.array(strengths)),
        epochs=100,
        learning_rate=1e-3,
    )
    return {
        f"lambda {strength:g}": (history.train[i, :, -1], history.violation.size[i, :, -1, 0])
        for i, strength in enumerate(strengths)
    }


def compare_constraints(seeds: int, epochs: int, rows: int) -> dict[str, Result]:
    """Every method on the same data and from the same initial values."""
    pulled = SoftBound(lower=BOUND, strength=1.0)
    box = (None, Box(lower=BOUND))
    networks = {
        "hard": Constrained(NETWORK, hard=box),
        "hard, straight-through": Constrained(NETWORK, hard=box, gradient="straight_through"),
        "hard + soft, lambda 1": Constrained(NETWORK, hard=box, soft=(None, pulled)),
    }
    start = starts(NETWORK, lambda key: floor_data(key, rows), seeds)

    def train(network: Any, methods: Any) -> Any:
        return train_all(
            network,
            start,
            FLOOR,
            methods,
            epochs=epochs,
            learning_rate=3e-3,
            batch_size=64,
            update_every=2,
            tolerance=TOLERANCE,
        )

    soft = train(NETWORK, QuadraticPenalty(strength=jnp.array([0.0, *STRENGTHS])))
    names = ["none", *(f"soft, lambda {strength:g}" for strength in STRENGTHS)]
    results = {name: _result(soft, i) for i, name in enumerate(names)}
    multipliers = AugmentedLagrangian(penalty=1.0, growth=1.5, max_penalty=100.0)
    results["augmented Lagrangian"] = _result(train(NETWORK, stacked(multipliers)), 0)
    for name, network in networks.items():
        results[name] = _result(train(network, stacked(FREE)), 0)
    return results


def stacked(method: Any, times: int = 1) -> Any:
    """A method with a leading axis of equal ones."""
    return jax.tree.map(lambda leaf: jnp.full(times, leaf), method)


def _result(history: Any, i: int) -> Result:
    history = jax.tree.map(lambda leaf: leaf[i], history)
    inside, outside = history.violation, history.test_violation
    return Result(
        rmse=np.sqrt(history.test[:, -1]),
        rate=np.stack([inside.rate[:, -1, 0], outside.rate[:, -1, 0]], axis=1),
        size=outside.size[:, -1, 0],
        worst=outside.worst[:, -1, 0],
        by_epoch=inside.size[:, :, 0].mean(axis=0),
    )


class Fronts(NamedTuple):
    """Mean training errors of both tasks, (points, 2), means over seeds.

    Attributes:
        bounds: of task 2, (points,).
        bounded: errors under each bound.
        prices: multiplier of each bound, (points,).
        weights: of task 1, (points,).
        weighted: errors under each weight.
    """

    bounds: np.ndarray
    bounded: np.ndarray
    prices: np.ndarray
    weights: np.ndarray
    weighted: np.ndarray


def compare_tasks(seeds: int, epochs: int, rows: int) -> Fronts:
    """Epsilon-constraint over bounds, and weighted sums of losses."""
    bounds, weights = jnp.linspace(0.05, 0.35, 7), jnp.linspace(0.2, 0.8, 7)
    start = starts(NARROW, lambda key: rival_data(key, rows), seeds)
    options: dict[str, Any] = {"epochs": epochs, "learning_rate": 2e-2, "update_every": 20}
    epsilon = EpsilonConstraint((None, bounds))
    method = AugmentedLagrangian(penalty=2.0, growth=1.5, max_penalty=20.0)
    free_tasks = jnp.tile(jnp.array([epsilon.task_weights]), (len(bounds), 1))
    methods = stacked(method, len(bounds))
    by_bound = train_all(NARROW, start, _each(epsilon), methods, free_tasks, **options)
    both = jnp.stack([weights, 1 - weights], axis=1)
    methods = stacked(FREE, len(weights))
    by_weight = train_all(NARROW, start, FLOOR, methods, both, **options)
    return Fronts(
        bounds=np.asarray(bounds),
        bounded=by_bound.train[:, :, -1].mean(axis=1),
        prices=by_bound.multiplier[:, :, -1, 0].mean(axis=1),
        weights=np.asarray(weights),
        weighted=by_weight.train[:, :, -1].mean(axis=1),
    )


def _each(epsilon: EpsilonConstraint) -> EpsilonConstraint:
    """One constraint a bound: the numbers of its own method, which is not used, are repeated."""
    times = len(next(bound for bound in epsilon.bounds if bound is not None))
    return EpsilonConstraint(epsilon.bounds, stacked(epsilon.method, times))


def compare_sharing(seeds: int, epochs: int) -> dict[str, np.ndarray]:
    """Test RMSE (seeds, 2) of ties of several strengths, and of one trunk for both tasks."""
    hidden = (16,)
    options: dict[str, Any] = {"activation": "tanh", "output_activation": None}
    apart = SoftSharing(hidden, strength=0.0, **options)
    one_trunk = HardSharing(shared=(), nodes=16, capacity=16, **options)
    networks = {"none": apart} | {
        f"{tie.replace('_', ' ')} {strength:g}": SoftSharing(
            hidden, tie=tie, strength=strength, **options
        )
        for tie, strengths in TIED
        for strength in strengths
    }
    # The strength is no parameter, so all ties start alike.
    tied, shared = (starts(network, related_data, seeds) for network in (apart, one_trunk))

    def train(network: Any, start: Start) -> np.ndarray:
        history = train_all(network, start, FLOOR, stacked(FREE), epochs=epochs, learning_rate=1e-2)
        return np.sqrt(history.test[0, :, -1])

    results = {name: train(network, tied) for name, network in networks.items()}
    return results | {"hard sharing": train(one_trunk, shared)}


def spread(values: np.ndarray, digits: int = 3) -> str:
    """Mean and standard deviation over seeds."""
    deviation = values.std(ddof=1) if len(values) > 1 else float("nan")
    return f"{values.mean():.{digits}f} ± {deviation:.{digits}f}"


def report(
    reference: dict[str, tuple[np.ndarray, np.ndarray]],
    results: dict[str, Result],
    fronts: Fronts,
    sharing: dict[str, np.ndarray],
) -> None:
    print("\n1. Reference case: mean squared errors on its 32 rows, and mean shortfall of output 2")
    for name, (errors, short) in reference.items():
        print(
            f"  {name:12}task 1 {spread(errors[:, 0])}   task 2 {spread(errors[:, 1])}   "
            f"shortfall {spread(short)}"
        )
    print(f"\n2. Output 2 >= {BOUND}: test rows (violated: short by more than {TOLERANCE})")
    print(
        f"  {'method':24}{'RMSE task 1':>16}{'RMSE task 2':>16}"
        f"{'violated, train':>17}{'violated, test':>16}{'shortfall':>17}{'worst':>8}"
    )
    for name, r in results.items():
        train, test = 100 * r.rate.mean(axis=0)
        print(
            f"  {name:24}{spread(r.rmse[:, 0]):>16}{spread(r.rmse[:, 1]):>16}"
            f"{train:>15.1f} %{test:>14.1f} %{spread(r.size, 4):>17}{r.worst.mean():>8.3f}"
        )
    print("\n3. Epsilon-constraint: task 2 no worse than b (mean squared errors, training rows)")
    print("      b    task 1   task 2   price of b     |  weight of task 1   task 1   task 2")
    for b, (one, two), price, weight, (first, second) in zip(*fronts, strict=True):
        print(
            f"  {b:5.2f}{one:10.4f}{two:9.4f}{price:13.3f}     |  "
            f"{weight:16.2f}{first:9.4f}{second:9.4f}"
        )
    print("\n4. Soft parameter sharing: RMSE on test rows, 40 rows to learn from")
    for name, rmse in sharing.items():
        print(f"  {name:18}task 1 {spread(rmse[:, 0])}   task 2 {spread(rmse[:, 1])}")


def draw(results: dict[str, Result], fronts: Fronts, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14.0, 4.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    looks = {
        "none": (VERMILION, "X"),
        "hard": (BLUE, "s"),
        "hard, straight-through": (SKY, "D"),
        "hard + soft, lambda 1": (ORANGE, "P"),
        "augmented Lagrangian": (GREEN, "o"),
    }
    soft = [r for name, r in results.items() if name.startswith("soft")]
    sizes, errors = [r.size.mean() for r in soft], [r.rmse[:, 1].mean() for r in soft]
    left.plot(sizes, errors, color=PINK, marker="^", label="soft, over λ", zorder=2)
    for size, error, strength in zip(sizes, errors, STRENGTHS, strict=True):
        left.annotate(
            f"λ = {strength:g}", (size, error), xytext=(0, 8), textcoords="offset points", size=8
        )
    for name, (colour, marker) in looks.items():
        r = results[name]
        left.plot(
            r.size.mean(),
            r.rmse[:, 1].mean(),
            marker,
            color=colour,
            markersize=8,
            label=name,
            zorder=3,
        )
    left.set(
        title=f"Accuracy against violation of output 2 ≥ {BOUND}",
        xlabel="mean shortfall on test rows (unit of output 2)",
        ylabel="RMSE of task 2 on test rows (its unit)",
    )
    left.margins(x=0.1)
    left.legend(fontsize=8)
    shown = {name: results[name] for name in ("none", "augmented Lagrangian")}
    shown |= {name: r for name, r in results.items() if name.startswith("soft")}
    shades = dict(zip(shown, (VERMILION, GREEN, ORANGE, PINK, SKY, BLUE), strict=True))
    for name, r in shown.items():
        wide = 2.0 if name == "augmented Lagrangian" else 1.2
        epochs = np.arange(1, len(r.by_epoch) + 1)
        middle.semilogy(epochs, r.by_epoch, color=shades[name], label=name, lw=wide)
    middle.set(
        title="Violation while training (hard ones: 0)",
        xlabel="epoch",
        ylabel="mean shortfall on training rows (unit of output 2)",
    )
    middle.set_ylim(top=9)
    middle.legend(fontsize=8, ncols=2, loc="upper right")
    right.plot(*fronts.bounded.T, "o-", color=GREEN, label="task 2 no worse than b")
    right.plot(*fronts.weighted.T, "s", color=BLUE, label="weighted sum of losses")
    for bound in fronts.bounds:
        label = "the bounds b" if bound == fronts.bounds[0] else None
        right.axhline(bound, color="#999999", lw=0.7, ls=":", zorder=0, label=label)
    right.set(
        title="Two tasks on one shared node",
        xlabel="mean squared error of task 1",
        ylabel="mean squared error of task 2",
    )
    right.legend(fontsize=8)
    figure.savefig(path, dpi=150)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/constraints"), help="folder")
    parser.add_argument("--seeds", type=int, default=8, help="runs of every method")
    parser.add_argument("--epochs", type=int, default=200, help="of comparison 2; the others scale")
    parser.add_argument("--rows", type=int, default=256, help="training rows")
    options = parser.parse_args(arguments)
    reference = compare_reference(options.seeds)
    results = compare_constraints(options.seeds, options.epochs, options.rows)
    fronts = compare_tasks(options.seeds, 4 * options.epochs, options.rows)
    sharing = compare_sharing(options.seeds, options.epochs)
    report(reference, results, fronts, sharing)
    options.out.mkdir(parents=True, exist_ok=True)
    draw(results, fronts, options.out / "constraints.png")
    print("\nWrote", options.out / "constraints.png")


if __name__ == "__main__":
    main()

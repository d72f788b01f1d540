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
from constraints_report import BOUND, STRENGTHS, TOLERANCE, Fronts, Result, draw, print_tables

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
    print_tables(reference, results, fronts, sharing)
    options.out.mkdir(parents=True, exist_ok=True)
    draw(results, fronts, options.out / "constraints.png")
    print("\nWrote", options.out / "constraints.png")


if __name__ == "__main__":
    main()

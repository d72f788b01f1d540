"""Errors at equal time of steps that spare backward passes, against the method inside.

    python experiments/cheaper_steps_quality.py
    python experiments/cheaper_steps_quality.py --inner mgda --seeds 20 --budget 1500

Three problems of eight tasks on ten inputs with 256 noisy training rows: tasks that share a basis
("alike"), tasks of which half are the negative of the other half plus something of their own
("opposed"), and tasks that are alike with losses that differ by a factor of a thousand ("scales").
A network 10-32-32-8 (tanh) takes steps of Adam on batches of 32; ``cyclic``, whose direction is
Adam's already, plain ones at the same rate.

Time is counted in steps on the summed loss: a forward pass is a third of one, a backward pass two
thirds, a forward derivative two thirds. So all gradients of T tasks take (1 + 2 T) / 3. What
methods take beside passes is left out; `benchmarks/cheaper_steps.py` measures whole steps.

The error is the mean over tasks of the test error over that of the mean prediction. "at equal
steps" all have taken as many steps as the method inside has time for; "at equal time" each as many
as it has time for itself. Differences are over the method inside, in percent: geometric mean over
seeds, with the 95 % interval of a paired t-test of the logarithms.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy import stats

import jaxmtl.aggregation as ag

TASKS, INPUTS, ROWS, TEST, BATCH, WIDTH = 8, 10, 256, 2000, 32, 32
RATE, EVERY, REFRESH, EARLY = 3e-3, 8, 32, 64
ALL = (1 + 2 * TASKS) / 3
Params = list[tuple[jax.Array, jax.Array]]
Batch = tuple[jax.Array, jax.Array]


class Way(NamedTuple):
    """A way to step: how it is made, and how many steps a time pays for."""

    make: Callable[[], ag.AggregatedStep]
    steps: Callable[[float], float]


def ways(inner: str) -> dict[str, Way]:
    """The method inside first."""

    def loss_fn(params: Params, batch: Batch, scales: jax.Array) -> jax.Array:
        return scales * ((predict(params, batch[0]) - batch[1]) ** 2).mean(axis=0)

    adam, method = optax.adam(RATE), ag.make(inner)

    def rows(wrapped: Any, optimizer: Any = adam) -> Callable[[], ag.AggregatedStep]:
        return lambda: ag.aggregated_step(loss_fn, wrapped, optimizer)

    def at(cost: float) -> Callable[[float], float]:
        return lambda budget: budget / cost

    return {
        inner: Way(rows(method), at(ALL)),
        "summed loss": Way(lambda: ag.scalarized_step(loss_fn, ag.equal(), adam), at(1)),
        f"every({EVERY})": Way(rows(ag.every(EVERY, method)), at((ALL + EVERY - 1) / EVERY)),
        "cyclic": Way(rows(ag.cyclic(method), optax.sgd(RATE)), at(1)),
        "gram_product": Way(
            lambda: ag.gram_product_step(loss_fn, ag.ProductMethod(), adam), at(5 / 3)
        ),
        "sharpness": Way(lambda: ag.sharpness_step(loss_fn, method, adam), at((5 + 3 * TASKS) / 3)),
        f"fixed_weights_from({EARLY})": Way(
            rows(ag.fixed_weights_from(method, EARLY)),
            lambda budget: min(budget / ALL, EARLY) + max(budget - EARLY * ALL, 0),
        ),
        "colour_schedule": Way(
            rows(ag.colour_schedule(refresh=REFRESH)), at((ALL + REFRESH - 1) / REFRESH)
        ),
    }


def predict(params: Params, x: jax.Array) -> jax.Array:
    for kernel, bias in params[:-1]:
        x = jnp.tanh(x @ kernel + bias[None])
    return x @ params[-1][0] + params[-1][1][None]


class Problem(NamedTuple):
    """What tells problems apart.

    Attributes:
        own: share of what a task has to itself.
        opposed: whether half of the tasks are the negative of the other half.
        scales: factors of the losses.
    """

    own: float
    opposed: bool
    scales: np.ndarray


PROBLEMS = {
    "alike": Problem(0.3, opposed=False, scales=np.ones(TASKS)),
    "opposed": Problem(0.6, opposed=True, scales=np.ones(TASKS)),
    "scales": Problem(0.3, opposed=False, scales=np.logspace(-1.5, 1.5, TASKS)),
}


def draw(problem: Problem, key: jax.Array) -> tuple[Params, Batch, Batch]:
    """Where a seed starts, its training rows and its test rows."""
    of_params, of_basis, of_own, of_mix, of_x, of_noise = jax.random.split(key, 6)
    sizes = (INPUTS, WIDTH, WIDTH, TASKS)
    pairs = zip(jax.random.split(of_params, 3), sizes[:-1], sizes[1:], strict=True)
    params = [(jax.random.normal(k, (a, b)) / a**0.5, jnp.zeros(b)) for k, a, b in pairs]
    basis = jax.random.normal(of_basis, (INPUTS, 6)) / INPUTS**0.5
    mix = jax.random.normal(of_mix, (6, TASKS))
    own = jax.random.normal(of_own, (INPUTS, TASKS)) / INPUTS**0.5
    half = mix[:, : TASKS // 2]
    mix = jnp.where(problem.opposed, jnp.concatenate([half, -half], axis=1), mix)
    x = jax.random.normal(of_x, (ROWS + TEST, INPUTS))
    y = jnp.sin(2 * x @ basis) @ mix + problem.own * jnp.sin(3 * x @ own)
    y = (y - y.mean(axis=0)[None]) / y.std(axis=0)[None]
    seen = y[:ROWS] + 0.3 * jax.random.normal(of_noise, (ROWS, TASKS))
    return params, (x[:ROWS], seen), (x[ROWS:], y[ROWS:])


def run(way: Way, problems: Sequence[str], seeds: int, checkpoints: tuple[int, int]) -> np.ndarray:
    """Test errors (problems, seeds, 2) after so many steps."""
    made = way.make()
    order = np.argsort(checkpoints)
    bounds = jnp.array([0, *sorted(checkpoints)])

    def of_one(case: tuple[Problem, jax.Array]) -> jax.Array:
        problem, seed = case
        of_start, of_rows, of_method = jax.random.split(jax.random.key(seed), 3)
        params, train, test = draw(problem, of_start)
        first = jax.tree.map(lambda leaf: leaf[:BATCH], train)
        state = made.init(params, first, problem.scales, key=of_method)

        def body(number: jax.Array, carry: Any) -> Any:
            rows = jax.random.randint(jax.random.fold_in(of_rows, number), (BATCH,), 0, ROWS)
            batch = jax.tree.map(lambda leaf: leaf[rows], train)
            return made.step(*carry, batch, problem.scales)[:2]

        def until(carry: Any, ends: tuple[jax.Array, jax.Array]) -> Any:
            carry = jax.lax.fori_loop(*ends, body, carry)
            off = ((predict(carry[0], test[0]) - test[1]) ** 2).mean(axis=0)
            return carry, (off / test[1].var(axis=0)).mean()

        return jax.lax.scan(until, (params, state), (bounds[:-1], bounds[1:]))[1]

    stacked = jax.tree.map(
        lambda *each: jnp.repeat(jnp.asarray(np.stack(each)), seeds, 0),
        *(PROBLEMS[name] for name in problems),
    )
    cases = stacked, jnp.tile(jnp.arange(seeds), len(problems))
    # Cases one after the other: side by side, every step would take both branches.
    found = np.asarray(jax.jit(lambda cases: jax.lax.map(of_one, cases))(cases))
    return found[:, np.argsort(order)].reshape(len(problems), seeds, 2)


def percent(errors: np.ndarray, reference: np.ndarray) -> str:
    """The difference of two columns of errors in percent, with its interval."""
    logs = np.log(errors / reference)
    half = stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / len(logs) ** 0.5
    mean, low, high = (100 * (np.exp(v) - 1) for v in (logs.mean(), *(logs.mean() + [-half, half])))
    return f"{mean:+7.1f} ({low:+.1f} to {high:+.1f})"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS), choices=list(PROBLEMS))
    parser.add_argument("--inner", default="mgda", help="the aggregator inside")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument(
        "--budget", type=int, default=3000, help="time, in steps on the summed loss"
    )
    options = parser.parse_args(argv)
    began, equal = time.perf_counter(), int(options.budget / ALL)
    found, steps = {}, {}
    for name, way in ways(options.inner).items():
        steps[name] = int(way.steps(options.budget))
        found[name] = run(way, options.problems, options.seeds, (equal, steps[name]))
        print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    for at, problem in enumerate(options.problems):
        print(
            f"\n{problem}, {TASKS} tasks, {options.seeds} seeds, time of {options.budget} steps on "
            f"the summed loss\n{'':24}{'steps':>7}{'error':>8}{f'% at {equal} steps':>28}"
            f"{'% at equal time':>28}"
        )
        for name, errors in found.items():
            of = [percent(errors[at, :, k], found[options.inner][at, :, k]) for k in (0, 1)]
            parts = "" if name == options.inner else "".join(f"{part:>28}" for part in of)
            print(f"  {name:22}{steps[name]:>7}{errors[at, :, 1].mean():>8.3f}{parts}", flush=True)


if __name__ == "__main__":
    main()

"""Two tasks in the plane: which methods reach the Pareto front, and from where.

The toy problem of Liu et al. (2021, CAGrad), as in Navon et al. (2022, Nash-MTL), where the first
loss is ten times smaller. With c1 = max(tanh(x2 / 2), 0) and c2 = max(tanh(-x2 / 2), 0)

    loss 1 = 0.1 (c1 f1 + c2 q1)             loss 2 = c1 f2 + c2 q2
    f1 = log max(|u1|, 5e-6) + 6             u1 = (-x1 - 7) / 2 - tanh(-x2)
    f2 = log max(|u2|, 5e-6) + 6             u2 = (-x1 + 3) / 2 + tanh(-x2) + 2
    q1 = ((x1 - 7)^2 + (x2 + 8)^2 / 10) / 10 - 20,   q2 the same with x1 + 7

Above x2 = 0 each loss has a narrow valley with steep walls, where u is 0; below are two bowls, and
the front between them. Every method of the library starts from five points as in the paper, with
Adam, learning rate 1e-3, for 35 000 steps: all in one compiled program. In the valleys Adam jumps
from wall to wall and the last digits decide where it gets out, so each run is repeated from points
that are displaced by 1e-4.

    python experiments/toy_problem.py [--out DIR] [--steps 35000] [--methods mgda nash_mtl ...]

What it found with the default settings:

- From everywhere to the front: MGDA, IMTL-G, Aligned-MTL, Nash-MTL, FairGrad, PCD, MoCo and DB-MTL
  (the last two wobble about it). CR-MOGM is late from (-8.5, 7.5), where the MGDA inside is not.
- The start (9, 9) tells these nine from the others, none of which gets there in time: they are in
  the second task's valley. With four times the steps PCGrad, CAGrad, ConFIG, UPGrad and DualProj
  come out of it; weighted sums, fixed (equal) or moving (uncertainty, DWA, random, FAMO), do not.
- Out of the first task's valley, from (-8.5, 7.5), equal weights come or do not come in time by
  chance: 2 or 3 of 8 runs. Methods that divide by the losses or take their logarithms (uncertainty,
  geometric mean, IMTL-L, FAMO) stay in it.
- Equal weights end at one point of the front wherever they start, close to the best of the second
  task, whose loss is ten times larger; Nash-MTL ends at points spread along the front. PCD always
  ends where the second loss is least: it keeps asking for progress on the auxiliary task.
- The masks stop where the tasks disagree on a coordinate, mostly before the front. PBI follows its
  ray, on which both losses are equally far above their bounds, too slowly.
- Mean, sum, constant, linear, equal and Recon are one method here, as Adam undoes their scale.
"""

import argparse
import csv
import functools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from toy_picture import draw

import jaxmtl
import jaxmtl.aggregation as ag

SCALES = (0.1, 1.0)
FLOOR = 5e-6
# Losses never fall to it. Methods see losses above it, as many take logarithms or quotients of
# them; that leaves all gradients as they are.
BOUND = tuple(-20 * scale for scale in SCALES)
STARTS = ((-8.5, 7.5), (0.0, 0.0), (9.0, 9.0), (-7.5, -0.5), (9.0, -1.0))
LEARNING_RATE = 1e-3
DISPLACEMENT = 1e-4
RECORDS = 500  # points kept of a path, at most

MORE_TASKS = ("krum", "trimmed_mean")  # leave out extremes: not defined for two gradients
BATCHES = ("modo", "sdmgrad")  # want two further batches, which are this toy once more
METHODS = tuple(name for name in [*ag.REGISTRY, *ag.LOSS_METHODS] if name not in MORE_TASKS)
DRAWN = (
    *("equal", "rlw", "uncertainty", "stch", "famo"),
    *("mgda", "pcgrad", "graddrop", "cagrad", "imtl_g"),
    *("aligned_mtl", "nash_mtl", "config", "upgrad", "db_mtl"),
)


class Front(NamedTuple):
    """Points of the Pareto front in order, x (points, 2), and their losses (points, 2)."""

    x: np.ndarray
    losses: np.ndarray


class Outcome(NamedTuple):
    """What became of a method's runs.

    Attributes:
        path: of the runs from the very starts, (records, starts, 2).
        x: last points, (starts, repeats, 2); repeat 0 is from the very start.
        losses: there, (starts, repeats, 2).
        distance: from there to the front, (starts, repeats).
    """

    path: np.ndarray
    x: np.ndarray
    losses: np.ndarray
    distance: np.ndarray


def toy_losses(x: Any, xp: Any = jnp) -> Any:
    """Both losses (2, ...) at the points x (2, ...), by jax.numpy or numpy.

    The slope of ``max(t, 0)`` at 0 is 1, that from the right, as in the PyTorch of the time: both
    halves of the plane pull at a point with x2 = 0, such as the second start. ``jnp.maximum`` would
    halve that, and a slope of 0 (``jax.nn.relu``, today's PyTorch) would keep the run where it is.
    """
    x1, x2 = x
    upper, lower = xp.tanh(x2 / 2), xp.tanh(-x2 / 2)
    upper, lower = xp.where(upper >= 0, upper, 0), xp.where(lower >= 0, lower, 0)
    bend = xp.tanh(-x2)
    off_valleys = ((-x1 - 7) / 2 - bend, (-x1 + 3) / 2 + bend + 2)
    found = []
    for scale, off, centre in zip(SCALES, off_valleys, (7, -7), strict=True):
        depth = xp.abs(off)
        valley = xp.log(xp.where(depth >= FLOOR, depth, FLOOR)) + 6
        bowl = ((x1 - centre) ** 2 + (x2 + 8) ** 2 / 10) / 10 - 20
        found.append(scale * (upper * valley + lower * bowl))
    return xp.stack(found)


def pareto_front(points: int = 701) -> Front:
    """The front, by weighted sums: each has its minimum on it, found on ever finer grids.

    The front is convex in the losses, so the sums find all of it. Plain NumPy in float64: first the
    whole plane, both halves, then around the best point. The published front is the straight line
    x2 = -8.3552; only its middle is exact.
    """
    share = np.linspace(0, 1, points)
    weights = np.stack([1 - share, share], axis=1) / np.array(SCALES)  # even along the front
    line = np.linspace(-12, 12, 121)
    plane = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    best = plane[np.argmin(weights @ toy_losses(plane.T, np), axis=1)]
    line = np.linspace(-1, 1, 21)
    offsets = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    for width in 0.4 * 0.2 ** np.arange(11):
        near = best[:, None] + width * offsets
        values = np.einsum("pt,tpn->pn", weights, toy_losses(np.moveaxis(near, -1, 0), np))
        best = near[np.arange(points), np.argmin(values, axis=1)]
    return Front(best, toy_losses(best.T, np).T)


def distances(x: np.ndarray, front: Front) -> np.ndarray:
    """Distances (...) in the plane from the points x (..., 2) to the front."""
    begin, edge = front.x[:-1], np.diff(front.x, axis=0)
    away = x[..., None, :] - begin
    along = np.clip((away * edge).sum(-1) / (edge**2).sum(-1), 0, 1)
    return np.linalg.norm(away - along[..., None] * edge, axis=-1).min(axis=-1)


def descend(
    name: str, starts: jax.Array, keys: jax.Array, steps: int, learning_rate: float = LEARNING_RATE
) -> tuple[jax.Array, jax.Array]:
    """All runs of one method.

    Args:
        name: of REGISTRY or LOSS_METHODS.
        starts: (runs, 2).
        keys: (runs,), for methods that draw.
        steps: of Adam.
        learning_rate: of Adam.

    Returns:
        Points at every so many steps, (records, runs, 2), and after the last, (runs, 2).
    """
    bound = jnp.asarray(BOUND)
    step = ag.aggregated_step(
        lambda x, _: toy_losses(x) - bound, ag.make(name, num_tasks=2), optax.adam(learning_rate)
    )
    further = (None, None) if name in BATCHES else ()

    def update(carry: Any, _: None) -> tuple[Any, None]:
        x, state, _info = step.step(*carry, None, extra_batches=further)
        return (x, state), None

    def one(start: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        def stretch(carry: Any, _: None) -> tuple[Any, jax.Array]:
            return jax.lax.scan(update, carry, None, length=every)[0], carry[0]

        every = max(1, steps // RECORDS)
        begin = (start, step.init(start, None, key))
        carry, path = jax.lax.scan(stretch, begin, None, length=steps // every)
        if steps % every:
            carry, _ = jax.lax.scan(update, carry, None, length=steps % every)
        return path, carry[0]

    return jax.vmap(one, out_axes=(1, 0))(starts, keys)


@functools.partial(jax.jit, static_argnames=("methods", "steps", "learning_rate"))
def descend_all(
    methods: tuple[str, ...],
    starts: jax.Array,
    keys: jax.Array,
    steps: int,
    learning_rate: float = LEARNING_RATE,
) -> dict[str, tuple[jax.Array, jax.Array]]:
    """``descend`` of every method, in one program."""
    return {name: descend(name, starts, keys, steps, learning_rate) for name in methods}


def run(
    methods: Sequence[str], steps: int, repeats: int, seed: int, front: Front
) -> dict[str, Outcome]:
    """Every method from every start, and again from points next to it."""
    start_seed, key_seed = np.random.SeedSequence(seed).generate_state(2)
    shape = (len(STARTS), repeats, 2)
    moved = np.random.default_rng(start_seed).normal(scale=DISPLACEMENT, size=shape)
    moved[:, 0] = 0
    starts = (np.array(STARTS)[:, None] + moved).reshape(-1, 2)
    keys = jax.random.split(jax.random.key(key_seed), len(starts))
    found = descend_all(tuple(methods), jnp.asarray(starts), keys, steps)
    outcomes = {}
    for name in methods:
        path, last = (np.asarray(part, np.float64) for part in found[name])
        x = last.reshape(shape)
        path = np.concatenate([path[:, ::repeats], x[None, :, 0]])
        losses = np.moveaxis(toy_losses(np.moveaxis(x, -1, 0), np), 0, -1)
        outcomes[name] = Outcome(path, x, losses, distances(x, front))
    return outcomes


def show(outcomes: dict[str, Outcome], tolerance: float) -> None:
    """A row a method: how many runs from each start reach the front, and both last losses."""
    repeats = next(iter(outcomes.values())).distance.shape[1]
    print(
        f"Of {repeats} runs next to each start: how many end within {tolerance:g} of the front;"
        "\nthen the last losses of the run from the very start"
    )
    print(f"{'':12}" + "".join(f"{f'({x1:g}, {x2:g})':>19}" for x1, x2 in STARTS))
    for name, outcome in outcomes.items():
        reached = (outcome.distance <= tolerance).sum(axis=1)
        cells = [
            f"{number or '-':>5}{first:7.2f}{second:7.2f}"
            for number, (first, second) in zip(reached, outcome.losses[:, 0], strict=True)
        ]
        print(f"{name:12}" + "".join(cells))


def write(outcomes: dict[str, Outcome], tolerance: float, path: Path) -> None:
    """A row a run."""
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(
            ["method", "start_x1", "start_x2", "run", "x1", "x2", "loss_1", "loss_2"]
            + ["distance", "reached"]
        )
        for name, outcome in outcomes.items():
            for (start, number), distance in np.ndenumerate(outcome.distance):
                place = (*outcome.x[start, number], *outcome.losses[start, number], distance)
                table.writerow(
                    [name, *STARTS[start], number]
                    + [f"{value:.6g}" for value in place]
                    + [int(distance <= tolerance)]
                )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--out", type=Path, default=Path("runs/toy_problem"), help="folder")
    parser.add_argument("--steps", type=int, default=35_000, help="of Adam, 35 000 as published")
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, metavar="NAME", help="all unless given"
    )
    parser.add_argument("--repeats", type=int, default=8, help="runs of each start")
    parser.add_argument("--tolerance", type=float, default=0.1, help="distance to the front")
    parser.add_argument("--seed", type=int, default=0, help="of methods that draw, and of repeats")
    options = parser.parse_args(arguments)
    for name in ("steps", "repeats"):
        if getattr(options, name) < 1:
            parser.error(f"--{name}: expected at least 1, got {getattr(options, name)}")
    options.out.mkdir(parents=True, exist_ok=True)

    began = time.perf_counter()
    front = pareto_front()
    methods = options.methods or METHODS
    outcomes = run(methods, options.steps, options.repeats, options.seed, front)
    show(outcomes, options.tolerance)
    if options.methods is None:
        print(f"Not defined for two tasks: {', '.join(MORE_TASKS)}")
    files = [options.out / "toy_problem.csv", options.out / "toy_problem.png"]
    write(outcomes, options.tolerance, files[0])
    drawn = {name: outcomes[name] for name in options.methods or DRAWN}
    draw(drawn, front, lambda x: toy_losses(x, np), STARTS, options.tolerance, files[1])
    print(f"\n{time.perf_counter() - began:.0f} s; wrote", *files)


if __name__ == "__main__":
    jaxmtl.inline_small_loops()
    jax.config.update("jax_enable_x64", True)  # else rounding drives runs along the front
    main()

"""What fixed weights of the task losses are worth, once they are chosen with care.

References:
    Kurin et al. (2022), In defense of the unitary scalarization for deep multi-task learning,
    NeurIPS; Xin et al. (2022), Do current multi-task optimization methods in deep learning even
    help?, NeurIPS: such a baseline is rarely beaten.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from jaxmtl.aggregation.losses import simplex_grid
from jaxmtl.methods.method import Fitted
from jaxmtl.methods.study.arm import Arm
from jaxmtl.methods.study.bench import Bench

NAME = "linear@tuned"
DIVISIONS = 12  # of two tasks: eleven weights, none of which is 0
POINTS = 24  # of more tasks, the first of them equal weights


def weight_design(num_tasks: int) -> Float[np.ndarray, "points tasks"]:
    """The weights that are tried; they sum to the number of tasks, as those of a sum do.

    Of two tasks an even grid; of more, equal weights and draws that are even on the simplex.

    Args:
        num_tasks: at least 2.

    Example:
        >>> weight_design(2)[[0, 5, 10]].round(2).tolist()
        [[0.17, 1.83], [1.0, 1.0], [1.83, 0.17]]
        >>> weight_design(5).shape
        (24, 5)
    """
    if num_tasks == 2:
        return simplex_grid(2, DIVISIONS)[1:-1] * 2
    draws = np.random.default_rng(0).dirichlet(np.ones(num_tasks), POINTS - 1)
    return np.concatenate([np.full((1, num_tasks), 1 / num_tasks), draws]) * num_tasks


def _run(bench: Bench) -> Fitted:
    if bench.splits.validation is None:
        raise ValueError(f"{NAME}: expected validation rows to choose weights by, got none")
    design, seeds = weight_design(bench.num_tasks), len(bench.keys)
    members = np.repeat(np.arange(seeds), len(design))
    named = [f"linear(weights={list(map(float, weights))})" for weights in design]
    weighed = bench.called(bench.given or NAME)
    network = weighed.network()
    runs = weighed.run(
        NAME, network, weighed.same_schedule, seeds=members, aggregator=named * seeds
    )
    found = weighed.fitted(network, runs)
    reached = np.asarray(runs.records.validation, float)
    epochs = np.array([choice["epoch"] for choice in found.chosen])
    reached = reached[np.arange(len(runs)), epochs - 1].reshape(seeds, len(design), -1)
    best = _least(reached, found.diverged.reshape(seeds, len(design)), design)
    flat = np.arange(seeds) * len(design) + best
    return dataclasses.replace(
        found,
        models=tuple(found.models[i] for i in flat),
        scores=found.scores[flat],
        chosen=tuple(
            {**found.chosen[i], "weights": design[k].round(4).tolist()}
            for i, k in zip(flat, best, strict=True)
        ),
        parameters=found.parameters[flat],
        splits=found.splits[flat],
        # Whoever tunes trains all of them.
        steps=found.steps.reshape(seeds, len(design)).sum(axis=1),
        diverged=found.diverged[flat],
        traces=tuple(found.traces[i] for i in flat),
    )


def _least(
    reached: Float[np.ndarray, "seeds points tasks"],
    diverged: np.ndarray,
    design: Float[np.ndarray, "points tasks"],
) -> np.ndarray:
    """The point of each seed whose losses are least, relative to those of equal weights."""
    equal = np.abs(design - 1).sum(axis=1).argmin()
    unit = np.where(np.isfinite(reached[:, equal]), reached[:, equal], 1.0)[:, None]
    relative = (reached / np.where(unit > 0, unit, 1.0)).mean(axis=-1)
    relative = np.where(diverged | ~np.isfinite(relative), np.inf, relative)
    return relative.argmin(axis=1)


LINEAR_TUNED = Arm(
    NAME,
    "hard sharing on the adaptive run's schedule, with the fixed weights of the losses that "
    "validation rows choose; a run for each of those tried",
    _run,
    least_tasks=2,
)

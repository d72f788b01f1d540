"""Look-ahead: go on as it is, or with a network a task? Both are tried, and one is kept."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from jaxmtl.methods.method import Fitted
from jaxmtl.methods.study.arm import Arm
from jaxmtl.methods.study.bench import Bench
from jaxmtl.methods.study.layers import network_of_layers, split_layers
from jaxmtl.methods.study.stages import (
    after,
    check_validation,
    one_phase_only,
    phases_from,
    picked,
    steps_of,
    traces_of,
)

NAME = "lookahead"
ERRORS = 1.0  # standard errors by which a change has to be better


def _run(bench: Bench) -> Fitted:
    """Forks where the first phase ends, trains both for the second, and goes on with one.

    Both see the same batches, so that what is kept goes on from the end of its look. A change is
    kept if it is better by more than a standard error of the paired difference on the validation
    rows, each network at its best epoch of the look.
    """
    check_validation(NAME, bench)
    table = bench.same_schedule
    network, banks, pointers = network_of_layers(bench)
    first = bench.run(
        f"{NAME}/before", network, phases_from(table, 0, 1), params=banks, head_index=pointers
    )
    together: Any = jax.tree.map(jnp.asarray, (first.params, first.head_index))
    every = jnp.ones((len(bench.keys), len(together[1].groups)), bool)
    forks = (together, split_layers(*together, every))
    looks, tried = [], []
    for word, (params, index) in zip(("together", "apart"), forks, strict=True):
        runs = bench.run(
            f"{NAME}/{word}", network, phases_from(table, 1, 2), params=params, head_index=index
        )
        looks.append(runs)
        tried.append(bench.fitted(network, runs))
    apart = _is_better(bench, *tried)
    steps = steps_of(first, bench) + sum(steps_of(runs, bench) for runs in looks)
    stages = [[trace] for trace in traces_of(first)]
    if len(bench.protocol.phases) == 2:
        fitted = picked(tried, apart.astype(int))
    else:
        params, index = _of_each(apart, *((runs.params, runs.head_index) for runs in looks))
        runs = bench.run(NAME, network, phases_from(table, 2), params=params, head_index=index)
        fitted = bench.fitted(network, runs)
        steps = steps + fitted.steps
        stages = [
            [*before, tried[int(own)].traces[seed]]
            for seed, (before, own) in enumerate(zip(stages, apart, strict=True))
        ]
    fitted = after(stages, fitted)
    chosen = tuple(
        {**choice, "kept": "apart" if own else "together"}
        for choice, own in zip(fitted.chosen, apart.tolist(), strict=True)
    )
    return dataclasses.replace(fitted, chosen=chosen, steps=steps)


def _is_better(bench: Bench, together: Fitted, apart: Fitted) -> Bool[np.ndarray, " seeds"]:
    """Whether networks apart are better, by more than chance in the rows."""
    found = np.zeros(len(bench.keys), bool)
    for seed, fold in enumerate(bench.folds):
        rows = fold.validation
        y, known = bench.data.y[rows], bench.data.known[rows]
        there = known.sum(axis=1)
        one, other = (
            np.where(known, (fitted.models[seed].predict(bench.data.x[rows]) - y) ** 2, 0.0)
            for fitted in (together, apart)
        )
        gain = ((one - other).sum(axis=1) / np.maximum(there, 1))[there > 0]
        if len(gain) > 1:
            found[seed] = gain.mean() > ERRORS * gain.std(ddof=1) / np.sqrt(len(gain))
    return found & ~apart.diverged


def _of_each(apart: np.ndarray, together: Any, other: Any) -> Any:
    def one(kept: Any, changed: Any) -> Any:
        mask = apart.reshape(-1, *(1,) * (np.ndim(kept) - 1))
        return jnp.where(mask, changed, kept)

    return jax.tree.map(one, together, other)


LOOK_AHEAD = Arm(
    NAME,
    "all layers a task's own from the end of the first phase on, if validation rows gain by it",
    _run,
    least_tasks=2,
    why_not=one_phase_only,
)

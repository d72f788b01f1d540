"""Successive halving: several networks begin, and the worst on validation rows are dropped."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxmtl.methods.method import Fitted, Trace, join_folds
from jaxmtl.methods.study.arm import Arm
from jaxmtl.methods.study.bench import Bench
from jaxmtl.methods.study.grow import wider
from jaxmtl.methods.study.independent import network_of_each
from jaxmtl.methods.study.stages import (
    after,
    check_validation,
    one_phase_only,
    phases_from,
    reached,
    steps_of,
    traces_of,
)

NAME = "halving"
SHARED, WIDER, APART = "shared", "shared, twice as wide", "a network a task"
KEPT = (2, 1)  # candidates that are kept where the first and the second phase end


def _run(bench: Bench) -> Fitted:
    """Trains candidates side by side, phase by phase; who is dropped costs nothing any more."""
    check_validation(NAME, bench)
    table, seeds = bench.same_schedule, len(bench.keys)
    apart, start = network_of_each(bench)
    networks = {SHARED: bench.network(), WIDER: wider(bench, 2), APART: apart}
    # What is None is drawn by the sweep, from the keys.
    params: dict[str, PyTree | None] = {SHARED: bench.start, WIDER: None, APART: start}
    names, rungs = list(networks), KEPT[-(len(bench.protocol.phases) - 1) :]
    left = np.ones((seeds, len(names)), bool)
    steps = np.zeros(seeds, int)
    stages: list[list[list[Trace]]] = [[[] for _ in range(seeds)] for _ in names]
    for rung, kept in enumerate(rungs):
        errors = np.full(left.shape, np.inf)
        phase = phases_from(table, rung, rung + 1)
        for number, name in enumerate(names):
            places = np.flatnonzero(left[:, number])
            if not len(places):
                continue
            runs = bench.run(
                f"{NAME}/{number}/{rung}",
                networks[name],
                phase,
                seeds=places,
                params=_taken(params[name], places),
            )
            params[name] = _put(params[name], runs.params, places, seeds)
            errors[places, number] = reached(runs)
            steps[places] += steps_of(runs, bench)
            for place, trace in zip(places.tolist(), traces_of(runs), strict=True):
                stages[number][place].append(trace)
        order = np.argsort(errors, axis=1, kind="stable")[:, :kept]
        best = np.zeros_like(left)
        np.put_along_axis(best, order, values=True, axis=1)
        left &= best
    parts = []
    for number, name in enumerate(names):
        places = np.flatnonzero(left[:, number])
        if not len(places):
            continue
        runs = bench.run(
            f"{NAME}/{number}",
            networks[name],
            phases_from(table, len(rungs)),
            seeds=places,
            params=_taken(params[name], places),
        )
        nodes = networks[name].nodes if name == WIDER else None
        fitted = bench.fitted(networks[name], runs, nodes=nodes)
        fitted = after([stages[number][place] for place in places], fitted)
        chosen = tuple({**choice, "kept": name} for choice in fitted.chosen)
        whole = fitted.steps + steps[places]
        parts.append((places, dataclasses.replace(fitted, chosen=chosen, steps=whole)))
    return join_folds(parts, seeds)


def _taken(params: PyTree | None, places: np.ndarray) -> PyTree | None:
    return None if params is None else jax.tree.map(lambda leaf: jnp.asarray(leaf)[places], params)


def _put(before: PyTree | None, new: PyTree, places: np.ndarray, seeds: int) -> PyTree:
    """The values of all seeds, of which some are new."""

    def one(leaf: Any, old: Any = None) -> np.ndarray:
        leaf = np.asarray(leaf)
        whole = np.zeros((seeds, *leaf.shape[1:]), leaf.dtype) if old is None else np.array(old)
        whole[places] = leaf
        return whole

    return jax.tree.map(one, new) if before is None else jax.tree.map(one, new, before)


HALVING = Arm(
    NAME,
    "hard sharing, twice as wide, or a network a task: what validation rows keep as phases end",
    _run,
    least_tasks=2,
    why_not=one_phase_only,
)

"""Layers are split while training goes on, where gradients point apart: differentiation."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxmtl.aggregation import Aggregator, AutoLambda
from jaxmtl.aggregation.known import AnyMethod, as_aggregator
from jaxmtl.conflict import Tally, conflict_map, start_tally, update_tally
from jaxmtl.methods.method import Fitted
from jaxmtl.methods.study.arm import Arm
from jaxmtl.methods.study.bench import Bench, StudyProtocol
from jaxmtl.methods.study.layers import (
    names_apart,
    network_of_layers,
    shared_layers,
    summed_or,
    too_few,
    watched,
)
from jaxmtl.sharing import split
from jaxmtl.training.phased.combining import Combining, looks_ahead
from jaxmtl.training.phased.state import Parted

NAME = "parameter_differentiation"


class Watched(NamedTuple):
    """State of an aggregator that is looked on.

    Attributes:
        inner: its own.
        tally: of the task gradients, layer by layer.
    """

    inner: Any
    tally: Tally


@functools.cache  # the same object for the same method: it is static in what is compiled
def tallied(method: AnyMethod) -> Aggregator:
    """An aggregator beside which the cosines of the tasks' gradients are kept, layer by layer."""
    inside = as_aggregator(method)

    def init(task_grads: PyTree) -> Watched:
        like = jax.eval_shape(conflict_map, task_grads)
        return Watched(inside.init(task_grads), start_tally(like))

    def update(task_grads: PyTree, state: Watched, *, present: Any = None, **given: Any) -> Any:
        combined, inner, info = inside.update(task_grads, state.inner, present=present, **given)
        tally = update_tally(state.tally, conflict_map(task_grads, present=present))
        return combined, Watched(inner, tally), info

    return Aggregator(init, update, weighted=inside.weighted)


def part_by_cosine(before: Parted, combining: Watched) -> Parted:
    """Splits the copy of a layer whose readers disagree most, if any of them disagree.

    Disagreement is the least cosine of any two readers' gradients, a running mean. These two part,
    and each other reader goes with the one of them that is nearer.
    """
    pointers, cosines = before.pointers, -combining.tally.score("cosine")
    layers, least = combining.tally.layers, []
    for group in pointers.groups:
        reads = pointers[group.name][:, 0]
        pairs = (reads[:, None] == reads[None]) & ~jnp.eye(len(reads), dtype=bool)
        row = cosines[layers.index(group.name)]
        least.append(jnp.where(pairs & jnp.isfinite(row), row, jnp.inf))
    each = jnp.stack([rows.min() for rows in least])
    chosen = jnp.argmin(each)
    params, opt_state = before.params, before.opt_state
    for number, group in enumerate(pointers.groups):
        row = cosines[layers.index(group.name)]
        stays, goes = jnp.unravel_index(jnp.argmin(least[number]), row.shape)
        column = pointers[group.name][stays, 0]
        nearer = row[:, goes] > row[:, stays]
        moving = (nearer & (number == chosen) & (each[number] < 0)).at[stays].set(False)
        moved = split(params, pointers, group.name, column, moving, opt_state=opt_state)
        params, pointers, opt_state = moved.banks, moved.pointers, moved.opt_state
    return Parted(params, pointers, opt_state)


def _why_not(protocol: StudyProtocol) -> str | None:
    if (why := too_few(protocol)) is not None:
        return why
    if len(protocol.phases) > 1:
        return None
    return (
        "expected a schedule of several phases, as a layer is split where one ends and another "
        "follows, got one; part it (--phases '100;100;100')"
    )


def cannot_watch(method: Combining | None) -> str | None:
    """Why a method's task gradients cannot be looked at as it combines them; None if they can."""
    if not isinstance(method, AutoLambda) and not looks_ahead(method):
        return None
    return (
        "expected a method that combines task gradients, which say where to split, got one that "
        "looks ahead; compare it by itself (auto_lambda)"
    )


def _run(bench: Bench) -> Fitted:
    if (why := cannot_watch(bench.method)) is not None:
        raise ValueError(f"{NAME}: {why}")
    network, banks, pointers = network_of_layers(bench)
    looking = watched(bench, NAME, tallied(summed_or(bench.method)))
    runs = looking.run(
        NAME,
        network,
        bench.same_schedule,
        params=banks,
        head_index=pointers,
        split=part_by_cosine,
    )
    fitted = looking.fitted(network, runs)
    layers = shared_layers(bench.protocol)
    chosen = []
    for choice, model in zip(fitted.chosen, fitted.models, strict=True):
        columns: Any = model.pointers.columns  # pyright: ignore[reportAttributeAccessIssue]
        apart = np.array([len(np.unique(columns[layer])) > 1 for layer in layers])
        chosen.append({**choice, "split": names_apart(layers, apart)})
    return dataclasses.replace(fitted, chosen=tuple(chosen))


PARAMETER_DIFFERENTIATION = Arm(
    NAME,
    "the shared layer whose task gradients point apart most split at the end of each phase",
    _run,
    least_tasks=2,
    why_not=_why_not,
)
"""Wang & Zhang (2022), Parameter differentiation based multilingual neural machine translation.

We depart from the paper: the unit is a dense layer with its bias; one copy is split at the end of
each phase of the schedule, where the optimizer of every arm starts anew, and not at intervals until
a budget is spent; cosines are running means over the batches of training, not those of one batch
held out; and readers part around the two that disagree most.
"""

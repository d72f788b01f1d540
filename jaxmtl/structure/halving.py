"""Successive halving: all candidates start, the worst on held-out rows are dropped on the way."""

import functools
import os
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from jaxmtl._typing import Device
from jaxmtl.data.rows import Splits
from jaxmtl.structure.members import Members, make_members, taken
from jaxmtl.structure.plain import Structure
from jaxmtl.structure.recipe import Recipe, State
from jaxmtl.structure.stages import checkpoints, in_stages
from jaxmtl.structure.trunk import Activation, Placed, Trunk, place

Rung = tuple[float, int]
RUNGS: tuple[Rung, ...] = ((0.25, 2), (0.5, 1))


class Halved(NamedTuple):
    """What a halving has found, of every seed.

    Attributes:
        chosen: number of the candidate that was kept.
        held: error on held-out rows of every candidate at every rung and at the end; NaN where it
            had been dropped.
        cost: of a seed, in whole runs of one network.
        trunk: the network.
        params: of the kept candidate at the end of its training.
        placed: the candidates.
    """

    chosen: Int[np.ndarray, " seeds"]
    held: Float[np.ndarray, "seeds rungs candidates"]
    cost: float
    trunk: Trunk
    params: PyTree
    placed: Placed


class Standing(NamedTuple):
    """How a halving stands: who is left of every seed.

    Attributes:
        states: of the members that are left, the last one repeated in the place of who is not:
            checkpoints of all rungs are alike.
        numbers: which candidates these are.
        held: errors so far, see ``Halved``.
    """

    states: State
    numbers: Int[np.ndarray, "seeds candidates"]
    held: Float[np.ndarray, "seeds rungs candidates"]


def halving(
    candidates: Sequence[Structure],
    data: Splits,
    *,
    keys: Key[Array, " seeds"],
    outputs: Sequence[int] | None = None,
    recipe: Recipe | None = None,
    rungs: Sequence[Rung] = RUNGS,
    stacked: bool = False,
    activation: Activation = "sigmoid",
    devices: Sequence[Device] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
) -> Halved:
    """Decides between whole structures while they are trained, and trains the one that is kept.

    All candidates are members of one program and see the same batches. A rung is one program; what
    was dropped is in none of the later ones.

    Args:
        candidates: of the same tasks.
        data: training rows to learn from, validation rows to decide on.
        keys: one a seed: of initial values and of the order of rows.
        outputs: width of each task's output; None for one each.
        recipe: how each is trained; None for ``Recipe()``.
        rungs: at which share of the steps, in rising order, how many are kept. Static.
        stacked: whether the rows have a leading axis of seeds.
        activation: of the hidden layers.
        devices: over which seeds are spread; None for the first alone.
        checkpoint: folder to save the state in after every rung; None for none.
        resume: go on from the checkpoint there, if there is one; the decision is that of a halving
            that was never interrupted.

    Returns:
        The choice of every seed, and the parameters of the network that it was made for.

    Raises:
        ValueError: rungs that do not fall, no validation rows, or a checkpoint of another halving.

    Example:
        >>> from jaxmtl.data.rows import Rows
        >>> from jaxmtl.structure import separate, shared
        >>> x = jax.random.normal(jax.random.key(0), (60, 3))
        >>> data = Splits(Rows(x[:40], x[:40, :2]), Rows(x[40:], x[40:, :2]))
        >>> found = halving(
        ...     [shared("ab", (4,)), shared("ab", (2,)), separate("ab", (2,))],
        ...     data,
        ...     keys=jax.random.split(jax.random.key(1), 2),
        ...     recipe=Recipe(steps=8),
        ... )
        >>> found.chosen.shape, found.held.shape, found.cost
        ((2,), (2, 3, 3), 1.75)
    """
    recipe = Recipe() if recipe is None else recipe
    plan = _plan(rungs, len(candidates), recipe.steps)
    features = jnp.shape(data.train.x)[-1]
    trunk, placed = place(candidates, features, outputs, activation=activation)
    crew = make_members(trunk, recipe, data, keys, stacked=stacked, devices=devices)
    every = crew.every(placed)
    standing = Standing(
        states=crew.start(every),
        numbers=np.tile(np.arange(len(candidates)), (len(keys), 1)),
        held=np.full((len(keys), len(plan), len(candidates)), np.nan),
    )
    climb = [functools.partial(_rung, crew, every, plan, rung) for rung in range(len(plan))]
    asked = {"rungs": [list(rung) for rung in rungs]}
    with checkpoints(checkpoint, crew, candidates, asked, resume=resume) as store:
        states, numbers, held = in_stages(climb, standing, store)
    params = jax.tree.map(lambda leaf: leaf[:, 0], states.params)
    chosen = numbers[:, 0]
    return Halved(chosen, held, cost_of(rungs, len(candidates)), trunk, params, placed)


def _rung(
    crew: Members, every: Placed, plan: Sequence[tuple[int, int]], rung: int, standing: Standing
) -> Standing:
    """Trains who is left to the end of a rung, and drops the worst of every seed."""
    begun, there = plan[rung - 1] if rung else (0, standing.held.shape[2])
    end, kept = plan[rung]
    states, numbers = _cut((standing.states, standing.numbers), there)
    held, left = standing.held.copy(), taken(every, numbers)
    states = crew.forward(states, left, begun, end - begun)
    losses = np.asarray(crew.shares(states, left, crew.held)).mean(axis=2)
    np.put_along_axis(held[:, rung], numbers, losses, axis=1)
    # NaN, of what has diverged, is sorted last.
    best = np.sort(np.argsort(losses, axis=1, kind="stable")[:, :kept], axis=1)
    best = best[:, np.minimum(np.arange(held.shape[2]), kept - 1)]
    return Standing(taken(states, best), np.take_along_axis(numbers, best, axis=1), held)


def _cut(members: PyTree, left: int) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[:, :left], members)


def cost_of(rungs: Sequence[Rung], candidates: int) -> float:
    """Cost of a halving in whole runs of one network.

    Args:
        rungs: see ``halving``.
        candidates: their number.

    Returns:
        The number.

    Example:
        >>> cost_of(((0.25, 2), (0.5, 1)), 3), cost_of((), 1)
        (1.75, 1.0)
    """
    total, begun, left = 0.0, 0.0, candidates
    for share, kept in (*rungs, (1.0, 1)):
        total += left * (share - begun)
        begun, left = share, min(kept, left)
    return total


def _plan(rungs: Sequence[Rung], candidates: int, steps: int) -> list[tuple[int, int]]:
    """Steps at the end of every rung, and how many candidates it leaves."""
    plan, share, left = [], 0.0, candidates
    for at, kept in rungs:
        if not share < at < 1 or not 1 <= kept:
            raise ValueError(
                "rungs: expected rising shares between 0 and 1 with at least one candidate kept, "
                f"got {tuple(rungs)}"
            )
        share, left = at, min(kept, left)
        plan.append((max(round(at * steps), 1), left))
    if left > 1:
        raise ValueError(f"rungs: expected one candidate to be kept in the end, got {left}")
    return [*plan, (steps, 1)]

"""Successive halving: all candidates start, the worst on held-out rows are dropped on the way."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from jaxmtl._typing import Device
from jaxmtl.data.rows import Splits
from jaxmtl.structure.members import check_splits, over_seeds
from jaxmtl.structure.plain import Structure
from jaxmtl.structure.recipe import Recipe, State, advance, batches, begin, held_out
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


class _Standing(NamedTuple):
    """The members that are left of one seed."""

    states: State
    numbers: Int[Array, " left"]


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
) -> Halved:
    """Decides between whole structures while they are trained, and trains the one that is kept.

    All candidates are members of one program and see the same batches. A rung is one program; what
    was dropped is in none of the later ones.

    Args:
        candidates: of the same tasks.
        data: training rows to learn from, validation rows to decide on.
        keys: one a seed: of initial values and of the order of rows. Traced.
        outputs: width of each task's output; None for one each.
        recipe: how each is trained; None for ``Recipe()``.
        rungs: at which share of the steps, in rising order, how many are kept. Static.
        stacked: whether the rows have a leading axis of seeds.
        activation: of the hidden layers.
        devices: over which seeds are spread; None for the first alone.

    Returns:
        The choice of every seed, and the parameters of the network that it was made for.

    Raises:
        ValueError: rungs that do not fall, or no validation rows.

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
    data = check_splits(data, stacked, keys)
    plan = _plan(rungs, len(candidates), recipe.steps)
    trunk, placed = place(candidates, data.train.x.shape[-1], outputs, activation=activation)
    standing = over_seeds(_start(trunk, recipe), [True, False], [keys, placed], devices)
    held = np.full((len(keys), len(plan), len(candidates)), np.nan)
    begun = 0
    for place_, (end, kept) in enumerate(plan):
        rung = _rung(trunk, recipe, begun, end, kept)
        mapped = [True, True, False, stacked]
        numbers = np.asarray(standing.numbers)
        standing, losses = over_seeds(rung, mapped, [standing, keys, placed, data], devices)
        np.put_along_axis(held[:, place_], numbers, np.asarray(losses), axis=1)
        begun = end
    chosen = np.asarray(standing.numbers)[:, 0]
    params = jax.tree.map(lambda leaf: leaf[:, 0], standing.states.params)
    return Halved(chosen, held, cost_of(rungs, len(candidates)), trunk, params, placed)


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


@functools.lru_cache(maxsize=64)
def _start(trunk: Trunk, recipe: Recipe) -> Any:
    def start(key: Key[Array, ""], placed: Placed) -> _Standing:
        states = jax.vmap(lambda own: begin(trunk, recipe, jax.random.split(key)[0], own))(placed)
        return _Standing(states, jnp.arange(len(jax.tree.leaves(placed)[0])))

    return start


@functools.lru_cache(maxsize=64)
def _rung(trunk: Trunk, recipe: Recipe, begun: int, end: int, kept: int) -> Any:
    """A rung of one seed."""

    def rung(
        standing: _Standing, key: Key[Array, ""], placed: Placed, data: Splits
    ) -> tuple[_Standing, Array]:
        assert data.validation is not None
        held = data.validation
        order = batches(
            jax.random.split(key)[1], len(data.train.x), recipe.batch_size, begun, end - begun
        )
        rates = recipe.rate_at(jnp.arange(begun, end))

        def one(state: State, own: Placed) -> tuple[State, Array]:
            state = advance(trunk, recipe, state, own, data.train, order, rates)
            return state, held_out(trunk, recipe, state.params, own, held).mean()

        left = jax.tree.map(lambda leaf: leaf[standing.numbers], placed)
        states, losses = jax.vmap(one)(standing.states, left)
        _, best = jax.lax.top_k(-jnp.where(jnp.isfinite(losses), losses, jnp.inf), kept)
        best = jnp.sort(best)
        numbers, states = jax.tree.map(lambda leaf: leaf[best], (standing.numbers, states))
        return _Standing(states, numbers), losses

    return rung

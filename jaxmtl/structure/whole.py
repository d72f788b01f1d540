"""Structures trained to the end: all of them, changed half-way or not, and on every fold."""

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from jaxmtl._typing import Device
from jaxmtl.data.rows import Rows, Splits
from jaxmtl.duplication.transplant import Transplant
from jaxmtl.statistics.selection import choose_from_others
from jaxmtl.structure.look_ahead import check_fork
from jaxmtl.structure.members import make_members
from jaxmtl.structure.plain import Structure
from jaxmtl.structure.recipe import Recipe, State
from jaxmtl.structure.stages import checkpoints, in_stages
from jaxmtl.structure.trunk import Activation, Placed, Trunk, place

PARTS = 8  # of the steps, after each of which there is a checkpoint, if there are any


class Trained(NamedTuple):
    """Structures at the end of their training, of every seed.

    Attributes:
        held: error on held-out rows.
        tested: error on test rows; NaN where there are none.
        outputs: on the test rows, or the held-out rows where there are none.
        params: parameters.
        trunk: the network.
        placed: the structures.
    """

    held: Float[np.ndarray, "seeds structures"]
    tested: Float[np.ndarray, "seeds structures"]
    outputs: Float[np.ndarray, "seeds structures rows outputs"]
    params: PyTree
    trunk: Trunk
    placed: Placed


class CrossValidated(NamedTuple):
    """What the folds say.

    Attributes:
        chosen: number of the structure with the least mean error over all folds.
        of_folds: of every fold, the choice of the others.
        held: error of every structure on the rows that each fold held out.
        cost: in whole runs of one network.
    """

    chosen: int
    of_folds: Int[np.ndarray, " folds"]
    held: Float[np.ndarray, "folds structures"]
    cost: float


def train_structures(
    structures: Sequence[Structure],
    data: Splits,
    *,
    keys: Key[Array, " seeds"],
    outputs: Sequence[int] | None = None,
    recipe: Recipe | None = None,
    forked_at: int | None = None,
    mode: Transplant = "copy",
    stacked: bool = False,
    activation: Activation = "sigmoid",
    devices: Sequence[Device] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
) -> Trained:
    """Trains all structures to the end, side by side in one program, on the same batches.

    Args:
        structures: of the same tasks.
        data: rows; those held out change nothing.
        keys: one a seed.
        outputs: width of each task's output; None for one each.
        recipe: how each is trained; None for ``Recipe()``.
        forked_at: None: every structure from the first step on. Else all begin as the first of
            them, and become what they are at this step, whatever the data say. Static.
        mode: of the optimizer state at the fork, see ``look_ahead``. Static.
        stacked: whether the rows have a leading axis of seeds.
        activation: of the hidden layers.
        devices: over which seeds are spread; None for the first alone.
        checkpoint: folder to save the state in after every eighth of the steps; None for none.
        resume: go on from the checkpoint there, if there is one; the numbers are those of a
            training that was never interrupted.

    Returns:
        Their errors, outputs and parameters.

    Raises:
        ValueError: see ``look_ahead``.

    Example:
        >>> from jaxmtl.structure import separate, shared
        >>> x = jax.random.normal(jax.random.key(0), (60, 3))
        >>> data = Splits(Rows(x[:40], x[:40, :2]), Rows(x[40:], x[40:, :2]))
        >>> found = train_structures(
        ...     [shared("ab", (2,)), separate("ab", (2,))],
        ...     data,
        ...     keys=jax.random.split(jax.random.key(1), 3),
        ...     recipe=Recipe(steps=8),
        ... )
        >>> found.held.shape, found.outputs.shape
        ((3, 2), (3, 2, 20, 2))
    """
    recipe = Recipe() if recipe is None else recipe
    if forked_at is not None:
        check_fork(forked_at, recipe, structures, mode)
    features = jnp.shape(data.train.x)[-1]
    trunk, placed = place(structures, features, outputs, activation=activation)
    crew = make_members(trunk, recipe, data, keys, stacked=stacked, devices=devices)
    every, begun = crew.every(placed), forked_at or 0
    rates = recipe.rate_at(jnp.arange(recipe.steps))
    stages: list[Callable[[State], State]] = []
    if forked_at is not None:
        # Members of a seed begin alike, so that any of them may be the one that is forked.
        def to_the_fork(start: State) -> State:
            first, one = jax.tree.map(lambda leaf: leaf[:, :1], (start, every))
            before = crew.forward(first, one, 0, begun, rates[:begun])
            return crew.fork(before, one, every, mode)

        stages.append(to_the_fork)

    def part(at: int, end: int) -> Callable[[State], State]:
        return lambda states: crew.forward(states, every, at, end - at, rates[at:end])

    whole = recipe.steps - begun
    size = whole if checkpoint is None else -(-whole // PARTS)
    stages += [part(at, min(at + size, recipe.steps)) for at in range(begun, recipe.steps, size)]
    asked = {"forked_at": forked_at, "mode": mode}
    with checkpoints(checkpoint, crew, structures, asked, resume=resume) as store:
        states = in_stages(stages, crew.start(every), store)
    test = crew.data.test
    held = np.asarray(crew.shares(states, every, crew.held)).mean(axis=2)
    tested = np.full_like(held, np.nan)
    if test is not None:
        tested = np.asarray(crew.shares(states, every, test)).mean(axis=2)
    predicted = crew.outputs(states, every, crew.held if test is None else test)
    return Trained(held, tested, np.asarray(predicted), states.params, trunk, placed)


def cross_validated(
    structures: Sequence[Structure],
    rows: Rows,
    folds: Sequence[Int[np.ndarray, " held"]],
    *,
    key: Key[Array, ""],
    outputs: Sequence[int] | None = None,
    recipe: Recipe | None = None,
    activation: Activation = "sigmoid",
    devices: Sequence[Device] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
) -> CrossValidated:
    """Decides by the mean error over folds: the surest of the decisions, and the dearest.

    Args:
        structures: of the same tasks.
        rows: all.
        folds: numbers of the rows that each holds out; the others are learned from.
        key: of initial values and orders.
        outputs: width of each task's output; None for one each.
        recipe: how each is trained; None for ``Recipe()``.
        activation: of the hidden layers.
        devices: over which folds are spread; None for the first alone.
        checkpoint: folder to save the state in after every eighth of the steps; None for none.
        resume: go on from the checkpoint there, if there is one; the choice is that of a call that
            was never interrupted.

    Returns:
        The choice, and for every fold the choice of the others.

    Raises:
        ValueError: fewer than two folds, an empty one, one of all rows, or a checkpoint of another
            choice.

    Example:
        >>> from jaxmtl.structure import separate, shared
        >>> x = np.random.default_rng(0).normal(size=(31, 3))
        >>> found = cross_validated(
        ...     [shared("ab", (2,)), separate("ab", (2,))],
        ...     Rows(x, x[:, :2]),
        ...     np.array_split(np.arange(31), 3),
        ...     key=jax.random.key(0),
        ...     recipe=Recipe(steps=8),
        ... )
        >>> found.held.shape, found.cost
        ((3, 2), 6.0)
    """
    number = len(rows.x)
    sizes = [len(fold) for fold in folds]
    if len(folds) < 2 or not all(0 < size < number for size in sizes):
        raise ValueError(
            f"folds: expected at least two, each of some but not all of {number} rows, got sizes "
            f"{sizes}"
        )
    known = np.ones(rows.y.shape, bool) if rows.known is None else np.asarray(rows.known)
    least, most = number - max(sizes), max(sizes)
    train, held = [], []
    for fold in folds:
        # Folds of one program have one number of rows: of the larger ones some are left out.
        others = np.setdiff1d(np.arange(number), fold)
        train.append(np.random.default_rng(0).permutation(others)[:least])
        held.append(np.resize(fold, most))
    there = np.arange(most)[None] < np.array(sizes)[:, None]
    x, y = np.asarray(rows.x, np.float32), np.asarray(rows.y, np.float32)
    learned, shown = np.stack(train), np.stack(held)
    data = Splits(
        Rows(x[learned], y[learned], None if rows.known is None else known[learned]),
        Rows(x[shown], y[shown], known[shown] & there[..., None]),
    )
    found = train_structures(
        structures,
        data,
        keys=jax.random.split(key, len(folds)),
        outputs=outputs,
        recipe=recipe,
        stacked=True,
        activation=activation,
        devices=devices,
        checkpoint=checkpoint,
        resume=resume,
    )
    mean = np.where(np.isfinite(found.held), found.held, np.inf).mean(axis=0)
    return CrossValidated(
        chosen=int(np.argmin(mean)),
        of_folds=choose_from_others(found.held.T),
        held=found.held,
        cost=float(len(folds) * len(structures)),
    )

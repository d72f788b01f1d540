"""Look-ahead: fork a run, train the changed network beside the unchanged, keep what is better."""

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from jaxmtl._typing import Device
from jaxmtl._validate import check_choice, check_count, check_positive
from jaxmtl.data.rows import Splits
from jaxmtl.duplication.transplant import Transplant
from jaxmtl.structure.members import Members, make_members, taken
from jaxmtl.structure.plain import Structure
from jaxmtl.structure.recipe import Recipe, State, annealed
from jaxmtl.structure.stages import checkpoints, in_stages
from jaxmtl.structure.trunk import Activation, Placed, Trunk, place


class Looked(NamedTuple):
    """What looking ahead has found, of every seed.

    Attributes:
        chosen: number of the structure that the run went on with; 0: unchanged.
        gains: by how much the held-out error of each change is below that of going on, after the
            look; 0 for going on.
        errors: standard errors of the gains, over rows.
        held: error on held-out rows at the end of the run; NaN where it was not finished.
        cost: of a seed, in whole runs of one network.
        trunk: the network.
        params: at the end of the run, or at the fork where it was not finished.
        placed: the structures.
    """

    chosen: Int[np.ndarray, " seeds"]
    gains: Float[np.ndarray, "seeds structures"]
    errors: Float[np.ndarray, "seeds structures"]
    held: Float[np.ndarray, " seeds"]
    cost: float
    trunk: Trunk
    params: PyTree
    placed: Placed


class Standing(NamedTuple):
    """How a look-ahead stands, after its way to the fork, its look, or its way to the end.

    Attributes:
        states: of the one network of every seed that the run goes on with, before it does.
        chosen: see ``Looked``, as are the others; 0 and NaN before they are known.
        gains: after the look.
        errors: of these.
        held: at the end.
    """

    states: State
    chosen: Int[np.ndarray, " seeds"]
    gains: Float[np.ndarray, "seeds structures"]
    errors: Float[np.ndarray, "seeds structures"]
    held: Float[np.ndarray, " seeds"]


def look_ahead(
    structures: Sequence[Structure],
    data: Splits,
    *,
    keys: Key[Array, " seeds"],
    at: int,
    steps: int = 300,
    z: float = 1.0,
    outputs: Sequence[int] | None = None,
    recipe: Recipe | None = None,
    mode: Transplant = "copy",
    finish: bool = True,
    stacked: bool = False,
    activation: Activation = "sigmoid",
    devices: Sequence[Device] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
) -> Looked:
    """Trains one structure, looks where changes of it would lead, and goes on with what is better.

    At the fork every change is made in a copy of the network. The copies and the unchanged network
    go some steps on the same batches, at a rate that falls to 0, and are compared on held-out rows:
    a change is kept if it is better by more than z standard errors of the paired difference, of
    several the best. The run then goes on *from the fork*.

    Args:
        structures: the one to begin with, and changes of it: ``everything``, ``grow``, ``bank``.
        data: training rows to learn from, validation rows to decide on.
        keys: one a seed.
        at: step of the fork. Static.
        steps: of the look. Static.
        z: standard errors that a change must be better by. Static.
        outputs: width of each task's output; None for one each.
        recipe: of the whole run; None for ``Recipe()``.
        mode: of the optimizer state, ``"copy"`` or ``"fresh"``, for all alike. A structure that
            grows needs ``"fresh"``. Static.
        finish: whether the run goes on to its end, or stops with the decision. Static.
        stacked: whether the rows have a leading axis of seeds.
        activation: of the hidden layers.
        devices: over which seeds are spread; None for the first alone.
        checkpoint: folder to save the state in at the fork, after the look and at the end; None for
            none.
        resume: go on from the checkpoint there, if there is one; decision and numbers are those of
            a run that was never interrupted.

    Returns:
        The decisions.

    Raises:
        ValueError: a fork beyond the end of the run, fewer than two structures, a wider one with
            ``mode="copy"``, no validation rows, or a checkpoint of another look-ahead.

    Example:
        >>> from jaxmtl.data.rows import Rows
        >>> from jaxmtl.structure import separate, shared
        >>> x = jax.random.normal(jax.random.key(0), (60, 3))
        >>> data = Splits(Rows(x[:40], x[:40, :2]), Rows(x[40:], x[40:, :2]))
        >>> found = look_ahead(
        ...     [shared("ab", (2,)), separate("ab", (2,))],
        ...     data,
        ...     keys=jax.random.split(jax.random.key(1), 2),
        ...     at=4,
        ...     steps=2,
        ...     recipe=Recipe(steps=8),
        ... )
        >>> found.chosen.shape, found.gains.shape, found.cost
        ((2,), (2, 2), 1.5)
    """
    recipe = Recipe() if recipe is None else recipe
    check_fork(at, recipe, structures, mode)
    check_count("steps", steps)
    check_positive("z", z, zero=True)
    if len(structures) < 2:
        raise ValueError(
            f"structures: expected the one to begin with and at least one change, got "
            f"{len(structures)}"
        )
    features = jnp.shape(data.train.x)[-1]
    trunk, placed = place(structures, features, outputs, activation=activation)
    crew = make_members(trunk, recipe, data, keys, stacked=stacked, devices=devices)
    every = crew.every(placed)
    first = jax.tree.map(lambda leaf: leaf[:, :1], every)

    def to_the_fork(start: Standing) -> Standing:
        return start._replace(states=crew.forward(start.states, first, 0, at))

    def look(before: Standing) -> Standing:
        forked = crew.fork(before.states, first, every, mode)
        gains, errors = _gains(crew, forked, every, at, steps)
        chosen = np.argmax(np.where(gains > z * errors, gains, 0.0), axis=1)
        # With an axis of one member, as programs have it.
        states = taken(forked, chosen[:, None])
        return before._replace(states=states, chosen=chosen, gains=gains, errors=errors)

    def to_the_end(found: Standing) -> Standing:
        own = taken(every, found.chosen[:, None])
        states = crew.forward(found.states, own, at, recipe.steps - at)
        held = np.asarray(crew.shares(states, own, crew.held)).mean(axis=2)[:, 0]
        return found._replace(states=states, held=held.astype(np.float64))

    stages: list[Callable[[Standing], Standing]] = [to_the_fork, look, to_the_end]
    unknown = np.full((len(keys), len(structures)), np.nan)
    start = Standing(
        states=crew.start(first),
        chosen=np.zeros(len(keys), int),
        gains=unknown,
        errors=unknown,
        held=unknown[:, 0],
    )
    asked = {"at": at, "steps": steps, "z": z, "mode": mode, "finish": finish}
    with checkpoints(checkpoint, crew, structures, asked, resume=resume) as store:
        found = in_stages(stages if finish else stages[:2], start, store)
    return Looked(
        chosen=found.chosen,
        gains=found.gains,
        errors=found.errors,
        held=found.held,
        cost=(1.0 if finish else at / recipe.steps) + len(structures) * steps / recipe.steps,
        trunk=trunk,
        params=jax.tree.map(lambda leaf: leaf[:, 0], found.states.params),
        placed=placed,
    )


def _gains(
    crew: Members, forked: State, every: Placed, at: int, steps: int
) -> tuple[Float[np.ndarray, "seeds structures"], Float[np.ndarray, "seeds structures"]]:
    """What every change gains in some steps on, and the standard errors of that."""
    rates = crew.recipe.rate_at(at) * annealed(1.0, jnp.arange(steps) / steps)
    tried = crew.forward(forked, every, at, steps, rates)
    shares = np.asarray(crew.shares(tried, every, crew.held), np.float64)
    gain = shares[:, :1] - shares
    return gain.mean(axis=2), gain.std(axis=2, ddof=1) / np.sqrt(gain.shape[2])


def check_fork(at: int, recipe: Recipe, structures: Sequence[Structure], mode: Transplant) -> None:
    """Refuses a fork that there cannot be, and new nodes beside kept moments.

    Raises:
        ValueError: a step beyond the end, an unknown mode, or a structure with a wider layer than
            the first and ``mode="copy"``.
    """
    check_choice("mode", mode, ("copy", "fresh"))
    check_count("at", at, zero=True)
    if at >= recipe.steps:
        raise ValueError(f"at: expected a step before the last of {recipe.steps}, got {at}")
    for number, one in enumerate(structures):
        pairs = zip(one.widths, structures[0].widths, strict=False)
        if mode == "copy" and any(own > first for own, first in pairs):
            raise ValueError(
                f'mode: expected "fresh" beside structure number {number}, whose widths '
                f"{one.widths} are more than {structures[0].widths}, got 'copy': a new node has no "
                "moments, and Adam's first step on it would be 3.2 times the rate"
            )

"""How a structure is trained and what it is worth on held-out rows: pure functions of a member."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key, PyTree

from jaxmtl._validate import check_count, check_positive
from jaxmtl.data.rows import Rows
from jaxmtl.losses import Loss, mean_over_known, squared_error
from jaxmtl.structure.trunk import Placed, Trunk


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """How every structure is trained. Static.

    Attributes:
        loss: from outputs and targets to (batch, tasks); the mean over known labels, summed over
            tasks, is what is minimised.
        optimizer: factory from a learning rate to an optax optimizer whose steps are in proportion
            to the rate.
        rate: largest learning rate; it falls to 0 along half a cosine.
        steps: of a whole run.
        batch_size: rows of a step; of fewer rows, all.

    Example:
        >>> f"{Recipe(steps=100).rate_at(50).item():.4f}"
        '0.0050'
    """

    loss: Loss = squared_error
    optimizer: Callable[[float], optax.GradientTransformation] = optax.adam
    rate: float = 0.01
    steps: int = 4000
    batch_size: int = 8

    def __post_init__(self) -> None:
        """Checks the numbers."""
        check_positive("rate", self.rate)
        check_count("steps", self.steps)
        check_count("batch_size", self.batch_size)

    def rate_at(self, step: Any) -> Float[Array, "*steps"]:
        """The learning rate of a step of a whole run."""
        return annealed(self.rate, jnp.asarray(step) / self.steps)


class State(NamedTuple):
    """Where the training of a member stands.

    Attributes:
        params: of the network.
        opt_state: of the optimizer.
    """

    params: PyTree
    opt_state: PyTree


def annealed(rate: float, done: Array) -> Array:
    """Half a cosine from the rate to 0."""
    return rate * (1 + jnp.cos(jnp.pi * done)) / 2


def begin(trunk: Trunk, recipe: Recipe, key: Key[Array, ""], placed: Placed) -> State:
    """The state before the first step.

    Args:
        trunk: static.
        recipe: static.
        key: of the initial values, traced.
        placed: a structure, traced.
    """
    params = trunk.init(key, placed)
    return State(params, recipe.optimizer(1.0).init(params))


def batches(
    key: Key[Array, ""], rows: int, batch_size: int, first: Int[Any, ""], steps: int
) -> Int[Array, "steps batch"]:
    """Row numbers of some steps: every epoch a new order, of which what is left over is dropped.

    Args:
        key: of the orders, traced.
        rows: their number, static.
        batch_size: static.
        first: number of the first step, from the start of the run. Traced.
        steps: static.

    Returns:
        The numbers; those of a step do not depend on where the call begins.
    """
    size = min(batch_size, rows)
    each = rows // size
    epochs = first // each + jnp.arange(-(-steps // each) + 1)
    order = jax.vmap(lambda epoch: jax.random.permutation(jax.random.fold_in(key, epoch), rows))
    numbers = order(epochs)[:, : each * size].reshape(-1, size)
    return jax.lax.dynamic_slice_in_dim(numbers, first % each, steps)


def advance(
    trunk: Trunk,
    recipe: Recipe,
    state: State,
    placed: Placed,
    rows: Rows,
    order: Int[Array, "steps batch"],
    rates: Float[Array, " steps"],
) -> State:
    """Trains a member for some steps.

    Args:
        trunk: static.
        recipe: static.
        state: before, traced.
        placed: a structure, traced.
        rows: to learn from, traced.
        order: row numbers of every step, traced.
        rates: learning rates, traced.

    Returns:
        The state after.
    """
    optimizer = recipe.optimizer(1.0)
    rows = jax.tree.map(jnp.asarray, rows)

    def loss(params: PyTree, batch: Rows) -> Array:
        outputs = trunk.apply(params, placed, batch.x)
        return mean_over_known(recipe.loss(outputs, batch.y), batch.known).sum()

    def step(state: State, given: tuple[Array, Array]) -> tuple[State, None]:
        numbers, rate = given
        batch = jax.tree.map(lambda leaf: leaf[numbers], rows)
        gradient = jax.grad(loss)(state.params, batch)
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = jax.tree.map(lambda p, u: p + rate * u, state.params, updates)
        return State(params, opt_state), None

    return jax.lax.scan(step, state, (order, rates))[0]


def held_out(
    trunk: Trunk, recipe: Recipe, params: PyTree, placed: Placed, rows: Rows
) -> Float[Array, " rows"]:
    """What every held-out row says of a member; the mean is its error.

    The error of a task is its mean loss over that of outputs of 0, which for centred numbers is
    their variance: only so may tasks in other units be added.

    Args:
        trunk: static.
        recipe: static.
        params: traced.
        placed: traced.
        rows: held out, traced.

    Returns:
        A share of the error for each row.
    """
    rows = jax.tree.map(jnp.asarray, rows)
    outputs = trunk.apply(params, placed, rows.x)
    own = recipe.loss(outputs, rows.y)
    nothing = recipe.loss(jnp.zeros_like(outputs), rows.y)
    yardstick = mean_over_known(nothing, rows.known)
    weight = 1 / jnp.where(yardstick > 0, yardstick, 1)
    if rows.known is not None:
        seen = rows.known.sum(axis=0)
        weight = weight * (len(own) / jnp.maximum(seen, 1)) * (seen > 0)
        own = jnp.where(rows.known, own, 0)
        return (own * weight[None]).sum(axis=1) / jnp.maximum((seen > 0).sum(), 1)
    return (own * weight[None]).mean(axis=1)

"""An epoch on rows of a table: batches by their numbers, a rate for each update, and snapshots."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from jaxmtl.losses import Loss, mean_over_known
from jaxmtl.training.driver.placement import over_members
from jaxmtl.training.driver.program import DIVERGED, FINISHED, RUNNING
from jaxmtl.training.network import Network
from jaxmtl.training.tabular.schedule import factors, rate_at

BETA, BETA_2, EPSILON = 0.9, 0.95, 1e-8  # of Adam


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What all members have in common; static.

    Attributes:
        loss: from outputs and targets to (batch, tasks).
        batch_size: rows of an update.
        updates: of an epoch.
        rate: largest learning rate.
        decay: of weights, for the rate of each update.

    Example:
        >>> from jaxmtl.losses import squared_error
        >>> Options(loss=squared_error, batch_size=32, updates=4).rate
        0.02
    """

    loss: Loss
    batch_size: int
    updates: int
    rate: float = 0.02
    decay: float = 0.02


class TableRows(NamedTuple):
    """All rows of a table.

    Attributes:
        x: coded features.
        y: targets in original units, a class as its number; anything finite where not known.
        known: which of them are.
    """

    x: Float[Any, "rows features"]
    y: Float[Any, "rows tasks"]
    known: Bool[Any, "rows tasks"]


class Member(NamedTuple):
    """What is a member's own; leaves have a leading axis of members.

    Attributes:
        rows: numbers of the rows that it learns from, filled up at the end.
        number: of these.
        offset: of targets, taken off before they are learned.
        scale: of targets, by which they are divided.
        epochs: of its training.
        marks: epochs, counted from 1, at whose ends parameters are kept.
    """

    rows: Int[Any, " most"]
    number: Int[Any, ""]
    offset: Float[Any, " tasks"]
    scale: Float[Any, " tasks"]
    epochs: Int[Any, ""]
    marks: Int[Any, " marks"]


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["params", "mean", "square", "key", "epoch", "status", "kept"],
    meta_fields=[],
)
@dataclasses.dataclass(frozen=True, kw_only=True)
class State:
    """Where the training of a member stands.

    Attributes:
        params: of the network.
        mean: of the gradients, as Adam has it.
        square: of the gradients.
        key: of orders and dropout.
        epoch: done so far.
        status: of the driver.
        kept: parameters at the marks that were passed, with a leading axis of marks.
    """

    params: PyTree
    mean: PyTree
    square: PyTree
    key: Any
    epoch: Int[Array, ""]
    status: Int[Array, ""]
    kept: PyTree


class Record(NamedTuple):
    """What is written down of an epoch.

    Attributes:
        ran: whether it ran.
        train: mean loss of every task in it.
    """

    ran: Bool[Any, ""]
    train: Float[Any, " tasks"]


def begin(params: PyTree, key: Key[Array, ""], marks: int) -> State:
    """The state before the first epoch.

    Args:
        params: initial values.
        key: of orders and dropout.
        marks: how many snapshots there will be. Static.
    """
    zeros = jax.tree.map(jnp.zeros_like, params)
    zero = jnp.zeros((), jnp.int32)
    kept = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (marks, *leaf.shape)), params)
    return State(
        params=params,
        mean=zeros,
        square=zeros,
        key=key,
        epoch=zero,
        status=jnp.full((), RUNNING, jnp.int32),
        kept=kept,
    )


@functools.partial(jax.jit, static_argnames=("network", "options", "length", "mesh"))
def advance_all(
    network: Network,
    options: Options,
    states: State,
    data: TableRows,
    members: Member,
    limit: Int[Array, ""],
    *,
    length: int,
    mesh: Mesh,
) -> tuple[State, Record]:
    """Runs epochs of all members.

    Args:
        network: static.
        options: static.
        states: with a leading axis of members.
        data: the rows of all.
        members: with a leading axis of members.
        limit: epochs at most.
        length: rows of the records. Static.
        mesh: over which members are spread. Static.

    Returns:
        States, and records (members, length, ...).
    """

    def here(states: State, data: TableRows, members: Member, limit: Array) -> Any:
        one = functools.partial(_advance, network, options, length=length)
        return jax.vmap(one, (0, None, 0, None))(states, data, members, limit)

    return over_members(here, mesh, [True, False, True, False])(states, data, members, limit)


def _advance(
    network: Network,
    options: Options,
    state: State,
    data: TableRows,
    member: Member,
    limit: Array,
    *,
    length: int,
) -> tuple[State, Record]:
    tasks = data.y.shape[1]
    empty = Record(jnp.zeros(length, bool), jnp.zeros((length, tasks)))

    def body(number: Array, carry: tuple[State, Record]) -> tuple[State, Record]:
        state, records = carry
        after, train = epoch(network, options, state, data, member)
        going = state.status == RUNNING
        pair = (dataclasses.replace(one, key=None) for one in (after, state))
        kept = jax.tree.map(lambda new, old: jnp.where(going, new, old), *pair)
        state = dataclasses.replace(kept, key=state.key)
        row = Record(going, train)
        records = jax.tree.map(lambda to, value: to.at[number].set(value), records, row)
        return state, records

    return jax.lax.fori_loop(0, jnp.minimum(limit, length), body, (state, empty))


def epoch(
    network: Network, options: Options, state: State, data: TableRows, member: Member
) -> tuple[State, Float[Array, " tasks"]]:
    """One pass over the rows of a member, in an order of its own.

    Args:
        network: static.
        options: static.
        state: before it.
        data: all rows.
        member: which of them are its own.

    Returns:
        The state after it, and the mean loss of every task.
    """
    # The key of the start stays: every epoch has its own, folded from it by its number.
    own = jax.random.fold_in(state.key, state.epoch)
    order_key, drop_key = jax.random.split(own)
    places = jnp.arange(member.rows.shape[0])
    drawn = jnp.where(places < member.number, jax.random.uniform(order_key, places.shape), jnp.inf)
    order = member.rows[jnp.argsort(drawn)]
    rates, decays = factors(state.params)
    total = (member.epochs * options.updates).astype(jnp.float32)

    def update(carry: Any, number: Array) -> tuple[Any, Array]:
        params, mean, square = carry
        batch = jax.lax.dynamic_slice_in_dim(order, number * options.batch_size, options.batch_size)
        rows = TableRows(*(leaf[batch] for leaf in data))
        (_, losses), gradient = jax.value_and_grad(_loss, argnums=2, has_aux=True)(
            network, options, params, rows, member, jax.random.fold_in(drop_key, number)
        )
        step = (state.epoch * options.updates + number).astype(jnp.float32)
        rate = options.rate * rate_at((step + 0.5) / total)
        mean = jax.tree.map(lambda m, g: BETA * m + (1 - BETA) * g, mean, gradient)
        square = jax.tree.map(lambda s, g: BETA_2 * s + (1 - BETA_2) * g**2, square, gradient)
        first, second = 1 - BETA ** (step + 1), 1 - BETA_2 ** (step + 1)

        def moved(p: Array, m: Array, s: Array, factor: float, decay: float) -> Array:
            towards = (m / first) / (jnp.sqrt(s / second) + EPSILON)
            return p - rate * (factor * towards + decay * options.decay * p)

        params = jax.tree.map(moved, params, mean, square, rates, decays)
        return (params, mean, square), losses

    start = (state.params, state.mean, state.square)
    (params, mean, square), losses = jax.lax.scan(update, start, jnp.arange(options.updates))
    done, train = state.epoch + 1, losses.mean(axis=0)
    here = member.marks == done
    kept = jax.tree.map(
        lambda old, new: jnp.where(here.reshape(-1, *(1,) * new.ndim), new[None], old),
        state.kept,
        params,
    )
    status = jnp.where(done >= member.epochs, FINISHED, RUNNING)
    after = State(
        params=params,
        mean=mean,
        square=square,
        key=state.key,
        epoch=done,
        status=jnp.where(jnp.isfinite(train).all(), status, DIVERGED).astype(jnp.int32),
        kept=kept,
    )
    return after, train


def _loss(
    network: Network,
    options: Options,
    params: PyTree,
    rows: TableRows,
    member: Member,
    key: Key[Array, ""],
) -> tuple[Array, Array]:
    outputs = network.apply(params, None, rows.x, key=key, train=True).outputs
    y = (rows.y - member.offset[None]) / member.scale[None]
    losses = mean_over_known(options.loss(outputs, y), rows.known)
    return losses.sum(), losses

"""The order of an epoch: its batches, and the keys of what it draws."""

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Int, Key

from jaxmtl.data.rows import Rows
from jaxmtl.training.driver.placement import BATCH
from jaxmtl.training.phased.choice import Choice
from jaxmtl.training.phased.combining import draws, looks_ahead
from jaxmtl.training.phased.phases import NEVER
from jaxmtl.training.phased.state import Config, TrainState


def make_batches(config: Config, state: TrainState, rows: Rows) -> Rows:
    """The batches of an epoch, in order, stacked along the first axis.

    The last one is filled up with copies of the first rows whose labels count as unknown.
    """
    num_rows = rows.x.shape[0]
    steps = -(-num_rows // config.batch_size)
    known, missing = rows.known, steps * config.batch_size - num_rows
    order = None
    if config.shuffle:
        key = jax.random.fold_in(jax.random.fold_in(state.key, state.phase), state.epoch)
        order = jax.random.permutation(key, num_rows)
    if missing:
        order = jnp.arange(num_rows) if order is None else order
        order = jnp.concatenate([order, order[:1].repeat(missing)])
        if known is None:
            known = jnp.ones((num_rows, config.num_tasks), jnp.bool)

    def batched(leaf: Array) -> Array:
        leaf = leaf if order is None else leaf[order]
        return leaf.reshape(steps, config.batch_size, *leaf.shape[1:])

    batches = jax.tree.map(batched, Rows(rows.x, rows.y, known))
    if missing:
        counted = jnp.arange(steps * config.batch_size).reshape(steps, -1, 1) < num_rows
        batches = batches._replace(known=batches.known & counted)
    if config.mesh is not None:
        over_devices = NamedSharding(config.mesh, PartitionSpec(None, BATCH))
        batches = jax.lax.with_sharding_constraint(batches, over_devices)
    return batches


def batch_at(config: Config, batches: Rows, number: Int[Array, ""]) -> tuple[Rows, Rows | None]:
    """A batch, and the next one for methods that look ahead; after the last comes the first."""
    batch = jax.tree.map(lambda leaf: leaf[number], batches)
    method = config.aggregator
    if not (method.looks_ahead if isinstance(method, Choice) else looks_ahead(method)):
        return batch, None
    following = (number + 1) % batches.x.shape[0]
    return batch, jax.tree.map(lambda leaf: leaf[following], batches)


def combining_key(config: Config, state: TrainState) -> Key[Array, ""] | None:
    """Of this epoch's draws, apart from those of the order and of the choice of nodes."""
    method = config.aggregator
    if method is None or not (method.draws if isinstance(method, Choice) else draws(method)):
        return None
    key = jax.random.fold_in(state.key, NEVER // 2 - state.phase)
    return jax.random.fold_in(key, state.epoch)


def forward_key(config: Config, state: TrainState) -> Key[Array, ""] | None:
    """Of this epoch's forward passes, for networks that draw in training; apart from all others."""
    if not config.draws:
        return None
    key = jax.random.fold_in(state.key, NEVER // 4 - state.phase)
    return jax.random.fold_in(key, state.epoch)

"""What became not finite, where, and the last state before it."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxmtl.data.rows import Splits
from jaxmtl.losses import mean_over_known
from jaxmtl.training.driver.program import RUNNING
from jaxmtl.training.network import Network
from jaxmtl.training.phased.batches import forward_key, make_batches
from jaxmtl.training.phased.epoch import epoch
from jaxmtl.training.phased.phases import PhaseTable
from jaxmtl.training.phased.run import Divergence
from jaxmtl.training.phased.state import Config, EpochRecord, TrainState


@functools.partial(jax.jit, static_argnames=("network", "config"))
def repeat_carefully(
    network: Network, config: Config, state: TrainState, data: Splits, phases: PhaseTable
) -> tuple[TrainState, EpochRecord]:
    """The epoch that diverged once more, with every update checked, up to the one that failed."""
    state = dataclasses.replace(state, status=jnp.full_like(state.status, RUNNING))
    return epoch(network, config, state, data, phases, careful=True)


def blame(
    network: Network, config: Config, state: TrainState, data: Splits, record: EpochRecord
) -> Divergence:
    """Names the update that failed and the first task whose loss or slope was not finite.

    Args:
        network: static.
        config: static.
        state: after ``repeat_carefully``.
        data: of the run.
        record: of that epoch.

    Returns:
        Where the run stopped.
    """
    number, samples = int(record.epoch), int(record.samples)
    before = dataclasses.replace(state, epoch=state.epoch - 1)
    batches = make_batches(config, before, data.train)
    batch = jax.tree.map(lambda leaf: leaf[samples // config.batch_size], batches)
    key = forward_key(config, before)
    if key is not None:
        key = jax.random.fold_in(key, samples // config.batch_size)
    outputs = network.apply(
        state.params, state.state, batch.x, pointers=state.head_index, key=key, train=True
    ).outputs

    def losses_of(outputs: Array) -> Array:
        return mean_over_known(config.loss(outputs, batch.y), batch.known)

    losses = np.asarray(losses_of(outputs))
    # A zero cotangent times an infinite slope is NaN: only a task's own columns tell on it.
    slopes = np.asarray(jax.grad(lambda outputs: losses_of(outputs).sum())(outputs))
    widths = network.widths or (1,) * len(losses)
    columns = np.split(np.isfinite(slopes).all(axis=0), np.cumsum(widths)[:-1])
    bad = ~np.isfinite(losses)
    if not bad.any():
        bad = np.array([not column.all() for column in columns])
    task = int(np.argmax(bad)) if bad.any() else -1
    return Divergence(phase=int(record.phase), epoch=number, sample=samples, task=task)

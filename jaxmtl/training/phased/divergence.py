"""What became not finite, where, and the last state before it."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxmtl._typing import Network
from jaxmtl.data.rows import Splits
from jaxmtl.losses import mean_over_known
from jaxmtl.training.phased.epoch import epoch, make_batches
from jaxmtl.training.phased.phases import PhaseTable
from jaxmtl.training.phased.run import Divergence
from jaxmtl.training.phased.state import RUNNING, Config, EpochRecord, TrainState


@functools.partial(jax.jit, static_argnames=("model", "config"))
def repeat_carefully(
    model: Network, config: Config, state: TrainState, data: Splits, phases: PhaseTable
) -> tuple[TrainState, EpochRecord]:
    """The epoch that diverged once more, with every update checked, up to the one that failed."""
    state = dataclasses.replace(state, status=jnp.full_like(state.status, RUNNING))
    return epoch(model, config, state, data, phases, careful=True)


def blame(
    model: Network, config: Config, state: TrainState, data: Splits, record: EpochRecord
) -> Divergence:
    """Names the update that failed and the first task whose loss or slope was not finite.

    Args:
        model: static.
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
    index = () if state.head_index is None else (state.head_index,)
    outputs = model.apply({"params": state.params}, batch.x, *index)

    def losses_of(outputs: Array) -> Array:
        return mean_over_known(config.loss(outputs, batch.y), batch.known)

    losses = np.asarray(losses_of(outputs))
    # A zero cotangent times an infinite slope is NaN: only a task's own columns tell on it.
    slopes = np.asarray(jax.grad(lambda outputs: losses_of(outputs).sum())(outputs))
    widths = getattr(model, "outputs", None) or (1,) * len(losses)
    columns = np.split(np.isfinite(slopes).all(axis=0), np.cumsum(widths)[:-1])
    bad = ~np.isfinite(losses)
    if not bad.any():
        bad = np.array([not column.all() for column in columns])
    task = int(np.argmax(bad)) if bad.any() else -1
    return Divergence(phase=int(record.phase), epoch=number, sample=samples, task=task)

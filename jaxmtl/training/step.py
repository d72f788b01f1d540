"""One update: gradients, evidence of conflict, optimizer, and the decision to stop."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxmtl._typing import Network
from jaxmtl.conflict import count_conflicts, node_conflict, update_streak, weight_conflict
from jaxmtl.duplication import HeadIndex, readers, slots_to_columns
from jaxmtl.losses import mean_over_known
from jaxmtl.training.state import Config


class Batch(NamedTuple):
    """Samples of one update; ``known`` is None when every label is."""

    x: Float[Array, "batch features"]
    y: Float[Array, "batch outputs"]
    known: Bool[Array, "batch tasks"] | None


class Carry(NamedTuple):
    """What goes from update to update inside an epoch.

    Attributes:
        packed: parameters as the optimizer sees them.
        opt_state: of the optimizer.
        streak: after the last sample, or at the sample that fired; None where nothing is counted.
        conflicts: samples in conflict at each column in this epoch.
        signs: gradient of each task at each column and the inputs of the bank at the sample that
            fired, from which more than two readers are parted; None for two tasks.
        updates: number of updates made.
        place: place in its batch of the sample that fired.
        fired: a streak reached the threshold.
        diverged: a loss or a gradient was not finite; the update was not made.
    """

    packed: PyTree
    opt_state: PyTree
    streak: Int[Array, "*weights capacity"] | None
    conflicts: Int[Array, " capacity"] | None
    signs: tuple[Float[Array, "tasks capacity"], Float[Array, " inputs"]] | None
    updates: Int[Array, ""]
    place: Int[Array, ""]
    fired: Bool[Array, ""]
    diverged: Bool[Array, ""]

    @property
    def going(self) -> Bool[Array, ""]:
        """Whether the next update is to be made."""
        return ~(self.fired | self.diverged)


class Knobs(NamedTuple):
    """What is constant within an epoch."""

    head_index: HeadIndex | None
    learning_rate: Float[Array, ""]
    threshold: Int[Array, ""]


def task_losses(
    model: Network,
    config: Config,
    params: PyTree,
    head_index: HeadIndex | None,
    batch: Batch,
    taps: Float[Array, "batch tasks nodes"] | None = None,
) -> tuple[Float[Array, " tasks"], Float[Array, "batch inputs"] | None]:
    """Loss of every task on a batch, and the inputs of the bank if there are taps."""
    variables, inputs = {"params": params}, None
    if taps is not None:
        inputs = model.apply(variables, batch.x, method="trunk")
        outputs = model.apply(variables, inputs, head_index, taps, method="heads")
    elif head_index is not None:
        outputs = model.apply(variables, batch.x, head_index)
    else:
        outputs = model.apply(variables, batch.x)
    # Errors of half-precision outputs are formed in float32.
    precise = jnp.promote_types(outputs.dtype, jnp.float32)
    losses = config.loss(outputs.astype(precise), batch.y.astype(precise))
    return mean_over_known(losses, batch.known), inputs


def make_step(
    model: Network,
    config: Config,
    unpack: Callable[[PyTree], PyTree],
    knobs: Knobs,
    *,
    careful: bool = False,
) -> Callable[[Carry, Batch], Carry]:
    """Builds the update of one batch: ``step(carry, batch) -> carry``.

    A plain step only raises its flag when a loss is not finite; a careful one looks at gradients,
    parameters and optimizer too, and leaves everything as it was before the update that failed.
    """
    optimizer = config.optimizer(knobs.learning_rate)
    if config.counts:
        reads = readers(knobs.head_index, model.num_columns)

    def step(carry: Carry, batch: Batch) -> Carry:
        def objective(packed, taps):
            losses, inputs = task_losses(
                model, config, unpack(packed), knobs.head_index, batch, taps
            )
            return losses.sum(), (losses, inputs)

        counted = {}
        gradient = jax.grad(objective, argnums=(0, 1) if config.counts else 0, has_aux=True)
        if config.counts:
            taps = jnp.zeros((batch.x.shape[0], *knobs.head_index.shape))
            (grads, deltas), (losses, inputs) = gradient(carry.packed, taps)
            deltas = slots_to_columns(deltas, knobs.head_index, model.num_columns)
            counted = count(carry, batch, inputs, deltas)
        else:
            grads, (losses, _) = gradient(carry.packed, None)
        updates, opt_state = optimizer.update(grads, carry.opt_state, carry.packed)
        packed = optax.apply_updates(carry.packed, updates)
        finite = jnp.isfinite(losses).all()
        new = carry._replace(
            packed=packed, opt_state=opt_state, updates=carry.updates + 1, **counted
        )
        if careful:
            finite &= all_finite((grads, packed, opt_state))
            new = jax.tree.map(lambda new, old: jnp.where(finite, new, old), new, carry)
        return new._replace(diverged=~finite)

    def count(carry: Carry, batch: Batch, inputs: Array, deltas: Array) -> dict[str, Any]:
        mask = reads if batch.known is None else reads[None] & batch.known[:, :, None]
        if model.positive_bank_inputs:
            evidence = node_conflict(deltas, mask, rule=config.rule)
            found = evidence.conflict
        else:
            evidence = weight_conflict(inputs, deltas, mask, rule=config.rule)
            found = evidence.conflict.any(axis=1)
        runs = update_streak(carry.streak, evidence, zeros=config.zeros)
        hits = runs.max(axis=tuple(range(1, runs.ndim))) >= knobs.threshold
        fired = hits.any()
        place = jnp.int32(0)
        if config.batch_size > 1:
            place = jnp.where(fired, jnp.argmax(hits), runs.shape[0] - 1).astype(jnp.int32)
        signs = carry.signs
        if signs is not None:
            signs = (deltas[place], inputs[place].astype(deltas.dtype))
        conflicts = carry.conflicts + count_conflicts(found)
        return {
            "streak": runs[place],
            "conflicts": conflicts,
            "signs": signs,
            "place": place,
            "fired": fired,
        }

    return step


def all_finite(tree: PyTree) -> Bool[Array, ""]:
    """Whether no leaf holds a NaN or an infinity."""
    leaves = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]
    return jnp.stack(leaves).all()

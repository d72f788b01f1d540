"""One update: gradients, evidence of conflict, optimizer, and the decision to stop."""

from collections.abc import Callable
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxmtl._typing import BankNetwork, Network
from jaxmtl.data.rows import Rows
from jaxmtl.duplication import AnyIndex
from jaxmtl.losses import mean_over_known
from jaxmtl.training.counting import Tally, count_batch
from jaxmtl.training.state import Config


class Carry(NamedTuple):
    """What goes from update to update inside an epoch.

    Attributes:
        packed: parameters as the optimizer sees them.
        opt_state: of the optimizer.
        tally: conflict counted; None where nothing is.
        updates: number of updates made.
        fired: a streak reached the threshold, or the phase was told to stop here.
        diverged: a loss or a gradient was not finite.
    """

    packed: PyTree
    opt_state: PyTree
    tally: Tally | None
    updates: Int[Array, ""]
    fired: Bool[Array, ""]
    diverged: Bool[Array, ""]

    @property
    def going(self) -> Bool[Array, ""]:
        """Whether the next update is to be made."""
        return ~(self.fired | self.diverged)


class Knobs(NamedTuple):
    """What is constant within an epoch.

    Attributes:
        head_index: None for networks without a bank.
        learning_rate: of the optimizer.
        threshold: that a streak must reach.
        stop: number of updates of this epoch after which the phase stops.
    """

    head_index: AnyIndex | None
    learning_rate: Float[Array, ""]
    threshold: Int[Array, ""]
    stop: Int[Array, ""]


class Seen(NamedTuple):
    """What a network makes of some rows.

    Attributes:
        outputs: of all tasks side by side, in float32 or wider.
        errors: mean loss of every task.
        penalty: what the network adds to their sum; 0 for most.
        inputs: of the bank, if there were taps.
    """

    outputs: Float[Array, "batch outputs"]
    errors: Float[Array, " tasks"]
    penalty: Float[Array, ""] | float
    inputs: Float[Array, "batch inputs"] | None


def look(
    model: Network,
    config: Config,
    params: PyTree,
    head_index: AnyIndex | None,
    rows: Rows,
    taps: Float[Array, "batch tasks nodes"] | None = None,
) -> Seen:
    """Applies a network to rows; one with ``has_penalties`` sows its own in ``"penalties"``."""
    variables, inputs, penalty = {"params": params}, None, 0.0
    if taps is not None:
        inputs = model.apply(variables, rows.x, method="trunk")
        outputs = model.apply(variables, inputs, head_index, taps, method="heads")
    elif head_index is not None:
        outputs = model.apply(variables, rows.x, head_index)
    elif getattr(model, "has_penalties", False):
        outputs, sown = model.apply(variables, rows.x, mutable=["penalties"])
        penalty = sum(leaf.sum() for leaf in jax.tree.leaves(sown))
    else:
        outputs = model.apply(variables, rows.x)
    # Errors of half-precision outputs are formed in float32.
    precise = jnp.promote_types(outputs.dtype, jnp.float32)
    outputs = outputs.astype(precise)
    losses = config.loss(outputs, rows.y.astype(precise))
    return Seen(outputs, mean_over_known(losses, rows.known), penalty, inputs)


def make_step(
    model: Network,
    config: Config,
    unpack: Callable[[PyTree], PyTree],
    *,
    careful: bool = False,
) -> Callable[[Carry, Knobs, Rows], Carry]:
    """Builds the update of one batch: ``step(carry, knobs, batch) -> carry``.

    A plain step only raises its flag when a loss is not finite; a careful one looks at gradients,
    parameters and optimizer too, and leaves everything as it was before the update that failed.
    """

    def step(carry: Carry, knobs: Knobs, batch: Rows) -> Carry:
        optimizer = config.optimizer(knobs.learning_rate)

        def objective(packed: PyTree, taps: Array | None) -> tuple[Array, Seen]:
            seen = look(model, config, unpack(packed), knobs.head_index, batch, taps)
            return seen.errors.sum() + seen.penalty, seen

        tally = carry.tally
        if tally is not None and knobs.head_index is not None:
            taps = jnp.zeros((batch.x.shape[0], *knobs.head_index.shape))
            gradient = jax.grad(objective, argnums=(0, 1), has_aux=True)
            (grads, deltas), seen = gradient(carry.packed, taps)
            tally = count_batch(
                cast(BankNetwork, model),
                config,
                tally,
                knobs.head_index,
                knobs.threshold,
                seen.inputs,
                deltas,
                batch.known,
            )
        else:
            grads, seen = jax.grad(objective, has_aux=True)(carry.packed, None)
        updates, opt_state = optimizer.update(grads, carry.opt_state, carry.packed)
        packed = optax.apply_updates(carry.packed, updates)
        finite = jnp.isfinite(seen.errors).all()
        number = carry.updates + 1
        fired = number >= knobs.stop
        if tally is not None:
            fired |= tally.fired
        new = Carry(packed, opt_state, tally, number, fired, jnp.bool(False))
        if careful:
            finite &= all_finite((grads, packed, opt_state))
            new = jax.tree.map(lambda new, old: jnp.where(finite, new, old), new, carry)
        return new._replace(diverged=~finite)

    return step


def all_finite(tree: PyTree) -> Bool[Array, ""]:
    """Whether no leaf holds a NaN or an infinity."""
    leaves = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]
    return jnp.stack(leaves).all()

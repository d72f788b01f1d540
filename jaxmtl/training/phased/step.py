"""One update: gradients, evidence of conflict, optimizer, and the decision to stop."""

from collections.abc import Callable
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from jaxmtl._typing import BankNetwork, Network
from jaxmtl.data.rows import Rows
from jaxmtl.duplication import AnyIndex
from jaxmtl.losses import mean_over_known
from jaxmtl.training.phased.combining import Ahead, Combination, combine, observe, shared_parameters
from jaxmtl.training.phased.counting import Tally, count_batch
from jaxmtl.training.phased.state import Config, pack


class Carry(NamedTuple):
    """What goes from update to update inside an epoch.

    Attributes:
        packed: parameters as the optimizer sees them.
        opt_state: of the optimizer.
        tally: conflict counted; None where nothing is.
        combining: state of what combines the gradients of the tasks; None for their sum.
        combination: what it did, summed over the updates; None for their sum.
        updates: number of updates made.
        fired: a streak reached the threshold, or the phase was told to stop here.
        diverged: a loss or a gradient was not finite.
    """

    packed: PyTree
    opt_state: PyTree
    tally: Tally | None
    combining: PyTree
    combination: Combination | None
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
        key: of methods that draw to combine gradients.
    """

    head_index: AnyIndex | None
    learning_rate: Float[Array, ""]
    threshold: Int[Array, ""]
    stop: Int[Array, ""]
    key: Key[Array, ""] | None


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
) -> Callable[[Carry, Knobs, Rows, Rows | None], Carry]:
    """Builds the update of one batch: ``step(carry, knobs, batch, following) -> carry``.

    The batch that follows is for methods that look ahead, and None for all others.

    A plain step only raises its flag when a loss is not finite; a careful one looks at gradients,
    parameters and optimizer too, and leaves everything as it was before the update that failed.
    """

    def step(carry: Carry, knobs: Knobs, batch: Rows, following: Rows | None) -> Carry:
        optimizer = config.optimizer(knobs.learning_rate)
        taps = None
        if carry.tally is not None and knobs.head_index is not None:
            taps = jnp.zeros((batch.x.shape[0], *knobs.head_index.shape))

        def seen_at(packed: PyTree, taps: Array | None) -> Seen:
            return look(model, config, unpack(packed), knobs.head_index, batch, taps)

        if config.aggregator is None:
            found = _summed(seen_at, carry.packed, taps)
        else:
            ahead = following and Ahead(
                lambda params, rows: look(model, config, params, knobs.head_index, rows).errors,
                batch,
                following,
                knobs.learning_rate,
            )
            found = _combined(
                *(model, config, seen_at, unpack, carry, knobs, batch, taps), ahead=ahead
            )
        tally = carry.tally
        if tally is not None and knobs.head_index is not None and found.deltas is not None:
            tally = count_batch(
                cast(BankNetwork, model),
                config,
                tally,
                knobs.head_index,
                knobs.threshold,
                found.seen.inputs,
                found.deltas,
                batch.known,
            )
        updates, opt_state = optimizer.update(found.grads, carry.opt_state, carry.packed)
        packed = optax.apply_updates(carry.packed, updates)
        combining = found.combining
        if config.aggregator is not None:
            combining = observe(
                config.aggregator,
                lambda: seen_at(packed, None).errors,
                combining,
                present_tasks(batch),
                config.num_tasks,
            )
        finite = jnp.isfinite(found.seen.errors).all()
        number = carry.updates + 1
        fired = number >= knobs.stop
        if tally is not None:
            fired |= tally.fired
        new = Carry(
            packed,
            opt_state,
            tally,
            combining,
            found.combination,
            number,
            fired,
            jnp.bool(False),
        )
        if careful:
            finite &= all_finite((found.grads, packed, opt_state))
            new = jax.tree.map(lambda new, old: jnp.where(finite, new, old), new, carry)
        return new._replace(diverged=~finite)

    return step


class _Found(NamedTuple):
    """Gradients of one update.

    Attributes:
        grads: for the optimizer.
        seen: of the forward pass.
        deltas: every task's slopes at the taps, if there are taps.
        combining: next state of what combines the gradients of the tasks.
        combination: sums over the updates of the epoch so far.
    """

    grads: PyTree
    seen: Seen
    deltas: Array | None = None
    combining: PyTree = None
    combination: Combination | None = None


SeenAt = Callable[[PyTree, Array | None], Seen]


def _summed(seen_at: SeenAt, packed: PyTree, taps: Array | None) -> _Found:
    """The gradient of the sum of all losses; with taps, all deltas come with it."""

    def objective(packed: PyTree, taps: Array | None) -> tuple[Array, Seen]:
        seen = seen_at(packed, taps)
        return seen.errors.sum() + seen.penalty, seen

    if taps is None:
        grads, seen = jax.grad(objective, has_aux=True)(packed, None)
        return _Found(grads, seen)
    (grads, deltas), seen = jax.grad(objective, argnums=(0, 1), has_aux=True)(packed, taps)
    return _Found(grads, seen, deltas)


def _combined(
    model: Network,
    config: Config,
    seen_at: SeenAt,
    unpack: Callable[[PyTree], PyTree],
    carry: Carry,
    knobs: Knobs,
    batch: Rows,
    taps: Array | None,
    *,
    ahead: Ahead | None,
) -> _Found:
    """Task gradients by one backward pass each, combined; penalties are added as they are."""

    def losses(packed: PyTree, taps: Array | None) -> tuple[tuple[Array, Array], Seen]:
        seen = seen_at(packed, taps)
        return (seen.errors, jnp.asarray(seen.penalty, seen.errors.dtype)), seen

    (errors, penalty), pullback, seen = jax.vjp(losses, carry.packed, taps, has_aux=True)

    def gradient_of(weights: Array) -> PyTree:
        return unpack(pullback((weights, jnp.zeros_like(penalty)))[0])

    assert config.aggregator is not None
    params = unpack(carry.packed)
    found = combine(
        config.aggregator,
        errors,
        gradient_of,
        carry.combining,
        shared=shared_parameters(model, params, knobs.head_index),
        params=params,
        key=None if knobs.key is None else jax.random.fold_in(knobs.key, carry.updates),
        present=present_tasks(batch),
        ahead=ahead,
    )
    grads, _ = pack(config.optimizer, found.grads)
    if getattr(model, "has_penalties", False):
        own = pullback((jnp.zeros_like(errors), jnp.ones_like(penalty)))[0]
        grads = jax.tree.map(jnp.add, grads, own)
    # A task's own slopes, whatever its weight.
    deltas = None if taps is None else pullback((jnp.ones_like(errors), penalty * 0))[1]
    total = jax.tree.map(jnp.add, carry.combination, found.combination)
    return _Found(grads, seen, deltas, found.state, total)


def present_tasks(batch: Rows) -> Bool[Array, " tasks"] | None:
    """Tasks of which the batch has a label; None for all."""
    return None if batch.known is None else batch.known.any(axis=0)


def all_finite(tree: PyTree) -> Bool[Array, ""]:
    """Whether no leaf holds a NaN or an infinity."""
    leaves = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]
    return jnp.stack(leaves).all()

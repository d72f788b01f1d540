"""One update: gradients, evidence of conflict, optimizer, and the decision to stop."""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from jaxmtl._modes import take_step
from jaxmtl.data.rows import Rows
from jaxmtl.duplication import AnyIndex
from jaxmtl.losses import mean_over_known
from jaxmtl.training.network import Bank, Network
from jaxmtl.training.phased.choice import Choice, combine_by_choice, observe_by_choice
from jaxmtl.training.phased.combining import Ahead, Combination, combine, observe
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
        state: of the network; None for most.
    """

    packed: PyTree
    opt_state: PyTree
    tally: Tally | None
    combining: PyTree
    combination: Combination | None
    updates: Int[Array, ""]
    fired: Bool[Array, ""]
    diverged: Bool[Array, ""]
    state: PyTree = None

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
        forward_key: of networks that draw in training.
    """

    head_index: AnyIndex | None
    learning_rate: Float[Array, ""]
    threshold: Int[Array, ""]
    stop: Int[Array, ""]
    key: Key[Array, ""] | None
    forward_key: Key[Array, ""] | None = None


class Seen(NamedTuple):
    """What a network makes of some rows.

    Attributes:
        outputs: of all tasks side by side, in float32 or wider.
        errors: mean loss of every task.
        penalty: what the network adds to their sum; 0 for most.
        inputs: of the bank, if there were taps.
        state: of the network after these rows.
    """

    outputs: Float[Array, "batch outputs"]
    errors: Float[Array, " tasks"]
    penalty: Float[Array, ""] | float
    inputs: Float[Array, "batch inputs"] | None
    state: PyTree


def look(
    network: Network,
    config: Config,
    params: PyTree,
    state: PyTree,
    head_index: AnyIndex | None,
    rows: Rows,
    *,
    key: Key[Array, ""] | None = None,
    train: bool = False,
    taps: Float[Array, "batch tasks nodes"] | None = None,
) -> Seen:
    """Applies a network to rows.

    Args:
        network: static.
        config: static.
        params: traced.
        state: of the network, traced.
        head_index: None for networks without a bank, traced.
        rows: traced.
        key: of networks that draw, traced; None in evaluation.
        train: whether this is for an update. Static.
        taps: see ``Network.apply``.

    Returns:
        Outputs and errors.
    """
    applied = network.apply(
        params, state, rows.x, pointers=head_index, key=key, train=train, taps=taps
    )
    # Errors of half-precision outputs are formed in float32.
    precise = jnp.promote_types(applied.outputs.dtype, jnp.float32)
    outputs = applied.outputs.astype(precise)
    losses = config.loss(outputs, rows.y.astype(precise))
    errors = mean_over_known(losses, rows.known)
    return Seen(outputs, errors, applied.penalty, applied.inputs, applied.state)


def make_step(
    network: Network,
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

        forward_key = None
        if knobs.forward_key is not None:
            forward_key = jax.random.fold_in(knobs.forward_key, carry.updates)

        def seen_by(params: PyTree, rows: Rows, taps: Array | None = None) -> Seen:
            # What looks more than once draws the same, so that only the parameters differ.
            key = None if forward_key is None else jax.random.clone(forward_key)
            return look(
                *(network, config, params, carry.state, knobs.head_index, rows),
                key=key,
                train=True,
                taps=taps,
            )

        def seen_at(packed: PyTree, taps: Array | None) -> Seen:
            return seen_by(unpack(packed), batch, taps)

        if config.aggregator is None:
            found = _summed(seen_at, carry.packed, taps)
        else:
            ahead = following and Ahead(
                lambda params, rows: seen_by(params, rows).errors,
                batch,
                following,
                knobs.learning_rate,
            )
            found = _combined(
                *(network, config, seen_at, unpack, carry, knobs, batch, taps), ahead=ahead
            )
        tally = carry.tally
        if tally is not None and knobs.head_index is not None and found.deltas is not None:
            tally = count_batch(
                cast(Bank, network.bank),
                config,
                tally,
                knobs.head_index,
                knobs.threshold,
                found.seen.inputs,
                found.deltas,
                batch.known,
            )
        packed, opt_state = take_step(
            *(optimizer, found.grads, carry.opt_state, carry.packed),
            value=found.value,
            value_fn=found.value_fn,
        )
        combining = found.combining
        if config.aggregator is not None:
            choice = isinstance(config.aggregator, Choice)
            look_again: Any = observe_by_choice if choice else observe
            combining = look_again(
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
            found.seen.state,
        )
        if careful:
            finite &= all_finite((found.grads, packed))
            # The least loss so far, say, is infinite as long as there is none.
            finite &= all_finite(jax.tree.map(_unless_before, opt_state, carry.opt_state))
            new = jax.tree.map(lambda new, old: jnp.where(finite, new, old), new, carry)
        return new._replace(diverged=~finite)

    return step


class Slopes(NamedTuple):
    """Gradients of one update.

    Attributes:
        grads: for the optimizer.
        seen: of the forward pass.
        value: the loss that belongs to the gradients, see ``Combined``, with what penalties add.
        value_fn: it as a function of the packed parameters; None where there is no such function.
        deltas: every task's slopes at the taps, if there are taps.
        combining: next state of what combines the gradients of the tasks.
        combination: sums over the updates of the epoch so far.
    """

    grads: PyTree
    seen: Seen
    value: Float[Array, ""]
    value_fn: Callable[[PyTree], Float[Array, ""]] | None
    deltas: Array | None = None
    combining: PyTree = None
    combination: Combination | None = None


SeenAt = Callable[[PyTree, Array | None], Seen]


def _summed(seen_at: SeenAt, packed: PyTree, taps: Array | None) -> Slopes:
    """The gradient of the sum of all losses; with taps, all deltas come with it."""

    def objective(packed: PyTree, taps: Array | None) -> tuple[Array, Seen]:
        seen = seen_at(packed, taps)
        return seen.errors.sum() + seen.penalty, seen

    def value_fn(packed: PyTree) -> Array:
        return objective(packed, None)[0]

    if taps is None:
        (value, seen), grads = jax.value_and_grad(objective, has_aux=True)(packed, None)
        return Slopes(grads, seen, value, value_fn)
    both = jax.value_and_grad(objective, argnums=(0, 1), has_aux=True)
    (value, seen), (grads, deltas) = both(packed, taps)
    return Slopes(grads, seen, value, value_fn, deltas)


def _combined(
    network: Network,
    config: Config,
    seen_at: SeenAt,
    unpack: Callable[[PyTree], PyTree],
    carry: Carry,
    knobs: Knobs,
    batch: Rows,
    taps: Array | None,
    *,
    ahead: Ahead | None,
) -> Slopes:
    """Task gradients by one backward pass each, combined; penalties are added as they are."""

    def losses(packed: PyTree, taps: Array | None) -> tuple[tuple[Array, Array], Seen]:
        seen = seen_at(packed, taps)
        return (seen.errors, jnp.asarray(seen.penalty, seen.errors.dtype)), seen

    (errors, penalty), pullback, seen = jax.vjp(losses, carry.packed, taps, has_aux=True)

    def gradient_of(weights: Array) -> PyTree:
        return unpack(pullback((weights, jnp.zeros_like(penalty)))[0])

    assert config.aggregator is not None
    params = unpack(carry.packed)
    combine_by: Any = combine_by_choice if isinstance(config.aggregator, Choice) else combine
    found = combine_by(
        config.aggregator,
        errors,
        gradient_of,
        carry.combining,
        shared=network.shared(params, knobs.head_index),
        params=params,
        key=None if knobs.key is None else jax.random.fold_in(knobs.key, carry.updates),
        present=present_tasks(batch),
        ahead=ahead,
    )
    grads, _ = pack(config.optimizer, found.grads)
    if network.has_penalties:
        own = pullback((jnp.zeros_like(errors), jnp.ones_like(penalty)))[0]
        grads = jax.tree.map(jnp.add, grads, own)
    # A task's own slopes, whatever its weight.
    deltas = None if taps is None else pullback((jnp.ones_like(errors), penalty * 0))[1]
    total = jax.tree.map(jnp.add, carry.combination, found.combination)

    def value_fn(packed: PyTree) -> Array:
        assert found.loss_of is not None
        (errors, penalty), _ = losses(packed, None)
        return found.loss_of(errors) + penalty

    return Slopes(
        grads,
        seen,
        value=found.value + penalty,
        value_fn=None if found.loss_of is None else value_fn,
        deltas=deltas,
        combining=found.state,
        combination=total,
    )


def present_tasks(batch: Rows) -> Bool[Array, " tasks"] | None:
    """Tasks of which the batch has a label; None for all."""
    return None if batch.known is None else batch.known.any(axis=0)


def _unless_before(after: Array, before: Array) -> Array:
    """What follows, and 0 in place of what came from what was not finite already."""
    return jnp.where(jnp.isfinite(before), after, jnp.zeros_like(after))


def all_finite(tree: PyTree) -> Bool[Array, ""]:
    """Whether no leaf holds a NaN or an infinity; so it is where there is none (plain SGD's)."""
    leaves = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]
    return jnp.stack(leaves).all() if leaves else jnp.asarray(True)

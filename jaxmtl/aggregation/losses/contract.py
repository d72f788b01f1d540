"""What every loss method is: a pair ``init, scalarize`` that turns task losses into one loss."""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from jaxmtl._modes import own_transfers
from jaxmtl.aggregation.contract import Aggregator, Context, Weighed, from_rule, require_losses
from jaxmtl.aggregation.parts import kept_unless

State = Any
Value = Callable[[Float[Array, " tasks"], State, Context], Float[Array, ""]]


class ScalarizeFn(Protocol):
    """``scalarize(losses, state, *, key, present) -> (loss, state, weights)``."""

    def __call__(
        self,
        losses: Float[Array, " tasks"],
        state: State,
        *,
        key: Key[Array, ""] | None = None,
        present: Bool[Array, " tasks"] | None = None,
    ) -> tuple[Float[Array, ""], State, Float[Array, " tasks"]]:
        """Makes one loss of the task losses.

        Args:
            losses: one a task, traced.
            state: from ``init`` or the last call.
            key: ``jax.random.key`` for methods that draw.
            present: which tasks this batch has; the others are left out as if never given, and
                their state stays as it is. None for all.

        Returns:
            The loss, differentiable in the losses and in nothing else; the next state; the slopes
            of the loss in the losses, which are the weights of the task gradients. Where a loss is
            not finite the state stays as it was; where the loss is NaN the slopes are.
        """
        ...


class ObserveFn(Protocol):
    """``observe(losses, state, *, present) -> state``."""

    def __call__(
        self,
        losses: Float[Array, " tasks"],
        state: State,
        *,
        present: Bool[Array, " tasks"] | None = None,
    ) -> State:
        """Takes note of the losses after an update of the parameters, on the same batch.

        Args:
            losses: after the update, traced.
            state: from ``scalarize``.
            present: as given to ``scalarize``.

        Returns:
            The next state.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Scalarizer:
    """A pair of pure functions that makes one loss of the task losses: one backward pass for all.

    Attributes:
        init: ``init(num_tasks, dtype=None) -> state``; None for the default floating type.
        scalarize: see ``ScalarizeFn``. Pure; runs under ``jit``, ``grad``, ``vmap``, ``scan``; the
            state keeps its structure, shapes and types.
        observe: of methods that want the losses after the update (FAMO), see ``ObserveFn``.
            ``scalarized_step`` calls it, ``from_losses`` with the losses of the next update.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxmtl.aggregation as ag
        >>> scalarizer = ag.gls()
        >>> losses_of = lambda w: jnp.stack([w, 4 * w])
        >>> def loss_fn(w, state):
        ...     loss, state, weights = scalarizer.scalarize(losses_of(w), state)
        ...     return loss, (state, weights)
        >>> grad, (state, weights) = jax.grad(loss_fn, has_aux=True)(1.0, scalarizer.init(2))
        >>> round(grad.item(), 5), [round(w, 5) for w in weights.tolist()]
        (2.0, [1.0, 0.25])
    """

    init: Callable[..., State]
    scalarize: ScalarizeFn
    observe: ObserveFn | None = None

    def as_aggregator(self) -> Aggregator:
        """The aggregator that weighs task gradients by the slopes of the loss.

        Returns:
            ``from_losses`` of this method.
        """
        return from_losses(self)


def from_value(
    value: Value,
    init_state: Callable[[int, Any], State] = lambda tasks, dtype: (),
    advance: Callable[[Float[Array, " tasks"], State, Context], State] | None = None,
    observe: Callable[[Float[Array, " tasks"], State, Context], State] | None = None,
) -> Scalarizer:
    """Builds the loss method of a function of the losses.

    Args:
        value: the loss, from losses (float32 at least, 1 for absent tasks), state and context; it
            must not depend on absent tasks, of which there is at least one present.
        init_state: from the number of tasks and the floating type to the first state.
        advance: the state after ``scalarize``; None: it stays. See ``keep_absent``.
        observe: the state after ``observe``; None: the method has none.

    Returns:
        The loss method.

    Example:
        >>> import jax.numpy as jnp
        >>> largest = from_value(lambda losses, state, context: losses.max())
        >>> loss, _, weights = largest.scalarize(jnp.array([1.0, 3.0]), largest.init(2))
        >>> loss.item(), weights.tolist()
        (3.0, [0.0, 1.0])
    """

    @own_transfers
    def init(num_tasks: int, dtype: Any = None) -> State:
        if num_tasks < 1:
            raise ValueError(f"num_tasks: expected at least 1, got {num_tasks}")
        return init_state(num_tasks, jnp.dtype(jnp.result_type(float if dtype is None else dtype)))

    def scalarize(losses: Any, state: State, *, key: Any = None, present: Any = None) -> Any:
        losses, context, some = _checked(losses, key, present)
        loss, weights = jax.value_and_grad(value)(losses, state, context)
        # A loss of NaN may have slopes of 0: nothing would be trained, and no one would see it.
        weights = jnp.where(jnp.isnan(loss), jnp.nan, weights)
        weights = jnp.where(context.present & some, weights, 0)
        loss = jnp.where(some, loss, 0)
        if advance is not None:
            following = advance(losses, state, context)
            state = kept_unless(some & jnp.isfinite(losses).all(), following, state)
        return loss, jax.lax.stop_gradient(state), jax.lax.stop_gradient(weights)

    def observed(losses: Any, state: State, *, present: Any = None) -> State:
        assert observe is not None
        losses, context, some = _checked(losses, None, present)
        following = observe(losses, state, context)
        following = kept_unless(some & jnp.isfinite(losses).all(), following, state)
        return jax.lax.stop_gradient(following)

    return Scalarizer(init, scalarize, None if observe is None else observed)


def from_losses(scalarizer: Scalarizer) -> Aggregator:
    """The aggregator that weighs task gradients by the slopes of the loss.

    It gives the gradient of the loss, from task gradients that are there anyway: for arms that are
    compared, info on conflicts, groups, heads. It costs a backward pass a task where
    ``scalarized_step`` needs one in all. Where the method observes losses after the update, those
    of the next update stand in for them, which is the same if all batches are.

    Args:
        scalarizer: any.

    Returns:
        The aggregator; it needs ``losses``, and a key if the method does. Its state is that of the
        loss method.

    Raises:
        ValueError: at the update, without losses.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxmtl.aggregation as ag
        >>> aggregator = from_losses(ag.gls())
        >>> grads = jnp.array([[1.0, 0.0], [0.0, 1.0]])
        >>> combined, _, _ = aggregator.update(
        ...     grads, aggregator.init(grads), losses=jnp.array([1.0, 4.0]))
        >>> [round(g, 5) for g in combined.tolist()]
        [1.0, 0.25]
    """

    def rule(gram: Any, state: State, context: Context) -> Weighed:
        losses, present = require_losses("from_losses", context, gram.dtype), context.present
        if scalarizer.observe is not None:
            state = scalarizer.observe(losses, state, present=present)
        _, state, weights = scalarizer.scalarize(losses, state, key=context.key, present=present)
        return Weighed(weights.astype(gram.dtype), state)

    return from_rule(rule, scalarizer.init, needs_gram=False)


def keep_absent(new: State, old: State, present: Bool[Array, " tasks"]) -> State:
    """The next state: absent tasks keep their entries; all stays if one is not finite.

    Args:
        new: the state proposed; leaves (tasks, ...) have an entry a task. Traced.
        old: the state before, traced.
        present: tasks that this batch has, traced.

    Returns:
        The state, in the types of the old one.

    Example:
        >>> import jax.numpy as jnp
        >>> new, old, present = jnp.array([3.0, 4.0]), jnp.ones(2), jnp.array([True, False])
        >>> keep_absent(new, old, present).tolist()
        [3.0, 1.0]
        >>> keep_absent(new / 0, old, present).tolist()
        [1.0, 1.0]
    """

    def merged(new: Array, old: Array) -> Array:
        if new.ndim and new.shape[0] == present.shape[0]:
            mask = present.reshape(-1, *(1,) * (new.ndim - 1))
            return jnp.where(mask, new.astype(old.dtype), old)
        return new.astype(old.dtype)

    following = jax.tree.map(merged, new, old)
    finite = jnp.array(True)
    for leaf in jax.tree.leaves(following):
        finite = finite & jnp.isfinite(leaf).all()
    return jax.tree.map(lambda new, old: jnp.where(finite, new, old), following, old)


def present_mean(values: Float[Array, " tasks"], present: Bool[Array, " tasks"]) -> Array:
    """Mean over the tasks present."""
    return jnp.where(present, values, 0).sum() / present.sum(dtype=values.dtype)


def _checked(losses: Any, key: Any, present: Any) -> tuple[Array, Context, Array]:
    losses = jnp.asarray(losses)
    if losses.ndim != 1 or not jnp.issubdtype(losses.dtype, jnp.floating):
        raise ValueError(
            "losses: expected a floating vector with one loss a task, "
            f"got {losses.dtype} of shape {losses.shape}"
        )
    if present is not None and jnp.shape(present) != losses.shape:
        raise ValueError(f"present: expected shape {losses.shape}, got {jnp.shape(present)}")
    present = jnp.ones(losses.shape, bool) if present is None else jnp.asarray(present, bool)
    some = present.any()
    losses = losses.astype(jnp.promote_types(losses.dtype, jnp.float32))
    known = jnp.where(present, losses, 1)
    # With nobody there, methods see everybody at 1; what they make of it is dropped.
    return known, Context(present=present | ~some, key=key), some

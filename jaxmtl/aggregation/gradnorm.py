"""Gradient normalisation: weights that even out norms and training rates."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxmtl._validate import check_positive
from jaxmtl.aggregation.contract import Aggregator, Context, Weighed, from_rule, require_losses
from jaxmtl.aggregation.parts import kept_unless, nonnegative
from jaxmtl.aggregation.settings import Real, in_type


class GradNormState(NamedTuple):
    """Weights and where the losses started.

    Attributes:
        weights: to be used at the next update; they sum to the number of tasks.
        initial: loss of each task at the first update that had it.
        started: whether there was one.
    """

    weights: Float[Array, " tasks"]
    initial: Float[Array, " tasks"]
    started: Bool[Array, " tasks"]


def gradnorm(alpha: Real = 1.5, learning_rate: Real = 0.025) -> Aggregator:
    """Weights learned so that weighted gradient norms follow the tasks' relative training rates.

    With n_t = w_t |g_t|, their mean n and r_t the loss relative to its first value, relative to the
    mean of those: the weights move down the gradient of sum_t |n_t - n r_t^alpha|, in which n
    r_t^alpha is held constant, that is, by - rate |g_t| sign(n_t - n r_t^alpha); then they are
    scaled to sum to the number of tasks. The update itself uses the weights before that, as in
    algorithm 1. LibMTL learns softmax logits and starts after an epoch, with the epoch's mean loss
    as the base; its thread on which layers to look at (the paper: the last shared one) is answered
    here by what is given as task gradients. Weights are kept at or above 0, which the paper leaves
    open.

    Needs losses and the norms (the diagonal of the Gram matrix).

    Args:
        alpha: strength of the pull to a common rate, >= 0, may be traced; 0 evens out the norms
            alone.
        learning_rate: step of the weights, above 0, may be traced; 0.025 as in the paper.

    Returns:
        The aggregator; its state is a ``GradNormState``. Absent tasks keep base and part of the
        weights; those of the others are scaled to sum to their number. Losses below 0, of which no
        training rate can be told, give NaN.

    Raises:
        ValueError: alpha below 0, a learning rate not above 0; at the update, without losses.

    Example:
        >>> import jax.numpy as jnp
        >>> grads = jnp.array([[3.0, 4.0], [0.0, 1.0]])
        >>> aggregator = gradnorm()
        >>> _, state, _ = aggregator.update(
        ...     grads, aggregator.init(grads), losses=jnp.array([1.0, 2.0]))
        >>> [round(w, 3) for w in state.weights.tolist()]
        [0.921, 1.079]

    References:
        Chen, Badrinarayanan, Lee, Rabinovich (2018), GradNorm, equations 1, 2 and algorithm 1.
    """
    check_positive("alpha", alpha, zero=True)
    check_positive("learning_rate", learning_rate)

    def rule(gram: Any, state: GradNormState, context: Context) -> Weighed:
        present, dtype = context.present, gram.dtype
        losses = nonnegative(require_losses("gradnorm", context, dtype))
        number = jnp.maximum(present.sum(dtype=dtype), 1)

        def mean(values: Array) -> Array:
            return jnp.where(present, values, 0).sum() / number

        def scaled(weights: Array) -> Array:
            # All at 0 (a step too long): equal weights rather than none.
            total = mean(weights)
            even = weights / jnp.where(total > 0, total, 1)
            return jnp.where(present, jnp.where(total > 0, even, 1), 0)

        weights = scaled(state.weights)
        initial = jnp.where(state.started | ~present, state.initial, losses)
        rates = losses / jnp.where(initial == 0, 1, initial)
        rates = rates / jnp.where(mean(rates) == 0, 1, mean(rates))
        norms = jnp.sqrt(jnp.diagonal(gram))
        target = mean(weights * norms) * jnp.maximum(rates, 0) ** in_type(alpha, dtype)
        slope = norms * jnp.sign(weights * norms - target)
        moved = scaled(jnp.maximum(weights - in_type(learning_rate, dtype) * slope, 0))
        finite = jnp.isfinite(moved).all() & jnp.isfinite(losses).all()
        # Present tasks share what they had, so that the absent keep their part of the whole.
        part = jnp.where(present.all(), 1, jnp.maximum(mean(state.weights), jnp.finfo(dtype).eps))
        following = GradNormState(
            weights=jnp.where(present, part * moved, state.weights),
            initial=initial,
            started=state.started | present,
        )
        weights = jnp.where(finite, weights, jnp.nan)
        return Weighed(weights, kept_unless(finite, following, state), finite)

    def init_state(tasks: int, dtype: Any) -> GradNormState:
        return GradNormState(
            weights=jnp.ones(tasks, dtype),
            initial=jnp.ones(tasks, dtype),
            started=jnp.zeros(tasks, bool),
        )

    return from_rule(rule, init_state)

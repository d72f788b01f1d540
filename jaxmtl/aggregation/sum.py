"""The sum of the task gradients."""

from typing import Any

from jaxmtl.aggregation.contract import Aggregator, Context, Weighed, from_rule


def sum() -> Aggregator:
    """Sum of the gradients: w_t = 1, the gradient of the summed loss.

    Returns:
        The aggregator; no state.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxmtl.aggregation as ag
        >>> grads = jnp.array([[2.0, 0.0], [4.0, 2.0]])
        >>> aggregator = ag.sum()
        >>> aggregator.update(grads, aggregator.init(grads))[0].tolist()
        [6.0, 2.0]
    """

    def rule(gram: Any, state: Any, context: Context) -> Weighed:
        return Weighed(context.present.astype(gram.dtype), state)

    return from_rule(rule, needs_gram=False)

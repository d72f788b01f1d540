"""The average of the task gradients."""

from typing import Any

from jaxmtl.aggregation.contract import Aggregator, Context, Weighed, from_rule, preference_vector


def mean() -> Aggregator:
    """Average of the gradients: w_t = 1 / tasks; of the tasks present, where some are missing.

    Linear scalarisation with equal weights. LibMTL's "EW" is the sum.

    Returns:
        The aggregator; no state.

    Example:
        >>> import jax.numpy as jnp
        >>> grads = jnp.array([[2.0, 0.0], [4.0, 2.0]])
        >>> aggregator = mean()
        >>> aggregator.update(grads, aggregator.init(grads))[0].tolist()
        [3.0, 1.0]
    """

    def rule(gram: Any, state: Any, context: Context) -> Weighed:
        return Weighed(preference_vector("mean", None, context.present, gram.dtype), state)

    return from_rule(rule, needs_gram=False)

"""Random weights."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxmtl.aggregation.contract import Aggregator, Context, Weighed, from_rule, require_key


def random() -> Aggregator:
    """Random weights on the simplex: w = softmax(z) with z standard normal, drawn at every update.

    Needs ``key``. With tasks missing, the softmax is over the others: the same distribution as
    without them, though not the same draw. LibMTL calls it RLW; its scale convention, sum w = 1, is
    kept.

    Returns:
        The aggregator; no state.

    Raises:
        ValueError: at the update, without a key.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> aggregator = random()
        >>> weights = aggregator.weights(jnp.eye(3), key=jax.random.key(0))
        >>> bool(jnp.allclose(weights.sum(), 1.0))
        True

    References:
        Lin, Ye, Zhang, Tsang (2022), Reasonable effectiveness of random weighting, TMLR.
    """

    def rule(gram: Any, state: Any, context: Context) -> Weighed:
        logits = jax.random.normal(require_key("random", context), gram.shape[:1], gram.dtype)
        drawn = jax.nn.softmax(jnp.where(context.present, logits, -jnp.inf))
        return Weighed(jnp.where(context.present, drawn, 0), state)

    return from_rule(rule, needs_gram=False)

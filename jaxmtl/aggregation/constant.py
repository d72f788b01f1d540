"""Fixed weights."""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Array, Float

from jaxmtl.aggregation.contract import Aggregator, Context, Weighed, from_rule, preference_vector


def constant(weights: Float[Array, " tasks"] | Sequence[float]) -> Aggregator:
    """Fixed weights: linear scalarisation.

    Args:
        weights: one a task, as they are (not normalised); a traced array may be mapped over.

    Returns:
        The aggregator; no state.

    Raises:
        ValueError: at the update, if there is not one weight a task.

    Example:
        >>> import jax.numpy as jnp
        >>> grads = jnp.array([[2.0, 0.0], [4.0, 2.0]])
        >>> aggregator = constant([1.0, 0.5])
        >>> aggregator.update(grads, aggregator.init(grads))[0].tolist()
        [4.0, 1.0]
    """

    def rule(gram: Any, state: Any, context: Context) -> Weighed:
        return Weighed(preference_vector("constant", weights, context.present, gram.dtype), state)

    return from_rule(rule, needs_gram=False)

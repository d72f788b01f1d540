"""Weights that are kept from step to step, where tasks come and go."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def rejoin(
    old: Float[Array, " tasks"], new: Float[Array, " tasks"], present: Bool[Array, " tasks"]
) -> Float[Array, " tasks"]:
    """Weights of all tasks after a step that only some of them took.

    Those present share among them what they had before, in the proportions of the new weights;
    absent tasks keep their part of the whole. Were the new weights kept as they are, a task that is
    alone in a batch would take the weight 1 home, and the others would lose by their absence.

    Args:
        old: nonnegative weights before the step, of which proportions matter, traced.
        new: weights of the tasks present, which sum to 1, traced.
        present: traced.

    Returns:
        The weights; the new ones where every task is present.

    Example:
        >>> import jax.numpy as jnp
        >>> old, present = jnp.array([0.5, 0.25, 0.25]), jnp.array([True, False, True])
        >>> rejoin(old, jnp.array([0.25, 0.0, 0.75]), present).tolist()
        [0.1875, 0.25, 0.5625]
    """
    # Not nothing: else those whose weight is 0 would forget how they compare.
    least = float(jnp.finfo(old.dtype).eps)
    mass = jnp.maximum(jnp.where(present, old, 0).sum(), least)
    return jnp.where(present, jnp.where(present.all(), 1, mass) * new, old)


def kept_unless(finite: Bool[Array, ""], new: Any, old: Any) -> Any:
    """The new state, or the old one if a number of this batch is not finite.

    What is not finite is to be seen in the result, not to stay in a running mean for good.

    Example:
        >>> import jax.numpy as jnp
        >>> kept_unless(jnp.array(False), jnp.array([jnp.nan]), jnp.array([1.0])).tolist()
        [1.0]
    """
    return jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, old)


def nonnegative(
    losses: Float[Array, " tasks"], present: Bool[Array, " tasks"] | None = None
) -> Float[Array, " tasks"]:
    """The losses, NaN where one is below 0.

    For methods that divide by losses or take their logarithm: below 0 a sign would turn unseen, and
    the task be trained away from its optimum.

    Example:
        >>> import jax.numpy as jnp
        >>> nonnegative(jnp.array([0.5, -0.5])).tolist()
        [0.5, nan]
    """
    below = losses < 0
    if present is not None:
        below = below & present
    return jnp.where(below, jnp.nan, losses)

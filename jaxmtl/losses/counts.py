"""The loss of counts: Poisson deviance, from the logarithm of the rate."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmtl.losses._guard import check_same_shape, guarded

STEEPEST = 30.0  # a logarithm beyond which the rate goes on as a line


def poisson_deviance(
    outputs: Float[Array, "batch tasks"], targets: Float[Array, "batch tasks"]
) -> Float[Array, "batch tasks"]:
    """Poisson deviance of tasks that have one output each, the logarithm z of the expected count.

    2 (e^z - y - y (z - log y)), with 0 log 0 = 0: at least 0, and 0 for e^z = y. It weighs errors
    by what is expected, so that a long tail pulls no harder than it should, and its minimum is the
    mean. Divided counts have the divided deviance: count in units of the mean, and z starts near 0.

    Args:
        outputs: z, traced. Beyond 30 the exponential goes on as a line, which float32 can hold.
        targets: y, at least 0, not necessarily whole, traced.

    Returns:
        The losses; NaN with a slope of 0 where a target is NaN or below 0.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> import jax.numpy as jnp
        >>> losses = poisson_deviance(jnp.array([[0.0, 0.0]]), jnp.array([[1.0, 0.0]]))
        >>> losses.tolist()
        [[0.0, 2.0]]

    References:
        McCullagh and Nelder (1989), Generalized Linear Models, section 2.3.
    """
    check_same_shape(outputs, targets)
    within = jnp.minimum(outputs, STEEPEST)
    rate = jnp.exp(within) * (1 + (outputs - within))

    def loss(known: Array) -> Array:
        positive = known > 0
        log = jnp.log(jnp.where(positive, known, 1))
        return 2 * (rate - known - known * (outputs - jnp.where(positive, log, outputs)))

    return guarded(loss, targets, ~(targets >= 0))


def expected_counts(outputs: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """The expected counts of which outputs trained by ``poisson_deviance`` are the logarithms.

    Args:
        outputs: on the host.

    Returns:
        Of the same shape and precision.

    Example:
        >>> expected_counts(np.array([0.0, np.log(3.0)])).round(6).tolist()
        [1.0, 3.0]
    """
    outputs = np.asarray(outputs)
    within = np.minimum(outputs, outputs.dtype.type(STEEPEST))
    with np.errstate(over="ignore", invalid="ignore"):
        return np.exp(within) * (1 + (outputs - within))

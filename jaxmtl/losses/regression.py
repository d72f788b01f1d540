"""Losses of numbers: squared, absolute and Huber error."""

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxmtl._validate import check_positive
from jaxmtl.losses._guard import check_same_shape, guarded


def squared_error(
    outputs: Float[Array, "batch tasks"], targets: Float[Array, "batch tasks"]
) -> Float[Array, "batch tasks"]:
    """Squared error of tasks that have one output each.

    Args:
        outputs: predictions, traced.
        targets: true values in the same units, traced.

    Returns:
        (outputs - targets)**2; NaN with a slope of 0 where a target is NaN.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> import jax.numpy as jnp
        >>> squared_error(jnp.array([[1.0, 2.0]]), jnp.array([[1.5, 0.0]])).tolist()
        [[0.25, 4.0]]
    """
    check_same_shape(outputs, targets)
    return guarded(lambda known: (outputs - known) ** 2, targets, jnp.isnan(targets))


def bare_squared_error(
    outputs: Float[Array, "batch tasks"], targets: Float[Array, "batch tasks"]
) -> Float[Array, "batch tasks"]:
    """``squared_error`` of targets whose unknown ones were cleared once before, as ``fit`` does.

    The guard would cost the innermost loop 5 % of its time. A target of NaN makes the slope NaN.

    Args:
        outputs: predictions, traced.
        targets: traced.

    Returns:
        (outputs - targets)**2.

    Example:
        >>> import jax.numpy as jnp
        >>> bare_squared_error(jnp.array([[1.0]]), jnp.array([[1.5]])).tolist()
        [[0.25]]
    """
    check_same_shape(outputs, targets)
    return (outputs - targets) ** 2


def absolute_error(
    outputs: Float[Array, "batch tasks"], targets: Float[Array, "batch tasks"]
) -> Float[Array, "batch tasks"]:
    """Absolute error, whose minimum is the median: outliers pull no harder than other rows.

    Args:
        outputs: predictions, traced.
        targets: true values in the same units, traced.

    Returns:
        |outputs - targets|, of slope 0 where they are equal; NaN with a slope of 0 where a target
        is NaN.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> import jax.numpy as jnp
        >>> absolute_error(jnp.array([[1.0, 2.0]]), jnp.array([[1.5, 0.0]])).tolist()
        [[0.5, 2.0]]
    """
    check_same_shape(outputs, targets)
    return guarded(lambda known: jnp.abs(outputs - known), targets, jnp.isnan(targets))


def huber_error(
    outputs: Float[Array, "batch tasks"],
    targets: Float[Array, "batch tasks"],
    *,
    delta: float = 1.0,
) -> Float[Array, "batch tasks"]:
    """Huber's loss: e**2 / 2 for |e| <= delta, delta * (|e| - delta / 2) beyond.

    Args:
        outputs: predictions, traced.
        targets: true values in the same units, traced.
        delta: size of the error at which the square turns into a line, in the units of the targets;
            static. ``configured(huber_error, delta=0.1)`` is the loss with another one.

    Returns:
        The losses; NaN with a slope of 0 where a target is NaN.

    Raises:
        ValueError: the shapes differ, or delta is not above 0.

    Example:
        >>> import jax.numpy as jnp
        >>> huber_error(jnp.array([[1.0, 2.0]]), jnp.array([[1.5, 0.0]])).tolist()
        [[0.125, 1.5]]

    References:
        Huber (1964), Robust Estimation of a Location Parameter, Ann. Math. Statist. 35(1).
    """
    check_positive("delta", delta)
    check_same_shape(outputs, targets)
    return guarded(
        lambda known: optax.losses.huber_loss(outputs, known, delta=delta),
        targets,
        jnp.isnan(targets),
    )

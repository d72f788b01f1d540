"""Losses of classes, from logits: binary and softmax cross-entropy."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from jaxmtl.losses._guard import check_same_shape, guarded


def binary_cross_entropy(
    outputs: Float[Array, "batch tasks"],
    targets: Float[Array, "batch tasks"],
    *,
    positive_weight: float | Sequence[float] = 1.0,
) -> Float[Array, "batch tasks"]:
    """Cross-entropy of yes-or-no tasks, from logits.

    -w y log s(z) - (1 - y) log(1 - s(z)) with the sigmoid s, exact however large a logit is.

    Args:
        outputs: logits z, traced.
        targets: y, 0 or 1, or a probability in between, traced.
        positive_weight: w, one number or one a column: what a missed positive costs against a false
            alarm; (number of negatives) / (number of positives) balances rare positives. Static.

    Returns:
        The losses in nats; NaN with a slope of 0 where a target is NaN.

    Raises:
        ValueError: the shapes differ, or a weight is below 0 or not one a column.

    Example:
        >>> import jax.numpy as jnp
        >>> z, y = jnp.array([[0.0, 0.0]]), jnp.array([[1.0, 0.0]])
        >>> from jaxmtl.losses import configured
        >>> [[f"{loss:.3f}" for loss in row] for row in binary_cross_entropy(z, y)]
        [['0.693', '0.693']]
        >>> weighted = configured(binary_cross_entropy, positive_weight=2.0)
        >>> [[f"{loss:.3f}" for loss in row] for row in weighted(z, y)]
        [['1.386', '0.693']]
    """
    check_same_shape(outputs, targets)
    weight = _weights("positive_weight", positive_weight, outputs.shape[-1])

    def loss(known: Array) -> Array:
        z = outputs
        plain = optax.losses.sigmoid_binary_cross_entropy(z, known.astype(z.dtype))
        if weight is None:
            return plain
        extra = jnp.broadcast_to(jnp.asarray(weight - 1.0, z.dtype), z.shape)
        missed = optax.losses.sigmoid_binary_cross_entropy(z, jnp.ones_like(z))
        return plain + extra * known.astype(z.dtype) * missed

    return guarded(loss, targets, jnp.isnan(targets))


def softmax_cross_entropy(
    outputs: Float[Array, "batch classes"],
    targets: Float[Array, "batch 1"],
    *,
    class_weights: Sequence[float] | None = None,
) -> Float[Array, " batch"]:
    """Cross-entropy of one task with several classes, from logits and the number of the class.

    -w_y log softmax(z)_y. One task has several outputs and one target column, so in a loss of
    several tasks it stands as ``sliced(softmax_cross_entropy, outputs=(10, 10), targets=(1, 1))``.

    Args:
        outputs: logits of the classes, traced.
        targets: number of the true class from 0, as an integer or a whole number in floating point;
            (batch,) is taken too. Traced.
        class_weights: one a class; None for 1. The mean over a batch is over its rows, not over
            their weights. Static.

    Returns:
        The losses in nats; NaN with a slope of 0 where the target is NaN or names no class (such
        as -1).

    Raises:
        ValueError: the shapes do not fit, or a weight is below 0 or not one a class.

    Example:
        >>> import jax.numpy as jnp
        >>> loss = softmax_cross_entropy(jnp.zeros((2, 4)), jnp.array([[3], [-1]]))
        >>> [f"{value:.3f}" for value in loss]
        ['1.386', 'nan']
    """
    rows = outputs.shape[:-1]
    if targets.shape not in (rows, (*rows, 1)):
        raise ValueError(
            f"targets: expected one class number a row, of shape {(*rows, 1)}, for outputs "
            f"{outputs.shape}, got {targets.shape}"
        )
    weights = _weights("class_weights", class_weights, outputs.shape[-1])
    targets = targets.reshape(rows)
    missing = ~((targets >= 0) & (targets < outputs.shape[-1]))  # true for NaN as well

    def loss(known: Array) -> Array:
        labels = known.astype(jnp.int32)
        losses = optax.losses.softmax_cross_entropy_with_integer_labels(outputs, labels)
        return losses if weights is None else losses * jnp.asarray(weights, losses.dtype)[labels]

    return guarded(loss, targets, missing)


def _weights(name: str, weights: float | Sequence[float] | None, width: int) -> np.ndarray | None:
    """The weights as an array, or None where all of them are 1."""
    if weights is None:
        return None
    values = np.asarray(weights, float)
    if values.shape not in ((), (width,)) or not (np.isfinite(values) & (values >= 0)).all():
        raise ValueError(
            f"{name}: expected {width} numbers >= 0, one a column, or a single one, got {weights!r}"
        )
    return None if (values == 1).all() else values

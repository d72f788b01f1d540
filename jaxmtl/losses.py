"""Losses of one sample and one task; every training loop takes ``loss(outputs, targets)``."""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Loss = Callable[
    [Float[Array, "batch outputs"], Float[Array, "batch outputs"]], Float[Array, "batch tasks"]
]


def squared_error(
    outputs: Float[Array, "batch tasks"], targets: Float[Array, "batch tasks"]
) -> Float[Array, "batch tasks"]:
    """Squared error of tasks that have one output each.

    Args:
        outputs: predictions, traced.
        targets: true values in the same units, traced.

    Returns:
        (outputs - targets)**2.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> import jax.numpy as jnp
        >>> squared_error(jnp.array([[1.0, 2.0]]), jnp.array([[1.5, 0.0]])).tolist()
        [[0.25, 4.0]]
    """
    if outputs.shape != targets.shape:
        raise ValueError(
            f"targets: expected the shape of the outputs {outputs.shape}, got {targets.shape}"
        )
    return (outputs - targets) ** 2


def mean_over_known(
    losses: Float[Array, "batch tasks"], known: Bool[Array, "batch tasks"] | None = None
) -> Float[Array, " tasks"]:
    """Mean loss of each task over the samples whose label is known.

    Args:
        losses: losses of each sample and task; what stands where the label is unknown has no
            influence on the value or the gradient, unless it is not finite. Traced.
        known: which labels are known, traced; None for all.

    Returns:
        Mean losses; exactly 0 for a task with no known label in the batch.

    Example:
        >>> import jax.numpy as jnp
        >>> losses = jnp.array([[1.0, 7.0], [3.0, 9.0]])
        >>> mean_over_known(losses, jnp.array([[True, False], [True, False]])).tolist()
        [2.0, 0.0]
    """
    if known is None:
        return losses.mean(axis=0)
    count = jnp.maximum(known.sum(axis=0), 1).astype(losses.dtype)
    return jnp.where(known, losses, 0).sum(axis=0) / count


def sliced(
    losses: Loss | Sequence[Loss], outputs: Sequence[int], targets: Sequence[int] | None = None
) -> Loss:
    """Loss of tasks that have several outputs each: one loss a task, on its slice of the columns.

    Args:
        losses: one loss for all tasks or one a task; each gets the columns of its task and returns
            (batch, columns), of which the mean is taken, or (batch,). Static.
        outputs: number of output columns of each task, static.
        targets: number of target columns of each task; None: as many as outputs. Static.

    Returns:
        ``loss(outputs, targets)`` with the result (batch, tasks).

    Raises:
        ValueError: the lengths differ, or the columns are not as many as announced.

    Example:
        >>> import jax.numpy as jnp
        >>> loss = sliced(squared_error, outputs=(2, 1))
        >>> loss(jnp.array([[1.0, 3.0, 2.0]]), jnp.zeros((1, 3))).tolist()
        [[5.0, 4.0]]
    """
    widths = tuple(outputs)
    target_widths = widths if targets is None else tuple(targets)
    parts = tuple(losses) if isinstance(losses, Sequence) else (losses,) * len(widths)
    if not len(parts) == len(widths) == len(target_widths):
        raise ValueError(
            "sliced: expected one loss, one output width and one target width a task, "
            f"got {len(parts)}, {len(widths)} and {len(target_widths)}"
        )

    def loss(outputs: Array, targets: Array) -> Array:
        if outputs.shape[-1] != sum(widths) or targets.shape[-1] != sum(target_widths):
            raise ValueError(
                f"sliced: expected {sum(widths)} output and {sum(target_widths)} target columns, "
                f"got {outputs.shape[-1]} and {targets.shape[-1]}"
            )
        rows, i, j = [], 0, 0
        for part, width, target_width in zip(parts, widths, target_widths, strict=True):
            value = part(outputs[:, i : i + width], targets[:, j : j + target_width])
            rows.append(value if value.ndim == 1 else value.mean(axis=-1))
            i, j = i + width, j + target_width
        return jnp.stack(rows, axis=-1)

    return loss

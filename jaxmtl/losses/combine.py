"""What makes one loss of several: slices of columns, options, and the mean over known labels."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxmtl._validate import check_positive

Loss = Callable[
    [Float[Array, "batch outputs"], Float[Array, "batch outputs"]], Float[Array, "batch tasks"]
]


def mean_over_known(
    losses: Float[Array, "batch tasks"], known: Bool[Array, "batch tasks"] | None = None
) -> Float[Array, " tasks"]:
    """Mean loss of each task over the samples whose label is known.

    Args:
        losses: losses of each sample and task; what stands where the label is unknown has no
            influence on the value, nor on the gradient if its own slope there is finite (as that of
            every loss of this package is, even for a target of NaN). Traced.
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

    Two of them made of the same parts are equal, so that a compiled loop knows the second again.

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
        >>> from jaxmtl.losses import squared_error
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
    return _Sliced(parts, widths, target_widths)


def configured(loss: Callable[..., Array], **options: Any) -> Loss:
    """A loss with other options, as ``functools.partial`` but equal to its like.

    Args:
        loss: ``loss(outputs, targets, **options)``.
        options: hashable, or lists, which become tuples. Static.

    Returns:
        ``loss(outputs, targets)``.

    Raises:
        ValueError: an option that cannot be hashed, such as an array.

    Example:
        >>> from jaxmtl.losses import huber_error
        >>> configured(huber_error, delta=0.5) == configured(huber_error, delta=0.5)
        True
    """
    fixed = {name: tuple(v) if isinstance(v, list) else v for name, v in options.items()}
    for name, value in fixed.items():
        try:
            hash(value)
        except TypeError as error:
            raise ValueError(
                f"configured: expected a number or a tuple for {name}, got {type(value).__name__}"
            ) from error
    return _Configured(loss, tuple(sorted(fixed.items())))


def weighted(loss: Loss, weight: float) -> Loss:
    """A loss times a number, equal to its like.

    Args:
        loss: ``loss(outputs, targets)``.
        weight: above 0. Static.

    Returns:
        ``loss(outputs, targets)``.

    Raises:
        ValueError: a weight that is not above 0.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmtl.losses import squared_error
        >>> weighted(squared_error, 0.5)(jnp.array([[2.0]]), jnp.array([[0.0]])).tolist()
        [[2.0]]
    """
    check_positive("weight", weight)
    return _Weighted(loss, float(weight))


@dataclasses.dataclass(frozen=True)
class _Sliced:
    parts: tuple[Loss, ...]
    widths: tuple[int, ...]
    target_widths: tuple[int, ...]

    def __call__(self, outputs: Array, targets: Array) -> Array:
        if outputs.shape[-1] != sum(self.widths) or targets.shape[-1] != sum(self.target_widths):
            raise ValueError(
                f"sliced: expected {sum(self.widths)} output and {sum(self.target_widths)} target "
                f"columns, got {outputs.shape[-1]} and {targets.shape[-1]}"
            )
        rows, i, j = [], 0, 0
        for part, width, target_width in zip(
            self.parts, self.widths, self.target_widths, strict=True
        ):
            value = part(outputs[:, i : i + width], targets[:, j : j + target_width])
            rows.append(value if value.ndim == 1 else value.mean(axis=-1))
            i, j = i + width, j + target_width
        return jnp.stack(rows, axis=-1)


@dataclasses.dataclass(frozen=True)
class _Configured:
    loss: Callable[..., Array]
    options: tuple[tuple[str, Any], ...]

    def __call__(self, outputs: Array, targets: Array) -> Array:
        return self.loss(outputs, targets, **dict(self.options))


@dataclasses.dataclass(frozen=True)
class _Weighted:
    loss: Loss
    weight: float

    def __call__(self, outputs: Array, targets: Array) -> Array:
        return self.weight * self.loss(outputs, targets)

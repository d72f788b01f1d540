"""Metrics of predicted probabilities."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxmtl.metrics._rows import as_float, known_mask, mean_known


def log_loss(
    probabilities: Float[Array, "rows ..."],
    labels: Int[Array, " rows"],
    known: Bool[Any, " rows"] | None = None,
) -> Float[Array, ""]:
    """Mean of -log p over the known rows, p being the probability given to the true class.

    Args:
        probabilities: of the classes, (rows, classes), each row of sum 1; or of class 1 alone,
            (rows,). Clipped to the open interval from 0 to 1 by the precision of the dtype, as in
            scikit-learn. Traced.
        labels: numbers of the true classes, traced.
        known: which labels are known, traced; None for all.

    Returns:
        The mean in nats; NaN with no known row, or where the label of a known row names no class.

    Raises:
        ValueError: shapes that do not fit.

    Example:
        >>> import jax.numpy as jnp
        >>> p = jnp.array([[0.5, 0.5], [0.25, 0.75]])
        >>> round(float(log_loss(p, jnp.array([0, 1]))), 4)
        0.4904
        >>> round(float(log_loss(p[:, 1], jnp.array([0, 1]))), 4)
        0.4904
    """
    p, labels = as_float(probabilities), jnp.asarray(labels)
    if p.ndim not in (1, 2) or p.shape[:1] != labels.shape:
        raise ValueError(
            "probabilities: expected shape (rows, classes) or (rows,) with labels (rows,), "
            f"got {p.shape} and {labels.shape}"
        )
    known = known_mask("labels", labels, labels, known)
    if p.ndim == 1:
        p = jnp.stack([1 - p, p], axis=1)
    epsilon = jnp.finfo(p.dtype).eps
    p = jnp.clip(p, epsilon, 1 - epsilon)
    valid = (labels >= 0) & (labels < p.shape[1])
    chosen = jnp.where(valid, labels, 0).astype(jnp.int32)
    given = jnp.take_along_axis(p, chosen[:, None], axis=1)[:, 0]
    return mean_known(jnp.where(valid, -jnp.log(given), jnp.nan), known)

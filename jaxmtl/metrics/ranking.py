"""Metrics of scores, whatever the threshold: average precision, its mean over classes, and AUC."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxmtl.metrics._rows import as_float, known_mask, ratio


def average_precision(
    scores: Float[Array, "rows ..."],
    labels: Bool[Array, "rows ..."],
    known: Bool[Any, "rows ..."] | None = None,
) -> Float[Array, "..."]:
    """Area under the precision-recall curve as a sum of steps, without interpolation.

    The mean over the positives of the precision among all rows that score at least as high as that
    positive: rows of equal score come in together, as in scikit-learn.

    Args:
        scores: the higher, the more likely positive; traced.
        labels: which rows are positive, as booleans or 0 and 1, traced.
        known: which labels are known, traced; None for all.

    Returns:
        One number a task, from 0 to 1; 0 without a known positive, as in scikit-learn; NaN where
        a known score is NaN or no row is known.

    Raises:
        ValueError: shapes that differ.

    Example:
        >>> import jax.numpy as jnp
        >>> scores, labels = jnp.array([0.9, 0.8, 0.3, 0.1]), jnp.array([1, 0, 1, 0])
        >>> round(float(average_precision(scores, labels)), 4)
        0.8333
    """
    return _each_task(_average_precision, scores, labels, known)


def mean_average_precision(
    scores: Float[Array, "rows classes"],
    labels: Int[Array, " rows"] | Bool[Array, "rows classes"],
    known: Bool[Any, "rows ..."] | None = None,
) -> Float[Array, ""]:
    """Mean over the classes of the average precision of each class against the rest (mAP).

    Args:
        scores: of the classes, traced.
        labels: numbers of the true classes, (rows,), or which of the classes are true, (rows,
            classes), for rows that may have several. Traced.
        known: which labels are known, of the shape of the labels, traced; None for all.

    Returns:
        The mean; a class without a known positive counts as 0, as in scikit-learn.

    Raises:
        ValueError: shapes that do not fit.

    Example:
        >>> import jax.numpy as jnp
        >>> scores = jnp.array([[0.6, 0.4], [0.7, 0.3], [0.2, 0.8]])
        >>> float(mean_average_precision(scores, jnp.array([0, 0, 1])))
        1.0
    """
    scores, labels = jnp.asarray(scores), jnp.asarray(labels)
    if scores.ndim != 2 or labels.shape not in (scores.shape, scores.shape[:1]):
        raise ValueError(
            "scores: expected shape (rows, classes) with labels (rows,) or (rows, classes), "
            f"got {scores.shape} and {labels.shape}"
        )
    if labels.ndim == 1:
        if known is not None:
            known = jnp.broadcast_to(jnp.asarray(known)[:, None], scores.shape)
        labels = labels[:, None] == jnp.arange(scores.shape[1])[None]
    return average_precision(scores, labels, known).mean()


def roc_auc(
    scores: Float[Array, "rows ..."],
    labels: Bool[Array, "rows ..."],
    known: Bool[Any, "rows ..."] | None = None,
) -> Float[Array, "..."]:
    """Area under the ROC curve: how often a positive outscores a negative, a tie counting half.

    Args:
        scores: the higher, the more likely positive; traced.
        labels: which rows are positive, as booleans or 0 and 1, traced.
        known: which labels are known, traced; None for all.

    Returns:
        One number a task, from 0 to 1; NaN unless there are known positives and negatives.

    Raises:
        ValueError: shapes that differ.

    Example:
        >>> import jax.numpy as jnp
        >>> float(roc_auc(jnp.array([0.9, 0.4, 0.4, 0.1]), jnp.array([1, 1, 0, 0])))
        0.875
    """
    return _each_task(_roc_auc, scores, labels, known)


def _each_task(
    metric: Callable[[Array, Array, Array], Array], scores: Any, labels: Any, known: Any | None
) -> Array:
    """The metric of (rows,) over every column of whatever axes follow the rows."""
    scores, labels = as_float(scores), jnp.asarray(labels)
    known = known_mask("scores", scores, labels, known)
    columns = [a.reshape(a.shape[0], -1) for a in (jnp.where(known, scores, 0), labels == 1, known)]
    bad = (jnp.isnan(columns[0]) & columns[2]).any(axis=0)
    values = jnp.where(bad, jnp.nan, jax.vmap(metric, in_axes=1)(*columns))
    return values.reshape(scores.shape[1:])


class _Sorted:
    """Rows by rising score, to count those of a weight below or up to each score."""

    def __init__(self, scores: Array) -> None:
        self.order = jnp.argsort(scores)
        rising = scores[self.order]
        self.first = jnp.searchsorted(rising, scores, side="left")
        self.after = jnp.searchsorted(rising, scores, side="right")

    def below(self, weights: Array, *, ties: bool = False) -> Array:
        """Sum of the weights of the rows of lower score, those of equal score too with ``ties``."""
        sums = jnp.cumulative_sum(weights[self.order], include_initial=True)
        return sums[self.after if ties else self.first]


def _average_precision(scores: Array, positive: Array, known: Array) -> Array:
    rows = _Sorted(scores)
    hits, counted = (positive & known).astype(scores.dtype), known.astype(scores.dtype)
    reached = counted.sum() - rows.below(counted)
    found = hits.sum() - rows.below(hits)
    area = ratio((hits * ratio(found, reached)).sum(), hits.sum())
    return jnp.where(counted.sum() == 0, jnp.nan, area)


def _roc_auc(scores: Array, positive: Array, known: Array) -> Array:
    rows = _Sorted(scores)
    hits, others = (positive & known).astype(scores.dtype), (~positive & known).astype(scores.dtype)
    beaten = (rows.below(others) + rows.below(others, ties=True)) / 2
    share = ratio(beaten, others.sum(), undefined=jnp.nan)
    return ratio(jnp.where(positive & known, share, 0).sum(), hits.sum(), undefined=jnp.nan)

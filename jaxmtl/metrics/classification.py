"""Metrics of predicted classes: accuracy, precision, recall and F1."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxmtl._validate import check_choice
from jaxmtl.metrics._rows import known_mask, mean_known, ratio

Average = Literal["binary", "macro", "micro"]


class Counts(NamedTuple):
    """How often each class was predicted, was true, and was both."""

    hits: Float[Array, "classes ..."]
    predicted: Float[Array, "classes ..."]
    true: Float[Array, "classes ..."]


def accuracy(
    predicted: Int[Array, "rows ..."],
    labels: Int[Array, "rows ..."],
    known: Bool[Any, "rows ..."] | None = None,
) -> Float[Array, "..."]:
    """Share of the known rows whose class is predicted.

    Args:
        predicted: numbers of the predicted classes, traced.
        labels: numbers of the true classes, traced.
        known: which labels are known, traced; None for all.

    Returns:
        One number a task, from 0 to 1; NaN with no known row.

    Raises:
        ValueError: shapes that differ.

    Example:
        >>> import jax.numpy as jnp
        >>> float(accuracy(jnp.array([0, 1, 2, 2]), jnp.array([0, 1, 1, 2])))
        0.75
    """
    predicted, labels = jnp.asarray(predicted), jnp.asarray(labels)
    known = known_mask("predicted", predicted, labels, known)
    return mean_known((predicted == labels).astype(jnp.float32), known)


def precision(
    predicted: Int[Array, "rows ..."],
    labels: Int[Array, "rows ..."],
    known: Bool[Any, "rows ..."] | None = None,
    *,
    num_classes: int = 2,
    average: Average = "binary",
) -> Float[Array, "..."]:
    """Share of the rows predicted to be of a class that are: hits / predicted.

    Args:
        predicted: numbers of the predicted classes, traced.
        labels: numbers of the true classes, traced.
        known: which labels are known, traced; None for all.
        num_classes: static.
        average: ``"binary"``: of class 1 alone; ``"macro"``: mean over the classes that occur among
            predictions or labels; ``"micro"``: from the counts of all classes together. Static.

    Returns:
        One number a task, 0 where nothing was predicted; NaN with no known row.

    Raises:
        ValueError: shapes that differ, an unknown average, or ``"binary"`` with more classes.

    Example:
        >>> import jax.numpy as jnp
        >>> round(float(precision(jnp.array([1, 1, 0, 1]), jnp.array([1, 0, 1, 1]))), 3)
        0.667
    """
    counts = _counts(predicted, labels, known, num_classes, average)
    return _averaged(counts.hits, counts.predicted, counts, average)


def recall(
    predicted: Int[Array, "rows ..."],
    labels: Int[Array, "rows ..."],
    known: Bool[Any, "rows ..."] | None = None,
    *,
    num_classes: int = 2,
    average: Average = "binary",
) -> Float[Array, "..."]:
    """Share of the rows of a class that are found: hits / true.

    Args:
        predicted: numbers of the predicted classes, traced.
        labels: numbers of the true classes, traced.
        known: which labels are known, traced; None for all.
        num_classes: static.
        average: as of ``precision``. Static.

    Returns:
        One number a task, 0 where there was nothing to find; NaN with no known row.

    Raises:
        ValueError: as ``precision``.

    Example:
        >>> import jax.numpy as jnp
        >>> float(recall(jnp.array([1, 0, 0, 1]), jnp.array([1, 1, 0, 0])))
        0.5
    """
    counts = _counts(predicted, labels, known, num_classes, average)
    return _averaged(counts.hits, counts.true, counts, average)


def f1_score(
    predicted: Int[Array, "rows ..."],
    labels: Int[Array, "rows ..."],
    known: Bool[Any, "rows ..."] | None = None,
    *,
    num_classes: int = 2,
    average: Average = "binary",
) -> Float[Array, "..."]:
    """Harmonic mean of precision and recall: 2 hits / (predicted + true).

    Args:
        predicted: numbers of the predicted classes, traced.
        labels: numbers of the true classes, traced.
        known: which labels are known, traced; None for all.
        num_classes: static.
        average: as of ``precision``; ``"macro"`` is the mean of the classes' F1. Static.

    Returns:
        One number a task, 0 where the class neither occurs nor is predicted; NaN with no known row.

    Raises:
        ValueError: as ``precision``.

    Example:
        >>> import jax.numpy as jnp
        >>> predicted, labels = jnp.array([0, 1, 2, 2]), jnp.array([0, 1, 1, 2])
        >>> float(f1_score(predicted, labels, num_classes=3, average="micro"))
        0.75
    """
    counts = _counts(predicted, labels, known, num_classes, average)
    return _averaged(2 * counts.hits, counts.predicted + counts.true, counts, average)


def _counts(
    predicted: Array, labels: Array, known: Any | None, num_classes: int, average: Average
) -> Counts:
    check_choice("average", average, ("binary", "macro", "micro"))
    if num_classes < 2 or (average == "binary" and num_classes != 2):
        raise ValueError(
            f"num_classes: expected 2 with average='binary' and at least 2 with the others, "
            f"got {num_classes} with {average!r}"
        )
    predicted, labels = jnp.asarray(predicted), jnp.asarray(labels)
    known = known_mask("predicted", predicted, labels, known)

    def count(number: Array) -> Counts:
        is_predicted, is_true = (predicted == number) & known, (labels == number) & known
        sums = (both.sum(axis=0) for both in (is_predicted & is_true, is_predicted, is_true))
        return Counts(*(total.astype(jnp.float32) for total in sums))

    return jax.vmap(count)(jnp.arange(num_classes))


def _averaged(over: Array, under: Array, counts: Counts, average: Average) -> Array:
    total = counts.true.sum(axis=0)
    if average == "binary":
        value = ratio(over[1], under[1])
    elif average == "micro":
        value = ratio(over.sum(axis=0), under.sum(axis=0))
    else:
        occurs = (counts.predicted + counts.true) > 0
        value = mean_known(ratio(over, under), occurs)
    return jnp.where(total == 0, jnp.nan, value)

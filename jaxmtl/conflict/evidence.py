"""Evidence that tasks belong together, added up over training, beside the conflict of ``Tally``.

Three accumulators, each started, updated and scored: inner products of gradients without the noise
of their batches, what a step for one task does for the others, and how predictions correlate. They
are pytrees that go along under ``scan`` and ``vmap``.
"""

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxmtl._pytree import register_dataclass
from jaxmtl.conflict.layers import ConflictMap
from jaxmtl.conflict.tally import overlap_of


@register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PairMeans:
    """A mean for every pair of tasks, over the batches that tell something of it.

    Attributes:
        batches: that counted.
        total: sum over them.
        both: rows that carried both labels; on the diagonal those with the label.

    Example:
        >>> start_pairs(2).score().tolist()
        [[nan, nan], [nan, nan]]
    """

    batches: Float[Array, "*lead tasks tasks"]
    total: Float[Array, "*lead tasks tasks"]
    both: Float[Array, "tasks tasks"]

    def score(self) -> Float[Array, "*lead tasks tasks"]:
        """The means; NaN where nothing was seen."""
        seen = self.batches > 0
        return jnp.where(seen, self.total / jnp.where(seen, self.batches, 1), jnp.nan)

    def cosine(self) -> Float[Array, "*lead tasks tasks"]:
        """Of means of inner products, over their own norms; NaN where a norm is not above 0."""
        means = self.score()
        square = jnp.diagonal(means, axis1=-2, axis2=-1)
        norms = jnp.sqrt(jnp.where(square > 0, square, jnp.nan))
        return means / (norms[..., :, None] * norms[..., None, :])

    @property
    def overlap(self) -> Float[Array, "tasks tasks"]:
        """Share of the rows with one of two labels that carry both; see ``Tally.overlap``."""
        return overlap_of(self.both)


def start_pairs(tasks: int, layers: int | None = None) -> PairMeans:
    """Means of nothing.

    Args:
        tasks: their number, static.
        layers: their number, for a mean a layer; None for one of the network as a whole. Static.

    Returns:
        The accumulator.

    Example:
        >>> start_pairs(2, layers=3).total.shape
        (3, 2, 2)
    """
    shape = (tasks, tasks) if layers is None else (layers, tasks, tasks)
    return PairMeans(
        batches=jnp.zeros(shape), total=jnp.zeros(shape), both=jnp.zeros((tasks, tasks))
    )


def update_products(
    pairs: PairMeans,
    first: Float[Array, "tasks numbers"],
    second: Float[Array, "tasks numbers"],
    *,
    known: Bool[Array, "rows tasks"] | None = None,
) -> PairMeans:
    """Adds an inner product of every two task gradients, free of the noise of their batches.

    The product of gradients of *one* batch holds the noise that both tasks have in common. Of two
    batches that were drawn independently, such as two halves of one or this one and the one before,

        (<a_s, b_t> + <b_s, a_t>) / 2

    has the product of the expected gradients as its mean, for s = t too: ``cosine`` divides by
    norms that hold no noise either.

    Args:
        pairs: of the batches before, traced.
        first: task gradients of one batch, a row each. Traced.
        second: of another, traced.
        known: labels of the rows of both, traced; None where all are known. A pair without a row
            that carries both labels tells nothing.

    Returns:
        The new means.

    Example:
        >>> a, b = jnp.array([[1.0, 2.0], [0.0, 1.0]]), jnp.array([[3.0, 0.0], [1.0, 1.0]])
        >>> update_products(start_pairs(2), a, b).score().tolist()
        [[3.0, 1.5], [1.5, 1.0]]
    """
    crossed = jnp.matmul(first, second.T, precision="highest")
    return _added(pairs, (crossed + crossed.T) / 2, known)


def update_affinity(
    pairs: PairMeans,
    before: Float[Array, " tasks"],
    after: Float[Array, "*lead tasks tasks"],
    *,
    known: Bool[Array, "rows tasks"] | None = None,
) -> PairMeans:
    """Adds what a step for one task does for every other: 1 - loss after over loss before.

    Args:
        pairs: traced.
        before: losses before the step, traced. A task whose loss is 0 tells nothing.
        after: entry (s, t): loss of t after a step for s alone, in what tasks share; measured, or
            from ``losses_after`` to first order. Traced.
        known: labels of the rows, traced; None where all are known.

    Returns:
        The new means: above 0 where s helps t.

    Example:
        >>> found = update_affinity(start_pairs(2), jnp.array([1.0, 2.0]), jnp.ones((2, 2)))
        >>> found.score().tolist()
        [[0.0, 0.5], [0.0, 0.5]]

    References:
        Fifty et al. (2021), Efficiently Identifying Task Groupings for Multi-Task Learning,
        NeurIPS: inter-task affinity. Jeong, Yoon (2025), Selective Task Group Updates for
        Multi-Task Optimization, ICLR: proximal, as it is followed while tasks move on.
    """
    before = jnp.broadcast_to(before, after.shape)
    usable = before > 0
    share = 1 - after / jnp.where(usable, before, 1)
    return _added(pairs, jnp.where(usable, share, jnp.nan), known)


def losses_after(
    found: ConflictMap, losses: Float[Array, " tasks"], rate: float | Array
) -> Float[Array, "layers tasks tasks"]:
    """Losses after a step of gradient descent for each task alone, to first order.

    Costs no forward pass: L_t - rate <g_s, g_t>, a layer at a time.

    Args:
        found: of the batch, traced.
        losses: of the tasks, traced.
        rate: of the step, static or traced.

    Returns:
        Entry (layer, s, t): of t after a step for s in that layer.

    Example:
        >>> from jaxmtl.conflict import conflict_map
        >>> found = conflict_map({"a": jnp.array([[1.0], [-2.0]])})
        >>> [f"{loss:.2f}" for loss in losses_after(found, jnp.ones(2), 0.1).ravel()]
        ['0.90', '1.20', '1.20', '0.60']
    """
    return losses[None, None] - rate * found.products


def _added(pairs: PairMeans, value: Array, known: Array | None) -> PairMeans:
    told, both = jnp.isfinite(value), pairs.both
    if known is not None:
        marks = known.astype(value.dtype)
        here = marks.T @ marks
        told, both = told & jnp.broadcast_to(here > 0, value.shape), both + here
    return PairMeans(
        batches=pairs.batches + told.astype(pairs.batches.dtype),
        total=pairs.total + jnp.where(told, value, 0),
        both=both,
    )


@register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Correlations:
    """How outputs vary with each other over rows that carry both labels.

    Attributes:
        number: rows of every pair of outputs.
        mean: of the first output over them.
        square: sum of squares of the first output about that mean.
        product: sum of products of both about their means.
        widths: outputs of each task. Static.

    Example:
        >>> start_correlations((1, 1)).score().tolist()
        [[nan, nan], [nan, nan]]
    """

    number: Float[Array, "outputs outputs"]
    mean: Float[Array, "outputs outputs"]
    square: Float[Array, "outputs outputs"]
    product: Float[Array, "outputs outputs"]
    widths: tuple[int, ...] = dataclasses.field(metadata={"static": True})

    def score(self) -> Float[Array, "tasks tasks"]:
        """Correlations between tasks; NaN where nothing varies or no row carries both labels.

        Of two numbers it is theirs, with its sign. Where a task has several outputs it is the
        root of the RV coefficient, |C_st| / sqrt(|C_ss| |C_tt|) with the Frobenius norm of
        covariances, which has no sign and is the absolute correlation for one output each.
        """
        between = self.square * self.square.T
        single = self.product / jnp.sqrt(jnp.where(between > 0, between, jnp.nan))
        if set(self.widths) == {1}:
            return single
        owner = np.repeat(np.arange(len(self.widths)), self.widths)
        belongs = jnp.asarray(owner[:, None] == np.arange(len(self.widths))[None], self.mean.dtype)
        covariance = self.product / jnp.maximum(self.number, 1)
        size = jnp.sqrt(belongs.T @ covariance**2 @ belongs)
        own = jnp.diagonal(size)
        norm = jnp.sqrt(own[:, None] * own[None])
        root = size / jnp.where(norm > 0, norm, jnp.nan)
        numbers = np.array(self.widths) == 1
        firsts = np.cumsum((0, *self.widths[:-1]))
        return jnp.where(
            jnp.asarray(numbers[:, None] & numbers[None]), single[np.ix_(firsts, firsts)], root
        )

    @property
    def overlap(self) -> Float[Array, "tasks tasks"]:
        """Share of the rows with one of two labels that carry both; see ``Tally.overlap``."""
        firsts = np.cumsum((0, *self.widths[:-1]))
        return overlap_of(self.number[np.ix_(firsts, firsts)])


def start_correlations(widths: Sequence[int]) -> Correlations:
    """Correlations of nothing.

    Args:
        widths: outputs of each task, static.

    Returns:
        The accumulator.

    Example:
        >>> start_correlations((1, 3)).product.shape
        (4, 4)
    """
    zero = jnp.zeros((sum(widths), sum(widths)))
    return Correlations(number=zero, mean=zero, square=zero, product=zero, widths=tuple(widths))


def update_correlations(
    found: Correlations,
    outputs: Float[Array, "rows outputs"],
    known: Bool[Array, "rows tasks"] | None = None,
) -> Correlations:
    """Adds rows.

    Args:
        found: of the rows before, traced.
        outputs: predictions, best on rows that were held out. Traced.
        known: which labels the rows carry, traced; None to count every pair on all rows, which for
            predictions is possible though labels are missing.

    Returns:
        The new sums; in what parts the rows come makes no difference beyond rounding.

    Raises:
        ValueError: another number of outputs or tasks.

    Example:
        >>> outputs = jnp.array([[1.0, 2.0], [2.0, 4.0], [3.0, 7.0]])
        >>> round(update_correlations(start_correlations((1, 1)), outputs).score()[0, 1].item(), 3)
        0.993

    References:
        Chan, Golub, LeVeque (1983), Algorithms for Computing the Sample Variance: parts are joined
        without the cancellation that sums of squares suffer.
    """
    tasks = len(found.widths)
    if outputs.ndim != 2 or outputs.shape[1] != sum(found.widths):
        raise ValueError(
            f"outputs: expected (rows, {sum(found.widths)}), one column for each of {tasks} tasks "
            f"and class, got {outputs.shape}"
        )
    if known is None:
        known = jnp.ones((len(outputs), tasks), bool)
    if known.shape != (len(outputs), tasks):
        raise ValueError(f"known: expected shape {(len(outputs), tasks)}, got {known.shape}")
    marks = jnp.repeat(known, np.array(found.widths), axis=1, total_repeat_length=outputs.shape[1])
    marks = marks.astype(found.mean.dtype)
    there = marks.sum(axis=0)
    shift = (jnp.where(marks > 0, outputs, 0)).sum(axis=0) / jnp.maximum(there, 1)
    about = jnp.where(marks > 0, outputs - shift[None], 0)
    number, total = marks.T @ marks, about.T @ marks
    divisor = jnp.maximum(number, 1)
    mean = total / divisor + shift[:, None]
    square = (about**2).T @ marks - total**2 / divisor
    product = about.T @ about - total * total.T / divisor
    together = found.number + number
    apart = jnp.where((found.number > 0) & (number > 0), mean - found.mean, 0)
    weight = found.number * number / jnp.maximum(together, 1)
    share = number / jnp.maximum(together, 1)
    return Correlations(
        number=together,
        mean=found.mean + jnp.where(number > 0, share * (mean - found.mean), 0),
        square=found.square + square + apart**2 * weight,
        product=found.product + product + apart * apart.T * weight,
        widths=found.widths,
    )

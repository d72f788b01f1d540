"""Recon's conflict score: which layers the tasks fight over."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PyTree

from jaxmtl._pytree import Prefix, leaf_groups
from jaxmtl._validate import check_static, check_within
from jaxmtl.aggregation.contract import Aggregator, Context, checked, describe
from jaxmtl.aggregation.known import AnyMethod, as_aggregator
from jaxmtl.aggregation.mean import mean
from jaxmtl.aggregation.rows import gram_matrix
from jaxmtl.aggregation.settings import Real, in_type


class ReconState(NamedTuple):
    """Scores so far.

    Attributes:
        inner: state of the aggregator inside.
        scores: number of pairs in conflict at each group, over all updates, in the order of
            ``leaf_groups``.
    """

    inner: Any
    scores: Int[Array, " groups"]


def conflict_scores(
    task_grads: PyTree, *, threshold: Real = 0.0, prefix: Prefix = 1
) -> dict[Any, Int[Array, ""]]:
    """Number of pairs of tasks in S-conflict at each layer: cosine of their gradients below S.

    Args:
        task_grads: leaves (tasks, *param), traced.
        threshold: S in [-1, 0], static or traced; the lower, the more severe the conflicts counted.
        prefix: what a layer is, see ``leaf_groups``; 1 for the entries of the outermost dictionary.

    Returns:
        From the label of each layer to the number, int32.

    Example:
        >>> import jax.numpy as jnp
        >>> grads = {"a": jnp.array([[1.0], [-1.0]]), "b": jnp.array([[1.0], [1.0]])}
        >>> {layer: int(score) for layer, score in conflict_scores(grads).items()}
        {"['a']": 1, "['b']": 0}

    References:
        Shi, Li, Zhang, Chen, Wu (2023), Recon: reducing conflicting gradients from the root for
        multi-task learning, definition 3 and algorithm 1.
    """
    task_grads, context = checked(task_grads)
    return _scores(task_grads, context.present, threshold, prefix)


def recon(
    aggregator: AnyMethod | None = None, threshold: Real = 0.0, prefix: Prefix = 1
) -> Aggregator:
    """Adds up Recon's conflict scores while another aggregator does the work.

    A layer's score is the number of pairs of tasks whose gradients on it have a cosine below S,
    over all updates. Recon trains for a while, makes the layers with the highest scores
    task-specific, and trains anew; the result of the aggregator inside is not touched.

    Needs what the aggregator inside needs, and the gradients layer by layer.

    Args:
        aggregator: does the work; None for ``mean()``, joint training as in the paper.
        threshold: S in [-1, 0], may be traced; 0 is the authors' default, their experiments
            go down to -0.15.
        prefix: what a layer is, see ``leaf_groups``.

    Returns:
        The aggregator; its state is a ``ReconState``. Batches whose gradients are not finite are
        not counted.

    Raises:
        ValueError: S outside [-1, 0].

    Example:
        >>> import jax.numpy as jnp
        >>> aggregator = recon()
        >>> grads = {"a": jnp.array([[1.0], [-1.0]]), "b": jnp.array([[1.0], [1.0]])}
        >>> state = aggregator.init(grads)
        >>> for _ in range(3):
        ...     _, state, _ = aggregator.update(grads, state)
        >>> dict(zip(leaf_groups(grads, 1), state.scores.tolist()))
        {"['a']": 3, "['b']": 0}

    References:
        See ``conflict_scores``.
    """
    inside = mean() if aggregator is None else as_aggregator(aggregator)
    check_within("threshold", threshold, -1, 0)
    check_static("prefix", prefix)

    def init(task_grads: PyTree) -> ReconState:
        number = len(leaf_groups(task_grads, prefix))
        return ReconState(inside.init(task_grads), jnp.zeros(number, jnp.int32))

    def update(task_grads: PyTree, state: ReconState, **given: Any) -> Any:
        combined, inner, info = inside.update(task_grads, state.inner, **given)
        kept, context = checked(task_grads, **given)
        new = jnp.stack(list(_scores(kept, context.present, threshold, prefix).values()))
        finite = jnp.isfinite(gram_matrix(kept)).all()  # NaN is no evidence
        return combined, ReconState(inner, state.scores + jnp.where(finite, new, 0)), info

    return Aggregator(init, update, weighted=inside.weighted)


def _scores(task_grads: PyTree, present: Array, threshold: Any, prefix: Prefix) -> dict[Any, Array]:
    leaves = jax.tree.leaves(task_grads)
    pairs = jnp.triu(present[:, None] & present[None], 1)
    scores = {}
    for label, group in leaf_groups(task_grads, prefix).items():
        info = describe(gram_matrix([leaves[at] for at in group]), Context(present))
        scores[label] = ((info.cosines < in_type(threshold, info.cosines.dtype)) & pairs).sum(
            dtype=jnp.int32
        )
    return scores

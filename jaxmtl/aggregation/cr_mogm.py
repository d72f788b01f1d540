"""Smoothed weights around any aggregator."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from jaxmtl._validate import check_within
from jaxmtl.aggregation.contract import Aggregator, Context, Weighed
from jaxmtl.aggregation.known import AnyMethod, as_aggregator
from jaxmtl.aggregation.mgda import mgda
from jaxmtl.aggregation.rows import keep_present, weighted_sum
from jaxmtl.aggregation.settings import Real, in_type
from jaxmtl.gradients.stacked import accumulator_dtype, num_tasks


class CRMOGMState(NamedTuple):
    """Smoothed weights and the state inside.

    Attributes:
        inner: state of the aggregator inside.
        weights: smoothed.
        started: whether task t has had a weight yet.
    """

    inner: Any
    weights: Float[Array, " tasks"]
    started: Bool[Array, " tasks"]


def cr_mogm(aggregator: AnyMethod | None = None, alpha: Real = 0.9) -> Aggregator:
    """Running mean of another aggregator's weights: l <- alpha l + (1 - alpha) w, result J^T l.

    Correlation-reduced multi-objective gradients: w and the gradients it is applied to come from
    the same batch, and smoothing w weakens their correlation. The first update takes w itself, as
    in TorchJD.

    Needs what the aggregator inside needs.

    Args:
        aggregator: whose result is a weighted sum of the gradients given; None for ``mgda()``, as
            in the paper's first variant.
        alpha: share of the past, in [0, 1]; may be traced.

    Returns:
        The aggregator; its state is a ``CRMOGMState``. Absent tasks keep their part of the smoothed
        weights: the others' are brought to the size that they have by themselves.

    Raises:
        ValueError: alpha out of range, or a result that is no weighted sum.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxmtl.aggregation as ag
        >>> aggregator = cr_mogm(ag.mgda(), alpha=0.5)
        >>> state = aggregator.init(jnp.ones((2, 2)))
        >>> for scale in (1.0, 2.0):
        ...     _, state, info = aggregator.update(jnp.diag(jnp.array([1.0, scale])), state)
        >>> [round(w, 3) for w in info.weights.tolist()]
        [0.65, 0.35]

    References:
        Zhou, Zhang, Jiang, Zhong, Gu, Zhu (2022), On the convergence of stochastic multi-objective
        gradient manipulation and beyond, algorithm 1.
    """
    inside = mgda() if aggregator is None else as_aggregator(aggregator)
    check_within("alpha", alpha, 0, 1)
    if not inside.weighted:
        raise ValueError(
            "cr_mogm: expected an aggregator whose result is a weighted sum of the task gradients, "
            "got one whose result is none: pass upgrad(), say"
        )

    def smoothed(
        state: CRMOGMState, inner: Any, weights: Array, present: Array
    ) -> tuple[Array, CRMOGMState]:
        before = state.weights * jnp.where(present & state.started, 1, 0)
        # Weights of a few tasks are not those that they have among all: the past is brought to the
        # size of the new ones before they are mixed, and the mixture back to that of the past.
        now = jnp.abs(jnp.where(state.started & present, weights, 0)).sum()
        then = jnp.abs(before).sum()
        others = (state.started != present).any() & (now > 0) & (then > 0)
        ratio = jnp.where(others, now / jnp.where(others, then, 1), 1)
        past = in_type(alpha, before.dtype)
        mixed = past * ratio * before + (1 - past) * weights
        applied = jnp.where(present, jnp.where(state.started, mixed, weights), 0)
        back = jnp.where((present | ~state.started).all(), 1, ratio)
        finite = jnp.isfinite(applied).all()
        following = CRMOGMState(
            inner,
            jnp.where(present & finite, applied / back, state.weights),
            state.started | (present & finite),
        )
        return applied, following

    def init(task_grads: PyTree) -> CRMOGMState:
        tasks, dtype = num_tasks(task_grads), accumulator_dtype(task_grads)
        return CRMOGMState(inside.init(task_grads), jnp.zeros(tasks, dtype), jnp.zeros(tasks, bool))

    def update(task_grads: PyTree, state: CRMOGMState, *, present: Any = None, **given: Any) -> Any:
        _, inner, info = inside.update(task_grads, state.inner, present=present, **given)
        here = jnp.ones_like(state.started) if present is None else present
        applied, following = smoothed(state, inner, info.weights, here)
        return (
            weighted_sum(applied, keep_present(task_grads, present)),
            following,
            info._replace(weights=applied),
        )

    def rule(gram: Any, state: CRMOGMState, context: Context) -> Weighed:
        assert inside.rule is not None
        found = inside.rule(gram, state.inner, context)
        applied, following = smoothed(state, found.state, found.weights, context.present)
        return Weighed(applied, following, found.converged, found.residual)

    return Aggregator(init, update, rule if inside.rule is not None else None)

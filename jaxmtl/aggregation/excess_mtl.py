"""Excess risk: weights from how much each task still has to gain."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxmtl._validate import check_count, check_positive
from jaxmtl.aggregation.contract import Aggregator, checked, describe
from jaxmtl.aggregation.parts import kept_unless
from jaxmtl.aggregation.rows import gram_matrix, weighted_sum
from jaxmtl.aggregation.settings import Real, in_type
from jaxmtl.gradients.stacked import accumulator_dtype, num_tasks


class ExcessMTLState(NamedTuple):
    """What is known of each task's excess risk.

    Attributes:
        squares: sums of squared gradients, like the task gradients.
        log_weights: logarithms of the weights, up to a constant.
        baseline: first excess risk of a task (its sum, during the warm-up).
        steps: updates at which task t was present.
    """

    squares: PyTree
    log_weights: Float[Array, " tasks"]
    baseline: Float[Array, " tasks"]
    steps: Int[Array, " tasks"]


def excess_mtl(step_size: Real = 1.0, warmup: int = 0) -> Aggregator:
    """Weights raised exponentially with the estimated excess risk of each task.

    The excess risk of task t is g_t' H^-1 g_t with the diagonal H = sqrt(sum of g_t^2 so far +
    1e-7), in units of its first value; w_t <- w_t exp(step e_t), normalised to sum 1. As in TorchJD
    the first update takes e_t as it is (with a warm-up the mean over it is the unit, and weights
    are equal until then); LibMTL starts at weights 1, skips the first update and takes a step of
    1e-2. Logarithms are kept, so that nothing overflows.

    Where tasks are missing, those present exchange weight among themselves; the sum of squares of a
    task seen in fewer updates is scaled to the number of the one seen most, and the first e_t of a
    task that comes later is in its own unit.

    Needs the gradients and a state of their size.

    Args:
        step_size: above 0, may be traced; LibMTL has 1e-2.
        warmup: number of updates with equal weights, static.

    Returns:
        The aggregator; its state is an ``ExcessMTLState``. Absent tasks keep theirs, and their part
        of the weights.

    Raises:
        ValueError: a number out of range.

    Example:
        >>> import jax.numpy as jnp
        >>> grads = jnp.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]])
        >>> aggregator = excess_mtl()
        >>> _, state, info = aggregator.update(grads, aggregator.init(grads))
        >>> [round(w, 4) for w in info.weights.tolist()]
        [0.1192, 0.8808]

    References:
        He, Zhou, Zhang, Yu, Zhao (2024), Robust multi-task learning with excess risks, equations
        6, 7, 9.
    """
    check_positive("step_size", step_size)
    check_count("warmup", warmup, zero=True)

    def init(task_grads: PyTree) -> ExcessMTLState:
        tasks, dtype = num_tasks(task_grads), accumulator_dtype(task_grads)
        return ExcessMTLState(
            squares=jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, dtype), task_grads),
            log_weights=jnp.zeros(tasks, dtype),
            baseline=jnp.zeros(tasks, dtype),
            steps=jnp.zeros(tasks, jnp.int32),
        )

    def update(task_grads: PyTree, state: ExcessMTLState, **given: Any) -> Any:
        task_grads, context = checked(task_grads, **given)
        dtype, present = state.log_weights.dtype, context.present
        new = jax.tree.map(lambda leaf: leaf.astype(dtype) ** 2, task_grads)
        squares = jax.tree.map(jnp.add, state.squares, new)
        risks = jax.tree.map(
            lambda square, total: (
                (square / jnp.sqrt(total + 1e-7)).reshape(square.shape[0], -1).sum(axis=1)
            ),
            new,
            squares,
        )
        risk = jax.tree.reduce(jnp.add, risks)
        finite = jnp.isfinite(risk).all()
        steps = state.steps + present.astype(jnp.int32)
        warming = state.steps < warmup
        first = state.steps == warmup
        if warmup:
            baseline = state.baseline + jnp.where(warming & present, risk / warmup, 0)
            excess = risk / (baseline + 1e-7)
        else:
            baseline = jnp.where(first & present, risk, state.baseline)
            together = (first | ~present).all()  # a latecomer's first is in its own unit
            excess = jnp.where(first & together, risk, risk / (baseline + 1e-7))
        moving = present & ~warming
        seen = jnp.where(moving, steps, 0)
        # A sum of fewer squares would make a task that is often missing look the riskier.
        share = jnp.where(moving, seen / jnp.maximum(jnp.max(seen), 1), 1).astype(dtype)
        moved = jnp.where(moving, in_type(step_size, dtype) * excess * jnp.sqrt(share), 0)
        log_weights = _exchanged(state.log_weights, moved, moving)
        weights = jax.nn.softmax(jnp.where(present, log_weights, -jnp.inf))
        weights = jnp.where(finite, jnp.where(present, weights, 0), jnp.nan)
        following = ExcessMTLState(squares, log_weights, baseline, steps)
        following = kept_unless(finite, following, state)
        info = describe(gram_matrix(task_grads), context, weights)
        return weighted_sum(weights, task_grads), following, info

    return Aggregator(init, update)


def _exchanged(
    log_weights: Float[Array, " tasks"],
    moved: Float[Array, " tasks"],
    moving: Bool[Array, " tasks"],
) -> Float[Array, " tasks"]:
    """Logarithms of the weights moved, the sum of those that move kept where others rest."""

    def log_sum(values: Array) -> Array:
        # The largest is counted as 1 whatever it is: with nobody moving there is none.
        largest = jnp.max(jnp.where(moving, values, -jnp.inf))
        largest = jnp.where(moving.any(), largest, 0)
        ratios = jnp.where(moving, jnp.exp(jnp.where(moving, values - largest, 0)), 0)
        return largest + jnp.log(jnp.where(moving.any(), ratios.sum(), 1))

    following = log_weights + moved
    gained = log_sum(following) - log_sum(log_weights)
    following = following - jnp.where(moving & ~moving.all(), gained, 0)
    return following - jnp.max(following)

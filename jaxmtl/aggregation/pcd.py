"""Priority-constrained descent: one task leads, the others make a guaranteed share of progress."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxmtl._validate import check_positive, check_within
from jaxmtl.aggregation.contract import Aggregator, Context, Weighed, from_rule
from jaxmtl.aggregation.settings import Real, in_type
from jaxmtl.aggregation.solvers.linear import multiply, unit_gram
from jaxmtl.aggregation.solvers.nonnegative import nonnegative_qp
from jaxmtl.aggregation.solvers.trust import (
    ROUNDING,
    accuracy,
    amplification,
    cancelling,
    estimate,
    length_of,
    safe_root,
    thin,
)


class PCDState(NamedTuple):
    """Running means of squared norms.

    Attributes:
        square: biased running mean of |g_t|^2.
        steps: updates at which task t was present.
    """

    square: Float[Array, " tasks"]
    steps: Int[Array, " tasks"]


def pcd(
    tau: Real | Float[Array, " others"] | Sequence[float] = 0.02,
    beta: Real = 0.999,
    eps: Real = 1e-8,
) -> Aggregator:
    """The nearest direction to the first task's gradient that serves every other task a little.

    With gradients n_t = g_t / sqrt(v_t + eps), v_t the unbiased running mean of |g_t|^2: min |d -
    n_1|^2 subject to n_t.d >= tau |n_t|^2 for t > 1; the result is d at the length of g_1. Solved
    exactly through its dual, a nonnegative program. If the constraints contradict each other (which
    takes three tasks) the result is g_1, as in TorchJD, and ``converged`` is False; it is 0 if g_1
    is 0, or absent (then ``converged`` is False too).

    Needs the Gram matrix. Of degree 1 up to eps; the order of the tasks matters.

    Args:
        tau: share of its own progress that each other task gets, in [0, 1]: one number or one a
            task but the first.
        beta: decay of the running mean, in [0, 1).
        eps: added to the running mean, in the unit of squared gradients. All may be traced.

    Returns:
        The aggregator; its state is a ``PCDState``.

    Raises:
        ValueError: beta out of range, eps below 0; at the update, if there is not one tau a task
            but the first.

    Example:
        >>> import jax.numpy as jnp
        >>> gram = jnp.array([[18.0, -22.0], [-22.0, 38.0]])
        >>> [round(w, 4) for w in pcd().weights(gram).tolist()]
        [1.8481, 1.0954]

    References:
        Varam et al. (2026), Not all objectives are born equal: priority-constrained descent, TMLR,
        arXiv:2606.29521; its code enumerates working sets.
    """
    check_within("beta", beta, 0, 1, open_end=True)
    check_positive("eps", eps, zero=True)

    def rule(gram: Any, state: PCDState, context: Context) -> Weighed:
        tasks, dtype = gram.shape[0], gram.dtype
        decay = in_type(beta, dtype)
        shares = jnp.asarray(tau, dtype)
        if shares.ndim and shares.shape != (tasks - 1,):
            raise ValueError(
                f"pcd: expected tau of shape ({tasks - 1},), one a task but the first, "
                f"got {shares.shape}"
            )
        shares = jnp.concatenate([jnp.zeros(1, dtype), jnp.broadcast_to(shares, (tasks - 1,))])
        unit = unit_gram(gram, context.present, context.scales)
        squares = unit.norms**2
        finite = jnp.isfinite(gram).all() & jnp.isfinite(squares).all()
        update = context.present & finite
        steps = state.steps + update.astype(jnp.int32)
        running = jnp.where(update, decay * state.square + (1 - decay) * squares, state.square)
        unbiased = running / jnp.where(
            steps > 0, 1 - jnp.asarray(decay, dtype) ** steps.astype(dtype), 1
        )
        deviation = jnp.sqrt(unbiased + in_type(eps, dtype))
        # Squares that underflow are as good as a first step: rows of length 1.
        deviation = jnp.where(deviation > 0, deviation, unit.norms)
        lengths = jnp.where(unit.live, unit.norms / jnp.where(unit.live, deviation, 1), 0)

        first = jnp.arange(tasks) == 0
        others = unit.live & ~first
        linear = jnp.where(others, unit.cosines[0] * lengths[0] - shares * lengths, 0)
        size = jnp.max(jnp.abs(linear))
        size = jnp.where(size > 0, size, 1)
        apart = jnp.where(others[:, None] & others[None], unit.cosines, jnp.eye(tasks, dtype=dtype))
        trust = amplification(apart)
        # Beside it, whether rows cancel: a program with the same matrix.
        x, even = nonnegative_qp(apart, jnp.stack([linear / size, cancelling(trust)])).x
        short = -(multiply(apart, x) + linear / size)
        missed = jnp.max(jnp.where(others, short, 0))
        feasible = missed <= 1e-2  # an unbounded dual leaves a constraint short by its own size
        led = jnp.where(first, lengths[0], 0)
        direction = led + jnp.where(feasible, x * size, 0)
        # In units of its largest weight, whose square is in range.
        largest = jnp.max(jnp.abs(direction))
        z = direction / jnp.where(largest > 0, largest, 1)
        square = (z * multiply(unit.cosines, z)).sum()
        small = float(jnp.finfo(dtype).eps)
        blur = small * jnp.abs(z).sum() ** 2
        some = (square > 10 * blur) & unit.live[0]
        scale = unit.norms[0] / jnp.sqrt(jnp.where(some, square, 1))
        weights = jnp.where(some, z * scale * unit.inverse, 0)
        # In the unit of ``size``; the others get what they were promised, exactly where it binds.
        z = direction / size
        off = jnp.where(others, jnp.where(x > 0, short, jnp.maximum(short, 0)), 0)
        length = jnp.where(some, safe_root(square) * largest / size, 1)
        # Scaled by the root of a square that is rounded, too: nothing is not known to be nothing.
        nothing = jnp.where(unit.live[0], jnp.ones((), dtype), 0)
        unscaled = jnp.where(some, blur / jnp.where(some, square, 1), nothing) * length
        error = estimate(trust, length_of(z), off) + unscaled
        good = (error <= accuracy(dtype) * length) & (
            jnp.max(jnp.abs(off)) <= ROUNDING * small * (1 + length_of(z))
        )
        good &= ~thin(apart, even, unit.cosines)  # as of the projections
        residual = jnp.where(error <= accuracy(dtype) * length, jnp.max(jnp.abs(off)), error)
        converged = good & feasible & finite & context.present[0]
        return Weighed(weights, PCDState(running, steps), converged, residual)

    def init_state(tasks: int, dtype: Any) -> PCDState:
        return PCDState(jnp.zeros(tasks, dtype), jnp.zeros(tasks, jnp.int32))

    return from_rule(rule, init_state, scaled=True)

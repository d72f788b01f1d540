"""The direction near the mean with the best worst case: the program of CAGrad."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxmtl.aggregation.solvers.linear import masked_solver, multiply, unit_gram
from jaxmtl.aggregation.solvers.nonnegative import nonnegative_qp
from jaxmtl.aggregation.solvers.solution import Solution
from jaxmtl.aggregation.solvers.trust import (
    ROUNDING,
    accuracy,
    amplification,
    cancels,
    estimate,
    length_of,
    safe_root,
    suspect,
    thin,
)

LIMIT = 40


class _Carry(NamedTuple):
    margin: Array
    low: Array
    high: Array
    support: Array
    round: Array
    done: Array  # the margin was found
    even: Array  # what tells whether rows cancel, sought at last
    sought: Array


@jax.jit
def worst_case_weights(
    gram: Float[Array, "tasks tasks"],
    present: Bool[Array, " tasks"],
    mean: Float[Array, " tasks"],
    radius: float | Float[Array, ""],
    scales: Float[Array, " tasks"] | None = None,
) -> Solution:
    """Weights of the d that maximises min_t g_t.d over |d - g0| <= c |g0|, g0 = J^T b.

    The shortest way from g0 to {d : g_t.d >= mu for all t} is a nonnegative program; its length
    grows with the margin mu, and mu is sought at which it is c |g0|. On a support P the weights are
    linear in mu, s = mu alpha - beta, and the length is the root of a quadratic: each round solves
    the program at the current mu, then the quadratic on its support, and it ends when the support
    stays the same. Rows are taken at length 1 and margins relative to them, so that the numbers are
    of order 1 however the rows are scaled.

    Args:
        gram: G, traced.
        present: tasks to weigh, traced.
        mean: b, the weights of g0, traced.
        radius: c >= 0, traced.
        scales: see ``unit_gram``.

    Returns:
        The weights as ``x``. Where the best margin is 0 (0 is a convex combination of the rows, as
        near as rounding can tell, and the ball reaches a d that hurts none), the weights are 0.
        Derivatives are those of the quadratic on the support.

    Example:
        >>> import jax.numpy as jnp
        >>> gram, b = jnp.array([[18.0, -22.0], [-22.0, 38.0]]), jnp.array([0.5, 0.5])
        >>> found = worst_case_weights(gram, jnp.ones(2, bool), b, 0.5)
        >>> [round(w, 3) for w in found.x.tolist()]
        [0.704, 0.5]
    """
    unit = unit_gram(gram, present, scales)
    live, dtype = unit.live, gram.dtype
    longest = jnp.max(unit.norms)
    start = mean * unit.norms / jnp.where(longest > 0, longest, 1)
    square = (start * multiply(unit.cosines, start)).sum()
    length = safe_root(square)
    # |g0| so small that its direction is rounding error: nothing to keep close to.
    eps = float(jnp.finfo(dtype).eps)
    usable = length > 4 * eps**0.5 * jnp.abs(start).sum()
    c = jnp.asarray(radius, dtype)
    # r = cosines of the rows with g0; rows t ask for g_t.d >= mu, unit rows for >= mu share_t.
    r = jnp.where(live, multiply(unit.cosines, start) / jnp.where(usable, length, 1), 0)
    shortest = jnp.min(jnp.where(live, unit.norms, jnp.inf))
    share = jnp.where(live, shortest * unit.inverse, 0)

    def on(support: Array, cosines: Array, r: Array, share: Array, c: Array) -> tuple[Array, ...]:
        """Weights margin * alpha - beta, and the margin where their length is c."""
        solve = masked_solver(cosines, support, refinements=6)
        alpha, beta = solve(share), solve(r)
        second, first, zeroth = (alpha * share).sum(), (alpha * r).sum(), (beta * r).sum()
        under = first**2 - second * (zeroth - c**2)
        margin = (first + safe_root(under)) / jnp.where(second > 0, second, 1)
        return alpha, beta, jnp.where(second > 0, margin, jnp.inf)

    # The search itself is not differentiated, only what it ends with.
    fixed = jax.lax.stop_gradient((unit.cosines, r, share, c))

    trust = amplification(fixed[0])

    def ended(carry: _Carry) -> Array:
        return carry.done | (carry.round >= LIMIT)

    def body(carry: _Carry) -> _Carry:
        cosines, r, share, c = fixed
        last = ended(carry)
        linear = jnp.where(last, -1, r - carry.margin * share)
        # Of order 1, as the program wants it; the solution scales along.
        size = jnp.maximum(jnp.max(jnp.abs(linear)), 1)
        found = nonnegative_qp(cosines, linear / size)
        x = found.x * size
        # -linear on the support is C x: this is the squared length without a small difference.
        too_far = -(x * linear).sum() >= c**2
        low = jnp.where(too_far, carry.low, carry.margin)
        high = jnp.where(too_far, carry.margin, carry.high)
        margin = on(found.support, cosines, r, share, c)[2]
        inside = (margin >= low) & (margin <= high)
        margin = jnp.where(inside, margin, (low + high) / 2)
        same = inside & (found.support == carry.support).all()
        new = _Carry(margin, low, high, found.support, carry.round + 1, same, carry.even, last)
        done = carry._replace(even=x, sought=last)
        return jax.tree.map(lambda d, n: jnp.where(last, d, n), done, new)

    # From 0 on: it is above what can be reached if no d in the ball hurts none, and then the search
    # stays below, where programs are bounded.
    fixed_r, fixed_share, fixed_c = fixed[1:]
    high = 1 + fixed_c
    nothing = ~usable | ~live.any() | (c == 0)
    end = jax.lax.while_loop(
        lambda carry: ~ended(carry) | ~carry.sought,
        body,
        _Carry(
            margin=jnp.zeros_like(high),
            low=jnp.min(jnp.where(live, fixed_r / jnp.where(live, fixed_share, 1), jnp.inf)),
            high=high,
            support=jnp.zeros_like(live),
            round=jnp.int32(0),
            done=nothing,
            even=jnp.zeros_like(fixed_r),
            sought=~suspect(trust),
        ),
    )
    alpha, beta, margin = on(end.support, unit.cosines, r, share, c)
    margin = jnp.where(end.done & ~nothing, margin, end.margin)
    added = jnp.maximum(margin * alpha - beta, 0)
    combined = multiply(unit.cosines, added)
    square = (added * combined).sum()
    norm = safe_root(square)
    short = jnp.where(live, margin * share - (r + combined), 0)
    # Weights that grow without making a length: the rows cancel, as far as rounding can tell. Only
    # mu = 0 is possible, and d = 0 attains it.
    hopeless = (margin > 0) & (square <= 4 * eps * added.shape[0] ** 0.5 * (added**2).sum())
    hopeless |= (margin > -ROUNDING * eps) & thin(unit.cosines, end.even)
    zero_rows = (present & ~live).any() & (margin > 0)
    # Optimal if margins are met, exactly so where there is weight, and the length is right.
    off = jnp.where(added > 0, short, jnp.maximum(short, 0))
    start_size = length_of(start) / jnp.where(usable, length, 1)
    size = length_of(added) + start_size
    error = estimate(trust, size, off) + jnp.abs(norm - c)
    d = added + start / jnp.where(usable, length, 1)
    reach = safe_root((d * multiply(unit.cosines, d)).sum())
    error = error / jnp.maximum(reach, eps**0.5 * size)
    violation = jnp.max(jnp.abs(off))
    fine = (error <= accuracy(dtype)) & (violation <= ROUNDING * eps * (1 + size))
    # A margin that is 0 but for what the solve lost: large weights, and equations that do not hold.
    lost = ~fine & (margin > 0) & (margin <= 1e3 * eps**0.5)
    hopeless |= lost & (square <= 100 * eps**0.5 * (added**2).sum())
    added = added * c / jnp.where(norm > 0, norm, 1)
    weights = mean + jnp.where(live, added * length * (longest * unit.inverse), 0)
    moved = usable & live.any() & (c > 0)
    hopeless |= zero_rows
    weights = jnp.where(moved, jnp.where(hopeless, 0, weights), mean)
    # Less than rounding parts rows that cancel from rows that have a direction in common.
    fine = jnp.where(hopeless, zero_rows, fine)
    fine = jnp.where(moved, fine, usable | (c == 0) | cancels(unit.cosines, start))
    residual = jnp.where(error <= accuracy(dtype), violation, jnp.maximum(error, violation))
    return Solution(
        weights, end.support, fine, jnp.where(moved & ~hopeless, residual, 0).astype(dtype)
    )

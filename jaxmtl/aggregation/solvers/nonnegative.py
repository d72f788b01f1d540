"""Quadratic programs over the nonnegative orthant: the one form behind most solvers here.

    min over x >= 0 of x'C x / 2 + q'x,   C positive semidefinite with diagonal 1.

Its conditions are x >= 0, y = C x + q >= 0, x'y = 0. Given the support of x, both are linear
systems; what is sought is the support.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxmtl.aggregation.solvers.linear import (
    UNROLLED,
    least_ridge,
    masked_solver,
    multiply,
    ridge,
)
from jaxmtl.aggregation.solvers.solution import (
    Solution,
    enough,
    solution_of,
    violation,
)

# Up to this many variables all supports are tried at once: no loop, so no host round trip on GPU.
ENUMERATED = 4
PIVOTS = 150
PATIENCE = 1  # rounds with no fewer variables of the wrong sign, after which pivoting has failed
MORE = 12  # rounds for digits beyond what is enough, which directions of dependent rows need
FIRST_SHIFT = 0.03  # of the diagonal, once it has
# Beyond this many variables, the programs of a batch are solved one by one on a CPU; beyond this
# many programs they are first tried together, by conjugate gradients.
ONE_BY_ONE = 5
FEW = 2
CONJUGATE_STEPS = 12


@jax.jit
def nonnegative_qp(matrix: Float[Array, "n n"], linear: Float[Array, "*batch n"]) -> Solution:
    """Minimises x'C x / 2 + q'x over x >= 0, for one C and a batch of q.

    Up to four variables by enumeration of the supports; beyond, by block principal pivoting: every
    variable of the wrong sign changes sides at once. It ends after a handful of rounds as a rule.
    Where it goes around instead, as among the many supports that are as good where rows are
    dependent, it is applied to a sequence of proximal programs, which are of a better condition.
    Rounds are bounded; ``converged`` tells. A batch is first tried as a whole, by conjugate
    gradients on the supports that a few projected steps suggest: where the rows of J are not far
    from orthogonal that is all. Else its programs are solved one by one on a CPU, as some take many
    more rounds than others.

    Derivatives are those of the equations on the support, C_PP dx_P = -(dC x + dq)_P.

    Where C is singular and the problem has several minimisers, one with finite x is returned; where
    it is unbounded below, x is large (of order 1 / ridge) along a direction of descent, which is
    what min-norm problems need.

    Args:
        matrix: C with diagonal 1, traced.
        linear: q, of order 1, traced.

    Returns:
        The solutions.

    Example:
        >>> import jax.numpy as jnp
        >>> found = nonnegative_qp(jnp.array([[1.0, -0.5], [-0.5, 1.0]]), jnp.array([1.0, -2.0]))
        >>> found.x.round(5).tolist(), bool(found.converged)
        ([0.0, 2.0], True)

    References:
        Portugal, Judice, Vicente (1994), Math. Comp. 63; Kim, Park (2011), SIAM J. Sci. Comput. 33;
        Rockafellar (1976), SIAM J. Control Optim. 14, for the proximal point method.
    """
    return _solved(matrix, linear)


@jax.custom_jvp
def _solved(matrix: Float[Array, "n n"], linear: Float[Array, "*batch n"]) -> Solution:
    batch = linear.shape[:-1]
    rows = linear.reshape(-1, linear.shape[-1])
    solve = _enumerate if linear.shape[-1] <= ENUMERATED else _from_start
    if not batch:
        found = solve(matrix, rows[0])
    elif linear.shape[-1] <= ONE_BY_ONE:
        found = jax.vmap(solve, in_axes=(None, 0))(matrix, rows)
    elif len(rows) <= FEW:
        supports = jax.vmap(_first_support, in_axes=(None, 0))(matrix, rows)
        found = _each(matrix, rows, supports)
    else:
        found = _batch(matrix, rows)
    return jax.tree.map(lambda leaf: leaf.reshape(*batch, *leaf.shape[bool(batch) :]), found)


@_solved.defjvp
def _derivative(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> Any:
    (matrix, linear), (matrix_dot, linear_dot) = primals, tangents
    found = _solved(matrix, linear)
    batched = jnp.broadcast_to(matrix, (*linear.shape[:-1], *matrix.shape))
    change = jnp.matmul(found.x, matrix_dot.T, precision=jax.lax.Precision.HIGHEST) + linear_dot
    x_dot = masked_solver(batched, found.support & (found.x > 0))(-change)
    nowhere: Any = np.zeros(found.support.shape, jax.dtypes.float0)
    none: Any = np.zeros(found.converged.shape, jax.dtypes.float0)
    return found, Solution(
        x_dot,
        nowhere,
        none,
        jnp.zeros_like(found.residual),
    )


def _enumerate(matrix: Float[Array, "n n"], q: Float[Array, " n"]) -> Solution:
    size = q.shape[0]
    supports = jnp.asarray((np.arange(2**size)[:, None] >> np.arange(size)) & 1 == 1)
    matrices = jnp.broadcast_to(matrix, (2**size, size, size))
    # Exact solutions of singular programs are among those of their regular supports.
    solve = masked_solver(matrices, supports, shift=least_ridge(q.dtype))
    x = solve(jnp.broadcast_to(-q, supports.shape))
    y = multiply(matrices, x) + q[None]
    violations = violation(x, y, supports)
    best = jnp.argmin(violations)  # NaN wins: it is not swallowed
    return solution_of(x[best], supports[best], violations[best])


class _Carry(NamedTuple):
    support: Array
    centre: Array  # the solution before, which the shift draws to
    shift: Array
    exact: Array  # at the program itself
    best: Solution
    fewest: Array  # variables of the wrong sign so far
    patience: Array
    round: Array
    left: Array  # of MORE
    done: Array


class _Conjugate(NamedTuple):
    x: Array
    r: Array
    p: Array
    square: Array
    round: Array


def _batch(matrix: Float[Array, "n n"], q: Float[Array, "batch n"]) -> Solution:
    """All programs at once: on their first supports if these are right, else by pivoting.

    Where the equations of a first support are solved, what is wrong with it is mended before
    pivoting starts.
    """
    eps = float(jnp.finfo(q.dtype).eps)
    supports = jax.vmap(_first_support, in_axes=(None, 0))(matrix, q)
    x = _conjugate_gradients(matrix, -q, supports)
    y = _times(x, matrix) + q
    slack = 4 * eps * (1 + jnp.max(jnp.abs(x), axis=1, keepdims=True))
    wrong = jnp.where(supports, x < -slack, y < -slack)
    solved = (~supports | (jnp.abs(y) <= 4 * slack)).all(axis=1)
    wrong &= solved[:, None]
    guesses = supports ^ wrong
    first = _Otherwise(
        solution_of(x, supports, violation(x, y, supports)), ~solved.all() | wrong.any()
    )

    def body(carry: _Otherwise) -> _Otherwise:
        return _Otherwise(_each(matrix, q, guesses), jnp.asarray(False))

    return jax.lax.while_loop(lambda c: c.unsolved, body, first).found


def _each(
    matrix: Float[Array, "n n"], q: Float[Array, "batch n"], guesses: Bool[Array, "batch n"]
) -> Solution:
    # Programs of a batch wait for the one that takes most rounds: one by one costs less on a CPU.
    def one_by_one(matrix: Array, q: Array, guesses: Array) -> Solution:
        return jax.lax.map(lambda own: _robust(matrix, *own), (q, guesses))

    at_once = jax.vmap(_robust, in_axes=(None, 0, 0))
    return jax.lax.platform_dependent(matrix, q, guesses, cpu=one_by_one, default=at_once)


def _conjugate_gradients(
    matrix: Float[Array, "n n"], b: Float[Array, "batch n"], masks: Bool[Array, "batch n"]
) -> Float[Array, "batch n"]:
    # Products of whole matrices, while a factorisation each would be one LAPACK call after the
    # other. It is only worth it where a few steps will do: gradients that are not far from
    # orthogonal, as those of many parameters mostly are.
    eps = float(jnp.finfo(b.dtype).eps)

    def body(carry: _Conjugate) -> _Conjugate:
        product = jnp.where(masks, _times(carry.p, matrix), 0)
        along = (carry.p * product).sum(axis=1)
        step = jnp.where(along > 0, carry.square / jnp.where(along > 0, along, 1), 0)
        x, r = carry.x + step[:, None] * carry.p, carry.r - step[:, None] * product
        square = (r**2).sum(axis=1)
        turn = square / jnp.where(carry.square > 0, carry.square, 1)
        return _Conjugate(x, r, r + turn[:, None] * carry.p, square, carry.round + 1)

    r = jnp.where(masks, b, 0)
    start = _Conjugate(jnp.zeros_like(r), r, r, (r**2).sum(axis=1), jnp.int32(0))
    return jax.lax.while_loop(
        lambda c: (jnp.max(c.square) > eps**2) & (c.round < CONJUGATE_STEPS), body, start
    ).x


def _times(x: Float[Array, "batch n"], matrix: Float[Array, "n n"]) -> Float[Array, "batch n"]:
    return jnp.matmul(x, matrix, precision=jax.lax.Precision.HIGHEST)


def _from_start(matrix: Float[Array, "n n"], q: Float[Array, " n"]) -> Solution:
    return _robust(matrix, q, _first_support(matrix, q))


@jax.jit
def _robust(
    matrix: Float[Array, "n n"], q: Float[Array, " n"], guess: Bool[Array, " n"]
) -> Solution:
    """Pivoting, at first on the program itself, then on ones of a better condition.

    Where the rows are dependent or nearly so, many supports are as good but for rounding, and
    pivoting goes around among them. It does not in min x'C x / 2 + q'x + shift |x - c|^2 / 2 with a
    shift that is large enough; the solution becomes the next c (the proximal point method), and the
    shift falls, until it makes no difference to the conditions of the program itself. Where
    pivoting fails it starts again from c, with a larger shift.
    """
    within, eps = enough(q), float(jnp.finfo(q.dtype).eps)
    least = ridge(q.dtype)

    def body(carry: _Carry) -> _Carry:
        support, shift = carry.support, carry.shift
        # Without refinements x solves the equations of the proximal program, with them its own.
        refinements = jnp.where(carry.exact, 2, 0)
        solve = masked_solver(matrix, support, refinements, shift, carry.centre)
        x = solve(-q)
        y = multiply(matrix, x) + q
        slack = 4 * eps * (1 + jnp.max(jnp.abs(x)))
        slope = jnp.where(carry.exact, y, y - shift * carry.centre)
        wrong = jnp.where(support, x < -slack, slope < -slack)
        number = wrong.sum(dtype=jnp.int32)
        off = violation(x, y, support)
        # What the shift leaves is no rounding: it may be near singular directions altogether.
        target = jnp.where(carry.exact, within, 2 * eps)
        wins = ~(off >= carry.best.residual)  # NaN wins: it is not swallowed
        new = solution_of(x, support, off)
        patience = jnp.where(number < carry.fewest, PATIENCE, carry.patience - 1)
        solved, failed = number == 0, patience < 0
        turn = solved | failed
        larger = jnp.where(carry.exact, FIRST_SHIFT, jnp.minimum(4 * shift, 1)).astype(q.dtype)
        next_shift = jnp.where(solved, jnp.maximum(shift / 8, least), larger)
        return _Carry(
            support=jnp.where(failed & ~carry.exact, carry.centre > 0, support ^ wrong),
            centre=jnp.where(solved, jnp.maximum(x, 0), carry.centre),
            shift=jnp.where(turn, next_shift, shift),
            exact=carry.exact & ~turn,
            best=jax.tree.map(lambda n, o: jnp.where(wins, n, o), new, carry.best),
            fewest=jnp.where(turn, len(q) + 1, jnp.minimum(number, carry.fewest)),
            patience=jnp.where(turn, PATIENCE, patience),
            round=carry.round + 1,
            left=jnp.where(carry.best.residual <= within, carry.left - 1, carry.left),
            done=jnp.isnan(off) | (off <= target) | (carry.left == 0),
        )

    nothing = (q >= 0).all()  # then x = 0 is the solution
    guess &= ~nothing
    found = solution_of(jnp.zeros_like(q), guess, jnp.where(nothing, 0, jnp.inf).astype(q.dtype))
    start = _Carry(
        support=guess,
        centre=jnp.zeros_like(q),
        shift=jnp.asarray(least, q.dtype),
        exact=jnp.asarray(True),
        best=found,
        fewest=jnp.int32(len(q) + 1),
        patience=jnp.int32(PATIENCE),
        round=jnp.int32(0),
        left=jnp.int32(MORE),
        done=nothing,
    )
    return jax.lax.while_loop(lambda c: ~c.done & (c.round < PIVOTS), body, start).best


class _Otherwise(NamedTuple):
    found: Solution
    unsolved: Array


def _first_support(matrix: Float[Array, "n n"], q: Float[Array, " n"]) -> Bool[Array, " n"]:
    # A few projected gradient steps, one matrix product each for a whole batch of q, guess the
    # support of well-conditioned programs; a factorisation less is worth many of them.
    rate = 1 / jnp.max(jnp.abs(matrix).sum(axis=1))
    x = jnp.maximum(-q, 0)

    def step(_: Array, x: Array) -> Array:
        return jnp.maximum(x - rate * (multiply(matrix, x) + q), 0)

    return jax.lax.fori_loop(0, 4 if q.shape[0] <= UNROLLED else 8, step, x) > 0

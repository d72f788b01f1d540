"""Direction-oriented stochastic multi-gradient descent."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmtl._validate import check_count, check_positive, check_within
from jaxmtl.aggregation.contract import Aggregator, Context, Weighed, from_rule, preference_vector
from jaxmtl.aggregation.parts import rejoin
from jaxmtl.aggregation.settings import Real, in_type
from jaxmtl.aggregation.solvers import project_simplex
from jaxmtl.aggregation.solvers.simplex import share_among


class SDMGradState(NamedTuple):
    """Weights between steps.

    Attributes:
        weights: w on the simplex.
    """

    weights: Float[Array, " tasks"]


def sdmgrad(
    lam: Real = 0.3,
    learning_rate: Real = 10.0,
    momentum: Real = 0.5,
    iterations: int = 20,
    preferences: Float[Array, " tasks"] | Sequence[float] | None = None,
) -> Aggregator:
    """Min-norm weights pulled towards a preferred direction, by stochastic steps on two batches.

    A = J1 J2^T of two independent batches (``extra_task_grads=(first, second)``), divided by the
    square of the mean over tasks of sqrt(max(A_tt, 0)). From the weights of the last step,
    ``iterations`` steps of w <- P(w - rate v), v <- momentum v + A (w + lam p) on the simplex; the
    weights of the gradients given first (a third batch) are (w + lam p) / (1 + lam). Without
    further batches A is the Gram matrix of the one given (a biased, deterministic variant).
    TorchJD's and the authors' rate is 10, LibMTL's 5.

    Needs the Gram matrix or the product over two batches. Permutation invariant.

    Args:
        lam: strength of the pull, >= 0, may be traced; 0.3 as in the authors' experiments.
        learning_rate: of the inner steps, may be traced.
        momentum: of the inner steps, in [0, 1), may be traced.
        iterations: number of them, static.
        preferences: p, weights of the preferred direction; None for 1 / tasks (of those present).

    Returns:
        The aggregator; its state is an ``SDMGradState``. Absent tasks keep their part of w.

    Raises:
        ValueError: a number out of range; at the update, other than none or two further batches, or
            not one preference a task.

    Example:
        >>> import jax.numpy as jnp
        >>> grads = jnp.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]])
        >>> aggregator = sdmgrad()
        >>> first, second = grads, grads
        >>> _, _, info = aggregator.update(
        ...     grads, aggregator.init(grads), extra_task_grads=(first, second))
        >>> info.weights.shape
        (2,)

    References:
        Xiao, Ban, Ji (2023), Direction-oriented multi-objective learning, algorithm 1.
    """
    check_positive("lam", lam, zero=True)
    check_positive("learning_rate", learning_rate)
    check_count("iterations", iterations)
    check_within("momentum", momentum, 0, 1, open_end=True)

    def rule(gram: Any, state: SDMGradState, context: Context) -> Weighed:
        present, dtype = context.present, gram.dtype
        pull, rate, keep = (in_type(each, dtype) for each in (lam, learning_rate, momentum))
        p = preference_vector("sdmgrad", preferences, present, dtype)
        number = jnp.maximum(present.sum(dtype=dtype), 1)
        scale = jnp.sqrt(jnp.maximum(jnp.diagonal(gram), 0)).sum() / number
        size = jnp.max(jnp.abs(gram))
        # 1e-8 as in the authors' code, without overflow of the square.
        root = jnp.sqrt(jnp.where(size > 0, size, 1))
        matrix = gram / root / root / ((scale / root) ** 2 + 1e-8 / root / root)

        def step(_: Any, carry: tuple[Array, Array]) -> tuple[Array, Array]:
            w, velocity = carry
            slope = (matrix * (w + pull * p)[None]).sum(axis=1)
            velocity = keep * velocity + slope
            return project_simplex(w - rate * velocity, present), velocity

        start = share_among(state.weights, present)
        w, _ = jax.lax.fori_loop(0, iterations, step, (start, jnp.zeros_like(start)))
        kept = rejoin(state.weights, w, present)
        return Weighed((w + pull * p) / (1 + pull), SDMGradState(kept))

    def init_state(tasks: int, dtype: Any) -> SDMGradState:
        return SDMGradState(jnp.full(tasks, 1 / tasks, dtype))

    return from_rule(rule, init_state, cross=True)

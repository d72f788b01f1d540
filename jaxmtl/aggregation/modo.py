"""Multi-objective gradients with double sampling."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmtl._validate import check_positive
from jaxmtl.aggregation.contract import Aggregator, Context, Weighed, from_rule
from jaxmtl.aggregation.parts import rejoin
from jaxmtl.aggregation.settings import Real, in_type
from jaxmtl.aggregation.solvers import project_simplex
from jaxmtl.aggregation.solvers.simplex import share_among


class MoDoState(NamedTuple):
    """Weights between steps.

    Attributes:
        weights: lambda on the simplex.
    """

    weights: Float[Array, " tasks"]


def modo(gamma: Real = 0.1, rho: Real = 0.1) -> Aggregator:
    """Min-norm weights by one stochastic step an update, unbiased thanks to two batches.

    lambda <- P(lambda - gamma (J1 J2^T + rho I) lambda) on the simplex, with the task gradients of
    two independent batches (``extra_task_grads=(first, second)``); the update is J^T lambda on the
    gradients given first. Without further batches the product is the Gram matrix of the one given
    (biased, deterministic). Defaults as in TorchJD; LibMTL has gamma 1e-3.

    Needs the Gram matrix or the product over two batches. Permutation invariant.

    Args:
        gamma: step of lambda, above 0.
        rho: strength of the pull to equal weights, >= 0. Both may be traced.

    Returns:
        The aggregator; its state is a ``MoDoState``. Absent tasks keep their part of lambda.

    Raises:
        ValueError: a number out of range; at the update, other than none or two further batches.

    Example:
        >>> import jax.numpy as jnp
        >>> gram = jnp.array([[2.0, 0.0], [0.0, 1.0]])
        >>> [round(w, 3) for w in modo().weights(gram).tolist()]
        [0.475, 0.525]

    References:
        Chen, Fernando, Ying, Chen (2023), Three-way trade-off in multi-objective learning,
        algorithm 1.
    """
    check_positive("gamma", gamma)
    check_positive("rho", rho, zero=True)

    def rule(gram: Any, state: MoDoState, context: Context) -> Weighed:
        present = context.present
        lam = share_among(state.weights, present)
        slope = (gram * lam[None]).sum(axis=1) + in_type(rho, gram.dtype) * lam
        lam = project_simplex(lam - in_type(gamma, gram.dtype) * slope, present)
        return Weighed(lam, MoDoState(rejoin(state.weights, lam, present)))

    def init_state(tasks: int, dtype: Any) -> MoDoState:
        return MoDoState(jnp.full(tasks, 1 / tasks, dtype))

    return from_rule(rule, init_state, cross=True)

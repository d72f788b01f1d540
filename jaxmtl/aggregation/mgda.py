"""Multiple-gradient descent: the shortest convex combination."""

from typing import Any

from jaxmtl.aggregation.contract import Aggregator, Context, Weighed, from_rule
from jaxmtl.aggregation.solvers import min_norm_weights


def mgda() -> Aggregator:
    """Convex combination of the gradients of least norm: min w'G w over w >= 0, sum w = 1.

    It is a common descent direction, or 0 at a Pareto-stationary point. Solved exactly (by the
    support of w), where the Frank-Wolfe iterations of the authors' code, TorchJD and LibMTL stop at
    about 1e-3, and LibMTL keeps the weights of two tasks in [.001, .999]. Not rescaled: weights sum
    to 1; the code of Nash-MTL multiplies by the number of tasks. A zero gradient makes the result
    0.

    Needs the Gram matrix. Non-conflicting, permutation invariant, of degree 1. ``residual`` is the
    largest violation of a condition of optimality, or the estimated error where that is too large,
    relative to the length of the result.

    Returns:
        The aggregator; no state.

    Example:
        >>> import jax.numpy as jnp
        >>> gram = jnp.array([[18.0, -22.0], [-22.0, 38.0]])
        >>> [round(w, 5) for w in mgda().weights(gram).tolist()]
        [0.6, 0.4]

    References:
        Desideri (2012), Multiple-gradient descent algorithm, C. R. Acad. Sci. Paris; Sener, Koltun
        (2018), Multi-task learning as multi-objective optimization, equation 3.
    """

    def rule(gram: Any, state: Any, context: Context) -> Weighed:
        found = min_norm_weights(gram, context.present, context.scales)
        return Weighed(found.x, state, found.converged, found.residual)

    return from_rule(rule, scaled=True)

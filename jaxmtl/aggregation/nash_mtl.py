"""Bargaining: the Nash solution."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmtl._validate import check_count, check_positive
from jaxmtl.aggregation.contract import Aggregator, Context, Weighed, from_rule, preference_vector
from jaxmtl.aggregation.every import every
from jaxmtl.aggregation.settings import Real, in_type
from jaxmtl.aggregation.solvers import fair_weights
from jaxmtl.aggregation.solvers.linear import Unit, multiply, unit_gram
from jaxmtl.aggregation.solvers.trust import safe_root


def nash_mtl(
    max_norm: Real | None = 1.0,
    update_every: int = 1,
    preferences: Float[Array, " tasks"] | Sequence[float] | None = None,
) -> Aggregator:
    """Nash bargaining between the tasks: the w > 0 with (G w)_t = 1 / w_t.

    The direction J^T w maximises sum_t log(g_t.d) over a ball. The authors' code (and TorchJD's,
    and LibMTL's, which returns its start values when its solver fails) approximates w by a sequence
    of convex programs on the CPU and warm-starts from the last step; here it is the unique
    minimiser of w'G w / 2 - sum log w, by Newton steps, with nothing to start from. The weights
    undo every scaling of the rows, so the result has degree 0. As in the authors' code, a result
    longer than ``max_norm`` is shortened to it (the paper has no such limit). With ``update_every``
    it is ``every(update_every, nash_mtl(None), max_norm=max_norm)``: the weights that are kept are
    the solution, and the limit is applied at each update to the sum that they give there.

    Zero gradients get weight 0. At a Pareto-stationary point there is no solution: ``converged`` is
    False and the weights are those of the last iteration. ``residual`` is the largest
    |w_t (G w)_t / p_t - 1|.

    Needs the Gram matrix. Non-conflicting, permutation invariant, of degree 0 (before the limit).

    Args:
        max_norm: longest result, may be traced; None for no limit.
        update_every: steps between solutions, static; see ``every``.
        preferences: p, bargaining powers, (G w)_t = p_t / w_t; None for 1.

    Returns:
        The aggregator; no state, or with ``update_every`` that of ``every``.

    Raises:
        ValueError: max_norm or update_every not above 0; at the update, if there is not one
            preference a task.

    Example:
        >>> import jax.numpy as jnp
        >>> gram = jnp.array([[18.0, -22.0], [-22.0, 38.0]])
        >>> [round(w, 4) for w in nash_mtl(max_norm=None).weights(gram).tolist()]
        [0.5915, 0.4071]

    References:
        Navon, Shamsian, Achituve, Maron, Kawaguchi, Chechik, Fetaya (2022), Multi-task learning as
        a bargaining game, claim 3.1 and algorithm 1.
    """
    if max_norm is not None:
        check_positive("max_norm", max_norm)
    check_count("update_every", update_every)

    def rule(gram: Any, state: Any, context: Context) -> Weighed:
        p = None
        if preferences is not None:
            p = preference_vector("nash_mtl", preferences, context.present, gram.dtype)
        found = fair_weights(gram, context.present, 1.0, p, context.scales)
        weights = found.x
        if max_norm is not None and update_every == 1:
            unit = unit_gram(gram, context.present, context.scales)
            weights = limit_norm(unit, weights, in_type(max_norm, gram.dtype))
        return Weighed(weights, state, found.converged, found.residual)

    solved = from_rule(rule, scaled=True)
    return solved if update_every == 1 else every(update_every, solved, max_norm=max_norm)


def limit_norm(
    unit: Unit, weights: Float[Array, " tasks"], max_norm: Real
) -> Float[Array, " tasks"]:
    """Shortens J^T w to ``max_norm`` if it is longer."""
    lengths = weights * unit.norms
    largest = jnp.max(jnp.abs(lengths))
    share = lengths / jnp.where(largest > 0, largest, 1)
    norm = largest * safe_root((share * multiply(unit.cosines, share)).sum())
    return weights * jnp.where(norm > max_norm, max_norm / jnp.where(norm > 0, norm, 1), 1)

"""Impartial gradients: equal projections on all task gradients."""

from typing import Any

import jax.numpy as jnp

from jaxmtl.aggregation.contract import Aggregator, Context, Weighed, from_rule
from jaxmtl.aggregation.solvers.eigen import pseudo_inverse_times
from jaxmtl.aggregation.solvers.linear import multiply, unit_gram
from jaxmtl.aggregation.solvers.trust import (
    ROUNDING,
    accuracy,
    inverse_error,
    length_of,
    safe_root,
)


def imtl_g() -> Aggregator:
    """The direction with the same projection on every gradient, weights summing to 1.

    w = G^+ d / sum(G^+ d) with d the norms; weights may be negative. For independent rows it is
    computed as D^-1 C^-1 1 from the cosines C, which does not suffer from different scales; else
    G^+ is the pseudo-inverse (eigenvalues up to tasks * eps of the largest count as 0) and the
    projections are equal as far as they can be, as in TorchJD; LibMTL inverts and fails. Weights
    are 0 where their sum is (|sum| < 1e-12 in TorchJD; here relative to the sum of magnitudes).
    ``converged`` is False where the projections are not equal, or the Gram matrix, as rounded, does
    not determine the weights (rows that are near opposite); ``residual`` is how far they differ, or
    the estimated relative error.

    Needs the Gram matrix. Permutation invariant, of degree 1.

    Returns:
        The aggregator; no state.

    Example:
        >>> import jax.numpy as jnp
        >>> gram = jnp.array([[18.0, -22.0], [-22.0, 38.0]])
        >>> [round(w, 5) for w in imtl_g().weights(gram).tolist()]
        [0.59233, 0.40767]

    References:
        Liu, Li, Kuang, Xue, Chen, Yang, Liao, Zhang (2021), Towards impartial multi-task learning,
        section 3.1; Quinton, Rey (2024), appendix, the form with the pseudo-inverse.
    """

    def rule(gram: Any, state: Any, context: Context) -> Weighed:
        tasks = gram.shape[0]
        unit = unit_gram(gram, context.present, context.scales)
        rtol = tasks * float(jnp.finfo(gram.dtype).eps)
        live = unit.live.astype(gram.dtype)
        by_angle, rank, least = pseudo_inverse_times(unit.cosines, live, rtol)
        largest = jnp.max(unit.norms)
        scale = jnp.where(largest > 0, largest, 1)
        lengths = unit.norms / scale
        kept = jnp.where(
            unit.live[:, None] & unit.live[None], unit.cosines * lengths[:, None] * lengths[None], 0
        )
        by_scale, _, _ = pseudo_inverse_times(kept, lengths, rtol)
        smallest = jnp.min(jnp.where(unit.live, unit.norms, jnp.inf))
        share = jnp.where(unit.live, smallest * unit.inverse, 0)
        raw = jnp.where(rank == tasks, by_angle * share, by_scale)
        total = raw.sum()
        some = jnp.abs(total) > rtol * jnp.abs(raw).sum()
        weights = jnp.where(some, raw / jnp.where(some, total, 1), 0)
        # Unit rows: equal products with all that are live, and a sum that is not rounding alone.
        eps = float(jnp.finfo(gram.dtype).eps)
        z = jnp.where(rank == tasks, by_angle, by_scale * lengths)
        products = jnp.where(unit.live, multiply(unit.cosines, z), 0)
        even = products.sum() / jnp.maximum(live.sum(), 1)
        off = jnp.where(unit.live, products - even, 0)
        exact = (jnp.abs(off) <= ROUNDING * eps * (jnp.abs(even) + length_of(z))).all()
        length = safe_root((z * products).sum())
        error = inverse_error(least, length_of(z), off) / jnp.where(length > 0, length, 1)
        part = jnp.where(rank == tasks, share, jnp.where(unit.live, unit.inverse * scale, 0))
        loss = eps * length_of(z) * length_of(part) / jnp.where(some, jnp.abs(total), 1)
        loss = loss / jnp.maximum(least, eps)
        error = jnp.minimum(jnp.maximum(error, loss), 1 / eps)
        good = (exact & some & (error <= accuracy(gram.dtype))) | ~unit.live.any()
        return Weighed(weights, state, good, jnp.maximum(error, jnp.max(jnp.abs(off))))

    return from_rule(rule, scaled=True)

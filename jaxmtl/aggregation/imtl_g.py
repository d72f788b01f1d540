"""Impartial gradients: equal projections on all task gradients."""

from typing import Any

import jax.numpy as jnp

from jaxmtl.aggregation.contract import Aggregator, Context, Weighed, from_rule
from jaxmtl.aggregation.solvers.linear import pseudo_inverse_times, unit_gram


def imtl_g() -> Aggregator:
    """The direction with the same projection on every gradient, weights summing to 1.

    w = G^+ d / sum(G^+ d) with d the norms; weights may be negative. For independent rows it is
    computed as D^-1 C^-1 1 from the cosines C, which does not suffer from different scales; else
    G^+ is the pseudo-inverse (eigenvalues up to tasks * eps of the largest count as 0) and the
    projections are equal as far as they can be, as in TorchJD; LibMTL inverts and fails. Weights
    are 0 where their sum is (|sum| < 1e-12 in TorchJD; here relative to the sum of magnitudes).

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
        unit = unit_gram(gram, context.present)
        rtol = tasks * float(jnp.finfo(gram.dtype).eps)
        live = unit.live.astype(gram.dtype)
        by_angle, rank = pseudo_inverse_times(unit.cosines, live, rtol)
        largest = jnp.max(unit.norms)
        scale = jnp.where(largest > 0, largest, 1)
        kept = jnp.where(unit.live[:, None] & unit.live[None], gram / scale / scale, 0)
        by_scale, _ = pseudo_inverse_times(kept, unit.norms / scale, rtol)
        smallest = jnp.min(jnp.where(unit.live, unit.norms, jnp.inf))
        independent = by_angle * jnp.where(unit.live, smallest * unit.inverse, 0)
        raw = jnp.where(rank == tasks, independent, by_scale)
        total = raw.sum()
        some = jnp.abs(total) > rtol * jnp.abs(raw).sum()
        return Weighed(jnp.where(some, raw / jnp.where(some, total, 1), 0), state)

    return from_rule(rule)

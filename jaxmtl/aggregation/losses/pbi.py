"""Penalty-based boundary intersection."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmtl._validate import check_positive
from jaxmtl.aggregation.contract import Context, preference_vector
from jaxmtl.aggregation.losses.contract import Scalarizer, from_value
from jaxmtl.aggregation.losses.cosmos import length, safe_ratio
from jaxmtl.aggregation.losses.stch import reference_losses
from jaxmtl.aggregation.settings import Real, in_type


def pbi(
    theta: Real = 5.0,
    preferences: Float[Array, " tasks"] | Sequence[float] | None = None,
    reference: Float[Array, " tasks"] | Sequence[float] | float = 0.0,
) -> Scalarizer:
    """Distance along a ray plus theta times the distance from it: d1 + theta d2.

    With u = p / |p|: d1 = (L - z)'u and d2 = |L - z - d1 u|. Slopes may be below 0. On the ray
    itself the slope of d2 counts as 0, where TorchJD adds 1e-12 under the root.

    Args:
        theta: weight of the distance from the ray, >= 0, may be traced.
        preferences: p, one a task; None for equal ones.
        reference: z, the ideal losses, where the ray starts; a number or one a task.

    Returns:
        The loss method; no state.

    Raises:
        ValueError: theta below 0; at the call, not one preference or reference a task.

    Example:
        >>> import jax.numpy as jnp
        >>> method = pbi(5.0, [0.2, 0.3, 0.5])
        >>> round(method.scalarize(jnp.array([0.5, 2.0, 4.0]), ())[0].item(), 5)
        9.54183

    References:
        Zhang, Li (2007), MOEA/D, section III.C.
    """
    check_positive("theta", theta, zero=True)

    def value(losses: Array, state: object, context: Context) -> Array:
        p = preference_vector("pbi", preferences, context.present, losses.dtype)
        z = reference_losses("pbi", reference, losses)
        from_z = jnp.where(context.present, losses - z, 0)
        u = safe_ratio(p, jnp.broadcast_to(length(p), p.shape))
        along = (from_z * u).sum()
        return along + in_type(theta, losses.dtype) * length(from_z - along * u)

    return from_value(value)

"""How often and by how much constraints are violated."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxmtl._validate import check_positive, is_concrete

Equality = bool | tuple[bool, ...]


class Violation(NamedTuple):
    """Violation of every constraint over a set of samples.

    Attributes:
        rate: share of the samples in which the constraint is violated, in [0, 1].
        size: mean over all samples of how far it is violated, 0 where it holds; in its own unit.
        worst: how far it is violated in the worst sample.
    """

    rate: Float[Array, " constraints"]
    size: Float[Array, " constraints"]
    worst: Float[Array, " constraints"]


def excess_of(
    values: Float[Array, "*batch constraints"], equality: Equality = False
) -> Float[Array, "*batch constraints"]:
    """How far constraints are violated: relu(g) where g <= 0 is asked for, |h| where h = 0 is.

    Args:
        values: g or h of each constraint, traced.
        equality: whether h = 0 is asked for: of all, or one a constraint. Static.

    Returns:
        Numbers >= 0.

    Raises:
        ValueError: ``equality`` has another length than there are constraints.

    Example:
        >>> import jax.numpy as jnp
        >>> excess_of(jnp.array([-2.0, -2.0]), (False, True)).tolist()
        [0.0, 2.0]
    """
    return jnp.where(is_equality(equality, values), jnp.abs(values), jax.nn.relu(values))


def measure_violation(
    excess: Float[Array, "samples constraints"],
    *,
    mask: Bool[Array, " samples"] | None = None,
    tolerance: Float[Array, ""] | float = 0.0,
) -> Violation:
    """Rate, mean size and worst size of the violation of each constraint.

    Args:
        excess: how far each sample violates each constraint, >= 0, from ``bound_excess`` or
            ``excess_of``, traced.
        mask: samples that count, traced; None for all.
        tolerance: an excess up to this counts as none in the rate, in the constraint's unit,
            traced.

    Returns:
        The violation; 0 if no sample counts. NaN counts as violated, and size and worst are NaN.

    Raises:
        ValueError: the shapes do not fit, or the tolerance is negative.

    Example:
        >>> import jax.numpy as jnp
        >>> violation = measure_violation(jnp.array([[0.0], [0.5], [1.5], [0.0]]))
        >>> violation.rate.tolist(), violation.size.tolist(), violation.worst.tolist()
        ([0.5], [0.5], [1.5])
    """
    if jnp.ndim(excess) != 2:
        raise ValueError(f"excess: expected (samples, constraints), got shape {jnp.shape(excess)}")
    if is_concrete(tolerance):
        check_positive("tolerance", float(tolerance), zero=True)
    if mask is None:
        mask = jnp.ones(excess.shape[0], jnp.bool)
    if mask.shape != excess.shape[:1]:
        raise ValueError(f"mask: expected shape {excess.shape[:1]}, got {mask.shape}")
    excess = jnp.where(mask[:, None], excess, 0)
    counted = jnp.maximum(mask.sum(), 1).astype(excess.dtype)
    violated = ~(excess <= tolerance)  # so that NaN counts
    return Violation(
        rate=violated.sum(axis=0).astype(excess.dtype) / counted,
        size=excess.sum(axis=0) / counted,
        worst=excess.max(axis=0, initial=0),
    )


def is_equality(equality: Equality, values: Array) -> Bool[Array, "*batch constraints"]:
    """``equality`` as an array of the shape of the values.

    Args:
        equality: for all, or one a constraint, static.
        values: whose last axis are the constraints.

    Returns:
        The array.

    Raises:
        ValueError: another length than there are constraints.

    Example:
        >>> import jax.numpy as jnp
        >>> is_equality((False, True), jnp.zeros((1, 2))).tolist()
        [[False, True]]
    """
    flags = np.asarray(equality, bool)
    if flags.shape not in ((), values.shape[-1:]):
        raise ValueError(
            f"equality: expected a bool or one a constraint, {values.shape[-1:]}, got {equality}"
        )
    return jnp.broadcast_to(jnp.asarray(flags), values.shape)

"""Aligned gradients: the system of gradients with condition number 1."""

from collections.abc import Sequence
from typing import Any, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmtl._validate import check_choice
from jaxmtl.aggregation.contract import Aggregator, Context, Weighed, from_rule, preference_vector

Scale = Literal["min", "median", "rmse"]


def aligned_mtl(
    scale: Scale = "min",
    preferences: Float[Array, " tasks"] | Sequence[float] | None = None,
) -> Aggregator:
    """Combination of the closest system of orthogonal gradients of equal length.

    With G = V L V', the balanced system is B J, B = sqrt(s) V L^(-1/2) V', and (B J)(B J)' = s I
    on the range of G; the weights are B p. s is the smallest eigenvalue, their median or their mean
    (rmse, the mean of the squared singular values), over the eigenvalues above tasks * eps of the
    largest. Of an even number of them the median is the lower middle one, as in TorchJD. p sums to
    1 by default, as in TorchJD; LibMTL takes 1 a task.

    Needs the Gram matrix. Permutation invariant, of degree 1.

    Args:
        scale: which s, static; ``"min"`` as in the paper.
        preferences: p, one a task; None for 1 / tasks (of those present).

    Returns:
        The aggregator; no state.

    Raises:
        ValueError: an unknown scale; at the update, if there is not one preference a task.

    Example:
        >>> import jax.numpy as jnp
        >>> gram = jnp.array([[18.0, -22.0], [-22.0, 38.0]])
        >>> [round(w, 4) for w in aligned_mtl().weights(gram).tolist()]
        [0.5591, 0.4083]

    References:
        Senushkin, Patakin, Kuznetsov, Konushin (2023), Independent component alignment for
        multi-task learning, algorithm 1.
    """
    check_choice("scale", scale, ("min", "median", "rmse"))

    def rule(gram: Any, state: Any, context: Context) -> Weighed:
        p = preference_vector("aligned_mtl", preferences, context.present, gram.dtype)
        size = jnp.max(jnp.diagonal(gram))
        some = size > 0
        values, vectors = jnp.linalg.eigh(gram / jnp.where(some, size, 1), symmetrize_input=False)
        number = context.present.sum(dtype=gram.dtype)
        keep = (values > number * float(jnp.finfo(gram.dtype).eps) * values[-1]) & some
        rank = keep.sum()
        if scale == "min":
            s = jnp.min(jnp.where(keep, values, jnp.inf))
        elif scale == "median":
            ascending = jnp.sort(jnp.where(keep, values, jnp.inf))
            s = ascending[jnp.maximum(rank - 1, 0) // 2]
        else:
            s = jnp.where(keep, values, 0).sum() / jnp.maximum(rank, 1)
        root = jnp.where(keep, jnp.sqrt(jnp.where(keep, s, 1) / jnp.where(keep, values, 1)), 0)
        balanced = (vectors * (root * (vectors * p[:, None]).sum(axis=0))[None]).sum(axis=1)
        # Without a gradient there is nothing to balance: the sum over p of zeros.
        return Weighed(jnp.where(some & context.present, balanced, jnp.where(some, 0, p)), state)

    return from_rule(rule)

"""Masks by agreement of signs: AND-mask."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmtl._validate import check_choice, check_within
from jaxmtl.aggregation.contract import Aggregator, checked, describe
from jaxmtl.aggregation.rows import along_tasks, gram_matrix
from jaxmtl.aggregation.settings import Real, in_type
from jaxmtl.gradients.stacked import accumulator_dtype


def and_mask(tau: Real = 1.0, *, rescale: bool = True) -> Aggregator:
    """Mean gradient at the coordinates where the signs agree, 0 elsewhere.

    A coordinate is kept if |mean_t sign(g_t)| >= tau; with ``rescale``, each leaf is divided by the
    share of its coordinates that are kept, as in the authors' code and DomainBed (which adds 1e-10
    to the share), so that sparse masks do not stop learning.

    Needs the gradients, no Gram matrix. Permutation invariant, of degree 1; no weighted sum.

    Args:
        tau: agreement asked for, in [0, 1]; 1 for all tasks. May be traced.
        rescale: static.

    Returns:
        The aggregator; no state.

    Raises:
        ValueError: tau not in [0, 1].

    Example:
        >>> import jax.numpy as jnp
        >>> grads = jnp.array([[1.0, 2.0, -1.0], [3.0, -1.0, -1.0]])
        >>> aggregator = and_mask(rescale=False)
        >>> aggregator.update(grads, aggregator.init(grads))[0].tolist()
        [2.0, 0.0, -1.0]

    References:
        Parascandolo, Neitz, Orvieto, Gresele, Schoelkopf (2021), Learning explanations that are
        hard to vary, section 2.3.
    """
    check_within("tau", tau, 0, 1)
    check_choice("rescale", rescale, (False, True))

    def mask(agreement: Array, variance: Array) -> Array:
        # Signs are summed exactly; the tolerance is for the division by the number of tasks.
        return (agreement >= in_type(tau, agreement.dtype) - 1e-6).astype(agreement.dtype)

    return masked_mean(mask, rescale=rescale)


def masked_mean(mask_fn: Any, *, rescale: bool) -> Aggregator:
    """Aggregator of a mask on the mean: ``mask_fn(agreement, variance)`` at every coordinate.

    Args:
        mask_fn: from |mean of signs| and the unbiased variance over tasks to a factor in [0, 1].
        rescale: divide each leaf by the mean of its mask.

    Returns:
        The aggregator; no state.
    """

    def update(task_grads: PyTree, state: Any, **given: Any) -> Any:
        task_grads, context = checked(task_grads, **given)
        dtype = accumulator_dtype(task_grads)
        number = jnp.maximum(context.present.sum(dtype=dtype), 1)

        def of_leaf(leaf: Float[Array, "tasks ..."]) -> Float[Array, "..."]:
            rows = leaf.astype(dtype)
            mean = rows.sum(axis=0) / number
            agreement = jnp.abs(jnp.sign(rows).sum(axis=0)) / number
            off = jnp.where(along_tasks(context.present, leaf), rows - mean[None], 0)
            variance = (off**2).sum(axis=0) / jnp.maximum(number - 1, 1)
            mask = mask_fn(agreement, variance)
            share = mask.mean() if rescale else jnp.ones((), dtype)
            masked = mask * mean / jnp.where(share > 0, share, 1)
            return jnp.where(jnp.isnan(mean), jnp.nan, masked).astype(leaf.dtype)

        combined = jax.tree.map(of_leaf, task_grads)
        return combined, state, describe(gram_matrix(task_grads), context)

    return Aggregator(lambda task_grads: (), update, weighted=False)

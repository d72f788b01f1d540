"""Krum: the gradients that have the closest neighbours."""

from typing import Any

import jax.numpy as jnp

from jaxmtl._validate import check_choice, check_count
from jaxmtl.aggregation.contract import Aggregator, Context, Weighed, from_rule


def krum(num_byzantine: int = 1, num_selected: int = 1, *, squared: bool = False) -> Aggregator:
    """Mean of the gradients with the smallest sums of distances to their nearest neighbours.

    The score of a gradient is the sum of its distances to the m - b - 2 nearest others; the k with
    the least scores have weight 1 / k. Meant for workers of which b may send anything. Equal scores
    go to the lower number. Distances come from the Gram matrix: differences far below the norms are
    lost to rounding.

    Needs the Gram matrix. Of degree 1.

    Args:
        num_byzantine: b, >= 0, static.
        num_selected: k, static.
        squared: squared distances, as in the paper, static. False as in TorchJD; the choice
            rarely differs.

    Returns:
        The aggregator; no state. Where tasks are missing, m is the number of those present; with
        fewer than b + 3 or than k of them, ``converged`` is False.

    Raises:
        ValueError: a number out of range; at the update, fewer than b + 3 or than k tasks.

    Example:
        >>> import jax.numpy as jnp
        >>> grads = jnp.array([[1.0], [1.1], [1.2], [9.0]])
        >>> aggregator = krum(num_selected=2)
        >>> aggregator.update(grads, aggregator.init(grads))[2].weights.tolist()
        [0.5, 0.5, 0.0, 0.0]

    References:
        Blanchard, El Mhamdi, Guerraoui, Stainer (2017), Machine learning with adversaries,
        section 4 (Krum, and Multi-Krum for k > 1).
    """
    check_count("num_byzantine", num_byzantine, zero=True)
    check_count("num_selected", num_selected)
    check_choice("squared", squared, (False, True))

    def rule(gram: Any, state: Any, context: Context) -> Weighed:
        tasks = gram.shape[0]
        if tasks < max(num_byzantine + 3, num_selected):
            raise ValueError(
                f"krum: expected at least {max(num_byzantine + 3, num_selected)} tasks with "
                f"num_byzantine={num_byzantine} and num_selected={num_selected}, got {tasks}"
            )
        squares = jnp.diagonal(gram)
        between = jnp.maximum(squares[:, None] + squares[None] - 2 * gram, 0)
        others = context.present[None] & ~jnp.eye(tasks, dtype=bool)
        distances = between if squared else jnp.sqrt(between)
        ranked = jnp.sort(jnp.where(others, distances, jnp.inf), axis=1)
        number = context.present.sum()
        neighbours = number - num_byzantine - 2
        near = jnp.arange(tasks)[None] < neighbours
        scores = jnp.where(context.present, jnp.where(near, ranked, 0).sum(axis=1), jnp.inf)
        ranks = jnp.argsort(jnp.argsort(scores, stable=True), stable=True)
        chosen = (ranks < num_selected) & context.present
        weights = chosen.astype(gram.dtype) / jnp.maximum(chosen.sum(dtype=gram.dtype), 1)
        enough = (neighbours >= 1) & (number >= num_selected)
        return Weighed(weights, state, enough)

    return from_rule(rule)

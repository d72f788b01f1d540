"""Linear scalarisation: fixed weights, and the grid of weights that a Pareto front takes."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Array, Float

from jaxmtl.aggregation.contract import Context, preference_vector
from jaxmtl.aggregation.losses.contract import Scalarizer, from_value


def linear(weights: Float[Array, " tasks"] | Sequence[float]) -> Scalarizer:
    """The loss sum_t w_t L_t.

    Args:
        weights: one a task, as they are (not normalised); a traced array may be mapped over, such
            as a row of ``simplex_grid``.

    Returns:
        The loss method; no state.

    Raises:
        ValueError: at the call, if there is not one weight a task.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> losses = jnp.array([1.0, 3.0])
        >>> sweep = jax.vmap(lambda w: linear(w).scalarize(losses, ())[0])
        >>> sweep(jnp.asarray(simplex_grid(2, 4))).tolist()
        [3.0, 2.5, 2.0, 1.5, 1.0]
    """

    def value(losses: Array, state: object, context: Context) -> Array:
        w = preference_vector("linear", weights, context.present, losses.dtype)
        return (w * losses).sum()

    return from_value(value)


def simplex_grid(num_tasks: int, divisions: int) -> Float[np.ndarray, "points tasks"]:
    """All weights that are multiples of 1 / divisions and sum to 1: an even grid on the simplex.

    Args:
        num_tasks: at least 1.
        divisions: parts of an edge, at least 1.

    Returns:
        comb(divisions + tasks - 1, tasks - 1) rows in lexicographic order, float64.

    Raises:
        ValueError: a number below 1.

    Example:
        >>> simplex_grid(2, 2).tolist()
        [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]
        >>> simplex_grid(3, 10).shape
        (66, 3)

    References:
        Das, Dennis (1998), Normal-boundary intersection, SIAM Journal on Optimization.
    """
    for name, number in (("num_tasks", num_tasks), ("divisions", divisions)):
        if number < 1:
            raise ValueError(f"{name}: expected at least 1, got {number}")
    # Stars and bars: the gaps between num_tasks - 1 bars among the places.
    places = divisions + num_tasks - 1
    bars = np.array(list(itertools.combinations(range(places), num_tasks - 1)), int)
    bars = bars.reshape(math.comb(places, num_tasks - 1), num_tasks - 1)
    ends = np.pad(bars, ((0, 0), (1, 1)), constant_values=((0, 0), (-1, places)))
    return (np.diff(ends, axis=1) - 1) / divisions

"""Random loss weights."""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxmtl._validate import check_choice, check_positive
from jaxmtl.aggregation.contract import Context, require_key
from jaxmtl.aggregation.losses.contract import Scalarizer, from_value
from jaxmtl.aggregation.settings import Real, in_type


def rlw(
    distribution: Literal["normal", "dirichlet"] = "normal", concentration: Real = 1.0
) -> Scalarizer:
    """Weights drawn anew at every call; they sum to 1.

    ``"normal"``: softmax of independent standard normal numbers; ``"dirichlet"``: uniform on the
    simplex for a concentration of 1. With tasks missing, the draw is on the simplex of the others:
    the same distribution as without them, though not the same draw.

    Needs ``key``.

    Args:
        distribution: see above, static.
        concentration: of the Dirichlet distribution, above 0, may be traced; small for weights
            near the corners.

    Returns:
        The loss method; no state.

    Raises:
        ValueError: an unknown distribution, a concentration not above 0; at the call, without a
            key.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> method = rlw("dirichlet")
        >>> _, _, weights = method.scalarize(jnp.ones(3), (), key=jax.random.key(0))
        >>> bool(jnp.allclose(weights.sum(), 1.0))
        True

        In a step the key goes to ``init``, once for all steps, each of which draws anew:

        >>> import optax
        >>> from jaxmtl import aggregation as ag
        >>> loss_fn = lambda w, x: jnp.stack([(w * x).sum(), -w.sum()])
        >>> init, step = ag.scalarized_step(loss_fn, rlw(), optax.sgd(0.1))
        >>> params, batch, drawn = jnp.ones(2), jnp.ones(2), []
        >>> state, step = init(params, batch, key=jax.random.key(0)), jax.jit(step)
        >>> for _ in range(2):
        ...     params, state, info = step(params, state, batch)
        ...     drawn.append(info.weights[0].item())
        >>> drawn[0] == drawn[1]
        False

    References:
        Lin, Ye, Zhang, Tsang (2022), Reasonable effectiveness of random weighting, TMLR.
    """
    check_choice("distribution", distribution, ("normal", "dirichlet"))
    check_positive("concentration", concentration)

    def value(losses: Array, state: object, context: Context) -> Array:
        key, shape, dtype = require_key("rlw", context), losses.shape, losses.dtype
        if distribution == "normal":
            logits = jax.random.normal(key, shape, dtype)
        else:  # independent gamma variates over their sum
            logits = jax.random.loggamma(key, in_type(concentration, dtype), shape, dtype)
        weights = jax.nn.softmax(jnp.where(context.present, logits, -jnp.inf))
        return (weights * losses).sum()

    return from_value(value)

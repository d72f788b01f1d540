"""Gradient vaccine: each gradient, turned towards the cosines seen so far."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmtl._validate import check_positive
from jaxmtl.aggregation.contract import Aggregator, Context, Weighed, from_rule, preference_vector
from jaxmtl.aggregation.pcgrad import repeat, visiting_order
from jaxmtl.aggregation.settings import Real, in_type
from jaxmtl.aggregation.solvers.linear import unit_gram


class GradVacState(NamedTuple):
    """Cosines that GradVac aims at.

    Attributes:
        target: running mean of the cosine of task t's gradient, as changed so far, with g_s.
    """

    target: Float[Array, "tasks tasks"]


def gradvac(
    beta: Real = 0.5, preferences: Float[Array, " tasks"] | Sequence[float] | None = None
) -> Aggregator:
    """Sum of the gradients, each turned until its cosine with every other is as usual.

    Task t visits the others in turn. Where the cosine c of its gradient, as changed so far, with
    g_s is below the running mean a of that pair, it gets |g_t| (a sqrt(1 - c^2) - c sqrt(1 - a^2))
    / (|g_s| sqrt(1 - a^2)) times g_s, so that the cosine becomes a; then a <- (1 - beta) a + beta
    c. At the first step a = 0, which is PCGrad. Done in weight space, all tasks at once. The order
    comes from ``key`` or ``order``, see ``pcgrad``. TorchJD and LibMTL add 1e-8 to denominators;
    here angles are scale free and zero gradients are skipped. For one target a layer, see
    ``grouped``.

    Needs the Gram matrix. Of degree 1.

    Args:
        beta: share of the new cosine in the running mean, in [0, 1]; may be traced.
        preferences: factors of the changed gradients in the sum; None for 1.

    Returns:
        The aggregator; its state is a ``GradVacState``. Pairs with an absent or zero gradient keep
        theirs.

    Raises:
        ValueError: beta below 0; at the update, more than two tasks with neither key nor order.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> gram = jnp.array([[18.0, -22.0], [-22.0, 38.0]])
        >>> [round(w, 4) for w in gradvac().weights(gram, key=jax.random.key(0)).tolist()]
        [2.2222, 1.5789]

    References:
        Wang, Tsvetkov, Firat, Cao (2021), Gradient vaccine, algorithm 1 and equations 5, 6.
    """
    check_positive("beta", beta, zero=True)

    def rule(gram: Any, state: GradVacState, context: Context) -> Weighed:
        tasks, share = gram.shape[0], in_type(beta, gram.dtype)
        p = preference_vector("gradvac", preferences, context.present, gram.dtype, default="sum")
        unit = unit_gram(gram, context.present, context.scales)
        order = visiting_order("gradvac", tasks, context)
        both = unit.live[:, None] & unit.live[None]
        dots = jnp.where(both, unit.cosines, 0)
        pairs = both & ~jnp.eye(tasks, dtype=bool)

        def visit(step: Any, carry: tuple[Array, ...]) -> tuple[Array, ...]:
            weights, products, target = carry
            other = order[:, step]
            at = (other[:, None] == jnp.arange(tasks)[None]) & pairs
            inner = jnp.where(at, products, 0).sum(axis=1)
            length = jnp.sqrt(jnp.maximum((weights * products).sum(axis=1), 0))
            cosine = jnp.clip(inner / jnp.where(length > 0, length, 1), -1, 1)
            aim = jnp.where(at, target, 0).sum(axis=1)
            sine, aim_sine = jnp.sqrt(1 - cosine**2), jnp.sqrt(jnp.maximum(1 - aim**2, 0))
            turn = at.any(axis=1) & (cosine < aim) & (aim_sine > 0)
            added = length * (aim * sine - cosine * aim_sine) / jnp.where(turn, aim_sine, 1)
            added = jnp.where(turn, added, 0)
            seen = (1 - share) * target + share * cosine[:, None]
            return (
                weights + jnp.where(at, added[:, None], 0),
                products + added[:, None] * dots[other],
                jnp.where(at, seen, target),
            )

        start = jnp.eye(tasks, dtype=gram.dtype), dots, state.target
        weights, _, target = repeat(tasks, visit, start)
        finite = jnp.isfinite(gram).all()  # a bad step must not spoil the running means for good
        target = jnp.where(finite, target, state.target)
        scaled = ((p * unit.norms)[:, None] * unit.inverse[None] * weights).sum(axis=0)
        return Weighed(jnp.where(unit.live, scaled, p), GradVacState(target))

    def init_state(tasks: int, dtype: Any) -> GradVacState:
        return GradVacState(jnp.zeros((tasks, tasks), dtype))

    return from_rule(rule, init_state, scaled=True)

"""Gradient surgery: each gradient, projected off those it conflicts with."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jaxmtl.aggregation.contract import (
    Aggregator,
    Context,
    Weighed,
    from_rule,
    preference_vector,
    require_key,
)
from jaxmtl.aggregation.solvers.linear import unit_gram

# Up to this many tasks the visits are unrolled, and XLA fuses them.
UNROLLED = 8


def pcgrad(preferences: Float[Array, " tasks"] | Sequence[float] | None = None) -> Aggregator:
    """Sum of the gradients, each projected off every other with which it conflicts, in turn.

    Task t visits the others in an order of its own: wherever its gradient, as projected so far, has
    a negative inner product with g_s, the component along g_s is taken off. Done in weight space: m
    x m numbers, all tasks at once. The order is drawn from ``key``, or given as ``order``, whose
    row t lists all tasks as task t visits them (itself is skipped, wherever it stands); with two
    tasks there is one order and no key is needed. The sum over tasks is as in LibMTL and TorchJD;
    Recon's code has the mean times the number of tasks.

    Needs the Gram matrix. Of degree 1; non-conflicting for two tasks, not beyond.

    Args:
        preferences: factors of the projected gradients in the sum; None for 1.

    Returns:
        The aggregator; no state.

    Raises:
        ValueError: at the update, with more than two tasks and neither key nor order.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> gram = jnp.array([[18.0, -22.0], [-22.0, 38.0]])
        >>> [round(w, 4) for w in pcgrad().weights(gram, key=jax.random.key(0)).tolist()]
        [2.2222, 1.5789]

        In a step the key goes to ``init``, once for all steps; without, three tasks are refused:

        >>> import optax
        >>> from jaxmtl import aggregation as ag
        >>> loss_fn = lambda w, x: jnp.stack([w @ x, -w @ x, (w**2).sum()])
        >>> init, step = ag.aggregated_step(loss_fn, pcgrad(), optax.sgd(0.1))
        >>> params, batch = jnp.array([1.0, 2.0]), jnp.array([1.0, 1.0])
        >>> state = init(params, batch, key=jax.random.key(0))
        >>> params, state, info = jax.jit(step)(params, state, batch)
        >>> info.aggregation.weights.shape
        (3,)

        Its rule inside another, which gives it the Gram matrix of the sums of groups of tasks, and
        its weights back to the tasks:

        >>> groups, inside = jnp.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), pcgrad()
        >>> def rule(gram, state, context):
        ...     present = (groups * context.present[None]).any(axis=1)
        ...     among = context._replace(order=None, present=present)
        ...     found = inside.rule(groups @ gram @ groups.T, state, among)
        ...     return found._replace(weights=groups.T @ found.weights * context.present)
        >>> in_groups = ag.from_rule(rule, lambda tasks, dtype: inside.init(groups))
        >>> grads = jnp.array([[-2.0, 0.5, 0.5], [-2.0, 0.5, 0.5], [6.0, 1.0, 1.0]])
        >>> combined, _, info = in_groups.update(grads, in_groups.init(grads))
        >>> [round(w, 4) for w in info.weights.tolist()]
        [2.2222, 2.2222, 1.5789]

    References:
        Yu, Kumar, Gupta, Levine, Hausman, Finn (2020), Gradient surgery for multi-task learning,
        algorithm 1.
    """

    def rule(gram: Any, state: Any, context: Context) -> Weighed:
        tasks = gram.shape[0]
        p = preference_vector("pcgrad", preferences, context.present, gram.dtype, default="sum")
        unit = unit_gram(gram, context.present, context.scales)
        order = visiting_order("pcgrad", tasks, context)
        dots = jnp.where(unit.live[:, None] & unit.live[None], unit.cosines, 0)

        def visit(step: Any, carry: tuple[Array, Array]) -> tuple[Array, Array]:
            weights, products = carry
            other = order[:, step]
            at = other[:, None] == jnp.arange(tasks)[None]
            inner = jnp.where(at, products, 0).sum(axis=1)
            conflict = (inner < 0) & (other != jnp.arange(tasks))
            taken = jnp.where(conflict, -inner, 0)
            return weights + jnp.where(at, taken[:, None], 0), products + taken[:, None] * dots[
                other
            ]

        start = jnp.eye(tasks, dtype=gram.dtype), dots
        weights, _ = repeat(tasks, visit, start)
        scaled = ((p * unit.norms)[:, None] * unit.inverse[None] * weights).sum(axis=0)
        return Weighed(jnp.where(unit.live, scaled, p), state)

    return from_rule(rule, scaled=True)


def visiting_order(method: str, tasks: int, context: Context) -> Int[Array, "tasks tasks"]:
    """The order given, or a random one a task, or the only one of two tasks."""
    if context.order is not None:
        return context.order
    if tasks <= 2:
        return jnp.broadcast_to(jnp.arange(tasks), (tasks, tasks))
    return random_order(require_key(method, context), tasks)


def random_order(key: Key[Array, ""], tasks: int) -> Int[Array, "tasks tasks"]:
    """One random permutation of the tasks in each row.

    Args:
        key: traced.
        tasks: number of tasks, static.

    Returns:
        The rows.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> bool((jnp.sort(random_order(jax.random.key(0), 5)) == jnp.arange(5)[None]).all())
        True
    """
    return jnp.argsort(jax.random.uniform(key, (tasks, tasks)), axis=1)


def repeat(times: int, body: Any, carry: Any) -> Any:
    """``fori_loop``, unrolled if it is short."""
    if times > UNROLLED:
        return jax.lax.fori_loop(0, times, body, carry)
    for step in range(times):
        carry = body(step, carry)
    return carry

"""One aggregation a layer, or for any other part of the parameters."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxmtl._pytree import Prefix, leaf_groups
from jaxmtl._validate import check_static
from jaxmtl.aggregation.contract import AggregationInfo, Aggregator, Context, checked, describe
from jaxmtl.aggregation.known import AnyMethod, as_aggregator
from jaxmtl.aggregation.rows import gram_matrix, weighted_sum


def grouped(aggregator: AnyMethod, prefix: Prefix = None) -> Aggregator:
    """Applies an aggregator to each group of leaves on its own.

    A method on the Gram matrix is traced once and mapped over the groups' matrices; others run
    group after group. Every group has a state of its own; a key is split between them.

    Args:
        aggregator: for one group.
        prefix: see ``leaf_groups``, static.

    Returns:
        The aggregator. The fields of its info have a leading axis, one entry a group in the order
        of ``leaf_groups``; its state is a stack (methods on the Gram matrix) or a tuple of states.

    Raises:
        ValueError: at ``init`` and the update, if the prefix does not fit the gradients.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxmtl.aggregation as ag
        >>> aggregator = grouped(ag.mgda(), prefix=1)
        >>> grads = {"a": jnp.array([[1.0], [-1.0]]), "b": jnp.array([[1.0], [1.0]])}
        >>> combined, _, info = aggregator.update(grads, aggregator.init(grads))
        >>> [round(leaf.item(), 6) + 0.0 for leaf in combined.values()]
        [0.0, 1.0]
        >>> info.conflict_rate.tolist()
        [1.0, 0.0]
    """

    check_static("prefix", prefix)
    aggregator = as_aggregator(aggregator)

    def split(tree: PyTree) -> list[list[Any]]:
        leaves = jax.tree.leaves(tree)
        return [[leaves[at] for at in group] for group in leaf_groups(tree, prefix).values()]

    def join(tree: PyTree, parts: list[list[Array]]) -> PyTree:
        leaves, structure = jax.tree.flatten(tree)
        for group, part in zip(leaf_groups(tree, prefix).values(), parts, strict=True):
            for at, leaf in zip(group, part, strict=True):
                leaves[at] = leaf
        return jax.tree.unflatten(structure, leaves)

    def stacked(trees: list[Any]) -> Any:
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)

    def init(task_grads: PyTree) -> Any:
        states = [aggregator.init(part) for part in split(task_grads)]
        return tuple(states) if aggregator.rule is None else stacked(states)

    def keys_of(context: Context, number: int) -> Any:
        return None if context.key is None else jax.random.split(context.key, number)

    def update_each(task_grads: PyTree, state: Any, context: Context) -> Any:
        parts = split(task_grads)
        keys = keys_of(context, len(parts))
        found = [
            aggregator.update(
                part,
                state[number],
                losses=context.losses,
                params=None,
                key=None if keys is None else keys[number],
                present=context.present,
                order=context.order,
                extra_task_grads=[split(extra)[number] for extra in context.extra_task_grads],
            )
            for number, part in enumerate(parts)
        ]
        infos: AggregationInfo = stacked([info for _, _, info in found])
        return [grads for grads, _, _ in found], tuple(new for _, new, _ in found), infos

    def update_at_once(task_grads: PyTree, state: Any, context: Context, rule: Any) -> Any:
        parts = split(task_grads)
        grams = jnp.stack([gram_matrix(part) for part in parts])
        matrices = grams
        if len(context.extra_task_grads) == 2:
            pairs = zip(*(split(extra) for extra in context.extra_task_grads), strict=True)
            matrices = jnp.stack([gram_matrix(*pair) for pair in pairs])
        keys = keys_of(context, len(parts))

        def one(gram: Array, matrix: Array, state: Any, key: Any) -> Any:
            found = rule(matrix, state, context._replace(key=key))
            info = describe(gram, context, found.weights, found.converged, found.residual)
            return found.state, info

        states, info = jax.vmap(one, in_axes=(0, 0, 0, None if keys is None else 0))(
            grams, matrices, state, keys
        )
        combined = [weighted_sum(w, part) for w, part in zip(info.weights, parts, strict=True)]
        return combined, states, info

    def update(task_grads: PyTree, state: Any, **given: Any) -> Any:
        task_grads, context = checked(task_grads, **given)
        if aggregator.rule is None:
            parts, state, info = update_each(task_grads, state, context)
        else:
            parts, state, info = update_at_once(task_grads, state, context, aggregator.rule)
        return join(task_grads, parts), state, info

    update_fn: Callable[..., Any] = update
    return Aggregator(init, update_fn, weighted=False)

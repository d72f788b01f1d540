"""One aggregation a layer, or for any other part of the parameters."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxmtl._validate import check_static
from jaxmtl.aggregation.contract import AggregationInfo, Aggregator, Context, checked, describe
from jaxmtl.aggregation.known import AnyMethod, as_aggregator
from jaxmtl.aggregation.rows import gram_matrix, weighted_sum

Prefix = int | PyTree | None


def leaf_groups(tree: PyTree, prefix: Prefix = None) -> dict[Any, tuple[int, ...]]:
    """Which leaves of a pytree make up which group.

    Args:
        tree: a pytree of arrays or shapes.
        prefix: None: every leaf is a group. A number d: leaves whose paths agree in the first d
            keys, so that 1 is one group a layer in the usual dictionary of layers. Else a pytree
            that is a prefix of the tree and whose leaves are labels: equal labels, one group.

    Returns:
        From the label of each group (the path, if the prefix is None or a number) to the positions
        of its leaves in ``jax.tree.leaves(tree)``.

    Raises:
        ValueError: the prefix does not fit the tree.

    Example:
        >>> tree = {"bank": {"bias": 0.0, "kernel": 0.0}, "output": {"kernel": 0.0}}
        >>> leaf_groups(tree, 1)
        {"['bank']": (0, 1), "['output']": (2,)}
        >>> leaf_groups(tree, {"bank": {"bias": "b", "kernel": "k"}, "output": "k"})
        {'b': (0,), 'k': (1, 2)}
    """
    if prefix is None or isinstance(prefix, int):
        paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
        labels = [jax.tree_util.keystr(path[:prefix]) for path in paths]
    else:
        labels = jax.tree.leaves(broadcast_prefix("prefix", prefix, tree))
    groups: dict[Any, list[int]] = {}
    for position, label in enumerate(labels):
        groups.setdefault(label, []).append(position)
    return {label: tuple(positions) for label, positions in groups.items()}


def broadcast_prefix(name: str, prefix: PyTree, tree: PyTree) -> PyTree:
    """Repeats each leaf of a prefix over the subtree that it stands for.

    Raises:
        ValueError: the prefix does not fit.
    """
    try:
        return jax.tree.map(lambda leaf, below: jax.tree.map(lambda _: leaf, below), prefix, tree)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{name}: expected a prefix of the pytree {jax.tree.structure(tree)}, "
            f"got {jax.tree.structure(prefix)}"
        ) from error


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

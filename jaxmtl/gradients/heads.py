"""One pass through the heads: losses, and their gradients at the features and at the heads."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmtl.gradients.dense import leaves_read
from jaxmtl.gradients.loss import loss_names, loss_vector
from jaxmtl.gradients.stacked import row_products

Head = Callable[[PyTree, PyTree, PyTree], Float[Array, ""]]
Heads = Callable[[PyTree, PyTree, PyTree], PyTree]


class HeadPass(NamedTuple):
    """What the heads' forward and backward passes give.

    Attributes:
        losses: of the tasks.
        named: the losses as the heads gave them, if that was by name; None for a vector.
        rows: gradient of each loss at the features; leaves (tasks, *feature).
        products: ``products(dtype)``: inner products of the losses' gradients at the heads.
        backward: ``backward(weights)``: the heads' gradient for the weighted sum of the losses.
    """

    losses: Float[Array, " tasks"]
    named: PyTree
    rows: PyTree
    products: Callable[[Any], Float[Array, "tasks tasks"]]
    backward: Callable[[Array], PyTree]


def pass_heads(
    heads: Heads | Sequence[Head], params: PyTree, features: PyTree, batch: PyTree
) -> HeadPass:
    """Passes the features through all heads, and each loss back to them.

    Heads that are functions of their own are passed back once each, for the parameters that they
    read; one function for all of them is passed back once a task.

    Args:
        heads: as in ``SplitLoss``.
        params: of the heads.
        features: what they read.
        batch: likewise.

    Returns:
        See ``HeadPass``.

    Raises:
        ValueError: the losses are neither a vector nor scalars by name.

    Example:
        >>> import jax.numpy as jnp
        >>> heads = (lambda v, z, x: v[0] * z, lambda v, z, x: v[1] * z**2)
        >>> found = pass_heads(heads, [jnp.array(1.0), jnp.array(3.0)], jnp.array(2.0), ())
        >>> found.losses.tolist(), found.rows.tolist()
        ([2.0, 12.0], [1.0, 12.0])
        >>> found.products(jnp.float32).tolist()
        [[4.0, 0.0], [0.0, 16.0]]
        >>> [g.item() for g in found.backward(jnp.array([1.0, 0.5]))]
        [2.0, 2.0]
    """
    if callable(heads):
        return _pass_together(heads, params, features, batch)
    return _pass_each(heads, params, features, batch)


def _pass_together(heads: Heads, params: PyTree, features: PyTree, batch: PyTree) -> HeadPass:
    def vector(p: PyTree, z: PyTree) -> tuple[Array, PyTree]:
        losses = heads(p, z, batch)
        return loss_vector(losses), None if loss_names(losses) is None else losses

    losses, pullback, named = jax.vjp(vector, params, features, has_aux=True)
    basis = jnp.eye(losses.shape[0], dtype=losses.dtype)
    at_heads, rows = jax.vmap(pullback)(basis)

    def products(dtype: Any) -> Array:
        zero = jnp.zeros((losses.size, losses.size), dtype)
        return sum((row_products(leaf, leaf, dtype) for leaf in jax.tree.leaves(at_heads)), zero)

    def backward(weights: Array) -> PyTree:
        return pullback(jnp.asarray(weights, losses.dtype))[0]

    return HeadPass(losses, named, rows, products, backward)


def _pass_each(heads: Sequence[Head], params: PyTree, features: PyTree, batch: PyTree) -> HeadPass:
    leaves, structure = jax.tree.flatten(params)
    losses, rows, grads = [], [], []
    for head in heads:

        def of_leaves(leaves: Sequence[Array], z: PyTree, head: Head = head) -> Array:
            return head(jax.tree.unflatten(structure, leaves), z, batch)

        read = leaves_read(of_leaves, leaves, features)

        def of_own(own: dict[int, Array], z: PyTree, of_leaves: Any = of_leaves) -> Array:
            return of_leaves([own.get(at, leaf) for at, leaf in enumerate(leaves)], z)

        own = {at: leaves[at] for at in read}
        loss, (at_head, row) = jax.value_and_grad(of_own, argnums=(0, 1))(own, features)
        losses.append(loss)
        rows.append(row)
        grads.append(at_head)
    readers = [[t for t, g in enumerate(grads) if at in g] for at in range(len(leaves))]

    def products(dtype: Any) -> Array:
        alone = [jnp.zeros((), dtype) for _ in heads]
        gram = jnp.zeros((len(heads), len(heads)), dtype)
        for at, tasks in enumerate(readers):
            if len(tasks) == 1:
                own = grads[tasks[0]][at][None]
                alone[tasks[0]] += row_products(own, own, dtype)[0, 0]
            elif tasks:
                rows = jnp.stack([grads[t][at] for t in tasks])
                found = row_products(rows, rows, dtype)
                gram = gram.at[jnp.ix_(jnp.array(tasks), jnp.array(tasks))].add(found)
        return gram + jnp.diag(jnp.stack(alone))

    def backward(weights: Array) -> PyTree:
        def combined(at: int, leaf: Array) -> Array:
            dtype = jnp.result_type(jnp.float32, weights.dtype, leaf.dtype)
            zero = jnp.zeros(leaf.shape, dtype)
            terms = (weights[t].astype(dtype) * grads[t][at].astype(dtype) for t in readers[at])
            return sum(terms, zero).astype(leaf.dtype)

        return jax.tree.unflatten(structure, [combined(*item) for item in enumerate(leaves)])

    stacked = jax.tree.map(lambda *each: jnp.stack(each), *rows)
    return HeadPass(loss_vector(jnp.stack(losses)), None, stacked, products, backward)

"""Parameters of one task only, next to those that are shared."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from jaxmtl._pytree import broadcast_prefix
from jaxmtl._validate import check_choice
from jaxmtl.aggregation.contract import Aggregator
from jaxmtl.aggregation.known import AnyMethod, as_aggregator
from jaxmtl.aggregation.rows import keep_present, weighted_sum
from jaxmtl.gradients.stacked import num_tasks

HeadGradients = Literal["plain", "weighted"]


class Apart(NamedTuple):
    """What engines need of ``with_heads`` that do not hold all task gradients.

    Attributes:
        aggregator: of the shared parameters.
        flags: ``flags(tree)``: whether each leaf is shared, in the order of ``jax.tree.leaves``.
        head_gradients: ``"plain"`` or ``"weighted"``.

    Example:
        >>> import jaxmtl.aggregation as ag
        >>> ag.with_heads(ag.mean(), {"a": True, "b": False}, "plain").apart.flags({"a": 1, "b": 2})
        [True, False]
    """

    aggregator: Aggregator
    flags: Callable[[PyTree], list[bool]]
    head_gradients: HeadGradients

    def split(self, tree: PyTree) -> tuple[PyTree, list[Any]]:
        """The tree without the heads, and their leaves."""
        leaves, structure = jax.tree.flatten(tree)
        flags = self.flags(tree)
        # None is no leaf, and those that stay keep their paths, by which layers are told.
        kept = [leaf if flag else None for leaf, flag in zip(leaves, flags, strict=True)]
        heads = [leaf for leaf, flag in zip(leaves, flags, strict=True) if not flag]
        return jax.tree.unflatten(structure, kept), heads

    def join(self, tree: PyTree, ours: PyTree, heads: list[Any]) -> PyTree:
        """The other way round, in the form of a tree."""
        parts = iter(jax.tree.leaves(ours)), iter(heads)
        leaves = [next(parts[0]) if flag else next(parts[1]) for flag in self.flags(tree)]
        return jax.tree.unflatten(jax.tree.structure(tree), leaves)


def with_heads(
    aggregator: AnyMethod,
    shared: PyTree | Callable[[PyTree], PyTree],
    head_gradients: HeadGradients,
) -> Aggregator:
    """Aggregates the shared parameters only; heads get their own task's gradient.

    A head belongs to one task and the gradients of the others on it are 0: there is nothing to
    combine, but a choice of scale. ``"plain"`` is the sum over tasks, each head's own gradient as
    it is; ``"weighted"`` is the weighted sum with the weights found for the shared parameters, that
    is, the gradient of the weighted loss. LibMTL weighs heads for loss methods, Nash-MTL, FairGrad
    and ExcessMTL, and not for MGDA, PCGrad, CAGrad, GradVac, MoCo, Aligned-MTL, UPGrad and
    GradNorm; TorchJD never does.

    Args:
        aggregator: for the shared parameters. It sees a pytree of the same structure without the
            heads, so that ``grouped`` and ``recon`` find the layers.
        shared: which are: a pytree of booleans, a prefix of the parameters, or a function that
            makes one from the task gradients, of which it may ask the structure alone. Static.
        head_gradients: ``"plain"`` or ``"weighted"``, static.

    Returns:
        The aggregator of all parameters; info is that of the shared ones. ``gramian_step`` and
        ``data_parallel_step`` take it wherever they take the one inside.

    Raises:
        ValueError: an unknown choice, ``"weighted"`` with a method whose result is no weighted sum;
            at ``init`` and the update, if ``shared`` does not fit or marks nothing.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxmtl.aggregation as ag
        >>> aggregator = with_heads(ag.mean(), {"trunk": True, "head": False}, "plain")
        >>> grads = {"trunk": jnp.array([2.0, 4.0]), "head": jnp.array([[5.0, 0.0], [0.0, 7.0]])}
        >>> combined, _, _ = aggregator.update(grads, aggregator.init(grads))
        >>> combined["trunk"].item(), combined["head"].tolist()
        (3.0, [5.0, 7.0])
    """
    check_choice("head_gradients", head_gradients, ("plain", "weighted"))
    aggregator = as_aggregator(aggregator)
    if head_gradients == "weighted" and not aggregator.weighted:
        raise ValueError(
            "head_gradients: expected 'plain' with a method whose result is no weighted sum of the "
            "task gradients, got 'weighted'"
        )

    def flags_of(tree: PyTree) -> list[bool]:
        # Booleans in the form of an Equinox module can be called, too.
        booleans = all(isinstance(mark, bool) for mark in jax.tree.leaves(shared))
        marks = shared(tree) if callable(shared) and not booleans else shared
        flags = [bool(f) for f in jax.tree.leaves(broadcast_prefix("shared", marks, tree))]
        if not any(flags):
            raise ValueError("shared: expected at least one shared leaf, got none")
        return flags

    apart = Apart(aggregator, flags_of, head_gradients)

    def init(task_grads: PyTree) -> Any:
        return aggregator.init(apart.split(task_grads)[0])

    def update(
        task_grads: PyTree,
        state: Any,
        *,
        present: Any = None,
        extra_task_grads: Any = (),
        **given: Any,
    ) -> Any:
        num_tasks(task_grads)
        ours, heads = apart.split(task_grads)
        combined, state, info = aggregator.update(
            ours,
            state,
            present=present,
            extra_task_grads=[apart.split(extra)[0] for extra in extra_task_grads],
            **given,
        )
        plain = head_gradients == "plain"
        weights: Array = jnp.ones_like(info.cosines[..., 0]) if plain else info.weights
        if weights.ndim > 1:
            weights = weights[0]  # grouped, hence plain: all ones
        own = weighted_sum(weights, keep_present(heads, present)) if heads else []
        return apart.join(task_grads, combined, own), state, info

    return dataclasses.replace(
        aggregator,  # what spares passes goes on sparing them
        init=init,
        update=update,
        rule=None,
        weighted=head_gradients == "weighted",
        apart=apart,
    )


def head_weights(
    head_gradients: str,
    weights: Float[Array, " tasks"] | None,
    losses: Float[Array, " tasks"],
    present: Bool[Array, " tasks"] | None,
) -> Float[Array, " tasks"]:
    """What each head's own gradient is multiplied by; 0 for absent tasks."""
    if head_gradients == "weighted" and weights is not None:
        return weights
    plain = jnp.ones_like(losses if weights is None else weights)
    return plain if present is None else jnp.where(present, plain, 0)

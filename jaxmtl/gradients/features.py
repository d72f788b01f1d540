"""Gradients at the representation: the trunk is passed backwards once, whatever the tasks."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmtl.gradients.heads import Head, Heads, pass_heads
from jaxmtl.gradients.tasks import check_parameters, loss_vector


@dataclasses.dataclass(frozen=True)
class SplitLoss:
    """A loss in two parts, itself a ``loss_fn(params, batch)`` with params = (trunk's, heads').

    Attributes:
        trunk: ``trunk(trunk_params, batch) -> features``, a pytree of arrays.
        heads: ``heads(head_params, features, batch)`` gives the vector of task losses; or a tuple
            of functions, one a task, that give its loss. With the tuple, all tasks' gradients at
            the features cost one backward pass through every head; with the function, every task's
            passes through all heads.

    Example:
        >>> import jax.numpy as jnp
        >>> split = SplitLoss(
        ...     trunk=lambda w, x: w * x,
        ...     heads=(lambda v, z, x: v[0] * z, lambda v, z, x: v[1] * z**2))
        >>> split((2.0, jnp.array([1.0, 3.0])), 5.0).tolist()
        [10.0, 300.0]
    """

    trunk: Callable[[PyTree, PyTree], PyTree]
    heads: Heads | Sequence[Head]

    def __post_init__(self) -> None:
        """Freezes a list of heads."""
        if not callable(self.heads):
            object.__setattr__(self, "heads", tuple(self.heads))

    def __call__(self, params: tuple[PyTree, PyTree], batch: PyTree) -> Float[Array, " tasks"]:
        """The task losses."""
        return head_losses(self, params[1], self.trunk(params[0], batch), batch)


def head_losses(
    split: SplitLoss, head_params: PyTree, features: PyTree, batch: PyTree
) -> Float[Array, " tasks"]:
    """The task losses, from the features on."""
    if callable(split.heads):
        return loss_vector(split.heads(head_params, features, batch))
    return jnp.stack([head(head_params, features, batch) for head in split.heads])


def feature_gradients(
    split: SplitLoss,
) -> Callable[
    [tuple[PyTree, PyTree], PyTree],
    tuple[Float[Array, " tasks"], PyTree, Callable[[PyTree, Any], tuple[PyTree, PyTree]]],
]:
    """Gradient of every task's loss at the features, and the way back to the parameters.

    The features of a batch are one long vector, samples and all, as in MGDA-UB: gradients that
    cancel between samples are still seen to be in conflict. A combination of the rows that is
    passed back through the trunk is the same combination of the tasks' trunk gradients.

    Args:
        split: trunk and heads.

    Returns:
        A function of ((trunk params, head params), batch) that returns the losses (tasks,), the
        gradients (leaves (tasks, *feature)), and ``backward(feature_gradient, weights)``, which
        returns the gradients of trunk and head parameters: of the former with the feature gradient
        given, of the latter for the weighted sum of the losses (ones: every head its own).

    Raises:
        ValueError: the losses are not a vector.

    Example:
        >>> import jax.numpy as jnp
        >>> split = SplitLoss(
        ...     trunk=lambda w, x: w * x,
        ...     heads=lambda v, z, x: jnp.stack([v[0] * z, v[1] * z**2]))
        >>> params = (jnp.array(2.0), jnp.array([1.0, 3.0]))
        >>> losses, rows, backward = feature_gradients(split)(params, 5.0)
        >>> rows.tolist()
        [1.0, 60.0]
        >>> [g.tolist() for g in backward(rows.sum(), jnp.ones(2))]
        [305.0, [10.0, 100.0]]

    References:
        Sener, Koltun (2018), Multi-task learning as multi-objective optimization, section 3.3.
    """

    def gradients(params: tuple[PyTree, PyTree], batch: PyTree) -> Any:
        check_parameters(params)
        trunk_params, head_params = params
        features, trunk_pullback = jax.vjp(lambda p: split.trunk(p, batch), trunk_params)
        heads = pass_heads(split.heads, head_params, features, batch)

        def backward(feature_gradient: PyTree, weights: Any) -> tuple[PyTree, PyTree]:
            (of_trunk,) = trunk_pullback(feature_gradient)
            return of_trunk, heads.backward(jnp.asarray(weights))

        return heads.losses, heads.rows, backward

    return gradients

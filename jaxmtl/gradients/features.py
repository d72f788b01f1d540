"""Gradients at the representation: the trunk is passed backwards once, whatever the tasks."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxmtl.gradients.heads import Head, Heads, pass_heads
from jaxmtl.gradients.loss import (
    Beside,
    LossFn,
    check_arguments,
    loss_names,
    loss_vector,
    open_key,
    split_aux,
    value_of,
)
from jaxmtl.gradients.tasks import check_parameters


@dataclasses.dataclass(frozen=True)
class SplitLoss:
    """A loss in two parts, itself a ``loss_fn(params, batch)`` with params = (trunk's, heads').

    Attributes:
        trunk: ``trunk(trunk_params, batch) -> features``, a pytree of arrays. Further arguments of
            the loss, such as running statistics, are the trunk's.
        heads: ``heads(head_params, features, batch)`` gives the task losses, a vector or scalars by
            name; or a tuple of functions, one a task, that give its loss. With the tuple, all
            tasks' gradients at the features cost one backward pass through every head; with the
            function, every task's passes through all heads.
        has_aux: whether the trunk gives a pair (features, aux), and so the loss (losses, aux).

    A key that the loss is called with, ``key=...``, goes to the parts that have a parameter of that
    name, folded with 0 for the trunk and with 1, 2, ... for the heads.

    Example:
        >>> import jax.numpy as jnp
        >>> split = SplitLoss(
        ...     trunk=lambda w, x: w * x,
        ...     heads=(lambda v, z, x: v[0] * z, lambda v, z, x: v[1] * z**2))
        >>> split((2.0, jnp.array([1.0, 3.0])), 5.0).tolist()
        [10.0, 300.0]
    """

    trunk: Callable[..., PyTree]
    heads: Heads | Sequence[Head]
    has_aux: bool = False

    def __post_init__(self) -> None:
        """Freezes a list of heads."""
        if not callable(self.heads):
            object.__setattr__(self, "heads", tuple(self.heads))

    def __call__(
        self, params: tuple[PyTree, PyTree], batch: PyTree, *args: Any, key: Any = None
    ) -> Any:
        """The task losses; with ``has_aux`` the pair of them and of the trunk's aux."""
        features, aux = self.features(params[0], batch, *args, key=key)
        heads = self.keyed_heads(key)
        if callable(heads):
            losses = heads(params[1], features, batch)
            losses = loss_vector(losses) if loss_names(losses) is None else losses
        else:
            losses = jnp.stack([head(params[1], features, batch) for head in heads])
        return (losses, aux) if self.has_aux else losses

    def features(
        self, params: PyTree, batch: PyTree, *args: Any, key: Any = None
    ) -> tuple[PyTree, PyTree]:
        """The features, and the trunk's aux or None."""
        trunk = _with_key(self.trunk, 2 + len(args), key, 0)
        check_arguments(trunk, args, {})
        return split_aux(trunk(params, batch, *args), self.has_aux, "trunk", "features")

    def keyed_heads(self, key: Any) -> Heads | Sequence[Head]:
        """The heads; those that take a key have theirs."""
        if callable(self.heads):
            return _with_key(self.heads, 3, key, 1)
        return tuple(_with_key(head, 3, key, 1 + at) for at, head in enumerate(self.heads))


def _with_key(function: Callable[..., Any], given: int, key: Any, number: int) -> Any:
    if key is None or open_key(function, given) is None:
        return function
    return functools.partial(function, key=jax.random.fold_in(key, number))


def key_parameters(loss_fn: LossFn, args: Sequence[Any] = ()) -> list[inspect.Parameter]:
    """The parameters of a loss, or of its parts, that want a key.

    Args:
        loss_fn: any.
        args: what it is given by position after parameters and batch.

    Returns:
        An empty list for a loss that takes no key.

    Example:
        >>> split = SplitLoss(lambda w, x, key: w * x, lambda v, z, x: v * z)
        >>> [parameter.name for parameter in key_parameters(split)]
        ['key']
    """
    if isinstance(loss_fn, SplitLoss):
        heads = [loss_fn.heads] if callable(loss_fn.heads) else loss_fn.heads
        found = [open_key(loss_fn.trunk, 2 + len(args)), *(open_key(head, 3) for head in heads)]
    else:
        found = [open_key(loss_fn, 2 + len(args))]
    return [parameter for parameter in found if parameter is not None]


def feature_gradients(
    split: SplitLoss,
) -> Callable[..., tuple[Any, PyTree, Callable[[PyTree, Any], tuple[PyTree, PyTree]]]]:
    """Gradient of every task's loss at the features, and the way back to the parameters.

    The features of a batch are one long vector, samples and all, as in MGDA-UB: gradients that
    cancel between samples are still seen to be in conflict. A combination of the rows that is
    passed back through the trunk is the same combination of the tasks' trunk gradients.

    Args:
        split: trunk and heads.

    Returns:
        A function of ((trunk params, head params), batch) and whatever else the trunk takes that
        returns the losses as the heads gave them, of a split with ``has_aux`` the pair (losses,
        aux), the gradients (leaves (tasks, *feature)), and ``backward(feature_gradient, weights)``,
        which returns the gradients of trunk and head parameters: of the former with the feature
        gradient given, of the latter for the weighted sum of the losses (ones: every head its own).

    Raises:
        ValueError: the losses are neither a vector nor scalars by name.

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

    def gradients(params: tuple[PyTree, PyTree], batch: PyTree, *args: Any, key: Any = None) -> Any:
        check_parameters(params)
        trunk_params, head_params = params
        features, trunk_pullback, aux = jax.vjp(
            lambda p: split.features(p, batch, *args, key=key), trunk_params, has_aux=True
        )
        heads = pass_heads(split.keyed_heads(key), head_params, features, batch)

        def backward(feature_gradient: PyTree, weights: Any) -> tuple[PyTree, PyTree]:
            (of_trunk,) = trunk_pullback(feature_gradient)
            return of_trunk, heads.backward(jnp.asarray(weights))

        value = value_of(heads.losses, Beside(heads.named, aux), split.has_aux)
        return value, heads.rows, backward

    return gradients

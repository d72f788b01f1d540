"""What a step found, in one layout whatever the engine."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxmtl._modes import own_transfers
from jaxmtl._pytree import register_dataclass
from jaxmtl.aggregation.checks import check_info
from jaxmtl.aggregation.contract import AggregationInfo
from jaxmtl.gradients.loss import loss_names, loss_vector


@register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class StepInfo:
    """What one step found, of every engine and method.

    Attributes:
        losses: task losses before the update.
        weights: by which task gradients were weighed, (tasks,), or (groups, tasks) where groups
            have their own; None for methods whose result is no weighted sum. Of loss methods: the
            slopes of their loss in the task losses.
        aggregation: info of the aggregator; None for loss methods.
        loss: whose gradient the step went down: a loss method's own, else the sum of weights times
            losses; None where there is no such loss.
        aux: what the loss function gave beside the losses; None without ``has_aux``.
        names: of the tasks, in the order of the losses; None for losses without names. Static.

    Example:
        >>> import jax.numpy as jnp
        >>> info = StepInfo(losses=jnp.array([2.0, 1.0]), weights=jnp.array([0.5, 1.0]),
        ...     aggregation=None, loss=jnp.array(2.0), names=("demand", "price"))
        >>> [(name, value.item()) for name, value in info.scalars().items() if "price" in name]
        [('loss/price', 1.0), ('weight/price', 1.0)]
    """

    losses: Float[Array, " tasks"]
    weights: Float[Array, "*groups tasks"] | None
    aggregation: AggregationInfo | None
    loss: Float[Array, ""] | None
    aux: PyTree = None
    names: tuple[str, ...] | None = dataclasses.field(default=None, metadata={"static": True})

    @own_transfers
    def scalars(self) -> dict[str, Array]:
        """All numbers under flat names, for a logger.

        Returns:
            ``loss/TASK``, and where there are any ``weight/TASK``, ``loss``, ``conflict_rate``,
            ``converged``, ``residual``; tasks without names have numbers, groups too:
            ``weight/GROUP/TASK``. Of an info with the axes of ``scan`` or ``vmap`` in front, arrays
            of these axes. The cosines of pairs of tasks are in ``aggregation.cosines``.
        """
        lead, found = self.losses.ndim - 1, self.of_tasks("loss", self.losses)
        if self.weights is not None:
            found |= self.of_tasks("weight", self.weights)
        if self.loss is not None:
            found["loss"] = self.loss
        if self.aggregation is not None:
            for field in ("conflict_rate", "converged", "residual"):
                found |= _by_name(field, getattr(self.aggregation, field), None, lead)
        return found

    def of_tasks(self, field: str, values: Array) -> dict[str, Array]:
        """Values with the tasks last, under ``FIELD/TASK`` or ``FIELD/GROUP/TASK``."""
        names = self.names or tuple(map(str, range(self.losses.shape[-1])))
        return _by_name(field, values, names, self.losses.ndim - 1)


def _by_name(field: str, values: Array, tasks: Sequence[str] | None, lead: int) -> dict[str, Array]:
    values = jnp.asarray(values)
    groups = values.shape[lead:] if tasks is None else values.shape[lead:-1]
    names = [(*map(str, at), *task) for at in np.ndindex(groups) for task in _last(tasks)]
    flat = values.reshape(*values.shape[:lead], len(names))
    return {
        "/".join((field, *name)): value
        for name, value in zip(names, jnp.unstack(flat, axis=-1), strict=True)
    }


def _last(tasks: Sequence[str] | None) -> list[tuple[str, ...]]:
    return [()] if tasks is None else [(task,) for task in tasks]


def read_value(value: Any, has_aux: bool) -> tuple[Array, tuple[str, ...] | None, PyTree]:
    """The vector of losses, the names of the tasks and aux, from what an engine returns.

    Example:
        >>> import jax.numpy as jnp
        >>> losses, names, aux = read_value(({"a": jnp.array(1.0)}, 7), has_aux=True)
        >>> losses.tolist(), names, aux
        ([1.0], ('a',), 7)
    """
    losses, aux = value if has_aux else (value, None)
    return loss_vector(losses), loss_names(losses), aux


def value_for(info: StepInfo, present: Array | None, given: Any = None) -> Array:
    """What an optimizer is told as ``value``.

    The value given to the step; else the loss whose gradient the step goes down; else, where there
    is no such loss, the mean of the losses of the tasks present.

    Example:
        >>> import jax.numpy as jnp
        >>> info = StepInfo(losses=jnp.array([1.0, 3.0]), weights=None, aggregation=None, loss=None)
        >>> value_for(info, None).item(), value_for(info, jnp.array([True, False])).item()
        (2.0, 1.0)
    """
    if given is not None:
        return jnp.asarray(given)
    if info.loss is not None:
        return info.loss
    everyone = jnp.ones(info.losses.shape, bool) if present is None else jnp.asarray(present)
    known = jnp.where(everyone, info.losses, 0)
    return known.sum() / jnp.maximum(everyone.sum(dtype=known.dtype), 1)


def weighted_loss(
    weights: Float[Array, " tasks"], losses: Float[Array, " tasks"]
) -> Float[Array, ""]:
    """The weighted sum of the losses of the tasks that have a weight; that of an absent may be NaN.

    Example:
        >>> import jax.numpy as jnp
        >>> weighted_loss(jnp.array([2.0, 0.0]), jnp.array([1.5, jnp.nan])).item()
        3.0
    """
    return (weights * jnp.where(weights == 0, 0, losses.astype(weights.dtype))).sum()


def info_of(
    losses: Float[Array, " tasks"],
    aggregation: AggregationInfo,
    *,
    weighted: bool,
    aux: PyTree,
    names: tuple[str, ...] | None,
) -> StepInfo:
    """The info of a step by an aggregator.

    Args:
        losses: of the tasks.
        aggregation: what the aggregator found.
        weighted: whether all parameters went along the weighted sum of their task gradients.
        aux: of the loss.
        names: of the tasks.

    Returns:
        The info.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxmtl.aggregation as ag
        >>> grads = jnp.array([[1.0, 0.0], [-1.0, 1.0]])
        >>> found = ag.sum().update(grads, ())[2]
        >>> info_of(jnp.array([1.0, 2.0]), found, weighted=True, aux=None, names=None).loss.item()
        3.0
    """
    check_info(aggregation, AggregationInfo)
    weights, loss = aggregation.weights, None
    if weighted and weights is not None and weights.ndim == 1:
        loss = weighted_loss(weights, losses)
    return StepInfo(
        losses=losses, weights=weights, aggregation=aggregation, loss=loss, aux=aux, names=names
    )

"""Conflict sample by sample, and the inner product that is left without the noise of samples."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxmtl._pytree import Prefix, cloned_keys, register_dataclass
from jaxmtl.conflict.layers import ConflictMap, brief, conflict_map, unit_map
from jaxmtl.gradients.loss import LossFn, parts_of
from jaxmtl.gradients.tasks import task_gradients


@register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class SampleConflict:
    """What the samples of a batch say, each by itself, of every pair of tasks at every layer.

    Attributes:
        rate: share of the samples with both labels whose two gradients have an inner product below
            0; NaN without such a sample.
        opposite: mean over these of the share of entries of opposite sign.
        products: inner product of the expected gradients, estimated without bias: between different
            samples only. On the diagonal the squared norm of the signal, below 0 where there is
            none to be seen; NaN with fewer than two samples.
        both: samples with both labels; on the diagonal those with the label.
        layers: their names. Static.
        names: of the tasks. Static.

    Example:
        >>> import jax.numpy as jnp
        >>> loss_fn = lambda w, x: jnp.stack([(w * x).mean(), (-w * x).mean()])
        >>> sample_conflict(loss_fn, None)(jnp.array([1.0]), jnp.ones(3)).rate.tolist()
        [[[0.0, 1.0], [1.0, 0.0]]]
    """

    rate: Float[Array, "*lead layers tasks tasks"]
    opposite: Float[Array, "*lead layers tasks tasks"]
    products: Float[Array, "*lead layers tasks tasks"]
    both: Int[Array, "*lead tasks tasks"]
    layers: tuple[str, ...] = dataclasses.field(metadata={"static": True})
    names: tuple[str, ...] | None = dataclasses.field(default=None, metadata={"static": True})

    def __repr__(self) -> str:
        """How many layers and tasks, and the pair that is in conflict in most samples."""
        return brief(self, "share of samples in conflict", self.rate, lambda: self.rate)


def sample_conflict(
    loss_fn: LossFn,
    prefix: Prefix = 1,
    *,
    axes: Mapping[str, int] | None = None,
    names: Sequence[str] | None = None,
    has_aux: bool = False,
) -> Callable[..., SampleConflict]:
    """Signs and inner products of every sample's task gradients, one sample after the other.

    What two tasks' gradients of the same sample have in common is mostly the noise of their labels:
    E<g_s, g_t> = <G_s, G_t> + tr Cov(g_s, g_t). ``products`` leaves the second part out:
    (<sum_i g_si, sum_j g_tj> - sum_i <g_si, g_ti>) / (n_s n_t - n_st), where n are numbers of
    samples with the labels. Task gradients are in memory for one sample at a time, or once for the
    whole batch.

    Args:
        loss_fn: as for ``task_gradients``; called with batches of one sample, so that layers which
            mix samples (batch normalisation in training) say nothing here. A label that is missing
            must have a finite slope, as with ``mean_over_known``.
        prefix: what a layer is, see ``conflict_map``. Static.
        axes: instead, the leaves of a layer, unit by unit, see ``unit_map``. Static.
        names: of the tasks. Static.
        has_aux: whether the loss gives a pair (losses, aux), of which aux is dropped. Static.

    Returns:
        A function of (params, batch) and whatever else the loss takes, and ``known``, (samples,
        tasks), traced: the labels that there are; None for all.

    Raises:
        ValueError: see ``task_gradients``, ``conflict_map`` and ``unit_map``.

    Example:
        >>> import jax.numpy as jnp
        >>> def loss_fn(params, batch):
        ...     return ((params["w"] * batch[0] - batch[1]) ** 2).mean(axis=0)
        >>> x, y = jnp.ones((4, 1)), jnp.array([[1.0, -1.0]] * 3 + [[1.0, 1.0]])
        >>> found = sample_conflict(loss_fn)({"w": jnp.zeros(())}, (x, y))
        >>> found.rate[0, 0, 1].item(), found.products[0, 0, 1].item()
        (0.75, -2.0)

        In a loop of one's own, every second update, as it costs a backward pass a task and sample:

        >>> import optax
        >>> from jaxmtl import aggregation as ag
        >>> init, step = ag.aggregated_step(loss_fn, ag.upgrad(), optax.sgd(0.1))
        >>> params, batch, looked = {"w": jnp.zeros(())}, (x, y), []
        >>> state, step = init(params, batch), jax.jit(step)
        >>> look = jax.jit(sample_conflict(loss_fn))
        >>> for number in range(4):
        ...     if number % 2 == 0:
        ...         looked.append(look(params, batch).rate[0, 0, 1].item())
        ...     params, state, info = step(params, state, batch)
        >>> looked
        [0.75, 0.75]

    References:
        The estimator is the U-statistic of the inner product of two means.
    """
    parts = parts_of(loss_fn, has_aux)

    def compare(grads: PyTree) -> ConflictMap:
        if axes is not None:
            return unit_map(grads, axes, names=names)
        return conflict_map(grads, prefix, names=names)

    def measure(
        params: PyTree,
        batch: PyTree,
        *args: Any,
        known: Bool[Array, "samples tasks"] | None = None,
        **kwargs: Any,
    ) -> SampleConflict:
        def losses(params: PyTree, sample: PyTree, mask: Array | None) -> Array:
            one = jax.tree.map(lambda leaf: leaf[None], sample)
            found, _ = parts(params, one, *args, **cloned_keys(kwargs))  # drawn the same for all
            return found if mask is None else jnp.where(mask, found, 0)

        def summed(params: PyTree, batch: PyTree) -> Array:
            each = jax.vmap(lambda sample, mask: losses(params, sample, mask), (0, mask_axis))
            return each(batch, known).sum(axis=0)

        mask_axis = None if known is None else 0
        of_all = compare(task_gradients(summed)(params, batch)[1])

        def add(total: Any, given: Any) -> tuple[Any, None]:
            sample, mask = given
            grads = task_gradients(lambda p, s: losses(p, s, mask))(params, sample)[1]
            found = compare(grads)
            told = jnp.ones((tasks, tasks), bool) if mask is None else mask[:, None] & mask[None]
            told = jnp.broadcast_to(told, found.cosines.shape)
            new = (
                (found.products < 0) & told,
                jnp.where(told & jnp.isfinite(found.opposite), found.opposite, 0),
                _products(found),
            )
            return jax.tree.map(lambda a, b: a + b.astype(a.dtype), total, new), None

        samples = jax.tree.leaves(batch)[0].shape[0]
        tasks = of_all.norms.shape[-1]
        zero = jnp.zeros_like(of_all.cosines)
        # No number is and is not itself: zeros that wait for the gradients of the whole batch,
        # which are gone by the time that those of single samples come.
        whole = of_all.cosines
        start = (((whole == whole) & (whole != whole)).astype(jnp.int32), zero, zero)
        (below, opposite, own), _ = jax.lax.scan(add, start, (batch, known))
        if known is None:
            both = jnp.full((tasks, tasks), samples, jnp.int32)
        else:
            both = (known[:, :, None] & known[:, None]).sum(axis=0, dtype=jnp.int32)
        number = jnp.diagonal(both)
        pairs = number[:, None] * number[None] - both
        return SampleConflict(
            rate=_over(below, both, zero.dtype),
            opposite=_over(opposite, both, zero.dtype),
            products=_over(_products(of_all) - own, pairs, zero.dtype),
            both=both,
            layers=of_all.layers,
            names=of_all.names,
        )

    return measure


def _products(found: ConflictMap) -> Array:
    """Inner products, with 0 for a gradient that is exactly 0, though such a pair has no cosine."""
    zero = found.norms == 0
    return jnp.where(zero[..., :, None] | zero[..., None, :], 0, found.products)


def _over(total: Array, number: Array, dtype: Any) -> Array:
    number = jnp.broadcast_to(number, total.shape).astype(dtype)
    return jnp.where(number > 0, total.astype(dtype) / jnp.maximum(number, 1), jnp.nan)

"""The gradient of every sample, summed over tasks or a task each."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxmtl.gradients.loss import LossFn, gives_aux, parts_of
from jaxmtl.gradients.tasks import check_chunk, check_parameters, map_chunks


def sample_gradients(
    loss_fn: LossFn, *, chunk: int | None = None, has_aux: bool = False
) -> Callable[..., PyTree]:
    """Gradient of the sum of all losses on every sample: the per-sample Jacobian.

    Args:
        loss_fn: ``loss_fn(params, batch)`` gives the losses, as for ``task_gradients``; it is
            called with batches of one sample, and with all of whatever else it takes.
        chunk: samples that run side by side, static; None for all. Same numbers, less memory.
        has_aux: whether the loss gives a pair (losses, aux). Static.

    Returns:
        A function of (params, batch) and whatever else the loss takes that returns a pytree like
        params with leaves (batch, *shape of the parameter); with ``has_aux`` the pair of that and
        of every sample's aux, leaves (batch, ...).

    Raises:
        ValueError: the loss is neither a vector nor scalars by name, a chunk below 1, or the leaves
            of the batch differ in length.

    Example:
        >>> import jax.numpy as jnp
        >>> loss_fn = lambda w, x: jnp.stack([(w * x).mean(), (w**2 * x).mean()])
        >>> sample_gradients(loss_fn)(jnp.array(3.0), jnp.array([1.0, 2.0])).tolist()
        [7.0, 14.0]
        >>> shifted = lambda w, x, shift: (jnp.stack([(w * (x + shift)).mean()]), {"seen": x[0]})
        >>> grads, aux = sample_gradients(shifted, has_aux=True)(
        ...     jnp.array(3.0), jnp.array([1.0, 2.0]), 0.5)
        >>> grads.tolist(), aux["seen"].tolist()
        ([1.5, 2.5], [1.0, 2.0])
    """
    check_chunk(chunk)
    has_aux = gives_aux(loss_fn, has_aux)
    parts = parts_of(loss_fn, has_aux)

    def gradients(params: PyTree, batch: PyTree, *args: Any, **kwargs: Any) -> PyTree:
        check_parameters(params)
        _check_samples(batch)

        def of_sample(sample: PyTree) -> PyTree:
            one = jax.tree.map(lambda leaf: leaf[None], sample)

            def summed(p: PyTree) -> Any:
                losses, beside = parts(p, one, *args, **kwargs)
                return losses.sum(), beside.aux

            grads, aux = jax.grad(summed, has_aux=True)(params)
            return (grads, aux) if has_aux else grads

        return map_chunks(of_sample, batch, chunk)

    return gradients


def sample_task_gradients(
    loss_fn: LossFn, *, chunk: int | None = None, has_aux: bool = False
) -> Callable[..., PyTree]:
    """Gradient of every task's loss on every sample, literally.

    ``jax.grad`` of the t-th loss of a batch of one sample, vmapped over tasks and samples. It costs
    batch * tasks times the memory of the parameters and is the definition that the shortcuts are
    tested against; ``node_deltas`` gets the conflict of a dense layer without it.

    Args:
        loss_fn: as for ``sample_gradients``.
        chunk: samples that run side by side, static; None for all. Same numbers, less memory.
        has_aux: whether the loss gives a pair (losses, aux). Static.

    Returns:
        A function of (params, batch) and whatever else the loss takes that returns a pytree like
        params with leaves (batch, tasks, *shape of the parameter); with ``has_aux`` the pair of
        that and of every sample's aux, leaves (batch, ...).

    Raises:
        ValueError: the loss is neither a vector nor scalars by name, a chunk below 1, or the leaves
            of the batch differ in length.

    Example:
        >>> import jax.numpy as jnp
        >>> loss_fn = lambda w, x: jnp.stack([(w * x).mean(), (w**2 * x).mean()])
        >>> sample_task_gradients(loss_fn)(jnp.array(3.0), jnp.array([1.0, 2.0])).tolist()
        [[1.0, 6.0], [2.0, 12.0]]
    """
    check_chunk(chunk)
    has_aux = gives_aux(loss_fn, has_aux)
    parts = parts_of(loss_fn, has_aux)

    def gradients(params: PyTree, batch: PyTree, *args: Any, **kwargs: Any) -> PyTree:
        check_parameters(params)
        _check_samples(batch)

        def of_sample(sample: PyTree) -> PyTree:
            one = jax.tree.map(lambda leaf: leaf[None], sample)
            shapes, _ = jax.eval_shape(lambda p: parts(p, one, *args, **kwargs), params)

            def of_task(task: Any) -> PyTree:
                def chosen(p: PyTree) -> Any:
                    losses, beside = parts(p, one, *args, **kwargs)
                    return losses[task], beside.aux

                return jax.grad(chosen, has_aux=True)(params)

            tasks = jnp.arange(shapes.shape[0])
            grads, aux = jax.vmap(of_task, out_axes=(0, None))(tasks)
            return (grads, aux) if has_aux else grads

        return map_chunks(of_sample, batch, chunk)

    return gradients


def _check_samples(batch: PyTree) -> None:
    lengths = {leaf.shape[0] for leaf in jax.tree.leaves(batch)}
    if len(lengths) != 1:
        raise ValueError(
            "batch: expected leaves with one common leading sample axis, "
            f"got lengths {sorted(lengths)}"
        )

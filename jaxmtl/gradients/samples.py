"""The gradient of every sample, summed over tasks or a task each."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxmtl.gradients.tasks import LossFn, check_chunk, check_parameters, loss_vector, map_chunks


def sample_gradients(
    loss_fn: LossFn, *, chunk: int | None = None
) -> Callable[[PyTree, PyTree], PyTree]:
    """Gradient of the sum of all losses on every sample: the per-sample Jacobian.

    Args:
        loss_fn: ``loss_fn(params, batch)`` gives the vector of task losses; it is called with
            batches of one sample.
        chunk: samples that run side by side, static; None for all. Same numbers, less memory.

    Returns:
        A function of (params, batch) that returns a pytree like params with leaves
        (batch, *shape of the parameter).

    Raises:
        ValueError: the loss is not a vector, a chunk below 1, or the leaves of the batch differ in
            length.

    Example:
        >>> import jax.numpy as jnp
        >>> loss_fn = lambda w, x: jnp.stack([(w * x).mean(), (w**2 * x).mean()])
        >>> sample_gradients(loss_fn)(jnp.array(3.0), jnp.array([1.0, 2.0])).tolist()
        [7.0, 14.0]
    """
    check_chunk(chunk)

    def gradients(params: PyTree, batch: PyTree) -> PyTree:
        check_parameters(params)
        _check_samples(batch)

        def of_sample(sample: PyTree) -> PyTree:
            one = jax.tree.map(lambda leaf: leaf[None], sample)
            return jax.grad(lambda p: loss_vector(loss_fn(p, one)).sum())(params)

        return map_chunks(of_sample, batch, chunk)

    return gradients


def sample_task_gradients(
    loss_fn: LossFn, *, chunk: int | None = None
) -> Callable[[PyTree, PyTree], PyTree]:
    """Gradient of every task's loss on every sample, literally.

    ``jax.grad`` of the t-th loss of a batch of one sample, vmapped over tasks and samples. It costs
    batch * tasks times the memory of the parameters and is the definition that the shortcuts are
    tested against; ``node_deltas`` gets the conflict of a dense layer without it.

    Args:
        loss_fn: ``loss_fn(params, batch)`` gives the vector of task losses.
        chunk: samples that run side by side, static; None for all. Same numbers, less memory.

    Returns:
        A function of (params, batch) that returns a pytree like params with leaves
        (batch, tasks, *shape of the parameter).

    Raises:
        ValueError: the loss is not a vector, a chunk below 1, or the leaves of the batch differ in
            length.

    Example:
        >>> import jax.numpy as jnp
        >>> loss_fn = lambda w, x: jnp.stack([(w * x).mean(), (w**2 * x).mean()])
        >>> sample_task_gradients(loss_fn)(jnp.array(3.0), jnp.array([1.0, 2.0])).tolist()
        [[1.0, 6.0], [2.0, 12.0]]
    """
    check_chunk(chunk)

    def gradients(params: PyTree, batch: PyTree) -> PyTree:
        check_parameters(params)
        _check_samples(batch)

        def of_sample(sample: PyTree) -> PyTree:
            one = jax.tree.map(lambda leaf: leaf[None], sample)
            num_tasks = jax.eval_shape(lambda p: loss_vector(loss_fn(p, one)), params).shape[0]

            def of_task(task: Any) -> PyTree:
                return jax.grad(lambda p: loss_fn(p, one)[task])(params)

            return jax.vmap(of_task)(jnp.arange(num_tasks))

        return map_chunks(of_sample, batch, chunk)

    return gradients


def _check_samples(batch: PyTree) -> None:
    lengths = {leaf.shape[0] for leaf in jax.tree.leaves(batch)}
    if len(lengths) != 1:
        raise ValueError(
            "batch: expected leaves with one common leading sample axis, "
            f"got lengths {sorted(lengths)}"
        )

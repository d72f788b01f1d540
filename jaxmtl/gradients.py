"""Per-task gradients of any ``loss_fn(params, batch) -> (tasks,)``, per batch and per sample.

The functions know no model library: parameters are a pytree, a batch is a pytree whose leaves have
the sample axis first, and the loss is a vector with one entry a task.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

LossFn = Callable[[PyTree, PyTree], Float[Array, " tasks"]]


def task_gradients(
    loss_fn: LossFn,
) -> Callable[[PyTree, PyTree], tuple[Float[Array, " tasks"], PyTree]]:
    """Gradient of every task's loss: one forward pass, one backward pass a task.

    Args:
        loss_fn: ``loss_fn(params, batch)`` gives the vector of task losses.

    Returns:
        A function of (params, batch) that returns the losses (tasks,) and a pytree like params
        whose leaves have a leading task axis: leaf t is the gradient of the t-th loss.

    Raises:
        ValueError: the loss is not a vector.

    Example:
        >>> import jax.numpy as jnp
        >>> loss_fn = lambda w, x: jnp.stack([w[0] * x, w[1] ** 2])
        >>> losses, grads = task_gradients(loss_fn)(jnp.array([2.0, 3.0]), 5.0)
        >>> losses.tolist(), grads.tolist()
        ([10.0, 9.0], [[5.0, 0.0], [0.0, 6.0]])
    """

    def gradients(params: PyTree, batch: PyTree) -> tuple[Float[Array, " tasks"], PyTree]:
        losses, pullback = jax.vjp(lambda p: _vector(loss_fn(p, batch)), params)
        basis = jnp.eye(losses.shape[0], dtype=losses.dtype)
        return losses, jax.vmap(lambda row: pullback(row)[0])(basis)

    return gradients


def sample_task_gradients(loss_fn: LossFn) -> Callable[[PyTree, PyTree], PyTree]:
    """Gradient of every task's loss on every sample, literally.

    ``jax.grad`` of the t-th loss of a batch of one sample, vmapped over tasks and samples. It costs
    batch * tasks times the memory of the parameters and is the definition that the shortcuts are
    tested against; ``node_deltas`` gets the conflict of a dense layer without it.

    Args:
        loss_fn: ``loss_fn(params, batch)`` gives the vector of task losses.

    Returns:
        A function of (params, batch) that returns a pytree like params with leaves
        (batch, tasks, *shape of the parameter).

    Raises:
        ValueError: the loss is not a vector, or the leaves of the batch differ in length.

    Example:
        >>> import jax.numpy as jnp
        >>> loss_fn = lambda w, x: jnp.stack([(w * x).mean(), (w**2 * x).mean()])
        >>> sample_task_gradients(loss_fn)(jnp.array(3.0), jnp.array([1.0, 2.0])).tolist()
        [[1.0, 6.0], [2.0, 12.0]]
    """

    def gradients(params: PyTree, batch: PyTree) -> PyTree:
        lengths = {leaf.shape[0] for leaf in jax.tree.leaves(batch)}
        if len(lengths) != 1:
            raise ValueError(
                "batch: expected leaves with one common leading sample axis, "
                f"got lengths {sorted(lengths)}"
            )

        def of_sample(sample: PyTree) -> PyTree:
            one = jax.tree.map(lambda leaf: leaf[None], sample)
            num_tasks = jax.eval_shape(lambda p: _vector(loss_fn(p, one)), params).shape[0]

            def of_task(task: Any) -> PyTree:
                return jax.grad(lambda p: loss_fn(p, one)[task])(params)

            return jax.vmap(of_task)(jnp.arange(num_tasks))

        return jax.vmap(of_sample)(batch)

    return gradients


def node_deltas(
    head_losses: Callable[[Float[Array, "batch nodes"]], Float[Array, "batch tasks"]],
) -> Callable[
    [Float[Array, "batch nodes"]],
    tuple[Float[Array, "batch tasks"], Float[Array, "batch tasks nodes"]],
]:
    """Gradient of every task's loss at the pre-activation of a layer, for every sample at once.

    Samples do not mix above the layer, so one backward pass a task through the heads alone gives
    the deltas of the whole batch, and no parameter gradient is formed. With the layer's inputs a,
    the gradient of its kernel on sample n is a_n delta_n (an outer product); see
    ``weight_conflict``.

    Args:
        head_losses: the part of the model above the layer: from pre-activations (batch, nodes) to
            losses (batch, tasks), one a sample and task. It must not mix samples (no BatchNorm).

    Returns:
        A function of the pre-activations that returns the losses (batch, tasks) and the deltas
        (batch, tasks, nodes).

    Example:
        >>> import jax.numpy as jnp
        >>> head_losses = lambda z: jnp.stack([z[:, 0] ** 2, z[:, 0] * z[:, 1]], axis=1)
        >>> losses, deltas = node_deltas(head_losses)(jnp.array([[1.0, 3.0]]))
        >>> deltas.tolist()
        [[[2.0, 0.0], [3.0, 1.0]]]
    """

    def deltas(
        z: Float[Array, "batch nodes"],
    ) -> tuple[Float[Array, "batch tasks"], Float[Array, "batch tasks nodes"]]:
        losses, pullback = jax.vjp(head_losses, z)
        if losses.ndim != 2 or losses.shape[0] != z.shape[0]:
            raise ValueError(
                f"head_losses: expected losses of shape (batch, tasks) = ({z.shape[0]}, tasks), "
                f"got {losses.shape}"
            )
        basis = jnp.eye(losses.shape[1], dtype=losses.dtype)
        rows = jax.vmap(lambda row: pullback(jnp.broadcast_to(row, losses.shape))[0])(basis)
        return losses, jnp.moveaxis(rows, 0, 1)

    return deltas


def _vector(losses: Array) -> Float[Array, " tasks"]:
    if jnp.ndim(losses) != 1:
        raise ValueError(
            f"loss_fn: expected a vector with one loss a task, got shape {jnp.shape(losses)}"
        )
    return losses

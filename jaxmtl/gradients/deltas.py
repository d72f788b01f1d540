"""Gradients at the pre-activation of a layer, by which those of its weights are products."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


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

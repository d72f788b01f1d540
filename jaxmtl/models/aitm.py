"""AITM: each task passes on what it knows to the next, as much as the next attends to."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.linen.dtypes import promote_dtype
from jaxtyping import Array, Float

from jaxmtl._validate import check_positive
from jaxmtl.models._parts import TaskNetwork, Towers, Trunk, softmax_gates, tower_sizes
from jaxmtl.models.initializers import Init, dense_initializers
from jaxmtl.models.layers import Activation, activation_fn, stacked
from jaxmtl.models.sharing import Mark, Names, along_first


class AITM(TaskNetwork):
    """Adaptive information transfer: a chain of tasks, each with a tower on the shared trunk.

    ``q_t = tower_t(trunk(x))``. The first task reads ``z_1 = q_1``. Every later one reads two
    messages, ``p = act(W_{t-1} z_{t-1} + b_{t-1})`` from the task before and its own ``q_t``:

    ``z_t = sum_u w_u V u`` over u in {p, q_t}, where w is the softmax of ``<Q u, K u> / sqrt(d)``.

    The outputs are ``y_t = output_t(z_t)``. The order of the tasks is that of ``outputs``: the one
    that comes first in the chain (impression, click, purchase) first.

    Attributes:
        towers: sizes of the layers of every tower, at least one, the same for all tasks; the last
            one is d.
        calibration: strength of a penalty ``mean over samples of sum_t max(y_t - y_{t-1}, 0)`` for
            tasks of one output each of which a later one can only happen after an earlier one; 0
            for none. It is sown, and so added to the loss that ``jaxmtl.fit`` trains on.
        trunk: below the towers; empty for none. This and all others: see ``SharedBottom``.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> model = AITM(trunk=(16,), towers=(8,), outputs=(1, 1, 2))
        >>> variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 5)))
        >>> x = jnp.ones((7, 5))
        >>> model.apply(variables, x).shape
        (7, 4)
        >>> model.apply(variables, x, method="attention").shape  # (batch, tasks - 1, p or q)
        (7, 2, 2)

    References:
        Xi, Chen, Yan, Zhang, Zhu, Zhuang, Chen (2021), Modeling the Sequential Dependence among
        Audience Multi-step Conversions with Multi-task Learning in Targeted Display Advertising,
        KDD. Q, K and V are shared by all tasks and have no bias. Departures: any
        output width and activation; no dropout.
    """

    trunk: Trunk = (32,)
    towers: Towers = (16,)
    calibration: float = 0.0

    def __post_init__(self) -> None:
        """Checks and freezes the fields."""
        super().__post_init__()
        if not tower_sizes(self.towers)[0]:
            raise ValueError(
                "towers: expected one or more sizes, the same for all tasks, as what one task "
                f"passes on has the shape of the next one's own, got {self.towers!r}"
            )
        check_positive("calibration", self.calibration, zero=True)
        if self.calibration and set(self.outputs) != {1}:
            raise ValueError(
                "calibration: expected 0 unless every task has one output, "
                f"got {self.calibration} with outputs {self.outputs}"
            )

    @property
    def has_penalties(self) -> bool:
        """Whether training has to add what is sown."""
        return self.calibration > 0

    def is_shared(self, names: Names) -> Mark:
        """What a task passes on is; the last tower and message and the heads are of one task."""
        tasks = self.num_tasks
        if names[-1] == "attention":
            return tasks > 2
        if names[0] == "chain":
            return along_first(np.arange(tasks - 1) < tasks - 2, names)
        if names[0] == "tower_stack":
            return along_first(np.arange(tasks) < tasks - 1, names)
        return names[0] != "heads"

    def setup(self) -> None:
        """Declares the layers."""
        super().setup()
        self.tower_stack = self.make_stack(tower_sizes(self.towers)[0], self.num_tasks)
        self.chain = _Chain(self.activation, **self.layer_options)
        self.heads = self.make_heads(())

    def __call__(self, x: Float[Array, "batch ..."]) -> Float[Array, "batch outputs"]:
        """Predictions of all tasks side by side, (batch, sum of outputs)."""
        z, _ = self.chain(self.tower_stack(self.shared(x)))
        y = self.heads(z)
        # At init, what is sown would stand among the variables, where only parameters belong.
        if self.calibration and not self.is_initializing():
            excess = jax.nn.relu(y[:, 1:] - y[:, :-1]).astype(jnp.float32)
            self.sow("penalties", "calibration", self.calibration * excess.sum(axis=1).mean())
        return y

    def attention(self, x: Float[Array, "batch ..."]) -> Float[Array, "batch transfers 2"]:
        """Weights of every task but the first: of the message it gets, and of its own tower."""
        return self.chain(self.tower_stack(self.shared(x)))[1]


class _Chain(nn.Module):
    activation: Activation
    initializer: str | Init
    dtype: Any
    param_dtype: Any

    @nn.compact
    def __call__(
        self, q: Float[Array, "batch tasks width"]
    ) -> tuple[Float[Array, "batch tasks width"], Float[Array, "batch transfers 2"]]:
        """What each task's output reads, and the attention that made it."""
        tasks, width = q.shape[1:]
        if tasks == 1:
            return q, jnp.zeros((q.shape[0], 0, 2), q.dtype)
        kernel_init, bias_init = (stacked(i) for i in dense_initializers(self.initializer, width))
        square = (width, width)
        kernel = self.param("message_kernel", kernel_init, (tasks - 1, *square), self.param_dtype)
        bias = self.param("message_bias", bias_init, (tasks - 1, width), self.param_dtype)
        attention = self.param("attention", kernel_init, (3, *square), self.param_dtype)
        q, kernel, bias, attention = promote_dtype(q, kernel, bias, attention, dtype=self.dtype)
        activation = activation_fn(self.activation)

        z, weights = [q[:, 0]], []
        # A loop in Python, as every step waits for the one before; lax.scan would compile its body
        # anew at every call outside jit.
        for t in range(1, tasks):
            message = activation(z[-1] @ kernel[t - 1] + bias[None, t - 1])
            u = jnp.stack([message, q[:, t]], axis=1)
            query, key, value = jnp.einsum("bud,ndf->nbuf", u, attention)
            weights.append(softmax_gates((query * key).sum(axis=-1) / width**0.5))
            z.append(jnp.einsum("bu,buf->bf", weights[-1], value))
        return jnp.stack(z, axis=1), jnp.stack(weights, axis=1)

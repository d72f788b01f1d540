"""Soft parameter sharing: one network a task, tied by a penalty."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, PyTree

from jaxmtl._validate import check_choice, check_positive
from jaxmtl.constraints.soft_sharing import TIES, Tie, tie_penalty
from jaxmtl.models.initializers import Init
from jaxmtl.models.layers import Activation, Dense, activation_fn
from jaxmtl.models.sharing import mark_shared


class SoftSharing(nn.Module):
    """One network a task; a penalty keeps corresponding hidden layers alike.

    Between independent networks (strength 0) and one shared trunk (strength towards infinity). The
    penalty of a hidden layer, kernels and biases, is the squared distance of every pair of tasks
    (``"l2"``) or the sum of the singular values of the tasks' layers, one row a task
    (``"trace_norm"``); see ``jaxmtl.constraints.sharing_penalty``, which takes any list of
    parameters. Output layers are not tied. Each is sown in ``"penalties"``, which training adds to
    the summed task losses.

    Attributes:
        hidden: sizes of the hidden layers of every network, at least one.
        outputs: output width of each task.
        tie: ``"l2"`` or ``"trace_norm"``.
        strength: one for all hidden layers, or one each; at least 0.
        activation: of the hidden layers.
        output_activation: of the outputs; None for linear.
        initializer: see ``dense_initializers``; every task draws its own values.
        dtype: of the computation; None: promoted from inputs and parameters.
        param_dtype: of the parameters.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> model = SoftSharing(hidden=(8, 4), outputs=(1, 2), strength=(0.1, 0.01))
        >>> variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 3)))
        >>> variables["params"]["hidden_0"]["kernel"].shape  # tasks, inputs, nodes
        (2, 3, 8)
        >>> y, sown = model.apply(variables, jnp.ones((5, 3)), mutable=["penalties"])
        >>> y.shape, sorted(sown["penalties"])
        ((5, 3), ['tie_0', 'tie_1'])

    References:
        Duong, Cohn, Bird, Cook (2015), Low Resource Dependency Parsing (L2); Yang, Hospedales
        (2017), Trace Norm Regularised Deep Multi-Task Learning.
    """

    hidden: Sequence[int] = (4, 3)
    outputs: Sequence[int] = (1, 1)
    tie: Tie = "l2"
    strength: float | Sequence[float] = 1e-2
    activation: Activation = "sigmoid"
    output_activation: Activation = "sigmoid"
    initializer: str | Init = "torch_linear"
    dtype: Any = None
    param_dtype: Any = jnp.float32

    has_penalties = True

    def __post_init__(self) -> None:
        """Makes the sizes and strengths tuples, so that a model is hashable."""
        check_choice("tie", self.tie, TIES)
        for name, least in (("hidden", 1), ("outputs", 2)):
            sizes = tuple(int(size) for size in getattr(self, name))
            if len(sizes) < least or any(size < 1 for size in sizes):
                raise ValueError(f"{name}: expected {least} sizes >= 1 at least, got {sizes}")
            object.__setattr__(self, name, sizes)
        if isinstance(self.strength, Sequence):
            object.__setattr__(self, "strength", tuple(self.strength))
        for value in self.strengths:
            check_positive("strength", value, zero=True)
        if len(self.strengths) != len(self.hidden):
            raise ValueError(
                f"strength: expected a number or one for each of {len(self.hidden)} hidden layers, "
                f"got {self.strength!r}"
            )
        super().__post_init__()

    @property
    def num_tasks(self) -> int:
        """Number of tasks."""
        return len(self.outputs)

    @property
    def strengths(self) -> tuple[float, ...]:
        """Strength of each hidden layer."""
        if isinstance(self.strength, Sequence):
            return tuple(self.strength)
        return (self.strength,) * len(self.hidden)

    def shared_parameters(self, params: PyTree, head_index: Any = None) -> PyTree:
        """None: the networks are tied by the penalty alone."""
        del head_index
        return mark_shared(params, self.num_tasks, lambda names: False)

    @nn.compact
    def __call__(self, x: Float[Array, "batch features"]) -> Float[Array, "batch outputs"]:
        """Predictions of all tasks side by side, (batch, sum of outputs)."""
        options = {
            "initializer": self.initializer,
            "dtype": self.dtype,
            "param_dtype": self.param_dtype,
        }
        h = jnp.broadcast_to(x[:, None], (x.shape[0], self.num_tasks, x.shape[-1]))
        for i, (size, strength) in enumerate(zip(self.hidden, self.strengths, strict=True)):
            layer = Dense(size, self.num_tasks, name=f"hidden_{i}", **options)
            h = activation_fn(self.activation)(layer(h))
            # Sown at initialisation, it would end up among the variables; 0 would cost an SVD.
            if strength and not self.is_initializing():
                params = layer.variables["params"]
                kernel = params["kernel"].reshape(self.num_tasks, -1)
                rows = jnp.concatenate([kernel, params["bias"]], axis=-1)
                rows = rows.astype(jnp.promote_types(rows.dtype, jnp.float32))
                self.sow("penalties", f"tie_{i}", strength * tie_penalty(rows, self.tie))
        if len(set(self.outputs)) == 1:
            y = Dense(self.outputs[0], self.num_tasks, name="output", **options)(h)
            y = y.reshape(x.shape[0], sum(self.outputs))
        else:
            y = jnp.concatenate(
                [
                    Dense(width, 1, name=f"output_{t}", **options)(h[:, t : t + 1])[:, 0]
                    for t, width in enumerate(self.outputs)
                ],
                axis=-1,
            )
        return activation_fn(self.output_activation)(y)

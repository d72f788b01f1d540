"""Mixtures of experts that all tasks share: one gate (OMoE) or a gate a task (MMoE)."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmtl._validate import check_positive
from jaxmtl.models._parts import (
    Dense,
    Sizes,
    TaskNetwork,
    frozen_sizes,
    mix,
    softmax_gates,
)
from jaxmtl.models.sharing import Mark, Names


class Mixture(TaskNetwork):
    """Experts on the features of the trunk, mixed for each task."""

    num_experts: int = 4
    experts: Sizes = (16,)

    def __post_init__(self) -> None:
        """Checks and freezes the sizes."""
        check_positive("num_experts", self.num_experts)
        self.freeze("experts", frozen_sizes("experts", self.experts, empty=False))
        super().__post_init__()

    def is_shared(self, names: Names) -> Mark:
        """Trunk and experts are; every task has heads and a gate of its own."""
        return names[0] not in ("heads", "gate")

    def setup(self) -> None:
        """Declares the layers."""
        super().setup()
        self.expert_stack = self.make_stack(self.experts, self.num_experts, name="expert_stack")
        self.heads = self.make_heads(self.towers)

    def predict(
        self, x: Float[Array, "batch features"], gates: Float[Array, "batch tasks experts"]
    ) -> Float[Array, "batch outputs"]:
        """Predictions from the features of the trunk and the gates on them."""
        experts = self.expert_stack(x)
        return self.heads(mix(gates.astype(experts.dtype), experts))


class MMoE(Mixture):
    """Multi-gate mixture of experts: every task weighs the same experts by a gate of its own.

    ``h_t = sum_e softmax(G_t x)_e f_e(x)``, ``y_t = output_t(tower_t(h_t))``, where x are the
    inputs, or the features of the trunk if there is one.

    The experts are one stack of arrays: ``params["expert_stack"]["layer_0"]["kernel"]`` is
    (experts, inputs, size), and that of the gates (tasks, inputs, experts).

    Attributes:
        num_experts: number of experts.
        experts: sizes of the dense layers of every expert, an activation after each.
        trunk: below gates and experts; empty for none. This and all others: see ``SharedBottom``.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> model = MMoE(num_experts=3, experts=(8,), towers=(4,), outputs=(1, 2))
        >>> variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 5)))
        >>> x = jnp.ones((7, 5))
        >>> model.apply(variables, x).shape
        (7, 3)
        >>> gates = model.apply(variables, x, method="gates")  # (batch, tasks, experts)
        >>> gates.shape, round(float(gates[0, 0].sum()), 5)
        ((7, 2, 3), 1.0)

    References:
        Ma, Zhao, Yi, Chen, Hong, Chi (2018), Modeling Task Relationships in Multi-task Learning
        with Multi-gate Mixture-of-Experts, KDD. Gates have no bias, as there. We
        depart in that gates read the features of the trunk where there is one, as the raw inputs
        of an image would make gates that are larger than the network.
    """

    def setup(self) -> None:
        """Declares the layers."""
        super().setup()
        self.gate = Dense(
            self.num_experts, self.num_tasks, use_bias=False, name="gate", **self.layer_options
        )

    def __call__(self, x: Float[Array, "batch ..."]) -> Float[Array, "batch outputs"]:
        """Predictions of all tasks side by side, (batch, sum of outputs)."""
        x = self.shared(x)
        return self.predict(x, softmax_gates(self.gate(x)))

    def gates(self, x: Float[Array, "batch ..."]) -> Float[Array, "batch tasks experts"]:
        """Weight that each task gives each expert; they add up to 1 over the experts."""
        return softmax_gates(self.gate(self.shared(x)))


class OMoE(Mixture):
    """One-gate mixture of experts: all tasks read the same mixture, each with its own tower.

    ``h = sum_e softmax(G x)_e f_e(x)``, ``y_t = output_t(tower_t(h))``: the baseline of MMoE.

    Attributes:
        num_experts: number of experts.
        experts: sizes of the dense layers of every expert, an activation after each.
        trunk: below gate and experts; empty for none. This and all others: see ``SharedBottom``.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> model = OMoE(num_experts=3, experts=(8,), outputs=(1, 1, 1))
        >>> variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 5)))
        >>> gates = model.apply(variables, jnp.ones((7, 5)), method="gates")
        >>> gates.shape, bool((gates[:, 0] == gates[:, 2]).all())
        ((7, 3, 3), True)

    References:
        Ma et al. (2018), as ``MMoE``; Jacobs, Jordan, Nowlan, Hinton (1991), Adaptive
        Mixtures of Local Experts, Neural Computation 3(1).
    """

    def is_shared(self, names: Names) -> Mark:
        """All but the heads: there is one gate."""
        return names[0] != "heads"

    def setup(self) -> None:
        """Declares the layers."""
        super().setup()
        self.gate = Dense(self.num_experts, use_bias=False, name="gate", **self.layer_options)

    def __call__(self, x: Float[Array, "batch ..."]) -> Float[Array, "batch outputs"]:
        """Predictions of all tasks side by side, (batch, sum of outputs)."""
        x = self.shared(x)
        experts = self.expert_stack(x)
        gates = softmax_gates(self.gate(x))[:, None].astype(experts.dtype)
        return self.heads(mix(gates, experts)[:, 0])

    def gates(self, x: Float[Array, "batch ..."]) -> Float[Array, "batch tasks experts"]:
        """Weight of each expert, the same for all tasks; they add up to 1 over the experts."""
        gates = softmax_gates(self.gate(self.shared(x)))
        return jnp.repeat(gates[:, None], self.num_tasks, axis=1)

"""Experts of a task's own beside shared ones: one level (CGC) or several (PLE)."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from jaxmtl._validate import check_positive
from jaxmtl.models._parts import (
    Dense,
    Sizes,
    Stack,
    TaskNetwork,
    Towers,
    frozen_rows,
    frozen_sizes,
    mix,
    softmax_gates,
    tower_sizes,
)
from jaxmtl.models.initializers import Init
from jaxmtl.models.layers import Activation
from jaxmtl.models.sharing import Mark, Names, along_first


class LevelGates(NamedTuple):
    """Gates of one level.

    Attributes:
        tasks: weights of each task over its own experts, then the shared ones.
        shared: weights over all experts, task 0's first and the shared ones last; None at the last
            level, which has no such gate.
    """

    tasks: Float[Array, "batch tasks experts"]
    shared: Float[Array, "batch all"] | None


class PLE(TaskNetwork):
    """Progressive layered extraction: levels of task-specific and shared experts.

    At every level, task t reads its own experts and the shared ones, weighted by a softmax gate
    ``G_t u_t`` on what it reads itself (x at the first level, then what the level below made for
    it). Except at the last level, a shared gate ``G_s u_s`` mixes all experts of all tasks and the
    shared ones into the input of the next level's shared experts. So no task's error reaches
    another task's own experts at the last level, and below it only through the shared gate.

    Attributes:
        own_experts: experts of each task at every level.
        shared_experts: shared experts at every level.
        experts: one row a level, the sizes of the dense layers of every expert of that level.
        trunk: below the first level; empty for none. This and all others: see ``SharedBottom``.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> model = PLE(own_experts=2, shared_experts=3, experts=((8,), (6,)), outputs=(1, 2))
        >>> variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 5)))
        >>> x = jnp.ones((7, 5))
        >>> model.apply(variables, x).shape
        (7, 3)
        >>> model.apply(variables, x, method="gates").shape  # of the last level
        (7, 2, 5)
        >>> first, last = model.apply(variables, x, method="level_gates")
        >>> first.shared.shape, last.shared is None  # over 2 + 2 own and 3 shared experts
        ((7, 7), True)

    References:
        Tang, Liu, Zhao, Gong (2020), Progressive Layered Extraction: A Novel Multi-Task Learning
        Model for Personalized Recommendations, RecSys, section 4. Gates have no bias, as there; the
        number of experts is the same at all levels and for all tasks.
    """

    own_experts: int = 2
    shared_experts: int = 2
    experts: Towers = ((16,), (16,))

    def __post_init__(self) -> None:
        """Checks and freezes the sizes."""
        check_positive("own_experts", self.own_experts)
        check_positive("shared_experts", self.shared_experts)
        self.freeze("experts", self._frozen_experts())
        super().__post_init__()

    def _frozen_experts(self) -> tuple[Any, ...]:
        rows = frozen_rows("experts", self.experts)
        _, levels = tower_sizes(rows)
        if not levels or () in levels:
            raise ValueError(
                "experts: expected one or more rows of sizes, one a level, such as "
                f"((16,), (16,)), got {self.experts!r}"
            )
        return rows

    @property
    def expert_sizes(self) -> tuple[Sizes, ...]:
        """Sizes of the experts of each level."""
        return tower_sizes(self.experts)[1]

    def is_shared(self, names: Names) -> Mark:
        """All but heads, gates of tasks and, at the last level, their own experts.

        Own experts below the last level reach all tasks by the shared gate, and so do the gates of
        tasks more than one level below it.
        """
        if not names[0].startswith("level_"):
            return names[0] != "heads"
        levels = len(self.expert_sizes) - 1 - int(names[0].removeprefix("level_"))  # above it
        if names[1] == "task_gates":
            return levels > 1
        if names[1] == "experts" and not levels:
            own = self.num_tasks * self.own_experts
            return along_first(np.arange(own + self.shared_experts) >= own, names)
        return True

    def setup(self) -> None:
        """Declares the layers."""
        super().setup()
        levels = self.expert_sizes
        self.levels = [
            _Level(
                tasks=self.num_tasks,
                own=self.own_experts,
                shared=self.shared_experts,
                sizes=sizes,
                last=i == len(levels) - 1,
                activation=self.activation,
                name=f"level_{i}",
                **self.layer_options,
            )
            for i, sizes in enumerate(levels)
        ]
        self.heads = self.make_heads(self.towers)

    def __call__(self, x: Float[Array, "batch ..."]) -> Float[Array, "batch outputs"]:
        """Predictions of all tasks side by side, (batch, sum of outputs)."""
        return self.heads(self._run(x)[0])

    def gates(self, x: Float[Array, "batch ..."]) -> Float[Array, "batch tasks experts"]:
        """Weights of each task at the last level: over its own experts, then the shared ones."""
        return self._run(x)[1][-1].tasks

    def level_gates(self, x: Float[Array, "batch ..."]) -> tuple[LevelGates, ...]:
        """The gates of every level, from the first."""
        return self._run(x)[1]

    def _run(self, x: Array) -> tuple[Array, tuple[LevelGates, ...]]:
        tasks = shared = self.shared(x)
        gates = []
        for level in self.levels:
            tasks, shared, level_gates = level(tasks, shared)
            gates.append(level_gates)
        return tasks, tuple(gates)


class CGC(PLE):
    """Customized gate control: experts of each task and shared ones, one level of ``PLE``.

    ``h_t = sum_e softmax(G_t x)_e f_e(x)`` over the own experts of task t and the shared ones;
    ``y_t = output_t(tower_t(h_t))``.

    Attributes:
        own_experts: experts of each task.
        shared_experts: experts that all tasks read.
        experts: sizes of the dense layers of every expert.
        trunk: below gates and experts; empty for none. This and all others: see ``SharedBottom``.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> model = CGC(own_experts=1, shared_experts=2, experts=(8,), outputs=(1, 1, 1))
        >>> variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 5)))
        >>> model.apply(variables, jnp.ones((7, 5)), method="gates").shape
        (7, 3, 3)

    References:
        Tang et al. (2020), as ``PLE``, section 4.1.
    """

    experts: Towers = (16,)

    def _frozen_experts(self) -> tuple[Any, ...]:
        return frozen_sizes("experts", self.experts, empty=False)

    @property
    def expert_sizes(self) -> tuple[Sizes, ...]:
        """Sizes of the experts of the one level."""
        return (tower_sizes(self.experts)[0],)


class _Level(nn.Module):
    """One extraction level. Experts are stacked: those of task 0, of task 1, ..., the shared."""

    tasks: int
    own: int
    shared: int
    sizes: Sizes
    last: bool
    activation: Activation = "relu"
    initializer: str | Init = "torch_linear"
    dtype: Any = None
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, of_tasks: Array, of_all: Array
    ) -> tuple[Float[Array, "batch tasks features"], Array, LevelGates]:
        """From (batch, tasks, inputs), or at the first level (batch, inputs), and (batch, inputs).

        Returns what each task reads next, what the shared experts read next, and the gates.
        """
        options = {name: getattr(self, name) for name in ("initializer", "dtype", "param_dtype")}
        num_own = self.tasks * self.own
        inputs = of_all
        if of_tasks.ndim == 3:
            owned = jnp.repeat(of_tasks, self.own, axis=1)
            inputs = [owned, jnp.repeat(of_all[:, None], self.shared, axis=1)]
            inputs = jnp.concatenate(inputs, axis=1)
        stack = Stack(self.sizes, num_own + self.shared, self.activation, name="experts", **options)
        experts = stack(inputs)
        gate = Dense(
            self.own + self.shared, self.tasks, use_bias=False, name="task_gates", **options
        )
        gates = softmax_gates(gate(of_tasks)).astype(experts.dtype)
        own = experts[:, :num_own].reshape(experts.shape[0], self.tasks, self.own, -1)
        mixed = jnp.einsum("bte,btef->btf", gates[..., : self.own], own)
        mixed += mix(gates[..., self.own :], experts[:, num_own:])
        if self.last:
            return mixed, of_all, LevelGates(gates, None)
        gate = Dense(num_own + self.shared, use_bias=False, name="shared_gate", **options)
        weights = softmax_gates(gate(of_all)).astype(experts.dtype)
        return mixed, mix(weights[:, None], experts)[:, 0], LevelGates(gates, weights)

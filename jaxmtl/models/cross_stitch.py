"""Cross-stitch networks: one network a task, whose layers read mixtures of all tasks' layers."""

from typing import Any, cast

import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import promote_dtype
from jaxtyping import Array, Float

from jaxmtl.models._parts import (
    Dense,
    Sizes,
    TaskNetwork,
    check_features,
    check_inputs,
    frozen_sizes,
)
from jaxmtl.models.layers import activation_fn
from jaxmtl.models.sharing import Mark, Names


class CrossStitch(TaskNetwork):
    """One network of the same shape a task; after every layer a learned mixture of all tasks.

    ``h_t = act(W_t h_t + b_t)``, then ``h_t <- sum_s A[t, s] h_s``, for every layer; towers and
    outputs come after the last mixture. The stitch A starts with ``same`` on its diagonal and
    shares 1 - ``same`` among the other tasks, so that its rows add up to 1 and activations keep
    their size whatever the number of tasks.

    Attributes:
        layers: sizes of the dense layers of every task's network, each followed by a stitch.
        same: weight of a task's own activations at the start, between 0 and 1.
        per_node: a stitch for each node of a layer, instead of one for the whole layer.
        trunk: as of ``SharedBottom``, but every task has one of its own, stitched at the end. All
            others: see ``SharedBottom``.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> model = CrossStitch(layers=(8, 4), same=0.8, outputs=(1, 1, 1))
        >>> variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 5)))
        >>> model.apply(variables, jnp.ones((7, 5))).shape
        (7, 3)
        >>> first, last = model.apply(variables, method="stitches")  # a layer, (tasks, tasks)
        >>> first.round(3).tolist()[0] == jnp.array([0.8, 0.1, 0.1]).round(3).tolist()
        True

    References:
        Misra, Shrivastava, Gupta, Hebert (2016), Cross-stitch Networks for Multi-task Learning,
        CVPR, equation 1. There two convolutional networks, trained before, are stitched after their
        poolings and dense layers, and stitches learn faster than weights; here any number of tasks,
        all from random values, at one rate.
    """

    layers: Sizes = (16, 16)
    same: float = 0.9
    per_node: bool = False

    def __post_init__(self) -> None:
        """Checks and freezes the sizes."""
        self.freeze("layers", frozen_sizes("layers", self.layers, empty=False))
        if not 0 <= self.same <= 1:
            raise ValueError(f"same: expected a weight between 0 and 1, got {self.same!r}")
        super().__post_init__()

    def is_shared(self, names: Names) -> Mark:
        """All below the last stitch; its rows and the heads belong to one task each."""
        trunk = 0 if isinstance(self.trunk, nn.Module) else len(self.trunk)
        return names[0] not in ("heads", f"stitch_{trunk + len(self.layers) - 1}")

    def setup(self) -> None:
        """Declares the layers."""
        tasks = self.num_tasks
        sizes = self.layers
        if not isinstance(self.trunk, nn.Module):
            sizes = (*self.trunk, *sizes)
        self.task_layers = [
            Dense(size, tasks, name=f"layer_{i}", **self.layer_options)
            for i, size in enumerate(sizes)
        ]
        widths = [size if self.per_node else None for size in sizes]
        self.units = [
            _Stitch(tasks, self.same, width, self.dtype, self.param_dtype, name=f"stitch_{i}")
            for i, width in enumerate(widths)
        ]
        if isinstance(self.trunk, nn.Module):
            self.trunk_unit = _Stitch(
                tasks, self.same, None, self.dtype, self.param_dtype, name="stitch_trunk"
            )
        self.heads = self.make_heads(self.towers)

    def __call__(self, x: Float[Array, "batch ..."]) -> Float[Array, "batch outputs"]:
        """Predictions of all tasks side by side, (batch, sum of outputs)."""
        if isinstance(self.trunk, nn.Module):
            x = self.trunk_unit(self._trunks(x))
        else:
            check_inputs(x)
        for layer, unit in zip(self.task_layers, self.units, strict=True):
            x = unit(activation_fn(self.activation)(layer(x)))
        return self.heads(x)

    def stitches(self) -> tuple[Float[Array, "tasks tasks *width"], ...]:
        """The stitch after each layer: ``A[t, s]``, what task t takes of task s.

        That of a trunk that is a module comes first. With ``per_node`` a last axis has the nodes
        (a trunk's stitch never has).
        """
        units = list(self.units)
        if isinstance(self.trunk, nn.Module):
            units.insert(0, self.trunk_unit)
        return tuple(unit.weights() for unit in units)

    def _trunks(self, x: Array) -> Float[Array, "batch tasks features"]:
        # One trunk a task in stacked arrays, each with its own draw of initial values.
        apply = nn.vmap(
            lambda trunk, x: check_features(trunk(x)),
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=cast(Any, None),
            out_axes=1,
            axis_size=self.num_tasks,
        )
        return apply(self.trunk, x)


class _Stitch(nn.Module):
    """Mixes the activations of all tasks, by one matrix or by one a node."""

    tasks: int
    same: float
    width: int | None
    dtype: jnp.dtype | None
    param_dtype: jnp.dtype

    def setup(self) -> None:
        """Declares the matrix."""
        others = (1.0 - self.same) / max(self.tasks - 1, 1)
        own = self.same if self.tasks > 1 else 1.0

        def start(key: Array, shape: tuple[int, ...], dtype: jnp.dtype) -> Array:
            matrix = jnp.full(shape[:2], others, dtype).at[jnp.diag_indices(self.tasks)].set(own)
            return matrix if len(shape) == 2 else jnp.repeat(matrix[..., None], shape[2], axis=2)

        width = () if self.width is None else (self.width,)
        self.weight = self.param(
            "weight", start, (self.tasks, self.tasks, *width), self.param_dtype
        )

    def weights(self) -> Array:
        return self.weight

    def __call__(self, h: Float[Array, "batch tasks width"]) -> Float[Array, "batch tasks width"]:
        h, weight = promote_dtype(h, self.weight, dtype=self.dtype)
        return jnp.einsum("bsf,ts->btf" if weight.ndim == 2 else "bsf,tsf->btf", h, weight)

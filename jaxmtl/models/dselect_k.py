"""DSelect-k: a mixture of experts whose gates choose few of them, smoothly."""

import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from jaxmtl._validate import check_positive
from jaxmtl.models._parts import Dense, softmax_gates
from jaxmtl.models.initializers import Init
from jaxmtl.models.mmoe import Mixture

LEAST = 1e-6  # what a selector that reaches no expert is taken to reach


class DSelectK(Mixture):
    """Every task reads at most k experts, chosen by selectors that gradients can train.

    Each of the k selectors of a task writes the number of one expert in binary. Its bits are
    smooth steps of trained values z: ``s = S(z)``, 0 below -gamma/2, 1 above gamma/2 and a cubic
    between. It gives expert e the weight ``r_e = prod_b (s_b if bit b of e else 1 - s_b)``, and the
    task the gate ``q = sum_i softmax(alpha)_i r_i``. Once all bits are 0 or 1, k experts are left.

    Training adds two penalties to the loss, sown in ``"penalties"`` and summed by ``jaxmtl.fit``,
    which does not report them as errors:

    - ``entropy * sum over tasks and selectors of -sum_e r_e log r_e``, which drives bits to 0 or 1;
    - unless the number of experts n is a power of 2, ``reach * (1 / sum_e r_e - 1)``, which keeps
      selectors from numbers that no expert has. Gates may then add up to less than 1.

    Attributes:
        num_experts: number of experts, at least 2.
        experts: sizes of the dense layers of every expert, an activation after each.
        selected: k, between 1 and the number of experts.
        gamma: width of the smooth step; smaller gates become sparse earlier.
        entropy: strength of the first penalty; 0 for none.
        reach: strength of the second penalty.
        per_example: z and alpha are linear in x, so that every sample chooses; else they are
            parameters, and a task chooses the same experts for all.
        trunk: below gates and experts; empty for none. This and all others: see ``SharedBottom``.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> model = DSelectK(num_experts=4, selected=2, outputs=(1, 2))
        >>> params = model.init(jax.random.key(0), jnp.zeros((1, 5)))
        >>> x = jnp.ones((7, 5))
        >>> model.apply(params, x, method="gates").shape  # (batch, tasks, experts)
        (7, 2, 4)
        >>> outputs, sown = model.apply(params, x, mutable=["penalties"])
        >>> outputs.shape, sown["penalties"]["gate"]["entropy"][0].shape
        ((7, 3), ())

    References:
        Hazimeh, Zhao, Chowdhery, Sathiamoorthy, Chen, Mazumder, Hong, Chi (2021), DSelect-k:
        Differentiable Selection in the Mixture of Experts with Applications to Multi-Task Learning,
        NeurIPS. Departures: with ``per_example``, penalties are means over the batch, not sums, so
        that their strength does not depend on its size, and z starts without a bias; the second
        penalty is 0, not 1, where it has nothing to do, and stays finite where nothing is reached.
    """

    has_penalties: ClassVar[bool] = True

    selected: int = 2
    gamma: float = 1.0
    entropy: float = 1e-3
    reach: float = 1.0
    per_example: bool = False

    def __post_init__(self) -> None:
        """Checks and freezes the fields."""
        if not 1 <= self.selected <= self.num_experts or self.num_experts < 2:
            raise ValueError(
                "selected: expected between 1 and num_experts, and at least 2 experts, "
                f"got {self.selected} of {self.num_experts}"
            )
        check_positive("gamma", self.gamma)
        check_positive("entropy", self.entropy, zero=True)
        check_positive("reach", self.reach, zero=True)
        super().__post_init__()

    def setup(self) -> None:
        """Declares the layers."""
        super().setup()
        self.gate = _Selectors(
            tasks=self.num_tasks,
            experts=self.num_experts,
            selected=self.selected,
            gamma=self.gamma,
            entropy=self.entropy,
            reach=self.reach,
            per_example=self.per_example,
            dtype=self.dtype,
            param_dtype=self.param_dtype,
        )

    def __call__(self, x: Float[Array, "batch ..."]) -> Float[Array, "batch outputs"]:
        """Predictions of all tasks side by side, (batch, sum of outputs)."""
        x = self.shared(x)
        return self.predict(x, self.gate(x))

    def gates(self, x: Float[Array, "batch ..."]) -> Float[Array, "batch tasks experts"]:
        """Weight that each task gives each expert."""
        return self.gate(self.shared(x))


def smooth_step(z: Float[Array, "..."], gamma: float = 1.0) -> Float[Array, "..."]:
    """0 up to -gamma/2, 1 from gamma/2 on, and between them a cubic with slope 0 at both ends.

    Args:
        z: traced.
        gamma: width of the part that is neither 0 nor 1, static.

    Returns:
        Values between 0 and 1 in the shape of z.

    Example:
        >>> import jax.numpy as jnp
        >>> smooth_step(jnp.array([-1.0, -0.25, 0.0, 0.5]), gamma=1.0).tolist()
        [0.0, 0.15625, 0.5, 1.0]
    """
    u = jnp.clip(z / gamma, -0.5, 0.5)
    return jnp.clip(0.5 + u * (1.5 - 2.0 * u * u), 0.0, 1.0)


class _Selectors(nn.Module):
    tasks: int
    experts: int
    selected: int
    gamma: float
    entropy: float
    reach: float
    per_example: bool
    dtype: Any
    param_dtype: Any

    @nn.compact
    def __call__(self, x: Float[Array, "batch features"]) -> Float[Array, "batch tasks experts"]:
        """The gates, and the penalties sown."""
        bits = math.ceil(math.log2(self.experts))
        shape = (self.tasks, self.selected, bits)
        narrow, wide = _uniform(self.gamma / 100), _uniform(0.05)
        if self.per_example:
            options = {"dtype": self.dtype, "param_dtype": self.param_dtype}
            layer = Dense(
                self.selected * bits, self.tasks, initializer=narrow, name="bits", **options
            )
            z = layer(x).reshape(-1, *shape)
            layer = Dense(self.selected, self.tasks, initializer=wide, name="weights", **options)
            alpha = layer(x)
        else:
            z = self.param("bits", narrow, shape, self.param_dtype)[None]
            alpha = self.param("weights", wide, shape[:2], self.param_dtype)[None]
        # In float32 at least, as half precision has few values between 0 and 1.
        z, alpha = (v.astype(jnp.promote_types(v.dtype, jnp.float32)) for v in (z, alpha))
        codes = (np.arange(self.experts)[:, None] >> np.arange(bits)) & 1
        s = smooth_step(z, self.gamma)[..., None, :]
        codes = jnp.asarray(codes, bool).reshape(1, 1, 1, self.experts, bits)
        r = jnp.where(codes, s, 1 - s).prod(axis=-1)  # (batch or 1, tasks, selected, experts)
        self._penalise(r)
        q = (softmax_gates(alpha)[..., None] * r).sum(axis=2)
        return jnp.broadcast_to(q, (x.shape[0], *q.shape[1:]))

    def _penalise(self, r: Float[Array, "batch tasks selected experts"]) -> None:
        if self.is_initializing():  # else the variables of init would hold more than parameters
            return
        # Where a weight is exactly 0, neither the logarithm nor its slope may be looked at.
        entropy = -jnp.where(r > 0, r * jnp.log(jnp.where(r > 0, r, 1.0)), 0.0)
        self.sow("penalties", "entropy", self.entropy * entropy.sum(axis=(1, 2, 3)).mean())
        if self.experts & (self.experts - 1):
            missed = 1.0 / jnp.maximum(r.sum(axis=-1), LEAST) - 1.0
            self.sow("penalties", "reach", self.reach * missed.sum(axis=(1, 2)).mean())


def _uniform(bound: float) -> Init:
    def make(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return make

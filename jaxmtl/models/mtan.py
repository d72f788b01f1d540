"""Multi-task attention network (MTAN) of dense layers: every task masks the shared features."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmtl._validate import check_positive
from jaxmtl.models._parts import Dense, Sizes, TaskNetwork, frozen_sizes
from jaxmtl.models.layers import activation_fn
from jaxmtl.models.sharing import Mark, Names


class MTAN(TaskNetwork):
    """A shared network of blocks, and for every task a soft mask on the features of each block.

    Block j of the shared network has two dense layers, ``u_j = act(U_j p_{j-1})`` and ``p_j =
    act(P_j u_j)``. Task t attends to ``a_tj = m_tj * p_j`` with the mask

    ``m_tj = sigmoid(H_tj act(G_tj [u_j, act(F_tj a_t,j-1)]))``

    (at the first block, G reads u alone), and its tower reads the features it attends to at the
    last block. The layers F, G and H of all tasks are stacked arrays.

    Attributes:
        layers: width of each block, of u as of p.
        attention: width between G and H; None for the width of the block.
        trunk: below the first block; empty for none. This and all others: see ``SharedBottom``.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> model = MTAN(layers=(8, 6), outputs=(1, 2))
        >>> variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 5)))
        >>> x = jnp.ones((7, 5))
        >>> model.apply(variables, x).shape
        (7, 3)
        >>> masks = model.apply(variables, x, method="masks")  # a block, (batch, tasks, width)
        >>> [mask.shape for mask in masks]
        [(7, 2, 8), (7, 2, 6)]

    References:
        Liu, Johns, Davison (2019), End-to-End Multi-Task Learning with Attention, CVPR, section
        3.2. There u and p are convolutions, G and H convolutions of size 1, and F a convolution and
        a pooling; here all are dense, as is the decoder, and there is no batch normalisation.
    """

    layers: Sizes = (16, 16)
    attention: int | None = None

    def __post_init__(self) -> None:
        """Checks and freezes the sizes."""
        self.freeze("layers", frozen_sizes("layers", self.layers, empty=False))
        if self.attention is not None:
            check_positive("attention", self.attention)
        super().__post_init__()

    def is_shared(self, names: Names) -> Mark:
        """The network that attention looks at is; attention and heads are not."""
        return names[0].split("_")[0] not in ("focus", "mask", "carry", "heads")

    def setup(self) -> None:
        """Declares the layers."""
        super().setup()

        def dense(size: int, name: str, stack: int | None = None) -> Dense:
            return Dense(size, stack, name=name, **self.layer_options)

        tasks, widths = self.num_tasks, self.layers
        hidden = [width if self.attention is None else self.attention for width in widths]
        self.lower = [dense(width, f"lower_{j}") for j, width in enumerate(widths)]
        self.upper = [dense(width, f"upper_{j}") for j, width in enumerate(widths)]
        self.carry = [dense(w, f"carry_{j + 1}", tasks) for j, w in enumerate(widths[1:])]
        self.focus = [dense(width, f"focus_{j}", tasks) for j, width in enumerate(hidden)]
        self.mask = [dense(width, f"mask_{j}", tasks) for j, width in enumerate(widths)]
        self.heads = self.make_heads(self.towers)

    def __call__(self, x: Float[Array, "batch ..."]) -> Float[Array, "batch outputs"]:
        """Predictions of all tasks side by side, (batch, sum of outputs)."""
        return self.heads(self._run(x)[0])

    def masks(self, x: Float[Array, "batch ..."]) -> tuple[Float[Array, "batch tasks width"], ...]:
        """The mask of each task at each block, between 0 and 1."""
        return self._run(x)[1]

    def _run(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        activation = activation_fn(self.activation)
        p = self.shared(x)
        attended, masks = p[:, None], []
        for j in range(len(self.layers)):
            u = activation(self.lower[j](p))
            p = activation(self.upper[j](u))
            seen = u
            if j:
                carried = activation(self.carry[j - 1](attended))
                seen = jnp.repeat(u[:, None], self.num_tasks, axis=1)
                seen = jnp.concatenate([seen, carried], axis=-1)
            mask = jax.nn.sigmoid(self.mask[j](activation(self.focus[j](seen))))
            attended = mask * p[:, None]
            masks.append(mask)
        return attended, tuple(masks)

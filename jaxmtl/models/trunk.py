"""A convolutional trunk, so that every architecture takes images."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxmtl._validate import check_positive
from jaxmtl.models._parts import Dense, frozen_sizes
from jaxmtl.models.initializers import Init, dense_initializers
from jaxmtl.models.layers import Activation, activation_fn


class ConvTrunk(nn.Module):
    """Convolutions with pooling, then dense layers: images in, features out.

    ``images -> [Conv, act, max pool]* -> flatten -> [Dense, act]*``, zero padding so that a
    convolution keeps height and width. It goes into the field ``trunk`` of any architecture: gates
    and experts then read its features, not pixels. ``CrossStitch`` gives every task a trunk of its
    own. There is no batch normalisation, which would mix samples and spoil per-sample gradients.

    Attributes:
        channels: of each convolution.
        kernel: height and width of the kernels.
        pool: height, width and step of the max pooling after each convolution; 1 for none.
        sizes: of the dense layers after flattening; may be empty.
        activation: after each convolution and dense layer.
        initializer: see ``dense_initializers``; the fan-in of a convolution is kernel * kernel *
            channels of its input.
        dtype: of the computation; None: promoted from inputs and parameters.
        param_dtype: of the parameters.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmtl.models import MMoE
        >>> model = MMoE(trunk=ConvTrunk(channels=(4, 8), sizes=(16,)), outputs=(10, 2))
        >>> images = jnp.zeros((5, 8, 8, 1))
        >>> variables = jax.jit(model.init)(jax.random.key(0), images)
        >>> model.apply(variables, images).shape
        (5, 12)

    References:
        LeCun, Bottou, Bengio, Haffner (1998), Gradient-Based Learning Applied to Document
        Recognition, Proceedings of the IEEE 86(11).
    """

    channels: Sequence[int] = (16, 32)
    kernel: int = 3
    pool: int = 2
    sizes: Sequence[int] = (64,)
    activation: Activation = "relu"
    initializer: str | Init = "torch_linear"
    dtype: Any = None
    param_dtype: Any = jnp.float32

    def __post_init__(self) -> None:
        """Makes the sizes tuples, so that a trunk is hashable whatever it was given."""
        object.__setattr__(self, "channels", frozen_sizes("channels", self.channels, empty=False))
        object.__setattr__(self, "sizes", frozen_sizes("sizes", self.sizes))
        check_positive("kernel", self.kernel)
        check_positive("pool", self.pool)
        super().__post_init__()

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch features"]:
        """Features of images."""
        smallest = self.pool ** len(self.channels)
        if x.ndim != 4 or min(x.shape[1:3]) < smallest:
            raise ValueError(
                "x: expected images of shape (batch, height, width, channels) of at least "
                f"{smallest} x {smallest} pixels for {len(self.channels)} poolings by {self.pool}, "
                f"got {x.shape}"
            )
        options = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        activation = activation_fn(self.activation)
        window = (self.pool, self.pool)
        for i, features in enumerate(self.channels):
            fan_in = self.kernel * self.kernel * x.shape[-1]
            kernel_init, bias_init = dense_initializers(self.initializer, fan_in)
            layer = nn.Conv(
                features,
                (self.kernel, self.kernel),
                kernel_init=kernel_init,
                bias_init=bias_init,
                name=f"conv_{i}",
                **options,
            )
            x = activation(layer(x))
            x = x if self.pool == 1 else nn.max_pool(x, window, strides=window)
        x = x.reshape(x.shape[0], -1)
        for i, size in enumerate(self.sizes):
            dense = Dense(size, initializer=self.initializer, name=f"dense_{i}", **options)
            x = activation(dense(x))
        return x

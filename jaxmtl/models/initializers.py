"""Initial values of dense layers, by name."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxmtl._validate import check_choice

Init = Callable[..., Any]
INITIALIZERS = (
    "torch_linear",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
)


def dense_initializers(initializer: str | Init, fan_in: int) -> tuple[Init, Init]:
    """Initializers of the kernel and the bias of a dense layer.

    Args:
        initializer: ``"torch_linear"`` draws kernel and bias from U(-1/sqrt(fan_in),
        1/sqrt(fan_in)),
            as PyTorch's Linear does (the study's results depend on it); the name of an initializer
            in ``flax.linen.initializers``, or such a function, is for the kernel, with a bias of 0.
            Static.
        fan_in: number of inputs of the layer, static.

    Returns:
        Two functions of (key, shape, dtype).

    Raises:
        ValueError: an unknown name.

    Example:
        >>> import jax
        >>> kernel_init, bias_init = dense_initializers("torch_linear", fan_in=4)
        >>> bool(abs(bias_init(jax.random.key(0), (100,))).max() <= 0.5)
        True
    """
    if callable(initializer):
        return initializer, nn.initializers.zeros_init()
    check_choice("initializer", initializer, INITIALIZERS)
    if initializer == "torch_linear":
        bound = fan_in**-0.5

        def uniform(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
            return jax.random.uniform(key, shape, dtype, -bound, bound)

        return uniform, uniform
    return getattr(nn.initializers, initializer)(), nn.initializers.zeros_init()

"""A function from a key to a model that brings its values: every key then has its own."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, Float, Key, PyTree

from jaxmtl.training.network import Applied, Network


@dataclasses.dataclass(frozen=True)
class MadeNetwork(Network):
    """A model that is made anew for every key.

    Attributes:
        make: from a key to a flax.nnx or Equinox model.
        found: from a model to its network.
        network: of one such model, whose values are not used.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxmtl.training import as_network
        >>> network = as_network(lambda key: nnx.Linear(3, 2, rngs=nnx.Rngs(key)))
        >>> params, _ = network.init(jax.random.key(0), jnp.zeros((1, 3)))
        >>> network.apply(params, None, jnp.zeros((5, 3))).outputs.shape
        (5, 2)
    """

    make: Callable[[Key[Array, ""]], Any]
    found: Callable[[Any], Network]
    network: Network

    @property
    def widths(self) -> tuple[int, ...] | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of the model."""
        return self.network.widths

    @property
    def source(self) -> Any:
        """What describes the model, and the function that makes it."""
        return Made(self.make, self.network.source)

    def init(self, key: Key[Array, ""], x: Float[Array, "batch ..."]) -> tuple[PyTree, PyTree]:
        """The values of the model of this key."""
        return self.found(self.make(key)).init(key, x)

    def apply(self, params: PyTree, state: PyTree, x: Array, **options: Any) -> Applied:
        """That of the model."""
        return self.network.apply(params, state, x, **options)


@dataclasses.dataclass(frozen=True)
class Made:
    """What a ``MadeNetwork`` is of.

    Attributes:
        make: from a key to a model.
        model: one of them, or what is static in it.
    """

    make: Callable[..., Any]
    model: Any


def made_network(make: Callable[..., Any], found: Callable[[Any], Network]) -> MadeNetwork:
    """The network of a function from a key to a model.

    Args:
        make: the function.
        found: from a model to its network.

    Returns:
        The network.

    Raises:
        ValueError: the function makes something else.

    Example:
        >>> from flax import nnx
        >>> from jaxmtl.training import as_network
        >>> made_network(lambda key: nnx.Linear(3, 2, rngs=nnx.Rngs(key)), as_network).has_values
        False
    """
    network = found(make(jax.random.key(0)))
    if not network.has_values:
        raise ValueError(
            "model: expected a function from a key to a flax.nnx or Equinox model, got one that "
            f"makes {type(network.source).__name__}, which draws its values itself; give that"
        )
    return MadeNetwork(make, found, network)

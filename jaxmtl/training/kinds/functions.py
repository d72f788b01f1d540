"""A pair of functions as a network."""

import dataclasses
from collections.abc import Callable
from typing import Any

from jaxtyping import Array, Float, Key, PyTree

from jaxmtl._words import kind_of
from jaxmtl.training.network import Applied, Network, mode, parameter_names, side_by_side


@dataclasses.dataclass(frozen=True)
class FunctionNetwork(Network):
    """Two functions; see ``as_network`` for what they take and return.

    Attributes:
        start: draws initial values.
        forward: the forward pass.

    Example:
        >>> import jax.numpy as jnp
        >>> network = FunctionNetwork(lambda key, x: jnp.ones((1, 2)), lambda params, x: x * params)
        >>> network.apply(network.init(None, None)[0], None, jnp.ones((1, 2))).outputs.tolist()
        [[1.0, 1.0]]
    """

    start: Callable[..., Any]
    forward: Callable[..., Any]

    @property
    def has_state(self) -> bool:
        """Whether the second argument of the forward pass is a state."""
        return "state" in parameter_names(self.forward)[1:2]

    def init(self, key: Key[Array, ""], x: Float[Array, "batch ..."]) -> tuple[PyTree, PyTree]:
        """Calls the first function."""
        values = self.start(key, x)
        if not self.has_state:
            return values, None
        if not isinstance(values, tuple) or len(values) != 2:
            raise ValueError(
                "model: expected init(key, x) to return (params, state), as apply takes a state, "
                f"got {type(values).__name__}"
            )
        return values

    def apply(
        self,
        params: PyTree,
        state: PyTree,
        x: Float[Array, "batch ..."],
        *,
        pointers: Any = None,
        key: Key[Array, ""] | None = None,
        train: bool = False,
        taps: Any = None,
    ) -> Applied:
        """Calls the second function."""
        del pointers, taps  # for banks
        options: dict[str, Any] = mode(self.forward, train)
        if "key" in parameter_names(self.forward):
            options["key"] = key
        if not self.has_state:
            return Applied(side_by_side(self.forward(params, x, **options)))
        returned = self.forward(params, state, x, **options)
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise ValueError(
                "model: expected apply(params, state, x) to return (outputs, state), got "
                f"{kind_of(returned)}"
            )
        return Applied(side_by_side(returned[0]), returned[1])

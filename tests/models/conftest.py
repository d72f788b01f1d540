"""What every test of a network needs: parameters, inputs, and the same in float64 NumPy."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest


@dataclasses.dataclass
class Case:
    """A network, a batch, and parameters in float64 that the oracle and the network both read."""

    model: Any
    params64: dict[str, Any]
    x64: np.ndarray

    @property
    def x(self) -> jax.Array:
        return jnp.asarray(self.x64, jnp.float32)

    @property
    def params(self) -> Any:
        return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), self.params64)

    def apply(self, method: str | None = None, **options: Any) -> Any:
        """What the network makes of the batch."""
        call = jax.jit(lambda p, x: self.model.apply({"params": p}, x, method=method, **options))
        return call(self.params, self.x)


@pytest.fixture
def drawn() -> Callable[..., Case]:
    # Only the shapes come from the network; drawing in NumPy leaves nothing to compile.
    def draw(model: Any, shape: tuple[int, ...] = (7, 5)) -> Case:
        rng = np.random.default_rng(3)
        x = rng.normal(size=shape)
        variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(shape))
        assert set(variables) == {"params"}  # nothing else, or training would not know it
        params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape) * 0.5, variables["params"])
        return Case(model, params, x)

    return draw


@pytest.fixture
def close() -> Callable[[Any, Any], None]:
    def check(ours: Any, literal: Any) -> None:
        np.testing.assert_allclose(np.asarray(ours), np.array(literal), rtol=2e-5, atol=2e-6)

    return check

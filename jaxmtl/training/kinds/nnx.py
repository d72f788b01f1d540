"""flax.nnx modules: parameters, streams of random numbers, and state, apart from their graph."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key, PyTree

from jaxmtl.training.network import Applied, Network, mode, side_by_side


@dataclasses.dataclass(frozen=True)
class NNXNetwork(Network):
    """A flax.nnx module.

    Attributes:
        training: its graph in the mode that it came in.
        evaluation: its graph after ``eval()``.
        streams: its random numbers; only their structure matters.
        values: its parameters and state; no part of what makes two networks equal.

    Example:
        >>> network = nnx_network(nnx.Linear(3, 2, rngs=nnx.Rngs(0)))
        >>> params, state = network.init(jax.random.key(0), jnp.zeros((1, 3)))
        >>> state is None, network.apply(params, None, jnp.zeros((5, 3))).outputs.shape
        (True, (5, 2))
    """

    training: Any
    evaluation: Any
    streams: Any = dataclasses.field(compare=False, repr=False)
    values: tuple[PyTree, PyTree] = dataclasses.field(compare=False, repr=False)

    has_values = True

    @property
    def source(self) -> Any:
        """The graph of the module."""
        return self.training

    def init(self, key: Key[Array, ""], x: Float[Array, "batch ..."]) -> tuple[PyTree, PyTree]:
        """The values that the module brought."""
        del key, x
        return self.values

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
        """Puts the module together and calls it; every stream gets a key folded from the one."""
        del pointers, taps  # for banks
        parts = [params, self._seeded(key)] + ([] if state is None else [state])
        # Variables may be changed only where they were made, so they are made here.
        parts = [jax.tree.map(lambda leaf: leaf, part) for part in parts]
        model = nnx.merge(self.training if train else self.evaluation, *parts)
        outputs = side_by_side(model(x, **mode(type(model).__call__, train)))
        if state is not None:
            after = _parts(model)[-1]
            # In the structure of the state before, whose marks of where it was made stay.
            state = jax.tree.unflatten(jax.tree.structure(state), jax.tree.leaves(after))
        return Applied(outputs, state)

    def _seeded(self, key: Key[Array, ""] | None) -> PyTree:
        leaves, structure = jax.tree.flatten(self.streams)
        key = jax.random.key(0) if key is None else key  # nothing is drawn
        seeded = []
        for number, leaf in enumerate(leaves):
            if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
                own = jax.random.fold_in(key, number)
                seeded.append(own if leaf.ndim == 0 else jax.random.split(own, leaf.shape))
            else:
                seeded.append(jnp.zeros_like(leaf))
        return jax.tree.unflatten(structure, seeded)


def nnx_network(model: nnx.Module) -> NNXNetwork:
    """The network of a flax.nnx module, which stays as it is.

    Args:
        model: with initial values.

    Returns:
        The network; equal for modules of equal structure.

    Example:
        >>> a, b = (nnx_network(nnx.Linear(3, 2, rngs=nnx.Rngs(seed))) for seed in range(2))
        >>> a == b
        True
    """
    model = nnx.clone(model)
    training, params, streams, state = _parts(model)
    model.eval()
    evaluation = nnx.split(model)[0]
    values = (params, state if jax.tree.leaves(state) else None)
    return NNXNetwork(training, evaluation, streams, values)


def _parts(model: nnx.Module) -> tuple[Any, Any, Any, Any]:
    graph, params, streams, _, state = nnx.split(
        model, nnx.Param, nnx.RngState, nnx.Intermediate, ...
    )
    return graph, params, streams, state

"""Equinox modules: floating-point arrays are parameters, other arrays and ``State`` are state."""

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import jax
from jaxtyping import Array, Float, Key, PyTree

from jaxmtl.training.network import Applied, Network, mode, parameter_names, side_by_side


class State(NamedTuple):
    """What an Equinox model carries that is not trained.

    Attributes:
        arrays: leaves that are no floating-point arrays, in the structure of the model; they stay.
        inner: ``equinox.nn.State``; None for models without.

    Example:
        >>> State(None, None).inner is None
        True
    """

    arrays: PyTree
    inner: PyTree


Fixed = tuple[tuple[Any, ...], Any]


@dataclasses.dataclass(frozen=True)
class EquinoxNetwork(Network):
    """An Equinox module, which is called row by row.

    Attributes:
        training: all that is no array, in the mode that the model came in.
        evaluation: the same in ``equinox.nn.inference_mode``.
        call: of the model's class.
        values: its parameters and state; no part of what makes two networks equal.

    Example:
        >>> model = eqx.nn.MLP(3, 2, width_size=4, depth=1, key=jax.random.key(0))
        >>> network = equinox_network(model, None)
        >>> params, state = network.init(jax.random.key(0), jax.numpy.zeros((1, 3)))
        >>> network.apply(params, state, jax.numpy.zeros((5, 3))).outputs.shape
        (5, 2)
    """

    training: Fixed
    evaluation: Fixed
    call: Any
    values: tuple[PyTree, State | None] = dataclasses.field(compare=False, repr=False)

    has_values = True

    @property
    def source(self) -> Any:
        """The model without its arrays."""
        leaves, structure = self.training
        return structure.unflatten(leaves)

    def init(self, key: Key[Array, ""], x: Float[Array, "batch ..."]) -> tuple[PyTree, PyTree]:
        """The values that the module brought."""
        del key, x
        return self.values

    def apply(
        self,
        params: PyTree,
        state: State | None,
        x: Float[Array, "batch ..."],
        *,
        pointers: Any = None,
        key: Key[Array, ""] | None = None,
        train: bool = False,
        taps: Any = None,
    ) -> Applied:
        """Puts the module together and maps it over the rows, each with a key of its own."""
        del pointers, taps  # for banks
        leaves, structure = self.training if train else self.evaluation
        parts, arrays, inner = [params, structure.unflatten(leaves)], None, None
        if state is not None:
            arrays, inner = state
            parts.append(arrays)
        model = eqx.combine(*parts)
        # A state is used up where it is changed, and evaluation needs it more than once.
        inner = jax.tree.unflatten(*jax.tree.flatten(inner)[::-1])
        options = mode(self.call, train)
        takes_key = "key" in parameter_names(self.call)
        keys = jax.random.split(key, x.shape[0]) if takes_key and key is not None else None

        def one(row: Array, key: Any) -> tuple[Array, Any]:
            more = options | ({"key": key} if takes_key else {})
            return (model(row, **more), None) if inner is None else model(row, inner, **more)

        axes = (0, None if keys is None else 0)
        outputs, inner = jax.vmap(one, axes, (0, None), axis_name="batch")(x, keys)
        outputs = side_by_side(outputs)
        return Applied(outputs, None if state is None else State(arrays, inner))


def equinox_network(model: Any, inner: Any) -> EquinoxNetwork:
    """The network of an Equinox module.

    Args:
        model: an ``equinox.Module`` with initial values.
        inner: its ``equinox.nn.State``; None for a model without.

    Returns:
        The network; equal for modules of equal structure.

    Raises:
        ValueError: a second part that is no such state.

    Example:
        >>> keys = jax.random.split(jax.random.key(0))
        >>> a, b = (equinox_network(eqx.nn.Linear(3, 2, key=key), None) for key in keys)
        >>> a == b
        True
    """
    if inner is not None and not isinstance(inner, eqx.nn.State):
        raise ValueError(
            "model: expected the pair (model, state) of equinox.nn.make_with_state, got "
            f"{type(inner).__name__} as its second part"
        )
    params, arrays, training = _parts(model)
    evaluation = _parts(eqx.nn.inference_mode(model))[2]
    has_state = inner is not None or bool(jax.tree.leaves(arrays))
    state = State(arrays, inner) if has_state else None
    return EquinoxNetwork(training, evaluation, type(model).__call__, (params, state))


def _parts(model: Any) -> tuple[PyTree, PyTree, Fixed]:
    params, others = eqx.partition(model, eqx.is_inexact_array)
    arrays, rest = eqx.partition(others, eqx.is_array)
    leaves, structure = jax.tree.flatten(rest)
    return params, arrays, (tuple(leaves), structure)

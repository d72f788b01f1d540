"""flax.linen modules, and whatever else has their ``init`` and ``apply``."""

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from jaxtyping import Array, Float, Key, PyTree

from jaxmtl.training.network import Applied, Network, all_shared, mode, side_by_side

PENALTIES = "penalties"
NOT_STATE = ("params", PENALTIES, "intermediates")


@dataclasses.dataclass(frozen=True)
class LinenBank:
    """The bank of a linen network with the methods ``trunk`` and ``heads``, like ``HardSharing``.

    Attributes:
        model: the network.

    Example:
        >>> from jaxmtl import HardSharing
        >>> LinenBank(HardSharing()).initial_pointers().tolist()
        [[0, 1, 2], [0, 1, 2]]
    """

    model: Any

    @property
    def num_tasks(self) -> int:
        """Number of tasks."""
        return self.model.num_tasks

    @property
    def num_columns(self) -> int:
        """Columns, spare ones included."""
        return self.model.num_columns

    @property
    def positive_bank_inputs(self) -> bool:
        """Whether every input is above 0."""
        return self.model.positive_bank_inputs

    @property
    def reads_aligned(self) -> bool:
        """Whether the forward pass takes an ``AlignedIndex``, too."""
        return getattr(self.model, "reads_aligned", False)

    def initial_pointers(self) -> Any:
        """The head index before any duplication."""
        return self.model.initial_head_index()

    def inputs(self, params: PyTree, state: PyTree, x: Array) -> Array:
        """The inputs of the bank, as evaluation sees them."""
        return LinenNetwork(self.model).call(params, state, (x,), "trunk", None, train=False)[0]


@dataclasses.dataclass(frozen=True)
class LinenNetwork(Network):
    """A linen module.

    Attributes:
        model: the module, not bound.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmtl import HardSharing
        >>> network = LinenNetwork(HardSharing())
        >>> params, state = network.init(jax.random.key(0), jnp.zeros((1, 4)))
        >>> state is None, network.apply(params, None, jnp.ones((5, 4))).outputs.shape
        (True, (5, 2))
    """

    model: Any

    @property
    def source(self) -> Any:
        """The module."""
        return self.model

    @property
    def widths(self) -> tuple[int, ...] | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Its ``outputs``, if that is one number a task."""
        outputs = getattr(self.model, "outputs", None)
        if not isinstance(outputs, Sequence) or not all(isinstance(w, int) for w in outputs):
            return None
        return tuple(outputs) or None

    @property
    def bank(self) -> LinenBank | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of modules with ``heads`` and ``initial_head_index``, unless ``has_bank`` is False."""
        has_bank = hasattr(self.model, "heads") and hasattr(self.model, "initial_head_index")
        has_bank = has_bank and getattr(self.model, "has_bank", True)
        return LinenBank(self.model) if has_bank else None

    @property
    def has_penalties(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As the module says."""
        return bool(getattr(self.model, "has_penalties", False))

    def init(self, key: Key[Array, ""], x: Float[Array, "batch ..."]) -> tuple[PyTree, PyTree]:
        """Draws the parameters and makes all other collections."""
        variables = self.model.init(key, x, **self._mode("__call__", train=False))
        if PENALTIES in variables and not self.has_penalties:
            raise ValueError(
                f"model: {type(self.model).__name__} sows {PENALTIES!r}, which would be lost; "
                "write has_penalties = True in its class, and they are added to the loss"
            )
        state = {name: value for name, value in variables.items() if name not in NOT_STATE}
        return variables.get("params", {}), state or None

    def apply(
        self,
        params: PyTree,
        state: PyTree,
        x: Float[Array, "batch ..."],
        *,
        pointers: Any = None,
        key: Key[Array, ""] | None = None,
        train: bool = False,
        taps: Float[Array, "batch tasks nodes"] | None = None,
    ) -> Applied:
        """Calls the module; with taps, its trunk and its heads."""
        if taps is None:
            arguments = (x,) if pointers is None else (x, pointers)
            outputs, *others = self.call(params, state, arguments, None, key, train=train)
            return Applied(side_by_side(outputs), *others)
        inputs, state, first = self.call(params, state, (x,), "trunk", key, train=train)
        arguments = (inputs, pointers, taps)
        outputs, state, second = self.call(params, state, arguments, "heads", key, train=train)
        return Applied(outputs, state, first + second, inputs)

    def call(
        self,
        params: PyTree,
        state: PyTree,
        arguments: tuple[Any, ...],
        method: str | None,
        key: Key[Array, ""] | None,
        *,
        train: bool,
    ) -> tuple[Array, PyTree, Any]:
        """Calls a method of the module.

        Args:
            params: traced.
            state: the other collections, traced; None if there are none.
            arguments: traced.
            method: its name; None for ``__call__``.
            key: of the stream ``"dropout"``, traced; None for no stream.
            train: static.

        Returns:
            What it returns, the state, and the penalty.
        """
        variables = {"params": params, **(state or {})}
        options: dict[str, Any] = self._mode(method or "__call__", train=train)
        if method is not None:
            options["method"] = method
        if key is not None:
            options["rngs"] = {"dropout": key}
        mutable = [*(state or ()), *((PENALTIES,) if self.has_penalties else ())]
        if not mutable:
            return self.model.apply(variables, *arguments, **options), state, 0.0
        outputs, changed = self.model.apply(variables, *arguments, mutable=mutable, **options)
        penalty = sum(leaf.sum() for leaf in jax.tree.leaves(changed.get(PENALTIES, {})))
        if state is not None:
            state = {name: changed.get(name, state[name]) for name in state}
        return outputs, state, penalty

    def shared(self, params: PyTree, pointers: Any) -> PyTree:
        """As the module says; else all of them."""
        declared = getattr(self.model, "shared_parameters", None)
        return all_shared(params) if declared is None else declared(params, pointers)

    def read(self, values: PyTree) -> tuple[PyTree, PyTree]:
        """Takes parameters as they are, or the variables of the module."""
        if not isinstance(values, Mapping) or "params" not in values:
            return values, None
        others = {name: value for name, value in values.items() if name not in NOT_STATE}
        return values["params"], others or None

    def _mode(self, method: str, *, train: bool) -> dict[str, bool]:
        return mode(inspect.getattr_static(type(self.model), method, None), train)

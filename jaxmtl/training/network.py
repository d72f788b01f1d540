"""What training asks of a network."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, PyTree

# Arguments by which forward passes are told what they are for, and whether True means training.
MODES = {
    "train": True,
    "training": True,
    "is_training": True,
    "deterministic": False,
    "inference": False,
    "use_running_average": False,
}


class Applied(NamedTuple):
    """What a forward pass gives.

    Attributes:
        outputs: of all tasks side by side.
        state: after it, such as running statistics; None for networks without.
        penalty: what the network adds to the sum of the losses.
        inputs: of the bank, if there were taps.

    Example:
        >>> Applied(jnp.zeros((5, 2))).penalty
        0.0
    """

    outputs: Float[Array, "batch outputs"]
    state: PyTree = None
    penalty: Float[Array, ""] | float = 0.0
    inputs: Float[Array, "batch inputs"] | None = None


class Bank(Protocol):
    """The last shared layer of a network, whose nodes can be duplicated."""

    @property
    def num_tasks(self) -> int:
        """Number of tasks."""
        ...

    @property
    def num_columns(self) -> int:
        """Columns, spare ones included."""
        ...

    @property
    def positive_bank_inputs(self) -> bool:
        """Whether every input is above 0, so that all weights of a node agree."""
        ...

    @property
    def reads_aligned(self) -> bool:
        """Whether the forward pass takes an ``AlignedIndex``, too."""
        ...

    def initial_pointers(self) -> Any:
        """Which column each task reads at each slot, before any duplication."""
        ...

    def inputs(self, params: PyTree, state: PyTree, x: Array) -> Array:
        """The inputs of the bank, as evaluation sees them."""
        ...


class Network:
    """A network as training sees it: two pure functions and a few facts.

    What is static in it makes up its equality and its hash, so that equal networks share a compiled
    program. A kind of your own is a frozen dataclass with ``init`` and ``apply``.

    Attributes:
        widths: output width of each task; None where it is 1 throughout, or the loss knows.
        bank: None for networks without nodes that can be duplicated.
        has_penalties: whether ``apply`` may give a penalty other than 0.
        has_values: whether ``init`` returns values that the model brought, whatever the key.

    Example:
        >>> import dataclasses
        >>> @dataclasses.dataclass(frozen=True)
        ... class Linear(Network):
        ...     outputs: int
        ...
        ...     def init(self, key, x):
        ...         return jnp.zeros((x.shape[1], self.outputs)), None
        ...
        ...     def apply(self, params, state, x, **options):
        ...         return Applied(x @ params)
        >>> from jaxmtl.training import as_network
        >>> as_network(Linear(2)) == Linear(2)
        True
    """

    widths: tuple[int, ...] | None = None
    bank: Bank | None = None
    has_penalties: bool = False
    has_values: bool = False

    @property
    def source(self) -> Any:
        """What the user gave."""
        return self

    def init(self, key: Key[Array, ""], x: Float[Array, "batch ..."]) -> tuple[PyTree, PyTree]:
        """Initial values.

        Args:
            key: to draw them from, traced.
            x: rows of the right shape, traced.

        Returns:
            The parameters, all of which are trained, and the state or None.
        """
        raise NotImplementedError(f"{type(self).__name__}: expected a method init")

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
        """The forward pass.

        Args:
            params: traced.
            state: traced; None for networks without.
            x: traced.
            pointers: of the bank, traced; None without one, or for those of the start.
            key: for dropout and the like, traced; None in evaluation, and where nothing is drawn.
            train: whether the rows are those of an update. Static.
            taps: added to what the nodes of the bank pass on before their activation, traced. Slot
                (t, j) is used by task t alone.

        Returns:
            Outputs, and the state after the pass, which evaluation drops.
        """
        raise NotImplementedError(f"{type(self).__name__}: expected a method apply")

    def shared(self, params: PyTree, pointers: Any) -> PyTree:
        """Which parameters several tasks reach: booleans in their structure and shapes."""
        del pointers
        return all_shared(params)

    def read(self, values: PyTree) -> tuple[PyTree, PyTree]:
        """Parameters, and the state if it is there, out of what the user gave as initial values."""
        return values, None


def all_shared(params: PyTree) -> PyTree:
    """True for every parameter.

    Example:
        >>> all_shared({"w": jnp.zeros(2)})["w"].tolist()
        [True, True]
    """

    def mark(leaf: Array) -> Bool[Array, "*shape"]:
        return jnp.ones(jnp.shape(leaf), bool)

    return jax.tree.map(mark, params)


def side_by_side(outputs: Any) -> Array:
    """The outputs of a forward pass.

    Args:
        outputs: what a model returned, traced.

    Returns:
        The same.

    Raises:
        ValueError: no array.

    Example:
        >>> side_by_side(jnp.zeros((5, 2))).shape
        (5, 2)
    """
    if not isinstance(outputs, jax.Array | np.ndarray):
        name = "None" if outputs is None else f"a {type(outputs).__name__}"
        join = isinstance(outputs, tuple | list)
        todo = "join the outputs of the tasks" if join else "return the outputs of the tasks joined"
        raise ValueError(
            f"model: expected one array of outputs (rows, outputs), got {name}; {todo} with "
            "jnp.concatenate(outputs, axis=1)"
        )
    return outputs  # pyright: ignore[reportReturnType]


def mode(function: Callable[..., Any] | None, train: bool) -> dict[str, bool]:
    """The arguments by which a forward pass is told whether it is one of training.

    Args:
        function: of which the names of the arguments are looked at; None for none.
        train: static.

    Returns:
        Those that it takes.

    Example:
        >>> mode(lambda x, deterministic: x, train=True)
        {'deterministic': False}
    """
    names = parameter_names(function)
    return {name: train == for_training for name, for_training in MODES.items() if name in names}


def parameter_names(function: Callable[..., Any] | None) -> tuple[str, ...]:
    """Names of the arguments of a function; none where Python does not know them.

    Example:
        >>> parameter_names(lambda params, x: x)
        ('params', 'x')
    """
    if function is None:
        return ()
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return ()

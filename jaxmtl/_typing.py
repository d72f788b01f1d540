"""Types that several floors share."""

from typing import Any, Protocol

Device = Any
"""One of ``jax.devices()``."""


class Network(Protocol):
    """What training asks of a network; every ``flax.linen.Module`` has it.

    A network is static under ``jit``, so it must be hashable. ``apply({"params": params}, x)``
    gives the outputs of all tasks side by side, (batch, outputs).
    """

    def init(self, rngs: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Draws initial values: a dictionary whose entry ``"params"`` is the pytree to train."""
        ...

    def apply(self, variables: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Computes outputs, or what the method named by ``method=`` does."""
        ...


class BankNetwork(Network, Protocol):
    """A network whose last shared layer is a bank of nodes, such as ``HardSharing``.

    Its methods ``trunk(x)`` and ``heads(a, head_index, taps)`` make up the whole; ``taps`` are
    added to the pre-activations (batch, tasks, nodes) of the nodes that each task reads.
    """

    @property
    def num_tasks(self) -> int:
        """Number of tasks."""
        ...

    @property
    def num_columns(self) -> int:
        """Columns of the bank."""
        ...

    @property
    def positive_bank_inputs(self) -> bool:
        """Whether every input of the bank is above 0."""
        ...

    def initial_head_index(self) -> Any:
        """The head index before any duplication."""
        ...

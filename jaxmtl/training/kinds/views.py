"""A network whose tasks read views of their own: banks and pointers, as training sees them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from jaxmtl._paths import leaf_path, named_leaves
from jaxmtl._pytree import cloned_keys
from jaxmtl.duplication import initial_head_index
from jaxmtl.sharing import Group, Pointers, enlarge, pool_stats, readers, task_view
from jaxmtl.sharing.columns import map_group, view_leaves
from jaxmtl.sharing.groups import PartLike, point
from jaxmtl.training.as_network import as_network
from jaxmtl.training.network import Applied, Network, all_shared


@dataclasses.dataclass(frozen=True)
class ViewNetwork(Network):
    """Another network, of which every task has a view; make it with ``view_network``.

    Parameters are banks, and the ``pointers`` of a run say what each task reads: they are traced,
    so that members of a sweep may be split in different places, and be one program all the same.

    Attributes:
        network: of one task.
        groups: of its units, open.
        num_tasks: number of tasks.

    Example:
        >>> from jaxmtl import HardSharing
        >>> from jaxmtl.sharing import duplicate
        >>> network = view_network(HardSharing(), {"bank": ["bank"]}, jnp.zeros((1, 4)))
        >>> params, _ = network.init(jax.random.key(0), jnp.zeros((1, 4)))
        >>> params["bank"]["kernel"].shape
        (2, 4, 6)
        >>> apart = duplicate(params, network.start(), "bank", 0, [1])
        >>> x = jnp.ones((5, 4))
        >>> before = network.apply(params, None, x).outputs
        >>> bool((network.apply(apart[0], None, x, pointers=apart[1]).outputs == before).all())
        True
    """

    network: Network
    groups: tuple[Group, ...]
    num_tasks: int

    @property
    def widths(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of the network of one task, which has the outputs of all."""
        return self.network.widths or (1,) * self.num_tasks

    def start(self) -> Pointers:
        """Pointers by which every task reads the first units."""
        columns = {g.name: initial_head_index(self.num_tasks, g.units) for g in self.groups}
        return Pointers(columns, self.groups)

    def init(self, key: Key[Array, ""], x: Float[Array, "batch ..."]) -> tuple[PyTree, PyTree]:
        """Banks of the values that the network of one task draws."""
        params, state = self.network.init(key, x)
        pointers = self.start()
        return enlarge(params, pointers), enlarge(state, pointers)

    def apply(
        self,
        params: PyTree,
        state: PyTree,
        x: Float[Array, "batch ..."],
        *,
        pointers: Pointers | None = None,
        key: Key[Array, ""] | None = None,
        train: bool = False,
        taps: Any = None,
    ) -> Applied:
        """The outputs of every task by its view, one view after the other."""
        del taps  # for banks that heads read
        pointers = self.start() if pointers is None else pointers
        columns, states, begin = [], [], 0
        for task, width in enumerate(self.widths):
            found = self.network.apply(
                task_view(params, pointers, task),
                view_leaves(state, pointers, task),
                x,
                key=cloned_keys(key),  # a split must not change what is dropped
                train=train,
            )
            columns.append(found.outputs[:, begin : begin + width])
            states.append(found.state)
            begin += width
        after = None if state is None else pool_stats(state, pointers, states)
        return Applied(jnp.concatenate(columns, axis=1), after)

    def shared(self, params: PyTree, pointers: Pointers | None) -> PyTree:
        """Columns that several tasks read; of leaves of no group, what the network says."""
        pointers = self.start() if pointers is None else pointers
        marks = all_shared(params)
        for group in self.groups:
            several = readers(pointers, group.name).sum(axis=0) > 1
            marks = map_group(
                lambda leaf, several=several: leaf & jnp.broadcast_to(several, leaf.shape),
                marks,
                pointers,
                group.name,
            )
        of_one = self.network.shared(task_view(params, pointers, 0), None)
        places = pointers.places()
        return jax.tree_util.tree_map_with_path(
            lambda path, mark, one: mark if leaf_path(path) in places else one, marks, of_one
        )


def view_network(
    model: Any,
    groups: Mapping[str, Sequence[PartLike]],
    x: Any,
    *,
    num_tasks: int | None = None,
    capacity: int | Mapping[str, int] | None = None,
) -> ViewNetwork:
    """A network of which every task has a view, so that it can be split anywhere.

    A sweep takes the pointers of its members, in place of the head index of a bank.

    Args:
        model: of one task, with the outputs of all; see ``as_network``. Static.
        groups: of units, see ``jaxmtl.sharing.open_banks``; with leaves of the state, too. Static.
        x: rows, or their shape.
        num_tasks: None where the model has ``outputs``.
        capacity: see ``open_banks``.

    Returns:
        The network.

    Raises:
        ValueError: no number of tasks, a network that adds penalties to the loss, of which every
            view would add its own, or what ``open_banks`` refuses.

    Example:
        >>> from jaxmtl import HardSharing
        >>> view_network(HardSharing(), {"bank": [("bank", -1)]}, jnp.zeros((1, 4))).num_tasks
        2
    """
    network = as_network(model)
    if network.has_penalties:
        raise ValueError(
            f"model: expected a network without penalties, got {type(model).__name__}, whose views "
            "would each add theirs to the loss"
        )
    tasks = len(network.widths or ()) if num_tasks is None else num_tasks
    if not tasks:
        raise ValueError("num_tasks: expected it for a network that does not say, got None")
    shape = jax.ShapeDtypeStruct(jnp.shape(x), jnp.float32)
    params, state = jax.eval_shape(network.init, jax.random.key(0), shape)

    leaves = {**named_leaves(params), **named_leaves(state)}
    return ViewNetwork(network, point(groups, leaves, tasks, capacity).groups, tasks)

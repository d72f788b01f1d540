"""Which parameters of a network several tasks reach."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PyTree

from jaxmtl._validate import check_choice

Way = Literal["shared", "separate", "rank_one", "bank"]
Sharing = Way | tuple[int, ...]  # or the number of the group of every task
Names = tuple[str, ...]
Mark = bool | np.ndarray | Bool[Array, "..."]


def mark_shared(params: PyTree, num_tasks: int, is_shared: Callable[[Names], Mark]) -> PyTree:
    """Marks parameters whose value the losses of two tasks or more depend on.

    Args:
        params: nested dictionaries, of which only names and shapes are read.
        num_tasks: with one task, nothing is shared. Static.
        is_shared: from the names on the way to a leaf to one mark, or to marks that broadcast to
            the leaf. Static.

    Returns:
        Booleans in the structure and the shapes of the parameters.

    Example:
        >>> params = {"trunk": {"bias": jnp.ones(2)}, "head": {"bias": jnp.ones(1)}}
        >>> marks = mark_shared(params, 2, lambda names: names[0] == "trunk")
        >>> marks["trunk"]["bias"].tolist(), marks["head"]["bias"].tolist()
        ([True, True], [False])
    """

    def marked(path: Any, leaf: Any) -> Array:
        names = tuple(str(key.key) for key in path)
        return jnp.broadcast_to(num_tasks > 1 and is_shared(names), jnp.shape(leaf))

    return jax.tree_util.tree_map_with_path(marked, params)


def trunk_of_each(sharing: Sharing, tasks: int) -> tuple[int, ...] | None:
    """Which of several trunks each task reads.

    Args:
        sharing: a word, of which only ``"separate"`` has a trunk a task; or the numbers.
        tasks: how many there are.

    Returns:
        A number a task; None where all read one trunk.

    Example:
        >>> trunk_of_each("shared", 3), trunk_of_each("separate", 3), trunk_of_each((0, 0, 1), 3)
        (None, (0, 1, 2), (0, 0, 1))
    """
    if isinstance(sharing, str):
        return tuple(range(tasks)) if sharing == "separate" else None
    return sharing if len(set(sharing)) > 1 else None


def checked_sharing(sharing: Sharing | Sequence[int], tasks: int) -> Sharing:
    """A way of sharing, or the number of the group of each task.

    Args:
        sharing: a word or numbers.
        tasks: how many there are.

    Returns:
        The word, or the numbers as a tuple.

    Raises:
        ValueError: another word, another number of tasks, or numbers that do not begin at 0 and go
            on by 1.

    Example:
        >>> checked_sharing([0, 1, 0], 3)
        (0, 1, 0)
        >>> checked_sharing([1, 0], 2)
        Traceback (most recent call last):
            ...
        ValueError: sharing: expected the number of the group of each of 2 tasks, every new one \
one more than those before it from 0 on, got (1, 0)
    """
    if isinstance(sharing, str):
        check_choice("sharing", sharing, get_args(Way))
        return sharing
    groups = tuple(int(number) for number in sharing)
    if len(groups) != tasks or list(dict.fromkeys(groups)) != list(range(len(set(groups)))):
        raise ValueError(
            f"sharing: expected the number of the group of each of {tasks} tasks, every new one "
            f"one more than those before it from 0 on, got {groups}"
        )
    return groups


def within_groups(marks: Any, name: str, groups: Sequence[int]) -> PyTree:
    """Marks of parameters with a leading axis of groups: those of one task alone are not shared.

    Args:
        marks: of ``mark_shared``.
        name: of the entry whose leaves have that axis.
        groups: the number of the group of each task.

    Returns:
        The marks.

    Example:
        >>> marks = {"trunk": {"bias": jnp.ones((2, 1), bool)}}
        >>> within_groups(marks, "trunk", (0, 0, 1))["trunk"]["bias"].ravel().tolist()
        [True, False]
    """
    several = np.bincount(groups) > 1

    def within(own: Array) -> Array:
        return own & several.reshape(-1, *(1,) * (own.ndim - 1))

    return {**marks, name: jax.tree.map(within, marks[name])}


def along_first(marks: np.ndarray, names: Names) -> np.ndarray:
    """Marks of the first axis of a stack of dense layers, in a shape that broadcasts to the leaf.

    Args:
        marks: one a layer of the stack.
        names: on the way to the leaf, the last of which is ``"kernel"`` or ``"bias"``.

    Returns:
        (stack, 1, 1) for kernels, (stack, 1) for biases.

    Example:
        >>> along_first(np.array([True, False]), ("experts", "layer_0", "bias")).shape
        (2, 1)
    """
    return marks.reshape(-1, *(1,) * (1 if names[-1].endswith("bias") else 2))

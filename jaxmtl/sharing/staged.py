"""A network in stages, each computed once for all tasks whose way to it is the same."""

import inspect
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxmtl._paths import Select, check_matched, leaf_path, matches, named_leaves, patterns_of
from jaxmtl._pytree import cloned_keys
from jaxmtl._validate import is_concrete
from jaxmtl.gradients import LossFn
from jaxmtl.gradients.loss import (
    check_arguments,
    in_form_of,
    loss_vector,
    open_key,
    split_aux,
)
from jaxmtl.sharing.banks import task_view
from jaxmtl.sharing.columns import view_leaves
from jaxmtl.sharing.groups import Pointers
from jaxmtl.sharing.stats import pool_stats


class Stage(NamedTuple):
    """A part of a network.

    Attributes:
        select: paths of the leaves that it reads, a pattern or several; () for none. Static.
        apply: ``apply(params, h)`` gives the next h; the first stage gets the batch. Of the
            parameters it sees what it reads, and None in the place of other leaves. With
            ``has_stats`` it is ``apply(params, h, stats)`` and gives ``(h, stats)``. A parameter
            ``key`` gets the key.

    Example:
        >>> Stage("conv_0", lambda params, x: x * params["conv_0"]).select
        'conv_0'
    """

    select: Select | tuple[()]
    apply: Callable[..., Any]


class Stream(NamedTuple):
    """What stages have made of a batch for one class of tasks."""

    rows: Hashable
    h: PyTree


def staged(
    stages: Sequence[Stage | tuple[Any, Any]],
    loss_fn: LossFn,
    pointers: Pointers,
    *,
    has_stats: bool = False,
) -> LossFn:
    """The losses of all tasks, with every stage computed once for each distinct stream.

    Tasks whose pointers are equal in all stages so far form a class; without a split the network is
    computed once. The numbers are those of ``view_losses``. Which classes there are is static, so
    that a change of structure means another function and another compilation.

    Args:
        stages: the network below the loss, pairs ``(select, apply)``, see ``Stage``. Slices of one
            leaf are read together: split in one, they part every stage that selects it. Static.
        loss_fn: ``loss_fn(params, h, batch)`` gives the losses of all tasks from the last h, a
            vector or scalars by name, and sees all parameters; computed once a class, it should
            hold what is cheap, such as heads. It may have a parameter ``key``.
        pointers: concrete.
        has_stats: whether the stages take and give running statistics. Static.

    Returns:
        ``losses(banks, batch)``, with ``has_stats`` ``losses(banks, batch, stats)``, which gives
        ``(losses, stats)`` pooled over readers; and a ``key`` each. For ``task_gradients``,
        ``aggregated_step`` and all other engines.

    Raises:
        ValueError: traced pointers; when called, a stage that selects no leaf.

    Example:
        >>> from jaxmtl.sharing import duplicate, open_banks
        >>> params = {"a": jnp.array([1.0, 2.0]), "b": jnp.array([3.0])}
        >>> banks, pointers = open_banks(params, {"a": [("a", 0)], "b": [("b", 0)]}, num_tasks=2)
        >>> banks, pointers = duplicate(banks, pointers, "b", 0, [1])
        >>> stages = [("a", lambda p, x: x * p["a"]), ("b", lambda p, h: h * p["b"])]
        >>> losses = staged(stages, lambda p, h, x: h.sum() * jnp.array([1.0, -1.0]), pointers)
        >>> losses(banks, jnp.ones(2)).tolist()  # "a" was computed once, "b" twice
        [9.0, -9.0]
    """
    if not is_concrete(pointers):
        raise ValueError(
            "pointers: expected concrete ones, got traced ones: the streams of staged are static; "
            "view_losses takes traced pointers"
        )
    # Of NumPy, so that what every task reads is known in the trace, too.
    pointers = jax.tree.map(np.asarray, pointers)
    parts = [Stage(*stage) for stage in stages]

    def losses(banks: PyTree, batch: PyTree, *given: PyTree, key: Any = None) -> Any:
        check_arguments(losses, given, {})
        stats = given[0] if has_stats else None
        streams = [Stream((), batch)] * pointers.num_tasks
        for stage in parts:
            streams, stats = _advanced(stage, banks, stats, streams, pointers, key)
        ends: dict[Hashable, Any] = {}
        vector = []
        for task, stream in enumerate(streams):
            rows = _rows(pointers, lambda path: True, task)
            if rows not in ends:
                view = task_view(banks, pointers, task)
                ends[rows] = loss_fn(view, stream.h, batch, **_keyed(loss_fn, key, 3))
            vector.append(_entry(ends[rows], task, pointers.num_tasks))
        value = in_form_of(next(iter(ends.values())), jnp.stack(vector))
        return (value, stats) if has_stats else value

    draws = any(
        open_key(function, given)
        for function, given in [*((part.apply, 2 + has_stats) for part in parts), (loss_fn, 3)]
    )
    losses.__signature__ = _signature(has_stats, draws)  # pyright: ignore[reportFunctionMemberAccess]
    if has_stats:
        losses.has_aux = True  # pyright: ignore[reportFunctionMemberAccess]
    return losses


def _signature(has_stats: bool, draws: bool) -> inspect.Signature:
    """By which engines know what to hand on."""
    names = ["banks", "batch"] + ["stats"] * has_stats
    given = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    key = inspect.Parameter("key", inspect.Parameter.KEYWORD_ONLY, default=None)
    return inspect.Signature([*given, *[key] * draws])


def _advanced(
    stage: Stage,
    banks: PyTree,
    stats: PyTree,
    streams: Sequence[Stream],
    pointers: Pointers,
    key: Any,
) -> tuple[list[Stream], PyTree]:
    """All streams after one stage, and the statistics."""
    patterns = patterns_of(stage.select) if stage.select else ()
    check_matched(patterns, _paths(banks, stats), "the network, in a stage")

    def reads(path: str) -> bool:
        return any(matches(path, pattern) for pattern in patterns)

    own_banks, own_stats = _only(banks, reads), _only(stats, reads)
    done: dict[Hashable, tuple[Stream, PyTree]] = {}
    after, updated = [], []
    for task, stream in enumerate(streams):
        rows = (stream.rows, _rows(pointers, reads, task))
        if rows not in done:
            views = [view_leaves(tree, pointers, task) for tree in (own_banks, own_stats)]
            given = (stream.h,) if stats is None else (stream.h, views[1])
            found = stage.apply(views[0], *given, **_keyed(stage.apply, key, 1 + len(given)))
            h, new = split_aux(found, stats is not None, "stages", "h")
            done[rows] = Stream(rows, h), new
        after.append(done[rows][0])
        updated.append(done[rows][1])
    if stats is None:
        return after, None
    pooled = pool_stats(own_stats, pointers, updated)
    return after, jax.tree.map(
        lambda new, old: old if new is None else new, pooled, stats, is_leaf=lambda x: x is None
    )


def _rows(pointers: Pointers, reads: Callable[[str], bool], task: int) -> Hashable:
    """What a task reads of the groups with a leaf in a stage."""
    return tuple(
        (group.name, np.asarray(pointers[group.name])[task].tobytes())
        for group in pointers.groups
        if any(reads(place.path) for place in group.places)
    )


def _only(tree: PyTree, reads: Callable[[str], bool]) -> PyTree:
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf if reads(leaf_path(path)) else None, tree
    )


def _paths(*trees: PyTree) -> list[str]:
    return [path for tree in trees for path in named_leaves(tree)]


def _keyed(function: Callable[..., Any], key: Any, given: int) -> dict[str, Any]:
    return {} if key is None or open_key(function, given) is None else {"key": cloned_keys(key)}


def _entry(losses: Any, task: int, num_tasks: int) -> Any:
    vector = loss_vector(losses)
    if vector.shape[0] != num_tasks:
        raise ValueError(
            f"loss_fn: expected losses of {num_tasks} tasks, as the pointers have, got "
            f"{vector.shape[0]}"
        )
    return vector[task]

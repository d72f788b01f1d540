"""Task losses and gradients of views, in the form that every engine and aggregator takes."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmtl._paths import listed, named_leaves
from jaxmtl._pytree import cloned_keys
from jaxmtl.gradients import LossFn
from jaxmtl.gradients.loss import Beside, OwnGradients, in_form_of, parts_of, split_aux
from jaxmtl.gradients.tasks import check_parameters
from jaxmtl.sharing.banks import task_view
from jaxmtl.sharing.columns import Entries, Reads, bank_of, map_leaves, view_leaves
from jaxmtl.sharing.groups import Pointers
from jaxmtl.sharing.stats import pool_stats


def view_losses(loss_fn: LossFn, *, has_stats: bool = False, has_aux: bool = False) -> LossFn:
    """The losses of all tasks, each of its own view, from the loss that one network has.

    Entry t is entry t of the loss of the view of task t. Views are computed one after the other. A
    key is handed to every view as it is, so that a slot is dropped for all who read its column, and
    a split changes no prediction in training either.

    Args:
        loss_fn: ``loss_fn(params, batch, *args)`` gives the losses of all tasks from one network's
            parameters, a vector or scalars by name; it may have a parameter ``key``.
        has_stats: whether its third argument are running statistics, and it gives
            ``(losses, stats)``. Static.
        has_aux: whether it gives ``(losses, aux)``, or ``(losses, (stats, aux))``. Static.

    Returns:
        ``losses(banks, batch, pointers, *args)``, for ``task_gradients``, ``aggregated_step``,
        ``gramian_step`` and the like: the pointers are the first of the arguments behind the batch.
        With ``has_stats`` it is ``losses(banks, batch, pointers, stats, *args)`` and gives
        ``(losses, stats)``, banks pooled over readers (``pool_stats``). Aux comes stacked, tasks
        first. ``task_gradients`` of it, and so ``aggregated_step``, spares every task the way
        back through the views of the others; ``gramian_step`` goes it.

    Raises:
        ValueError: a loss of another number of tasks than the pointers have; see also
            ``task_gradients``.

    Example:
        >>> import jax
        >>> import optax
        >>> import jaxmtl.aggregation as ag
        >>> from jaxmtl.sharing import duplicate, open_banks
        >>> loss_fn = lambda w, x: jnp.stack([((w - x) ** 2).sum(), ((w + x) ** 2).sum()])
        >>> banks, pointers = open_banks({"w": jnp.ones(2)}, {"w": [("w", 0)]}, 2, capacity=3)
        >>> losses = view_losses(lambda params, batch: loss_fn(params["w"], batch))
        >>> banks, pointers = duplicate(banks, pointers, "w", 0, [1])
        >>> losses(banks, jnp.array([1.0, 0.0]), pointers).tolist()
        [1.0, 5.0]
        >>> init, step = ag.aggregated_step(losses, ag.sum(), optax.sgd(0.25))
        >>> state = init(banks, jnp.array([1.0, 0.0]), pointers)
        >>> jax.jit(step)(banks, state, jnp.array([1.0, 0.0]), pointers)[0]["w"].tolist()
        [1.0, 0.0, 0.0]
    """

    def losses(banks: PyTree, batch: PyTree, pointers: Pointers, *args: Any, **kwargs: Any) -> Any:
        stats, args = _stats_of(args, has_stats)
        one = _loss_of_one(loss_fn, has_stats, has_aux)
        found = []
        for task in range(pointers.num_tasks):
            views = task_view(banks, pointers, task), view_leaves(stats, pointers, task)
            keyed = cloned_keys(kwargs)  # all views draw the same
            found.append(one(*views, task, pointers.num_tasks, batch, args, keyed))
        return _value(found, stats, pointers, has_stats, has_aux)

    losses.__signature__ = _with_pointers(loss_fn)  # pyright: ignore[reportFunctionMemberAccess]
    losses.own_gradients = OwnGradients(  # pyright: ignore[reportFunctionMemberAccess]
        losses, lambda: _gradients(loss_fn, has_stats, has_aux, of_banks=True)
    )
    if has_stats or has_aux:
        losses.has_aux = True  # pyright: ignore[reportFunctionMemberAccess]
    return losses


def view_gradients(
    loss_fn: LossFn, *, has_stats: bool = False, has_aux: bool = False
) -> Callable[..., tuple[Any, PyTree]]:
    """Gradient of every task's loss in the slots of its own view: where tasks conflict is in here.

    Args:
        loss_fn: see ``view_losses``.
        has_stats: see ``view_losses``.
        has_aux: see ``view_losses``.

    Returns:
        A function of the arguments that ``view_losses`` gives its function. It returns what that
        returns, and a pytree like the *network's* parameters whose leaves have a leading task axis.
        ``unit_gradients`` are slices of it, over all leaves of a group; ``to_banks`` moves all to
        their columns.

    Raises:
        ValueError: see ``view_losses``.

    Example:
        >>> from jaxmtl.sharing import open_banks
        >>> loss_fn = lambda params, x: jnp.stack([params["w"][0] * x, params["w"][1] ** 2])
        >>> banks, pointers = open_banks({"w": jnp.ones(2)}, {"w": [("w", 0)]}, num_tasks=2)
        >>> losses, grads = view_gradients(loss_fn)(banks, 5.0, pointers)
        >>> grads["w"].tolist(), to_banks(grads, pointers)["w"].tolist()
        ([[5.0, 0.0], [0.0, 2.0]], [[5.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]])
    """
    return _gradients(loss_fn, has_stats, has_aux, of_banks=False)


def to_banks(grads: PyTree, pointers: Pointers) -> PyTree:
    """Moves task gradients of views to the columns that every task reads; 0 where it reads none.

    Their sum over tasks is the gradient of the banks.

    Args:
        grads: from ``view_gradients``, leaves (tasks, ...), traced.
        pointers: traced.

    Returns:
        Leaves (tasks, ...) in the shapes of the banks.

    Example:
        >>> from jaxmtl.sharing import open_banks
        >>> _, pointers = open_banks({"w": jnp.ones(2)}, {"w": [("w", 0)]}, 2, capacity=3)
        >>> to_banks({"w": jnp.ones((2, 2))}, pointers)["w"].tolist()
        [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]]
    """

    reads = [Reads(pointers, task) for task in range(pointers.num_tasks)]

    def moved(leaf: Array, entries: Entries) -> Array:
        return jnp.stack([bank_of(leaf[task], entries, own)[0] for task, own in enumerate(reads)])

    return map_leaves(moved, grads, pointers, some=True)


def unit_gradients(
    grads: PyTree, pointers: Pointers, group: str
) -> Float[Array, "tasks units numbers"]:
    """Gradients of views, a row for each task and slot of a group, over all of its leaves.

    Two tasks read one column where ``pointers[group]`` is equal; whether they agree on it is in the
    signs and the inner product of their two rows.

    Args:
        grads: from ``view_gradients``, leaves (tasks, ...), traced. Leaves of the group that are
            not in it, such as running statistics, are left out.
        pointers: traced; of which the groups are used.
        group: static.

    Returns:
        (tasks, units, numbers of a unit), leaf after leaf in the order of the group.

    Raises:
        ValueError: an unknown group, or a tree without its leaves.

    Example:
        >>> from jaxmtl.sharing import open_banks
        >>> params = {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}
        >>> _, pointers = open_banks(params, {"dense": [("kernel", -1), ("bias", 0)]}, num_tasks=4)
        >>> grads = {"kernel": jnp.ones((4, 2, 3)), "bias": jnp.zeros((4, 3))}
        >>> rows = unit_gradients(grads, pointers, "dense")
        >>> rows.shape, rows[0, 0].tolist()
        ((4, 3, 3), [1.0, 1.0, 0.0])
    """
    found, leaves = pointers.group(group), named_leaves(grads)
    rows = []
    for place in found.places:
        if place.path not in leaves:
            continue
        leaf, axis = leaves[place.path], place.axis + 1
        leaf = jnp.expand_dims(leaf, axis) if place.new else leaf
        if place.at is not None:
            sliced, number = place.at
            leaf = jax.lax.index_in_dim(leaf, number, sliced + 1, keepdims=False)
            axis -= sliced + 1 < axis
        # Of wide units, the entries of one stand side by side.
        rows.append(jnp.moveaxis(leaf, axis, 1).reshape(len(leaf), found.units, -1))
    if not rows:
        raise ValueError(
            f"grads: expected leaves of group {group!r}, such as {found.places[0].path!r}, got "
            f"{listed([*leaves], 3)}"
        )
    return jnp.concatenate(rows, axis=-1)


def _gradients(
    loss_fn: LossFn, has_stats: bool, has_aux: bool, *, of_banks: bool
) -> Callable[..., tuple[Any, PyTree]]:
    def gradients(
        banks: PyTree, batch: PyTree, pointers: Pointers, *args: Any, **kwargs: Any
    ) -> tuple[Any, PyTree]:
        check_parameters(banks)
        stats, args = _stats_of(args, has_stats)
        one = _loss_of_one(loss_fn, has_stats, has_aux)
        differentiated = jax.value_and_grad(one, has_aux=True)
        found, grads = [], []
        for task in range(pointers.num_tasks):
            views = task_view(banks, pointers, task), view_leaves(stats, pointers, task)
            keyed = cloned_keys(kwargs)  # all views draw the same
            value, grad = differentiated(*views, task, pointers.num_tasks, batch, args, keyed)
            found.append(value)
            grads.append(grad)
        stacked = jax.tree.map(lambda *rows: jnp.stack(rows), *grads)
        value = _value(found, stats, pointers, has_stats, has_aux)
        return value, to_banks(stacked, pointers) if of_banks else stacked

    return gradients


def _loss_of_one(loss_fn: LossFn, has_stats: bool, has_aux: bool) -> Callable[..., Any]:
    parts = parts_of(loss_fn, has_stats or has_aux)

    def one(
        view: PyTree,
        stats: PyTree,
        task: int,
        num_tasks: int,
        batch: PyTree,
        args: Any,
        kwargs: Any,
    ) -> tuple[Float[Array, ""], Beside]:
        given = (stats, *args) if has_stats else args
        vector, beside = parts(view, batch, *given, **kwargs)
        if vector.shape[0] != num_tasks:
            raise ValueError(
                f"loss_fn: expected losses of {num_tasks} tasks, as the pointers have, got "
                f"{vector.shape[0]}"
            )
        return vector[task], beside

    return one


def _value(
    found: list[tuple[Array, Beside]],
    stats: PyTree,
    pointers: Pointers,
    has_stats: bool,
    has_aux: bool,
) -> Any:
    """What the views gave, as one network would have given it."""
    vector, beside = jnp.stack([loss for loss, _ in found]), found[0][1]
    losses = in_form_of(beside.named, vector)
    aux = [beside.aux for _, beside in found]
    if not has_stats:
        return (losses, _stacked(aux)) if has_aux else losses
    if not has_aux:
        return losses, pool_stats(stats, pointers, aux)
    pairs = [split_aux(pair, True, "loss_fn", "stats") for pair in aux]
    pooled = pool_stats(stats, pointers, [updated for updated, _ in pairs])
    return losses, (pooled, _stacked([rest for _, rest in pairs]))


def _stacked(trees: list[PyTree]) -> PyTree:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _stats_of(args: tuple[Any, ...], has_stats: bool) -> tuple[PyTree, tuple[Any, ...]]:
    if not has_stats:
        return None, args
    if not args:
        raise ValueError(
            "stats: expected the running statistics behind the pointers with has_stats=True, got "
            "nothing"
        )
    return args[0], args[1:]


def _with_pointers(loss_fn: LossFn) -> inspect.Signature | None:
    """The signature of the loss with the pointers behind the batch; None where it tells none."""
    pointers = inspect.Parameter("pointers", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        signature = inspect.signature(loss_fn)
        parameters = list(signature.parameters.values())
        return signature.replace(parameters=[*parameters[:2], pointers, *parameters[2:]])
    except (TypeError, ValueError):  # builtins and extensions; (*args, **kwargs)
        return None

"""The gradient of every task's loss, all at once or in chunks of tasks."""

import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxmtl.gradients.convolutions import lay_out
from jaxmtl.gradients.loss import LossFn, gives_aux, parts_of, value_of

# Bytes of all tasks' gradients, or of what their backward passes hold side by side, from which
# XLA's programs for CPU lose more by moving them (it lays the gradients of a kernel out with the
# tasks inside, then moves every number) than by a loop.
CACHE = 2**21


def task_gradients(
    loss_fn: LossFn, *, chunk: int | None = None, has_aux: bool = False
) -> Callable[..., tuple[Any, PyTree]]:
    """Gradient of every task's loss: one forward pass, one backward pass a task.

    Args:
        loss_fn: ``loss_fn(params, batch)`` gives the losses, a vector (tasks,) or scalars by name:
            a dict, NamedTuple or dataclass, whose order is that of ``jax.tree.leaves``
            (alphabetical for a dict). It may take more arguments, which are not differentiated.
            Losses of ``jaxmtl.sharing`` bring a shorter way of their own.
        chunk: tasks whose backward passes run side by side, static; None for all, or one by one
            on CPU once gradients or activations outgrow its caches: whatever is faster. The numbers
            are the same; the memory for what a backward pass holds (about that of the activations)
            is ``chunk`` times that of one. The result itself, tasks times the parameters, stays;
            see ``task_gramian`` for doing without it.
        has_aux: whether the loss gives a pair (losses, aux), such as running statistics. Static.

    Returns:
        A function of (params, batch) and whatever else the loss takes that returns the losses as
        the loss gave them, with ``has_aux`` the pair (losses, aux), and a pytree like params whose
        leaves have a leading task axis: leaf t is the gradient of the t-th loss.

    Raises:
        ValueError: the loss is neither a vector nor scalars by name, or a chunk below 1; see also
            ``check_parameters``.

    Example:
        >>> import jax.numpy as jnp
        >>> loss_fn = lambda w, x: jnp.stack([w[0] * x, w[1] ** 2])
        >>> losses, grads = task_gradients(loss_fn)(jnp.array([2.0, 3.0]), 5.0)
        >>> losses.tolist(), grads.tolist()
        ([10.0, 9.0], [[5.0, 0.0], [0.0, 6.0]])
        >>> centred = lambda w, x, mean: (jnp.stack([w * (x - mean), w**2]), 0.9 * mean + 0.1 * x)
        >>> (losses, mean), grads = task_gradients(centred, has_aux=True)(jnp.array(3.0), 5.0, 1.0)
        >>> losses.tolist(), mean, grads.tolist()
        ([12.0, 9.0], 1.4, [4.0, 6.0])
    """
    check_chunk(chunk)
    has_aux = gives_aux(loss_fn, has_aux)
    own = getattr(loss_fn, "own_gradients", None)
    if own is not None and own.of is loss_fn:
        return own.make()
    parts = parts_of(loss_fn, has_aux)

    def gradients(params: PyTree, batch: PyTree, *args: Any, **kwargs: Any) -> tuple[Any, PyTree]:
        check_parameters(params)
        losses, pullback, beside = jax.vjp(
            lambda p: parts(p, batch, *args, **kwargs), params, has_aux=True
        )
        value = value_of(losses, beside, has_aux)
        basis = jnp.eye(losses.shape[0], dtype=losses.dtype)
        size = max(map(_bytes, (params, pullback)))

        def one_by_one(basis: Array) -> PyTree:
            return map_chunks(lambda row: pullback(row)[0], basis, 1)

        def at_once(basis: Array) -> PyTree:
            return map_chunks(lambda row: pullback(row)[0], basis, chunk)

        if chunk is None and losses.size * size > CACHE:
            return value, jax.lax.platform_dependent(basis, cpu=one_by_one, default=at_once)
        return value, at_once(basis)

    return gradients


def _bytes(tree: PyTree) -> int:
    return sum(jnp.size(leaf) * jnp.result_type(leaf).itemsize for leaf in jax.tree.leaves(tree))


def map_chunks(fn: Callable[[PyTree], PyTree], xs: PyTree, chunk: int | None) -> PyTree:
    """``vmap`` of a function over the leading axis, ``chunk`` entries at a time."""
    length = jax.tree.leaves(xs)[0].shape[0]
    if chunk is None or chunk >= length:
        return jax.vmap(fn)(xs)
    if chunk == 1:
        return jax.lax.map(lay_out(fn), xs)
    return jax.lax.map(fn, xs, batch_size=chunk)


def check_chunk(chunk: int | None) -> None:
    """Raises ValueError unless a chunk is None or at least 1."""
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk: expected None or a number >= 1, got {chunk!r}")


def check_parameters(params: PyTree) -> None:
    """Refuses parameters that could not be trained, or only in part.

    Raises:
        ValueError: a leaf that has no gradient: a function, a counter, a mask, a key; an nnx module
            or state with more in it than parameters: statistics would stay what they are, unseen,
            or move as if they were parameters.

    Example:
        >>> import jax.numpy as jnp
        >>> check_parameters({"kernel": jnp.ones(2)})
        >>> check_parameters({"kernel": jnp.ones(2), "seen": 3})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        ValueError: params['seen']: expected a floating array, got int: ...
    """
    _check_nnx(params)
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        name = f"params{jax.tree_util.keystr(path)}"
        if not (hasattr(leaf, "dtype") or isinstance(leaf, int | float | complex)):
            raise ValueError(
                f"{name}: expected an array, got "
                f"{type(leaf).__name__}: keep what is not trained apart from the parameters"
            )
        dtype = getattr(leaf, "dtype", type(leaf))
        if not jnp.issubdtype(dtype, jnp.inexact):
            raise ValueError(
                f"{name}: expected a floating array, got {getattr(dtype, '__name__', dtype)}: "
                "train the floating leaves and hand on the rest as an argument"
            )


def _check_nnx(params: PyTree) -> None:
    nnx = sys.modules.get("flax.nnx")
    if nnx is None:
        return

    def of_nnx(part: Any) -> bool:
        return isinstance(part, nnx.Module | nnx.State)

    for part in filter(of_nnx, jax.tree.leaves(params, is_leaf=of_nnx)):
        state = nnx.state(part) if isinstance(part, nnx.Module) else part
        if jax.tree.leaves(nnx.filter_state(state, nnx.Not(nnx.Param))):
            kind = "module" if isinstance(part, nnx.Module) else "state"
            raise ValueError(
                f"params: expected parameters alone, got the nnx {kind} {type(part).__name__} "
                "whose statistics would never move: nnx.split it, train the state of nnx.Param and "
                "hand on the rest as an argument of the loss, which gives it back with has_aux=True"
            )

"""What a loss function takes and gives: a loss a task, by number or by name, and what comes along.

The general form is ``loss_fn(params, batch, *args, key=...) -> (losses, aux)``; the plain one,
``loss_fn(params, batch) -> losses``, adds nothing to the program.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmtl._words import kind_of

LossFn = Callable[..., Any]


class Beside(NamedTuple):
    """What a loss gives beside the vector that is differentiated.

    Attributes:
        named: the losses as the function gave them, if that was by name; None for a vector.
        aux: what came with them; None without ``has_aux``.
    """

    named: PyTree
    aux: PyTree


class OwnGradients(NamedTuple):
    """A shorter way to the task gradients of one loss, which its attribute ``own_gradients`` has.

    Attributes:
        of: the loss. A function that wraps it, and copies its attributes, is another.
        make: makes what ``task_gradients`` of it returns.
    """

    of: LossFn
    make: Callable[[], Callable[..., tuple[Any, PyTree]]]


def loss_vector(losses: PyTree) -> Float[Array, " tasks"]:
    """The losses as a vector: those by name in the order of ``jax.tree.leaves``.

    Raises:
        ValueError: they are neither a vector nor scalars by name, or no floating numbers.

    Example:
        >>> import jax.numpy as jnp
        >>> loss_vector({"price": jnp.array(2.0), "demand": jnp.array(1.0)}).tolist()
        [1.0, 2.0]
    """
    names = loss_names(losses)
    if names is not None:
        leaves = jax.tree.leaves(losses)
        for name, leaf in zip(names, leaves, strict=True):
            if jnp.ndim(leaf):
                raise ValueError(
                    f"loss_fn: expected one number a task, got shape {jnp.shape(leaf)} for the "
                    f"task {name!r}: take its mean"
                )
        if not leaves:
            raise ValueError(
                f"loss_fn: expected one loss a task, got an empty {type(losses).__name__}"
            )
        return _of_floats(jnp.stack([jnp.asarray(leaf) for leaf in leaves]))
    if losses is None:
        raise ValueError("loss_fn: expected one loss a task, got None: return the losses")
    if isinstance(losses, tuple | list):
        raise ValueError(
            "loss_fn: expected a vector with one loss a task, "
            f"got a {type(losses).__name__}: jnp.stack it, or ask for has_aux=True if its second "
            "part is no loss"
        )
    if jnp.ndim(losses) != 1:
        raise ValueError(
            "loss_fn: expected a vector with one loss a task, "
            f"got shape {jnp.shape(losses)}: {_vector_of(jnp.shape(losses))}"
        )
    if not jnp.size(losses):
        raise ValueError("loss_fn: expected one loss a task, got an empty vector")
    return _of_floats(losses)


def _of_floats(losses: Array) -> Array:
    """Refuses losses along which JAX's derivatives are 0 without a word."""
    found = jnp.result_type(losses)
    if not jnp.issubdtype(found, jnp.floating):
        raise ValueError(
            f"loss_fn: expected floating losses, got {found}, along which there is no gradient: "
            "compute them as floats"
        )
    return losses


def _vector_of(shape: tuple[int, ...]) -> str:
    """How losses of another shape become a vector."""
    if not shape:
        return "leave out the sum over tasks, or jnp.stack the losses"
    if len(shape) == 2 and shape[1] == 1:
        return "take losses[:, 0]"
    return "take their mean over rows, losses.mean(axis=0) if tasks come last"


def check_arguments(loss_fn: LossFn, args: Sequence[Any], keyed: Mapping[str, Any]) -> None:
    """Refuses to call a loss with too few or too many arguments.

    Args:
        loss_fn: called ``loss_fn(params, batch, *args, **keyed)``.
        args: after parameters and batch.
        keyed: by name.

    Raises:
        ValueError: it takes others.

    Example:
        >>> check_arguments(lambda params, batch, stats: 0.0, (1.0,), {})
        >>> check_arguments(lambda params, batch, stats: 0.0, (), {})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        ValueError: loss_fn: expected arguments (params, batch, stats), got 2 of them: ...
    """
    if not callable(loss_fn):
        raise ValueError(
            f"loss_fn: expected a function of parameters and batch, got {type(loss_fn).__name__}"
        )
    try:
        signature = inspect.signature(loss_fn)
    except (TypeError, ValueError):  # builtins and extensions
        return
    try:
        signature.bind(None, None, *args, **keyed)
    except TypeError as error:
        names = ", ".join(signature.parameters)
        raise ValueError(
            f"loss_fn: expected arguments ({names}), got {2 + len(args)} of them: what comes "
            "after the batch is given to init(params, batch, ...) and step(params, state, batch, "
            "...), or bound beforehand"
        ) from error


def loss_names(losses: PyTree) -> tuple[str, ...] | None:
    """Names of the tasks, where the losses have them: a dict, a NamedTuple, a dataclass.

    They are in the order of ``jax.tree.leaves``, which is alphabetical for a dict; names within
    names are joined by a stroke.

    Example:
        >>> loss_names({"price": 2.0, "demand": {"day": 1.0, "night": 3.0}})
        ('demand/day', 'demand/night', 'price')
        >>> loss_names([1.0, 2.0]) is None
        True
    """
    by_number = isinstance(losses, list) or (
        isinstance(losses, tuple) and not hasattr(losses, "_fields")
    )
    if losses is None or by_number or jax.tree_util.all_leaves([losses]):
        return None
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(losses)]
    return tuple(jax.tree_util.keystr(path, simple=True, separator="/") for path in paths)


def in_form_of(losses: PyTree, vector: Float[Array, " tasks"]) -> PyTree:
    """Another vector in the form of the losses.

    Example:
        >>> import jax.numpy as jnp
        >>> in_form_of({"b": 0.0, "a": 0.0}, jnp.array([1.0, 2.0]))["b"].item()
        2.0
    """
    if loss_names(losses) is None:
        return vector
    return jax.tree.unflatten(jax.tree.structure(losses), list(jnp.unstack(vector)))


def split_aux(found: Any, has_aux: bool, name: str, value: str) -> tuple[Any, PyTree]:
    """What a function gives, and its aux; None without ``has_aux``.

    Raises:
        ValueError: it is no pair though ``has_aux`` says so.

    Example:
        >>> split_aux((1.0, "aux"), True, "loss_fn", "losses"), split_aux(1.0, False, "", "")
        ((1.0, 'aux'), (1.0, None))
    """
    if not has_aux:
        return found, None
    if not isinstance(found, tuple) or len(found) != 2 or hasattr(found, "_fields"):
        raise ValueError(
            f"{name}: expected a pair ({value}, aux) with has_aux=True, "
            f"got {f'{len(found)} parts' if isinstance(found, tuple) else kind_of(found)}"
        )
    return found


def parts_of(loss_fn: LossFn, has_aux: bool) -> Callable[..., tuple[Array, Beside]]:
    """The loss as engines differentiate it: ``jax.vjp(..., has_aux=True)``.

    Args:
        loss_fn: any.
        has_aux: whether it gives ``(losses, aux)``.

    Returns:
        A function of the same arguments that gives the vector and what is beside it.

    Example:
        >>> import jax.numpy as jnp
        >>> losses, beside = parts_of(lambda w, x: {"a": w * x}, False)(jnp.array(2.0), 3.0)
        >>> losses.tolist(), beside.named["a"].item(), beside.aux
        ([6.0], 6.0, None)
    """

    def parts(params: PyTree, batch: PyTree, *args: Any, **kwargs: Any) -> tuple[Array, Beside]:
        check_arguments(loss_fn, args, kwargs)
        found = loss_fn(params, batch, *args, **kwargs)
        losses, aux = split_aux(found, has_aux, "loss_fn", "losses")
        named = None if loss_names(losses) is None else losses
        return loss_vector(losses), Beside(named, aux)

    return parts


def value_of(losses: Float[Array, " tasks"], beside: Beside, has_aux: bool) -> Any:
    """What the loss function gave: losses, or the pair of losses and aux.

    Example:
        >>> value_of(2.0, Beside(None, "aux"), True)
        (2.0, 'aux')
    """
    given = losses if beside.named is None else beside.named
    return (given, beside.aux) if has_aux else given


def gives_aux(loss_fn: LossFn, has_aux: bool) -> bool:
    """Whether a loss gives a pair: as said, or as a ``SplitLoss`` says itself.

    Raises:
        ValueError: it is said of a ``SplitLoss`` that says otherwise.

    Example:
        >>> import jaxmtl.aggregation as ag
        >>> split = ag.SplitLoss(lambda w, x: (w * x, x), lambda v, z, x: v * z, has_aux=True)
        >>> gives_aux(split, False)
        True
    """
    own = getattr(loss_fn, "has_aux", None)
    if has_aux and own is False:
        raise ValueError(
            "has_aux: expected it of the SplitLoss, whose trunk gives the aux: "
            "SplitLoss(trunk, heads, has_aux=True)"
        )
    return has_aux or own is True


def open_key(function: Callable[..., Any], given: int) -> inspect.Parameter | None:
    """The parameter ``key`` that so many arguments by position leave open; None without.

    Example:
        >>> open_key(lambda params, batch, key: 0.0, 2).name
        'key'
        >>> open_key(lambda params, batch, key: 0.0, 3) is None
        True
    """
    parameters = parameters_of(function)
    found = parameters.get("key")
    if found is None or found.kind not in (found.POSITIONAL_OR_KEYWORD, found.KEYWORD_ONLY):
        return None
    by_position = found.kind is found.POSITIONAL_OR_KEYWORD
    return None if by_position and list(parameters).index("key") < given else found


def parameters_of(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters of a function; none of one that does not tell them.

    Example:
        >>> list(parameters_of(lambda params, batch: 0.0))
        ['params', 'batch']
    """
    try:
        return dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # builtins and extensions
        return {}

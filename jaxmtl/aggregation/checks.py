"""What steps are given in place of what they want, told in one sentence before it is used."""

import inspect
from collections.abc import Callable
from typing import Any

import jax

from jaxmtl._modes import check_optimizer
from jaxmtl._words import not_called


def check_method(name: str, method: Any, wanted: type) -> None:
    """Refuses what is no method.

    Args:
        name: of the argument.
        method: to be checked.
        wanted: its class.

    Raises:
        ValueError: it is of another kind, or a function that has not been called yet.

    Example:
        >>> import jaxmtl.aggregation as ag
        >>> check_method("aggregator", ag.mgda(), ag.Aggregator)
        >>> check_method("aggregator", ag.mgda, ag.Aggregator)
        Traceback (most recent call last):
            ...
        ValueError: aggregator: expected an Aggregator, got the function mgda: call it, mgda()
    """
    if isinstance(method, wanted):
        return
    made_by = "the functions of jaxmtl.aggregation, upgrad() say, make them"
    called = None if inspect.isclass(method) else not_called(method)
    what, advice = called or (type(method).__name__, made_by)
    article = "an" if wanted.__name__[0] in "AEIOU" else "a"
    raise ValueError(f"{name}: expected {article} {wanted.__name__}, got {what}: {advice}")


def check_parts(name: str, method: Any, wanted: type, optimizer: Any) -> None:
    """Refuses what is no method, see ``check_method``, or no optimizer.

    Example:
        >>> import optax
        >>> import jaxmtl.aggregation as ag
        >>> check_parts("aggregator", ag.mgda(), ag.Aggregator, optax.sgd(0.1))
    """
    check_method(name, method, wanted)
    check_optimizer(optimizer)


def check_info(info: Any, wanted: type) -> None:
    """Refuses an update of a method of one's own whose third result is no info.

    Args:
        info: what the update returned last.
        wanted: its class.

    Raises:
        ValueError: it is something else.

    Example:
        >>> import jaxmtl.aggregation as ag
        >>> check_info(None, ag.AggregationInfo)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        ValueError: aggregator: expected update to return (gradient, state, AggregationInfo)...
    """
    if not isinstance(info, wanted):
        raise ValueError(
            f"aggregator: expected update to return (gradient, state, {wanted.__name__}), got "
            f"{type(info).__name__} in the place of the info: make it with "
            "jaxmtl.aggregation.contract.describe(gram, context)"
        )


def check_kind(state: Any, kind: type) -> None:
    """Refuses what is no state of a step.

    Raises:
        ValueError: it is something else.

    Example:
        >>> check_kind((), dict)
        Traceback (most recent call last):
            ...
        ValueError: state: expected the dict that init(params, batch) gives, got tuple
    """
    if not isinstance(state, kind):
        raise ValueError(
            f"state: expected the {kind.__name__} that init(params, batch) gives, "
            f"got {type(state).__name__}"
        )


def check_state(state: Any, init: Callable[[], Any], tasks: int) -> None:
    """Refuses the state of another method or number of tasks.

    Args:
        state: of the method.
        init: makes its first state, of which the shapes alone are asked for.
        tasks: number of losses.

    Raises:
        ValueError: it is another's.

    Example:
        >>> import jax.numpy as jnp
        >>> start = lambda: {"weights": jnp.ones(3)}
        >>> check_state({"weights": jnp.ones(3)}, start, 3)
        >>> check_state({"weights": jnp.ones(2)}, start, 3)
        Traceback (most recent call last):
            ...
        ValueError: state['weights']: expected shape (3,) for 3 tasks, got (2,): start from init
    """
    expected = jax.eval_shape(init)
    if jax.tree.structure(state) != jax.tree.structure(expected):
        raise ValueError(
            f"state: expected that of this method, {_form(expected)}, got that of another, "
            f"{_form(state)}: start from init"
        )
    for (path, leaf), wanted in zip(
        jax.tree_util.tree_leaves_with_path(state), jax.tree.leaves(expected), strict=True
    ):
        shape = getattr(leaf, "shape", ())
        if shape != wanted.shape:
            raise ValueError(
                f"state{jax.tree_util.keystr(path)}: expected shape {wanted.shape} for {tasks} "
                f"tasks, got {shape}: start from init"
            )


def _form(state: Any) -> str:
    if hasattr(state, "shape"):
        return f"an array of shape {state.shape}"
    return "no state" if state == () else type(state).__name__

"""One method of several, chosen by a number inside the program."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree

from jaxmtl._validate import is_concrete
from jaxmtl._words import short
from jaxmtl.aggregation.contract import AggregationInfo, Aggregator, Context, Weighed
from jaxmtl.aggregation.known import as_aggregator, make_named
from jaxmtl.aggregation.losses import Scalarizer

Method = Aggregator | Scalarizer | str


def choose(index: int | Int[Array, ""], methods: Sequence[Method]) -> Aggregator | Scalarizer:
    """The method of that number, chosen while the program runs: one program for all of them.

    Under ``vmap`` over the number, every member pays for all methods, as XLA computes each and then
    takes one; in a loop, only for the one that is chosen. Every method keeps a state of its own,
    which stands still while another is chosen.

    Args:
        index: from 0, static or traced; one that is traced and out of range is moved into it.
        methods: at least one: aggregators, loss methods or names. Loss methods alone give a loss
            method, beside aggregators they count as ``from_losses`` of them.

    Returns:
        The method; its state is the tuple of all states. ``info.weights`` is None if it is for one
        of the methods, and ``rule`` is there if all have one.

    Raises:
        ValueError: no methods, a number out of range; at the update, methods of which one tells its
            info by group and another does not.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxmtl.aggregation as ag
        >>> grads = jnp.array([[2.0, 0.0], [4.0, 2.0]])
        >>> def combined(i):
        ...     method = choose(i, [ag.mean(), "sum", ag.cagrad(c=0.0)])
        ...     return method.update(grads, method.init(grads))[0]
        >>> jax.jit(jax.vmap(combined))(jnp.arange(3)).tolist()
        [[3.0, 1.0], [6.0, 2.0], [3.0, 1.0]]
    """
    _check(index, methods)
    found: list[Any] = [
        make_named(one, of="methods") if isinstance(one, str) else one for one in methods
    ]
    at = jnp.asarray(index, jnp.int32) if is_concrete(index) else index
    if all(isinstance(one, Scalarizer) for one in found):
        return _of_losses(at, found)
    return _of_gradients(at, [as_aggregator(one) for one in found])


def _of_gradients(at: Any, methods: Sequence[Aggregator]) -> Aggregator:
    def update(task_grads: PyTree, state: Any, **given: Any) -> Any:
        def by(number: int) -> Any:
            grads, new, info = methods[number].update(task_grads, state[number], **_alone(given))
            weights = info.weights if has_weights else None
            return grads, _with(state, number, new), info._replace(weights=weights)

        infos = [_info_of(method, task_grads, state[k], given) for k, method in enumerate(methods)]
        has_weights = all(info.weights is not None for info in infos)
        if len({info.cosines.shape for info in infos}) > 1:
            shapes = ", ".join(str(info.cosines.shape[:-2]) for info in infos)
            raise ValueError(
                "choose: expected methods that all have one info, or one for each of the same "
                f"groups, got infos of shapes {shapes}"
            )
        return _switch(at, by, len(methods))

    def rule(gram: Any, state: Any, context: Context) -> Weighed:
        def by(number: int) -> Weighed:
            method_rule = methods[number].rule
            assert method_rule is not None
            found = method_rule(gram, state[number], context._replace(key=_own(context.key)))
            return Weighed(
                weights=found.weights.astype(gram.dtype),
                state=_with(state, number, found.state),
                converged=jnp.asarray(found.converged),
                residual=jnp.asarray(found.residual, gram.dtype),
            )

        return _switch(at, by, len(methods))

    return Aggregator(
        init=lambda task_grads: tuple(method.init(task_grads) for method in methods),
        update=update,
        rule=None if any(method.rule is None for method in methods) else rule,
        weighted=all(method.weighted for method in methods),
    )


def _of_losses(at: Any, methods: Sequence[Scalarizer]) -> Scalarizer:
    def scalarize(losses: Any, state: Any, **given: Any) -> Any:
        def by(number: int) -> Any:
            loss, new, weights = methods[number].scalarize(losses, state[number], **_alone(given))
            return loss, _with(state, number, new), weights

        return _switch(at, by, len(methods))

    def observe(losses: Any, state: Any, **given: Any) -> Any:
        def by(number: int) -> Any:
            look = methods[number].observe
            new = state[number] if look is None else look(losses, state[number], **given)
            return _with(state, number, new)

        return _switch(at, by, len(methods))

    return Scalarizer(
        init=lambda num_tasks, dtype=None: tuple(m.init(num_tasks, dtype) for m in methods),
        scalarize=scalarize,
        observe=None if all(method.observe is None for method in methods) else observe,
    )


def _switch(at: Any, by: Callable[[int], Any], methods: int) -> Any:
    return jax.lax.switch(at, [functools.partial(by, number) for number in range(methods)])


def _alone(given: dict[str, Any]) -> dict[str, Any]:
    return given | {"key": _own(given["key"])} if "key" in given else given


def _own(key: Any) -> Any:
    """Of the methods one alone draws by it, though under ``vmap`` all are computed."""
    return None if key is None else jax.random.clone(key)


def _with(states: Any, number: int, new: Any) -> tuple[Any, ...]:
    return (*states[:number], new, *states[number + 1 :])


def _info_of(method: Aggregator, task_grads: PyTree, state: Any, given: Any) -> AggregationInfo:
    arrays = (task_grads, state, given)
    return jax.eval_shape(lambda grads, kept, more: method.update(grads, kept, **more)[2], *arrays)


def _check(index: Any, methods: Any) -> None:
    if not isinstance(methods, Sequence) or isinstance(methods, str) or not len(methods):
        raise ValueError(f"choose: expected a list of methods, got {short(methods)}")
    wanted = f"choose: expected a whole number from 0 to {len(methods) - 1}, got "
    if not is_concrete(index):
        if index.shape or not jnp.issubdtype(index.dtype, jnp.integer):
            raise ValueError(f"{wanted}{index.dtype} of shape {index.shape}")
        return
    number = np.asarray(index)
    if number.shape or number.dtype.kind not in "iu" or not 0 <= number < len(methods):
        raise ValueError(f"{wanted}{short(index)}")

"""Runs side by side that combine gradients by methods of their own, in one program.

Every member pays for all methods and takes what its own gave. Names that differ in settings alone,
``"cagrad(c=0.2)"`` and ``"cagrad(c=0.4)"``, are one method whose settings differ by member.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from jaxmtl.aggregation import Aggregator, Scalarizer
from jaxmtl.aggregation.known import factory_of, make_named, read_name
from jaxmtl.aggregation.settings import real_settings
from jaxmtl.training.phased.combining import (
    Combination,
    Combined,
    Combiner,
    Combining,
    Weighted,
    blank_of,
    by_losses,
    by_rows,
    check_combining,
    draws,
    looks_ahead,
    method_of,
    state_of,
    task_rows,
)


@dataclasses.dataclass(frozen=True)
class Choice:
    """The different methods of the members, static.

    Attributes:
        methods: names or methods.
        traced: of each, the settings that differ by member.
    """

    methods: tuple[Combining, ...]
    traced: tuple[tuple[str, ...], ...]

    @property
    def draws(self) -> bool:
        """Whether one may want a key."""
        return any(map(draws, self.methods))

    @property
    def looks_ahead(self) -> bool:
        """Whether one judges its step on the batch that follows."""
        return any(map(looks_ahead, self.methods))


class Chosen(NamedTuple):
    """What a member has of its own.

    Attributes:
        which: number of its method.
        settings: of every method, those that differ by member. Arrays of NumPy on the host.
    """

    which: Any
    settings: tuple[dict[str, Any], ...]


class ChoiceState(NamedTuple):
    """What a member carries on.

    Attributes:
        chosen: stays.
        states: of all methods; only that of its own moves.
    """

    chosen: Chosen
    states: tuple[PyTree, ...]


def choice_of(methods: Sequence[Combining]) -> tuple[Choice, Chosen] | Combining:
    """The different methods among those of the members, and which is whose.

    Args:
        methods: one a member.

    Returns:
        The choice, and leaves (members, ...); or the one method, if all are the same.

    Raises:
        ValueError: what is neither a known name nor a method.

    Example:
        >>> choice, chosen = choice_of(["cagrad(c=0.2)", "upgrad", "cagrad(c=0.4)"])
        >>> choice.methods, choice.traced
        (('cagrad', 'upgrad'), (('c',), ()))
        >>> chosen.which.tolist(), chosen.settings[0]["c"].tolist()
        ([0, 1, 0], [0.20000000298023224, 0.20000000298023224, 0.4000000059604645])
    """
    checked = [check_combining(method) for method in methods]
    if len(set(checked)) == 1:
        return checked[0]
    groups: dict[Any, list[int]] = {}
    for member, method in enumerate(checked):
        groups.setdefault(_kind(method), []).append(member)
    which, found, traced, settings = np.zeros(len(checked), np.int32), [], [], []
    for number, members in enumerate(groups.values()):
        which[members] = number
        first, names = checked[members[0]], ()
        if isinstance(first, str) and len({checked[member] for member in members}) > 1:
            kept, names = read_name(first), _real_options(first)
            plain = {name: v for name, v in kept.options.items() if name not in names}
            first = str(kept._replace(options=plain))
        found.append(first)
        traced.append(names)
        settings.append({name: _column(name, checked, members) for name in names})
    return Choice(tuple(found), tuple(traced)), Chosen(which, tuple(settings))


def _real_options(text: str) -> tuple[str, ...]:
    """Settings in a name that are numbers, or one a task."""
    found = read_name(text)
    real = real_settings(factory_of(found.name))
    given = [name for name, value in found.options.items() if value is not None]
    return tuple(sorted(name for name in given if name in real))


def _kind(method: Combining) -> Any:
    """Equal for names that differ in the values of their real settings alone."""
    if not isinstance(method, str):
        return method
    found, real = read_name(method), _real_options(method)
    static = tuple((name, repr(v)) for name, v in found.options.items() if name not in real)
    shapes = tuple((name, np.shape(found.options[name])) for name in real)
    return found.name, static, shapes


def _column(name: str, methods: Sequence[Any], members: Sequence[int]) -> Any:
    values = {member: read_name(methods[member]).options[name] for member in members}
    # Other members need a number too; that of the first one is in range.
    column = [values.get(member, values[members[0]]) for member in range(len(methods))]
    return np.asarray(column, jnp.result_type(float))


def made(choice: Choice, chosen: Chosen, num_tasks: int) -> list[Combiner]:
    """The methods, with the settings of this member."""
    return [
        make_named(str(method), num_tasks, of="aggregator", **chosen.settings[number])
        if names
        else method_of(method, num_tasks)
        for number, (method, names) in enumerate(zip(choice.methods, choice.traced, strict=True))
    ]


def first_choice(choice: Choice, chosen: Chosen, num_tasks: int, params: PyTree) -> ChoiceState:
    """The state before the first update."""
    methods = made(choice, chosen, num_tasks)
    return ChoiceState(chosen, tuple(state_of(one, num_tasks, params) for one in methods))


def own_state(state: PyTree) -> PyTree:
    """On the host, the state of a member's own method; any other state as it is."""
    return state.states[int(state.chosen.which)] if isinstance(state, ChoiceState) else state


def no_choice_made(num_tasks: int) -> Combination:
    """The sum over no updates; 0 for what a method does not tell."""
    return Combination(jnp.zeros(num_tasks), jnp.zeros(()), jnp.int32(0))


def combine_by_choice(
    choice: Choice,
    losses: Float[Array, " tasks"],
    gradient_of: Callable[[Array], PyTree],
    state: ChoiceState,
    *,
    shared: PyTree,
    key: Key[Array, ""] | None,
    ahead: Any = None,
    **given: Any,
) -> Combined:
    """As ``combine``, by the method of this member."""
    chosen, states = state
    rows = functools.cache(lambda: task_rows(gradient_of, losses))
    weights, news = jnp.zeros_like(losses), list(states)
    by_gradients: list[tuple[Any, Combined]] = []
    by_weights: list[tuple[Any, Weighted]] = []
    for number, found in enumerate(made(choice, chosen, losses.shape[0])):
        ours = chosen.which == number
        # Each draws what it would draw alone.
        given["key"] = None if key is None else jax.random.clone(key)
        if isinstance(found, Aggregator):
            combined = by_rows(found, losses, rows(), states[number], shared=shared, **given)
            by_gradients.append((ours, combined))
            new = combined.state
        else:
            weighted = by_losses(found, losses, states[number], ahead=ahead, **given)
            weights = jnp.where(ours, weighted.weights.astype(losses.dtype), weights)
            by_weights.append((ours, weighted))
            new = weighted.state
        news[number] = _where(ours, new, states[number])
    # One backward pass for all loss methods.
    total = Combination(weights.astype(float), jnp.zeros(()), jnp.int32(0))
    grads = gradient_of(weights) if len(by_gradients) < len(states) else None
    for ours, combined in by_gradients:
        grads = combined.grads if grads is None else _where(ours, combined.grads, grads)
        total = _where(ours, _told(combined.combination, total), total)
    value = jnp.zeros_like(losses[0])
    for ours, one in (*by_gradients, *by_weights):
        value = jnp.where(ours, one.value.astype(value.dtype), value)
    # In a search no member may look for what another's method has not got.
    loss_of = None if by_gradients else functools.partial(_loss_by_choice, by_weights)
    return Combined(grads, ChoiceState(chosen, tuple(news)), total, value, loss_of)


def _loss_by_choice(
    by_weights: Sequence[tuple[Array, Weighted]], losses: Float[Array, " tasks"]
) -> Float[Array, ""]:
    value, slopes = jnp.zeros_like(losses[0]), jnp.zeros_like(losses)
    for ours, one in by_weights:
        found = jax.value_and_grad(one.loss_of)(losses)
        value, slopes = _where(ours, found, (value, slopes))
    # The slopes of the others, which may be NaN, are left out of a gradient this way.
    value, slopes, here = jax.lax.stop_gradient((value, slopes, losses))
    return value + (slopes * (losses - here)).sum()


def _told(combination: Combination, like: Combination) -> Combination:
    """With 0 for what is not told."""
    return jax.tree.map(
        lambda value, blank: jnp.zeros_like(blank) if value is None else value,
        combination,
        like,
        is_leaf=lambda value: value is None,
    )


def observe_by_choice(
    choice: Choice,
    losses_after: Callable[[], Float[Array, " tasks"]],
    state: ChoiceState,
    present: Any,
    num_tasks: int,
) -> ChoiceState:
    """As ``observe``, by the method of this member."""
    news, after = list(state.states), functools.cache(losses_after)
    for number, found in enumerate(made(choice, state.chosen, num_tasks)):
        if isinstance(found, Scalarizer) and found.observe is not None:
            new = found.observe(after(), news[number], present=present)
            news[number] = _where(state.chosen.which == number, new, news[number])
    return state._replace(states=tuple(news))


def untold(
    combination: Combination, choice: Choice, chosen: Chosen, num_tasks: int, params: PyTree
) -> Combination:
    """On the host, NaN for what the method of a member does not tell.

    Args:
        combination: leaves (members, epochs, ...).
        choice: of the methods.
        chosen: leaves (members, ...).
        num_tasks: of the runs.
        params: of one member.

    Returns:
        The same, with NaN in it.
    """
    one = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), chosen)
    blanks = [blank_of(found, num_tasks, params) for found in made(choice, one, num_tasks)]
    which = np.asarray(chosen.which)

    def masked(values: Any, field: str) -> np.ndarray:
        tells = np.array([getattr(blank, field) is not None for blank in blanks])[which]
        values = np.array(values)
        values[~tells] = np.nan
        return values

    return combination._replace(
        weights=masked(combination.weights, "weights"),
        conflict_rate=masked(combination.conflict_rate, "conflict_rate"),
    )


def _where(ours: Array, new: PyTree, old: PyTree) -> PyTree:
    return jax.tree.map(lambda a, b: jnp.where(ours, a, b), new, old)

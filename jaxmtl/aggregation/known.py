"""Methods by their names: the tables, and names with options in them, ``"cagrad(c=0.4)"``."""

import ast
import functools
import inspect
import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import jax.numpy as jnp

from jaxmtl._words import did_you_mean, short
from jaxmtl.aggregation.contract import Aggregator
from jaxmtl.aggregation.settings import real_settings
from jaxmtl.aggregation.tables import AGGREGATORS, AHEAD, LOSSES, OWN

if TYPE_CHECKING:
    from jaxmtl.aggregation.losses.contract import Scalarizer


class MakesAggregator(Protocol):
    """A loss method: what an aggregator can be made of."""

    def as_aggregator(self) -> Aggregator:
        """The aggregator."""
        ...


AnyMethod = Aggregator | MakesAggregator | str
"""An ``Aggregator``, a loss method, or a name of either, with options or without."""

# Without options these want one weight a task.
WEIGHTED = ("constant", "linear")
LONGEST = 1000
FORM = re.compile(r"\s*([A-Za-z_][\w.:]*)\s*(?:\((.*)\))?\s*", re.DOTALL)


class Named(NamedTuple):
    """What a text names.

    Attributes:
        name: of the method, without options.
        options: of its factory.

    Example:
        >>> str(read_name("cagrad( c = 0.4 )"))
        'cagrad(c=0.4)'
    """

    name: str
    options: dict[str, Any]

    def __str__(self) -> str:
        """The text, as it is always written."""
        inside = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"{self.name}({inside})" if inside else self.name


def known_names() -> tuple[str, ...]:
    """The names of all methods: aggregators, loss methods, those that look ahead.

    Example:
        >>> known_names()[0], known_names()[-1]
        ('mean', 'auto_lambda')
    """
    return (*AGGREGATORS, *LOSSES, *AHEAD)


def read_name(text: str, *, of: str = "name", hint: str | None = None) -> Named:
    """Reads a name, perhaps with options: literal numbers, texts, booleans, None, rows of numbers.

    Args:
        text: as given.
        of: what the text was given for, where a sentence begins.
        hint: end of the sentence about a name that there is not, where none is near; None to list
            all that there are.

    Returns:
        Name and options.

    Raises:
        ValueError: another form, an unknown name or an unknown option.

    Example:
        >>> read_name("aligned_mtl(scale='rmse', preferences=[1, 2])").options
        {'scale': 'rmse', 'preferences': [1, 2]}
        >>> read_name("cagrad(b=0.4)")
        Traceback (most recent call last):
            ...
        ValueError: name: cagrad has no option 'b'; it has c, rescale, preferences
    """
    form = FORM.fullmatch(text) if len(text) <= LONGEST else None
    if form is None:
        raise ValueError(
            f"{of}: expected a name, or one with options as in 'cagrad(c=0.4)', got {short(text)}"
        )
    name = form[1]
    if name not in known_names():
        near = did_you_mean(name, known_names())
        if near or hint is not None:
            raise ValueError(f"{of}: there is no method {short(name)}{near or hint}")
        raise ValueError(f"{of}: expected one of {', '.join(known_names())}, got {short(name)}")
    options = {} if form[2] is None else _literals(form[2], of, text)
    _check_options(of, name, options)
    return Named(name, options)


def split_names(text: str) -> list[str]:
    """Names that are separated by commas; commas within brackets part options.

    Args:
        text: as given.

    Returns:
        Names without space around them; empty ones are left out.

    Example:
        >>> split_names("mgda, cagrad(c=0.4, rescale='square'),")
        ['mgda', "cagrad(c=0.4, rescale='square')"]
    """
    names, depth = [""], 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth <= 0:
            names.append("")
        else:
            names[-1] += letter
    return [name.strip() for name in names if name.strip()]


def _literals(inside: str, of: str, text: str) -> dict[str, Any]:
    wanted = ValueError(
        f"{of}: expected options by name with literal values, as in 'cagrad(c=0.4)', got "
        f"{short(text)}"
    )
    try:
        call = ast.parse(f"f({inside})", mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            raise wanted
        options = {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise wanted from error
    if any(each.arg is None for each in call.keywords) or not all(map(_is_plain, options.values())):
        raise wanted
    return options


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(each, int | float) and math.isfinite(each) for each in value)
    if isinstance(value, int | float):
        return abs(value) <= float(jnp.finfo(jnp.float32).max)
    return value is None or isinstance(value, str)


def _check_options(of: str, name: str, options: Mapping[str, Any]) -> None:
    factory = factory_of(name)
    there = options_of(factory)
    for option, value in options.items():
        if option not in there:
            near = did_you_mean(option, there)
            has = f"it has {', '.join(there)}" if there else "it has none"
            raise ValueError(f"{of}: {name} has no option {short(option)}{near}; {has}")
        if isinstance(value, str) and option in real_settings(factory):
            raise ValueError(f"{of}: {name}: {option}: expected a number, got {short(value)}")


def options_of(factory: Callable[..., Any]) -> tuple[str, ...]:
    """The arguments of a factory that can be written in a name.

    Example:
        >>> import jaxmtl.aggregation as ag
        >>> options_of(ag.uncertainty)
        ('initial', 'learning_rate')
    """
    parameters = inspect.signature(factory).parameters.values()
    return tuple(
        each.name
        for each in parameters
        if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
        and "Transformation" not in str(each.annotation)  # optimizers
    )


def factory_of(name: str) -> Callable[..., Any]:
    """What makes the method of that name.

    Example:
        >>> factory_of("mgda").__name__
        'mgda'
    """
    row = AGGREGATORS.get(name) or LOSSES.get(name)
    return AHEAD[name] if row is None else row.factory


def make_named(text: str, num_tasks: int | None = None, *, of: str = "name", **more: Any) -> Any:
    """Makes a method by its name.

    Args:
        text: see ``read_name``.
        num_tasks: for ``constant`` and ``linear`` without weights: that many equal ones.
        of: see ``read_name``.
        more: further arguments of the factory, of any kind.

    Returns:
        The aggregator, the loss method or the method that looks ahead.

    Raises:
        ValueError: see ``read_name``; what the factory does not take.

    Example:
        >>> make_named("cagrad(c=0.4)").weighted
        True
    """
    name, options = read_name(text, of=of)
    options |= more
    if name in WEIGHTED and "weights" not in options and name not in OWN:
        if num_tasks is None:
            raise ValueError(
                f"{of}: {name} has one weight a task, as in '{name}(weights=[1.0, 0.5])', got none"
            )
        options["weights"] = (1.0,) * num_tasks
    try:
        return factory_of(name)(**options)
    except ValueError as error:
        if not options:
            raise
        raise ValueError(f"{of}: {name}: {error}") from error


@functools.cache
def _made_of(factory: Callable[..., Any], options: str) -> Any:
    return factory(**ast.literal_eval(options))


def standing(text: str, *, of: str, hint: str | None = None) -> Any:
    """What stands for a name in the static part of a program.

    A name means the same as long as the program lives, but for those that ``register`` may replace:
    for them it is the method itself, the same object every time.

    Args:
        text: see ``read_name``.
        of: see there.
        hint: see there.

    Returns:
        The name as it is always written, or the method.

    Raises:
        ValueError: see there.

    Example:
        >>> standing("cagrad( c=0.4 )", of="aggregator")
        'cagrad(c=0.4)'
    """
    found = read_name(text, of=of, hint=hint)
    if found.name not in OWN:
        return str(found)
    return _made_of(factory_of(found.name), repr(found.options))


def as_aggregator(method: AnyMethod) -> Aggregator:
    """The aggregator that is meant by a name, an aggregator or a loss method.

    Args:
        method: a name as for ``read_name``, an ``Aggregator``, or a ``Scalarizer``, of which
            ``from_losses`` is taken.

    Returns:
        The aggregator; what is none of these, as it is.

    Raises:
        ValueError: see ``read_name``; a name of what only looks ahead.

    Example:
        >>> import jaxmtl.aggregation as ag
        >>> [as_aggregator(each).weighted for each in ("mgda", ag.mgda(), ag.gls())]
        [True, True, True]
    """
    found: Any = make_named(method, of="aggregator") if isinstance(method, str) else method
    if hasattr(found, "weigh"):
        raise ValueError(
            "aggregator: auto_lambda needs the batch that follows, and is no aggregator: see "
            "auto_lambda_step"
        )
    return found.as_aggregator() if hasattr(found, "scalarize") else found


def as_scalarizer(method: "Scalarizer | str") -> "Scalarizer":
    """The loss method that is meant by a name or a loss method.

    Args:
        method: a name as for ``read_name``, or a ``Scalarizer``.

    Returns:
        The loss method; what is neither, as it is.

    Raises:
        ValueError: see ``read_name``; an aggregator.

    Example:
        >>> as_scalarizer("stch(mu=0.1)").observe is None
        True
    """
    found: Any = make_named(method, of="scalarizer") if isinstance(method, str) else method
    if isinstance(found, Aggregator) or hasattr(found, "weigh"):
        made_by = "aggregated_step" if isinstance(found, Aggregator) else "auto_lambda_step"
        what = short(method) if isinstance(method, str) else type(found).__name__
        raise ValueError(
            "scalarizer: expected a loss method, as 'equal', which sums the losses, or 'stch', got "
            f"{what}; see {made_by}"
        )
    return found

"""From texts and JSON to values, or to one sentence that says what is wrong."""

import dataclasses
import math
import typing
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

import msgspec

from jaxmtl._options.declare import Declared, Options, bare, declared, is_optional
from jaxmtl._options.text import parse_names, parse_sizes
from jaxmtl._words import did_you_mean, short

BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def read_text(one: Declared, text: Any) -> Any:
    """The value that the shell was given.

    Args:
        one: the option.
        text: what was given; of a switch, its value.

    Returns:
        The value.

    Raises:
        ValueError: in one sentence that begins with the name of the option.

    Example:
        >>> from jaxmtl._options import Count, Option, as_option
        >>> seeds = as_option("seeds", Annotated[Count, Option(help="Of the split.")], 30)
        >>> read_text(seeds, "8")
        8
        >>> read_text(seeds, "1e20")
        Traceback (most recent call last):
            ...
        ValueError: --seeds: expected a whole number from 1 to 2147483647, got '1e20'
    """
    base, bounds = bare(one.hint)
    value = text
    if one.option.parse is not None:
        value = one.option.parse(text)
    elif base in (int, float):
        try:
            value = base(text)
        except ValueError:
            raise ValueError(
                f"{one.flag}: expected {_range(base, bounds)}, got {short(text)}"
            ) from None
    elif typing.get_origin(base) is tuple:
        item, _ = bare(typing.get_args(base)[0])
        value = parse_sizes(one.flag, text) if item is int else parse_names(text)
    return check_value(one, value)


def check_value(one: Declared, value: Any, *, saved: bool = False) -> Any:
    """A value of the type and within the bounds of its option.

    Args:
        one: the option.
        value: of Python or of JSON: a list for a tuple, an object for a dataclass.
        saved: whether it was read from a file, for the sentence of an error.

    Returns:
        The value, as the type has it.

    Raises:
        ValueError: another type, or out of bounds.

    Example:
        >>> from jaxmtl._options import Count, Option, as_option
        >>> sizes = as_option("sizes", Annotated[tuple[Count, ...], Option(help="Of layers.")], ())
        >>> check_value(sizes, [8, 4])
        (8, 4)
        >>> check_value(sizes, [8, True], saved=True)
        Traceback (most recent call last):
            ...
        ValueError: settings: expected a whole number for 'sizes', got True
    """
    wrong = _wrong(value, one.hint)
    place = f" for {one.name!r}" if saved else ""
    start = "settings" if saved else one.flag
    if wrong is not None:
        expected, got = wrong
        raise ValueError(f"{start}: expected {expected}{place}, got {short(got)}")
    try:
        return msgspec.convert(value, one.hint)
    except msgspec.ValidationError as error:  # what a dataclass says of its own values
        raise ValueError(f"{start}: {error.__cause__ or error}{place}") from error


def check_all(options: Options) -> None:
    """Checks every option, and whether they fit each other.

    Args:
        options: the whole, in which nothing is left to be derived.

    Raises:
        ValueError: in one sentence.
    """
    own = [one for one in declared(type(options)).values() if one.option.follows is None]
    for one in own:
        check_value(one, getattr(options, one.name))
    for part in type(options).__mro__:
        # A part that inherits the check of another has none of its own.
        if issubclass(part, Options) and "check" in vars(part):
            part.check(options)
    # What was worked out comes last: where it is wrong, its cause is to be named.
    for one in declared(type(options)).values():
        check_value(one, getattr(options, one.name))


def check_names(names: Collection[str], part: type[Options]) -> None:
    """Refuses what a part does not declare.

    Args:
        names: of options.
        part: that should have them.

    Raises:
        ValueError: names the nearest option that there is.
    """
    known = declared(part)
    for name in names:
        if name not in known:
            raise ValueError(f"settings: there is no option {name!r}{did_you_mean(name, known)}")


def _wrong(value: Any, hint: Any) -> tuple[str, Any] | None:
    """What was expected, and what there was instead; None if nothing is wrong."""
    base, bounds = bare(hint)
    if value is None and _takes_none(hint):
        return None
    if typing.get_origin(base) is tuple:
        if not isinstance(value, list | tuple):
            return "a list", value
        item = typing.get_args(base)[0]
        return next((wrong for part in value if (wrong := _wrong(part, item))), None)
    if dataclasses.is_dataclass(base) and isinstance(value, Mapping):
        hints = typing.get_type_hints(base, include_extras=True)
        if any(name not in hints or _wrong(part, hints[name]) for name, part in value.items()):
            return _noun(base), value
        return None if all(f.name in value for f in _needed(base)) else (_noun(base), value)
    if not _converts(value, base):
        return _noun(base), value
    if isinstance(value, float) and not math.isfinite(value):
        return "a finite number", value
    for bound in bounds:
        for sign, words in BOUNDS.items():
            limit = getattr(bound, sign)
            if limit is not None and not _converts(value, _bounded(base, sign, limit)):
                return f"{words} {limit}", value
    return None


def _bounded(base: Any, sign: str, limit: Any) -> Any:
    return Annotated[base, msgspec.Meta(**{sign: limit})]


def _takes_none(hint: Any) -> bool:
    while typing.get_origin(hint) is Annotated:
        hint = hint.__origin__
    return is_optional(hint)


def _converts(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _needed(kind: Any) -> list[Any]:
    return [f for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING]


def _noun(base: Any) -> str:
    if typing.get_origin(base) is Literal:
        return f"one of {', '.join(typing.get_args(base))}"
    if dataclasses.is_dataclass(base):
        *most, last = [field.name for field in dataclasses.fields(base)]
        return f"a {getattr(base, '__name__', '').lower()} with {', '.join(most)} and {last}"
    nouns = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
    return nouns[base]


def _range(base: Any, bounds: list[msgspec.Meta]) -> str:
    """A number and, where both ends are closed, from where to where."""
    for bound in bounds:
        if bound.ge is not None and bound.le is not None:
            return f"{_noun(base)} from {bound.ge} to {bound.le}"
    return _noun(base)

"""One declaration an option: name, type, bounds, default, help, and how a text means it."""

import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec

INT32 = 2**31 - 1
Count = Annotated[int, msgspec.Meta(ge=1, le=INT32)]
"""A number of epochs and the like, which are int32 where they are counted."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Option:
    """What the type of an option cannot say.

    Attributes:
        help: the line of ``--help``.
        metavar: what stands for the value there; None: what the type says.
        shown: what the default comes to, where it is None or empty.
        parse: from the text of the shell to the value; None: as the type says.
        write: from the value to such a text; None: as the type says.
        follows: options of which this one is worked out anew when one of them changes.
        derive: from all options to the value of this one, where it is left at None.
        positional: whether it is given without its name.

    Example:
        >>> Option(help="Nodes of the bank.").metavar is None
        True
    """

    help: str
    metavar: str | None = None
    shown: str | None = None
    parse: Callable[[str], Any] | None = None
    write: Callable[[Any], str] | None = None
    follows: str | tuple[str, ...] | None = None
    derive: Callable[[Any], Any] | None = None
    positional: bool = False

    def is_affected_by(self, changed: Collection[str]) -> bool:
        """Whether it follows one of the options that changed."""
        names = (self.follows,) if isinstance(self.follows, str) else self.follows or ()
        return any(name in changed for name in names)


class Options:
    """A part of the settings of a command.

    Example:
        >>> @dataclasses.dataclass(frozen=True, kw_only=True)
        ... class Size(Options):
        ...     nodes: Annotated[Count, Option(help="Nodes of the bank.")] = 3
        >>> declared(Size)["nodes"].default
        3
    """

    only_for: ClassVar[str | None] = None
    """What uses these options, as in "networks"; None: everything does."""

    def check(self) -> None:
        """Raises ValueError for options that do not fit each other."""


class Declared(typing.NamedTuple):
    """One option as its part declares it.

    Attributes:
        name: of the field.
        hint: its type with bounds.
        option: the rest.
        default: of the field.
        part: that declares it; None for one of a command alone.
    """

    name: str
    hint: Any
    option: Option
    default: Any
    part: type[Options] | None = None

    @property
    def flag(self) -> str:
        """Its name in the shell."""
        return self.name.upper() if self.option.positional else "--" + self.name.replace("_", "-")

    @property
    def metavar(self) -> str | None:
        """What stands for its value in ``--help``; None for a switch."""
        base, _ = bare(self.hint)
        if self.option.metavar is not None or base is bool:
            return self.option.metavar
        if typing.get_origin(base) is Literal:
            return "|".join(typing.get_args(base))
        return {int: "<int>", float: "<float>", str: "<str>"}.get(base, "LIST")

    def shown(self, default: Any) -> str | None:
        """A default as ``--help`` shows it; None for nothing."""
        if default is None or default == ():
            return self.option.shown
        if self.option.write is not None:
            return self.option.write(default)
        if isinstance(default, bool):
            return "yes" if default else "no"
        if isinstance(default, tuple):
            return ",".join(map(str, default))
        return f"{default:g}" if isinstance(default, float) else str(default)


def as_option(name: str, annotation: Any, default: Any) -> Declared | None:
    """What an annotation declares.

    Args:
        name: of the field or the parameter.
        annotation: with an ``Option`` or without.
        default: of the field.

    Returns:
        The option; None if the annotation holds none.

    Example:
        >>> seeds = as_option("num_seeds", Annotated[Count, Option(help="Of the split.")], 30)
        >>> seeds.flag, seeds.metavar, as_option("quiet", bool, False)
        ('--num-seeds', '<int>', None)
    """
    for extra in getattr(annotation, "__metadata__", ()):
        if isinstance(extra, Option):
            return Declared(name, annotation, extra, default)
    return None


@functools.cache
def declared(part: type[Options]) -> Mapping[str, Declared]:
    """The options of a part, those of the parts it is composed of first.

    Args:
        part: a dataclass.

    Returns:
        By name.
    """
    hints = typing.get_type_hints(part, include_extras=True)
    owners: dict[str, type[Options]] = {}
    for owner in part.__mro__:
        for name in inspect.get_annotations(owner):
            owners.setdefault(name, owner)
    found = {}
    for field in dataclasses.fields(typing.cast(Any, part)):
        one = as_option(field.name, hints[field.name], field.default)
        if one is None:
            raise TypeError(f"{part.__name__}.{field.name}: expected an Option in its annotation")
        found[field.name] = one._replace(part=owners[field.name])
    return types.MappingProxyType(found)


def bare(hint: Any) -> tuple[Any, list[msgspec.Meta]]:
    """A type without its bounds and without None, and the bounds."""
    bounds: list[msgspec.Meta] = []
    while True:
        if typing.get_origin(hint) is Annotated:
            bounds += [extra for extra in hint.__metadata__ if isinstance(extra, msgspec.Meta)]
            hint = hint.__origin__
        elif is_optional(hint):
            hint = next(kind for kind in typing.get_args(hint) if kind is not types.NoneType)
        else:
            return hint, bounds


def is_optional(hint: Any) -> bool:
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return union and types.NoneType in typing.get_args(hint)

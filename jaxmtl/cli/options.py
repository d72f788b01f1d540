"""Options become parameters of the shell; those that are no settings are declared here."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec
import typer

from jaxmtl._options import (
    Count,
    Declared,
    Option,
    Options,
    as_option,
    declared,
    parse_seconds,
    read_text,
)
from jaxmtl.cli.settings import Settings

Preset = Annotated[
    str | None,
    Option(
        help="What is trained: table, whatever predicts best, on columns of any kind; quick, the "
        "same without networks; study, the adaptive network on columns of numbers.",
        shown="table; without TABLE study",
    ),
]
MethodName = Annotated[
    str | None,
    Option(
        help="The only thing to train: for tables mean, linear, extra_trees, boosted, network, "
        "residual or separate; as the study trains it ridge, mmoe (after the adaptive run, whose "
        "schedule it follows) and what jaxmtl compare --list-arms names.",
        metavar="NAME",
        shown="for tables, what predicts best; with --preset study the adaptive network, plain "
        "hard sharing beside it",
    ),
]
Config = Annotated[
    str | None, Option(help="Repeat the run of this folder or config.json.", metavar="RUN")
]
Out = Annotated[str, Option(help="Folder to write.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an older run folder.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Compile anew; keep no compiled programs.")
]
Arms = Annotated[
    str | None,
    Option(
        help="Methods to compare, A,B, or all, aggregators, losses; --list-arms names them.",
        metavar="NAMES",
        shown="node duplication and what it has to beat",
    ),
]
ListArms = Annotated[bool, typer.Option("--list-arms", help="Name the methods and exit.")]
Reference = Annotated[str, Option(help="Method that the others are compared with.")]
Seeds = Annotated[
    Annotated[int, msgspec.Meta(ge=1, le=10**5)], Option(help="Number of seeds, from --seed on.")
]
TimeLimit = Annotated[
    Annotated[float, msgspec.Meta(gt=0)] | None,
    Option(
        help="About how long it may take: 90, 5min or 1h. Fewer seeds, down to three, then without "
        "the dearest methods, as is said.",
        metavar="TIME",
        shown="as long as it needs",
        parse=lambda text: parse_seconds("--time-limit", text),
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with an interrupted comparison in --out.")
]
Devices = Annotated[
    Annotated[int, msgspec.Meta(ge=1, le=2**10)] | None,
    Option(help="Devices to spread the seeds over.", shown="all; on a CPU its cores"),
]
Chunk = Annotated[Count | None, Option(help="Seeds to run at once.", shown="as many as fit")]
Coordinator = Annotated[
    str | None,
    Option(help="Address of process 0, if several share the work.", metavar="HOST:PORT"),
]
NumProcesses = Annotated[
    Annotated[int, msgspec.Meta(ge=1, le=2**16)], Option(help="Processes that share the work.")
]
ProcessId = Annotated[int, Option(help="Number of this process, from 0.")]


def with_options(
    *parts: type[Options],
    preset: Settings,
    shown: Mapping[str, str] | None = None,
    mark: Callable[[str], str] = lambda name: "",
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command the options of some parts of the settings.

    The command has keyword-only parameters. One of them is named ``given`` and takes the values of
    the options that were given, by name; in ``--help``, TABLE and the first part stand before all
    other parameters, and the other parts stand where ``given`` does. Parameters of the command
    that are annotated with an ``Option`` are read in the same way.

    Args:
        parts: of the settings.
        preset: settings whose values ``--help`` shows as defaults.
        shown: what it shows instead, by the name of the option.
        mark: from the name of an option of the settings to a sentence after its help; empty for
            none.

    Returns:
        What makes such a command a function for typer.

    Example:
        >>> from jaxmtl.data.options import FoldOptions, ReadingOptions
        >>> @with_options(ReadingOptions, FoldOptions, preset=Settings())
        ... def show(*, out: Out = "here", given: dict[str, Any]) -> None:
        ...     print(out, given)
        >>> show(features="SO2,CO", seed="7", split=None)
        here {'features': ('SO2', 'CO'), 'seed': 7}
        >>> show(test="1.5")
        Traceback (most recent call last):
            ...
        ValueError: --test: expected below 1, got 1.5
    """
    first, *others = [list(declared(part).values()) for part in parts]
    first = [declared(Settings)["table"], *first]
    settings = {one.name: one for part in (first, *others) for one in part}
    defaults = {
        name: one.shown(getattr(preset, name, one.default)) for name, one in settings.items()
    }
    defaults |= shown or {}
    marks = {name: f" {mark(name)}".rstrip() for name in settings}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True).parameters
        names = list(own)
        place = names.index("given")
        of_command = {
            name: one
            for name, parameter in own.items()
            if (one := as_option(name, parameter.annotation, parameter.default)) is not None
        }
        parameters = [_of_settings(one, defaults, marks) for one in first]
        parameters += [_of_command(own[name], of_command) for name in names[:place]]
        parameters += [_of_settings(one, defaults, marks) for part in others for one in part]
        parameters += [_of_command(own[name], of_command) for name in names[place + 1 :]]

        @functools.wraps(command)
        def called(**values: Any) -> None:
            given, rest = {}, {}
            for name, value in values.items():
                if name not in own:
                    if value is not None:
                        given[name] = read_text(settings[name], value)
                elif name in of_command and value is not None:
                    rest[name] = read_text(of_command[name], value)
                else:
                    rest[name] = value
            command(given=given, **rest)

        signature: Any = called
        signature.__signature__ = inspect.Signature(parameters)
        signature.__annotations__ = {one.name: one.annotation for one in parameters}
        return called

    return decorate


def _of_settings(
    one: Declared, defaults: Mapping[str, str | None], marks: Mapping[str, str]
) -> inspect.Parameter:
    """None by default, so that it is known whether the option was given."""
    shown = defaults[one.name]
    return _parameter(one, None, shown is not None and shown, marks[one.name])


def _of_command(parameter: inspect.Parameter, of_command: dict[str, Declared]) -> inspect.Parameter:
    if parameter.name not in of_command:
        return parameter
    one = of_command[parameter.name]
    default = None if one.default is None else str(one.default)
    return _parameter(one, default, one.shown(None) if default is None else True)


def _parameter(one: Declared, default: str | None, shown: Any, mark: str = "") -> inspect.Parameter:
    """Texts of the shell reach us as they are: what is wrong with them is said by the option."""
    how: dict[str, Any] = {"help": one.option.help + mark, "show_default": shown or False}
    if one.metavar is None:
        switch = f"{one.flag}/--no-{one.flag.removeprefix('--')}"
        annotation: Any = Annotated[bool | None, typer.Option(switch, **how)]
    elif one.option.positional:
        annotation = Annotated[str | None, typer.Argument(**how)]
    else:
        kind = str if default is not None else str | None
        annotation = Annotated[kind, typer.Option(metavar=one.metavar, **how)]
    return inspect.Parameter(
        one.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )

"""The command ``jaxmtl`` and its parts."""

import importlib
import os
import shlex
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
import typer.core
import typer.main

import jaxmtl
from jaxmtl.cli.errors import BAD_INPUT, INTERRUPTED, UNREAD, say_error, silence, unwritable_output

# What typer raises for options it cannot read; newer versions have no public name for it.
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]

# Each stands in a module of its name, which is loaded when it is called: their options know the
# schedule and the optimizers, and with them JAX.
COMMANDS = {
    "fit": "Train on the rows of a table, and write a run folder.",
    "predict": "Predict the rows of a table with a run.",
    "compare": "Train several methods on the same rows from many seeds, and compare them.",
    "inspect": "Say what happened in a run, and how well it predicts.",
}
PLAIN: dict[str, Any] = {
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
}


# Options that a name without one may have been meant for.
MEANT = {
    "targets": "columns to predict are named with --targets {}, in double quotes if a name holds a "
    "blank, and with commas alone between them",
    "feature": "a column is shown with --feature {}",
}


class _Command(typer.core.TyperCommand):
    """Says what a name may have been meant for that stands where none is expected."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.allow_extra_args = True
        super().parse_args(ctx, args)
        if ctx.args:
            ctx.fail(_of_further(ctx.args, {str(one.name) for one in self.params}))
        return ctx.args


def _of_further(names: Sequence[str], options: set[str]) -> str:
    said = f"expected nothing but options here, got {', '.join(map(repr, names))}"
    meant = next((words for option, words in MEANT.items() if option in options), None)
    if meant is None or any(map(os.path.exists, names)):
        return said
    return f"{said}; {meant.format(shlex.quote(','.join(names)))}"


class _Commands(typer.core.TyperGroup):
    """Loads a command when it is called, not when it is listed."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, _, rest = super().resolve_command(ctx, args)
        command = getattr(importlib.import_module(f"jaxmtl.cli.{name}"), str(name))
        alone = typer.Typer(**PLAIN)
        alone.command(name, cls=_Command)(command)
        return name, typer.main.get_command(alone), rest


app = typer.Typer(name="jaxmtl", cls=_Commands, **PLAIN)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"jaxmtl {jaxmtl.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", is_eager=True, callback=_show_version
        ),
    ] = False,
) -> None:
    """Predict several columns of a table from the others, and say how sure each prediction is."""


for name, line in COMMANDS.items():
    app.command(name, help=line)(lambda: None)


def run(args: Sequence[str]) -> int:
    """Runs a command line; whatever is wrong with it becomes one sentence on stderr.

    Args:
        args: without the name of the program.

    Returns:
        The exit code: 0, 1 for a run that diverged, 2 for bad input, 130 after Ctrl-C.

    Example:
        >>> run(["inspect", "no such folder"])
        2
    """
    command: Any = app
    try:
        code = command(args=list(args) or ["--help"], prog_name="jaxmtl", standalone_mode=False)
        sys.stdout.flush()
    except USAGE_ERROR as error:
        say_error(getattr(error, "format_message", error.__str__)())
        return BAD_INPUT
    except (KeyboardInterrupt, typer.Abort):
        say_error("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone (as in "| head"); nothing more can be said.
        silence(sys.stdout)
        return UNREAD
    except OSError as error:
        say_error(unwritable_output(error))
        return BAD_INPUT
    return code if isinstance(code, int) else 0

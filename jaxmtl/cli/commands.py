"""The command ``jaxmtl`` and its parts."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

import jaxmtl
from jaxmtl.cli.compare import compare
from jaxmtl.cli.errors import BAD_INPUT, INTERRUPTED, UNREAD, say_error, silence
from jaxmtl.cli.fit import fit
from jaxmtl.cli.inspect import inspect
from jaxmtl.cli.predict import predict

# What typer raises for options it cannot read; newer versions have no public name for it.
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="jaxmtl",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


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
    """Train a network for several tasks that splits itself where they disagree."""


app.command()(fit)
app.command()(predict)
app.command()(compare)
app.command()(inspect)


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
        from jaxmtl.files.errors import why

        silence(sys.stdout)
        say_error(f"standard output: cannot be written ({why(error)}); send it somewhere else")
        return BAD_INPUT
    return code if isinstance(code, int) else 0

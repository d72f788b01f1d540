"""The command ``jaxmtl`` and its parts."""

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer

import jaxmtl
from jaxmtl.cli.compare import compare
from jaxmtl.cli.errors import BAD_INPUT, INTERRUPTED, say_error
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
    except USAGE_ERROR as error:
        say_error(getattr(error, "format_message", error.__str__)())
        return BAD_INPUT
    except (KeyboardInterrupt, typer.Abort):
        say_error("interrupted")
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def main() -> NoReturn:
    """Runs the command line of this process and leaves it.

    Example:
        >>> import subprocess
        >>> args = [sys.executable, "-m", "jaxmtl", "--version"]
        >>> done = subprocess.run(args, capture_output=True)
        >>> done.returncode, done.stdout[:6]
        (0, b'jaxmtl')
    """
    jaxmtl.inline_small_loops()
    if "JAX_PLATFORMS" not in os.environ:
        # One sample a step is work for a CPU; looking for others takes seconds and their memory.
        import jax

        jax.config.update("jax_platforms", "cpu")
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(
            AttributeError
        ):  # a name that the terminal cannot show is no error
            stream.reconfigure(errors="backslashreplace")  # pyright: ignore
    # Lets unfinished files be removed, as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(run(sys.argv[1:]))

"""What goes wrong becomes one sentence on stderr and an exit code."""

import functools
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn, ParamSpec

import typer

BAD_INPUT, DIVERGED, INTERRUPTED = 2, 1, 130
# Set to anything, it lets exceptions through, for those who look for a bug.
DEBUG = "JAXMTL_DEBUG"

P = ParamSpec("P")


class DivergedError(ArithmeticError):
    """A run that stopped because something was no longer finite; what was finite is saved.

    Example:
        >>> raise DivergedError("the adaptive run diverged")
        Traceback (most recent call last):
            ...
        jaxmtl.cli.errors.DivergedError: the adaptive run diverged
    """


def in_one_sentence(command: Callable[P, None]) -> Callable[P, None]:
    """Makes a command that ends with a sentence and a code instead of a traceback.

    Args:
        command: that raises ValueError for bad input and ``DivergedError``.

    Returns:
        The same command, which raises only ``typer.Exit``.
    """

    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except BrokenPipeError:
            # Whoever read our output has gone (as in "| head"); nothing more can be said.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except DivergedError as error:
            _stop(error, DIVERGED)
        except (ValueError, OSError) as error:
            _stop(error, BAD_INPUT)
        except KeyboardInterrupt:
            say_error("interrupted; nothing was written")
            raise typer.Exit(INTERRUPTED) from None

    return guarded


def say_error(message: Any) -> None:
    """Writes one line on stderr.

    Args:
        message: its line breaks become blanks.
    """
    print(f"jaxmtl: {' '.join(str(message).split())}", file=sys.stderr)


def _stop(error: Exception, code: int) -> NoReturn:
    if os.environ.get(DEBUG):
        raise error
    say_error(error)
    raise typer.Exit(code) from error

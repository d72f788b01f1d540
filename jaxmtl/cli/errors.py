"""What goes wrong becomes one sentence on stderr and an exit code."""

import contextlib
import functools
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn, ParamSpec, TextIO

import typer

from jaxmtl.cli.signals import interruption, let_end

BAD_INPUT, DIVERGED, UNREAD, INTERRUPTED = 2, 1, 1, 130
# Set to anything, it lets exceptions through, for those who look for a bug.
DEBUG = "JAXMTL_DEBUG"
OUT_OF_MEMORY = (
    "there is not enough memory; lower --batch-size, --shared, --nodes or --towers, or, in a "
    "comparison, --chunk"
)

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
        except BaseException as error:
            found = interruption(error)
            if found is not None:
                say_error(found[0])
                raise typer.Exit(found[1]) from None
            if isinstance(error, BrokenPipeError):
                raise  # the whole command line deals with it, its help and version as well
            if isinstance(error, DivergedError):
                _stop(error, DIVERGED)
            if isinstance(error, ValueError | OSError):
                _stop(error, BAD_INPUT)
            if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)[:200]:
                _stop(error, BAD_INPUT, OUT_OF_MEMORY)
            raise

    return guarded


def say_error(message: Any) -> None:
    """Writes one line on stderr.

    Args:
        message: its line breaks become blanks.
    """
    tell(f"jaxmtl: {' '.join(str(message).split())}")


def say(text: str) -> None:
    """Writes a result on stdout.

    Args:
        text: of one line or several.

    Raises:
        ValueError: it cannot be written.
        BrokenPipeError: whoever read it has gone.
    """
    try:
        print(printable(text), flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ValueError(unwritable_output(error)) from error


def unwritable_output(error: OSError) -> str:
    """The sentence for a stdout that cannot be written, which from here on goes nowhere.

    Args:
        error: of the operating system.

    Returns:
        The sentence.
    """
    from jaxmtl.files.errors import why

    silence(sys.stdout)
    return f"standard output: cannot be written ({why(error)}); send it somewhere else"


def tell(text: str) -> None:
    """Writes a line on stderr, if that can be written: work does not end for want of a reader.

    Args:
        text: of the line; its line breaks become blanks.
    """
    line = " ".join(text.splitlines())
    try:
        print(printable(line), file=sys.stderr, flush=True)
    except (OSError, ValueError):
        silence(sys.stderr)


def printable(text: str) -> str:
    """A text without what a terminal would take for a command.

    Args:
        text: perhaps with names from a table.

    Returns:
        The same with escapes for control characters and for those that turn the direction.

    Example:
        >>> printable("SO2\\x1b[2J, CO")
        'SO2\\\\x1b[2J, CO'
    """
    for character in {c for c in text if _is_command(c)}:
        text = text.replace(character, character.encode("unicode_escape").decode())
    return text


def silence(stream: TextIO) -> None:
    """Lets what is written to a stream go nowhere, so that nothing more fails on it.

    Args:
        stream: that cannot be written any more.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _is_command(character: str) -> bool:
    code = ord(character)
    return character not in "\n\t" and (
        code < 32
        or 127 <= code < 160
        or 0x202A <= code <= 0x202E
        or 0x2066 <= code <= 0x2069
        or code in (0x2028, 0x2029)
    )


def _stop(error: BaseException, code: int, sentence: str | None = None) -> NoReturn:
    if os.environ.get(DEBUG):
        raise error
    let_end()
    say_error(_sentence(error) if sentence is None else sentence)
    raise typer.Exit(code) from error


def _sentence(error: BaseException) -> str:
    if not isinstance(error, OSError):
        return str(error)
    from jaxmtl.files.errors import in_words

    return in_words(error)

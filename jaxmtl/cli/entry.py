"""Where the process starts: it listens to signals before it loads anything."""

import contextlib
import os
import sys
from typing import NoReturn

from jaxmtl.cli.signals import answer_signals, interruption, let_end


def main() -> NoReturn:
    """Runs the command line of this process and leaves it.

    Example:
        >>> import subprocess
        >>> args = [sys.executable, "-m", "jaxmtl", "--version"]
        >>> done = subprocess.run(args, capture_output=True)
        >>> done.returncode, done.stdout[:6]
        (0, b'jaxmtl')
    """
    answer_signals()
    try:
        _open_streams()
        # One sample a step is work for a CPU; looking for others takes seconds and their memory.
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
        # Threads of boosted trees that wait for each other sleep: awake, beside another busy
        # program, they take the time of those that they wait for, six times and more.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        from jaxmtl._xla import inline_small_loops

        inline_small_loops()
        from jaxmtl.cli.commands import run

        code = run(sys.argv[1:])
        let_end()
    except BaseException as error:
        found = interruption(error)
        if found is None:
            raise
        from jaxmtl.cli.errors import say_error

        say_error(found[0])
        code = found[1]
    sys.exit(code)


def _open_streams() -> None:
    """Gives the process the three standard streams, whatever it was started with."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # Else the next file that is opened would get what is written to this stream.
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            # A name that the terminal cannot show is no error.
            stream.reconfigure(errors="backslashreplace")  # pyright: ignore

"""Ctrl-C and its likes end the program with one sentence and one code, whenever they come.

As long as there is nothing to undo, the program ends on the spot: an exception would come out of
whatever is being imported or computed as a traceback. Where there is something to undo, the signal
becomes an exception; should that get lost, as in a callback of the garbage collector, the signal is
given again.
"""

import contextlib
import os
import signal
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

NOTHING_WRITTEN = "nothing was written"
SECONDS_UNTIL_REPEATED = 0.1
MOST_DELAYS = 50


class Interrupted(KeyboardInterrupt):
    """A signal that asks the program to end.

    Example:
        >>> Interrupted(2).number
        2
    """

    def __init__(self, number: int) -> None:
        """Of the number of the signal."""
        super().__init__(f"signal {number}")
        self.number = number


class _Signals:
    """What has arrived, and what would have to be undone."""

    def __init__(self) -> None:
        self.number = 0  # that has arrived; 0 for none
        self.blocks = 0  # that undo something when an exception leaves them
        self.ending = False  # from here on nothing is to be interrupted
        self.repeats = self.delays = 0
        self.raised: weakref.ref[Interrupted] | None = None
        self.left: Callable[[], str] = lambda: NOTHING_WRITTEN

    def answer(self, number: int, frame: Any) -> None:
        again = number == getattr(signal, "SIGALRM", 0)
        if not again:
            self.number = number
        if self.ending or (self.raised is not None and self.raised() is not None):
            # It is on its way; whoever goes on asking does not want to wait for the rest.
            self.repeats += not again
            if self.repeats > 2:
                os._exit(128 + self.number)
            return
        if not self.blocks:
            self.leave()
        if again and sys.exc_info()[0] is not None and self.delays < MOST_DELAYS:
            # It has become another exception, perhaps, which is undoing something just now.
            self.delays += 1
            self.repeat()
            return
        error = Interrupted(self.number)
        self.raised = weakref.ref(error, self.repeat)
        raise error

    def repeat(self, lost: Any = None) -> None:
        """Gives the signal again, for an exception that nobody has caught and that is no more."""
        if hasattr(signal, "setitimer") and not self.ending:
            signal.setitimer(signal.ITIMER_REAL, SECONDS_UNTIL_REPEATED)

    def leave(self) -> None:
        self.ending = True
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        with contextlib.suppress(OSError):
            os.write(2, f"jaxmtl: {self.sentence()}\n".encode("utf-8", "backslashreplace"))
        os._exit(128 + self.number)

    def sentence(self) -> str:
        return f"interrupted; {self.left()}"


_signals = _Signals()


def answer_signals() -> None:
    """Answers SIGINT, SIGTERM and SIGHUP from now on, but those that the process is deaf to.

    Example:
        >>> answer_signals.__module__
        'jaxmtl.cli.signals'
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # As after nohup, or in the background of a shell without job control.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _signals.answer)
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _signals.answer)
    shown, printed = sys.unraisablehook, sys.excepthook

    def unraisable(found: Any) -> None:
        if not isinstance(found.exc_value, Interrupted):
            shown(found)

    def uncaught(kind: Any, error: Any, trace: Any) -> None:
        # An extension module prints it where it cannot be imported for that reason.
        if not issubclass(kind, Interrupted):
            printed(kind, error, trace)

    sys.unraisablehook, sys.excepthook = unraisable, uncaught


@contextlib.contextmanager
def undone_when_interrupted() -> Iterator[None]:
    """A block that undoes what it has begun when an exception leaves it.

    Example:
        >>> with undone_when_interrupted():
        ...     pass
    """
    _signals.blocks += 1
    try:
        yield
    finally:
        _signals.blocks -= 1


def when_interrupted(left: Callable[[], str]) -> None:
    """Says how the sentence ends that an interrupted command ends with.

    Args:
        left: asked when the time has come, after all is undone.

    Example:
        >>> when_interrupted(lambda: NOTHING_WRITTEN)
    """
    _signals.left = left


def interruption(error: BaseException) -> tuple[str, int] | None:
    """The sentence and the exit code for an exception that a signal has led to.

    From here on signals no longer interrupt anything.

    Args:
        error: that has come out of a command, perhaps a consequence of what a signal has raised.

    Returns:
        None for another exception.

    Example:
        >>> interruption(ValueError("of another kind")) is None
        True
    """
    if not _signals.number and not isinstance(error, KeyboardInterrupt):
        return None
    let_end()
    return _signals.sentence(), 128 + (_signals.number or signal.SIGINT)


def let_end() -> None:
    """From here on signals no longer interrupt anything: all is done but the end itself.

    Nor is anything said of objects that fail to clean up after what has been said already, such as
    a half-written archive on a full disk.
    """
    if signal.getsignal(signal.SIGINT) == _signals.answer:
        _signals.ending, _signals.raised = True, None
        sys.unraisablehook = lambda found: None
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)

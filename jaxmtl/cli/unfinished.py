"""What an interrupted fit has learned: kept beside the folder to write, which is not there yet."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from jaxmtl.cli.signals import NOTHING_WRITTEN, when_interrupted


@contextlib.contextmanager
def kept_beside(out: str) -> Iterator[Path]:
    """Keeps what is learned until all is written, so that the same command goes on with it.

    Args:
        out: folder to write; of a link, where that leads to.

    Yields:
        A folder, for this process alone. What is in it at the end is left there.

    Raises:
        FileError: another process is writing it, or nothing can be written there.
    """
    from jaxmtl.prediction.kept import kept_in, names_kept, unfinished_of

    unfinished = unfinished_of(out)

    def left() -> str:
        if not names_kept(unfinished):
            return NOTHING_WRITTEN
        return f"what was learned is kept in {unfinished}; the same command goes on with it"

    when_interrupted(left)
    with kept_in(unfinished):
        yield unfinished


def remove_unfinished(out: str) -> None:
    """Removes what ``kept_beside`` has left, now that the folder is written.

    Args:
        out: the folder.
    """
    from jaxmtl.prediction.kept import remove_kept, unfinished_of

    when_interrupted(lambda: f"the run is written to {out}")
    remove_kept(unfinished_of(out))


def older_note(folder: str) -> str | None:
    """That a run is older than one that is to take its place; None where there is no other.

    Args:
        folder: of the run.

    Example:
        >>> older_note("no such folder") is None
        True
    """
    from jaxmtl.prediction.kept import unfinished_of

    unfinished = unfinished_of(folder)
    if not unfinished.is_dir():
        return None
    return (
        f"folder {folder}: the older run, as the one that is to take its place is not finished; "
        f"what that has learned is kept in {unfinished}, and its command goes on with it"
    )

"""What an interrupted fit has learned: kept beside the folder to write, which is not there yet."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from jaxmtl.cli.signals import NOTHING_WRITTEN, when_interrupted

UNFINISHED = ".unfinished"  # after the name of the folder


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
    from jaxmtl.prediction.kept import kept_in, names_kept

    unfinished = Path(f"{os.path.realpath(out)}{UNFINISHED}")

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
    from jaxmtl.prediction.kept import remove_kept

    when_interrupted(lambda: f"the run is written to {out}")
    remove_kept(Path(f"{os.path.realpath(out)}{UNFINISHED}"))

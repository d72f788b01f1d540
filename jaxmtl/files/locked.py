"""A lock on a folder, which goes with its process."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from jaxmtl.files.errors import FileError, why

LOCK = "lock"


@contextlib.contextmanager
def locked(folder: Path, *, error: type[FileError] = FileError) -> Iterator[None]:
    """Keeps others from writing a folder; the lock goes with the process, however it ends.

    Args:
        folder: made if it is not there.
        error: raised if another process holds the lock.

    Raises:
        FileError: of the type ``error``; or the folder cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, locked(Path(folder)):
        ...     pass
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / LOCK, "a+b")
    except OSError as failure:
        raise error(
            f"folder {folder}: cannot be written ({why(failure)}); check the path, its "
            "permissions, and the space on the disk"
        ) from failure
    with file:
        try:
            _lock(file)
        except OSError as failure:
            raise error(
                f"folder {folder}: another process is writing it; wait for it to end or choose "
                "another folder"
            ) from failure
        yield


def _lock(file: BinaryIO) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # pyright: ignore
        return
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

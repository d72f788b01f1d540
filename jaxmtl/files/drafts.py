"""Hidden names that unfinished files and folders have, and what becomes of those nobody finishes.

A process holds a lock on what it is writing, which goes with it however it ends. Drafts that
nobody holds were left by processes that were killed; whoever writes beside them next removes them.
"""

import atexit
import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

_DRAFT = re.compile(r"\.(?P<name>.*)\.jaxmtl-[0-9a-f]{8}\.(?P<kind>tmp|old)(\.[^.]*)?", re.DOTALL)
_LONGEST = 60  # letters of the name of a file in that of its draft

_swept: set[str] = set()
_own: dict[Path, int] = {}  # drafts, and the processes that write them


def is_draft(name: str) -> bool:
    """Whether a file or folder of this name is unfinished.

    Example:
        >>> is_draft(draft_of(Path("run")).name), is_draft(".run.tmp")
        (True, False)
    """
    return _DRAFT.fullmatch(name) is not None


def draft_of(final: Path, *, old: bool = False) -> Path:
    """A name of which there is none yet, with the ending of the final one.

    Args:
        final: a folder without an ending, or a file.
        old: for what ``final`` has been until now.

    Returns:
        A hidden name in the same folder.
    """
    token = f"jaxmtl-{secrets.token_hex(4)}"
    if old:
        return final.with_name(f".{final.name}.{token}.old")
    return final.with_name(f".{final.stem[:_LONGEST]}.{token}.tmp{final.suffix[:_LONGEST]}")


@contextlib.contextmanager
def made_and_held(final: Path, *, folder: bool) -> Iterator[Path]:
    """Makes an empty draft, and keeps others from taking it for one that was left behind.

    Args:
        final: the name that it is to have in the end.
        folder: or a file.

    Yields:
        Its path; the block is to rename or remove it.

    Raises:
        OSError: nothing can be written there.
    """
    remove_left_over(final.parent)
    while True:
        draft = draft_of(final)
        _own[draft] = os.getpid()
        if folder:
            draft.mkdir()
        else:
            os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        with held(draft):
            if draft.exists():  # else somebody has been quicker to remove it than we to hold it
                yield draft
                _own.pop(draft, None)
                return


@contextlib.contextmanager
def held(path: Path) -> Iterator[bool]:
    """Holds a file or folder.

    Args:
        path: that is there.

    Yields:
        Whether it is held; False if another process holds it, or where there are no such locks.
    """
    try:
        import fcntl

        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except (ImportError, OSError):  # Windows, or it is gone
        yield False
        return
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = True
        except OSError:
            ours = False
        yield ours
    finally:
        os.close(opened)


def remove_left_over(folder: Path) -> None:
    """Removes drafts in a folder whose processes are no more; looks once a process.

    Args:
        folder: perhaps with drafts; one that cannot be read is left as it is.
    """
    key = os.fspath(folder)
    if key in _swept:
        return
    _swept.add(key)
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            found = _DRAFT.fullmatch(path.name)
            if found is None:
                continue
            with held(path) as ours:
                if not ours:
                    continue
                final = path.with_name(found["name"])
                if found["kind"] == "old" and not os.path.lexists(final):
                    path.rename(final)  # its successor has not taken its place
                else:
                    _remove(path)


@atexit.register
def remove_own() -> None:
    """Removes drafts of this process that an interruption came between to undo."""
    for path in [path for path, process in _own.items() if process == os.getpid()]:
        with contextlib.suppress(OSError):
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)

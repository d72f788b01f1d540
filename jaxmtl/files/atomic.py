"""Files and folders that appear whole or not at all.

Everything is written beside its final place under a hidden name and renamed at the end, which the
operating system does in one step as long as both names are on one disk.
"""

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from jaxmtl.files.drafts import draft_of, held, is_draft, made_and_held
from jaxmtl.files.errors import FileError, RunFolderError, why

OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG}


def check_folder(
    path: str | os.PathLike[str],
    *,
    force: bool = False,
    replaceable: Callable[[Path], bool] = lambda folder: True,
) -> Path:
    """Says whether a folder may be written, before any work is done for it.

    Args:
        path: of the folder.
        force: an existing folder may be replaced; an empty one may be without.
        replaceable: whether an existing folder is of the kind that may be replaced.

    Returns:
        The path with links resolved, so that a link keeps pointing at what is written.

    Raises:
        RunFolderError: something is there that must not be replaced.

    Example:
        >>> check_folder("no such folder yet").name
        'no such folder yet'
    """
    path = Path(path)
    try:
        there, empty = path.exists(), path.is_dir() and not any(path.iterdir())
    except OSError as error:
        raise _unwritable("folder", path, error) from error
    if not there or empty:
        return Path(os.path.realpath(path))
    if not path.is_dir():
        raise RunFolderError(f"folder {path}: expected a folder, got a file; choose another name")
    if not force:
        raise RunFolderError(
            f"folder {path}: it exists already; choose another name with --out, or replace it with "
            "--force"
        )
    if not replaceable(path):
        raise RunFolderError(
            f"folder {path}: expected a run folder to replace, got a folder with other files; "
            "choose another name"
        )
    return Path(os.path.realpath(path))


@contextlib.contextmanager
def new_folder(
    path: str | os.PathLike[str],
    *,
    force: bool = False,
    replaceable: Callable[[Path], bool] = lambda folder: True,
) -> Iterator[Path]:
    """A folder to fill, which gets its name only if the block ends without an exception.

    With ``force`` an older folder is replaced once the new one is complete, as a whole; until then
    it stays as it is.

    Args:
        path: of the folder; missing folders above it are made.
        force: see ``check_folder``.
        replaceable: see ``check_folder``.

    Yields:
        An empty folder beside ``path``.

    Raises:
        RunFolderError: see ``check_folder``, or nothing can be written there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     with new_folder(Path(place, "run")) as folder:
        ...         _ = Path(folder, "a.txt").write_text("whole")
        ...         there_yet = Path(place, "run").exists()
        ...     there_yet, Path(place, "run", "a.txt").read_text()
        (False, 'whole')
    """
    final = check_folder(path, force=force, replaceable=replaceable)
    with _parents("folder", path, final):
        with made_and_held(final, folder=True) as unfinished:
            try:
                yield unfinished
                # another run may have been quicker
                check_folder(path, force=force, replaceable=replaceable)
                _take_place(unfinished, final)
            except BaseException as error:
                shutil.rmtree(unfinished, ignore_errors=True)
                if isinstance(error, FileError) and os.fspath(unfinished) in str(error):
                    text = str(error).replace(os.fspath(unfinished), os.fspath(path))
                    raise type(error)(text) from error
                raise


def check_file(path: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Says whether a file may be written, before any work is done for it.

    Args:
        path: of the file.
        force: an existing file may be replaced.

    Returns:
        The path with links resolved.

    Raises:
        RunFolderError: something is there that must not be replaced.

    Example:
        >>> check_file("no such file yet.csv").name
        'no such file yet.csv'
    """
    path = Path(path)
    if path.is_dir():
        raise RunFolderError(f"file {path}: expected a file, got a folder; name a file in it")
    if path.exists() and not force:
        raise RunFolderError(
            f"file {path}: it exists already; choose another name, or replace it with --force"
        )
    return Path(os.path.realpath(path))


@contextlib.contextmanager
def new_file(path: str | os.PathLike[str], *, force: bool = False) -> Iterator[Path]:
    """A file to write, which gets its name only if the block ends without an exception.

    Args:
        path: of the file; missing folders above it are made.
        force: see ``check_file``.

    Yields:
        A path beside ``path`` with the same ending, to be written by the block.

    Raises:
        RunFolderError: see ``check_file``, or nothing can be written there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     with new_file(Path(place, "a.txt")) as file:
        ...         _ = file.write_text("whole")
        ...     sorted(file.name for file in Path(place).iterdir())
        ['a.txt']
    """
    final = check_file(path, force=force)
    with _parents("file", path, final):
        with made_and_held(final, folder=False) as unfinished:
            try:
                yield unfinished
                check_file(path, force=force)
                os.replace(unfinished, final)
            except BaseException:
                unfinished.unlink(missing_ok=True)
                raise


def make_parents(final: Path) -> list[Path]:
    """Makes the folders above a file or folder.

    Args:
        final: the file or folder, which itself is not made.

    Returns:
        The folders that were missing, the deepest first.

    Raises:
        RunFolderError: nothing can be written there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     [folder.name for folder in make_parents(Path(place, "a", "b", "c.txt"))]
        ['b', 'a']
    """
    missing: list[Path] = []
    try:
        missing = [folder for folder in final.parents if not folder.exists()]
        final.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _remove_empty(missing)
        raise _unwritable("folder", final.parent, error) from error
    return missing


@contextlib.contextmanager
def _parents(kind: str, path: str | os.PathLike[str], final: Path) -> Iterator[None]:
    """Makes what is missing above a file or folder, and removes it again after a failure.

    What the operating system says of the drafts in the block becomes a sentence about ``path``.
    """
    made = make_parents(final)
    try:
        yield
    except BaseException as error:
        _remove_empty(made)
        if isinstance(error, OSError) and not isinstance(error, FileError) and _ours(error, final):
            raise _unwritable(kind, path, error) from error
        raise


def _ours(error: OSError, final: Path) -> bool:
    """Whether it is about what is written, and not about what is read meanwhile."""
    named = [Path(name) for name in (error.filename, error.filename2) if isinstance(name, str)]
    return error.errno in OF_THE_DISK or any(
        name in (final, final.parent) or any(map(is_draft, name.parts)) for name in named
    )


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _take_place(unfinished: Path, final: Path) -> None:
    """Renames a complete folder, setting an older one aside for as long as that takes."""
    if not final.exists():
        unfinished.rename(final)
        return
    older = draft_of(final, old=True)
    with held(final):
        final.rename(older)
        try:
            unfinished.rename(final)
        except BaseException:
            older.rename(final)
            raise
        shutil.rmtree(older, ignore_errors=True)


def _unwritable(kind: str, path: str | os.PathLike[str], error: OSError) -> RunFolderError:
    return RunFolderError(
        f"{kind} {path}: cannot be written ({why(error)}); check the path, its permissions, and "
        "the space on the disk"
    )

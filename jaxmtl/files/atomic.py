"""Files and folders that appear whole or not at all.

Everything is written beside its final place under a hidden name and renamed at the end, which the
operating system does in one step as long as both names are on one disk.
"""

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from jaxmtl.files.errors import RunFolderError


def check_folder(
    path: str | os.PathLike[str],
    *,
    force: bool = False,
    replaceable: Callable[[Path], bool] = lambda folder: True,
) -> Path:
    """Says whether a folder may be written, before any work is done for it.

    Args:
        path: of the folder.
        force: an existing folder may be replaced.
        replaceable: whether an existing folder is of the kind that may be replaced; one that is
            empty always is.

    Returns:
        The path with links resolved, so that a link keeps pointing at what is written.

    Raises:
        RunFolderError: something is there that must not be replaced.

    Example:
        >>> check_folder("no such folder yet").name
        'no such folder yet'
    """
    path = Path(path)
    if not path.exists():
        return Path(os.path.abspath(path)) if not path.is_symlink() else path.resolve()
    if not path.is_dir():
        raise RunFolderError(f"folder {path}: expected a folder, got a file; choose another name")
    if not force:
        raise RunFolderError(
            f"folder {path}: it exists already; choose another name with --out, or replace it with "
            "--force"
        )
    if any(path.iterdir()) and not replaceable(path):
        raise RunFolderError(
            f"folder {path}: expected a run folder to replace, got a folder with other files; "
            "choose another name"
        )
    return path.resolve()


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
    unfinished = _beside(final)
    made = make_parents(final)
    try:
        try:
            unfinished.mkdir()
        except OSError as error:
            raise _unwritable("folder", path, error) from error
        yield unfinished
        check_folder(
            path, force=force, replaceable=replaceable
        )  # another run may have been quicker
        try:
            _take_place(unfinished, final)
        except OSError as error:
            raise _unwritable("folder", path, error) from error
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()
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
    unfinished = _beside(final)
    made = make_parents(final)
    try:
        try:
            yield unfinished
            check_file(path, force=force)
            os.replace(unfinished, final)
        except OSError as error:
            raise _unwritable("file", path, error) from error
    except BaseException:
        unfinished.unlink(missing_ok=True)
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _beside(final: Path) -> Path:
    return final.with_name(f".{final.stem}.{secrets.token_hex(4)}.tmp{final.suffix}")


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
    missing = [folder for folder in final.parents if not folder.exists()]
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable("folder", final.parent, error) from error
    return missing


def _take_place(unfinished: Path, final: Path) -> None:
    """Renames a complete folder, setting an older one aside for as long as that takes."""
    if not final.exists():
        unfinished.rename(final)
        return
    older = _beside(final)
    final.rename(older)
    try:
        unfinished.rename(final)
    except BaseException:
        older.rename(final)
        raise
    shutil.rmtree(older, ignore_errors=True)


def _unwritable(kind: str, path: str | os.PathLike[str], error: OSError) -> RunFolderError:
    return RunFolderError(
        f"{kind} {path}: cannot be written ({error.strerror or error}); check the path, its "
        "permissions, and the space on the disk"
    )

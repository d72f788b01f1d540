"""Paths as they are given in the shell, or in a file that a shell has not seen."""

import os
from pathlib import Path


def path_of(option: str, text: str) -> str:
    """The path that is meant.

    Args:
        option: its name, for the sentence of an error.
        text: as it was given: perhaps with ``~``, which a shell leaves alone in ``--out=~/run``, or
            through a folder that is not there, as ``x/../run``.

    Returns:
        The path; a link that leads nowhere yet is what it leads to.

    Raises:
        ValueError: there is no name.

    Example:
        >>> path_of("--out", "no such folder/../run"), path_of("--out", "run/")
        ('run', 'run')
    """
    if not text.strip():
        raise ValueError(f"{option}: expected a path, got none")
    path = Path(text)
    if path.parts[:1] == ("~",):
        home = os.path.expanduser("~")
        if home == "~":
            raise ValueError(
                f"{option}: expected a path without '~', as there is no home folder here, got "
                f"{text!r}"
            )
        path = Path(home, *path.parts[1:])
    try:
        if ".." in path.parts and not path.parent.exists():
            path = Path(os.path.normpath(path))
        if path.is_symlink() and not path.exists():
            path = Path(os.path.realpath(path))
    except OSError:
        pass  # whoever opens it says what is wrong
    return os.fspath(path)


def kept_path_of(option: str, text: str) -> str:
    """The path that is meant, of a file whose name is kept in a record.

    Args:
        option: see ``path_of``.
        text: see ``path_of``.

    Returns:
        The path.

    Raises:
        ValueError: there is no name, or a record in UTF-8 cannot keep it.

    Example:
        >>> kept_path_of("TABLE", "air.csv")
        'air.csv'
    """
    path = path_of(option, text)
    try:
        os.path.abspath(path).encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{option}: expected a path in UTF-8, which the record of the run can keep, got "
            f"{os.fsencode(path)!r}; rename the file, or the folder that it is in"
        ) from error
    return path

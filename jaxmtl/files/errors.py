"""The exceptions of what is written to disk and read from it; each text is one sentence."""

import errno
import os
from typing import Any

# What a person can do something about; else what the operating system says.
WORDS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk is full: there is a limit for each user",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "permission is missing",
    errno.EPERM: "permission is missing",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ENOENT: "there is no such file or folder",
    errno.ENOTDIR: "something in the path is a file and no folder",
    errno.EISDIR: "it is a folder",
    errno.ELOOP: "its links lead in a circle",
    errno.EIO: "the disk does not answer",
}


class FileError(ValueError):
    """A file or folder that cannot be read, written or replaced.

    Example:
        >>> raise FileError("file a.npz: expected a file of arrays, got an empty file")
        Traceback (most recent call last):
        ...
        jaxmtl.files.errors.FileError: file a.npz: expected a file of arrays, got an empty file
    """


class MissingFileError(FileError, FileNotFoundError):
    """A file that is not there.

    Example:
        >>> raise MissingFileError("file a.npz: there is no such file; check the path")
        Traceback (most recent call last):
        ...
        jaxmtl.files.errors.MissingFileError: file a.npz: there is no such file; check the path
    """


class RunFolderError(FileError):
    """A folder of a run, or a file in it, that cannot be read, written or replaced.

    Example:
        >>> raise RunFolderError("folder runs/a: there is no such folder; check the path")
        Traceback (most recent call last):
        ...
        jaxmtl.files.errors.RunFolderError: folder runs/a: there is no such folder; check the path
    """


def why(error: OSError) -> str:
    """What went wrong with a file, in words.

    Args:
        error: of the operating system.

    Returns:
        Words for the middle of a sentence.

    Example:
        >>> why(OSError(errno.ENOSPC, "No space left on device"))
        'the disk is full'
    """
    return WORDS.get(error.errno or 0) or (error.strerror or str(error)).lower()


def short(value: Any) -> str:
    """A value in a sentence, of which the middle may be left out.

    Args:
        value: of JSON values.

    Returns:
        At most 60 letters.

    Example:
        >>> short([1, 2]), short(None), len(short("a" * 5000))
        ('[1, 2]', 'absent', 59)
    """
    text = "absent" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:28]}...{text[-28:]}"


def in_words(error: OSError) -> str:
    """A sentence for an error of the operating system that nobody has put into words.

    Args:
        error: of this package, which is a sentence already, or of the operating system.

    Returns:
        The sentence.

    Example:
        >>> in_words(OSError(errno.EACCES, "Permission denied", "a.csv"))
        'file a.csv: permission is missing; check the path, its permissions, and the disk'
    """
    if isinstance(error, FileError) or error.errno is None:
        return str(error)
    name = error.filename
    place = f"file {os.fsdecode(name)}: " if isinstance(name, str | bytes) else ""
    return f"{place}{why(error)}; check the path, its permissions, and the disk"
